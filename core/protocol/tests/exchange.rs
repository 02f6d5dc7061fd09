//! Request planners and answer meanings against their vectors.

use std::collections::BTreeMap;

use bytes::Bytes;
use durable_streams_protocol::{
    error::ErrorCode,
    expiry::{Deadline, Expiry},
    offset::Offset,
    request::{
        self, Idempotency, InvalidArgument, Operation, RequestPlan, TimeoutClass,
        append::{Append, ProducerTag},
        close::Close,
        create::{Create, Fork},
    },
    response::{self, Refusal, ReplyHead, read::ReadKind},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestVector {
    name: String,
    #[serde(rename = "spec")]
    _spec: String,
    request: Request,
    plan: Option<Plan>,
    invalid: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplyVector {
    name: String,
    #[serde(rename = "spec")]
    _spec: String,
    request: Request,
    reply: Reply,
    outcome: Map<String, Value>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Request {
    op: String,
    content_type: Option<String>,
    ttl_seconds: Option<u64>,
    expires_at: Option<String>,
    closed: bool,
    data: String,
    fork_from: Option<String>,
    fork_offset: Option<String>,
    fork_sub_offset: Option<u64>,
    seq: Option<String>,
    producer_id: Option<String>,
    producer_epoch: u64,
    producer_seq: u64,
    offset: String,
    live: Option<String>,
    cursor: Option<String>,
    etag: Option<String>,
    is_retry: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    method: String,
    #[serde(default)]
    query: Vec<(String, String)>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    timeout: Option<String>,
    idempotent: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reply {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

#[test]
fn requests() {
    let vectors: Vec<RequestVector> =
        serde_json::from_str(include_str!("../../../tests/vectors/requests.json")).expect("vectors");
    for vector in vectors {
        let name = &vector.name;
        match (vector.request.plan(), vector.plan, vector.invalid) {
            (Ok(plan), Some(expected), None) => {
                assert_eq!(plan.method.as_str(), expected.method, "{name}");
                let query: Vec<_> = plan.query.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
                assert_eq!(query, expected.query, "{name}");
                assert_eq!(headers_of(&plan.headers), expected.headers, "{name}");
                assert_eq!(plan.body, expected.body.as_bytes(), "{name}");
                let timeout = match plan.timeout {
                    TimeoutClass::OneShot => "one-shot",
                    TimeoutClass::LongPoll => "long-poll",
                    TimeoutClass::Streaming => "streaming",
                };
                assert_eq!(timeout, expected.timeout.as_deref().unwrap_or("one-shot"), "{name}");
                assert_eq!(plan.idempotency() == Idempotency::Repeatable, expected.idempotent, "{name}");
            }
            (Err(refused), None, Some(argument)) => assert_eq!(refused.argument, argument, "{name}"),
            (planned, ..) => panic!("{name}: {planned:?}"),
        }
    }
}

#[test]
fn replies() {
    let vectors: Vec<ReplyVector> =
        serde_json::from_str(include_str!("../../../tests/vectors/replies.json")).expect("vectors");
    for vector in vectors {
        let plan = vector.request.plan().unwrap_or_else(|error| panic!("{}: {error}", vector.name));
        let outcome = match meaning(&plan, &vector.reply.head(), vector.request.is_retry) {
            Ok(outcome) => outcome,
            Err(refusal) => {
                assert_eq!(refusal.facts.status, Some(vector.reply.status), "{}", vector.name);
                error_outcome(&refusal)
            }
        };
        assert_eq!(present(outcome), Value::Object(vector.outcome), "{}", vector.name);
    }
}

/// Every code that an answer can mean has a vector.
#[test]
fn every_answered_code_has_a_vector() {
    let text = include_str!("../../../tests/vectors/replies.json");
    let without_answer = [
        ErrorCode::InvalidArgument,
        ErrorCode::NetworkError,
        ErrorCode::Timeout,
        ErrorCode::OffsetWentBackwards,
        ErrorCode::Cancelled,
        ErrorCode::AlreadyClosed,
        ErrorCode::InternalError,
    ];
    for code in ErrorCode::ALL.iter().filter(|code| !without_answer.contains(code)) {
        assert!(text.contains(&format!("\"error\": \"{}\"", code.as_str())), "{code:?}");
    }
}

impl Request {
    fn plan(&self) -> Result<RequestPlan, InvalidArgument> {
        let offset = Offset::new(self.offset.as_str());
        let content_type = self.content_type.as_deref();
        let body = Bytes::copy_from_slice(self.data.as_bytes());
        match (self.op.as_str(), self.live.as_deref()) {
            ("create", None) => {
                let fork_offset = self.fork_offset.as_deref().map(Offset::new);
                let deadline = |text: &str| Deadline::parse(text).map(Expiry::At);
                Create {
                    content_type,
                    expiry: self.ttl_seconds.map(Expiry::Ttl).or(self.expires_at.as_deref().and_then(deadline)),
                    body,
                    closed: self.closed,
                    fork: self.fork_from.as_deref().map(|source_path| Fork {
                        source_path,
                        offset: fork_offset.as_ref(),
                        sub_offset: self.fork_sub_offset,
                    }),
                }
                .plan()
            }
            ("append", None) => Append {
                body,
                content_type: content_type.unwrap_or("text/plain"),
                seq: self.seq.as_deref(),
                producer: self.producer()?,
                ..Append::default()
            }
            .plan(),
            ("close", None) => {
                Close { body, content_type: content_type.unwrap_or("text/plain"), producer: self.producer()? }.plan()
            }
            ("delete", None) => Ok(request::delete::plan()),
            ("head", None) => Ok(request::head::plan()),
            ("read", None) => Ok(request::read::catch_up(&offset, self.etag.as_deref())),
            ("read", Some("long-poll")) => Ok(request::read::long_poll(&offset, self.cursor.as_deref())),
            ("read", Some("sse")) => Ok(request::read::sse(&offset, self.cursor.as_deref())),
            other => panic!("no such request: {other:?}"),
        }
    }

    fn producer(&self) -> Result<Option<ProducerTag>, InvalidArgument> {
        let Some(id) = self.producer_id.as_deref() else { return Ok(None) };
        Ok(Some(ProducerTag { id: ProducerTag::id(id)?, epoch: self.producer_epoch, seq: self.producer_seq }))
    }
}

impl Reply {
    fn head(&self) -> ReplyHead {
        let pair = |(name, value): (&String, &String)| {
            let name: HeaderName = name.parse().expect("header name");
            (name, HeaderValue::from_str(value).expect("header value"))
        };
        let status = StatusCode::from_u16(self.status).expect("status");
        ReplyHead { status, headers: self.headers.iter().map(pair).collect() }
    }
}

fn meaning(plan: &RequestPlan, head: &ReplyHead, is_retry: bool) -> Result<Value, Box<Refusal>> {
    Ok(match plan.operation {
        Operation::Create => {
            let it = response::create::outcome(plan, head)?;
            json!({"is_new": it.is_new, "content_type": it.content_type, "next_offset": it.next_offset, "closed": it.closed})
        }
        Operation::Append => {
            let it = response::append::outcome(plan, head)?;
            json!({
                "next_offset": it.next_offset, "closed": it.closed, "duplicate": it.duplicate, "etag": it.etag,
                "producer_epoch": it.producer_epoch, "producer_seq": it.producer_seq,
            })
        }
        Operation::Close => {
            let it = response::close::outcome(plan, head)?;
            json!({
                "final_offset": it.final_offset, "duplicate": it.duplicate,
                "producer_epoch": it.producer_epoch, "producer_seq": it.producer_seq,
            })
        }
        Operation::Delete => {
            response::delete::outcome(plan, head, is_retry)?;
            json!({})
        }
        Operation::Head => {
            let it = response::head::outcome(plan, head)?;
            json!({
                "content_type": it.content_type, "next_offset": it.next_offset, "closed": it.closed,
                "ttl_seconds": it.ttl_seconds, "expires_at": it.expires_at, "etag": it.etag,
                "cache_control": it.cache_control,
            })
        }
        Operation::Read => {
            let it = response::read::outcome(plan, head)?;
            let (kind, base64) = match it.kind {
                ReadKind::Data => ("data", None),
                ReadKind::Events { base64 } => ("events", Some(base64)),
                ReadKind::NoData => ("no-data", None),
                ReadKind::NotModified => ("not-modified", None),
            };
            json!({
                "kind": kind, "base64": base64, "next_offset": it.next_offset, "up_to_date": it.up_to_date,
                "closed": it.closed, "cursor": it.cursor, "content_type": it.content_type, "etag": it.etag,
            })
        }
    })
}

fn error_outcome(refusal: &Refusal) -> Value {
    let facts = &refusal.facts;
    json!({
        "error": refusal.code.as_str(), "final_offset": facts.final_offset, "current_epoch": facts.current_epoch,
        "expected_seq": facts.expected_seq, "received_seq": facts.received_seq,
        "retry_after_ms": facts.retry_after.map(|delay| delay.as_millis()),
    })
}

/// Absent facts are absent in a vector.
fn present(outcome: Value) -> Value {
    let Value::Object(mut fields) = outcome else { return outcome };
    fields.retain(|_, value| !value.is_null());
    Value::Object(fields)
}

fn headers_of(map: &HeaderMap) -> BTreeMap<String, String> {
    map.iter().map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned())).collect()
}
