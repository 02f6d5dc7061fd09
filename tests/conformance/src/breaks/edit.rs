//! Small changes that breaks are made of.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Uri, header, request, response};

use crate::wire::body::Flow;

/// Rewrites the query, pair by pair as they are encoded.
pub(super) fn query(parts: &mut request::Parts, change: impl FnOnce(&mut Vec<String>)) {
    let Some(query) = parts.uri.query() else { return };
    let mut pairs: Vec<String> = query.split('&').map(str::to_owned).collect();
    change(&mut pairs);
    let target = if pairs.is_empty() {
        parts.uri.path().to_owned()
    } else {
        format!("{}?{}", parts.uri.path(), pairs.join("&"))
    };
    let mut uri = parts.uri.clone().into_parts();
    if let Ok(target) = target.parse() {
        uri.path_and_query = Some(target);
        if let Ok(uri) = Uri::from_parts(uri) {
            parts.uri = uri;
        }
    }
}

/// Replaces a header by what is made of its value.
pub(super) fn header(map: &mut HeaderMap, name: &'static str, change: impl FnOnce(&str) -> String) {
    let changed = map.get(name).and_then(|value| value.to_str().ok()).map(change);
    if let Some(value) = changed.and_then(|value| HeaderValue::from_str(&value).ok()) {
        map.insert(name, value);
    }
}

/// Whether an answer is one of server-sent events.
pub(super) fn is_sse(head: &response::Parts) -> bool {
    head.headers.get(header::CONTENT_TYPE).is_some_and(|value| value == "text/event-stream")
}

/// Changes the text of server-sent events, piece by piece.
pub(super) fn events(
    head: &response::Parts,
    flow: &mut Flow,
    mut change: impl FnMut(String) -> String + Send + 'static,
) {
    if is_sse(head) {
        flow.change(Box::new(move |piece| match std::str::from_utf8(&piece) {
            Ok(text) => change(text.to_owned()).into(),
            Err(_) => piece,
        }));
    }
}

/// Gives an answer another status.
pub(super) fn status(head: &mut response::Parts, status: u16) {
    if let Ok(status) = http::StatusCode::from_u16(status) {
        head.status = status;
    }
}

/// Whether a request is a producer's.
pub(super) fn is_producers(parts: &request::Parts) -> bool {
    parts.headers.contains_key("producer-id")
}

/// Adds to a body, if there is one.
pub(super) fn add(body: &mut Bytes, tail: &str) {
    if !body.is_empty() {
        *body = [&body[..], tail.as_bytes()].concat().into();
    }
}
