//! Read: GET, as catch-up, long-poll or server-sent events (protocol.md §10 to §13).

use http::{
    HeaderValue, Method,
    header::{ACCEPT, IF_NONE_MATCH},
};

use super::{Operation, RequestPlan, TimeoutClass};
use crate::{offset::Offset, query};

/// Media type of an SSE answer.
pub const EVENT_STREAM: &str = "text/event-stream";

/// A read that answers at once. It carries no `live`, so caches can serve it.
pub fn catch_up(offset: &Offset, etag: Option<&str>) -> RequestPlan {
    let mut plan = read(offset, None, None);
    if let Some(etag) = etag.and_then(|etag| HeaderValue::from_str(etag).ok()) {
        plan.headers.insert(IF_NONE_MATCH, etag);
    }
    plan
}

/// A read that waits for new data, once.
pub fn long_poll(offset: &Offset, cursor: Option<&str>) -> RequestPlan {
    RequestPlan { timeout: TimeoutClass::LongPoll, ..read(offset, Some(query::LONG_POLL), cursor) }
}

/// A read that keeps delivering until the server ends the answer.
pub fn sse(offset: &Offset, cursor: Option<&str>) -> RequestPlan {
    let mut plan = read(offset, Some(query::SSE), cursor);
    plan.headers.insert(ACCEPT, HeaderValue::from_static(EVENT_STREAM));
    plan.timeout = TimeoutClass::Streaming;
    plan
}

fn read(offset: &Offset, live: Option<&str>, cursor: Option<&str>) -> RequestPlan {
    let mut plan = RequestPlan::new(Operation::Read, Method::GET);
    if let Some(cursor) = cursor {
        plan.query.push((query::CURSOR, cursor.to_owned()));
    }
    if let Some(live) = live {
        plan.query.push((query::LIVE, live.to_owned()));
    }
    plan.query.push((query::OFFSET, offset.as_str().to_owned()));
    plan
}
