//! The producer's window by operations, over a network that loses, delays and reorders,
//! against a server that is the table of docs/protocol.md §19 and nothing else.

use std::collections::BTreeMap;

use bytes::Bytes;
use durable_streams_protocol::{
    Time, headers,
    produce::{
        decide::ProducerState,
        window::{Event, Outgoing, ProducerWindow, Step, WindowOptions, WindowState},
    },
    response::{ReplyHead, TransportFailure, TransportFailureKind},
    retry::RetryPolicy,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::input::Input;

/// Operations on a window and its network, then calm.
///
/// # Panics
/// When a batch is acknowledged without being stored, settled twice or never, stored twice
/// under one epoch or out of order, or the window never comes to rest.
pub fn window(data: &[u8]) {
    let mut input = Input::new(data);
    let is_harmless = input.flag();
    let auto_claim = input.flag();
    let max_retries = if is_harmless { 1000 } else { u32::from(input.byte() % 4) };
    let mut world = World {
        window: ProducerWindow::new(WindowOptions {
            producer_id: HeaderValue::from_static("fuzz"),
            epoch: u64::from(input.byte() % 3),
            auto_claim,
            max_in_flight: 1 + input.below(6),
            content_type: "text/plain".to_owned(),
            retry: RetryPolicy { max_retries, ..RetryPolicy::DEFAULT },
            seed: u64::from(input.byte()),
        }),
        server: Server::default(),
        now: Time::from_secs(50),
        awaited: Vec::new(),
        travelling: Vec::new(),
        answers: Vec::new(),
        settled: BTreeMap::new(),
    };
    for _ in 0..400 {
        if input.is_empty() {
            break;
        }
        world.operate(&mut input, is_harmless);
    }
    world.settle();
    while world.window.state() == WindowState::Closing {
        let _ = world.window.close(world.next_body(), 1);
        world.settle();
    }
    world.judge(is_harmless, auto_claim);
}

/// One producer of one stream: what was accepted last, who closed, and what is stored.
#[derive(Default)]
struct Server {
    accepted: Option<(u64, u64)>,
    closed_by: Option<(u64, u64)>,
    /// Number of the batch and the epoch it came under.
    log: Vec<(u64, u64)>,
}

struct World {
    window: ProducerWindow,
    server: Server,
    now: Time,
    /// Attempts the window waits for.
    awaited: Vec<u64>,
    /// Requests that may still arrive.
    travelling: Vec<Outgoing>,
    answers: Vec<(u64, ReplyHead)>,
    /// Whether each settled batch was acknowledged.
    settled: BTreeMap<u64, bool>,
}

impl Server {
    fn take(&mut self, request: &Outgoing) -> ReplyHead {
        let ProducerState { epoch, seq } = request.state;
        let closes = headers::is_true(&request.plan.headers, &headers::STREAM_CLOSED);
        let tail = self.log.len().to_string();
        let closed = [(headers::STREAM_CLOSED, "true".to_owned()), (headers::STREAM_NEXT_OFFSET, tail)];
        if let Some(by) = self.closed_by {
            return reply(if by == (epoch, seq) { 204 } else { 409 }, &closed);
        }
        match self.accepted {
            None if seq > 0 => return gap(0, seq),
            Some((current, _)) if epoch < current => {
                return reply(403, &[(headers::PRODUCER_EPOCH, current.to_string())]);
            }
            Some((current, _)) if epoch > current && seq > 0 => return reply(400, &[]),
            Some((current, last)) if epoch == current && seq <= last => return reply(204, &[]),
            Some((current, last)) if epoch == current && seq > last + 1 => return gap(last + 1, seq),
            None | Some(_) => {}
        }
        self.accepted = Some((epoch, seq));
        if let Ok(text) = std::str::from_utf8(&request.plan.body)
            && let Ok(batch) = text.parse()
        {
            self.log.push((batch, epoch));
        }
        let tail = (headers::STREAM_NEXT_OFFSET, self.log.len().to_string());
        if closes {
            self.closed_by = Some((epoch, seq));
            return reply(200, &[(headers::STREAM_CLOSED, "true".to_owned()), tail]);
        }
        reply(200, &[tail])
    }
}

fn gap(expected: u64, received: u64) -> ReplyHead {
    let numbers = [
        (headers::PRODUCER_EXPECTED_SEQ, expected.to_string()),
        (headers::PRODUCER_RECEIVED_SEQ, received.to_string()),
    ];
    reply(409, &numbers)
}

fn reply(status: u16, fields: &[(HeaderName, String)]) -> ReplyHead {
    let fields = fields.iter().map(|(name, text)| (name.clone(), HeaderValue::from_str(text).expect("a value")));
    ReplyHead { status: StatusCode::from_u16(status).expect("a status"), headers: HeaderMap::from_iter(fields) }
}

fn take<T>(items: &mut Vec<T>, pick: usize) -> Option<T> {
    if items.is_empty() { None } else { Some(items.swap_remove(pick % items.len())) }
}

impl World {
    fn next_body(&self) -> Bytes {
        self.window.next_batch().to_string().into()
    }

    fn operate(&mut self, input: &mut Input<'_>, is_harmless: bool) {
        let (operation, pick) = (input.below(if is_harmless { 13 } else { 18 }), input.below(256));
        match operation {
            0..=2 => drop(self.window.seal(self.next_body(), 1)),
            3 => {
                self.follow();
            }
            4 | 5 => self.arrive(pick),
            6 | 7 => self.answer(pick),
            8 => {
                if let Some(attempt) = take(&mut self.awaited, pick) {
                    self.fail(attempt, TransportFailureKind::Timeout);
                }
            }
            9 => {
                if let Some(request) = take(&mut self.travelling, pick) {
                    self.fail(request.attempt, TransportFailureKind::Connect);
                }
            }
            10 => {
                if let Some((attempt, _)) = take(&mut self.answers, pick) {
                    self.fail(attempt, TransportFailureKind::Broken);
                }
            }
            11 => {
                if let Some(request) = take(&mut self.travelling, pick) {
                    self.answers.push((request.attempt, reply(503, &[])));
                }
            }
            12 => self.now += Time::from_millis(pick as u64 * 40),
            13 => {
                if let Some(request) = take(&mut self.travelling, pick) {
                    self.answers.push((request.attempt, reply(413, &[])));
                }
            }
            // Another instance takes the id, with an epoch far away.
            14 if self.server.closed_by.is_none() => {
                let epoch = self.server.accepted.map_or(0, |(epoch, _)| epoch) + 1000;
                self.server.accepted = Some((epoch, 0));
            }
            15 => drop(self.window.restart()),
            16 if pick < 64 => drop(self.window.close(self.next_body(), 1)),
            17 if pick < 32 => self.window.detach(),
            _ => {}
        }
    }

    fn arrive(&mut self, pick: usize) {
        let Some(request) = take(&mut self.travelling, pick) else { return };
        let head = self.server.take(&request);
        self.answers.push((request.attempt, head));
    }

    fn answer(&mut self, pick: usize) {
        let Some((attempt, head)) = take(&mut self.answers, pick) else { return };
        self.awaited.retain(|awaited| *awaited != attempt);
        self.window.handle_reply(self.now, attempt, &head, None);
    }

    fn fail(&mut self, attempt: u64, kind: TransportFailureKind) {
        self.awaited.retain(|awaited| *awaited != attempt);
        self.window.handle_failure(self.now, attempt, &TransportFailure::new(kind, "fuzz"));
    }

    /// Does what the window says until it wants to wait.
    fn follow(&mut self) -> Step {
        for polls in 0.. {
            assert!(polls < 10_000, "the window never comes to rest");
            match self.window.poll(self.now) {
                Step::Send(request) => {
                    self.awaited.push(request.attempt);
                    self.travelling.push(request);
                }
                Step::Emit(Event::Acknowledged { batch, .. }) => {
                    assert_eq!(self.settled.insert(batch, true), None, "batch {batch} is settled twice");
                    let is_stored = self.server.log.iter().any(|(stored, _)| *stored == batch);
                    assert!(is_stored, "batch {batch} is acknowledged and not stored");
                }
                Step::Emit(Event::Failed { batches, .. }) => {
                    for batch in batches {
                        self.settled.entry(batch).or_insert(false);
                    }
                }
                Step::Emit(Event::EpochRaised { .. } | Event::Closed(_) | Event::CloseUnanswered(_)) => {}
                step @ (Step::WaitUntil(_) | Step::AwaitReply | Step::Idle | Step::End) => return step,
            }
        }
        unreachable!("the loop returns or panics")
    }

    /// A calm network until nothing moves.
    fn settle(&mut self) {
        for _ in 0..20_000 {
            let step = self.follow();
            if !self.travelling.is_empty() {
                self.arrive(0);
            } else if !self.answers.is_empty() {
                self.answer(0);
            } else {
                match step {
                    Step::WaitUntil(until) => self.now = self.now.max(until),
                    Step::AwaitReply => panic!("waits for an answer that no request will bring"),
                    Step::Send(_) | Step::Emit(_) | Step::Idle | Step::End => return,
                }
            }
        }
        panic!("the window does not settle");
    }

    fn judge(&self, is_harmless: bool, auto_claim: bool) {
        let sealed = self.window.next_batch();
        assert_eq!(self.settled.len() as u64, sealed, "every batch is settled");
        assert_eq!(self.window.settled_below(), sealed);
        // docs/protocol.md §20: only claiming an epoch after an unknown outcome may store a
        // batch again, once per epoch. First copies stand in order either way.
        let mut first = Vec::new();
        for (at, (batch, epoch)) in self.server.log.iter().enumerate() {
            assert!(
                !self.server.log[..at].contains(&(*batch, *epoch)),
                "batch {batch} is there twice under epoch {epoch}"
            );
            if !first.contains(batch) {
                assert!(first.last().is_none_or(|last| last < batch), "batch {batch} stands after a later one");
                first.push(*batch);
            }
        }
        if is_harmless {
            assert_eq!(first, (0..sealed).collect::<Vec<_>>(), "nothing is lost");
            assert!(self.settled.values().all(|is_acknowledged| *is_acknowledged));
            assert!(auto_claim || self.server.log.len() == first.len(), "nothing is doubled");
        }
    }
}
