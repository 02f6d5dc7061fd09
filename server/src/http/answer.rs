//! Answers: status, headers and the short texts of refusals.

use std::fmt::Display;

use durable_streams_protocol::{headers, offset::Position};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::body::Body;

/// An answer of the HTTP service.
pub(crate) type Answer = Response<Body>;

/// `Cache-Control` of everything that must not be kept.
pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// `Content-Type` of refusals.
const PLAIN_TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// `Content-Type` of JSON answers.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Seconds a refused client should wait; overload passes quickly or not at all.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Headers of a read with everything on, so that the map never grows.
const MANY_HEADERS: usize = 18;
/// Headers of any other answer.
const FEW_HEADERS: usize = 12;

/// Starts an answer with room for many headers.
pub(crate) fn answer(status: StatusCode, body: Body) -> Answer {
    with_room(status, body, MANY_HEADERS)
}

fn with_room(status: StatusCode, body: Body, headers: usize) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = HeaderMap::with_capacity(headers);
    answer
}

/// An answer that must not be cached.
pub(crate) fn uncached(status: StatusCode, body: Body) -> Answer {
    let mut answer = with_room(status, body, FEW_HEADERS);
    answer.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    answer
}

/// A refusal: the status and one sentence that names the cause and the fix.
pub(crate) fn refuse(status: StatusCode, reason: impl Display) -> Answer {
    let mut answer = uncached(status, Body::from(format!("{reason}\n")));
    answer.headers_mut().insert(header::CONTENT_TYPE, PLAIN_TEXT);
    answer
}

/// 400 with its reason.
pub(crate) fn bad_request(reason: impl Display) -> Answer {
    refuse(StatusCode::BAD_REQUEST, reason)
}

/// 404 with its reason.
pub(crate) fn not_found(reason: impl Display) -> Answer {
    refuse(StatusCode::NOT_FOUND, reason)
}

/// 503 with `Retry-After`: nothing was done, try again.
pub(crate) fn overloaded(reason: impl Display) -> Answer {
    let mut answer = refuse(StatusCode::SERVICE_UNAVAILABLE, reason);
    answer.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    answer
}

/// 405 with `Allow`.
pub(crate) fn method_not_allowed(method: &http::Method, allow: &'static str) -> Answer {
    let mut answer =
        refuse(StatusCode::METHOD_NOT_ALLOWED, format_args!("{method} is not offered here; use one of {allow}"));
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    answer
}

/// A JSON answer that must not be cached.
pub(crate) fn json(status: StatusCode, body: impl Into<Body>) -> Answer {
    let mut answer = uncached(status, body.into());
    answer.headers_mut().insert(header::CONTENT_TYPE, JSON);
    answer
}

/// Sets `Stream-Next-Offset`.
pub(crate) fn set_next_offset(map: &mut HeaderMap, position: Position) {
    if let Ok(value) = HeaderValue::from_bytes(position.token().as_bytes()) {
        map.insert(headers::STREAM_NEXT_OFFSET, value);
    }
}

/// Sets a boolean header when the fact holds; absence means no.
pub(crate) fn set_flag(map: &mut HeaderMap, name: HeaderName, fact: bool) {
    if fact {
        map.insert(name, headers::TRUE);
    }
}

/// Sets the stream's content type, without a copy for the common ones.
pub(crate) fn set_content_type(map: &mut HeaderMap, content_type: &str) {
    let value = match content_type {
        "application/json" => JSON,
        "application/octet-stream" => HeaderValue::from_static("application/octet-stream"),
        "text/plain" => HeaderValue::from_static("text/plain"),
        other => match HeaderValue::from_str(other) {
            Ok(value) => value,
            // Stored types came from headers, so this is out of reach.
            Err(_) => return,
        },
    };
    map.insert(header::CONTENT_TYPE, value);
}
