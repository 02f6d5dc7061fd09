//! Everything a producer's clones and its driver share, behind one lock: the batch being
//! filled, the window, the books.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use durable_streams_protocol::{
    Time, content_type,
    error::ErrorCode,
    json_mode::{self, JsonError},
    produce::{
        options::BatchOptions,
        window::{Event, ProducerWindow, Step, WindowState},
    },
};

use super::{
    batch::{BatchKind, OpenBatch},
    cause::Cause,
    ledger::{Acknowledgement, Fate, Ledger, Tally},
};
use crate::Offset;

/// How much may wait for delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QueueLimits {
    /// Above this, appends wait when awaited. Units: bytes of messages.
    pub(super) bytes: u64,
    /// The same in messages.
    pub(super) messages: u64,
}

impl QueueLimits {
    /// Beyond so many times the limits, appends that nobody awaits are refused: memory has
    /// to end somewhere.
    const HARD: u64 = 4;

    fn refuses(&self, queued: Tally) -> bool {
        queued.bytes > self.bytes.saturating_mul(Self::HARD)
            || queued.messages > self.messages.saturating_mul(Self::HARD)
    }
}

/// What [`State::accept`] did with a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Accepted {
    /// Everything taken up to and including the message.
    pub(super) position: Tally,
    /// Whether that is within the limits and the message cannot be refused any more.
    pub(super) has_room: bool,
    /// Whether the driver has something to do.
    pub(super) wakes: bool,
}

/// The driver's next move.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it lives for one step of the driver and never in a collection")]
pub(crate) enum Move {
    /// Follow the window's step.
    Window(Step),
    /// Ask for the stream's content type.
    Discover,
    /// Stop: all clones are gone.
    Stop,
}

/// See the module text.
pub(crate) struct State {
    options: BatchOptions,
    limits: QueueLimits,
    url: Arc<str>,
    kind: Option<BatchKind>,
    open: OpenBatch,
    staged: Staged,
    window: ProducerWindow,
    ledger: Ledger,
    /// Everything below this message is sealed without waiting for more.
    seal_below: u64,
    /// Someone needs to know the content type.
    wants_type: bool,
    close_unanswered: Option<Cause>,
    /// Of the newest acknowledged batch, with the batch's number.
    newest: Option<(u64, Acknowledgement)>,
    is_orphaned: bool,
}

/// Messages taken before the content type is known.
#[derive(Debug, Default)]
struct Staged {
    bytes: BytesMut,
    messages: Vec<StagedMessage>,
}

#[derive(Debug)]
struct StagedMessage {
    len: usize,
    /// Why it must not go to a JSON stream.
    error: Option<Box<JsonError>>,
}

impl Staged {
    fn tally(&self) -> Tally {
        Tally { messages: self.messages.len() as u64, bytes: self.bytes.len() as u64 }
    }
}

impl State {
    pub(super) fn new(
        options: BatchOptions,
        limits: QueueLimits,
        url: Arc<str>,
        kind: Option<BatchKind>,
        window: ProducerWindow,
    ) -> Self {
        Self {
            options,
            limits,
            url,
            kind,
            open: OpenBatch::default(),
            staged: Staged::default(),
            window,
            ledger: Ledger::default(),
            seal_below: 0,
            wants_type: false,
            close_unanswered: None,
            newest: None,
            is_orphaned: false,
        }
    }

    /// Copies a message into the batch being filled. `json_error` is why it is no JSON
    /// value, if the stream may be a JSON stream.
    pub(super) fn accept(&mut self, message: &[u8], json_error: Option<JsonError>) -> Result<Accepted, Cause> {
        self.check_open()?;
        if message.is_empty() {
            return Err(self.invalid("an append needs at least one byte"));
        }
        if self.limits.refuses(self.queued()) {
            return Err(self.queue_full());
        }
        let wakes = match (self.kind, json_error) {
            (Some(BatchKind::Json), Some(error)) => return Err(self.not_json(&error)),
            (Some(kind), _) => self.push(message, kind),
            (None, error) => {
                self.staged.bytes.extend_from_slice(message);
                self.staged.messages.push(StagedMessage { len: message.len(), error: error.map(Box::new) });
                self.wants_type = true;
                self.staged.messages.len() == 1
            }
        };
        let mut position = self.ledger.accepted();
        position += self.staged.tally();
        let has_room = self.kind.is_some() && self.has_room_at(position);
        // A full queue does not wait for more.
        Ok(Accepted { position, has_room, wakes: wakes || !has_room })
    }

