//! JSON mode against `serde_json`: the same texts pass, the same messages come out.

use bytes::Bytes;
use durable_streams_protocol::{
    json_mode::{JsonError, MAX_DEPTH, elements, messages, prefix_len, split, validate_array, validate_item},
    read::json::{array, join},
};
use serde_json::value::RawValue;

/// Any text as a write body, as one item and as a read answer.
///
/// # Panics
/// When `serde_json` judges otherwise, or the stored form does not read back.
pub fn json(text: &[u8]) {
    let item: Option<&RawValue> = serde_json::from_slice(text).ok();
    match validate_item(text) {
        Err(JsonError::TooDeep(_)) => return assert!(depth(text) > MAX_DEPTH),
        judged => assert_eq!(judged.is_ok(), item.is_some(), "{judged:?}"),
    }
    let raw: Option<Vec<&RawValue>> = serde_json::from_slice(text).ok();
    assert_eq!(validate_array(text).ok(), raw.as_ref().map(|raw| raw.len() as u64));

    let batch = split(Bytes::copy_from_slice(text));
    let Some(item) = item else { return assert!(batch.is_err()) };
    let batch = batch.expect("serde_json accepts it");
    let expected: Vec<Vec<u8>> = match &raw {
        Some(raw) => raw.iter().map(|value| compact(value.get())).collect(),
        None => vec![compact(item.get())],
    };
    assert_eq!(messages(&batch.stored).collect::<Vec<_>>(), expected);
    assert_eq!(batch.message_count, expected.len() as u64);
    let stored: Vec<u8> = expected.iter().flat_map(|message| [message, &b","[..]].concat()).collect();
    assert_eq!(batch.stored, stored);
    if let Some(raw) = raw {
        let found: Vec<&[u8]> = elements(text).map(|element| element.expect("valid")).collect();
        assert_eq!(found, raw.iter().map(|value| value.get().as_bytes()).collect::<Vec<_>>());
    }
    reads_back(text, &batch.stored, &expected);
}

/// A read answers with what was stored, in one part or in two.
fn reads_back(text: &[u8], stored: &[u8], expected: &[Vec<u8>]) {
    let answer = |stored: &[u8]| {
        let inner = stored.strip_suffix(b",").unwrap_or(stored);
        let body = Bytes::from([b"[", inner, b"]"].concat());
        array(body).expect("an answer is an array").text
    };
    let texts = |array: &[u8]| -> Vec<Vec<u8>> {
        let raw: Vec<&RawValue> = serde_json::from_slice(array).expect("JSON");
        raw.iter().map(|value| value.get().as_bytes().to_vec()).collect()
    };
    assert_eq!(texts(&answer(stored)), expected);
    let half = (text.len() % (expected.len() + 1)) as u64;
    let cut = prefix_len(stored, half).expect("so many messages are there");
    let parts = [answer(&stored[..cut]), answer(&stored[cut..])];
    let joined = join(&parts);
    assert_eq!(texts(&joined.text), expected);
    assert_eq!(joined.is_empty, expected.is_empty());
    assert_eq!(prefix_len(stored, expected.len() as u64 + 1), None);
}

/// Valid JSON without the white space outside its strings.
pub(crate) fn compact(text: &str) -> Vec<u8> {
    let (mut out, mut is_string, mut is_escaped) = (Vec::new(), false, false);
    for byte in text.bytes() {
        if is_string {
            is_string = is_escaped || byte != b'"';
            is_escaped = !is_escaped && byte == b'\\';
        } else if byte.is_ascii_whitespace() {
            continue;
        } else {
            is_string = byte == b'"';
        }
        out.push(byte);
    }
    out
}

/// How deep the brackets outside strings nest.
fn depth(text: &[u8]) -> usize {
    let (mut deepest, mut now, mut is_string, mut is_escaped) = (0_usize, 0_usize, false, false);
    for byte in text {
        if is_string {
            is_string = is_escaped || *byte != b'"';
            is_escaped = !is_escaped && *byte == b'\\';
            continue;
        }
        match byte {
            b'"' => is_string = true,
            b'[' | b'{' => {
                now += 1;
                deepest = deepest.max(now);
            }
            b']' | b'}' => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
