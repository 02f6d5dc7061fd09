//! Pull-wake: events, claims, leases and fences (protocol.md §23.5 to §23.7).

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::World;

fn config() -> Value {
    json!({ "type": "pull-wake", "pattern": "jobs/*", "wake_stream": "wakes", "lease_ttl_ms": 1000 })
}

async fn world_with_work() -> World {
    let world = World::start().await;
    world.create("wakes", "").await;
    world.subscribe("s", &config()).await;
    world.create("jobs/a", "[1]").await;
    world
}

async fn claim(world: &World) -> Value {
    let (status, claim) = world.call(Method::POST, "subscriptions/s/claim", None, &json!({ "worker": "w1" })).await;
    assert_eq!(status, StatusCode::OK, "{claim}");
    claim
}

async fn ack(world: &World, claim: &Value, acks: Value, done: bool) -> (StatusCode, Value) {
    let body = json!({ "wake_id": claim["wake_id"], "generation": claim["generation"], "acks": acks, "done": done });
    world.call(Method::POST, "subscriptions/s/ack", claim["token"].as_str(), &body).await
}

#[tokio::test]
async fn the_whole_cycle() {
    let world = world_with_work().await;
    let event = &world.messages("wakes", 1).await[0];
    assert_eq!(event["ts"].as_u64().map(|ts| ts > 1_700_000_000_000), Some(true));
    let mut without_time = event.clone();
    without_time.as_object_mut().expect("an object").remove("ts");
    assert_eq!(without_time, json!({ "type": "wake", "subscription_id": "s", "stream": "jobs/a", "generation": 1 }));

    let claimed = claim(&world).await;
    assert_eq!((&claimed["generation"], &claimed["lease_ttl_ms"]), (&json!(1), &json!(1000)));
    let entry = &claimed["streams"][0];
    assert_eq!(
        (&entry["path"], &entry["link_type"], &entry["acked_offset"], &entry["has_pending"]),
        (&json!("jobs/a"), &json!("glob"), &json!("-1"), &json!(true))
    );

    let (status, held) = world.call(Method::POST, "subscriptions/s/claim", None, &json!({ "worker": "w2" })).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(
        (&held["error"]["code"], &held["error"]["current_holder"], &held["error"]["generation"]),
        (&json!("ALREADY_CLAIMED"), &json!("w1"), &json!(1))
    );

    let acks = json!([{ "stream": "jobs/a", "offset": entry["tail_offset"] }]);
    assert_eq!(
        ack(&world, &claimed, json!([]), false).await,
        (StatusCode::OK, json!({ "ok": true, "next_wake": false }))
    );
    assert_eq!(
        ack(&world, &claimed, acks.clone(), true).await,
        (StatusCode::OK, json!({ "ok": true, "next_wake": false }))
    );
    assert_eq!(Value::from(world.links("s").await[0].2.clone()), entry["tail_offset"]);

    let (status, late) = ack(&world, &claimed, acks, true).await;
    assert_eq!((status, &late["error"]["code"]), (StatusCode::CONFLICT, &json!("FENCED")));
    let (status, none) = world.call(Method::POST, "subscriptions/s/claim", None, &json!({ "worker": "w2" })).await;
    assert_eq!((status, &none["error"]["code"]), (StatusCode::CONFLICT, &json!("NO_PENDING_WORK")));
}

#[tokio::test]
async fn work_left_over_wakes_again() {
    let world = world_with_work().await;
    let claimed = claim(&world).await;
    world.append("jobs/a", "2").await;
    let acks = json!([{ "path": "jobs/a", "offset": claimed["streams"][0]["tail_offset"] }]);
    assert_eq!(ack(&world, &claimed, acks, true).await, (StatusCode::OK, json!({ "ok": true, "next_wake": true })));
    let events = world.messages("wakes", 2).await;
    assert_eq!((&events[0]["generation"], &events[1]["generation"]), (&json!(1), &json!(2)));
}