    /// The same, unless the queue is full.
    pub(super) fn try_accept(&mut self, message: &[u8], json_error: Option<JsonError>) -> Result<Accepted, Cause> {
        let queued = self.queued();
        if queued.bytes >= self.limits.bytes || queued.messages >= self.limits.messages {
            self.check_open()?;
            return Err(self.queue_full());
        }
        self.accept(message, json_error)
    }

    /// Messages taken whose fate is open.
    pub(super) fn pending_messages(&self) -> u64 {
        let taken = self.ledger.accepted().messages + self.staged.messages.len() as u64;
        taken.saturating_sub(self.ledger.settled().messages)
    }

    /// The same in bytes of messages.
    pub(super) fn pending_bytes(&self) -> u64 {
        self.queued().bytes
    }

    /// What the server said to the newest batch it acknowledged.
    pub(super) fn newest_acknowledgement(&self) -> Option<&Acknowledgement> {
        self.newest.as_ref().map(|(_, acknowledgement)| acknowledgement)
    }

    /// Whether messages are taken; the error says why not.
    pub(super) fn check_open(&self) -> Result<(), Cause> {
        self.window.check_open().map_err(|failure| Cause::of(&failure, &self.url))
    }

    /// Whether everything up to a position is within the limits, or settled for another
    /// reason.
    pub(super) fn has_room_at(&self, position: Tally) -> bool {
        let settled = self.ledger.settled();
        position.bytes <= settled.bytes.saturating_add(self.limits.bytes)
            && position.messages <= settled.messages.saturating_add(self.limits.messages)
    }

    /// Where the last message before a position stands.
    pub(super) fn fate_at(&self, position: Tally) -> Fate {
        self.ledger.fate(position.messages.saturating_sub(1))
    }

    /// Whether messages are known to be bytes or JSON.
    pub(super) const fn kind(&self) -> Option<BatchKind> {
        self.kind
    }

    /// Makes the driver ask for the content type.
    pub(super) const fn want_type(&mut self) {
        self.wants_type = true;
    }

    /// A structured value was appended and nobody has said what the stream is: JSON.
    #[cfg(feature = "json")]
    pub(super) fn assume_json(&mut self) {
        if self.kind.is_none() && self.staged.messages.is_empty() {
            self.set_content_type(content_type::JSON);
        }
    }

    /// Learns the content type and puts the staged messages into batches. Returns what to
    /// tell the error callback.
    pub(crate) fn set_content_type(&mut self, content_type: &str) -> Vec<Cause> {
        if self.kind.is_some() {
            return Vec::new();
        }
        let kind = BatchKind::of(content_type);
        self.window.set_content_type(content_type.to_owned());
        self.kind = Some(kind);
        let mut refused = Vec::new();
        let Staged { bytes, messages } = std::mem::take(&mut self.staged);
        let mut rest = bytes.freeze();
        for StagedMessage { len, error } in messages {
            let message = rest.split_to(len);
            match error.filter(|_| kind == BatchKind::Json) {
                Some(error) => {
                    let cause = self.not_json(&error);
                    let number = self.ledger.accept(len);
                    self.ledger.refuse(number, len, cause.clone());
                    refused.push(cause);
                }
                None => {
                    self.push(&message, kind);
                }
            }
        }
        refused
    }

    /// The content type cannot be learned: nothing can be sent.
    pub(crate) fn fail(&mut self, cause: Cause) {
        let facts = cause.failure.facts().clone();
        let detail = format!("the stream's content type cannot be learned: {}", cause.failure.detail());
        let mut failure = durable_streams_protocol::produce::window::Failure::new(cause.failure.code(), detail);
        failure.facts = facts;
        failure.server_text = cause.failure.server_text().map(Into::into);
        self.window.fail(failure);
    }

    /// Seals the batch being filled, if the window takes batches.
    pub(super) fn seal(&mut self) {
        let Some(kind) = self.kind.filter(|_| !self.open.is_empty()) else { return };
        if self.window.check_open().is_err() {
            return;
        }
        let (body, message_count) = self.open.take(kind);
        if let Ok(batch) = self.window.seal(body, message_count) {
            self.ledger.seal(batch);
        }
    }

