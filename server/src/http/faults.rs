//! Faults injected on demand, so that tests of clients can see their retries work.
//! Off unless an option turns it on. Source: docs/protocol.md has none; this is the
//! reference test server's `/_test/inject-error`.

use std::{collections::HashMap, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderValue, Method, Request, StatusCode, header};
use parking_lot::Mutex;
use serde::Deserialize;

use super::{
    answer::{self, Answer},
    body::Body,
    clock,
    request_body::RequestBody,
    upload,
};

/// The faults waiting for a request.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    by_path: Mutex<HashMap<String, Fault>>,
}

/// One fault, as the control request describes it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// Exact URL path it waits for; the query does not matter.
    #[serde(default)]
    pub path: String,
    /// Answer this status instead.
    pub status: Option<u16>,
    /// Wait before anything else. Units: ms.
    pub delay_ms: Option<u64>,
    /// Cut the connection without an answer.
    #[serde(default)]
    pub drop_connection: bool,
    /// Cut the body of a 200 read to this length. Units: bytes.
    pub truncate_body_bytes: Option<usize>,
    /// Spoil the body of a 200 read.
    #[serde(default)]
    pub corrupt_body: bool,
    /// Send this event at the start of an SSE response.
    pub inject_sse_event: Option<SseEvent>,
    /// Number of requests it hits; 1 when absent.
    pub count: Option<u64>,
    /// `Retry-After` beside `status`. Units: seconds.
    pub retry_after: Option<u64>,
    /// Random extra on top of `delay_ms`. Units: ms, inclusive.
    #[serde(default)]
    pub jitter_ms: u64,
    /// Chance to hit; a miss does not use up `count`.
    pub probability: Option<f64>,
    /// Only this method.
    pub method: Option<String>,
}

/// An event to inject.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SseEvent {
    /// Event type.
    pub event_type: String,
    /// Payload, sent as it is.
    pub data: String,
}

/// What a fault does to the request at hand.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Cut the connection.
    Drop,
    /// Answer this.
    Answer(Answer),
    /// Go on, and change the answer.
    Continue(Change),
}

/// How an answer is changed on its way out.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// Goes in front of an SSE response.
    pub(crate) prelude: Option<Bytes>,
    truncate_to: Option<usize>,
    corrupt: bool,
}

impl Faults {
    /// Replaces the fault of a path.
    pub(crate) fn inject(&self, fault: Fault) {
        self.by_path.lock().insert(fault.path.clone(), fault);
    }

    /// Forgets all faults.
    pub(crate) fn clear(&self) {
        self.by_path.lock().clear();
    }

