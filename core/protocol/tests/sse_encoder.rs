//! The SSE encoder against its vectors, and against the decoder of the other side.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use durable_streams_protocol::{
    content_type::Framing,
    json_mode,
    sse::{
        control::ControlEvent,
        decoder::{Decoder, EventKind},
        encoder::{encode_control, encode_data},
    },
};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    #[serde(rename = "spec")]
    _spec: String,
    content_type: String,
    pieces: Option<Vec<Piece>>,
    pieces_base64: Option<Vec<String>>,
    wire: String,
    payload: Option<String>,
    payload_base64: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Piece {
    Text(String),
    Messages(Vec<String>),
}

#[test]
fn vectors() {
    let vectors: Vec<Vector> =
        serde_json::from_str(include_str!("../../../tests/vectors/sse_encoder.json")).expect("vectors");
    for vector in vectors {
        let framing = Framing::of(&vector.content_type);
        let text = vector.pieces.into_iter().flatten().map(|piece| match piece {
            Piece::Text(text) => Bytes::from(text),
            Piece::Messages(messages) => messages.iter().flat_map(|message| [message, ","]).collect::<String>().into(),
        });
        let base64 = vector.pieces_base64.into_iter().flatten();
        let pieces: Vec<_> = text.chain(base64.map(|piece| decode_base64(piece.as_bytes()).into())).collect();
        let wire = encoded(framing, &pieces);
        assert_eq!(String::from_utf8_lossy(&wire), vector.wire, "{}", vector.name);

        let expected = vector.payload.map(String::into_bytes);
        let expected = expected.or_else(|| vector.payload_base64.map(|payload| decode_base64(payload.as_bytes())));
        let events = payloads(framing, &wire);
        assert_eq!(events, Vec::from_iter(expected.map(|payload| (EventKind::Data, payload))), "{}", vector.name);
    }
}

#[test]
fn the_control_event_stands_on_one_line() {
    let mut out = BytesMut::new();
    let event = ControlEvent {
        next_offset: "a\nevent: data\r".into(),
        cursor: Some("7".into()),
        up_to_date: true,
        stream_closed: false,
    };
    encode_control(&event, &mut out);
    assert_eq!(
        &out[..],
        b"event: control\ndata:{\"streamNextOffset\":\"a\\nevent: data\\r\",\"streamCursor\":\"7\",\"upToDate\":true}\n\n"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn binary_reads_back_exactly(pieces in pieces(any::<u8>())) {
        assert_read_back(Framing::Binary, &pieces, pieces.concat())?;
    }

    #[test]
    fn text_reads_back_but_for_the_documented_loss(pieces in pieces(nasty_byte())) {
        let whole = pieces.concat();
        let text = String::from_utf8_lossy(&whole).replace("\r\n", "\n").replace('\r', "\n");
        let lines: Vec<_> = text.split('\n').map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
        assert_read_back(Framing::Text, &pieces, lines.join("\n").into())?;
    }

    #[test]
    fn json_reads_back_exactly(messages in prop::collection::vec(r#"[0-9]{1,5}|"(\\[nr"]|[a-zé ])*"|null|\{"a":\[\]\}"#, 1..8), cut in 0usize..8) {
        let stored = |messages: &[String]| -> Bytes { messages.iter().map(|message| format!("{message},")).collect::<String>().into() };
        let cut = cut.min(messages.len());
        let pieces = [stored(&messages[..cut]), stored(&messages[cut..])];
        assert_read_back(Framing::Json, &pieces, format!("[{}]", messages.join(",")).into())?;
    }

    #[test]
    fn no_payload_adds_an_event(
        framing in prop::sample::select(&[Framing::Json, Framing::Text, Framing::Binary]),
        pieces in pieces(nasty_byte()),
        forged in "(\n|\r|\r\n){2}(event|data|id|retry): ?(control|data|1)(\n|\r|\r\n){1,3}",
    ) {
        let pieces = [&pieces[..], &[Bytes::from(forged)]].concat();
        let wire = encoded(framing, &pieces);
        prop_assert_eq!(decoded(&wire).len(), 1);
        // Each line but the first is one of ours.
        let text = String::from_utf8_lossy(&wire);
        let body = text.strip_prefix("event: data\n").and_then(|text| text.strip_suffix("\n\n")).expect("frame");
        prop_assert!(body.split(['\n', '\r']).all(|line| line.starts_with("data:")), "{}", text);
    }
}

#[test]
fn what_split_stores_reaches_the_reader_as_one_array() {
    let units = [r#" {"a": "x\ny"} "#, "[1, [2]]"].map(|body| json_mode::split(body.into()).expect("valid").stored);
    let events = decoded(&encoded(Framing::Json, &units));
    assert_eq!(events, [(EventKind::Data, br#"[{"a":"x\ny"},1,[2]]"#.to_vec())]);
}

fn assert_read_back(framing: Framing, pieces: &[Bytes], expected: Vec<u8>) -> Result<(), TestCaseError> {
    let mut wire = encoded(framing, pieces);
    let control = ControlEvent { next_offset: "17".into(), cursor: None, up_to_date: false, stream_closed: false };
    encode_control(&control, &mut wire);
    let mut events = payloads(framing, &wire);
    let last = events.pop();
    prop_assert_eq!(last, Some((EventKind::Control, br#"{"streamNextOffset":"17"}"#.to_vec())));
    let mut expected = vec![(EventKind::Data, expected)];
    if pieces.iter().all(Bytes::is_empty) {
        expected.clear();
    }
    prop_assert_eq!(events, expected);
    Ok(())
}

fn encoded(framing: Framing, pieces: &[Bytes]) -> BytesMut {
    let mut out = BytesMut::new();
    encode_data(framing, pieces, &mut out);
    out
}

fn decoded(wire: &[u8]) -> Vec<(EventKind, Vec<u8>)> {
    let mut decoder = Decoder::default();
    decoder.feed(Bytes::copy_from_slice(wire));
    let events = std::iter::from_fn(|| decoder.next_event());
    events.map(|event| event.map(|event| (event.kind, event.data.to_vec())).expect("decodes")).collect()
}

/// Events as a client hands them out: data events of binary streams decoded.
fn payloads(framing: Framing, wire: &[u8]) -> Vec<(EventKind, Vec<u8>)> {
    let mut events = decoded(wire);
    for (kind, data) in &mut events {
        if framing == Framing::Binary && *kind == EventKind::Data {
            *data = decode_base64(data);
        }
    }
    events
}

fn decode_base64(text: &[u8]) -> Vec<u8> {
    STANDARD.decode(text).expect("base64")
}

fn pieces(byte: impl Strategy<Value = u8>) -> impl Strategy<Value = Vec<Bytes>> {
    prop::collection::vec(prop::collection::vec(byte, 0..12).prop_map(Bytes::from), 0..6)
}

/// Bytes around which line splitting and UTF-8 repair go wrong.
fn nasty_byte() -> impl Strategy<Value = u8> {
    prop::sample::select(&b"ab :\r\n\r\n\0\x80\x82\xac\xc3\xa9\xe2\xed\xa0\xf0\x9f\x98\xff"[..])
}
