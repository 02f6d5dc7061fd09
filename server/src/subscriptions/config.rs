//! What a subscription was asked to be: parsed, checked, normalised and hashed
//! (protocol.md §23.2).

use std::collections::BTreeSet;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{error::ApiError, glob::Glob, root::Root};
use crate::path::StreamPath;

/// Lease when the request names none. Units: ms.
pub(crate) const DEFAULT_LEASE_TTL_MS: u64 = 30_000;
/// Accepted leases, both ends included. Units: ms.
pub(crate) const LEASE_TTL_RANGE_MS: std::ops::RangeInclusive<u64> = 1_000..=600_000;
/// Longest accepted description. Units: bytes.
const MAX_DESCRIPTION: usize = 4096;

/// A normalised configuration: two requests that mean the same compare equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// How workers learn of new data.
    pub(crate) delivery: Delivery,
    /// Streams to follow by name.
    pub(crate) pattern: Option<Glob>,
    /// Streams to follow one by one.
    pub(crate) streams: BTreeSet<StreamPath>,
    /// How long a wake may stay without a sign of life. Units: ms.
    pub(crate) lease_ttl_ms: u64,
    /// Free text.
    pub(crate) description: Option<String>,
}

/// How workers learn of new data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// A POST to this URL, as the client spelled it.
    Webhook { url: String },
    /// An event appended to this stream; a worker then claims the lease.
    PullWake { wake_stream: StreamPath },
}

impl Delivery {
    /// The value of `type`.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Webhook { .. } => "webhook",
            Self::PullWake { .. } => "pull-wake",
        }
    }
}

impl Config {
    /// Parses the body of a create request. Whether the webhook URL may be called is
    /// the SSRF guard's question, not asked here.
    pub(crate) fn parse(body: &[u8], root: &Root) -> Result<Self, ApiError> {
        let fields = object(body)?;
        let pattern = parse_pattern(&fields)?;
        let streams = match fields.get("streams") {
            None | Some(Value::Null) => BTreeSet::new(),
            Some(value) => parse_streams(value, root)?,
        };
        if pattern.is_none() && streams.is_empty() {
            return Err(invalid("the body needs \"pattern\" or a non-empty \"streams\""));
        }
        let config = Self {
            delivery: parse_delivery(&fields, root)?,
            pattern,
            streams,
            lease_ttl_ms: parse_lease(fields.get("lease_ttl_ms"))?,
            description: parse_description(fields.get("description"))?,
        };
        if let Delivery::PullWake { wake_stream } = &config.delivery
            && config.streams.contains(wake_stream)
        {
            return Err(invalid("\"streams\" contains the wake_stream: every wake would cause the next"));
        }
        Ok(config)
    }

    /// SHA-256 over the normalised configuration, unpadded base64url. Equal
    /// configurations have equal hashes; a re-confirmation compares them.
    pub(crate) fn hash(&self, root: &Root) -> String {
        let text = serde_json::to_vec(&self.normalised(root)).unwrap_or_default();
        BASE64_URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, &text))
    }

    /// The configuration as the JSON a client could have sent: hashed, and stored.
    pub(crate) fn normalised<'c>(&'c self, root: &'c Root) -> Normalised<'c> {
        let (webhook, wake_stream) = match &self.delivery {
            Delivery::Webhook { url } => (Some(NormalisedWebhook { url }), None),
            Delivery::PullWake { wake_stream } => (None, root.stream(wake_stream)),
        };
        Normalised {
            kind: self.delivery.kind(),
            pattern: self.pattern.as_ref().map(Glob::as_str),
            streams: self.streams.iter().filter_map(|path| root.stream(path)).collect(),
            webhook,
            wake_stream,
            lease_ttl_ms: self.lease_ttl_ms,
            description: self.description.as_deref(),
        }
    }

    /// Whether the pattern covers a stream. Never the own wake stream: each wake
    /// would be the cause of the next.
    pub(crate) fn covers(&self, path: &StreamPath, relative: &str) -> bool {
        self.pattern.as_ref().is_some_and(|glob| glob.matches(relative)) && !self.wakes_on(path)
    }

    /// Whether this is the subscription's own wake stream.
    pub(crate) fn wakes_on(&self, path: &StreamPath) -> bool {
        matches!(&self.delivery, Delivery::PullWake { wake_stream } if wake_stream == path)
    }
}

