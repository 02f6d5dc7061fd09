//! The client's side of an idempotent producer (protocol.md §20): which sealed
//! batch to send when, under which `(epoch, seq)`, and what each answer means for
//! the batches around it.
//!
//! The machine owns sealed batches only; filling a batch is the host's business. A
//! batch has a *number*, given at sealing and never changed, by which the host knows
//! it, and a *seq*, given when it enters the window and given anew when an epoch is
//! claimed. Body and tuple of a batch in the window are frozen: every retry repeats
//! them exactly.
//!
//! ```text
//! seal ─► queued ─► window (≤ max_in_flight) ─► acknowledged
//!            ▲            │ claim: unacknowledged ones go back, seq restarts at 0
//!            └────────────┘
//! ```
//!
//! Closing is a batch like the others, the last one, that leaves the queue only when
//! the window is empty.

mod answers;
mod failure;
mod pace;
mod reply;
#[cfg(test)]
mod simulation;
mod slot;
#[cfg(test)]
mod tests;
mod types;

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use http::HeaderValue;

use self::{
    pace::Pace,
    reply::Meaning,
    slot::{Batch, Slot, Stage},
};
use crate::{
    MAX_SAFE_INTEGER, Time,
    error::{ErrorCode, Facts},
    offset::Offset,
    produce::decide::ProducerState,
    request::{
        InvalidArgument, RequestPlan,
        append::{Append, ProducerTag},
        close::Close,
    },
    response::{Refusal, ReplyHead, TransportFailure, TransportFailureKind},
    retry::RetryPolicy,
};

pub use self::{
    failure::Failure,
    types::{Closed, Event, Outgoing, Step, WindowOptions, WindowState},
};

/// Most claims without an accepted batch between them.
pub const MAX_CLAIMS_IN_A_ROW: u32 = 3;

/// Most claims in [`CLAIM_WINDOW`]. Two instances that share an id would otherwise fence
/// each other for ever, one batch at a time.
pub const MAX_CLAIMS_IN_WINDOW: usize = 10;

/// See [`MAX_CLAIMS_IN_WINDOW`].
pub const CLAIM_WINDOW: Time = Time::from_secs(60);

/// Retries of a producer: ten tries in all.
pub const DEFAULT_RETRY: RetryPolicy = RetryPolicy { max_retries: 9, ..RetryPolicy::DEFAULT };

/// The producer's window. See the module text for the life of a batch.
#[derive(Debug)]
pub struct ProducerWindow {
    producer_id: HeaderValue,
    content_type: String,
    auto_claim: bool,
    pace: Pace,
    retry: RetryPolicy,
    jitter: Jitter,
    phase: Phase,
    epoch: u64,
    /// Highest epoch a 403 named.
    foreign_epoch: u64,
    /// Seq of the next batch to enter the window.
    next_seq: u64,
    /// Whether a batch of this epoch was accepted.
    is_confirmed: bool,
    /// A claim waits for the requests under way.
    is_claiming: bool,
    /// Claims since the last accepted batch.
    claims_in_a_row: u32,
    /// When the latest claims were made.
    claim_times: VecDeque<Time>,
    /// Batches from this number on belong to the next epoch.
    restart_at: Option<u64>,
    /// Contiguous seqs; the front is never acknowledged.
    slots: VecDeque<Slot>,
    queued: VecDeque<Batch>,
    next_batch: u64,
    next_attempt: u64,
    events: VecDeque<Event>,
    acked: Option<(u64, Offset)>,
}

#[derive(Debug)]
enum Phase {
    /// Claiming or Running.
    Open,
    Closing,
    Closed(Closed),
    Detached,
    Failed(Arc<Failure>),
}

impl ProducerWindow {
    /// Starts with nothing sealed.
    pub fn new(options: WindowOptions) -> Self {
        Self {
            producer_id: options.producer_id,
            content_type: options.content_type,
            auto_claim: options.auto_claim,
            pace: Pace::new(options.max_in_flight),
            retry: options.retry,
            jitter: Jitter(options.seed),
            phase: Phase::Open,
            epoch: options.epoch.min(MAX_SAFE_INTEGER),
            foreign_epoch: 0,
            next_seq: 0,
            is_confirmed: false,
            is_claiming: false,
            claims_in_a_row: 0,
            claim_times: VecDeque::new(),
            restart_at: None,
            slots: VecDeque::new(),
            queued: VecDeque::new(),
            next_batch: 0,
            next_attempt: 0,
            events: VecDeque::new(),
            acked: None,
        }
    }

