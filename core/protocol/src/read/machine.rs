//! The read machine itself: every rule of the read loop, and nothing else.
//!
//! ```text
//!  Ready ──Send──> Waiting ──200──────────> Collecting ──end──> Ready
//!    ^               │ ├───200 SSE────────> Streaming ──end──> Ready | Pausing
//!    │               │ ├───204, 304──────────────────────────> Ready | Pausing
//!    │               │ └───refused────────> Refused ──end──┬─> Pausing (repeat)
//!    │               └─────no answer───────────────────────┤
//!    └──────────────────Pausing <──────────────────────────┴─> Ready | Pausing + Failed
//!  closed, up to date without live, cancelled ──────────────> Ended
//! ```

use std::{collections::VecDeque, time::Duration};

use bytes::{Buf, Bytes};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_LENGTH},
};

use super::{
    Batch, FailureCause, LiveMode, Notice, ReadEvent, ReadFailure, ReadOptions, Step,
    collect::{Collected, Collector},
    events::{EventBody, Unit},
    json,
    pace::{Pace, Reconnect},
};
use crate::{
    Time,
    content_type::Framing,
    error::ErrorCode,
    offset::Offset,
    request::{Idempotency, RequestPlan, read},
    response::{
        Refusal, ReplyHead, TransportFailure, TransportFailureKind,
        read::{ReadHead, ReadKind, outcome},
    },
    retry::AttemptEnd,
};

/// How much of a refusal's body is read for its message. Units: bytes.
const MAX_REFUSAL_BODY: usize = 1024;
/// Parameter without meaning, which servers ignore (protocol.md §3.3). Sorts first.
const CACHE_BUSTER: &str = "cache-buster";
/// How often an answer that goes back in the stream is asked for again, past caches.
const STALE_ANSWERS_TOLERATED: u32 = 1;

/// Reads one stream from an offset: catch-up, then live if asked, until closure.
///
/// Ask [`ReadMachine::poll`] what to do; report what happened with the `handle_*` methods.
/// The machine owns the position: a connection that breaks takes nothing with it.
#[derive(Debug)]
pub struct ReadMachine {
    options: ReadOptions,
    offset: Offset,
    cursor: Option<String>,
    etag: Option<String>,
    framing: Option<Framing>,
    up_to_date: bool,
    /// An answer was accepted: the stream exists and the server works.
    succeeded: bool,
    /// Shortest time from a request to its answer's head.
    latency: Option<Duration>,
    sse_given_up: bool,
    stale_answers: u32,
    /// The caller wishes it, or a wait at `now` ended without an answer: settle where `now` is
    /// before waiting.
    now_is_unsettled: bool,
    /// Bytes behind `offset` that the caller already has, of an answer handed out in pieces.
    handed_out: usize,
    phase: Phase,
    ahead: Ahead,
    events: VecDeque<ReadEvent>,
    collector: Collector,
    pace: Pace,
}

#[derive(Debug)]
enum Phase {
    /// The next poll sends.
    Ready,
    /// A request is out, no head yet.
    Waiting { exchange: Exchange },
    /// The body of a 200 is coming.
    Collecting { exchange: Exchange, answer: Answer, skip: usize, arrival: Arrival },
    /// Events are coming.
    Streaming { status: u16, since: Time, moved: bool, body: EventBody },
    /// The body of a refusal is coming, wanted for its message only.
    Refused { refusal: Box<Refusal>, status: StatusCode, headers: Box<HeaderMap>, text: Vec<u8> },
    /// Nothing to do before `until`.
    Pausing { until: Time },
    /// No request will follow.
    Ended,
}

/// A request that is out.
#[derive(Debug)]
struct Exchange {
    plan: Box<RequestPlan>,
    mode: Mode,
    since: Time,
}

/// How one request asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    CatchUp,
    LongPoll,
    Sse,
}

/// What the head of a 200 told, with its next offset parsed.
#[derive(Debug)]
struct Answer {
    status: u16,
    next_offset: Offset,
    up_to_date: bool,
    closed: bool,
    cursor: Option<String>,
}

/// How far the body of an answer has come.
#[derive(Debug)]
struct Arrival {
    since: Time,
    expected: Option<usize>,
    received: usize,
}