/// Field order is part of the hash.
#[derive(Debug, Serialize)]
pub(crate) struct Normalised<'c> {
    #[serde(rename = "type")]
    kind: &'static str,
    pattern: Option<&'c str>,
    streams: Vec<&'c str>,
    webhook: Option<NormalisedWebhook<'c>>,
    wake_stream: Option<&'c str>,
    lease_ttl_ms: u64,
    description: Option<&'c str>,
}

#[derive(Debug, Serialize)]
struct NormalisedWebhook<'c> {
    url: &'c str,
}

/// Parses a body that must be one JSON object.
pub(crate) fn object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(other) => Err(invalid(format!("the body must be a JSON object, not {}", shown(&other)))),
        Err(error) => Err(invalid(format!("the body is not valid JSON: {error}"))),
    }
}

/// Parses an array of relative stream paths.
pub(crate) fn parse_streams(value: &Value, root: &Root) -> Result<BTreeSet<StreamPath>, ApiError> {
    let Value::Array(items) = value else {
        return Err(invalid(format!("\"streams\" must be an array of stream paths, not {}", shown(value))));
    };
    items.iter().map(|item| parse_stream("streams", item, root)).collect()
}

/// Parses one relative stream path; `field` names it in the error.
pub(crate) fn parse_stream(field: &str, value: &Value, root: &Root) -> Result<StreamPath, ApiError> {
    let Value::String(text) = value else {
        return Err(invalid(format!("\"{field}\" must be a stream path, not {}", shown(value))));
    };
    root.resolve(text).map_err(|error| invalid(format!("\"{field}\" holds {text:?}: {error}")))
}

/// A value for an error text, cut to a readable length.
pub(crate) fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

pub(crate) fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::InvalidRequest(message.into())
}

fn parse_pattern(fields: &Map<String, Value>) -> Result<Option<Glob>, ApiError> {
    match fields.get("pattern") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Glob::parse(text)
            .map(Some)
            .map_err(|error| invalid(format!("\"pattern\" is {}: {error}", shown(&Value::from(text.as_str()))))),
        Some(other) => Err(invalid(format!("\"pattern\" must be a string, not {}", shown(other)))),
    }
}

fn parse_delivery(fields: &Map<String, Value>, root: &Root) -> Result<Delivery, ApiError> {
    let present = |name: &str| fields.get(name).filter(|value| !value.is_null());
    match present("type") {
        Some(Value::String(kind)) if kind == "webhook" => {
            if present("wake_stream").is_some() {
                return Err(invalid("\"wake_stream\" belongs to type \"pull-wake\", not to \"webhook\""));
            }
            match present("webhook").map(|webhook| (webhook, webhook.get("url"))) {
                Some((_, Some(Value::String(url)))) => Ok(Delivery::Webhook { url: url.clone() }),
                Some((_, Some(other))) => {
                    Err(invalid(format!("\"webhook.url\" must be a string, not {}", shown(other))))
                }
                Some((other, None)) => {
                    Err(invalid(format!("\"webhook\" must be an object with \"url\", not {}", shown(other))))
                }
                None => Err(invalid("type \"webhook\" needs \"webhook\": {\"url\": …}")),
            }
        }
        Some(Value::String(kind)) if kind == "pull-wake" => {
            if present("webhook").is_some() {
                return Err(invalid("\"webhook\" belongs to type \"webhook\", not to \"pull-wake\""));
            }
            let value = present("wake_stream").ok_or_else(|| invalid("type \"pull-wake\" needs \"wake_stream\""))?;
            Ok(Delivery::PullWake { wake_stream: parse_stream("wake_stream", value, root)? })
        }
        Some(other) => Err(invalid(format!("\"type\" must be \"webhook\" or \"pull-wake\", not {}", shown(other)))),
        None => Err(invalid("the body needs \"type\": \"webhook\" or \"pull-wake\"")),
    }
}

fn parse_lease(value: Option<&Value>) -> Result<u64, ApiError> {
    match value {
        None | Some(Value::Null) => Ok(DEFAULT_LEASE_TTL_MS),
        Some(value) => value.as_u64().filter(|ms| LEASE_TTL_RANGE_MS.contains(ms)).ok_or_else(|| {
            invalid(format!(
                "\"lease_ttl_ms\" must be an integer from {} to {}, not {}",
                LEASE_TTL_RANGE_MS.start(),
                LEASE_TTL_RANGE_MS.end(),
                shown(value)
            ))
        }),
    }
}