    /// Begins a flush: the messages it waits for, and its number for [`State::take_loss`].
    pub(super) fn begin_flush(&mut self) -> (u64, u64) {
        self.seal();
        self.seal_below = self.ledger.accepted().messages + self.staged.tally().messages;
        (self.seal_below, self.ledger.begin_flush())
    }

    /// Whether all messages below a number are settled.
    pub(super) fn is_settled_below(&self, number: u64) -> bool {
        self.staged.messages.is_empty() && self.ledger.is_settled_below(number)
    }

    /// The failure that flush number `flush` has to report.
    pub(super) fn take_loss(&mut self, flush: u64) -> Option<Cause> {
        self.ledger.take_loss(flush)
    }

    /// Notes that something the caller meant to write will not be written.
    pub(super) fn note_loss(&mut self, cause: Cause) {
        self.ledger.note_loss(cause);
    }

    /// Sends the closing request behind everything taken so far. False when the content
    /// type has to be learned first.
    pub(super) fn close(&mut self, message: &[u8]) -> Result<bool, Cause> {
        let is_staged = !self.staged.messages.is_empty();
        if self.window.state() != WindowState::Closed && self.kind.is_none() && (is_staged || !message.is_empty()) {
            self.check_open()?;
            self.wants_type = true;
            return Ok(false);
        }
        self.seal();
        let body = self.kind.filter(|_| !message.is_empty()).map_or_else(Bytes::new, |kind| kind.wrap(message));
        let (batch, message_count) = (self.window.next_batch(), u64::from(!body.is_empty()));
        self.window.close(body, message_count).map_err(|failure| Cause::of(&failure, &self.url))?;
        if self.window.next_batch() > batch {
            self.ledger.seal(batch);
        }
        self.close_unanswered = None;
        Ok(true)
    }

    /// How closing ended, once it has.
    pub(super) fn close_result(&self) -> Option<Result<Option<Offset>, Cause>> {
        if let Some(closed) = self.window.closed() {
            return Some(Ok(closed.final_offset.clone()));
        }
        if let Some(failure) = self.window.failure() {
            return Some(Err(Cause::of(failure, &self.url)));
        }
        self.close_unanswered.clone().map(Err)
    }

    /// Takes no more messages. False when staged ones have to find their batches first.
    pub(super) fn detach(&mut self) -> bool {
        if !self.staged.messages.is_empty() {
            return false;
        }
        self.seal();
        self.window.detach();
        true
    }

    /// Gives messages from now on the next epoch. False when staged ones have to find their
    /// batches first.
    pub(super) fn restart(&mut self) -> Result<bool, Cause> {
        if !self.staged.messages.is_empty() {
            return Ok(false);
        }
        self.seal();
        self.window.restart().map_err(|failure| Cause::of(&failure, &self.url))?;
        Ok(true)
    }

    /// How a restart ended, once it has.
    pub(super) fn restart_result(&self) -> Option<Result<(), Cause>> {
        if let Some(failure) = self.window.failure() {
            return Some(Err(Cause::of(failure, &self.url)));
        }
        (!self.window.is_restarting()).then_some(Ok(()))
    }

    pub(super) const fn window(&self) -> &ProducerWindow {
        &self.window
    }

    /// All clones are gone.
    pub(super) const fn orphan(&mut self) {
        self.is_orphaned = true;
    }

    /// The driver's next move, and until when it may sleep for the sake of the batch being
    /// filled.
    pub(crate) fn next_move(&mut self, now: Time) -> (Move, Option<Time>) {
        if self.is_orphaned {
            return (Move::Stop, None);
        }
        if self.wants_type && self.kind.is_none() && self.window.check_open().is_ok() {
            self.wants_type = false;
            return (Move::Discover, None);
        }
        let linger = self.seal_due(now, self.options.linger);
        (Move::Window(self.window.poll(now)), linger)
    }

    /// The window, for the answers of requests.
    pub(crate) const fn window_mut(&mut self) -> &mut ProducerWindow {
        &mut self.window
    }

    /// Whether the driver can still be of use after the window has ended.
    pub(crate) fn can_be_revived(&self) -> bool {
        self.window.state() == WindowState::Failed
    }