    /// Answers a request to the control path.
    pub(crate) async fn control(&self, request: Request<RequestBody>) -> Answer {
        match *request.method() {
            Method::DELETE => self.clear(),
            Method::POST => {
                let (request, body) = request.into_parts();
                let fault = match upload::collect(body, &request, 1024 * 1024).await {
                    Ok(body) => Fault::parse(&body),
                    Err(_) => Err("the body is too long or incomplete".to_owned()),
                };
                match fault {
                    Ok(fault) => self.inject(fault),
                    Err(reason) => return answer::bad_request(reason),
                }
            }
            _ => return answer::method_not_allowed(request.method(), "POST, DELETE, OPTIONS"),
        }
        answer::json(StatusCode::OK, r#"{"ok":true}"#)
    }

    /// What happens to this request. Waits, if the fault says so.
    pub(crate) async fn meet(&self, request: &Request<RequestBody>) -> Verdict {
        let Some(fault) = self.take(request) else { return Verdict::Continue(Change::default()) };
        if let Some(delay) = fault.delay_ms.filter(|delay| *delay > 0) {
            let jitter = clock::entropy() % (fault.jitter_ms + 1);
            tokio::time::sleep(Duration::from_millis(delay + jitter)).await;
        }
        if fault.drop_connection {
            return Verdict::Drop;
        }
        if let Some(status) = fault.status.and_then(|status| StatusCode::from_u16(status).ok()) {
            let mut answer = answer::refuse(status, "a test asked for this status");
            if let Some(seconds) = fault.retry_after {
                answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            return Verdict::Answer(answer);
        }
        Verdict::Continue(Change {
            prelude: fault.inject_sse_event.map(|event| event.to_frame()),
            truncate_to: fault.truncate_body_bytes,
            corrupt: fault.corrupt_body,
        })
    }

    /// Uses up one hit of the fault that waits for this request.
    fn take(&self, request: &Request<RequestBody>) -> Option<Fault> {
        let mut by_path = self.by_path.lock();
        let fault = by_path.get_mut(request.uri().path())?;
        if fault.method.as_ref().is_some_and(|method| !method.eq_ignore_ascii_case(request.method().as_str())) {
            return None;
        }
        #[allow(clippy::cast_precision_loss, reason = "a coin toss")]
        let toss = (clock::entropy() >> 11) as f64 / (1_u64 << 53) as f64;
        if fault.probability.is_some_and(|probability| toss >= probability) {
            return None;
        }
        let left = fault.count.unwrap_or(1);
        if left > 1 {
            fault.count = Some(left - 1);
            return Some(fault.clone());
        }
        by_path.remove(request.uri().path())
    }
}

impl Fault {
    /// Reads the body of a control request.
    /// Errors: says what is wrong with it.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        let fault: Self = serde_json::from_slice(body).map_err(|error| format!("the body is not a fault: {error}"))?;
        if fault.path.is_empty() {
            return Err("path is missing".to_owned());
        }
        let has_fault = fault.status.is_some()
            || fault.delay_ms.is_some()
            || fault.drop_connection
            || fault.truncate_body_bytes.is_some()
            || fault.corrupt_body
            || fault.inject_sse_event.is_some();
        if !has_fault {
            return Err("name at least one of status, delayMs, dropConnection, truncateBodyBytes, corruptBody, \
                        injectSseEvent"
                .to_owned());
        }
        Ok(fault)
    }
}

impl SseEvent {
    fn to_frame(&self) -> Bytes {
        let mut frame = BytesMut::new();
        frame.put_slice(format!("event: {}\n", self.event_type).as_bytes());
        for line in self.data.split('\n') {
            frame.put_slice(format!("data: {line}\n").as_bytes());
        }
        frame.put_u8(b'\n');
        frame.freeze()
    }
}

impl Change {
    /// Whether a body will be changed, so it must not be compressed.
    pub(crate) const fn touches_body(&self) -> bool {
        self.truncate_to.is_some() || self.corrupt
    }

    /// Changes the body of a 200; other answers stay.
    pub(crate) fn apply(&self, answer: Answer) -> Answer {
        if answer.status() != StatusCode::OK || !self.touches_body() {
            return answer;
        }
        let (parts, body) = answer.into_parts();
        let body = match body.into_pieces() {
            Ok((pieces, _)) => {
                let mut whole = pieces.concat();
                if let Some(len) = self.truncate_to {
                    whole.truncate(len);
                }
                if self.corrupt {
                    corrupt(&mut whole);
                }
                Body::full(whole)
            }
            Err(streaming) => streaming,
        };
        Answer::from_parts(parts, body)
    }
}

/// Overwrites the first two bytes and about a tenth of the rest.
fn corrupt(bytes: &mut [u8]) {
    for (index, byte) in bytes.iter_mut().enumerate() {
        match index {
            0 => *byte = b'X',
            1 => *byte = b'Y',
            _ if clock::entropy().is_multiple_of(10) => *byte = b'Z',
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_needs_a_path_and_a_kind() {
        assert!(Fault::parse(br#"{"path":"/a","status":500}"#).is_ok());
        assert!(Fault::parse(br#"{"path":"/a","injectSseEvent":{"eventType":"x","data":""}}"#).is_ok());
        for bad in [r#"{"status":500}"#, r#"{"path":"/a"}"#, r#"{"path":"/a","count":2}"#, "{", ""] {
            assert!(Fault::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_truncated_body_keeps_its_framing() {
        let change = Change { truncate_to: Some(5), ..Change::default() };
        let answer = change.apply(answer::answer(StatusCode::OK, Body::parts(vec!["[1,".into(), "2,3]".into()])));
        assert_eq!(answer.into_body().into_pieces().expect("in memory").0.concat(), b"[1,2,");
    }
}
