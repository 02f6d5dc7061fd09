//! Answers to a create (protocol.md §5).

use http::{StatusCode, header::CONTENT_TYPE};

use super::{Refusal, ReplyHead, broken, classify};
use crate::{headers, request::RequestPlan};

/// A stream that exists with the settings asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Whether this request created it; `false` when it already was there.
    pub is_new: bool,
    /// Content type as stored.
    pub content_type: Option<String>,
    /// The tail.
    pub next_offset: Option<String>,
    /// Whether the stream is closed.
    pub closed: bool,
}

/// Reads an answer to a create.
pub fn outcome(plan: &RequestPlan, head: &ReplyHead) -> Result<Created, Box<Refusal>> {
    let map = &head.headers;
    match head.status {
        // A login page in a foreign network says 200 to everything (protocol.md §5: an
        // existing stream answers with its tail).
        StatusCode::OK if !map.contains_key(&headers::STREAM_NEXT_OFFSET) => {
            Err(broken(plan, head, "`Stream-Next-Offset` is missing"))
        }
        StatusCode::CREATED | StatusCode::OK => Ok(Created {
            is_new: head.status == StatusCode::CREATED,
            content_type: headers::text(map, &CONTENT_TYPE).map(str::to_owned),
            next_offset: headers::text(map, &headers::STREAM_NEXT_OFFSET).map(str::to_owned),
            closed: headers::is_true(map, &headers::STREAM_CLOSED),
        }),
        _ => Err(classify(plan, head)),
    }
}
