//! What the window is given and what it says.

use std::{ops::Range, sync::Arc};

use http::HeaderValue;

use super::Failure;
use crate::{Time, offset::Offset, produce::decide::ProducerState, request::RequestPlan, retry::RetryPolicy};

/// What a window is started with. The host has validated the numbers.
#[derive(Debug, Clone)]
pub struct WindowOptions {
    /// Value of `Producer-Id`.
    pub producer_id: HeaderValue,
    /// First epoch, at most 2^53 - 1.
    pub epoch: u64,
    /// Claim the next epoch when a newer one is in force, instead of failing.
    pub auto_claim: bool,
    /// Most unacknowledged batches under way at once; at least 1.
    pub max_in_flight: usize,
    /// Content type of the stream.
    pub content_type: String,
    /// Backoff of retries.
    pub retry: RetryPolicy,
    /// Seed of the jitter.
    pub seed: u64,
}

/// Where a producer stands (protocol.md §20).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WindowState {
    /// Nothing of this epoch is acknowledged yet; one request at a time.
    Claiming,
    /// Batches travel side by side.
    Running,
    /// No more batches are taken; the closing request follows the last acknowledgement.
    Closing,
    /// The stream is closed.
    Closed,
    /// No more batches are taken; the stream stays open.
    Detached,
    /// A batch failed for good, and with it all later ones.
    Failed,
}

/// The driver's next move.
#[derive(Debug)]
pub enum Step {
    /// Send this request, and report its end under `attempt`.
    Send(Outgoing),
    /// Tell the user.
    Emit(Event),
    /// Wait for an answer, or until the deadline.
    WaitUntil(Time),
    /// Wait for an answer.
    AwaitReply,
    /// Nothing to do until the user calls.
    Idle,
    /// Nothing to do ever again, unless the user restarts a failed producer.
    End,
}

/// A request to send.
#[derive(Debug)]
pub struct Outgoing {
    /// Names this attempt in `handle_reply` and `handle_failure`.
    pub attempt: u64,
    /// Number of the batch.
    pub batch: u64,
    /// The tuple it travels under.
    pub state: ProducerState,
    /// The request.
    pub plan: RequestPlan,
}

/// What happened to batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The server has stored a batch.
    Acknowledged {
        /// Number of the batch.
        batch: u64,
        /// The tuple it was accepted under.
        state: ProducerState,
        /// Tail after it; `None` when the server did not say.
        offset: Option<Offset>,
        /// Whether the server had accepted the tuple before.
        is_duplicate: bool,
        /// Length of the batch. Units: bytes of the body.
        body_bytes: usize,
    },
    /// Batches will never be sent again. Those below the range are not concerned.
    Failed {
        /// Numbers of the batches; those settled earlier are not concerned.
        batches: Range<u64>,
        /// Messages in those concerned.
        message_count: u64,
        /// Length of those concerned. Units: bytes of the bodies.
        body_bytes: usize,
        /// Why.
        failure: Arc<Failure>,
    },
    /// A new epoch is in use, by claim, restart or roll-over.
    EpochRaised {
        /// The epoch.
        epoch: u64,
    },
    /// The closing request was accepted.
    Closed(Closed),
    /// The closing request met no answer within the retries; `close` sends it again.
    CloseUnanswered(Arc<Failure>),
}

/// The result of closing the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// Offset after the last byte; `None` when the server did not say.
    pub final_offset: Option<Offset>,
}
