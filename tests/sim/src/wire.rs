//! The table between requests on the wire and the engine: what the HTTP layer does with
//! plans and results, without sockets (protocol.md §6, §10 to §13).

use bytes::Bytes;
use durable_streams_protocol::{
    content_type::Framing,
    headers,
    offset::{BEGINNING, NOW, Position, ReadFrom},
    produce::decide::ProducerClaim,
    query,
    request::RequestPlan,
    response::ReplyHead,
};
use durable_streams_server::engine::types::{AppendError, AppendKind, AppendRequest, Appended, ReadChunk};
use http::{HeaderMap, HeaderValue, StatusCode, header};

/// How a read asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Live {
    No,
    LongPoll,
    Sse,
}

/// The query of a read.
pub(crate) struct ReadQuery {
    pub(crate) from: ReadFrom,
    pub(crate) live: Live,
    pub(crate) cursor: Option<u64>,
}

/// An answer without body.
pub(crate) fn head(status: StatusCode) -> ReplyHead {
    ReplyHead { status, headers: HeaderMap::new() }
}

/// The engine's view of a POST, or the 400 it deserves.
pub(crate) fn append_request(plan: &RequestPlan) -> Result<AppendRequest, ReplyHead> {
    let map = &plan.headers;
    let producer = ProducerClaim::from_headers(map).map_err(|_| head(StatusCode::BAD_REQUEST))?;
    let close = headers::is_true(map, &headers::STREAM_CLOSED);
    if plan.body.is_empty() && !close {
        return Err(head(StatusCode::BAD_REQUEST));
    }
    Ok(AppendRequest {
        content_type: headers::text(map, &header::CONTENT_TYPE).map(str::to_owned),
        body: plan.body.clone(),
        close,
        seq: map.get(headers::STREAM_SEQ).map(|value| value.as_bytes().into()),
        producer,
    })
}

/// The answer to a POST.
pub(crate) fn appended(result: &Result<Appended, AppendError>) -> ReplyHead {
    match result {
        Ok(appended) => {
            let is_new = appended.kind == AppendKind::Data && appended.producer.is_some();
            let mut reply = head(if is_new { StatusCode::OK } else { StatusCode::NO_CONTENT });
            set_offset(&mut reply, appended.tail);
            set_flag(&mut reply, &headers::STREAM_CLOSED, appended.closed);
            if let Some(state) = appended.producer {
                set_integer(&mut reply, &headers::PRODUCER_EPOCH, state.epoch);
                set_integer(&mut reply, &headers::PRODUCER_SEQ, state.seq);
            }
            reply
        }
        Err(AppendError::NotFound) => head(StatusCode::NOT_FOUND),
        Err(AppendError::Gone) => head(StatusCode::GONE),
        Err(AppendError::Closed(end)) => {
            let mut reply = head(StatusCode::CONFLICT);
            set_flag(&mut reply, &headers::STREAM_CLOSED, true);
            set_offset(&mut reply, *end);
            reply
        }
        Err(AppendError::ContentType(_) | AppendError::SeqConflict) => head(StatusCode::CONFLICT),
        Err(AppendError::StaleEpoch(epoch)) => {
            let mut reply = head(StatusCode::FORBIDDEN);
            set_integer(&mut reply, &headers::PRODUCER_EPOCH, *epoch);
            reply
        }
        Err(AppendError::EpochMustStartAtZero | AppendError::Json(_)) => head(StatusCode::BAD_REQUEST),
        Err(AppendError::Gap { expected, received }) => {
            let mut reply = head(StatusCode::CONFLICT);
            set_integer(&mut reply, &headers::PRODUCER_EXPECTED_SEQ, *expected);
            set_integer(&mut reply, &headers::PRODUCER_RECEIVED_SEQ, *received);
            reply
        }
        Err(AppendError::Store(_)) => head(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// The query of a GET; `None` deserves a 400.
pub(crate) fn read_query(plan: &RequestPlan) -> Option<ReadQuery> {
    let value = |name| plan.query.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
    let from = match value(query::OFFSET) {
        None | Some(BEGINNING) => ReadFrom::Beginning,
        Some(NOW) => ReadFrom::Now,
        Some(token) => ReadFrom::At(Position::parse(token.as_bytes())?),
    };
    let live = match value(query::LIVE) {
        None => Live::No,
        Some(query::LONG_POLL) => Live::LongPoll,
        Some(query::SSE) => Live::Sse,
        Some(_) => return None,
    };
    let cursor = value(query::CURSOR).and_then(durable_streams_protocol::cursor::parse);
    Some(ReadQuery { from, live, cursor })
}

/// The 200 of a catch-up or long-poll, with its body.
pub(crate) fn data(
    content_type: &str,
    framing: Framing,
    chunk: ReadChunk,
    cursor: Option<u64>,
) -> (ReplyHead, Vec<Bytes>) {
    let mut reply = head(StatusCode::OK);
    set_offset(&mut reply, chunk.next);
    set_flag(&mut reply, &headers::STREAM_UP_TO_DATE, chunk.up_to_date);
    set_flag(&mut reply, &headers::STREAM_CLOSED, chunk.closed);
    if let Some(cursor) = cursor {
        set_integer(&mut reply, &headers::STREAM_CURSOR, cursor);
    }
    set_content_type(&mut reply, content_type);
    let body = chunk.into_body(framing);
    set_integer(&mut reply, &header::CONTENT_LENGTH, body.iter().map(|piece| piece.len() as u64).sum());
    (reply, body)
}

/// The 204 of a long-poll.
pub(crate) fn nothing_new(next: Position, is_closed: bool, cursor: u64) -> ReplyHead {
    let mut reply = head(StatusCode::NO_CONTENT);
    set_offset(&mut reply, next);
    set_flag(&mut reply, &headers::STREAM_UP_TO_DATE, true);
    set_flag(&mut reply, &headers::STREAM_CLOSED, is_closed);
    set_integer(&mut reply, &headers::STREAM_CURSOR, cursor);
    reply
}

/// The head of server-sent events.
pub(crate) fn events(framing: Framing) -> ReplyHead {
    let mut reply = head(StatusCode::OK);
    set_content_type(&mut reply, "text/event-stream");
    if framing == Framing::Binary {
        reply.headers.insert(headers::STREAM_SSE_DATA_ENCODING, HeaderValue::from_static("base64"));
    }
    reply
}

/// A 503 that asks to come back in a second.
pub(crate) fn overloaded() -> ReplyHead {
    let mut reply = head(StatusCode::SERVICE_UNAVAILABLE);
    set_integer(&mut reply, &header::RETRY_AFTER, 1);
    reply
}

fn set_offset(reply: &mut ReplyHead, position: Position) {
    if let Ok(value) = HeaderValue::from_str(position.token().as_str()) {
        reply.headers.insert(headers::STREAM_NEXT_OFFSET, value);
    }
}

fn set_flag(reply: &mut ReplyHead, name: &http::HeaderName, is_set: bool) {
    if is_set {
        reply.headers.insert(name.clone(), headers::TRUE);
    }
}

fn set_integer(reply: &mut ReplyHead, name: &http::HeaderName, value: u64) {
    reply.headers.insert(name.clone(), headers::integer_value(value));
}

fn set_content_type(reply: &mut ReplyHead, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers.insert(header::CONTENT_TYPE, value);
    }
}
