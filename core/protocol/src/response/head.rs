//! Answers to a metadata request (protocol.md §9).

use http::{
    HeaderName, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG},
};

use super::{Refusal, ReplyHead, broken, classify};
use crate::{headers, request::RequestPlan};

/// What a server tells about a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Content type as stored.
    pub content_type: Option<String>,
    /// The tail.
    pub next_offset: String,
    /// Whether the stream is closed.
    pub closed: bool,
    /// Sliding time to live as configured. Units: seconds.
    pub ttl_seconds: Option<u64>,
    /// Fixed deadline, RFC 3339 as sent at creation.
    pub expires_at: Option<String>,
    /// Entity tag, if the server sends one.
    pub etag: Option<String>,
    /// How caches may keep it.
    pub cache_control: Option<String>,
}

/// Reads an answer to a metadata request.
pub fn outcome(plan: &RequestPlan, head: &ReplyHead) -> Result<Metadata, Box<Refusal>> {
    if head.status != StatusCode::OK {
        return Err(classify(plan, head));
    }
    let text = |name: HeaderName| headers::text(&head.headers, &name).map(str::to_owned);
    let next_offset =
        text(headers::STREAM_NEXT_OFFSET).ok_or_else(|| broken(plan, head, "`Stream-Next-Offset` is missing"))?;
    Ok(Metadata {
        content_type: text(CONTENT_TYPE),
        next_offset,
        closed: headers::is_true(&head.headers, &headers::STREAM_CLOSED),
        ttl_seconds: headers::integer(&head.headers, &headers::STREAM_TTL),
        expires_at: text(headers::STREAM_EXPIRES_AT),
        etag: text(ETAG),
        cache_control: text(CACHE_CONTROL),
    })
}
