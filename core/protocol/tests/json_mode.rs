//! JSON mode against its vectors, and against `serde_json` as a second opinion.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use durable_streams_protocol::json_mode::{
    JsonError, MAX_DEPTH, elements, messages, prefix_len, split, validate_array, validate_item,
};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    #[serde(rename = "spec")]
    _spec: String,
    body: Option<String>,
    body_base64: Option<String>,
    repeat: Option<Repeat>,
    messages: Option<Vec<String>>,
    error: Option<String>,
    at: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Repeat {
    open: String,
    close: String,
    times: usize,
}

impl Vector {
    fn bytes(&self) -> Vec<u8> {
        let body = match (&self.body, &self.body_base64) {
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(base64)) => STANDARD.decode(base64).expect("base64"),
            _ => panic!("{}: one of body and body_base64", self.name),
        };
        let Some(Repeat { open, close, times }) = &self.repeat else { return body };
        [open.repeat(*times).into_bytes(), body, close.repeat(*times).into_bytes()].concat()
    }
}

#[test]
fn vectors() {
    let vectors: Vec<Vector> =
        serde_json::from_str(include_str!("../../../tests/vectors/json_mode.json")).expect("vectors");
    for vector in vectors {
        let name = &vector.name;
        let result = split(vector.bytes().into());
        match (&vector.messages, result) {
            (Some(expected), Ok(batch)) => {
                assert_eq!(texts(messages(&batch.stored)), *expected, "{name}");
                assert_eq!(batch.message_count, expected.len() as u64, "{name}");
            }
            (None, Err(error)) => {
                let (kind, at) = match error {
                    JsonError::Utf8(at) => ("utf8", Some(at)),
                    JsonError::Syntax { at, .. } => ("syntax", Some(at)),
                    JsonError::TooDeep(_) => ("too_deep", None),
                    JsonError::EmptyArray => ("empty", None),
                };
                assert_eq!((Some(kind), at), (vector.error.as_deref(), vector.at), "{name}");
            }
            (_, result) => panic!("{name}: {result:?}"),
        }
    }
}

#[test]
fn stored_form_is_each_message_and_a_comma() {
    for (body, stored, count) in
        [("[1, 2]", "1,2,", 2), ("[1,2]", "1,2,", 2), ("7", "7,", 1), (" {} ", "{},", 1), ("[]", "", 0)]
    {
        let batch = split(Bytes::from_static(body.as_bytes())).expect(body);
        assert_eq!((&batch.stored[..], batch.message_count), (stored.as_bytes(), count), "{body}");
    }
}

