//! What survives a restart: everything (S65).

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{Receiver, World};

fn pull() -> Value {
    json!({ "type": "pull-wake", "pattern": "jobs/*", "streams": ["named"], "wake_stream": "wakes" })
}

async fn claim(world: &World) -> Value {
    let (status, claim) = world.call(Method::POST, "subscriptions/s/claim", None, &json!({ "worker": "w" })).await;
    assert_eq!(status, StatusCode::OK, "{claim}");
    claim
}

#[tokio::test]
async fn a_claimed_wake_goes_on_with_the_same_token() {
    let world = World::start_on_disk().await;
    let created = world.subscribe("s", &pull()).await;
    world.create("jobs/a", "[1]").await;
    let claimed = claim(&world).await;
    let links = world.links("s").await;
    let world = world.restart_after(Duration::ZERO, async |_| {}).await;

    assert_eq!(world.links("s").await, links);
    let (status, confirmed) = world.call(Method::PUT, "subscriptions/s", None, &pull()).await;
    assert_eq!((status, &confirmed["created_at"]), (StatusCode::OK, &created["created_at"]));
    let acks = json!([{ "stream": "jobs/a", "offset": claimed["streams"][0]["tail_offset"] }]);
    let body = json!({ "wake_id": claimed["wake_id"], "generation": 1, "acks": acks, "done": true });
    let (status, answer) = world.call(Method::POST, "subscriptions/s/ack", claimed["token"].as_str(), &body).await;
    assert_eq!((status, answer), (StatusCode::OK, json!({ "ok": true, "next_wake": false })));

    let world = world.restart_after(Duration::ZERO, async |_| {}).await;
    assert_eq!(Value::from(world.links("s").await[0].2.clone()), claimed["streams"][0]["tail_offset"]);
    world.append("jobs/a", "2").await;
    assert_eq!(claim(&world).await["generation"], 2, "generations are never used twice");
}

#[tokio::test]
async fn a_lease_that_ended_meanwhile_is_over() {
    let world = World::start_on_disk().await;
    world.subscribe("s", &pull()).await;
    world.create("jobs/a", "[1]").await;
    claim(&world).await;
    let world = world.restart_after(Duration::from_secs(31), async |_| {}).await;
    assert_eq!(claim(&world).await["generation"], 2);
}

#[tokio::test]
async fn what_happened_unobserved_is_found_in_the_tails() {
    let world = World::start_on_disk().await;
    world.create("wakes", "").await;
    world.create("jobs/old", "[1]").await;
    world.create("jobs/deleted", "[1]").await;
    world.create("jobs/recreated", "[1, 2, 3]").await;
    world.subscribe("s", &pull()).await;
    let world = world
        .restart_after(Duration::ZERO, async |world| {
            world.append("jobs/old", "2").await;
            world.create("jobs/new", "[1]").await;
            world.create("jobs/empty", "").await;
            world.delete("jobs/deleted").await;
            world.delete("jobs/recreated").await;
            world.create("jobs/recreated", "[1]").await;
        })
        .await;
    assert_eq!(world.messages("wakes", 1).await[0]["generation"], 1);
    let claimed = claim(&world).await;
    let streams = claimed["streams"].as_array().expect("an array");
    let shown: Vec<(&str, &str, bool)> = streams
        .iter()
        .map(|entry| (entry["path"].as_str(), entry["acked_offset"].as_str(), entry["has_pending"].as_bool()))
        .map(|(path, acked, pending)| (path.expect("a path"), acked.expect("an offset"), pending.expect("a flag")))
        .collect();
    let old = "0000000000000000_0000000000000002";
    let zero = "0000000000000000_0000000000000000";
    assert_eq!(
        shown,
        [("jobs/new", "-1", true), ("jobs/old", old, true), ("jobs/recreated", "-1", true), ("named", zero, false)]
    );
}

#[tokio::test]
async fn a_pending_retry_keeps_its_wake_and_its_time() {
    let world = World::start_on_disk().await;
    let mut receiver = Receiver::start().await;
    receiver.will_answer(&[(503, ""), (200, r#"{"done":true}"#)]);
    let config = json!({ "type": "webhook", "pattern": "jobs/*", "webhook": { "url": receiver.url } });
    let kid = world.subscribe("s", &config).await["webhook"]["signing"]["kid"].clone();
    world.create("jobs/a", "[1]").await;
    let first = receiver.next().await;
    let world = world.restart_after(Duration::from_secs(2), async |_| {}).await;
    let second = receiver.next().await;
    assert_eq!(
        (&first.body["wake_id"], &first.body["generation"]),
        (&second.body["wake_id"], &second.body["generation"])
    );
    let (_, object) = world.call(Method::GET, "subscriptions/s", None, &Value::Null).await;
    assert_eq!(object["webhook"]["signing"]["kid"], kid, "the key stays");
}

#[tokio::test]
async fn a_deleted_subscription_stays_deleted() {
    let world = World::start_on_disk().await;
    world.create("jobs/a", "[1]").await;
    world.subscribe("s", &pull()).await;
    world.call(Method::DELETE, "subscriptions/s", None, &Value::Null).await;
    let world = world.restart_after(Duration::ZERO, async |_| {}).await;
    let (status, _) = world.call(Method::GET, "subscriptions/s", None, &Value::Null).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let object = world.subscribe("s", &json!({ "type": "pull-wake", "streams": ["x"], "wake_stream": "w" })).await;
    assert_eq!(object["streams"].as_array().map(Vec::len), Some(1), "no link of the earlier one returns");
}