fn parse_description(value: Option<&Value>) -> Result<Option<String>, ApiError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() <= MAX_DESCRIPTION => Ok(Some(text.clone())),
        Some(Value::String(text)) => {
            Err(invalid(format!("\"description\" has {} bytes; {MAX_DESCRIPTION} are allowed", text.len())))
        }
        Some(other) => Err(invalid(format!("\"description\" must be a string, not {}", shown(other)))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(body: &Value) -> Result<Config, ApiError> {
        Config::parse(body.to_string().as_bytes(), &Root::new("/v1/stream"))
    }

    fn hash(body: &Value) -> String {
        parse(body).expect("a valid body").hash(&Root::new("/v1/stream"))
    }

    #[test]
    fn equal_meaning_gives_equal_hashes() {
        let one = json!({ "type": "webhook", "streams": ["b", "/a/"], "webhook": { "url": "https://e.example/" } });
        let other = json!({ "lease_ttl_ms": 30_000, "streams": ["a", "b", "a"], "pattern": null,
            "webhook": { "url": "https://e.example/" }, "type": "webhook" });
        assert_eq!(hash(&one), hash(&other));
    }

    #[test]
    fn every_field_counts_in_the_hash() {
        let base = json!({ "type": "pull-wake", "pattern": "a/*", "streams": ["x"], "wake_stream": "w" });
        for (field, value) in [
            ("pattern", json!("a/**")),
            ("streams", json!(["y"])),
            ("wake_stream", json!("v")),
            ("lease_ttl_ms", json!(5000)),
            ("description", json!("text")),
        ] {
            let mut changed = base.clone();
            changed[field] = value;
            assert_ne!(hash(&base), hash(&changed), "{field}");
        }
    }

    #[test]
    fn refusals_name_the_field_and_the_value() {
        for (body, named) in [
            (json!([]), "[]"),
            (json!({}), "pattern"),
            (json!({ "pattern": "a" }), "type"),
            (json!({ "pattern": "a", "type": "push" }), "\"push\""),
            (json!({ "pattern": 7, "type": "webhook" }), "7"),
            (json!({ "pattern": "a//b", "type": "webhook" }), "a//b"),
            (json!({ "pattern": "a", "type": "webhook" }), "webhook"),
            (json!({ "pattern": "a", "type": "webhook", "webhook": { "url": 5 } }), "5"),
            (json!({ "pattern": "a", "type": "pull-wake" }), "wake_stream"),
            (json!({ "pattern": "a", "type": "pull-wake", "wake_stream": "../x" }), "../x"),
            (json!({ "streams": "a", "type": "webhook" }), "\"a\""),
            (json!({ "streams": [1], "type": "webhook" }), "1"),
            (json!({ "streams": ["w"], "type": "pull-wake", "wake_stream": "w" }), "wake_stream"),
            (json!({ "pattern": "a", "type": "pull-wake", "wake_stream": "w", "lease_ttl_ms": 999 }), "999"),
            (json!({ "pattern": "a", "type": "pull-wake", "wake_stream": "w", "lease_ttl_ms": 600_001 }), "600001"),
            (json!({ "pattern": "a", "type": "pull-wake", "wake_stream": "w", "lease_ttl_ms": 1.5 }), "1.5"),
            (json!({ "pattern": "a", "type": "pull-wake", "wake_stream": "w", "description": [] }), "[]"),
        ] {
            let error = parse(&body).expect_err("refused");
            assert_eq!(error.code(), "INVALID_REQUEST", "{body}");
            assert!(error.to_string().contains(named), "{error} should name {named}");
        }
    }

    #[test]
    fn a_pattern_never_covers_the_own_wake_stream() {
        let root = Root::new("/v1/stream");
        let config = parse(&json!({ "type": "pull-wake", "pattern": "**", "wake_stream": "w" })).expect("valid");
        let path = |relative: &str| root.resolve(relative).expect("a path");
        assert!(config.covers(&path("x"), "x"));
        assert!(!config.covers(&path("w"), "w"));
    }
}
