//! Exactly-once writing with batches.
//!
//! A [`Producer`] collects messages into batches and sends several batches at once. Every
//! batch carries the producer's id, an epoch and a sequence number, so a retry is never
//! stored twice and a lost batch is never skipped (protocol.md §19, §20).
//!
//! Reading order: [`Producer`] for the calls, [`AppendReceipt`] for backpressure and
//! acknowledgements, [`ProducerBuilder`] for the settings.

mod batch;
mod builder;
mod cause;
mod ledger;
mod receipt;
#[cfg(feature = "json")]
mod scratch;
#[cfg(test)]
mod simulation;
mod state;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use bytes::Bytes;
use durable_streams_protocol::{error::ErrorCode, retry::RetryPolicy};
use parking_lot::Mutex;
use tokio::sync::Notify;

use self::{batch::BatchKind, builder::OnError, state::Accepted};
pub use self::{
    builder::ProducerBuilder,
    ledger::Acknowledgement,
    receipt::{Accepting, AppendReceipt},
};
pub(crate) use self::{
    cause::Cause,
    state::{Move, State},
};
use crate::{
    Offset,
    driver::exchange::Extras,
    error::{Failure, ProducerError},
    options::{CloseResponse, HeadOptions},
    stream::DurableStream,
};

pub use durable_streams_protocol::produce::{
    options::{BatchNumbers, BatchOptions},
    window::WindowState,
};

/// Writes to a stream exactly once, in the order of the `append` calls. Clones write
/// through the same batches and sequence numbers.
///
/// When the last clone goes, nothing more is sent and the stream stays open; messages not
/// yet delivered are lost. Call [`flush`](Producer::flush), [`detach`](Producer::detach)
/// or [`close`](Producer::close) first.
#[derive(Clone)]
pub struct Producer(Arc<Handle>);

impl Producer {
    /// Starts a producer; it needs [`url`](ProducerBuilder::url) and
    /// [`producer_id`](ProducerBuilder::producer_id).
    pub fn builder() -> ProducerBuilder {
        ProducerBuilder::new(None, String::new())
    }

    pub(crate) fn new(handle: Handle) -> Self {
        Self(Arc::new(handle))
    }

