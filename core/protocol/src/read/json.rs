//! JSON read bodies: checked whole, joined as text, never turned into trees
//! (protocol.md §17).

use bytes::{Bytes, BytesMut};

use crate::json_mode::{self, JsonError};

/// One checked JSON array, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrayText {
    /// The array, brackets included.
    pub text: Bytes,
    /// Whether it has no element.
    pub is_empty: bool,
}

/// The array without an element.
pub const EMPTY: &[u8] = b"[]";

/// Checks that a body is exactly one JSON value and gives it as an array; a value that
/// is no array becomes an array of one. Truncated, corrupt or empty text is an error.
pub fn array(body: Bytes) -> Result<ArrayText, JsonError> {
    if trim(&body).first() == Some(&b'[') {
        let is_empty = json_mode::validate_array(&body)? == 0;
        return Ok(ArrayText { text: body, is_empty });
    }
    json_mode::validate_item(&body)?;
    let mut wrapped = BytesMut::with_capacity(body.len() + 2);
    wrapped.extend_from_slice(b"[");
    wrapped.extend_from_slice(&body);
    wrapped.extend_from_slice(b"]");
    Ok(ArrayText { text: wrapped.freeze(), is_empty: false })
}

/// Joins checked arrays into one that has all elements in order.
pub fn join(arrays: &[Bytes]) -> ArrayText {
    if let [one] = arrays {
        return ArrayText { text: one.clone(), is_empty: elements(one).is_none_or(<[u8]>::is_empty) };
    }
    let mut text = BytesMut::with_capacity(arrays.iter().map(|array| array.len() + 1).sum::<usize>() + 2);
    text.extend_from_slice(b"[");
    for elements in arrays.iter().filter_map(|array| elements(array)).filter(|elements| !elements.is_empty()) {
        if text.len() > 1 {
            text.extend_from_slice(b",");
        }
        text.extend_from_slice(elements);
    }
    let is_empty = text.len() == 1;
    text.extend_from_slice(b"]");
    ArrayText { text: text.freeze(), is_empty }
}

/// What stands between the brackets of a checked array; `None` if it is no array.
fn elements(array: &[u8]) -> Option<&[u8]> {
    let inner = trim(array).strip_prefix(b"[")?.strip_suffix(b"]")?;
    Some(trim(inner))
}

fn trim(text: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let start = text.iter().position(is_text).unwrap_or(text.len());
    let end = text.iter().rposition(is_text).map_or(start, |last| last + 1);
    &text[start..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_array_passes_untouched() {
        for (text, is_empty) in [("[]", true), (" [ \n ] ", true), ("[1,\"]\",{\"a\":[]}]", false), ("[[]]", false)] {
            let body = Bytes::from_static(text.as_bytes());
            assert_eq!(array(body.clone()), Ok(ArrayText { text: body, is_empty }), "{text}");
        }
    }

    #[test]
    fn a_lone_value_becomes_an_array_of_one() {
        for text in ["7", "null", "\"[\"", "{\"a\":[1]}"] {
            let batch = array(Bytes::from_static(text.as_bytes())).expect("valid");
            assert_eq!((batch.text, batch.is_empty), (Bytes::from(format!("[{text}]")), false));
        }
    }

    #[test]
    fn truncated_and_corrupt_text_is_an_error() {
        for bad in [
            &b""[..],
            b" ",
            b"[",
            b"[1",
            b"[1,",
            b"[1,]",
            b"[1]x",
            b"[1][2]",
            b"[01]",
            b"[1.]",
            b"[\"a]",
            b"[\"\\x\"]",
            b"[\"\xff\"]",
            b"[{\"a\":1]",
            b"[nul]",
            b"[\"a\nb\"]",
        ] {
            assert!(array(Bytes::from_static(bad)).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn joined_arrays_keep_order_and_skip_empty_ones() {
        let join_texts = |texts: &[&'static str]| {
            join(&texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect::<Vec<_>>())
        };
        assert_eq!(join_texts(&["[1, 2]", "[]", " [\"]\"] "]).text, r#"[1, 2,"]"]"#);
        assert_eq!(join_texts(&["[]", "[ ]"]), ArrayText { text: Bytes::from_static(EMPTY), is_empty: true });
        assert_eq!(join_texts(&[]), ArrayText { text: Bytes::from_static(EMPTY), is_empty: true });
        assert_eq!(join_texts(&["[3]"]).text, "[3]");
    }
}