    /// Sets the content type of batches not yet in the window.
    pub fn set_content_type(&mut self, content_type: String) {
        self.content_type = content_type;
    }

    /// Takes a sealed batch, which must not be empty, and returns its number.
    /// Errors: ALREADY_CLOSED after `close` or `detach`; the failure after a failed batch.
    pub fn seal(&mut self, body: Bytes, message_count: u64) -> Result<u64, Arc<Failure>> {
        self.check_open()?;
        Ok(self.enqueue(body, message_count, false))
    }

    /// Whether batches are taken; the error says why not.
    pub fn check_open(&self) -> Result<(), Arc<Failure>> {
        match &self.phase {
            Phase::Open => Ok(()),
            Phase::Closing | Phase::Closed(_) => Err(Arc::new(self.refusal("the producer was closed"))),
            Phase::Detached => Err(Arc::new(self.refusal("the producer was detached"))),
            Phase::Failed(failure) => Err(Arc::clone(failure)),
        }
    }

    /// Closes the stream behind everything sealed so far, with `body` as last message
    /// if it is not empty. The result comes as [`Event::Closed`], [`Event::CloseUnanswered`]
    /// or [`Event::Failed`]. Repeating is fine: while closing, the first body stays in
    /// force; an unanswered closing request is sent again.
    /// Errors: ALREADY_CLOSED after `detach`; the failure after a failed batch.
    pub fn close(&mut self, body: Bytes, message_count: u64) -> Result<(), Arc<Failure>> {
        match &self.phase {
            Phase::Open => {
                self.phase = Phase::Closing;
                self.enqueue(body, message_count, true);
                Ok(())
            }
            Phase::Closing => {
                for slot in self.slots.iter_mut().filter(|slot| slot.stage == Stage::Unanswered) {
                    slot.stage = Stage::Ready;
                    slot.tries = 0;
                }
                Ok(())
            }
            Phase::Closed(_) => Ok(()),
            Phase::Detached | Phase::Failed(_) => self.check_open(),
        }
    }

    /// Takes no more batches; those sealed before are still delivered.
    pub fn detach(&mut self) {
        if matches!(self.phase, Phase::Open) {
            self.phase = Phase::Detached;
        }
    }

    /// Gives all batches sealed from now on the next epoch, once those before are
    /// settled. Revives a producer that failed, unless the stream is closed. The new
    /// epoch is above any the server named.
    /// Errors: ALREADY_CLOSED after `close` or `detach`; the failure if it cannot be revived.
    pub fn restart(&mut self) -> Result<(), Arc<Failure>> {
        match &self.phase {
            Phase::Failed(failure) if failure.code != ErrorCode::StreamClosed => self.phase = Phase::Open,
            Phase::Open | Phase::Closing | Phase::Closed(_) | Phase::Detached | Phase::Failed(_) => {
                self.check_open()?
            }
        }
        self.claims_in_a_row = 0;
        self.claim_times.clear();
        self.restart_at = Some(self.next_batch);
        Ok(())
    }