impl Arrival {
    /// Whether the rest will take no longer than the next answer takes to begin. Asking
    /// sooner would only make two bodies share the way, and keep the second one waiting.
    fn is_nearly_over(&self, now: Time, latency: Duration) -> bool {
        let Some(expected) = self.expected else { return true };
        let rest = expected.saturating_sub(self.received);
        let elapsed = now.saturating_sub(self.since).as_micros();
        // What came with the head says nothing about the rate, so half of the body must be
        // there. Then, at the rate so far: rest / received * elapsed <= 2 * latency.
        rest <= self.received && rest as u128 * elapsed <= self.received as u128 * 2 * latency.as_micros()
    }
}

/// The request after the current one.
#[derive(Debug)]
enum Ahead {
    None,
    /// The current answer says where it ends, and that more follows.
    Wanted(Offset),
    Sent(Box<RequestPlan>, Time),
}

impl ReadMachine {
    /// A read that has not begun. `seed` is any uniform value; it spreads the waits.
    pub fn new(options: ReadOptions, seed: u64) -> Self {
        Self {
            offset: options.offset.clone(),
            cursor: options.cursor.clone(),
            etag: options.etag.clone(),
            framing: options.framing,
            up_to_date: false,
            succeeded: false,
            latency: None,
            sse_given_up: false,
            stale_answers: 0,
            now_is_unsettled: options.settle_now && options.offset.is_now(),
            handed_out: 0,
            phase: Phase::Ready,
            ahead: Ahead::None,
            events: VecDeque::new(),
            collector: Collector::default(),
            pace: Pace::new(seed),
            options,
        }
    }

    /// Names the driver's next move.
    pub fn poll(&mut self, now: Time) -> Step {
        if let (Phase::Ready, Ahead::Wanted(offset)) = (&self.phase, &self.ahead) {
            let plan = Box::new(read::catch_up(offset, None));
            self.ahead = Ahead::None;
            self.phase = Phase::Waiting { exchange: Exchange { plan: plan.clone(), mode: Mode::CatchUp, since: now } };
            return Step::SendAhead(plan);
        }
        if let Some(event) = self.events.pop_front() {
            return Step::Emit(event);
        }
        match &self.phase {
            Phase::Ended => Step::End,
            Phase::Pausing { until } if now < *until => Step::WaitUntil(*until),
            Phase::Ready | Phase::Pausing { .. } => self.send(now),
            Phase::Waiting { .. } | Phase::Collecting { .. } | Phase::Streaming { .. } | Phase::Refused { .. } => {
                self.send_ahead(now).unwrap_or(Step::AwaitReply)
            }
        }
    }

    /// The current exchange was answered.
    pub fn handle_reply_head(&mut self, now: Time, head: &ReplyHead) {
        let Phase::Waiting { exchange } = std::mem::replace(&mut self.phase, Phase::Ready) else {
            return;
        };
        match outcome(&exchange.plan, head) {
            Ok(read) => self.accept(now, exchange, head, read),
            Err(refusal) if exchange.mode == Mode::Sse && refuses_sse(head.status, &refusal) => {
                self.give_sse_up("the server does not answer with server-sent events");
            }
            Err(refusal) => {
                let headers = Box::new(head.headers.clone());
                self.phase = Phase::Refused { refusal, status: head.status, headers, text: Vec::new() };
            }
        }
    }

    /// A piece of the current exchange's body arrived.
    pub fn handle_body_chunk(&mut self, now: Time, chunk: Bytes) {
        match &mut self.phase {
            Phase::Collecting { skip, arrival, .. } => {
                let mut chunk = chunk;
                arrival.received += chunk.len();
                let skipped = chunk.len().min(*skip);
                chunk.advance(skipped);
                *skip -= skipped;
                if !chunk.is_empty() {
                    self.collector.push(chunk);
                    self.hand_out_piece();
                }
            }
            Phase::Streaming { body, .. } => {
                body.feed(chunk);
                self.drain_units(now);
            }
            Phase::Refused { text, .. } => {
                text.extend_from_slice(&chunk[..chunk.len().min(MAX_REFUSAL_BODY - text.len())]);
                if text.len() == MAX_REFUSAL_BODY {
                    self.settle_refusal(now);
                }
            }
            Phase::Ready | Phase::Waiting { .. } | Phase::Pausing { .. } | Phase::Ended => {}
        }
    }

    /// The current exchange's body ended cleanly.
    pub fn handle_body_end(&mut self, now: Time) {
        match std::mem::replace(&mut self.phase, Phase::Ready) {
            Phase::Collecting { exchange, answer, skip, .. } => self.finish_answer(now, &exchange, answer, skip),
            Phase::Streaming { since, moved, .. } => self.connection_ended(now, since, moved),
            phase @ Phase::Refused { .. } => {
                self.phase = phase;
                self.settle_refusal(now);
            }
            other @ (Phase::Ready | Phase::Waiting { .. } | Phase::Pausing { .. } | Phase::Ended) => self.phase = other,
        }
    }

