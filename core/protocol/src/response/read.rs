//! Answers to a read: what the head says before any body (protocol.md §10 to §13).

use http::{
    HeaderName, StatusCode,
    header::{CONTENT_TYPE, ETAG},
};

use super::{Refusal, ReplyHead, broken, classify};
use crate::{
    content_type, headers, query,
    request::{RequestPlan, read::EVENT_STREAM},
};

/// The head of an accepted read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadHead {
    /// What follows.
    pub kind: ReadKind,
    /// Where to read next. Always there with [`ReadKind::Data`]; SSE tells it in control events.
    pub next_offset: Option<String>,
    /// Whether the answer reached the tail.
    pub up_to_date: bool,
    /// Whether the answer reached the end of a closed stream: the only end of a read.
    pub closed: bool,
    /// Token to echo in the next live read; when absent the old one stays in force.
    pub cursor: Option<String>,
    /// The stream's content type; `text/event-stream` for [`ReadKind::Events`].
    pub content_type: Option<String>,
    /// Entity tag, for a conditional repeat.
    pub etag: Option<String>,
}

/// What follows the head of an accepted read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadKind {
    /// 200: data of the stream, possibly empty.
    Data,
    /// 200: server-sent events.
    Events {
        /// Whether data events are base64 (`Stream-SSE-Data-Encoding`).
        base64: bool,
    },
    /// 204: the wait ended without data.
    NoData,
    /// 304: nothing changed since the entity tag that was sent.
    NotModified,
}

/// Reads the head of an answer to a read.
pub fn outcome(plan: &RequestPlan, head: &ReplyHead) -> Result<ReadHead, Box<Refusal>> {
    let text = |name: HeaderName| headers::text(&head.headers, &name).map(str::to_owned);
    let content_type = text(CONTENT_TYPE);
    let kind = match head.status {
        StatusCode::OK if asks_for_events(plan) => {
            // A proxy or an older server may answer plain HTTP; that is no event stream.
            if !content_type.as_deref().is_some_and(|value| content_type::same(value, EVENT_STREAM)) {
                return Err(broken(plan, head, "an SSE read was not answered with `text/event-stream`"));
            }
            let encoding = headers::text(&head.headers, &headers::STREAM_SSE_DATA_ENCODING);
            ReadKind::Events { base64: encoding.is_some_and(|value| value.trim().eq_ignore_ascii_case("base64")) }
        }
        StatusCode::OK => ReadKind::Data,
        StatusCode::NO_CONTENT => ReadKind::NoData,
        StatusCode::NOT_MODIFIED => ReadKind::NotModified,
        _ => return Err(classify(plan, head)),
    };
    let next_offset = text(headers::STREAM_NEXT_OFFSET).filter(|token| !token.is_empty());
    if kind == ReadKind::Data && next_offset.is_none() {
        return Err(broken(plan, head, "`Stream-Next-Offset` is missing"));
    }
    Ok(ReadHead {
        kind,
        next_offset,
        // protocol.md §4.2: clients treat any value as set.
        up_to_date: head.headers.contains_key(headers::STREAM_UP_TO_DATE),
        closed: headers::is_true(&head.headers, &headers::STREAM_CLOSED),
        cursor: text(headers::STREAM_CURSOR),
        content_type,
        etag: text(ETAG),
    })
}

fn asks_for_events(plan: &RequestPlan) -> bool {
    plan.query.iter().any(|(key, value)| *key == query::LIVE && value == query::SSE)
}
