//! Answers to a close (protocol.md §7).

use super::{Refusal, ReplyHead, append};
use crate::request::RequestPlan;

/// A stream that has ended for everyone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The tail, which no longer moves.
    pub final_offset: Option<String>,
    /// Whether a producer's close with a body had been accepted before.
    pub duplicate: bool,
    /// Epoch in force, for a producer's request.
    pub producer_epoch: Option<u64>,
    /// Highest accepted sequence number, for a producer's request.
    pub producer_seq: Option<u64>,
}

/// Reads an answer to a close.
pub fn outcome(plan: &RequestPlan, head: &ReplyHead) -> Result<Closed, Box<Refusal>> {
    let appended = append::outcome(plan, head)?;
    Ok(Closed {
        final_offset: appended.next_offset,
        duplicate: appended.duplicate,
        producer_epoch: appended.producer_epoch,
        producer_seq: appended.producer_seq,
    })
}