    /// Names the driver's next move.
    pub fn poll(&mut self, now: Time) -> Step {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Step::Emit(event);
            }
            if self.is_claiming {
                if self.is_any_under_way() {
                    return Step::AwaitReply;
                }
                self.claim_epoch(now);
                continue;
            }
            match self.slots.iter().position(|slot| !slot.has_left()) {
                Some(index) if self.slots[index].is_due(now) => return self.send(index),
                // Nothing may overtake a batch that the server is known to miss: it would only
                // come back with a gap.
                None if self.admit_next() => {}
                Some(_) | None => return self.wait(),
            }
        }
    }

    /// Takes an answer, and the start of its text if it is an error, for people. Unknown
    /// attempts are ignored.
    pub fn handle_reply(&mut self, now: Time, attempt: u64, head: &ReplyHead, server_text: Option<&str>) {
        let Some(index) = self.under_way(attempt) else { return };
        self.slots[index].server_text = server_text.map(Into::into);
        match reply::read(&self.slots[index].plan, head) {
            Meaning::Accepted { offset, is_duplicate } => self.acknowledge(index, offset, is_duplicate),
            Meaning::Stale(refusal) => self.fenced(now, index, *refusal),
            Meaning::Gap { expected, refusal } => self.gap(index, expected, *refusal),
            Meaning::Again(refusal) => self.again(now, index, *refusal),
            Meaning::Refused(refusal) => {
                let failure = self.failure_at(index, *refusal);
                self.fail_from(index, failure);
            }
        }
    }

    /// Takes the news that an attempt ended without a whole answer. Repeating the tuple
    /// is always safe.
    pub fn handle_failure(&mut self, now: Time, attempt: u64, failure: &TransportFailure) {
        let Some(index) = self.under_way(attempt) else { return };
        self.slots[index].server_text = None;
        let refusal = Refusal { code: failure.kind.code(), facts: Facts::default(), detail: failure.detail.clone() };
        match failure.kind {
            TransportFailureKind::Connect | TransportFailureKind::Timeout | TransportFailureKind::Broken => {
                self.again(now, index, refusal);
            }
            TransportFailureKind::Local => {
                let failure = self.failure_at(index, refusal);
                self.fail_from(index, failure);
            }
        }
    }

    /// Gives up everything not acknowledged, as if the oldest batch had failed.
    pub fn fail(&mut self, failure: Failure) {
        if !matches!(self.phase, Phase::Closed(_) | Phase::Failed(_)) {
            self.fail_from(0, failure);
        }
    }

    /// Where the producer stands.
    pub const fn state(&self) -> WindowState {
        match &self.phase {
            Phase::Open if self.must_go_alone() => WindowState::Claiming,
            Phase::Open => WindowState::Running,
            Phase::Closing => WindowState::Closing,
            Phase::Closed(_) => WindowState::Closed,
            Phase::Detached => WindowState::Detached,
            Phase::Failed(_) => WindowState::Failed,
        }
    }

    /// The result of closing, once closed.
    pub const fn closed(&self) -> Option<&Closed> {
        if let Phase::Closed(closed) = &self.phase { Some(closed) } else { None }
    }

    /// Why the producer failed, if it did.
    pub const fn failure(&self) -> Option<&Arc<Failure>> {
        if let Phase::Failed(failure) = &self.phase { Some(failure) } else { None }
    }

    /// Whether a restart waits for earlier batches.
    pub const fn is_restarting(&self) -> bool {
        self.restart_at.is_some()
    }

    /// The epoch in use.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The seq that a batch sealed now would get if nothing else happened.
    pub fn next_seq(&self) -> u64 {
        match self.restart_at {
            Some(barrier) => self.next_batch.saturating_sub(barrier),
            None => self.next_seq.saturating_add(self.queued.len() as u64).min(MAX_SAFE_INTEGER),
        }
    }

    /// Number the next sealed batch will get.
    pub const fn next_batch(&self) -> u64 {
        self.next_batch
    }

    /// All batches below this number are acknowledged or failed.
    pub fn settled_below(&self) -> u64 {
        let oldest = self.slots.front().map(|slot| &slot.batch).or_else(|| self.queued.front());
        oldest.map_or(self.next_batch, |batch| batch.number)
    }

    /// Batches sent and not yet settled.
    pub fn in_flight(&self) -> usize {
        self.slots.iter().filter(|slot| slot.has_left()).count()
    }

    /// Whether a batch sealed now could be sent at once.
    pub fn has_room(&self) -> bool {
        let is_held = self.is_claiming || self.restart_at.is_some() || !self.slots.iter().all(Slot::has_left);
        self.queued.is_empty() && !is_held && self.slots.len() < self.limit()
    }

    /// Tail after the latest acknowledged batch; never goes back.
    pub fn acknowledged_offset(&self) -> Option<&Offset> {
        self.acked.as_ref().map(|(_, offset)| offset)
    }

    fn enqueue(&mut self, body: Bytes, message_count: u64, closes: bool) -> u64 {
        let number = self.next_batch;
        self.next_batch += 1;
        self.queued.push_back(Batch { number, body, message_count, closes });
        number
    }

    /// A batch of an epoch above 0 must not overtake the one that introduces the epoch:
    /// the server would answer 400. With epoch 0 there is nothing to introduce.
    const fn must_go_alone(&self) -> bool {
        !self.is_confirmed && (self.auto_claim || self.epoch > 0)
    }

    const fn limit(&self) -> usize {
        if self.must_go_alone() { 1 } else { self.pace.limit }
    }

    fn is_any_under_way(&self) -> bool {
        self.slots.iter().any(Slot::is_under_way)
    }

    fn under_way(&self, attempt: u64) -> Option<usize> {
        self.slots.iter().position(|slot| slot.is_attempt(attempt))
    }

    /// Moves the next queued batch into the window, or raises the epoch if that has to
    /// come first. False when nothing changed.
    fn admit_next(&mut self) -> bool {
        if self.restart_at.is_some_and(|barrier| self.queued.front().is_none_or(|batch| batch.number >= barrier)) {
            let is_clear = self.slots.is_empty();
            if is_clear {
                self.restart_at = None;
                self.raise_epoch();
            }
            return is_clear;
        }
        let Some(batch) = self.queued.front() else { return false };
        let must_be_clear = batch.closes || self.next_seq > MAX_SAFE_INTEGER;
        // protocol.md §20: a stream once closed answers 409 even to retries of batches it
        // accepted, so nothing may be unacknowledged when the closing request leaves.
        if self.slots.len() >= self.limit() || must_be_clear && !self.slots.is_empty() {
            return false;
        }
        if self.next_seq > MAX_SAFE_INTEGER {
            self.raise_epoch();
            return true;
        }
        let Some(batch) = self.queued.pop_front() else { return false };
        let state = ProducerState { epoch: self.epoch, seq: self.next_seq };
        match self.plan(&batch, state) {
            Ok(plan) => {
                self.slots.push_back(Slot::new(batch, state, plan));
                self.next_seq += 1;
            }
            Err(error) => {
                let failure = Failure { state, ..Failure::new(ErrorCode::InvalidArgument, error.to_string()) };
                self.queued.push_front(batch);
                self.fail_from(self.slots.len(), failure);
            }
        }
        true
    }

    fn plan(&self, batch: &Batch, state: ProducerState) -> Result<RequestPlan, InvalidArgument> {
        let producer = Some(ProducerTag { id: self.producer_id.clone(), epoch: state.epoch, seq: state.seq });
        let (body, content_type) = (batch.body.clone(), self.content_type.as_str());
        if batch.closes {
            Close { body, content_type, producer }.plan()
        } else {
            Append { body, content_type, producer, ..Append::default() }.plan()
        }
    }

    fn send(&mut self, index: usize) -> Step {
        let attempt = self.next_attempt;
        self.next_attempt += 1;
        let oldest_unacked = self.slots.front().map_or(0, |slot| slot.state.seq);
        let acked_ahead = self.slots.iter().filter(|slot| slot.is_acked()).map(|slot| slot.state.seq).collect();
        let slot = &mut self.slots[index];
        slot.tries = slot.tries.saturating_add(1);
        slot.stage = Stage::UnderWay { attempt, oldest_unacked, acked_ahead };
        Step::Send(Outgoing { attempt, batch: slot.batch.number, state: slot.state, plan: slot.plan.clone() })
    }

    fn wait(&self) -> Step {
        let deadline = self.slots.iter().find(|slot| !slot.has_left()).and_then(Slot::deadline);
        let is_empty = self.slots.is_empty() && self.queued.is_empty();
        match (deadline, &self.phase) {
            (Some(deadline), _) => Step::WaitUntil(deadline),
            (None, _) if self.is_any_under_way() => Step::AwaitReply,
            (None, Phase::Closed(_) | Phase::Detached | Phase::Failed(_)) if is_empty => Step::End,
            (None, _) => Step::Idle,
        }
    }

    fn refusal(&self, detail: &str) -> Failure {
        let state = ProducerState { epoch: self.epoch, seq: self.next_seq };
        Failure { state, ..Failure::new(ErrorCode::AlreadyClosed, detail) }
    }
}

/// The random numbers of backoff, from the seed on a fixed path (`SplitMix64`).
#[derive(Debug)]
struct Jitter(u64);

impl Jitter {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
