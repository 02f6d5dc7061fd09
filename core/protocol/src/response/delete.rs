//! Answers to a delete (protocol.md §8).

use http::StatusCode;

use super::{Refusal, ReplyHead, classify};
use crate::request::RequestPlan;

/// Reads an answer to a delete. `is_retry`: an earlier attempt went out, so that a missing
/// stream is this request's own doing (protocol.md §25.4).
pub fn outcome(plan: &RequestPlan, head: &ReplyHead, is_retry: bool) -> Result<(), Box<Refusal>> {
    match head.status {
        StatusCode::NO_CONTENT | StatusCode::OK => Ok(()),
        StatusCode::NOT_FOUND if is_retry => Ok(()),
        _ => Err(classify(plan, head)),
    }
}
