//! Batches, and the places they hold in the window.

use bytes::Bytes;

use crate::{Time, produce::decide::ProducerState, request::RequestPlan};

/// A sealed batch.
#[derive(Debug)]
pub(super) struct Batch {
    /// Never changes, unlike the seq.
    pub(super) number: u64,
    pub(super) body: Bytes,
    pub(super) message_count: u64,
    /// Whether it ends the stream; its body may then be empty.
    pub(super) closes: bool,
}

impl Batch {
    /// Lets go of the body and returns its length.
    pub(super) fn release(&mut self) -> usize {
        std::mem::take(&mut self.body).len()
    }
}

/// A batch under a tuple; both are frozen in the plan.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) batch: Batch,
    pub(super) state: ProducerState,
    pub(super) plan: RequestPlan,
    /// How often it was sent.
    pub(super) tries: u32,
    /// Start of the text of the last answer, if it was an error.
    pub(super) server_text: Option<Box<str>>,
    pub(super) stage: Stage,
}

/// What a batch in the window is waiting for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// To be sent.
    Ready,
    /// The answer to an attempt.
    UnderWay {
        attempt: u64,
        /// When it was sent, all seqs below this one were acknowledged,
        oldest_unacked: u64,
        /// and these above it.
        acked_ahead: Vec<u64>,
    },
    /// The time to send it again.
    BackingOff { until: Time },
    /// The acknowledgement of all seqs from this one up to its own.
    WaitingForLower { from: u64 },
    /// The acknowledgement of the seqs before it, so that it can leave.
    Acked,
    /// The user: a closing request that met no answer.
    Unanswered,
}

impl Slot {
    pub(super) const fn new(batch: Batch, state: ProducerState, plan: RequestPlan) -> Self {
        Self { batch, state, plan, tries: 0, server_text: None, stage: Stage::Ready }
    }

    pub(super) fn is_due(&self, now: Time) -> bool {
        match self.stage {
            Stage::Ready => true,
            Stage::BackingOff { until } => until <= now,
            Stage::UnderWay { .. } | Stage::WaitingForLower { .. } | Stage::Acked | Stage::Unanswered => false,
        }
    }

    pub(super) const fn deadline(&self) -> Option<Time> {
        if let Stage::BackingOff { until } = self.stage { Some(until) } else { None }
    }

    pub(super) const fn is_attempt(&self, id: u64) -> bool {
        matches!(self.stage, Stage::UnderWay { attempt, .. } if attempt == id)
    }

    /// Whether the batch is at the server or on its way there.
    pub(super) const fn has_left(&self) -> bool {
        matches!(self.stage, Stage::UnderWay { .. } | Stage::Acked)
    }

    pub(super) const fn is_under_way(&self) -> bool {
        matches!(self.stage, Stage::UnderWay { .. })
    }

    pub(super) fn is_acked(&self) -> bool {
        self.stage == Stage::Acked
    }

    /// Whether `seq` was acknowledged before the attempt under way was sent.
    pub(super) fn knew_acknowledged(&self, seq: u64) -> bool {
        match &self.stage {
            Stage::UnderWay { oldest_unacked, acked_ahead, .. } => *oldest_unacked > seq || acked_ahead.contains(&seq),
            Stage::Ready
            | Stage::BackingOff { .. }
            | Stage::WaitingForLower { .. }
            | Stage::Acked
            | Stage::Unanswered => false,
        }
    }
}
