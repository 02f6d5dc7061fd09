//! Receipts of appends: they cost nothing unless they are asked.

use std::{
    fmt,
    future::{Future, IntoFuture},
    ops::Deref,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    Shared,
    cause::Cause,
    ledger::{Acknowledgement, Fate},
    state::Accepted,
};
use crate::{
    error::{Failure, ProducerError},
    transport::BoxFuture,
};

/// The receipt of an append. The message is already taken, in the order of the calls;
/// drop the receipt for fire-and-forget.
///
/// - `receipt.await` applies backpressure: it resolves once the message is within the
///   queue's limits, usually at once.
/// - [`acknowledged`](AppendReceipt::acknowledged) waits until the server has stored it.
///
/// A refused message (not one JSON value, queue full) is an error here; if nobody looks,
/// it goes to the error callback and to the next flush.
#[derive(Debug)]
pub struct AppendReceipt<'p> {
    shared: Holder<'p>,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    Taken(Accepted),
    Refused(Cause),
    /// Someone has looked.
    Told,
}

#[derive(Debug)]
enum Holder<'p> {
    Borrowed(&'p Arc<Shared>),
    Owned(Arc<Shared>),
}

impl Deref for Holder<'_> {
    type Target = Arc<Shared>;

    fn deref(&self) -> &Arc<Shared> {
        match self {
            Self::Borrowed(shared) => shared,
            Self::Owned(shared) => shared,
        }
    }
}

impl<'p> AppendReceipt<'p> {
    pub(super) fn new(shared: &'p Arc<Shared>, outcome: Result<Accepted, Cause>) -> Self {
        let outcome = match outcome {
            Ok(accepted) => Outcome::Taken(accepted),
            Err(cause) => Outcome::Refused(cause),
        };
        Self { shared: Holder::Borrowed(shared), outcome }
    }

    /// The same receipt without a borrow of the producer. It does not keep the producer
    /// alive: when the last clone goes, undelivered messages are lost, and the receipt
    /// says so.
    pub fn into_owned(mut self) -> AppendReceipt<'static> {
        let shared = Holder::Owned(Arc::clone(&self.shared));
        AppendReceipt { shared, outcome: std::mem::replace(&mut self.outcome, Outcome::Told) }
    }

    /// The receipt of a message that was taken, or why it was refused; who asks is told, so
    /// that neither the error callback nor a flush repeats it.
    pub fn checked(mut self) -> Result<Self, Failure> {
        match std::mem::replace(&mut self.outcome, Outcome::Told) {
            Outcome::Refused(cause) => Err(cause.failure),
            outcome @ (Outcome::Taken(_) | Outcome::Told) => {
                self.outcome = outcome;
                Ok(self)
            }
        }
    }

    /// Whether the message was taken within the queue's limits; else the caller should wait
    /// before it appends more.
    pub const fn has_room(&self) -> bool {
        matches!(self.outcome, Outcome::Taken(accepted) if accepted.has_room)
    }

    /// Waits until the server has stored the message. A small batch leaves after the
    /// linger time or with a flush.
    /// Errors: why the message was not, or may not have been, stored.
    pub async fn acknowledged(self) -> Result<Acknowledgement, ProducerError> {
        self.stored().await.map_err(Into::into)
    }

    /// The same with a failure that knows code, facts and URL, for bindings.
    pub async fn acknowledged_detailed(self) -> Result<Acknowledgement, Failure> {
        self.stored().await.map_err(|cause| cause.failure)
    }

    /// Waits until the message is within the queue's limits; what `.await` does, with a
    /// failure that knows code, facts and URL, for bindings.
    pub async fn accepted_detailed(self) -> Result<(), Failure> {
        tokio::task::coop::consume_budget().await;
        if matches!(self.outcome, Outcome::Taken(accepted) if accepted.has_room) {
            return Ok(());
        }
        self.accepted().await.map_err(|cause| cause.failure)
    }

    async fn stored(mut self) -> Result<Acknowledgement, Cause> {
        match std::mem::replace(&mut self.outcome, Outcome::Told) {
            Outcome::Refused(cause) => Err(cause),
            Outcome::Told => Err(self.shared.told()),
            Outcome::Taken(accepted) => {
                let check = |state: &mut super::State| match state.fate_at(accepted.position) {
                    Fate::Pending => None,
                    Fate::Stored(receipt) => Some(Ok(receipt)),
                    Fate::Lost(cause) => Some(Err(cause)),
                };
                self.shared.wait_for(check).await
            }
        }
    }

    async fn accepted(mut self) -> Result<(), Cause> {
        match std::mem::replace(&mut self.outcome, Outcome::Told) {
            Outcome::Refused(cause) => Err(cause),
            Outcome::Told => Err(self.shared.told()),
            Outcome::Taken(accepted) => {
                let check = |state: &mut super::State| match state.fate_at(accepted.position) {
                    Fate::Lost(cause) => Some(Err(cause)),
                    Fate::Stored(_) => Some(Ok(())),
                    Fate::Pending => (state.kind().is_some() && state.has_room_at(accepted.position)).then_some(Ok(())),
                };
                self.shared.wait_for(check).await
            }
        }
    }
}

impl<'p> IntoFuture for AppendReceipt<'p> {
    type Output = Result<(), ProducerError>;
    type IntoFuture = Accepting<'p>;

    fn into_future(self) -> Accepting<'p> {
        Accepting { receipt: Some(self), waiting: None }
    }
}

impl Drop for AppendReceipt<'_> {
    fn drop(&mut self) {
        if let Outcome::Refused(cause) = &self.outcome {
            self.shared.refused_unseen(cause.clone());
        }
    }
}

/// What awaiting an [`AppendReceipt`] waits for.
pub struct Accepting<'p> {
    receipt: Option<AppendReceipt<'p>>,
    /// Only when there is no room yet.
    waiting: Option<BoxFuture<'p, Result<(), Cause>>>,
}

impl Future for Accepting<'_> {
    type Output = Result<(), ProducerError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(receipt) = self.receipt.take() {
            if matches!(receipt.outcome, Outcome::Taken(accepted) if accepted.has_room) {
                // A loop of appends that never has to wait must still let other tasks run,
                // the driver above all. The message is taken: dropping the receipt is fine.
                return match tokio::task::coop::poll_proceed(cx) {
                    Poll::Ready(budget) => {
                        budget.made_progress();
                        Poll::Ready(Ok(()))
                    }
                    Poll::Pending => {
                        self.receipt = Some(receipt);
                        Poll::Pending
                    }
                };
            }
            self.waiting = Some(Box::pin(receipt.accepted()));
        }
        match &mut self.waiting {
            Some(waiting) => waiting.as_mut().poll(cx).map_err(Into::into),
            // Polled again after the end.
            None => Poll::Pending,
        }
    }
}

impl fmt::Debug for Accepting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepting").finish_non_exhaustive()
    }
}
