//! The read machine against a server that misbehaves at random: whatever breaks on the
//! way, every byte arrives once and in order, and the read ends at closure.

#![expect(clippy::wildcard_enum_match_arm, reason = "the model serves whatever it does not spoil")]

use std::{collections::VecDeque, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use durable_streams_protocol::{
    offset::{Offset, Position},
    read::{LiveMode, ReadEvent, ReadMachine, ReadOptions, Step},
    request::RequestPlan,
    response::{ReplyHead, TransportFailure, TransportFailureKind},
    retry::RetryPolicy,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use proptest::prelude::*;

/// One thing the driver tells the machine.
#[derive(Debug, Clone)]
enum Told {
    Head(StatusCode, Vec<(&'static str, String)>),
    Chunk(Bytes),
    End,
    Failure(TransportFailureKind),
}

/// What the network does to one exchange.
#[derive(Debug, Clone)]
enum Fate {
    /// All goes well; at most so many units in one answer.
    Serve(usize),
    /// The body breaks off after so many bytes.
    BreakAfter(usize),
    /// The body ends early, but cleanly; SSE only, elsewhere no HTTP stack lets it pass.
    EndAfter(usize),
    Fail(TransportFailureKind),
    Status(u16),
    /// A long-poll without data.
    NoData,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Json,
    Text,
    Binary,
}

/// A closed stream: units with end offsets `1, 2, 3…` in token form.
struct Server {
    kind: Kind,
    units: Vec<Vec<u8>>,
    /// The tail as seen by requests so far; it grows with every request, so that live modes
    /// see the stream grow.
    visible: usize,
}

impl Server {
    fn start_of(&self, plan: &RequestPlan) -> usize {
        let offset = plan.query.iter().find(|(key, _)| *key == "offset").map(|(_, value)| value.as_str());
        match offset {
            Some("-1") => 0,
            Some(token) => {
                usize::try_from(Position::parse(token.as_bytes()).expect("an issued token").0).expect("small")
            }
            None => panic!("every read names its offset"),
        }
    }

    fn payload(&self, units: &[Vec<u8>]) -> Vec<u8> {
        match self.kind {
            Kind::Json => [b"[", units.join(&b","[..]).as_slice(), b"]"].concat(),
            Kind::Text | Kind::Binary => units.concat(),
        }
    }

    fn answer(&mut self, plan: &RequestPlan, fate: &Fate, cut: usize) -> VecDeque<Told> {
        let live = plan.query.iter().find(|(key, _)| *key == "live").map(|(_, value)| value.clone());
        let start = self.start_of(plan);
        self.visible = (self.visible + 1).min(self.units.len());
        assert!(start <= self.visible);
        let max_units = match fate {
            Fate::Serve(units) => *units,
            _ => 3,
        };
        let end = self.visible.min(start + max_units);
        let token = |position: usize| Position(position as u64).to_string();
        let (is_tail, is_closed) = (end == self.visible, end == self.units.len());
        match fate {
            Fate::Fail(kind) => return VecDeque::from([Told::Failure(*kind)]),
            Fate::Status(status) => {
                return VecDeque::from([Told::Head(StatusCode::from_u16(*status).expect("valid"), vec![]), Told::End]);
            }
            Fate::NoData if live.as_deref() == Some("long-poll") && start == end => {
                let mut headers = vec![("stream-next-offset", token(end)), ("stream-up-to-date", "true".into())];
                headers.extend(is_closed.then(|| ("stream-closed", "true".into())));
                return VecDeque::from([Told::Head(StatusCode::NO_CONTENT, headers)]);
            }
            _ => {}
        }
        let (headers, body) = if live.as_deref() == Some("sse") {
            self.events(start, &token)
        } else {
            let content_type = match self.kind {
                Kind::Json => "application/json",
                Kind::Text => "text/plain",
                Kind::Binary => "application/octet-stream",
            };
            let mut headers = vec![("content-type", content_type.to_owned()), ("stream-next-offset", token(end))];
            headers.extend(is_tail.then(|| ("stream-up-to-date", "true".into())));
            headers.extend(is_closed.then(|| ("stream-closed", "true".into())));
            let body = self.payload(&self.units[start..end]);
            if cut.is_multiple_of(2) {
                headers.push(("content-length", body.len().to_string()));
            }
            (headers, body)
        };
        let mut told = VecDeque::from([Told::Head(StatusCode::OK, headers)]);
        let (sent, last) = match fate {
            Fate::BreakAfter(bytes) if *bytes < body.len() => {
                (&body[..*bytes], Told::Failure(TransportFailureKind::Broken))
            }
            Fate::EndAfter(bytes) if *bytes < body.len() && live.as_deref() == Some("sse") => {
                (&body[..*bytes], Told::End)
            }
            _ => (&body[..], Told::End),
        };
        told.extend(sent.chunks(cut.max(1)).map(|chunk| Told::Chunk(Bytes::copy_from_slice(chunk))));
        told.push_back(last);
        told
    }

    fn events(&self, start: usize, token: &dyn Fn(usize) -> String) -> (Vec<(&'static str, String)>, Vec<u8>) {
        let mut body = String::new();
        for at in start..self.visible {
            let payload = self.payload(&self.units[at..=at]);
            let payload = match self.kind {
                Kind::Binary => STANDARD.encode(payload),
                Kind::Json | Kind::Text => String::from_utf8(payload).expect("text"),
            };
            body.push_str("event: data\n");
            for line in payload.split('\n') {
                body.push_str(&format!("data:{line}\n"));
            }
            // Every third unit shares the control event of the next one.
            if at % 3 != 2 || at + 1 == self.visible {
                body.push_str(&format!("\nevent: control\ndata:{{\"streamNextOffset\":\"{}\"", token(at + 1)));
                body.push_str(if at + 1 == self.units.len() { ",\"streamClosed\":true}\n" } else { "}\n" });
            }
            body.push('\n');
        }
        if start == self.visible {
            let closed = if start == self.units.len() { ",\"streamClosed\":true" } else { "" };
            body.push_str(&format!(
                "event: control\ndata:{{\"streamNextOffset\":\"{}\",\"upToDate\":true{closed}}}\n\n",
                token(start)
            ));
        }
        let mut headers = vec![("content-type", "text/event-stream".to_owned())];
        if matches!(self.kind, Kind::Binary) {
            headers.push(("stream-sse-data-encoding", "base64".to_owned()));
        }
        (headers, body.into_bytes())
    }
}

fn tell(machine: &mut ReadMachine, now: Duration, told: Told) {
    match told {
        Told::Head(status, headers) => {
            let headers = headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value")));
            machine.handle_reply_head(now, &ReplyHead { status, headers: HeaderMap::from_iter(headers) });
        }
        Told::Chunk(chunk) => machine.handle_body_chunk(now, chunk),
        Told::End => machine.handle_body_end(now),
        Told::Failure(kind) => machine.handle_failure(now, TransportFailure::new(kind, "model")),
    }
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => (1_usize..5).prop_map(Fate::Serve),
        2 => (0_usize..60).prop_map(Fate::BreakAfter),
        1 => (0_usize..200).prop_map(Fate::EndAfter),
        1 => prop_oneof![
            Just(TransportFailureKind::Connect),
            Just(TransportFailureKind::Timeout),
            Just(TransportFailureKind::Broken)
        ].prop_map(Fate::Fail),
        1 => prop::sample::select(vec![429, 500, 503]).prop_map(Fate::Status),
        1 => Just(Fate::NoData),
    ]
}

fn unit(kind: Kind) -> BoxedStrategy<Vec<u8>> {
    match kind {
        Kind::Json => prop::sample::select(vec!["1", "\"]\"", "[]", "{\"a\":[1,2]}", "null", "\"\u{2028}é\""])
            .prop_map(|text| text.as_bytes().to_vec())
            .boxed(),
        // Text survives SSE when no line starts with a space and no line ends in CR.
        Kind::Text => "[a-zé\u{85}]{1,12}(\n[a-z:]{0,5})?".prop_map(String::into_bytes).boxed(),
        Kind::Binary => proptest::collection::vec(any::<u8>(), 1..20).boxed(),
    }
}

fn stream() -> impl Strategy<Value = (Kind, Vec<Vec<u8>>)> {
    prop::sample::select(vec![Kind::Json, Kind::Text, Kind::Binary])
        .prop_flat_map(|kind| proptest::collection::vec(unit(kind), 0..14).prop_map(move |units| (kind, units)))
}

proptest! {
    #[test]
    fn every_byte_arrives_once_and_in_order(
        (kind, units) in stream(),
        fates in proptest::collection::vec((fate(), 1_usize..30), 1..40),
        live in prop::sample::select(vec![LiveMode::Off, LiveMode::LongPoll, LiveMode::Sse, LiveMode::Auto]),
        prefetch in any::<bool>(),
        max_batch_bytes in prop::sample::select(vec![5, 1 << 20]),
        seed in any::<u64>(),
    ) {
        let mut server = Server { kind, units: units.clone(), visible: 0 };
        if !live.is_live() {
            server.visible = units.len();
        }
        let retry = RetryPolicy { max_retries: RetryPolicy::UNLIMITED, ..RetryPolicy::DEFAULT };
        let options = ReadOptions { prefetch, max_batch_bytes, retry, ..ReadOptions::new(Offset::Beginning, live) };
        let mut machine = ReadMachine::new(options, seed);
        let mut now = Duration::from_secs(5);
        // After the scripted fates all goes well, so every read must end.
        let mut fates = fates.into_iter().chain(std::iter::repeat((Fate::Serve(3), 17)));
        let (mut current, mut ahead): (VecDeque<Told>, Option<VecDeque<Told>>) = (VecDeque::new(), None);
        let (mut read, mut last, mut is_closed) = (Vec::new(), Offset::Beginning, false);
        let mut steps = 0;
        loop {
            steps += 1;
            prop_assert!(steps < 20_000, "the read does not come to an end");
            match machine.poll(now) {
                Step::Send(plan) => {
                    prop_assert!(!is_closed, "a request after the end");
                    let (fate, cut) = fates.next().expect("endless");
                    current = server.answer(&plan, &fate, cut);
                    ahead = None;
                }
                Step::SendAhead(plan) => {
                    prop_assert!(prefetch && ahead.is_none());
                    let (fate, cut) = fates.next().expect("endless");
                    ahead = Some(server.answer(&plan, &fate, cut));
                }
                Step::AwaitReply => {
                    now += Duration::from_millis(3);
                    if current.is_empty() {
                        current = ahead.take().expect("an exchange is open");
                    }
                    let told = current.pop_front().expect("an answer has at least one part");
                    if matches!(told, Told::Failure(_)) {
                        current.clear();
                        ahead = None;
                    }
                    tell(&mut machine, now, told);
                }
                Step::WaitUntil(until) => {
                    prop_assert!(until > now);
                    now = until;
                }
                Step::Emit(ReadEvent::Batch(batch)) => {
                    prop_assert!(batch.next_offset >= last);
                    last = batch.next_offset;
                    is_closed |= batch.stream_closed;
                    if !batch.is_empty {
                        read.push(batch.data);
                    }
                }
                Step::Emit(ReadEvent::Failed(failure)) => prop_assert!(false, "{failure:?}"),
                Step::Emit(ReadEvent::Notice(_)) => {}
                Step::End => break,
            }
        }
        prop_assert!(is_closed);
        prop_assert_eq!(last, Offset::new(Position(units.len() as u64).to_string()));
        let expected = match kind {
            Kind::Json => server.payload(&units),
            Kind::Text | Kind::Binary => units.concat(),
        };
        let joined = match kind {
            Kind::Json => durable_streams_protocol::read::json::join(&read).text.to_vec(),
            Kind::Text | Kind::Binary => read.concat(),
        };
        prop_assert_eq!(String::from_utf8_lossy(&joined), String::from_utf8_lossy(&expected));
    }
}