    /// The current exchange failed without a whole answer.
    pub fn handle_failure(&mut self, now: Time, failure: TransportFailure) {
        self.ahead = Ahead::None;
        match std::mem::replace(&mut self.phase, Phase::Ready) {
            // C43: the server held longer than we wait; that is "no new data".
            Phase::Waiting { exchange }
                if exchange.mode == Mode::LongPoll && failure.kind == TransportFailureKind::Timeout =>
            {
                self.now_is_unsettled = self.offset.is_now();
                self.phase = Phase::Pausing { until: self.pace.poll_ended(now, now.saturating_sub(exchange.since)) };
            }
            Phase::Waiting { .. } | Phase::Collecting { .. } => {
                self.retry_or_report(now, AttemptEnd::Failed(failure.kind), FailureCause::Transport(failure))
            }
            // Data without its control event goes with the connection and is read again.
            Phase::Streaming { since, moved, .. } => self.connection_ended(now, since, moved),
            phase @ Phase::Refused { .. } => {
                self.phase = phase;
                self.settle_refusal(now);
            }
            other @ (Phase::Ready | Phase::Pausing { .. } | Phase::Ended) => self.phase = other,
        }
    }

    /// Ends the read; nothing more is emitted and every open exchange is over.
    pub fn cancel(&mut self) {
        self.events.clear();
        self.end();
    }

    /// Where the machine stands: behind everything it has emitted or is about to emit.
    pub const fn offset(&self) -> &Offset {
        &self.offset
    }

    /// Whether an answer was accepted: the stream exists and the server works.
    pub const fn has_succeeded(&self) -> bool {
        self.succeeded
    }

    /// Whether no request will follow.
    pub const fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    // --- asking ---

    fn send(&mut self, now: Time) -> Step {
        let mode = self.mode();
        let mut plan = match mode {
            Mode::CatchUp => read::catch_up(&self.offset, self.etag.take().as_deref()),
            Mode::LongPoll => read::long_poll(&self.offset, self.cursor.as_deref()),
            Mode::Sse => read::sse(&self.offset, self.cursor.as_deref()),
        };
        if self.stale_answers > 0 {
            plan.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            // Not every cache listens to a client; a URL of its own it cannot have stored.
            plan.query.insert(0, (CACHE_BUSTER, format!("{:016x}", self.pace.next_entropy())));
        }
        let plan = Box::new(plan);
        self.ahead = Ahead::None;
        self.phase = Phase::Waiting { exchange: Exchange { plan: plan.clone(), mode, since: now } };
        Step::Send(plan)
    }

    fn send_ahead(&mut self, now: Time) -> Option<Step> {
        let Ahead::Wanted(offset) = &self.ahead else { return None };
        let Phase::Collecting { arrival, .. } = &self.phase else { return None };
        if !arrival.is_nearly_over(now, self.latency.unwrap_or_default()) {
            return None;
        }
        let plan = Box::new(read::catch_up(offset, None));
        self.ahead = Ahead::Sent(plan.clone(), now);
        Some(Step::SendAhead(plan))
    }

    /// Catch up first, without `live`, so that caches can serve it; then live (C3).
    fn mode(&self) -> Mode {
        let catching_up = !self.up_to_date && (!self.offset.is_now() || self.now_is_unsettled);
        if !self.options.live.is_live() || catching_up {
            return Mode::CatchUp;
        }
        let wants_sse = match self.options.live {
            LiveMode::Off | LiveMode::LongPoll => false,
            LiveMode::Sse => true,
            LiveMode::Auto => matches!(self.framing, Some(Framing::Json | Framing::Text)),
        };
        if wants_sse && !self.sse_given_up { Mode::Sse } else { Mode::LongPoll }
    }

    // --- answers ---

