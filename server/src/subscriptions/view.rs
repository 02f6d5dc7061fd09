//! Subscriptions as clients and workers see them (protocol.md §23.2, §23.6, §23.7).

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    config::Delivery,
    model::{Link, Subscription, UnixMs, Wake},
    persist::to_json,
    root::Root,
};
use crate::path::StreamPath;

/// A wake shows all streams with unprocessed data, and others up to this many in total:
/// who follows 100,000 streams is not sent all of them for one append.
const MAX_SHOWN: usize = 1_000;

/// Bytes of a path segment that need no percent-encoding.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Base of the control APIs.
pub(crate) fn control_base(public_base: &str, root: &Root) -> String {
    format!("{}{}/__ds", public_base.trim_end_matches('/'), root.as_str())
}

/// The object of `GET subscriptions/:id`.
pub(crate) fn subscription(subscription: &Subscription, root: &Root, kid: &str, public_base: &str) -> Value {
    let config = &subscription.config;
    let (webhook, wake_stream) = match &config.delivery {
        Delivery::Webhook { url } => {
            let jwks_url = format!("{}/jwks.json", control_base(public_base, root));
            (json!({ "url": url, "signing": { "alg": "ed25519", "kid": kid, "jwks_url": jwks_url } }), Value::Null)
        }
        Delivery::PullWake { wake_stream } => (Value::Null, json!(root.stream(wake_stream))),
    };
    let streams: Vec<Value> = subscription
        .links
        .iter()
        .map(|(path, link)| {
            json!({ "path": root.stream(path), "link_type": link.link_type().as_str(), "acked_offset": link.acked_offset() })
        })
        .collect();
    json!({
        "id": subscription.id,
        "subscription_id": subscription.id,
        "type": config.delivery.kind(),
        "pattern": config.pattern.as_ref().map(super::glob::Glob::as_str),
        "streams": streams,
        "webhook": webhook,
        "wake_stream": wake_stream,
        "lease_ttl_ms": config.lease_ttl_ms,
        "created_at": rfc3339(subscription.created_at),
        "status": subscription.status(),
        "description": config.description,
    })
}

/// The answer to a claim.
pub(crate) fn claim(subscription: &Subscription, wake: &Wake, root: &Root, token: &str) -> Value {
    json!({
        "subscription_id": subscription.id,
        "wake_id": wake.id,
        "generation": subscription.generation,
        "token": token,
        "streams": stream_entries(subscription, root),
        "lease_ttl_ms": subscription.config.lease_ttl_ms,
    })
}

/// The body of a webhook request.
pub(crate) fn webhook_body(subscription: &Subscription, wake: &Wake, root: &Root, base: &str, token: &str) -> Bytes {
    let id = utf8_percent_encode(&subscription.id, SEGMENT);
    to_json(&json!({
        "subscription_id": subscription.id,
        "wake_id": wake.id,
        "generation": subscription.generation,
        "streams": stream_entries(subscription, root),
        "callback_url": format!("{}/subscriptions/{id}/callback", control_base(base, root)),
        "callback_token": token,
    }))
}

/// The event appended to a wake stream.
pub(crate) fn wake_event(subscription: &Subscription, wake: &Wake, root: &Root, now: UnixMs) -> Bytes {
    #[derive(Serialize)]
    struct WakeEvent<'e> {
        #[serde(rename = "type")]
        kind: &'static str,
        subscription_id: &'e str,
        stream: &'e str,
        generation: u64,
        ts: UnixMs,
    }
    to_json(&WakeEvent {
        kind: "wake",
        subscription_id: &subscription.id,
        stream: root.stream(&wake.trigger).unwrap_or_default(),
        generation: subscription.generation,
        ts: now,
    })
}

fn stream_entries(subscription: &Subscription, root: &Root) -> Vec<Value> {
    let entry = |(path, link): (&StreamPath, &Link)| {
        json!({
            "path": root.stream(path),
            "link_type": link.link_type().as_str(),
            "acked_offset": link.acked_offset(),
            "tail_offset": link.tail.unwrap_or_default().to_string(),
            "has_pending": link.is_pending(),
        })
    };
    if subscription.links.len() <= MAX_SHOWN {
        return subscription.links.iter().map(entry).collect();
    }
    let pending = subscription.pending.iter().filter_map(|path| subscription.links.get_key_value(path));
    let room = MAX_SHOWN.saturating_sub(subscription.pending.len());
    let others = subscription.links.iter().filter(|(_, link)| !link.is_pending()).take(room);
    pending.chain(others).map(entry).collect()
}

fn rfc3339(at: UnixMs) -> String {
    i64::try_from(at).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()).unwrap_or_default().to_string()
}
