//! The query of a read request (protocol.md §3.3, §10).

use std::borrow::Cow;

use durable_streams_protocol::{cursor, offset::ReadFrom, query};
use percent_encoding::percent_decode;

/// A read request's parameters, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReadQuery {
    /// Where to start.
    pub(crate) from: ReadFrom,
    /// Whether and how to wait for more.
    pub(crate) live: Live,
    /// Cursor the client echoes; `None` when absent or unusable (protocol.md §15).
    pub(crate) cursor: Option<u64>,
}

/// How a read waits for future data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Live {
    /// Not at all: a catch-up read.
    No,
    /// One answer, held until there is something to say.
    LongPoll,
    /// Server-sent events.
    Sse,
}

/// Why a query was refused; each becomes a 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum QueryError {
    /// A parameter is given more than once.
    #[error("the query parameter {0} is given more than once; give it once")]
    Repeated(&'static str),
    /// `offset=`.
    #[error("the query parameter offset is empty; give -1, now, or an offset this server returned")]
    EmptyOffset,
    /// Not a sentinel and not shaped like an offset.
    #[error("the query parameter offset is {0:?}; give -1, now, or an offset this server returned")]
    Offset(String),
    /// `live` without `offset`.
    #[error("a live read needs the query parameter offset; give -1, now, or an offset this server returned")]
    LiveWithoutOffset,
    /// Unknown live mode.
    #[error("the query parameter live is {0:?}; give long-poll or sse, or leave it out")]
    Live(String),
}

impl ReadQuery {
    /// Parses the query of a GET; unknown names are ignored.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, QueryError> {
        let (mut offset, mut live, mut cursor) = (None, None, None);
        for pair in text.unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (slot, name) = match &*decode(name) {
                b"offset" => (&mut offset, query::OFFSET),
                b"live" => (&mut live, query::LIVE),
                b"cursor" => (&mut cursor, query::CURSOR),
                _ => continue,
            };
            if slot.replace(decode(value)).is_some() {
                return Err(QueryError::Repeated(name));
            }
        }
        let live = match live.as_deref() {
            None => Live::No,
            // api/server.md: `live=true` is an older spelling of long-poll.
            Some(mode) if mode == query::LONG_POLL.as_bytes() || mode == b"true" => Live::LongPoll,
            Some(mode) if mode == query::SSE.as_bytes() => Live::Sse,
            Some(other) => return Err(QueryError::Live(show(other))),
        };
        let from = match offset.as_deref() {
            None if live == Live::No => ReadFrom::Beginning,
            None => return Err(QueryError::LiveWithoutOffset),
            Some(b"") => return Err(QueryError::EmptyOffset),
            Some(value) => ReadFrom::parse(value).ok_or_else(|| QueryError::Offset(show(value)))?,
        };
        let cursor = cursor.and_then(|value| cursor::parse(std::str::from_utf8(&value).ok()?));
        Ok(Self { from, live, cursor })
    }
}

fn decode(text: &str) -> Cow<'_, [u8]> {
    percent_decode(text.as_bytes()).into()
}

/// A value as an error shows it: bounded, and safe to print.
fn show(value: &[u8]) -> String {
    String::from_utf8_lossy(value).chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use durable_streams_protocol::offset::Position;

    use super::*;

    const TOKEN: &str = "0000000000000000_0000000000000042";

    #[test]
    fn absent_parameters_mean_everything_from_the_start() {
        let whole = ReadQuery { from: ReadFrom::Beginning, live: Live::No, cursor: None };
        for text in [None, Some(""), Some("foo=bar"), Some("offset=-1"), Some("cursor=abc&x&=&y=")] {
            assert_eq!(ReadQuery::parse(text), Ok(whole), "{text:?}");
        }
    }

    #[test]
    fn parameters_are_percent_decoded_and_found_in_any_order() {
        let text = format!("cursor=12&li%76e=sse&o%66fset={}", TOKEN.replace('_', "%5F"));
        let query = ReadQuery::parse(Some(&text)).expect("a valid query");
        assert_eq!(query, ReadQuery { from: ReadFrom::At(Position(42)), live: Live::Sse, cursor: Some(12) });
        assert_eq!(ReadQuery::parse(Some("offset=now&live=true")).map(|query| query.live), Ok(Live::LongPoll));
    }

    #[test]
    fn malformed_offsets_are_refused_as_sent() {
        for bad in
            ["offset=0", "offset=-1%0A", "offset=%2D1%20", "offset=+-1", "offset=a%2Cb", "offset=..%2F", "offset=%00"]
        {
            assert!(matches!(ReadQuery::parse(Some(bad)), Err(QueryError::Offset(_))), "{bad}");
        }
        assert_eq!(ReadQuery::parse(Some("offset=")), Err(QueryError::EmptyOffset));
        assert_eq!(ReadQuery::parse(Some("offset")), Err(QueryError::EmptyOffset));
        assert_eq!(ReadQuery::parse(Some("offset=-1&offset=-1")), Err(QueryError::Repeated("offset")));
    }

    #[test]
    fn live_reads_name_their_offset_and_mode() {
        assert_eq!(ReadQuery::parse(Some("live=sse")), Err(QueryError::LiveWithoutOffset));
        assert_eq!(ReadQuery::parse(Some("offset=-1&live=websocket")), Err(QueryError::Live("websocket".to_owned())));
    }
}
