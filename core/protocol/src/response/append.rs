//! Answers to an append (protocol.md §6).

use http::{HeaderName, StatusCode, header::ETAG};

use super::{Refusal, ReplyHead, broken, classify};
use crate::{
    headers,
    request::{Operation, RequestPlan},
};

/// A stored append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The new tail; servers may leave it out for duplicates.
    pub next_offset: Option<String>,
    /// Whether the stream is closed now.
    pub closed: bool,
    /// Whether the server had accepted this very request before. Only requests with
    /// producer headers can be duplicates; a plain append also answers 204.
    pub duplicate: bool,
    /// Entity tag, if the server sends one.
    pub etag: Option<String>,
    /// Epoch in force, for a producer's request.
    pub producer_epoch: Option<u64>,
    /// Highest accepted sequence number, for a producer's request.
    pub producer_seq: Option<u64>,
}

/// Reads an answer to an append, or to a close with or without a body.
pub fn outcome(plan: &RequestPlan, head: &ReplyHead) -> Result<Appended, Box<Refusal>> {
    debug_assert!(matches!(plan.operation, Operation::Append | Operation::Close), "{:?}", plan.operation);
    let map = &head.headers;
    match head.status {
        // A login page in a foreign network says 200 to everything; what it swallowed must not
        // count as stored. Servers may leave out single headers (protocol.md §6), not all.
        StatusCode::OK if !ACKNOWLEDGING.iter().any(|name| map.contains_key(name)) => {
            Err(broken(plan, head, "it has none of the protocol's headers"))
        }
        StatusCode::OK | StatusCode::NO_CONTENT => Ok(Appended {
            next_offset: headers::text(map, &headers::STREAM_NEXT_OFFSET).map(str::to_owned),
            closed: headers::is_true(map, &headers::STREAM_CLOSED),
            // protocol.md §7: a producer's close-only answers 204 when new, too.
            duplicate: head.status == StatusCode::NO_CONTENT
                && plan.carries(&headers::PRODUCER_ID)
                && !plan.body.is_empty(),
            etag: headers::text(map, &ETAG).map(str::to_owned),
            producer_epoch: headers::integer(map, &headers::PRODUCER_EPOCH),
            producer_seq: headers::integer(map, &headers::PRODUCER_SEQ),
        }),
        _ => Err(classify(plan, head)),
    }
}

/// At least one of these is in an answer that says that something was stored.
const ACKNOWLEDGING: [HeaderName; 4] =
    [headers::STREAM_NEXT_OFFSET, headers::STREAM_CLOSED, headers::PRODUCER_EPOCH, headers::PRODUCER_SEQ];
