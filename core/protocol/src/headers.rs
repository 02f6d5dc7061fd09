//! Every header of the protocol: name, strict parser, formatter (protocol.md §3).

use http::{HeaderMap, HeaderName, HeaderValue};

macro_rules! names {
    ($($(#[$doc:meta])* $konst:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $konst: HeaderName = HeaderName::from_static($text);)*
    };
}

names! {
    /// Next offset to read from, or the tail.
    STREAM_NEXT_OFFSET = "stream-next-offset";
    /// Set when a read returned everything available.
    STREAM_UP_TO_DATE = "stream-up-to-date";
    /// `true` closes (request) or reports closure (response).
    STREAM_CLOSED = "stream-closed";
    /// Cache-collapsing token of live reads.
    STREAM_CURSOR = "stream-cursor";
    /// `base64` when SSE data events are encoded.
    STREAM_SSE_DATA_ENCODING = "stream-sse-data-encoding";
    /// Sliding time to live, in seconds.
    STREAM_TTL = "stream-ttl";
    /// Absolute deadline, RFC 3339.
    STREAM_EXPIRES_AT = "stream-expires-at";
    /// Writer coordination token, compared bytewise.
    STREAM_SEQ = "stream-seq";
    /// Path of a fork's source.
    STREAM_FORKED_FROM = "stream-forked-from";
    /// Where a fork diverges from its source.
    STREAM_FORK_OFFSET = "stream-fork-offset";
    /// Refinement of the divergence point inside one append unit.
    STREAM_FORK_SUB_OFFSET = "stream-fork-sub-offset";
    /// Identity of an idempotent producer.
    PRODUCER_ID = "producer-id";
    /// Incarnation number of a producer.
    PRODUCER_EPOCH = "producer-epoch";
    /// Sequence number of a producer request; in answers the highest accepted one.
    PRODUCER_SEQ = "producer-seq";
    /// In a gap answer: the sequence number the server would accept.
    PRODUCER_EXPECTED_SEQ = "producer-expected-seq";
    /// In a gap answer: the sequence number the request carried.
    PRODUCER_RECEIVED_SEQ = "producer-received-seq";
    /// Signature of an outgoing webhook request (protocol.md §23.8).
    WEBHOOK_SIGNATURE = "webhook-signature";
}

/// Value of boolean headers that are set.
pub const TRUE: HeaderValue = HeaderValue::from_static("true");

/// Request headers a browser may send, for CORS preflight (protocol.md §4.1).
pub const CORS_ALLOW_HEADERS: &str = "Content-Type, Authorization, If-None-Match, Stream-Seq, Stream-TTL, \
Stream-Expires-At, Stream-Closed, Stream-Forked-From, Stream-Fork-Offset, Stream-Fork-Sub-Offset, \
Producer-Id, Producer-Epoch, Producer-Seq";

/// Response headers a browser may see (protocol.md §4.1).
pub const CORS_EXPOSE_HEADERS: &str = "Stream-Next-Offset, Stream-Up-To-Date, Stream-Closed, Stream-Cursor, \
Stream-SSE-Data-Encoding, Stream-TTL, Stream-Expires-At, Producer-Epoch, Producer-Seq, Producer-Expected-Seq, \
Producer-Received-Seq, ETag, Location, Cache-Control, Retry-After, Content-Encoding, Vary";

/// Tells whether a boolean header is set: `true` in any case; anything else
/// counts as absent and is never an error (protocol.md §4.2).
pub fn is_true(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get(name).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

/// Parses `0` or digits without a leading zero, up to 2^53 - 1: the grammar of
/// `Stream-TTL` and `Stream-Fork-Sub-Offset` (protocol.md §5).
pub fn parse_canonical_integer(text: &[u8]) -> Option<u64> {
    if text.len() > 1 && text[0] == b'0' {
        return None;
    }
    parse_integer(text)
}

/// Parses `[0-9]+` up to 2^53 - 1: the grammar of `Producer-Epoch` and
/// `Producer-Seq` (protocol.md §6).
pub fn parse_integer(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut value: u64 = 0;
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
        if value > crate::MAX_SAFE_INTEGER {
            return None;
        }
    }
    Some(value)
}

/// Formats an integer as a header value without allocating a `String`.
pub fn integer_value(value: u64) -> HeaderValue {
    HeaderValue::from(value)
}

/// Reads a header as an integer of the producer grammar; `None` when absent or
/// malformed. For answers, where a malformed value counts as absent.
pub fn integer(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    headers.get(name).and_then(|value| parse_integer(value.as_bytes()))
}

/// Reads a header as text; `None` when absent or not visible ASCII.
pub fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ttl_grammar_refuses_signs_fractions_and_leading_zeros() {
        for bad in ["", "-1", "abc", "060", "+60", "60.5", "1e3", " 1", "9007199254740992", "99999999999999999999999"] {
            assert_eq!(parse_canonical_integer(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(parse_canonical_integer(b"0"), Some(0));
        assert_eq!(parse_canonical_integer(b"9007199254740991"), Some(crate::MAX_SAFE_INTEGER));
    }

    #[test]
    fn producer_grammar_allows_leading_zeros() {
        assert_eq!(parse_integer(b"007"), Some(7));
        assert_eq!(parse_integer(b"1abc"), None);
    }

    #[test]
    fn only_the_word_true_sets_a_boolean() {
        for (value, set) in
            [("true", true), ("TRUE", true), ("false", false), ("yes", false), ("1", false), ("", false)]
        {
            let mut headers = HeaderMap::new();
            headers.insert(STREAM_CLOSED, HeaderValue::from_static(value));
            assert_eq!(is_true(&headers, &STREAM_CLOSED), set, "{value:?}");
        }
    }
}