    fn accept(&mut self, now: Time, exchange: Exchange, head: &ReplyHead, read: ReadHead) {
        let status = head.status.as_u16();
        if let ReadKind::Events { base64 } = read.kind {
            self.succeeded = true;
            let body = EventBody::new(self.options.sse, base64, self.framing);
            self.phase = Phase::Streaming { status, since: now, moved: false, body };
            return;
        }
        let next_offset = match read.next_offset.as_deref().map(Offset::new) {
            // Waiting at `now` again would skip what arrives in between.
            None if self.offset.is_now() && !read.closed => {
                return self.report(now, FailureCause::parse(status, "`Stream-Next-Offset` is missing"));
            }
            None => self.offset.clone(),
            Some(Offset::Now) => {
                let failure = FailureCause::parse(status, "`Stream-Next-Offset` is the sentinel \"now\"");
                return self.report(now, failure);
            }
            Some(offset) => offset,
        };
        // A 304 keeps the data and the offset the caller holds (C40).
        let unchanged = read.kind == ReadKind::NotModified;
        let next_offset = if unchanged { self.offset.clone() } else { next_offset };
        if self.is_backwards(&next_offset) {
            return self.handle_stale(now, status, &next_offset);
        }
        if let Some(content_type) = read.content_type.as_deref().filter(|_| read.kind == ReadKind::Data) {
            self.framing = Some(Framing::of(content_type));
        }
        let up_to_date = read.up_to_date || read.closed || unchanged;
        let answer = Answer { status, next_offset, up_to_date, closed: read.closed, cursor: read.cursor };
        if read.kind != ReadKind::Data {
            return self.finish_without_data(now, &exchange, answer);
        }
        self.succeeded = true;
        let expected = content_length(head);
        let largest = if self.is_json() { usize::MAX } else { self.bound_of_piece(expected) };
        self.collector.start(expected.map(|expected| expected.min(largest)), self.options.vectored && !self.is_json());
        let latency = now.saturating_sub(exchange.since);
        self.latency = Some(self.latency.map_or(latency, |least| least.min(latency)));
        if self.options.prefetch
            && exchange.mode == Mode::CatchUp
            && !answer.up_to_date
            && answer.next_offset != self.offset
        {
            self.ahead = Ahead::Wanted(answer.next_offset.clone());
        }
        let arrival = Arrival { since: now, expected, received: 0 };
        self.phase = Phase::Collecting { exchange, answer, skip: self.handed_out, arrival };
    }

    fn finish_without_data(&mut self, now: Time, exchange: &Exchange, answer: Answer) {
        self.succeeded = true;
        let moved = answer.next_offset != self.offset;
        if let Err(failure) = self.check_progress(exchange.mode, moved, &answer, true) {
            return self.report(now, failure);
        }
        let resume_at = if exchange.mode == Mode::LongPoll && !moved {
            self.pace.poll_ended(now, now.saturating_sub(exchange.since))
        } else {
            now
        };
        let is_json = self.is_json();
        let data = if is_json { Bytes::from_static(json::EMPTY) } else { Bytes::new() };
        self.settle(answer, Collected { data, rest: Vec::new() }, is_json, true);
        if !self.has_ended() && resume_at > now {
            self.phase = Phase::Pausing { until: resume_at };
        }
    }

    fn finish_answer(&mut self, now: Time, exchange: &Exchange, answer: Answer, skip: usize) {
        let Collected { data: body, rest } = self.collector.take();
        let moved = answer.next_offset != self.offset;
        let is_json = self.is_json();
        let (data, is_empty) = if is_json {
            // Servers that send nothing instead of `[]` at the tail lose no data by it. Where
            // the offset moved, nothing instead of an array is a truncated answer (C16).
            let body = if body.is_empty() && !moved { Bytes::from_static(json::EMPTY) } else { body };
            match json::array(body) {
                Ok(array) => (array.text, array.is_empty),
                Err(error) => {
                    let reason = format!("the body is not the JSON it should be: {error}");
                    return self.report(now, FailureCause::parse(answer.status, reason));
                }
            }
        } else {
            let is_empty = body.is_empty();
            (body, is_empty)
        };
        if let Err(failure) = self.check_progress(exchange.mode, moved, &answer, is_empty) {
            // The same part again: a cache that ignores the query.
            return if exchange.mode == Mode::LongPoll {
                self.retry_stale(now, failure)
            } else {
                self.report(now, failure)
            };
        }
        let ahead = std::mem::replace(&mut self.ahead, Ahead::None);
        let quick = exchange.mode == Mode::LongPoll && !moved;
        let resume_at = if quick { self.pace.poll_ended(now, now.saturating_sub(exchange.since)) } else { now };
        self.settle(answer, Collected { data, rest }, is_json, is_empty);
        // This answer was shorter than what an earlier one had brought.
        self.handed_out = skip;
        if self.has_ended() {
            return;
        }
        match ahead {
            Ahead::Sent(plan, since) => {
                self.phase = Phase::Waiting { exchange: Exchange { plan, mode: Mode::CatchUp, since } };
            }
            // Not asked for yet: the next poll does, before the caller gets this part.
            wanted @ Ahead::Wanted(_) => self.ahead = wanted,
            Ahead::None if resume_at > now => self.phase = Phase::Pausing { until: resume_at },
            Ahead::None => {}
        }
    }

