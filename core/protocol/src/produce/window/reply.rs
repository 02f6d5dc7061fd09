//! What an answer means for the batch it answers.

use http::StatusCode;

use crate::{
    error::{ErrorCode, Facts},
    offset::Offset,
    request::{Operation, RequestPlan},
    response::{Refusal, ReplyHead, append},
    retry::is_transient,
};

/// The kinds of answers (protocol.md §20).
#[derive(Debug)]
pub(super) enum Meaning {
    /// Stored, now or before.
    Accepted { offset: Option<Offset>, is_duplicate: bool },
    /// 403 with `Producer-Epoch`; `Refusal::facts` holds the epoch if it can be read.
    Stale(Box<Refusal>),
    /// 409 with `Producer-Expected-Seq`.
    Gap { expected: u64, refusal: Box<Refusal> },
    /// Not now.
    Again(Box<Refusal>),
    /// No.
    Refused(Box<Refusal>),
}

pub(super) fn read(plan: &RequestPlan, head: &ReplyHead) -> Meaning {
    match append::outcome(plan, head) {
        // protocol.md §7: a duplicate seq leaves an open stream open. Another instance has
        // used this tuple for data, so the stream was not closed.
        Ok(appended)
            if plan.operation == Operation::Close && !appended.closed && head.status == StatusCode::NO_CONTENT =>
        {
            Meaning::Refused(Box::new(Refusal {
                code: ErrorCode::Conflict,
                facts: Facts { status: Some(head.status.as_u16()), ..Facts::default() },
                detail: "the stream is still open: another instance has used this producer id, epoch and seq"
                    .to_owned(),
            }))
        }
        Ok(appended) => {
            Meaning::Accepted { offset: appended.next_offset.map(Offset::new), is_duplicate: appended.duplicate }
        }
        Err(refusal) if refusal.code == ErrorCode::StaleEpoch => Meaning::Stale(refusal),
        Err(refusal) if refusal.code == ErrorCode::SequenceGap => match refusal.facts.expected_seq {
            Some(expected) => Meaning::Gap { expected, refusal },
            None => Meaning::Refused(refusal),
        },
        Err(refusal) if is_transient(head.status) => Meaning::Again(refusal),
        Err(refusal) => Meaning::Refused(refusal),
    }
}
