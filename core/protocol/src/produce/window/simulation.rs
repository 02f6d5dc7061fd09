//! The window against a model of the server, over a network that loses, delays and
//! reorders: random operations, checked for "nothing lost, nothing doubled, order kept".
#![allow(clippy::wildcard_enum_match_arm, reason = "the simulation names the variants it looks at")]

use std::collections::BTreeMap;

use http::{HeaderMap, StatusCode};
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    headers,
    produce::decide::{Decision, decide},
};

/// One random operation; the number picks among what is possible at the moment.
#[derive(Debug, Clone, Copy)]
enum Op {
    /// Seal a batch.
    Seal,
    /// Send whatever the window wants sent.
    Send,
    /// A request reaches the server.
    Arrive(usize),
    /// An answer reaches the window.
    Answer(usize),
    /// The window gives up on a request, which may still arrive.
    TimeOut(usize),
    /// The request never arrives, or its answer is lost.
    Break(usize),
    /// The server refuses a request for now, without looking at it.
    Overload(usize),
    /// The server refuses a request for good, without looking at it.
    Refuse(usize),
    /// Another instance takes the producer id.
    Foreign,
    /// Time passes.
    Wait,
    Restart,
    Close,
    Detach,
}

/// A server that knows one producer (protocol.md §19).
#[derive(Debug, Default)]
struct Server {
    accepted: Option<ProducerState>,
    closed_by: Option<ProducerState>,
    log: Vec<u64>,
}

impl Server {
    fn take(&mut self, request: &Outgoing) -> ReplyHead {
        let tail = self.log.len().to_string();
        if let Some(closing) = self.closed_by {
            return if closing == request.state {
                reply(204, &[(headers::STREAM_CLOSED, "true"), (headers::STREAM_NEXT_OFFSET, &tail)])
            } else {
                reply(409, &[(headers::STREAM_CLOSED, "true"), (headers::STREAM_NEXT_OFFSET, &tail)])
            };
        }
        match decide(self.accepted, request.state) {
            Decision::Append(state) => {
                self.accepted = Some(state);
                if !request.plan.body.is_empty() {
                    self.log.push(number_in(&request.plan.body));
                }
                let tail = self.log.len().to_string();
                if headers::is_true(&request.plan.headers, &headers::STREAM_CLOSED) {
                    self.closed_by = Some(request.state);
                    return reply(200, &[(headers::STREAM_CLOSED, "true"), (headers::STREAM_NEXT_OFFSET, &tail)]);
                }
                reply(200, &[(headers::STREAM_NEXT_OFFSET, &tail)])
            }
            Decision::Duplicate(_) => reply(204, &[]),
            Decision::StaleEpoch { current } => reply(403, &[(headers::PRODUCER_EPOCH, &current.to_string())]),
            Decision::EpochMustStartAtZero => reply(400, &[]),
            Decision::Gap { expected, received } => {
                let (expected, received) = (expected.to_string(), received.to_string());
                reply(409, &[(headers::PRODUCER_EXPECTED_SEQ, &expected), (headers::PRODUCER_RECEIVED_SEQ, &received)])
            }
        }
    }

    /// Another instance claims the id. Its epoch is far away: two instances that meet in
    /// one epoch take each other's batches for duplicates, which no window can notice.
    fn claim_elsewhere(&mut self) {
        if self.closed_by.is_none() {
            let epoch = self.accepted.map_or(0, |state| state.epoch) + 1000;
            self.accepted = Some(ProducerState { epoch, seq: 0 });
        }
    }
}

fn reply(status: u16, fields: &[(http::HeaderName, &str)]) -> ReplyHead {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.insert(name.clone(), HeaderValue::from_str(value).expect("a header value"));
    }
    ReplyHead { status: StatusCode::from_u16(status).expect("a status"), headers: map }
}

