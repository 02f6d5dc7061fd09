//! The read machine against a server that keeps the protocol, over a network that does not
//! keep promises: every byte arrives once and in order, and the read ends at closure.

use std::{collections::VecDeque, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use durable_streams_protocol::{
    content_type::Framing,
    headers, json_mode,
    offset::{Offset, Position},
    query,
    read::{LiveMode, ReadEvent, ReadMachine, ReadOptions, Step, json},
    request::RequestPlan,
    response::{ReplyHead, TransportFailure, TransportFailureKind},
    retry::RetryPolicy,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::input::Input;

/// What the driver tells the machine next.
enum Told {
    Head(ReplyHead),
    Piece(Bytes),
    End,
    Failure(TransportFailureKind),
}

/// A stream that grows by a unit with each request and is closed behind the last one.
struct Server {
    framing: Framing,
    units: Vec<Vec<u8>>,
    visible: usize,
}

/// A stream, a mode, and what the network does to each exchange.
///
/// # Panics
/// When a byte is lost, doubled or out of order, an offset goes back, a request follows the
/// end, or the read does not end once the network behaves.
pub fn read(data: &[u8]) {
    let mut input = Input::new(data);
    let framing = input.pick(&[Framing::Json, Framing::Text, Framing::Binary]);
    let units: Vec<Vec<u8>> = (0..input.below(12)).map(|_| unit(framing, &mut input)).collect();
    let live = input.pick(&[LiveMode::Off, LiveMode::LongPoll, LiveMode::Sse, LiveMode::Auto]);
    let options = ReadOptions {
        prefetch: input.flag(),
        max_batch_bytes: input.pick(&[1, 5, 1 << 20]),
        retry: RetryPolicy { max_retries: RetryPolicy::UNLIMITED, ..RetryPolicy::DEFAULT },
        ..ReadOptions::new(Offset::Beginning, live)
    };
    let mut machine = ReadMachine::new(options, input.number());
    let visible = if live.is_live() { 0 } else { units.len() };
    let expected = whole(framing, &units);
    let end = Offset::new(Position(units.len() as u64).to_string());
    let mut server = Server { framing, units, visible };

    let mut now = Duration::from_secs(5);
    let (mut current, mut ahead): (VecDeque<Told>, Option<VecDeque<Told>>) = (VecDeque::new(), None);
    let (mut batches, mut last, mut is_closed) = (Vec::new(), Offset::Beginning, false);
    for steps in 0.. {
        assert!(steps < 50_000, "the read does not come to an end");
        match machine.poll(now) {
            Step::Send(plan) => {
                assert!(!is_closed, "a request after the end");
                (current, ahead) = (server.answer(&plan, &mut input), None);
            }
            Step::SendAhead(plan) => ahead = Some(server.answer(&plan, &mut input)),
            Step::AwaitReply => {
                now += Duration::from_millis(3);
                if current.is_empty() {
                    current = ahead.take().expect("an exchange is open");
                }
                match current.pop_front().expect("an answer has a part") {
                    Told::Head(head) => machine.handle_reply_head(now, &head),
                    Told::Piece(piece) => machine.handle_body_chunk(now, piece),
                    Told::End => machine.handle_body_end(now),
                    Told::Failure(kind) => {
                        (current, ahead) = (VecDeque::new(), None);
                        machine.handle_failure(now, TransportFailure::new(kind, "fuzz"));
                    }
                }
            }
            Step::WaitUntil(until) => {
                assert!(until > now, "waits for the past");
                now = until;
            }
            Step::Emit(ReadEvent::Batch(batch)) => {
                assert!(batch.next_offset >= last, "back from {last} to {}", batch.next_offset);
                last = batch.next_offset;
                is_closed |= batch.stream_closed;
                if !batch.is_empty {
                    batches.push(batch.data);
                }
            }
            Step::Emit(ReadEvent::Failed(failure)) => panic!("gives up: {failure:?}"),
            Step::Emit(ReadEvent::Notice(_)) => {}
            Step::End => break,
        }
    }
    assert!(is_closed, "it ended before the stream");
    assert_eq!(last, end);
    let seen = if framing == Framing::Json { json::join(&batches).text.to_vec() } else { batches.concat() };
    assert_eq!(seen, expected);
}

/// A unit that arrives as it was sent: text without what server-sent events change
/// (docs/protocol.md §13.3).
fn unit(framing: Framing, input: &mut Input<'_>) -> Vec<u8> {
    match framing {
        Framing::Binary => [input.bytes(), b"."].concat(),
        Framing::Text => {
            let text = String::from_utf8_lossy(input.bytes()).replace(['\r', '\u{fffd}'], "-").replace("\n ", "\n-");
            format!("-{text}").into_bytes()
        }
        Framing::Json => match json_mode::split(Bytes::copy_from_slice(input.bytes())) {
            Ok(batch) if batch.message_count > 0 => batch.stored[..batch.stored.len() - 1].to_vec(),
            Ok(_) | Err(_) => b"{\"a\":[]},\"]\"".to_vec(),
        },
    }
}

fn whole(framing: Framing, units: &[Vec<u8>]) -> Vec<u8> {
    match framing {
        Framing::Json => [b"[", units.join(&b","[..]).as_slice(), b"]"].concat(),
        Framing::Text | Framing::Binary => units.concat(),
    }
}

impl Server {
    /// The answer as the network lets it through. Once the input is used up all goes well.
    fn answer(&mut self, plan: &RequestPlan, input: &mut Input<'_>) -> VecDeque<Told> {
        let value = |name: &str| plan.query.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
        let start = match value(query::OFFSET) {
            Some("-1") => 0,
            Some(token) => Position::parse(token.as_bytes()).expect("an issued token").0 as usize,
            None => panic!("every read names its offset"),
        };
        let live = value(query::LIVE).map(str::to_owned);
        self.visible = (self.visible + 1).min(self.units.len());
        assert!(start <= self.visible, "an offset that was not issued");
        let fate = input.below(16);
        match fate {
            8 => return VecDeque::from([Told::Failure(TransportFailureKind::Connect)]),
            9 => return VecDeque::from([Told::Failure(TransportFailureKind::Timeout)]),
            10 => {
                let status = input.pick(&[StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE]);
                let body = Bytes::copy_from_slice(input.bytes());
                return VecDeque::from([told_head(status, HeaderMap::new()), Told::Piece(body), Told::End]);
            }
            _ => {}
        }
        let is_sse = live.as_deref() == Some(query::SSE);
        let end = if is_sse { self.visible } else { self.visible.min(start + 1 + input.below(4)) };
        let is_end = end == self.units.len();
        let mut map = HeaderMap::new();
        let mut set = |name: http::HeaderName, text: &str| {
            map.insert(name, HeaderValue::from_str(text).expect("a header value"));
        };
        if is_sse {
            set(header::CONTENT_TYPE, "text/event-stream");
            if self.framing == Framing::Binary {
                set(headers::STREAM_SSE_DATA_ENCODING, "base64");
            }
        } else {
            set(headers::STREAM_NEXT_OFFSET, &Position(end as u64).to_string());
            let content_type = match self.framing {
                Framing::Json => "application/json",
                Framing::Text => "text/plain",
                Framing::Binary => "application/octet-stream",
            };
            set(header::CONTENT_TYPE, content_type);
            if end == self.visible {
                set(headers::STREAM_UP_TO_DATE, "true");
            }
            if is_end {
                set(headers::STREAM_CLOSED, "true");
            }
            if live.is_some() && start == end {
                return VecDeque::from([told_head(StatusCode::NO_CONTENT, map), Told::End]);
            }
        }
        let body = if is_sse { self.events(start) } else { whole(self.framing, &self.units[start..end]) };
        if !is_sse && input.flag() {
            map.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        let mut told = VecDeque::from([told_head(StatusCode::OK, map)]);
        let (sent, last) = match fate {
            11..=13 => {
                let at = input.below(256).min(body.len());
                // Only an event stream can end early without the HTTP layer noticing.
                let last = if is_sse && fate == 13 { Told::End } else { Told::Failure(TransportFailureKind::Broken) };
                (&body[..at], last)
            }
            _ => (&body[..], Told::End),
        };
        told.extend(sent.chunks(1 + input.below(40)).map(|piece| Told::Piece(Bytes::copy_from_slice(piece))));
        told.push_back(last);
        told
    }

    /// Everything from a unit on as events; every third unit shares the next one's control.
    fn events(&self, start: usize) -> Vec<u8> {
        let mut body = String::new();
        let control = |body: &mut String, at: usize| {
            let closed = if at == self.units.len() { ",\"streamClosed\":true" } else { "" };
            let next = Position(at as u64);
            body.push_str(&format!(
                "event: control\ndata:{{\"streamNextOffset\":\"{next}\",\"upToDate\":true{closed}}}\n\n"
            ));
        };
        for at in start..self.visible {
            let payload = whole(self.framing, &self.units[at..=at]);
            let payload = match self.framing {
                Framing::Binary => STANDARD.encode(payload),
                Framing::Json | Framing::Text => String::from_utf8(payload).expect("text"),
            };
            body.push_str("event: data\n");
            for line in payload.split('\n') {
                body.push_str(&format!("data:{line}\n"));
            }
            body.push('\n');
            if at % 3 != 2 || at + 1 == self.visible {
                control(&mut body, at + 1);
            }
        }
        if start == self.visible {
            control(&mut body, start);
        }
        body.into_bytes()
    }
}

fn told_head(status: StatusCode, headers: HeaderMap) -> Told {
    Told::Head(ReplyHead { status, headers })
}