#[tokio::test]
async fn a_worker_may_acknowledge_what_it_has_just_read() {
    let world = world_with_work().await;
    let claimed = claim(&world).await;
    let tail = world.append("jobs/a", "2").await;
    let acks = json!([{ "stream": "/jobs/a/", "offset": tail.to_string() }]);
    assert_eq!(ack(&world, &claimed, acks, true).await, (StatusCode::OK, json!({ "ok": true, "next_wake": false })));
}

#[tokio::test]
async fn a_released_lease_goes_to_the_next_worker() {
    let world = world_with_work().await;
    let claimed = claim(&world).await;
    let body = json!({ "wake_id": claimed["wake_id"], "generation": 1 });
    let token = claimed["token"].as_str();
    assert_eq!(
        world.call(Method::POST, "subscriptions/s/release", token, &body).await,
        (StatusCode::NO_CONTENT, Value::Null)
    );
    assert_eq!(world.messages("wakes", 2).await[1]["generation"], 2);
    let (status, late) = world.call(Method::POST, "subscriptions/s/release", token, &body).await;
    assert_eq!((status, &late["error"]["code"]), (StatusCode::CONFLICT, &json!("FENCED")));
    assert_eq!(claim(&world).await["generation"], 2);
}

#[tokio::test]
async fn a_lease_that_ends_is_announced_anew() {
    let world = world_with_work().await;
    let claimed = claim(&world).await;
    assert_eq!(world.messages("wakes", 2).await[1]["generation"], 2);
    let (status, late) = ack(&world, &claimed, json!([]), true).await;
    assert_eq!((status, &late["error"]["code"]), (StatusCode::CONFLICT, &json!("FENCED")));
    assert_eq!(claim(&world).await["streams"][0]["acked_offset"], "-1");
}

#[tokio::test]
async fn without_a_wake_stream_a_claim_still_works() {
    let world = World::start().await;
    world.subscribe("s", &config()).await;
    world.create("jobs/a", "[1]").await;
    assert_eq!(claim(&world).await["generation"], 1);
}

#[tokio::test]
async fn bad_offsets_move_nothing() {
    let world = world_with_work().await;
    let claimed = claim(&world).await;
    let tail = claimed["streams"][0]["tail_offset"].clone();
    for (stream, offset) in [
        ("jobs/a", "-1"),
        ("jobs/a", "now"),
        ("jobs/a", "9999999999999999_9999999999999999"),
        ("jobs/unknown", "0000000000000000_0000000000000000"),
    ] {
        let acks = json!([{ "stream": "jobs/a", "offset": tail }, { "stream": stream, "offset": offset }]);
        let (status, error) = ack(&world, &claimed, acks, true).await;
        assert_eq!(
            (status, &error["error"]["code"]),
            (StatusCode::CONFLICT, &json!("INVALID_OFFSET")),
            "{stream} {offset}"
        );
    }
    assert_eq!(world.links("s").await[0].2, "-1");
}

#[tokio::test]
async fn after_deletion_workers_get_404_and_a_new_one_of_that_name_fences_them() {
    let world = world_with_work().await;
    let claimed = claim(&world).await;
    for _ in 0..2 {
        assert_eq!(world.call(Method::DELETE, "subscriptions/s", None, &Value::Null).await.0, StatusCode::NO_CONTENT);
    }
    let (status, error) = ack(&world, &claimed, json!([]), true).await;
    assert_eq!((status, &error["error"]["code"]), (StatusCode::NOT_FOUND, &json!("SUBSCRIPTION_NOT_FOUND")));
    world.subscribe("s", &config()).await;
    world.append("jobs/a", "2").await;
    claim(&world).await;
    let (status, error) = ack(&world, &claimed, json!([]), true).await;
    assert_eq!((status, &error["error"]["code"]), (StatusCode::CONFLICT, &json!("FENCED")));
}
