//! Which streams are followed, and from where (protocol.md §23.4).

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::World;

const ZERO: &str = "0000000000000000_0000000000000000";

fn link(path: &str, kind: &str, acked: &str) -> (String, String, String) {
    (path.to_owned(), kind.to_owned(), acked.to_owned())
}

fn config(extra: &Value) -> Value {
    let mut config = json!({ "type": "pull-wake", "wake_stream": "wakes" });
    for (name, value) in extra.as_object().expect("an object") {
        config[name] = value.clone();
    }
    config
}

#[tokio::test]
async fn streams_that_exist_are_followed_from_their_tails() {
    let world = World::start().await;
    let tail = world.create("events/a", r#"["history"]"#).await;
    world.create("events/empty", "").await;
    world.create("other/a", "").await;
    world.subscribe("s", &config(&json!({ "pattern": "events/*", "streams": ["/missing/", "other/a"] }))).await;
    assert_eq!(
        world.links("s").await,
        [
            link("events/a", "glob", &tail.to_string()),
            link("events/empty", "glob", ZERO),
            link("missing", "explicit", ZERO),
            link("other/a", "explicit", ZERO),
        ]
    );
}

#[tokio::test]
async fn a_later_stream_is_followed_from_its_first_append() {
    let world = World::start().await;
    world.subscribe("s", &config(&json!({ "pattern": "events/**" }))).await;
    world.create("events/deep/empty", "").await;
    assert_eq!(world.links("s").await, []);
    world.append("events/deep/empty", "1").await;
    world.create("events/full", "[1]").await;
    assert_eq!(world.links("s").await, [link("events/deep/empty", "glob", "-1"), link("events/full", "glob", "-1")]);
}

#[tokio::test]
async fn a_named_stream_that_comes_later_is_pending_with_its_first_append() {
    let world = World::start().await;
    world.create("wakes", "").await;
    world.subscribe("s", &config(&json!({ "streams": ["late"] }))).await;
    world.create("late", "[1]").await;
    assert_eq!(world.messages("wakes", 1).await[0]["stream"], "late");
    assert_eq!(world.links("s").await, [link("late", "explicit", ZERO)]);
}

#[tokio::test]
async fn naming_and_unnaming_keeps_what_the_pattern_covers() {
    let world = World::start().await;
    world.create("events/a", "").await;
    world.create("x/y", "").await;
    world.subscribe("s", &config(&json!({ "pattern": "events/*" }))).await;
    for _ in 0..2 {
        let body = json!({ "streams": ["events/a", "x/y"] });
        assert_eq!(world.call(Method::POST, "subscriptions/s/streams", None, &body).await.0, StatusCode::NO_CONTENT);
    }
    assert_eq!(world.links("s").await, [link("events/a", "explicit", ZERO), link("x/y", "explicit", ZERO)]);
    for rest in ["events%2Fa", "x/y", "x%2Fy", "never"] {
        let rest = format!("subscriptions/s/streams/{rest}");
        assert_eq!(world.call(Method::DELETE, &rest, None, &Value::Null).await.0, StatusCode::NO_CONTENT);
    }
    assert_eq!(world.links("s").await, [link("events/a", "glob", ZERO)]);
}

#[tokio::test]
async fn a_deleted_stream_loses_its_links_and_returns_as_a_new_one() {
    let world = World::start().await;
    world.create("events/a", "[1, 2, 3]").await;
    world.subscribe("s", &config(&json!({ "pattern": "events/*", "streams": ["events/a"] }))).await;
    world.delete("events/a").await;
    assert_eq!(world.links("s").await, []);
    world.create("events/a", "[1]").await;
    assert_eq!(world.links("s").await, [link("events/a", "glob", "-1")]);
}

#[tokio::test]
async fn the_own_wake_stream_is_never_followed() {
    let world = World::start().await;
    world.create("wakes", "").await;
    world.subscribe("s", &config(&json!({ "pattern": "**" }))).await;
    world.create("a", "[1]").await;
    assert_eq!(world.messages("wakes", 1).await.len(), 1);
    assert_eq!(world.links("s").await, [link("a", "glob", "-1")]);
    let (status, error) =
        world.call(Method::POST, "subscriptions/s/streams", None, &json!({ "streams": ["wakes"] })).await;
    assert_eq!((status, &error["error"]["code"]), (StatusCode::BAD_REQUEST, &json!("INVALID_REQUEST")));
}

#[tokio::test]
async fn streams_outside_the_root_are_nobodys() {
    let world = World::start_with(|options| options.root = "/v2/".to_owned()).await;
    world.subscribe("s", &config(&json!({ "pattern": "**" }))).await;
    world.create("a", "[1]").await;
    assert_eq!(world.links("s").await, []);
}