    /// Refuses answers that would make the read loop: a catch-up that neither moves nor is up
    /// to date, and data that leaves the offset where it was.
    fn check_progress(&self, mode: Mode, moved: bool, answer: &Answer, is_empty: bool) -> Result<(), FailureCause> {
        if moved || answer.closed {
            return Ok(());
        }
        let reason = match mode {
            Mode::CatchUp if !answer.up_to_date => "the answer neither moves the offset nor is up to date",
            Mode::LongPoll if !is_empty => "the answer carries data but leaves the offset where it was",
            Mode::CatchUp | Mode::LongPoll | Mode::Sse => return Ok(()),
        };
        Err(FailureCause::parse(answer.status, format!("{reason}: {}", self.offset)))
    }

    /// Hands out what has been collected of a very large answer. The offset stays: only the
    /// end of the answer has one.
    fn hand_out_piece(&mut self) {
        let Phase::Collecting { answer, arrival, .. } = &self.phase else { return };
        // What comes last carries the offset.
        let is_last = arrival.expected == Some(arrival.received);
        if is_last || self.collector.len() < self.bound_of_piece(arrival.expected) || self.is_json() {
            return;
        }
        let status = answer.status;
        self.handed_out += self.collector.len();
        let Collected { data, rest } = self.collector.take();
        self.events.push_back(ReadEvent::Batch(Batch {
            data,
            rest,
            is_json: false,
            is_empty: false,
            next_offset: self.offset.clone(),
            up_to_date: false,
            stream_closed: false,
            cursor: self.cursor.clone(),
            status,
        }));
    }

    /// Up to where an answer of this length, if it is known, is collected. One that will not be
    /// whole anyway comes in pieces that are quick to handle.
    fn bound_of_piece(&self, expected: Option<usize>) -> usize {
        let most = self.options.max_batch_bytes;
        let is_larger = expected.is_some_and(|expected| expected > most) || self.handed_out > 0;
        if is_larger { most.min(ReadOptions::PIECE_BYTES) } else { most }
    }

    fn drain_units(&mut self, now: Time) {
        loop {
            let Phase::Streaming { status, body, .. } = &mut self.phase else { return };
            let status = *status;
            match body.next_unit() {
                None => return,
                Some(Err(reason)) => return self.report(now, FailureCause::parse(status, reason)),
                Some(Ok(unit)) => self.take_unit(now, status, unit),
            }
        }
    }

    fn take_unit(&mut self, now: Time, status: u16, unit: Unit) {
        let Unit { mut data, is_json, mut is_empty, control } = unit;
        let mut handed_out = self.handed_out;
        if !is_json && handed_out > 0 {
            let known = handed_out.min(data.len());
            data.advance(known);
            handed_out -= known;
            is_empty = data.is_empty();
        }
        let next_offset = Offset::new(control.next_offset);
        if self.is_backwards(&next_offset) {
            return self.handle_stale(now, status, &next_offset);
        }
        if is_json && self.framing.is_none() {
            self.framing = Some(Framing::Json);
        }
        // A stream's first position is no progress of a connection, but any later one is.
        if next_offset != self.offset
            && let Phase::Streaming { moved, .. } = &mut self.phase
        {
            *moved = true;
        }
        let closed = control.stream_closed;
        let answer = Answer {
            status,
            next_offset,
            // protocol.md §13.4: closed implies up to date.
            up_to_date: control.up_to_date || closed,
            closed,
            cursor: control.cursor.map(std::borrow::Cow::into_owned),
        };
        self.settle(answer, Collected { data, rest: Vec::new() }, is_json, is_empty);
        self.handed_out = handed_out;
    }