    /// Takes a message, at once and in the order of the calls, without waiting for the
    /// network. The receipt may be dropped (fire-and-forget), awaited (backpressure), or
    /// asked for the server's [acknowledgement](AppendReceipt::acknowledged).
    ///
    /// Whoever appends without ever awaiting outruns a slow server: beyond four times
    /// [`max_queued_bytes`](ProducerBuilder::max_queued_bytes) messages are refused, which the
    /// receipt, the error callback and the next flush tell.
    ///
    /// Shape: bytes; on JSON streams one JSON value, which stays one message even if it is
    /// an array. Anything else is refused, and does not disturb the batch.
    pub fn append(&self, message: impl AsRef<[u8]>) -> AppendReceipt<'_> {
        let shared = &self.0.0;
        AppendReceipt::new(shared, shared.accept(message.as_ref()))
    }

    /// Takes a message as [`append`](Producer::append) does, unless the queue is full.
    /// Errors: [`ProducerError::QueueFull`] and the other refusals; the message is not taken.
    pub fn try_append(&self, message: impl AsRef<[u8]>) -> Result<AppendReceipt<'_>, ProducerError> {
        let shared = &self.0.0;
        let message = message.as_ref();
        let accepted = shared.take(|state, error| state.try_accept(message, error), message)?;
        Ok(AppendReceipt::new(shared, Ok(accepted)))
    }

    /// Takes a value as one JSON message. On a stream whose content type nobody has stated,
    /// the first call states `application/json`.
    #[cfg(feature = "json")]
    pub fn append_json<T: serde::Serialize + ?Sized>(&self, value: &T) -> AppendReceipt<'_> {
        let shared = &self.0.0;
        let outcome = scratch::with(|text| match serde_json::to_writer(&mut *text, value) {
            Ok(()) => {
                shared.assume_json();
                shared.accept_json(text)
            }
            Err(error) => {
                let detail = format!("the value does not become JSON: {error}");
                Err(Cause::local(ErrorCode::InvalidArgument, detail, &shared.url))
            }
        });
        AppendReceipt::new(shared, outcome)
    }

    /// Takes the text of one JSON value that a serializer has just written, without looking at it
    /// again: whatever else it were, the server would get it. Other text is for
    /// [`append`](Producer::append).
    pub fn append_json_text(&self, text: &[u8]) -> AppendReceipt<'_> {
        let shared = &self.0.0;
        AppendReceipt::new(shared, shared.accept_json(text))
    }

    /// Sends what is collected and waits until every message taken before this call is
    /// acknowledged. Can be repeated; messages taken meanwhile are not waited for.
    /// Errors: the first failure since the last flush that reported one.
    pub async fn flush(&self) -> Result<(), ProducerError> {
        self.0.0.flush().await.map_err(Into::into)
    }

    /// Flushes, then ends the stream **for everyone**. To only stop writing, use
    /// [`detach`](Producer::detach). Repeating returns the first result without a request.
    /// Errors: those of [`flush`](Producer::flush), with the stream still open; a second call
    /// then closes what arrived, unless a batch failed for good.
    pub async fn close(&self) -> Result<CloseResponse, ProducerError> {
        self.close_stream(None).await
    }

    /// Flushes, then ends the stream for everyone with a last message, in one step.
    /// Repeating returns the first result; a different last message is then ignored.
    pub async fn close_with(&self, last: impl AsRef<[u8]>) -> Result<CloseResponse, ProducerError> {
        self.close_stream(Some(Bytes::copy_from_slice(last.as_ref()))).await
    }

    /// Flushes, then ends the stream for everyone, with a last message if there is one.
    pub async fn close_stream(&self, last: Option<Bytes>) -> Result<CloseResponse, ProducerError> {
        self.0.0.close(last.unwrap_or_default()).await.map_err(Into::into)
    }

    /// Flushes and stops. The stream stays open for others.
    /// Errors: those of [`flush`](Producer::flush); the producer is detached all the same.
    pub async fn detach(&self) -> Result<(), ProducerError> {
        self.0.0.detach().await.map_err(Into::into)
    }

    /// Flushes and goes on in the next epoch, from sequence number 0. Also revives a
    /// producer that failed, above the epoch that fenced it, once a flush has reported the
    /// failure.
    /// Errors: those of [`flush`](Producer::flush), with the epoch unchanged.
    pub async fn restart(&self) -> Result<(), ProducerError> {
        self.0.0.restart().await.map_err(Into::into)
    }

    /// The epoch in use.
    pub fn epoch(&self) -> u64 {
        self.0.0.state.lock().window().epoch()
    }

    /// The sequence number the next batch will get.
    pub fn next_seq(&self) -> u64 {
        self.0.0.state.lock().window().next_seq()
    }

    /// Messages taken that are neither acknowledged nor given up.
    pub fn pending_messages(&self) -> u64 {
        self.0.0.state.lock().pending_messages()
    }

    /// The same in bytes of messages.
    pub fn pending_bytes(&self) -> u64 {
        self.0.0.state.lock().pending_bytes()
    }

    /// Waits until the fate of every message taken is known, also of those taken meanwhile.
    /// Tells no failure: the error callback and the next flush do.
    pub async fn settled(&self) {
        self.0.0.wait_for(|state| (state.pending_messages() == 0).then_some(())).await;
    }

    /// What the server said to the newest batch it acknowledged.
    pub fn last_acknowledgement(&self) -> Option<Acknowledgement> {
        self.0.0.state.lock().newest_acknowledgement().cloned()
    }

    /// Batches sent and not yet answered for good.
    pub fn in_flight_batches(&self) -> usize {
        self.0.0.state.lock().window().in_flight()
    }

    /// Where the producer stands.
    pub fn state(&self) -> WindowState {
        self.0.0.state.lock().window().state()
    }

    /// Tail after the latest acknowledged batch; never goes back.
    pub fn acknowledged_offset(&self) -> Option<Offset> {
        self.0.0.state.lock().window().acknowledged_offset().cloned()
    }

    /// The stream written to.
    pub fn stream(&self) -> &DurableStream {
        &self.0.0.stream
    }

    /// The calls above with failures that know code, facts and URL. Bindings stand on these.
    pub fn detailed(&self) -> DetailedProducer<'_> {
        DetailedProducer(&self.0.0)
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("url", &self.0.0.url).field("state", &self.state()).finish_non_exhaustive()
    }
}

/// A producer's calls with detailed failures; see [`Producer::detailed`].
#[derive(Clone, Copy)]
pub struct DetailedProducer<'p>(&'p Arc<Shared>);

