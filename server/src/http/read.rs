//! GET and HEAD on a stream (protocol.md §9-§13, §16).

use std::sync::Arc;

use bytes::Bytes;
use durable_streams_protocol::{
    content_type::Framing,
    expiry::Expiry,
    headers,
    offset::{Position, ReadFrom},
};
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use tokio::time::{Duration, Instant};

use super::{
    answer::{self, Answer},
    body::Body,
    clock, compress,
    connection::Connection,
    etag::EntityTag,
    query::{Live, ReadQuery},
    refusal,
    service::Service,
    sse::{SseBody, SseResponse},
};
use crate::{
    engine::{
        Reader,
        types::{Change, ReadChunk, StreamInfo},
    },
    metrics::Operation,
    path::StreamPath,
};

/// protocol.md §16.
const CACHEABLE: HeaderValue = HeaderValue::from_static("public, max-age=60, stale-while-revalidate=300");

/// Answers HEAD; never touches the TTL.
pub(crate) fn head(service: &Service, path: &StreamPath) -> Answer {
    let info = match service.engine.head(path) {
        Ok(info) => info,
        Err(error) => return refusal::lookup(path, error),
    };
    let mut answer = answer::uncached(StatusCode::OK, Body::Empty);
    let map = answer.headers_mut();
    answer::set_content_type(map, &info.content_type);
    answer::set_next_offset(map, info.tail);
    answer::set_flag(map, headers::STREAM_CLOSED, info.closed);
    match &info.expiry {
        None => {}
        Some(Expiry::Ttl(seconds)) => {
            map.insert(headers::STREAM_TTL, headers::integer_value(*seconds));
        }
        Some(Expiry::At(deadline)) => {
            if let Ok(value) = HeaderValue::from_str(&deadline.text) {
                map.insert(headers::STREAM_EXPIRES_AT, value);
            }
        }
    }
    let tag = EntityTag::new(info.incarnation, ReadFrom::Beginning, Position::START, info.tail, info.closed);
    if let Some(value) = tag.to_value(false) {
        map.insert(header::ETAG, value);
    }
    answer
}

/// Answers GET. `sse_prelude` goes in front of an SSE response; for tests of clients.
pub(crate) async fn get(
    service: &Service,
    connection: &Arc<Connection>,
    path: StreamPath,
    request: &Parts,
    sse_prelude: Option<Bytes>,
) -> (Operation, Answer) {
    let query = match ReadQuery::parse(request.uri.query()) {
        Ok(query) => query,
        // protocol.md §10: a missing stream is reported before a malformed parameter.
        Err(error) => {
            let refused = match service.engine.head(&path) {
                Ok(_) => answer::bad_request(error),
                Err(missing) => refusal::lookup(&path, missing),
            };
            return (Operation::Read, refused);
        }
    };
    match query.live {
        Live::No => (Operation::Read, catch_up(service, &path, query, &request.headers).await),
        Live::LongPoll => {
            (Operation::LongPoll, Box::pin(long_poll(service, connection, &path, query, &request.headers)).await)
        }
        Live::Sse => (Operation::Sse, server_sent_events(service, connection, &path, query, sse_prelude)),
    }
}

async fn catch_up(service: &Service, path: &StreamPath, query: ReadQuery, request: &HeaderMap) -> Answer {
    let mut reader = match service.engine.reader(path, query.from, false) {
        Ok(reader) => reader,
        Err(error) => return refusal::read(path, &error),
    };
    if query.from == ReadFrom::Now {
        return now(reader.info());
    }
    match reader.next(service.options.max_chunk_bytes).await {
        Ok(chunk) => with_data(service, reader.info(), query, chunk, request, None).await,
        Err(error) => refusal::read(path, &error),
    }
}

/// A catch-up read from `now`: where the tail is, and nothing else (protocol.md §11).
fn now(info: &StreamInfo) -> Answer {
    let body = if info.framing == Framing::Json { Body::from("[]") } else { Body::Empty };
    let mut answer = answer::uncached(StatusCode::OK, body);
    let map = answer.headers_mut();
    answer::set_content_type(map, &info.content_type);
    answer::set_next_offset(map, info.tail);
    map.insert(headers::STREAM_UP_TO_DATE, headers::TRUE);
    answer::set_flag(map, headers::STREAM_CLOSED, info.closed);
    answer
}

async fn long_poll(
    service: &Service,
    connection: &Arc<Connection>,
    path: &StreamPath,
    query: ReadQuery,
    request: &HeaderMap,
) -> Answer {
    let Some(_guard) = service.admit_live_reader(connection) else { return too_many_live_readers(service) };
    let mut reader = match service.engine.reader(path, query.from, true) {
        Ok(reader) => reader,
        Err(error) => return refusal::read(path, &error),
    };
    let deadline = Instant::now() + service.options.long_poll_timeout;
    loop {
        let chunk = match reader.next(service.options.max_chunk_bytes).await {
            Ok(chunk) => chunk,
            Err(error) => return refusal::read(path, &error),
        };
        let cursor = || service.options.cursor_clock.respond(query.cursor, clock::unix_seconds(), clock::entropy());
        if !chunk.is_empty() {
            return with_data(service, reader.info(), query, chunk, request, Some(cursor())).await;
        }
        if chunk.closed {
            return nothing_new(&chunk, cursor());
        }
        match changed_before(deadline, &mut reader).await {
            Some(Change::Advanced) => {}
            // protocol.md §8: deletion answers waiting readers.
            Some(Change::Removed) => return refusal::lookup(path, crate::engine::types::LookupError::NotFound),
            Some(Change::SoftDeleted) => return refusal::lookup(path, crate::engine::types::LookupError::Gone),
            Some(Change::ShuttingDown) | None => return nothing_new(&chunk, cursor()),
        }
    }
}

