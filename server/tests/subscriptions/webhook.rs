//! Webhooks: request, signature, callback, failures (protocol.md §23.7 to §23.9).

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{Method, StatusCode};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};

use crate::world::{BASE, Delivery, Receiver, World};

fn config(receiver: &Receiver) -> Value {
    json!({ "type": "webhook", "pattern": "events/*", "webhook": { "url": receiver.url } })
}

async fn jwks(world: &World) -> Value {
    let (status, jwks) = world.call(Method::GET, "jwks.json", None, &Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    jwks
}

/// Verifies as protocol.md §23.8 tells receivers to; returns the key id.
fn verified(delivery: &Delivery, jwks: &Value) -> String {
    let header = delivery.headers["webhook-signature"].to_str().expect("ASCII");
    let fields: Vec<(&str, &str)> = header.split(',').map(|field| field.split_once('=').expect("name=value")).collect();
    let [("t", t), ("kid", kid), ("ed25519", signature)] = fields[..] else { panic!("fields out of order: {header}") };
    let keys = jwks["keys"].as_array().expect("an array");
    let key = keys.iter().find(|key| key["kid"] == kid).expect("the key is published");
    let x = BASE64_URL_SAFE_NO_PAD.decode(key["x"].as_str().expect("a string")).expect("base64url");
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    let signed = [t.as_bytes(), b".", &delivery.raw].concat();
    UnparsedPublicKey::new(&ED25519, x).verify(&signed, &signature).expect("a valid signature");
    kid.to_owned()
}

async fn callback(world: &World, delivery: &Delivery, acks: Value, done: bool) -> (StatusCode, Value) {
    let url = delivery.body["callback_url"].as_str().expect("a URL");
    let rest = url.strip_prefix(&format!("{BASE}/v1/stream/__ds/")).expect("a control URL");
    let body = json!({ "wake_id": delivery.body["wake_id"], "generation": delivery.body["generation"], "acks": acks, "done": done });
    world.call(Method::POST, rest, delivery.body["callback_token"].as_str(), &body).await
}

#[tokio::test]
async fn the_whole_cycle() {
    let world = World::start().await;
    let mut receiver = Receiver::start().await;
    let object = world.subscribe("a%20b", &config(&receiver)).await;
    assert_eq!(
        (&object["id"], &object["subscription_id"], &object["status"]),
        (&json!("a b"), &json!("a b"), &json!("active"))
    );
    assert_eq!(object["webhook"]["signing"]["jwks_url"], format!("{BASE}/v1/stream/__ds/jwks.json"));
    assert!(object.get("webhook_secret").is_none());

    let tail = world.create("events/a", "[1]").await;
    let delivery = receiver.next().await;
    assert_eq!(delivery.headers["content-type"], "application/json");
    assert_eq!(verified(&delivery, &jwks(&world).await), object["webhook"]["signing"]["kid"]);
    assert_eq!(delivery.body["callback_url"], format!("{BASE}/v1/stream/__ds/subscriptions/a%20b/callback"));
    assert_eq!((&delivery.body["subscription_id"], &delivery.body["generation"]), (&json!("a b"), &json!(1)));
    assert_eq!(
        delivery.body["streams"],
        json!([{ "path": "events/a", "link_type": "glob", "acked_offset": "-1", "tail_offset": tail.to_string(), "has_pending": true }])
    );

    let acks = json!([{ "stream": "events/a", "offset": tail.to_string() }]);
    assert_eq!(
        callback(&world, &delivery, acks.clone(), true).await,
        (StatusCode::OK, json!({ "ok": true, "next_wake": false }))
    );
    let (status, late) = callback(&world, &delivery, acks, true).await;
    assert_eq!((status, &late["error"]["code"]), (StatusCode::CONFLICT, &json!("FENCED")));
    assert_eq!(world.links("a%20b").await[0].2, tail.to_string());
}

#[tokio::test]
async fn an_answer_of_done_acknowledges_the_snapshot() {
    let world = World::start().await;
    let mut receiver = Receiver::start().await;
    receiver.will_answer(&[(200, r#"{"done":true}"#), (200, r#"{"done":true}"#)]);
    world.subscribe("s", &config(&receiver)).await;
    let first = world.create("events/a", "[1]").await;
    assert_eq!(receiver.next().await.body["streams"][0]["tail_offset"], first.to_string());
    let second = world.append("events/a", "2").await;
    let delivery = receiver.next().await;
    assert_eq!(delivery.body["streams"][0]["tail_offset"], second.to_string());
    assert_eq!(
        (&delivery.body["generation"], &delivery.body["streams"][0]["acked_offset"]),
        (&json!(2), &json!(first.to_string()))
    );
}

#[tokio::test]
async fn a_failed_delivery_is_repeated_as_the_same_wake() {
    let world = World::start().await;
    let mut receiver = Receiver::start().await;
    receiver.will_answer(&[(500, ""), (200, "{}")]);
    world.subscribe("s", &config(&receiver)).await;
    world.create("events/a", "[1]").await;
    let first = receiver.next().await;
    let second = receiver.next().await;
    assert_eq!(
        (&first.body["wake_id"], &first.body["generation"]),
        (&second.body["wake_id"], &second.body["generation"])
    );
    verified(&second, &jwks(&world).await);
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_not_followed() {
    let world = World::start().await;
    let mut receiver = Receiver::start().await;
    let mut elsewhere = Receiver::start().await;
    receiver.will_answer(&[(302, &elsewhere.url), (200, r#"{"done":true}"#)]);
    world.subscribe("s", &config(&receiver)).await;
    world.create("events/a", "[1]").await;
    receiver.next().await;
    receiver.next().await;
    assert!(!elsewhere.has_more());
}

#[tokio::test]
async fn a_rotated_key_signs_and_the_old_one_stays_published() {
    let world = World::start().await;
    let mut receiver = Receiver::start().await;
    receiver.will_answer(&[(200, r#"{"done":true}"#)]);
    world.subscribe("s", &config(&receiver)).await;
    world.create("events/a", "[1]").await;
    let before = receiver.next().await;
    world.subscriptions.rotate_signing_key().await.expect("rotated");
    world.append("events/a", "2").await;
    let after = receiver.next().await;
    let jwks = jwks(&world).await;
    assert_ne!(verified(&before, &jwks), verified(&after, &jwks));
}

#[tokio::test]
async fn the_key_set_may_be_cached() {
    let world = World::start().await;
    let response = world.raw(Method::GET, "jwks.json", None, bytes::Bytes::new()).await;
    assert_eq!(response.headers()["content-type"], "application/jwk-set+json");
    assert_eq!(response.headers()["cache-control"], "public, max-age=300");
    let jwks: Value = serde_json::from_slice(response.body()).expect("JSON");
    let key = &jwks["keys"][0];
    assert_eq!(
        (&key["kty"], &key["crv"], &key["use"], &key["alg"]),
        (&json!("OKP"), &json!("Ed25519"), &json!("sig"), &json!("EdDSA"))
    );
    assert!(key["kid"].as_str().is_some_and(|kid| kid.starts_with("ds_")));
    assert!(key.get("d").is_none(), "the private key stays here");
}

#[tokio::test]
async fn a_configured_public_url_names_the_callbacks() {
    let world = World::start_with(|options| options.public_url = Some("https://streams.example/".to_owned())).await;
    let mut receiver = Receiver::start().await;
    let object = world.subscribe("s", &config(&receiver)).await;
    assert_eq!(object["webhook"]["signing"]["jwks_url"], "https://streams.example/v1/stream/__ds/jwks.json");
    world.create("events/a", "[1]").await;
    let url = receiver.next().await.body["callback_url"].clone();
    assert_eq!(url, "https://streams.example/v1/stream/__ds/subscriptions/s/callback");
}