impl DetailedProducer<'_> {
    /// See [`Producer::flush`].
    pub async fn flush(&self) -> Result<(), Failure> {
        self.0.flush().await.map_err(|cause| cause.failure)
    }

    /// See [`Producer::close_stream`].
    pub async fn close_stream(&self, last: Option<Bytes>) -> Result<CloseResponse, Failure> {
        self.0.close(last.unwrap_or_default()).await.map_err(|cause| cause.failure)
    }

    /// See [`Producer::detach`].
    pub async fn detach(&self) -> Result<(), Failure> {
        self.0.detach().await.map_err(|cause| cause.failure)
    }

    /// See [`Producer::restart`].
    pub async fn restart(&self) -> Result<(), Failure> {
        self.0.restart().await.map_err(|cause| cause.failure)
    }
}

impl fmt::Debug for DetailedProducer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DetailedProducer").field(&self.0.url).finish()
    }
}

/// What the clones of a producer share; the driver stops when it goes.
pub(crate) struct Handle(Arc<Shared>);

impl Handle {
    const fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.state.lock().orphan();
        self.0.wake.notify_one();
    }
}

/// What clones, receipts and the driver share.
pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    /// Tells the driver that there is something to do.
    pub(crate) wake: Notify,
    /// Tells waiting callers that something was settled.
    pub(crate) progress: Notify,
    pub(crate) stream: DurableStream,
    pub(crate) extras: Extras,
    pub(crate) retry: RetryPolicy,
    /// What the state knows about the stream, for a look without the lock.
    kind: AtomicKind,
    url: Arc<str>,
    on_error: Option<OnError>,
}

impl Shared {
    fn new(state: State, stream: DurableStream, extras: Extras, retry: RetryPolicy, on_error: Option<OnError>) -> Self {
        let kind = AtomicKind::default();
        kind.store(state.kind());
        let url = Arc::from(stream.url());
        Self {
            state: Mutex::new(state),
            wake: Notify::new(),
            progress: Notify::new(),
            stream,
            extras,
            retry,
            kind,
            url,
            on_error,
        }
    }

    /// Learns the stream's content type.
    pub(crate) fn learn(&self, content_type: &str) {
        let mut state = self.state.lock();
        let refused = state.set_content_type(content_type);
        self.kind.store(state.kind());
        drop(state);
        self.progress.notify_waiters();
        for cause in refused {
            self.report(cause);
        }
    }

    /// Tells the error callback.
    pub(crate) fn report(&self, cause: Cause) {
        tracing::debug!(error = %cause.failure, "a producer's messages are not delivered");
        if let Some(on_error) = &self.on_error {
            on_error(cause.failure.clone(), cause.into());
        }
    }

