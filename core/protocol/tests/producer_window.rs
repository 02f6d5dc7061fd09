//! The client's window against its vectors.

use std::collections::BTreeMap;

use bytes::Bytes;
use durable_streams_protocol::{
    Time, headers,
    produce::window::{DEFAULT_RETRY, Event, ProducerWindow, Step, WindowOptions},
    response::{ReplyHead, TransportFailure, TransportFailureKind},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    #[serde(rename = "spec")]
    _spec: String,
    #[serde(default)]
    epoch: u64,
    #[serde(default)]
    auto_claim: bool,
    max_in_flight: Option<usize>,
    steps: Vec<BTreeMap<String, Value>>,
}

#[test]
fn vectors() {
    let text = include_str!("../../../tests/vectors/producer_window.json");
    let vectors: Vec<Vector> = serde_json::from_str(text).expect("vectors");
    for vector in vectors {
        let mut run = Run {
            window: ProducerWindow::new(WindowOptions {
                producer_id: HeaderValue::from_static("writer"),
                epoch: vector.epoch,
                auto_claim: vector.auto_claim,
                max_in_flight: vector.max_in_flight.unwrap_or(5),
                content_type: "text/plain".to_owned(),
                retry: DEFAULT_RETRY,
                seed: 1,
            }),
            now: Time::from_secs(50),
            attempts: BTreeMap::new(),
        };
        for (index, step) in vector.steps.iter().enumerate() {
            for (kind, value) in step {
                run.step(kind, value, &format!("{}, step {index} {kind}", vector.name));
            }
        }
    }
}

struct Run {
    window: ProducerWindow,
    now: Time,
    /// The latest attempt of each epoch and seq.
    attempts: BTreeMap<(u64, u64), u64>,
}

impl Run {
    fn step(&mut self, kind: &str, value: &Value, at: &str) {
        let text = || Bytes::from(value.as_str().expect("text").to_owned());
        let number = |value: &Value| value.as_u64().expect("a number");
        let attempt = |run: &Self| run.attempts[&(number(&value["epoch"]), number(&value["seq"]))];
        match kind {
            "seal" => assert!(self.window.seal(text(), 1).is_ok(), "{at}"),
            "seal_refused" => {
                let refusal = self.window.seal(Bytes::from_static(b"x"), 1).expect_err(at);
                assert_eq!(refusal.code.as_str(), value, "{at}");
            }
            "close" => assert!(self.window.close(text(), 1).is_ok(), "{at}"),
            "restart" => assert!(self.window.restart().is_ok(), "{at}"),
            "detach" => self.window.detach(),
            "advance_ms" => self.now += Time::from_millis(number(value)),
            "reply" => {
                let id = attempt(self);
                self.window.handle_reply(self.now, id, &head(value), None);
            }
            "transport_failure" => {
                let kind = match value["kind"].as_str() {
                    Some("broken") => TransportFailureKind::Broken,
                    Some("timeout") => TransportFailureKind::Timeout,
                    _ => TransportFailureKind::Connect,
                };
                let id = attempt(self);
                self.window.handle_failure(self.now, id, &TransportFailure::new(kind, "scripted"));
            }
            _ => {
                let (found, shown) = self.poll();
                assert_eq!((found, &shown), (kind, value), "{at}");
            }
        }
    }

    /// The window's next step in the words of the vectors.
    fn poll(&mut self) -> (&'static str, Value) {
        match self.window.poll(self.now) {
            Step::Send(send) => {
                let (epoch, seq) = (send.state.epoch, send.state.seq);
                self.attempts.insert((epoch, seq), send.attempt);
                let body = String::from_utf8(send.plan.body.to_vec()).expect("text");
                let mut shown = json!({"epoch": epoch, "seq": seq, "body": body});
                if headers::is_true(&send.plan.headers, &headers::STREAM_CLOSED) {
                    shown["closes"] = true.into();
                }
                ("send", shown)
            }
            Step::Emit(event) => shown(event),
            Step::WaitUntil(_) => ("wait", true.into()),
            Step::AwaitReply | Step::Idle => ("quiet", true.into()),
            Step::End => ("end", true.into()),
        }
    }
}

fn shown(event: Event) -> (&'static str, Value) {
    match event {
        Event::Acknowledged { batch, offset, is_duplicate, .. } => {
            let mut shown = json!({"batch": batch});
            if let Some(offset) = offset {
                shown["offset"] = offset.as_str().into();
            }
            if is_duplicate {
                shown["duplicate"] = true.into();
            }
            ("acknowledged", shown)
        }
        Event::Failed { batches, failure, .. } => {
            let mut shown = json!({"from": batches.start, "below": batches.end, "code": failure.code.as_str()});
            let facts = &failure.facts;
            let numbers = [
                ("current_epoch", facts.current_epoch),
                ("expected_seq", facts.expected_seq),
                ("received_seq", facts.received_seq),
            ];
            for (name, value) in numbers {
                if let Some(value) = value {
                    shown[name] = value.into();
                }
            }
            if let Some(offset) = &facts.final_offset {
                shown["final_offset"] = offset.as_str().into();
            }
            ("failed", shown)
        }
        Event::EpochRaised { epoch } => ("epoch", epoch.into()),
        Event::Closed(closed) => ("closed", closed.final_offset.map(|offset| offset.as_str().to_owned()).into()),
        Event::CloseUnanswered(failure) => ("unanswered", failure.code.as_str().into()),
    }
}

fn head(value: &Value) -> ReplyHead {
    let mut map = HeaderMap::new();
    for (name, field) in value["headers"].as_object().expect("headers") {
        let name: HeaderName = name.parse().expect("a header name");
        map.insert(name, HeaderValue::from_str(field.as_str().expect("text")).expect("a header value"));
    }
    let status = value["status"].as_u64().and_then(|status| u16::try_from(status).ok()).expect("a status");
    ReplyHead { status: StatusCode::from_u16(status).expect("a status"), headers: map }
}
