//! The control event: the position that makes the data before it final
//! (protocol.md §13.4). The server formats it, the client parses it.

use std::borrow::Cow;

use bytes::BufMut;
use serde::Deserialize;

/// Field with the offset to resume from.
pub const NEXT_OFFSET_FIELD: &str = "streamNextOffset";
/// Field with the cursor to echo.
pub const CURSOR_FIELD: &str = "streamCursor";
/// Field that tells that the stream is closed.
pub const CLOSED_FIELD: &str = "streamClosed";

/// What a control event says. Borrows from the event text where it can.
/// Source: protocol.md §13.4.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ControlEvent<'a> {
    /// Offset to resume from, behind all data sent so far.
    #[serde(rename = "streamNextOffset", borrow)]
    pub next_offset: Cow<'a, str>,
    /// Cursor to echo; absent once the stream is closed.
    #[serde(rename = "streamCursor", borrow, default)]
    pub cursor: Option<Cow<'a, str>>,
    /// Everything available has been sent.
    #[serde(rename = "upToDate", default, deserialize_with = "flag")]
    pub up_to_date: bool,
    /// The stream is closed and everything has been sent.
    #[serde(rename = "streamClosed", default, deserialize_with = "flag")]
    pub stream_closed: bool,
}

/// Why a control event cannot be used; the position it would confirm is unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// Not a JSON object of the expected shape.
    #[error("control event is not valid: {0}")]
    Malformed(String),
    /// `streamNextOffset` is empty or a sentinel, which no server may issue.
    #[error("control event carries the unusable streamNextOffset {0:?}")]
    UnusableOffset(String),
}

impl<'a> ControlEvent<'a> {
    /// Parses the payload of a control event. Unknown fields are ignored; a missing
    /// offset, a wrong type and an empty payload are errors (protocol.md §25.2).
    pub fn parse(payload: &'a [u8]) -> Result<Self, ControlError> {
        // serde would also fill the fields from an array, by their order.
        if payload.trim_ascii_start().first() != Some(&b'{') {
            return Err(ControlError::Malformed("it is not a JSON object".to_owned()));
        }
        // serde looks at the bytes of known fields only, and JSON is UTF-8 as a whole.
        let text = std::str::from_utf8(payload).map_err(|error| ControlError::Malformed(error.to_string()))?;
        let event: Self = serde_json::from_str(text).map_err(|error| ControlError::Malformed(error.to_string()))?;
        match event.next_offset.as_ref() {
            "" | crate::offset::BEGINNING | crate::offset::NOW => {
                Err(ControlError::UnusableOffset(event.next_offset.into_owned()))
            }
            _ => Ok(event),
        }
    }

    /// The same event, free of the text it was parsed from.
    pub fn into_owned(self) -> ControlEvent<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        ControlEvent {
            next_offset: owned(self.next_offset),
            cursor: self.cursor.map(owned),
            up_to_date: self.up_to_date,
            stream_closed: self.stream_closed,
        }
    }

    /// Writes the payload as one line of compact JSON, absent fields left out.
    pub fn write_to(&self, out: &mut impl BufMut) {
        out.put_slice(b"{\"streamNextOffset\":");
        put_json_string(out, &self.next_offset);
        if let Some(cursor) = &self.cursor {
            out.put_slice(b",\"streamCursor\":");
            put_json_string(out, cursor);
        }
        if self.up_to_date {
            out.put_slice(b",\"upToDate\":true");
        }
        if self.stream_closed {
            out.put_slice(b",\"streamClosed\":true");
        }
        out.put_u8(b'}');
    }

    /// The payload as text.
    pub fn to_json(&self) -> String {
        let mut out = Vec::with_capacity(128);
        self.write_to(&mut out);
        String::from_utf8(out).unwrap_or_default()
    }
}

/// Offsets and cursors of this server need no escape, other text does.
fn put_json_string(out: &mut impl BufMut, text: &str) {
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.put_u8(b'"');
        out.put_slice(text.as_bytes());
        out.put_u8(b'"');
    } else {
        out.put_slice(serde_json::Value::from(text).to_string().as_bytes());
    }
}

/// `null` counts as absent; anything else must be a boolean.
fn flag<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Option::<bool>::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_written_form_is_compact_and_leaves_absent_fields_out() {
        let mut event = ControlEvent {
            next_offset: "17_4".into(),
            cursor: Some("123".into()),
            up_to_date: true,
            stream_closed: false,
        };
        assert_eq!(event.to_json(), r#"{"streamNextOffset":"17_4","streamCursor":"123","upToDate":true}"#);
        event.cursor = None;
        event.stream_closed = true;
        assert_eq!(event.to_json(), r#"{"streamNextOffset":"17_4","upToDate":true,"streamClosed":true}"#);
    }

    #[test]
    fn what_was_written_reads_back() {
        for (offset, cursor) in [("17", None), ("a\"b\\c\u{1}é", Some("9"))] {
            let event = ControlEvent {
                next_offset: offset.into(),
                cursor: cursor.map(Cow::from),
                up_to_date: false,
                stream_closed: true,
            };
            assert_eq!(ControlEvent::parse(event.to_json().as_bytes()), Ok(event));
        }
    }

    #[test]
    fn the_named_fields_are_those_that_are_read() {
        let text = format!(r#"{{"{NEXT_OFFSET_FIELD}":"7","{CURSOR_FIELD}":"1","{CLOSED_FIELD}":true}}"#);
        let event = ControlEvent::parse(text.as_bytes()).expect("valid");
        assert_eq!((&*event.next_offset, event.cursor.as_deref(), event.stream_closed), ("7", Some("1"), true));
    }

    #[test]
    fn unknown_fields_and_missing_optional_ones_are_tolerated() {
        let event = ControlEvent::parse(br#" {"x":[1,{}],"streamNextOffset":"7","upToDate":null} "#).expect("valid");
        assert_eq!(event.next_offset, "7");
        assert_eq!((event.cursor, event.up_to_date, event.stream_closed), (None, false, false));
    }

    #[test]
    fn invalid_utf8_is_an_error_in_unknown_fields_too() {
        let payload = b"{\"streamNextOffset\":\"7\",\"later\":\"\x85\"}";
        assert!(matches!(ControlEvent::parse(payload), Err(ControlError::Malformed(_))));
    }

    #[test]
    fn a_control_event_without_a_usable_offset_is_an_error() {
        for bad in [
            "",
            "{invalid json here",
            "{}",
            "[]",
            r#"["7","1",true,false]"#,
            "null",
            r#"{"upToDate":true}"#,
            r#"{"streamNextOffset":7}"#,
            r#"{"streamNextOffset":"7"} x"#,
            r#"{"streamNextOffset":"7","upToDate":"yes"}"#,
        ] {
            assert!(matches!(ControlEvent::parse(bad.as_bytes()), Err(ControlError::Malformed(_))), "{bad:?}");
        }
        for bad in ["", "-1", "now"] {
            let text = format!(r#"{{"streamNextOffset":"{bad}"}}"#);
            assert_eq!(ControlEvent::parse(text.as_bytes()), Err(ControlError::UnusableOffset(bad.into())));
        }
    }
}