    /// Waits until `check` finds something. Cheap while nobody waits.
    async fn wait_for<T>(&self, mut check: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            // A `Notified` hears everything from its creation on, so nothing slips between
            // the check and the wait.
            let progress = self.progress.notified();
            let found = check(&mut self.state.lock());
            if let Some(found) = found {
                return found;
            }
            progress.await;
        }
    }

    /// A structured value comes: unless somebody knows better, the stream is JSON.
    #[cfg(feature = "json")]
    fn assume_json(&self) {
        if self.kind.load().is_none() {
            let mut state = self.state.lock();
            state.assume_json();
            self.kind.store(state.kind());
        }
    }

    fn accept(&self, message: &[u8]) -> Result<Accepted, Cause> {
        self.take(|state, error| state.accept(message, error), message)
    }

    /// Checks a message outside of the lock, then takes it in one short critical section.
    fn take(
        &self,
        accept: impl FnOnce(&mut State, Option<durable_streams_protocol::json_mode::JsonError>) -> Result<Accepted, Cause>,
        message: &[u8],
    ) -> Result<Accepted, Cause> {
        // Bytes need no check; while nobody knows the type, every message may turn out JSON.
        let error = if self.kind.load() == Some(BatchKind::Bytes) { None } else { state::json_error(message) };
        let accepted = accept(&mut self.state.lock(), error)?;
        self.wake_for(accepted);
        Ok(accepted)
    }

    /// Takes what is known to be one JSON value.
    fn accept_json(&self, text: &[u8]) -> Result<Accepted, Cause> {
        debug_assert!(state::json_error(text).is_none(), "the text is no JSON value");
        let accepted = self.state.lock().accept(text, None)?;
        self.wake_for(accepted);
        Ok(accepted)
    }

    fn wake_for(&self, accepted: Accepted) {
        if accepted.wakes {
            self.wake.notify_one();
        }
    }

    /// A message was refused and nobody looked at its receipt.
    fn refused_unseen(&self, cause: Cause) {
        self.state.lock().note_loss(cause.clone());
        // After the end of a producer, refusals only repeat what was reported.
        if matches!(cause.failure.code(), ErrorCode::InvalidArgument | ErrorCode::Busy) && cause.failure.attempts() == 0
        {
            self.report(cause);
        }
    }

    /// A receipt that has already told its outcome.
    fn told(&self) -> Cause {
        Cause::local(ErrorCode::AlreadyClosed, "this receipt was used before", &self.url)
    }

    async fn flush(&self) -> Result<(), Cause> {
        let (below, flush) = self.state.lock().begin_flush();
        self.wake.notify_one();
        self.wait_for(|state| state.is_settled_below(below).then_some(())).await;
        self.state.lock().take_loss(flush).map_or(Ok(()), Err)
    }

    async fn close(&self, last: Bytes) -> Result<CloseResponse, Cause> {
        if self.state.lock().window().state() != WindowState::Closed {
            self.flush().await?;
            self.check_last(&last)?;
            loop {
                let is_sent = self.state.lock().close(&last)?;
                self.wake.notify_one();
                if is_sent {
                    break;
                }
                self.typed().await?;
                self.check_last(&last)?;
            }
        }
        let result = self.wait_for(|state| state.close_result()).await;
        if result.is_err() {
            // This call reports the failure; the next flush need not.
            let mut state = self.state.lock();
            let (_, flush) = state.begin_flush();
            state.take_loss(flush);
        }
        match result? {
            Some(final_offset) => Ok(CloseResponse { final_offset }),
            // protocol.md §28 C42: answers to duplicates may lack the offset.
            None => Ok(CloseResponse {
                final_offset: self
                    .stream
                    .head_with(HeadOptions::new())
                    .await
                    .map_err(|error| {
                        let detail = format!("the stream is closed, but its final offset is unknown: {error}");
                        Cause::local(ErrorCode::ParseError, detail, &self.url)
                    })?
                    .next_offset,
            }),
        }
    }

    fn check_last(&self, last: &[u8]) -> Result<(), Cause> {
        let is_json = self.state.lock().kind() == Some(BatchKind::Json);
        match state::json_error(last).filter(|_| is_json && !last.is_empty()) {
            Some(error) => {
                let detail = format!("the last message is not one JSON value: {error}");
                Err(Cause::local(ErrorCode::InvalidArgument, detail, &self.url))
            }
            None => Ok(()),
        }
    }

    /// Waits until the content type is known.
    async fn typed(&self) -> Result<(), Cause> {
        self.state.lock().want_type();
        self.wake.notify_one();
        let check = |state: &mut State| match state.check_open() {
            Ok(()) => state.kind().map(|_| Ok(())),
            Err(cause) => Some(Err(cause)),
        };
        self.wait_for(check).await
    }

    async fn detach(&self) -> Result<(), Cause> {
        let mut outcome = self.flush().await;
        while !self.state.lock().detach() {
            outcome = outcome.and(self.flush().await);
        }
        self.wake.notify_one();
        outcome.and(self.flush().await)
    }

    async fn restart(&self) -> Result<(), Cause> {
        loop {
            self.flush().await?;
            if self.state.lock().restart()? {
                break;
            }
        }
        self.wake.notify_one();
        self.wait_for(|state| state.restart_result()).await
    }
}

/// What a stream carries, once known. Never changes back, so a stale look only costs a
/// check too many.
#[derive(Default)]
struct AtomicKind(AtomicU8);

impl AtomicKind {
    fn load(&self) -> Option<BatchKind> {
        match self.0.load(Ordering::Relaxed) {
            1 => Some(BatchKind::Bytes),
            2 => Some(BatchKind::Json),
            _ => None,
        }
    }

    fn store(&self, kind: Option<BatchKind>) {
        let number = match kind {
            None => 0,
            Some(BatchKind::Bytes) => 1,
            Some(BatchKind::Json) => 2,
        };
        self.0.store(number, Ordering::Relaxed);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("url", &self.url).finish_non_exhaustive()
    }
}

impl DurableStream {
    /// Starts a producer on this stream.
    pub fn producer(&self, producer_id: impl Into<String>) -> ProducerBuilder {
        ProducerBuilder::new(Some(self.clone()), producer_id.into())
    }
}