/// What changed, or `None` once the deadline has passed.
async fn changed_before(deadline: Instant, reader: &mut Reader) -> Option<Change> {
    tokio::time::timeout_at(deadline, reader.changed()).await.ok()
}

/// The 204 of a long-poll.
fn nothing_new(chunk: &ReadChunk, cursor: u64) -> Answer {
    let mut answer = answer::uncached(StatusCode::NO_CONTENT, Body::Empty);
    let map = answer.headers_mut();
    answer::set_next_offset(map, chunk.next);
    map.insert(headers::STREAM_UP_TO_DATE, headers::TRUE);
    answer::set_flag(map, headers::STREAM_CLOSED, chunk.closed);
    map.insert(headers::STREAM_CURSOR, headers::integer_value(cursor));
    answer
}

/// The 200 of a catch-up or long-poll, or its 304.
async fn with_data(
    service: &Service,
    info: &StreamInfo,
    query: ReadQuery,
    chunk: ReadChunk,
    request: &HeaderMap,
    cursor: Option<u64>,
) -> Answer {
    let mut answer = answer::answer(StatusCode::OK, Body::Empty);
    let map = answer.headers_mut();
    answer::set_next_offset(map, chunk.next);
    answer::set_flag(map, headers::STREAM_UP_TO_DATE, chunk.up_to_date);
    answer::set_flag(map, headers::STREAM_CLOSED, chunk.closed);
    if let Some(cursor) = cursor {
        map.insert(headers::STREAM_CURSOR, headers::integer_value(cursor));
    }
    // What `now` means moves on, so such an answer has no tag and is not kept.
    let tag = (query.from != ReadFrom::Now)
        .then(|| EntityTag::new(info.incarnation, query.from, chunk.from, chunk.next, chunk.closed));
    map.insert(header::CACHE_CONTROL, if tag.is_some() { CACHEABLE } else { answer::NO_STORE });
    let may_encode = service.options.compression
        && chunk.len() as u64 >= compress::MIN_LEN
        && compress::is_worthwhile(&info.content_type);
    if service.options.compression {
        map.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    let wants_encoding = may_encode && compress::is_accepted(request);
    if let Some(tag) = tag
        && tag.is_matched_by(request)
    {
        if let Some(value) = tag.to_value(wants_encoding) {
            map.insert(header::ETAG, value);
        }
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        return answer;
    }
    answer::set_content_type(map, &info.content_type);
    service.metrics.count_read(chunk.len() as u64);
    let pieces = chunk.into_body(info.framing);
    let mut is_encoded = false;
    if wants_encoding {
        let len = pieces.iter().map(|piece| piece.len() as u64).sum();
        if let Some(encoded) = compress::gzip(pieces.clone(), len).await {
            map.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            is_encoded = true;
            *answer.body_mut() = Body::full(encoded);
        }
    }
    if !is_encoded {
        *answer.body_mut() = Body::parts(pieces);
    }
    if let Some(value) = tag.and_then(|tag| tag.to_value(is_encoded)) {
        answer.headers_mut().insert(header::ETAG, value);
    }
    answer
}

fn server_sent_events(
    service: &Service,
    connection: &Arc<Connection>,
    path: &StreamPath,
    query: ReadQuery,
    prelude: Option<Bytes>,
) -> Answer {
    let Some(guard) = service.admit_live_reader(connection) else { return too_many_live_readers(service) };
    let reader = match service.engine.reader(path, query.from, true) {
        Ok(reader) => reader,
        Err(error) => return refusal::read(path, &error),
    };
    let mut answer = answer::answer(StatusCode::OK, Body::Empty);
    let map = answer.headers_mut();
    map.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    map.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    map.insert("x-accel-buffering", HeaderValue::from_static("no"));
    if reader.info().framing == Framing::Binary {
        map.insert(headers::STREAM_SSE_DATA_ENCODING, HeaderValue::from_static("base64"));
    }
    *answer.body_mut() = Body::Sse(SseBody::new(SseResponse {
        reader,
        client_cursor: query.cursor,
        cursor_clock: service.options.cursor_clock,
        life: jittered(service.options.sse_reconnect_interval),
        frames: service.frames.clone(),
        prelude,
        guard,
    }));
    answer
}

fn too_many_live_readers(service: &Service) -> Answer {
    let most = service.options.max_live_readers;
    answer::overloaded(format_args!("the server holds its limit of {most} live readers; try again later"))
}

/// Within a twentieth of the interval, so that readers who came together do not all
/// come back together.
fn jittered(interval: Duration) -> Duration {
    let share = u32::try_from(clock::entropy() % 101).unwrap_or(50);
    interval * (950 + share) / 1000
}