    /// Writes down what happened. Returns what to tell the error callback.
    pub(crate) fn observe(&mut self, event: Event) -> Option<Cause> {
        match event {
            Event::Acknowledged { batch, state, offset, is_duplicate, .. } => {
                let (duplicate, epoch, seq) = (is_duplicate, state.epoch, state.seq);
                let acknowledgement = Acknowledgement { offset, duplicate, epoch, seq };
                // Answers overtake each other.
                if self.newest.as_ref().is_none_or(|(newest, _)| *newest <= batch) {
                    self.newest = Some((batch, acknowledgement.clone()));
                }
                self.ledger.store(batch, acknowledgement);
                None
            }
            Event::Failed { batches, failure, .. } => {
                let cause = Cause::of(&failure, &self.url);
                self.give_up(batches.start, &cause);
                Some(cause)
            }
            Event::CloseUnanswered(failure) => {
                let cause = Cause::of(&failure, &self.url);
                self.close_unanswered = Some(cause.clone());
                Some(cause)
            }
            Event::EpochRaised { epoch } => {
                tracing::debug!(url = %self.url, epoch, "the producer writes with a new epoch");
                None
            }
            Event::Closed(_) => None,
        }
    }

    /// The driver ends and will not come back. Returns how many messages are lost.
    pub(crate) fn abandon(&mut self) -> u64 {
        let before = self.ledger.accepted().messages + self.staged.tally().messages;
        let lost = before - self.ledger.settled().messages;
        if lost == 0 && self.window.state() == WindowState::Detached {
            return 0;
        }
        let failure = durable_streams_protocol::produce::window::Failure::new(
            ErrorCode::Cancelled,
            "the producer was dropped or its runtime has ended",
        );
        let cause = Cause::of(&failure, &self.url);
        self.window.fail(failure);
        self.give_up(0, &cause);
        lost
    }

    fn give_up(&mut self, batch: u64, cause: &Cause) {
        for message in std::mem::take(&mut self.staged).messages {
            self.ledger.accept(message.len);
        }
        self.open.clear();
        self.ledger.fail_from(batch, cause);
    }

    /// Puts a message into the batch being filled. True when the driver has something to do.
    fn push(&mut self, message: &[u8], kind: BatchKind) -> bool {
        let mut wakes = false;
        if self.open.is_too_full_for(message, kind, &self.options) {
            self.seal();
            wakes = true;
        }
        // The linger time starts with the first message of a batch.
        wakes |= self.open.is_empty();
        self.open.push(message, kind);
        self.ledger.accept(message.len());
        if self.open.is_full(kind, &self.options) {
            self.seal();
            wakes = true;
        }
        wakes
    }

    /// Seals the batch being filled when its time has come: at once when the queue is full, as
    /// whoever appends waits for room. While the window is full a small batch may go on
    /// growing: it could not be sent anyway.
    fn seal_due(&mut self, now: Time, linger: Duration) -> Option<Time> {
        if self.open.is_empty() {
            return None;
        }
        let deadline = *self.open.deadline.get_or_insert(now.saturating_add(linger));
        let accepted = self.ledger.accepted();
        let first = accepted.messages - self.open.message_count;
        let is_due = deadline <= now || !self.has_room_at(accepted);
        if first < self.seal_below || is_due && self.window.has_room() {
            self.seal();
            return None;
        }
        (deadline > now).then_some(deadline)
    }

    fn queued(&self) -> Tally {
        let mut queued = self.ledger.accepted() - self.ledger.settled();
        queued += self.staged.tally();
        queued
    }

    fn invalid(&self, detail: impl Into<String>) -> Cause {
        Cause::local(ErrorCode::InvalidArgument, detail, &self.url)
    }

    fn not_json(&self, error: &JsonError) -> Cause {
        self.invalid(format!("the message is not one JSON value: {error}"))
    }

    fn queue_full(&self) -> Cause {
        let Tally { messages, bytes } = self.queued();
        let detail = format!(
            "the producer's queue is full: {messages} messages with {bytes} bytes wait for delivery; await the \
             receipts of `append` to go at the pace of the server"
        );
        Cause::local(ErrorCode::Busy, detail, &self.url)
    }
}

/// Why a message must not go into a JSON batch: one item must stay one message.
pub(super) fn json_error(message: &[u8]) -> Option<JsonError> {
    json_mode::validate_item(message).err()
}
