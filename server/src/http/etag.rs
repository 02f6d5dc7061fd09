//! Entity tags of reads (protocol.md §16).

use std::fmt::Write;

use durable_streams_protocol::offset::{Position, ReadFrom};
use http::{HeaderMap, HeaderValue, header};

/// Names the bytes of one answer: the stream's incarnation, the range, and whether the
/// answer signals closure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntityTag {
    text: [u8; CAPACITY],
    len: usize,
}

/// `"` + 16 hex digits + `:` + 33 + `:` + 33 + `:c` + `"`, rounded up.
const CAPACITY: usize = 96;

impl EntityTag {
    /// The tag of an answer that starts where the request asked and ends at `end`.
    pub(crate) fn new(incarnation: u64, from: ReadFrom, start: Position, end: Position, closed: bool) -> Self {
        let mut tag = Self { text: [0; CAPACITY], len: 0 };
        // Writing to the buffer cannot fail: it holds the longest tag.
        let _ = write!(tag, "\"{incarnation:x}:");
        let _ = match from {
            ReadFrom::Beginning => tag.write_str("-1"),
            ReadFrom::At(_) | ReadFrom::Now => tag.write_str(start.token().as_str()),
        };
        let _ = tag.write_char(':');
        let _ = tag.write_str(end.token().as_str());
        let _ = tag.write_str(if closed { ":c\"" } else { "\"" });
        tag
    }

    /// The tag as a header value; `W/` in front when the body is encoded, so that
    /// encodings of one range never pass for byte-identical.
    pub(crate) fn to_value(self, is_weak: bool) -> Option<HeaderValue> {
        if !is_weak {
            return HeaderValue::from_bytes(self.as_bytes()).ok();
        }
        let mut weak = [0; CAPACITY + 2];
        weak[..2].copy_from_slice(b"W/");
        weak[2..2 + self.len].copy_from_slice(self.as_bytes());
        HeaderValue::from_bytes(&weak[..2 + self.len]).ok()
    }

    /// Whether the request's `If-None-Match` names this tag: lists, `*`, weak comparison.
    pub(crate) fn is_matched_by(&self, request: &HeaderMap) -> bool {
        request.get_all(header::IF_NONE_MATCH).iter().any(|value| {
            value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii).any(|candidate| {
                candidate == b"*" || candidate.strip_prefix(b"W/").unwrap_or(candidate) == self.as_bytes()
            })
        })
    }

    fn as_bytes(&self) -> &[u8] {
        &self.text[..self.len]
    }
}

impl Write for EntityTag {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.len + text.len();
        self.text.get_mut(self.len..end).ok_or(std::fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(closed: bool) -> EntityTag {
        EntityTag::new(u64::MAX, ReadFrom::At(Position(3)), Position(3), Position(8), closed)
    }

    fn asking(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(value))])
    }

    #[test]
    fn the_longest_tag_fits_and_tells_closure_apart() {
        let open = "\"ffffffffffffffff:0000000000000000_0000000000000003:0000000000000000_0000000000000008\"";
        assert_eq!(tag(false).to_value(false), Some(HeaderValue::from_static(open)));
        let closed = "\"ffffffffffffffff:0000000000000000_0000000000000003:0000000000000000_0000000000000008:c\"";
        assert_eq!(tag(true).to_value(false), Some(HeaderValue::from_static(closed)));
        let whole = EntityTag::new(1, ReadFrom::Beginning, Position(0), Position(8), false);
        assert_eq!(
            whole.to_value(true),
            Some(HeaderValue::from_static("W/\"1:-1:0000000000000000_0000000000000008\""))
        );
    }

    #[test]
    fn if_none_match_takes_lists_stars_and_weak_tags() {
        let whole = EntityTag::new(1, ReadFrom::Beginning, Position(0), Position(8), false);
        for value in
            ["\"1:-1:0000000000000000_0000000000000008\"", "\"x\" ,W/\"1:-1:0000000000000000_0000000000000008\"", "*"]
        {
            assert!(whole.is_matched_by(&asking(value)), "{value}");
        }
        for value in
            ["\"x\"", "1:-1:0000000000000000_0000000000000008", "", "\"1:-1:0000000000000000_0000000000000008:c\""]
        {
            assert!(!whole.is_matched_by(&asking(value)), "{value}");
        }
    }
}
