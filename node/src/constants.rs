//! The protocol's words, for the constants that the JavaScript package exports.

use std::collections::BTreeMap;

use durable_streams::{
    ErrorCode, Offset,
    protocol::{content_type, headers, query, sse::control},
};
use http::HeaderName;
use napi_derive::napi;

/// Names of headers, parameters and fields, by the name JavaScript exports them under.
#[napi]
pub fn protocol_words() -> BTreeMap<String, String> {
    let headers = [
        ("STREAM_OFFSET_HEADER", headers::STREAM_NEXT_OFFSET),
        ("STREAM_CURSOR_HEADER", headers::STREAM_CURSOR),
        ("STREAM_UP_TO_DATE_HEADER", headers::STREAM_UP_TO_DATE),
        ("STREAM_CLOSED_HEADER", headers::STREAM_CLOSED),
        ("STREAM_SEQ_HEADER", headers::STREAM_SEQ),
        ("STREAM_TTL_HEADER", headers::STREAM_TTL),
        ("STREAM_EXPIRES_AT_HEADER", headers::STREAM_EXPIRES_AT),
        ("STREAM_SSE_DATA_ENCODING_HEADER", headers::STREAM_SSE_DATA_ENCODING),
        ("PRODUCER_ID_HEADER", headers::PRODUCER_ID),
        ("PRODUCER_EPOCH_HEADER", headers::PRODUCER_EPOCH),
        ("PRODUCER_SEQ_HEADER", headers::PRODUCER_SEQ),
        ("PRODUCER_EXPECTED_SEQ_HEADER", headers::PRODUCER_EXPECTED_SEQ),
        ("PRODUCER_RECEIVED_SEQ_HEADER", headers::PRODUCER_RECEIVED_SEQ),
    ];
    let words = [
        ("OFFSET_QUERY_PARAM", query::OFFSET),
        ("LIVE_QUERY_PARAM", query::LIVE),
        ("CURSOR_QUERY_PARAM", query::CURSOR),
        ("SSE_OFFSET_FIELD", control::NEXT_OFFSET_FIELD),
        ("SSE_CURSOR_FIELD", control::CURSOR_FIELD),
        ("SSE_CLOSED_FIELD", control::CLOSED_FIELD),
        ("JSON_CONTENT_TYPE", content_type::JSON),
        ("TEXT_CONTENT_TYPES", content_type::TEXT_FAMILY),
        ("BEGINNING", Offset::Beginning.to_query_value()),
    ];
    let headers = headers.iter().map(|(key, name)| ((*key).to_owned(), spelled(name)));
    headers.chain(words.map(|(key, word)| (key.to_owned(), word.to_owned()))).collect()
}

/// Names of the query parameters that only the protocol sets.
#[napi]
pub fn protocol_params() -> Vec<&'static str> {
    query::RESERVED.to_vec()
}

/// Every code a [`Rejection`](crate::error::Rejection) can carry.
#[napi]
pub fn error_codes() -> Vec<&'static str> {
    ErrorCode::ALL.iter().map(|code| code.as_str()).collect()
}

/// Whether a content type is that of a JSON stream.
#[napi]
pub fn is_json_content_type(value: String) -> bool {
    content_type::is_json(&value)
}

/// A header's name as the specification writes it.
fn spelled(name: &HeaderName) -> String {
    let word = |word: &str| match word {
        "ttl" | "sse" => word.to_ascii_uppercase(),
        _ => word[..1].to_ascii_uppercase() + &word[1..],
    };
    name.as_str().split('-').map(word).collect::<Vec<_>>().join("-")
}
