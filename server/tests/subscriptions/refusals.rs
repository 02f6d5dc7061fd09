//! What is refused, and how it is said (protocol.md §23.2, §23.3, §23.9).

use bytes::Bytes;
use durable_streams_server::subscriptions::WebhookMode;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::World;

fn pull() -> Value {
    json!({ "type": "pull-wake", "pattern": "a/*", "wake_stream": "w" })
}

async fn expect(world: &World, method: Method, rest: &str, token: Option<&str>, body: &Value, status: u16, code: &str) {
    let (actual, answer) = world.call(method.clone(), rest, token, body).await;
    assert_eq!(
        (actual.as_u16(), answer["error"]["code"].as_str()),
        (status, Some(code)),
        "{method} {rest} {body}: {answer}"
    );
    assert!(answer["error"]["message"].as_str().is_some_and(|text| !text.is_empty()));
}

#[tokio::test]
async fn the_same_configuration_confirms_and_another_one_conflicts() {
    let world = World::start().await;
    let created = world.subscribe("s", &pull()).await;
    assert_eq!(world.call(Method::PUT, "subscriptions/s", None, &pull()).await, (StatusCode::OK, created));
    let mut other = pull();
    other["description"] = json!("another");
    expect(&world, Method::PUT, "subscriptions/s", None, &other, 409, "SUBSCRIPTION_ALREADY_EXISTS").await;
}

#[tokio::test]
async fn webhook_urls_that_reach_inside_are_refused() {
    let world = World::start().await;
    for url in [
        "http://10.0.0.1/hook",
        "http://example.com/",
        "https://localhost/",
        "https://192.168.0.1/",
        "https://[::1]/",
        "x",
    ] {
        let body = json!({ "type": "webhook", "pattern": "a", "webhook": { "url": url } });
        expect(&world, Method::PUT, "subscriptions/s", None, &body, 400, "WEBHOOK_URL_REJECTED").await;
    }
    expect(&world, Method::GET, "subscriptions/s", None, &Value::Null, 404, "SUBSCRIPTION_NOT_FOUND").await;
}

#[tokio::test]
async fn without_webhooks_only_pull_wake_is_served() {
    let world = World::start_with(|options| options.webhooks = WebhookMode::Off).await;
    let body = json!({ "type": "webhook", "pattern": "a", "webhook": { "url": "https://example.com/" } });
    expect(&world, Method::PUT, "subscriptions/s", None, &body, 400, "INVALID_REQUEST").await;
    world.subscribe("s", &pull()).await;
}

#[tokio::test]
async fn malformed_requests_say_what_is_wrong() {
    let world = World::start().await;
    world.subscribe("s", &pull()).await;
    for (method, rest, body) in [
        (Method::PUT, "subscriptions/t", json!({})),
        (Method::PUT, "subscriptions/t", json!("text")),
        (Method::PUT, "subscriptions/%FF", pull()),
        (Method::PUT, "subscriptions/a%0Ab", pull()),
        (Method::POST, "subscriptions/s/streams", json!({})),
        (Method::POST, "subscriptions/s/streams", json!({ "streams": ["../x"] })),
        (Method::POST, "subscriptions/s/claim", json!({})),
        (Method::POST, "subscriptions/s/claim", json!({ "worker": "" })),
        (Method::DELETE, "subscriptions/s/streams/__ds", Value::Null),
    ] {
        expect(&world, method, rest, None, &body, 400, "INVALID_REQUEST").await;
    }
    let response = world.raw(Method::PUT, "subscriptions/t", None, Bytes::from_static(b"{")).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(response.headers()["content-type"], "application/json");
}

#[tokio::test]
async fn missing_subscriptions_paths_and_methods() {
    let world = World::start().await;
    for (method, rest) in [(Method::GET, "subscriptions/x"), (Method::POST, "subscriptions/x/claim")] {
        expect(&world, method, rest, None, &json!({ "worker": "w" }), 404, "SUBSCRIPTION_NOT_FOUND").await;
    }
    expect(
        &world,
        Method::POST,
        "subscriptions/x/streams",
        None,
        &json!({ "streams": ["a"] }),
        404,
        "SUBSCRIPTION_NOT_FOUND",
    )
    .await;
    for rest in ["", "x", "subscriptions", "subscriptions/", "subscriptions/x/y", "jwks"] {
        expect(&world, Method::GET, rest, None, &Value::Null, 404, "NOT_FOUND").await;
    }
    for (method, rest, allow) in [
        (Method::POST, "jwks.json", "GET, HEAD"),
        (Method::POST, "subscriptions/x", "GET, HEAD, PUT, DELETE"),
        (Method::GET, "subscriptions/x/claim", "POST"),
        (Method::PUT, "subscriptions/x/streams/a", "DELETE"),
    ] {
        expect(&world, method.clone(), rest, None, &Value::Null, 405, "METHOD_NOT_ALLOWED").await;
        assert_eq!(world.raw(method, rest, None, Bytes::new()).await.headers()["allow"], allow);
    }
}

#[tokio::test]
async fn workers_must_show_a_good_token() {
    let world = World::start().await;
    world.subscribe("s", &pull()).await;
    world.subscribe("other", &pull()).await;
    world.create("a/b", "[1]").await;
    let (_, claim) = world.call(Method::POST, "subscriptions/s/claim", None, &json!({ "worker": "w" })).await;
    let token = claim["token"].as_str().expect("a token");
    let body = json!({ "wake_id": claim["wake_id"], "generation": claim["generation"] });
    for action in ["ack", "release", "callback"] {
        for bad in [None, Some(""), Some("x.y"), Some(&token[1..])] {
            expect(&world, Method::POST, &format!("subscriptions/s/{action}"), bad, &body, 401, "TOKEN_INVALID").await;
        }
        expect(
            &world,
            Method::POST,
            &format!("subscriptions/other/{action}"),
            Some(token),
            &body,
            401,
            "TOKEN_INVALID",
        )
        .await;
    }
    for body in [
        json!({}),
        json!({ "wake_id": 1, "generation": 1 }),
        json!({ "wake_id": "w", "generation": "1" }),
        json!({ "wake_id": "w", "generation": 1, "acks": {} }),
        json!({ "wake_id": "w", "generation": 1, "acks": [{ "stream": "a" }] }),
        json!({ "wake_id": "w", "generation": 1, "done": "yes" }),
    ] {
        expect(&world, Method::POST, "subscriptions/s/ack", Some(token), &body, 400, "INVALID_REQUEST").await;
    }
    // The endpoint of the other type.
    expect(&world, Method::POST, "subscriptions/s/callback", Some(token), &body, 400, "INVALID_REQUEST").await;
}

#[tokio::test]
async fn the_limit_of_subscriptions_holds() {
    let world = World::start_with(|options| options.max_subscriptions = 1).await;
    world.subscribe("s", &pull()).await;
    expect(&world, Method::PUT, "subscriptions/t", None, &pull(), 503, "TOO_MANY_SUBSCRIPTIONS").await;
    assert_eq!(world.call(Method::PUT, "subscriptions/s", None, &pull()).await.0, StatusCode::OK);
    world.call(Method::DELETE, "subscriptions/s", None, &Value::Null).await;
    world.subscribe("t", &pull()).await;
}