fn number_in(body: &[u8]) -> u64 {
    std::str::from_utf8(body).ok().and_then(|text| text.parse().ok()).expect("the body is the batch number")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settled {
    Acknowledged,
    Failed,
}

struct World {
    window: ProducerWindow,
    server: Server,
    now: Time,
    max_in_flight: usize,
    /// Requests the window waits for.
    awaited: Vec<u64>,
    /// Requests that may still arrive.
    travelling: Vec<Outgoing>,
    /// Answers on their way back.
    answers: Vec<(u64, ReplyHead)>,
    settled: BTreeMap<u64, Settled>,
    sent: BTreeMap<u64, u32>,
    closed: bool,
}

impl World {
    fn new(auto_claim: bool, max_in_flight: usize, max_retries: u32, epoch: u64) -> Self {
        let options = WindowOptions {
            producer_id: HeaderValue::from_static("writer"),
            epoch,
            auto_claim,
            max_in_flight,
            content_type: "text/plain".to_owned(),
            retry: RetryPolicy { max_retries, ..RetryPolicy::DEFAULT },
            seed: 11,
        };
        Self {
            window: ProducerWindow::new(options),
            server: Server::default(),
            now: Time::ZERO,
            max_in_flight,
            awaited: Vec::new(),
            travelling: Vec::new(),
            answers: Vec::new(),
            settled: BTreeMap::new(),
            sent: BTreeMap::new(),
            closed: false,
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Seal => {
                let _ = self.window.seal(self.window.next_batch().to_string().into(), 1);
            }
            Op::Send => {
                self.pump();
            }
            Op::Arrive(pick) => {
                if let Some(request) = take(&mut self.travelling, pick) {
                    let head = self.server.take(&request);
                    self.answers.push((request.attempt, head));
                }
            }
            Op::Answer(pick) => {
                if let Some((attempt, head)) = take(&mut self.answers, pick) {
                    self.answer(attempt, &head);
                }
            }
            Op::TimeOut(pick) => {
                if let Some(attempt) = take(&mut self.awaited, pick) {
                    self.fail(attempt, TransportFailureKind::Timeout);
                }
            }
            Op::Break(pick) => {
                if let Some(request) = take(&mut self.travelling, pick) {
                    self.fail(request.attempt, TransportFailureKind::Connect);
                } else if let Some((attempt, _)) = take(&mut self.answers, pick) {
                    self.fail(attempt, TransportFailureKind::Broken);
                }
            }
            Op::Overload(pick) => {
                if let Some(request) = take(&mut self.travelling, pick) {
                    self.answers.push((request.attempt, reply(503, &[])));
                }
            }
            Op::Refuse(pick) => {
                if let Some(request) = take(&mut self.travelling, pick) {
                    self.answers.push((request.attempt, reply(413, &[])));
                }
            }
            Op::Foreign => self.server.claim_elsewhere(),
            Op::Wait => self.now += Time::from_secs(7),
            Op::Restart => {
                if self.window.failure().is_none() {
                    let _ = self.window.restart();
                }
            }
            Op::Close => {
                let _ = self.window.close(self.window.next_batch().to_string().into(), 1);
            }
            Op::Detach => self.window.detach(),
        }
    }

    /// Follows the window until it wants to wait.
    fn pump(&mut self) -> Step {
        loop {
            match self.window.poll(self.now) {
                Step::Send(request) => {
                    *self.sent.entry(request.batch).or_default() += 1;
                    self.awaited.push(request.attempt);
                    self.travelling.push(request);
                    assert!(self.awaited.len() <= self.max_in_flight + 64, "attempts leak");
                }
                Step::Emit(event) => self.observe(event),
                step => return step,
            }
        }
    }

    fn observe(&mut self, event: Event) {
        match event {
            Event::Acknowledged { batch, .. } => {
                assert_eq!(self.settled.insert(batch, Settled::Acknowledged), None, "batch {batch} settled twice");
                assert!(self.server.log.contains(&batch), "batch {batch} acknowledged, but not stored");
            }
            Event::Failed { batches, message_count, .. } => {
                let before = self.settled.len();
                for batch in batches {
                    self.settled.entry(batch).or_insert(Settled::Failed);
                }
                assert_eq!((self.settled.len() - before) as u64, message_count, "messages in the failure");
            }
            Event::Closed(_) => self.closed = true,
            Event::EpochRaised { .. } | Event::CloseUnanswered(_) => {}
        }
    }

    fn answer(&mut self, attempt: u64, head: &ReplyHead) {
        self.awaited.retain(|awaited| *awaited != attempt);
        self.window.handle_reply(self.now, attempt, head, None);
    }

    fn fail(&mut self, attempt: u64, kind: TransportFailureKind) {
        self.awaited.retain(|awaited| *awaited != attempt);
        self.window.handle_failure(self.now, attempt, &TransportFailure::new(kind, "simulated"));
    }

    /// A calm network until nothing moves any more.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            let step = self.pump();
            if !self.travelling.is_empty() {
                self.apply(Op::Arrive(0));
            } else if !self.answers.is_empty() {
                self.apply(Op::Answer(0));
            } else {
                match step {
                    Step::WaitUntil(deadline) => self.now = self.now.max(deadline),
                    Step::AwaitReply => panic!("the window waits for an answer that no request will bring"),
                    _ => return,
                }
            }
        }
        panic!("the window does not come to rest");
    }
}

