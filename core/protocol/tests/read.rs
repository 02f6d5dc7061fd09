//! The SSE decoder and the read machine against their vectors.

#![expect(clippy::wildcard_enum_match_arm, reason = "a vector names the one case it expects")]

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use durable_streams_protocol::{
    offset::Offset,
    read::{LiveMode, Notice, ReadEvent, ReadMachine, ReadOptions, SseFallbackNumbers, Step},
    request::RequestPlan,
    response::{ReplyHead, TransportFailure, TransportFailureKind},
    sse::decoder::{Decoder, DecoderLimits, EventKind},
};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SseVector {
    name: String,
    #[serde(rename = "spec")]
    _spec: String,
    wire: String,
    events: Vec<(String, String)>,
}

#[test]
fn sse_vectors_hold_for_every_chunk_size() {
    let vectors: Vec<SseVector> =
        serde_json::from_str(include_str!("../../../tests/vectors/sse.json")).expect("vectors");
    for vector in vectors {
        for size in [1, 2, 3, 7, vector.wire.len()] {
            let mut decoder = Decoder::new(DecoderLimits::default());
            let mut events = Vec::new();
            for chunk in vector.wire.as_bytes().chunks(size) {
                decoder.feed(Bytes::copy_from_slice(chunk));
                while let Some(event) = decoder.next_event() {
                    let event = event.expect("within the limits");
                    let kind = match event.kind {
                        EventKind::Data => "data",
                        EventKind::Control => "control",
                    };
                    events.push((kind.to_owned(), String::from_utf8(event.data.to_vec()).expect("text")));
                }
            }
            assert_eq!(events, vector.events, "{} in chunks of {size}", vector.name);
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadVector {
    name: String,
    #[serde(rename = "spec")]
    _spec: String,
    offset: String,
    live: String,
    #[serde(default)]
    sse_fallback: VectorFallback,
    steps: Vec<VectorStep>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct VectorFallback {
    min_connection_ms: Option<f64>,
    max_short_connections: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum VectorStep {
    Request(String),
    Reply(VectorReply),
    TransportFailure(String),
    Batch(VectorBatch),
    Failure(String),
    Wait(bool),
    Notice(String),
    AdvanceMs(u64),
    End(bool),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct VectorReply {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    /// The body goes on.
    #[serde(default)]
    open: bool,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct VectorBatch {
    data: String,
    next_offset: String,
    #[serde(default)]
    up_to_date: bool,
    #[serde(default)]
    stream_closed: bool,
}

#[test]
fn read_vectors() {
    let vectors: Vec<ReadVector> =
        serde_json::from_str(include_str!("../../../tests/vectors/read.json")).expect("vectors");
    for vector in vectors {
        let live = match vector.live.as_str() {
            "long-poll" => LiveMode::LongPoll,
            "sse" => LiveMode::Sse,
            "auto" => LiveMode::Auto,
            _ => LiveMode::Off,
        };
        let VectorFallback { min_connection_ms, max_short_connections } = vector.sse_fallback;
        let numbers = SseFallbackNumbers { min_connection_ms, max_short_connections, ..SseFallbackNumbers::default() };
        let options = ReadOptions {
            // The vectors tell of one exchange at a time.
            prefetch: false,
            sse_fallback: numbers.check().expect("numbers a caller may choose"),
            ..ReadOptions::new(Offset::new(vector.offset), live)
        };
        let mut machine = ReadMachine::new(options, 7);
        let mut now = Duration::from_secs(60);
        for step in vector.steps {
            let place = format!("{}: {step:?}", vector.name);
            match step {
                VectorStep::Request(query) => match machine.poll(now) {
                    Step::Send(plan) => assert_eq!(query_of(&plan), query, "{place}"),
                    other => panic!("{place}, got {other:?}"),
                },
                VectorStep::Reply(reply) => answer(&mut machine, now, &reply, &place),
                VectorStep::TransportFailure(kind) => {
                    assert!(matches!(machine.poll(now), Step::AwaitReply), "{place}");
                    let kind = match kind.as_str() {
                        "connect" => TransportFailureKind::Connect,
                        "timeout" => TransportFailureKind::Timeout,
                        _ => TransportFailureKind::Broken,
                    };
                    machine.handle_failure(now, TransportFailure::new(kind, "vector"));
                }
                VectorStep::Batch(expected) => match machine.poll(now) {
                    Step::Emit(ReadEvent::Batch(batch)) => {
                        let batch = VectorBatch {
                            data: String::from_utf8(batch.data.to_vec()).expect("text"),
                            next_offset: batch.next_offset.to_string(),
                            up_to_date: batch.up_to_date,
                            stream_closed: batch.stream_closed,
                        };
                        assert_eq!(batch, expected, "{place}");
                    }
                    other => panic!("{place}, got {other:?}"),
                },
                VectorStep::Failure(code) => match machine.poll(now) {
                    Step::Emit(ReadEvent::Failed(failure)) => {
                        assert_eq!(failure.cause.code().as_str(), code, "{place}")
                    }
                    other => panic!("{place}, got {other:?}"),
                },
                VectorStep::Wait(waits) => match machine.poll(now) {
                    Step::WaitUntil(until) if waits => now = until,
                    other => panic!("{place}, got {other:?}"),
                },
                VectorStep::Notice(kind) => match machine.poll(now) {
                    Step::Emit(ReadEvent::Notice(Notice::SseGivenUp { .. })) => {
                        assert_eq!(kind, "sse_given_up", "{place}")
                    }
                    other => panic!("{place}, got {other:?}"),
                },
                VectorStep::AdvanceMs(span) => now += Duration::from_millis(span),
                VectorStep::End(ends) => assert_eq!(matches!(machine.poll(now), Step::End), ends, "{place}"),
            }
        }
    }
}

fn answer(machine: &mut ReadMachine, now: Duration, reply: &VectorReply, place: &str) {
    assert!(matches!(machine.poll(now), Step::AwaitReply), "{place}");
    let headers: HeaderMap = reply
        .headers
        .iter()
        .map(|(name, value)| (name.parse().expect("a header name"), value.parse().expect("a header value")))
        .collect::<Vec<(http::HeaderName, http::HeaderValue)>>()
        .into_iter()
        .collect();
    let status = StatusCode::from_u16(reply.status).expect("a status");
    machine.handle_reply_head(now, &ReplyHead { status, headers });
    for piece in reply.body.as_bytes().chunks(5) {
        machine.handle_body_chunk(now, Bytes::copy_from_slice(piece));
    }
    if !reply.open {
        machine.handle_body_end(now);
    }
}

fn query_of(plan: &RequestPlan) -> String {
    plan.query
        .iter()
        .filter(|(key, _)| *key != "cache-buster")
        .map(|(key, value)| format!("{key}={value}"))
        .collect::<Vec<_>>()
        .join("&")
}