#[test]
fn a_compact_body_no_one_else_holds_is_not_copied() {
    let body = Bytes::from(br#"[{"a":1},{"a":2}]"#.to_vec());
    let message = body.as_ptr().wrapping_add(1);
    assert_eq!(split(body).expect("valid").stored.as_ptr(), message);
}

#[test]
fn a_body_someone_else_holds_is_left_alone() {
    let body = Bytes::from(b"[1,2]".to_vec());
    let held = body.clone();
    assert_eq!(&split(body).expect("valid").stored[..], b"1,2,");
    assert_eq!(&held[..], b"[1,2]");
}

#[test]
fn an_item_is_one_value_and_may_be_an_array() {
    assert_eq!(validate_item(b" [1,2] "), Ok(()));
    assert_eq!(validate_item(b"[]"), Ok(()));
    assert!(validate_item(b"1,2").is_err());
    assert!(validate_item(b"").is_err());
    let deepest = "[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH);
    assert_eq!(validate_item(deepest.as_bytes()), Ok(()));
    assert_eq!(validate_item(format!("[{deepest}]").as_bytes()), Err(JsonError::TooDeep(MAX_DEPTH)));
}

#[test]
fn a_read_answer_that_is_no_array_is_an_error() {
    for bad in ["{}", "1", "", " ", "[1", "[1]]", "[1],"] {
        assert!(validate_array(bad.as_bytes()).is_err(), "{bad:?}");
    }
    assert_eq!(validate_array(b" [ ] "), Ok(0));
    assert_eq!(validate_array(b" [1, [2]]\n"), Ok(2));
}

#[test]
fn elements_end_with_the_error() {
    let mut elements = elements(b"[1, {\"a\":2} ,x]");
    assert_eq!(elements.next(), Some(Ok(&b"1"[..])));
    assert_eq!(elements.next(), Some(Ok(&b"{\"a\":2}"[..])));
    assert!(matches!(elements.next(), Some(Err(JsonError::Syntax { at: 13, .. }))));
    assert_eq!(elements.next(), None);
}

#[test]
fn a_prefix_longer_than_the_batch_is_none() {
    assert_eq!(prefix_len(b"1,[2,3],", 0), Some(0));
    assert_eq!(prefix_len(b"1,[2,3],", 2), Some(8));
    assert_eq!(prefix_len(b"1,[2,3],", 3), None);
    assert_eq!(prefix_len(b"", 1), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn messages_come_out_compact_and_otherwise_as_sent(values in prop::collection::vec(value(), 0..6), spaces in spaces()) {
        let expected: Vec<_> = values.iter().map(|value| value.concat()).collect();
        let text = spaced(array_of(&values), &spaces);
        let batch = split(text.clone().into()).expect("valid");
        prop_assert_eq!(texts(messages(&batch.stored)), expected.clone());
        prop_assert_eq!(batch.message_count, values.len() as u64);
        prop_assert_eq!(validate_array(text.as_bytes()), Ok(values.len() as u64));
        let stored: String = expected.iter().map(|message| format!("{message},")).collect();
        prop_assert_eq!(&batch.stored[..], stored.as_bytes());
    }

    #[test]
    fn elements_are_what_serde_json_finds(values in prop::collection::vec(value(), 0..6), spaces in spaces()) {
        let text = spaced(array_of(&values), &spaces);
        let raw: Vec<&RawValue> = serde_json::from_str(&text).expect("valid");
        let expected: Vec<_> = raw.iter().map(|raw| raw.get()).collect();
        prop_assert_eq!(texts(elements(text.as_bytes()).map(Result::unwrap)), expected);
    }

    #[test]
    fn damaged_text_is_accepted_when_serde_json_accepts_it(
        value in value(), spaces in spaces(), damage in prop::collection::vec((any::<prop::sample::Index>(), damage()), 1..4),
    ) {
        let mut text = spaced(value, &spaces).into_bytes();
        for (place, (kind, byte)) in damage {
            let at = place.index(text.len() + 1);
            match kind {
                0 => text.insert(at, byte),
                1 if at < text.len() => text[at] = byte,
                2 if at < text.len() => drop(text.remove(at)),
                _ => text.truncate(at),
            }
        }
        let accepted = serde_json::from_slice::<&RawValue>(&text).is_ok();
        prop_assert_eq!(validate_item(&text).is_ok(), accepted, "{:?}", String::from_utf8_lossy(&text));
        prop_assert_eq!(split(text.clone().into()).is_ok(), accepted);
        let array = [b"[", &text[..], b"]"].concat();
        let accepted = serde_json::from_slice::<Vec<&RawValue>>(&array).ok().map(|items| items.len() as u64);
        prop_assert_eq!(validate_array(&array).ok(), accepted, "{:?}", String::from_utf8_lossy(&array));
    }

    #[test]
    fn any_bytes_are_judged_as_serde_json_judges_them(text in prop::collection::vec(any::<u8>(), 0..40)) {
        prop_assert_eq!(validate_item(&text).is_ok(), serde_json::from_slice::<&RawValue>(&text).is_ok());
    }

    #[test]
    fn bytes_of_the_grammar_are_judged_as_serde_json_judges_them(text in r#"[\[\]{},:"\\ 01e.+\-tfnulrase]{0,24}"#) {
        prop_assert_eq!(validate_item(text.as_bytes()).is_ok(), serde_json::from_str::<&RawValue>(&text).is_ok(), "{}", text);
    }

    #[test]
    fn a_prefix_of_n_messages_splits_the_batch_after_n(values in prop::collection::vec(value(), 0..6), count in 0u64..8) {
        let stored = split(array_of(&values).concat().into()).expect("valid").stored;
        match prefix_len(&stored, count) {
            Some(len) => {
                prop_assert_eq!(messages(&stored[..len]).count() as u64, count);
                prop_assert_eq!(messages(&stored[..len]).chain(messages(&stored[len..])).count(), values.len());
            }
            None => prop_assert!(count > values.len() as u64),
        }
    }
}

fn texts<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    parts.map(|part| String::from_utf8(part.to_vec()).expect("UTF-8")).collect()
}

/// A JSON value as its tokens.
fn value() -> impl Strategy<Value = Vec<String>> {
    let scalar = prop_oneof![
        r#""([ -!#-\[\]-~]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}|[é世😀\x7f]){0,40}""#,
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?",
        prop_oneof![Just("true"), Just("false"), Just("null")].prop_map(String::from),
    ]
    .prop_map(|token| vec![token]);
    scalar.prop_recursive(5, 40, 6, |inner| {
        let member = (r#""([a-z ,:{}]|\\[nt"\\]){0,6}""#, inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(|items| array_of(&items)),
            prop::collection::vec(member, 0..6).prop_map(|members| {
                let members: Vec<_> =
                    members.into_iter().map(|(key, value)| [vec![key, ":".into()], value].concat()).collect();
                enclosed("{", &members, "}")
            }),
        ]
    })
}

fn array_of(values: &[Vec<String>]) -> Vec<String> {
    enclosed("[", values, "]")
}

fn enclosed(open: &str, parts: &[Vec<String>], close: &str) -> Vec<String> {
    let inner = parts.join(&String::from(","));
    [vec![open.to_owned()], inner, vec![close.to_owned()]].concat()
}

/// White space to put between tokens, in turn; often none at all.
fn spaces() -> impl Strategy<Value = Vec<String>> {
    prop_oneof![Just(vec![String::new()]), prop::collection::vec("[ \t\r\n]{0,20}", 1..8)]
}

fn spaced(tokens: Vec<String>, spaces: &[String]) -> String {
    let mut text = spaces[0].clone();
    for (token, space) in tokens.iter().zip(spaces.iter().cycle().skip(1)) {
        text.push_str(token);
        text.push_str(space);
    }
    text
}

/// Insert, replace, remove or cut; with a byte that matters to the grammar.
fn damage() -> impl Strategy<Value = (u8, u8)> {
    let byte = prop_oneof![prop::sample::select(&b"[]{},:\"\\ \n\x00\x1f\x7f\x80\xc3\xff0e.-+tux"[..]), any::<u8>()];
    (0u8..4, byte)
}