    /// The one place where the position moves.
    fn settle(&mut self, answer: Answer, data: Collected, is_json: bool, is_empty: bool) {
        let Answer { status, next_offset, up_to_date, closed, cursor } = answer;
        if next_offset != self.offset {
            self.pace.progressed();
            self.handed_out = 0;
        }
        self.stale_answers = 0;
        self.offset = next_offset;
        self.up_to_date = up_to_date;
        if cursor.is_some() || closed {
            self.cursor = cursor;
        }
        let Collected { data, rest } = data;
        self.events.push_back(ReadEvent::Batch(Batch {
            data,
            rest,
            is_json,
            is_empty,
            next_offset: self.offset.clone(),
            up_to_date,
            stream_closed: closed,
            cursor: self.cursor.clone(),
            status,
        }));
        if closed || (up_to_date && !self.options.live.is_live()) {
            self.end();
        } else if up_to_date {
            // A long wait may follow.
            self.collector.release();
        }
    }

    // --- when it goes wrong ---

    /// An SSE answer ended or broke without closure: that is no end of the stream (C5).
    fn connection_ended(&mut self, now: Time, since: Time, moved: bool) {
        match self.pace.connection_ended(now, now.saturating_sub(since), moved, &self.options.sse_fallback) {
            Reconnect::At(at) => self.phase = Phase::Pausing { until: at },
            Reconnect::GiveUp => self.give_sse_up("connections keep ending at once, as behind a buffering proxy"),
        }
    }

    fn give_sse_up(&mut self, reason: &'static str) {
        self.sse_given_up = true;
        self.phase = Phase::Ready;
        self.events.push_back(ReadEvent::Notice(Notice::SseGivenUp { reason }));
    }

    fn is_backwards(&self, next_offset: &Offset) -> bool {
        matches!((&self.offset, next_offset), (Offset::At(held), next) if next.as_str() < held.as_str() || next.is_beginning())
    }

    fn handle_stale(&mut self, now: Time, status: u16, received: &Offset) {
        let detail = format!(
            "the answer's offset {received} sorts before {}, which was read already: a stale cache, or the stream was deleted and created again",
            self.offset
        );
        self.retry_stale(now, FailureCause::broken(ErrorCode::OffsetWentBackwards, status, detail));
    }

    /// Asks once more, past caches, before the failure goes to the caller.
    fn retry_stale(&mut self, now: Time, cause: FailureCause) {
        self.ahead = Ahead::None;
        if self.stale_answers < STALE_ANSWERS_TOLERATED {
            self.stale_answers += 1;
            self.phase = Phase::Ready;
        } else {
            self.report(now, cause);
        }
    }

    fn settle_refusal(&mut self, now: Time) {
        let Phase::Refused { refusal, status, headers, text } = std::mem::replace(&mut self.phase, Phase::Ready) else {
            return;
        };
        let server_text = String::from_utf8_lossy(&text).trim().to_owned();
        self.retry_or_report(
            now,
            AttemptEnd::Answered(status),
            FailureCause::Refused { refusal, headers, server_text },
        );
    }

    fn retry_or_report(&mut self, now: Time, end: AttemptEnd, cause: FailureCause) {
        self.ahead = Ahead::None;
        let floor = match &cause {
            FailureCause::Refused { refusal, .. } => refusal.facts.retry_after,
            FailureCause::Transport(_) => None,
        };
        // Live reads reconnect without limit once the server has shown that it works.
        let unlimited = self.options.live.is_live() && self.succeeded;
        let policy = &self.options.retry;
        let retry_at = policy
            .allows(Idempotency::Repeatable, end)
            .then(|| self.pace.retry_at(now, policy, unlimited, floor))
            .flatten();
        match retry_at {
            Some(until) => self.phase = Phase::Pausing { until },
            None => self.report(now, cause),
        }
    }

    /// Gives a failure to the caller. The position stays, so that the next poll asks again.
    fn report(&mut self, now: Time, cause: FailureCause) {
        self.ahead = Ahead::None;
        self.stale_answers = 0;
        let attempts = self.pace.attempts();
        self.phase = Phase::Pausing { until: self.pace.reported(now, &self.options.retry) };
        self.events.push_back(ReadEvent::Failed(ReadFailure { cause, attempts }));
    }

    fn end(&mut self) {
        self.phase = Phase::Ended;
        self.ahead = Ahead::None;
        self.collector.release();
    }

    fn is_json(&self) -> bool {
        self.framing == Some(Framing::Json)
    }
}

/// Whether an answer says "no events here" rather than "no such read".
fn refuses_sse(status: StatusCode, refusal: &Refusal) -> bool {
    match status {
        StatusCode::OK => refusal.code == ErrorCode::ParseError,
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_ACCEPTABLE | StatusCode::NOT_IMPLEMENTED => true,
        _ => false,
    }
}

fn content_length(head: &ReplyHead) -> Option<usize> {
    head.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