fn take<T>(items: &mut Vec<T>, pick: usize) -> Option<T> {
    if items.is_empty() { None } else { Some(items.swap_remove(pick % items.len())) }
}

fn harmless() -> impl Strategy<Value = Op> {
    let pick = 0..16_usize;
    prop_oneof![
        4 => Just(Op::Seal),
        6 => Just(Op::Send),
        6 => pick.clone().prop_map(Op::Arrive),
        6 => pick.clone().prop_map(Op::Answer),
        2 => pick.clone().prop_map(Op::TimeOut),
        2 => pick.clone().prop_map(Op::Break),
        1 => pick.prop_map(Op::Overload),
        1 => Just(Op::Wait),
        1 => Just(Op::Restart),
    ]
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        30 => harmless(),
        1 => (0..16_usize).prop_map(Op::Refuse),
        1 => Just(Op::Foreign),
        1 => Just(Op::Close),
        1 => Just(Op::Detach),
    ]
}

proptest! {
    #[test]
    fn a_bad_network_loses_doubles_and_reorders_nothing(
        ops in vec(harmless(), 1..200), max_in_flight in 1..7_usize, epoch in 0..2_u64, auto_claim in any::<bool>(),
    ) {
        let mut world = World::new(auto_claim, max_in_flight, 1000, epoch);
        for op in ops {
            world.apply(op);
        }
        world.settle();
        let sealed = world.window.next_batch();
        prop_assert_eq!(&world.server.log, &(0..sealed).collect::<Vec<_>>());
        prop_assert!(world.settled.values().all(|settled| *settled == Settled::Acknowledged));
        prop_assert_eq!(world.settled.len() as u64, sealed);
        prop_assert_eq!(world.window.settled_below(), sealed);
    }

    #[test]
    fn closing_after_a_bad_network_leaves_the_whole_log_closed(
        ops in vec(harmless(), 1..100), max_in_flight in 1..7_usize,
    ) {
        let mut world = World::new(false, max_in_flight, 1000, 0);
        for op in ops {
            world.apply(op);
        }
        let last = world.window.next_batch();
        world.apply(Op::Close);
        world.settle();
        prop_assert!(world.closed);
        prop_assert_eq!(&world.server.log, &(0..=last).collect::<Vec<_>>());
    }

    #[test]
    fn claims_keep_order_and_lose_nothing(ops in vec(any_op(), 1..200), max_in_flight in 1..7_usize) {
        let mut world = World::new(true, max_in_flight, 1000, 0);
        for op in ops {
            if !matches!(op, Op::Refuse(_) | Op::Detach | Op::Close) {
                world.apply(op);
            }
        }
        world.settle();
        // An unknown outcome before a claim may be stored twice (protocol.md §20); the first
        // copies still stand in order, and nothing acknowledged is missing.
        let mut first_copies = Vec::new();
        for number in &world.server.log {
            if !first_copies.contains(number) {
                first_copies.push(*number);
            }
        }
        prop_assert_eq!(&first_copies, &(0..first_copies.len() as u64).collect::<Vec<_>>());
        prop_assert_eq!(world.settled.len() as u64, world.window.next_batch());
        if world.window.failure().is_none() {
            prop_assert_eq!(first_copies.len() as u64, world.window.next_batch());
        }
    }

    #[test]
    fn whatever_happens_every_batch_is_settled_once_and_truthfully(
        ops in vec(any_op(), 1..200), max_in_flight in 1..7_usize, max_retries in 0..3_u32, auto_claim in any::<bool>(),
    ) {
        let mut world = World::new(auto_claim, max_in_flight, max_retries, 0);
        for op in ops {
            world.apply(op);
        }
        world.settle();
        while world.window.state() == WindowState::Closing {
            world.apply(Op::Close);
            world.settle();
        }
        prop_assert_eq!(world.settled.len() as u64, world.window.next_batch());
        prop_assert_eq!(world.window.settled_below(), world.window.next_batch());
        for (number, settled) in &world.settled {
            let was_sent = world.sent.contains_key(number);
            let is_stored = world.server.log.contains(number);
            prop_assert!(was_sent || !is_stored);
            prop_assert!(*settled == Settled::Failed || is_stored);
        }
        if !auto_claim {
            // A prefix, whole and in order: a failed batch is followed by nothing.
            prop_assert_eq!(&world.server.log, &(0..world.server.log.len() as u64).collect::<Vec<_>>());
        }
    }

    #[test]
    fn no_answer_to_any_attempt_makes_it_panic(
        moves in vec((0..9_u8, 0..40_u64, 100..600_u16, 0..12_u64), 1..200),
    ) {
        let mut window = World::new(true, 3, 2, 0).window;
        let mut now = Time::ZERO;
        for (kind, attempt, status, number) in moves {
            let number = if number == 11 { u64::MAX } else { number }.to_string();
            let all = [
                (headers::PRODUCER_EPOCH, number.as_str()),
                (headers::PRODUCER_EXPECTED_SEQ, number.as_str()),
                (headers::STREAM_NEXT_OFFSET, number.as_str()),
                (http::header::RETRY_AFTER, number.as_str()),
                (headers::STREAM_CLOSED, if attempt % 2 == 0 { "true" } else { "no" }),
            ];
            match kind {
                0 | 1 => drop(window.seal(Bytes::from_static(b"x"), 1)),
                2 => window.handle_reply(now, attempt, &reply(status, &all), Some("text")),
                3 => window.handle_reply(now, attempt, &reply(200, &all[2..3]), None),
                4 => {
                    let kinds = [TransportFailureKind::Local, TransportFailureKind::Connect, TransportFailureKind::Broken];
                    let kind = kinds[usize::from(status) % kinds.len()];
                    window.handle_failure(now, attempt, &TransportFailure::new(kind, "x"));
                }
                5 if status < 120 => drop(window.close(Bytes::new(), 0)),
                5 if status < 130 => window.detach(),
                6 => drop(window.restart()),
                7 if status < 120 => window.fail(Failure::new(ErrorCode::NotFound, "x")),
                _ => now = now.saturating_add(Time::from_secs(attempt)),
            }
            for _ in 0..100 {
                if !matches!(window.poll(now), Step::Send(_) | Step::Emit(_)) {
                    break;
                }
            }
            prop_assert!(window.settled_below() <= window.next_batch());
        }
    }
}
