//! The SSE decoder against a naive one, in any cuts; what the encoder wrote reads back.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use durable_streams_protocol::{
    content_type::Framing,
    json_mode,
    sse::{
        control::ControlEvent,
        decoder::{DecodeError, Decoder, DecoderLimits, EventKind},
        encoder::{encode_control, encode_data},
    },
};

use crate::input::Input;

type Events = Vec<(EventKind, Vec<u8>)>;

/// SSE text in random cuts, and a round trip through the encoder.
///
/// # Panics
/// When a cut changes an event, the naive decoder sees another one, or the round trip
/// changes the payload.
pub fn sse(data: &[u8]) {
    let mut input = Input::new(data);
    match input.below(3) {
        0 => cuts(&mut input, DecoderLimits::default()),
        1 => cuts(&mut input, DecoderLimits { max_line_bytes: 24, max_event_bytes: 32 }),
        _ => round_trip(&mut input),
    }
}

fn cuts(input: &mut Input<'_>, limits: DecoderLimits) {
    let cuts: Vec<usize> = input.bytes().iter().map(|byte| usize::from(*byte)).collect();
    let text = input.rest();
    let whole = decode(limits, [text]);
    let mut rest = text;
    let pieces = cuts.iter().map(|len| {
        let (piece, after) = rest.split_at((*len).min(rest.len()));
        rest = after;
        piece
    });
    let pieces: Vec<&[u8]> = pieces.collect();
    assert_eq!(decode(limits, pieces.into_iter().chain([rest])), whole, "cut at {cuts:?}");
    assert_eq!(decode(limits, text.chunks(1)), whole, "byte by byte");
    let (events, error) = whole;
    let naive = naive(text);
    match error {
        None => assert_eq!(events, naive),
        Some(_) => assert!(naive.starts_with(&events), "{events:?} before the error, not {naive:?}"),
    }
    if limits == DecoderLimits::default() {
        assert_eq!(error, None);
    }
}

fn decode<'c>(limits: DecoderLimits, chunks: impl IntoIterator<Item = &'c [u8]>) -> (Events, Option<DecodeError>) {
    let mut decoder = Decoder::new(limits);
    let mut events = Vec::new();
    for chunk in chunks {
        decoder.feed(Bytes::copy_from_slice(chunk));
        while let Some(event) = decoder.next_event() {
            match event {
                Ok(event) => events.push((event.kind, event.data.to_vec())),
                Err(error) => {
                    assert_eq!(decoder.next_event(), Some(Err(error)), "only errors follow an error");
                    return (events, Some(error));
                }
            }
        }
    }
    (events, None)
}

/// The parsing rules of the HTML standard, word by word, on whole text; with the types of
/// docs/protocol.md §25.2.
fn naive(text: &[u8]) -> Events {
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let mut lines: Vec<Vec<u8>> = vec![Vec::new()];
    let mut bytes = text.iter().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' => {
                bytes.next_if(|next| **next == b'\n');
                lines.push(Vec::new());
            }
            b'\n' => lines.push(Vec::new()),
            other => lines.last_mut().expect("never empty").push(*other),
        }
    }
    // A line without an end has not arrived yet.
    lines.pop();
    let (mut events, mut kind, mut data) = (Vec::new(), Vec::new(), Vec::<Vec<u8>>::new());
    for line in lines {
        if line.is_empty() {
            let payload = std::mem::take(&mut data).join(&b'\n');
            match &std::mem::take(&mut kind)[..] {
                b"data" => events.push((EventKind::Data, payload)),
                b"control" => events.push((EventKind::Control, payload)),
                _ => {}
            }
            continue;
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => data.push(value.to_vec()),
            b"event" => kind = value.to_vec(),
            _ => {}
        }
    }
    events
}

fn round_trip(input: &mut Input<'_>) {
    let framing = input.pick(&[Framing::Text, Framing::Binary, Framing::Json]);
    let (up_to_date, stream_closed, has_cursor) = (input.flag(), input.flag(), input.flag());
    let offset = String::from_utf8_lossy(input.bytes()).into_owned();
    let cursor = has_cursor.then(|| String::from_utf8_lossy(input.bytes()).into_owned());
    let mut pieces = Vec::new();
    while !input.is_empty() {
        let piece = Bytes::copy_from_slice(input.bytes());
        match framing {
            Framing::Json => pieces.extend(json_mode::split(piece).ok().map(|batch| batch.stored)),
            Framing::Text | Framing::Binary => pieces.push(piece),
        }
    }
    let control = ControlEvent {
        next_offset: offset.as_str().into(),
        cursor: cursor.as_deref().map(Into::into),
        up_to_date,
        stream_closed,
    };
    let mut wire = BytesMut::new();
    encode_data(framing, &pieces, &mut wire);
    encode_control(&control, &mut wire);
    let (mut events, error) = decode(DecoderLimits::default(), [&wire[..]]);
    assert_eq!(error, None);
    let (kind, payload) = events.pop().expect("a control event");
    assert_eq!(kind, EventKind::Control);
    let parsed = ControlEvent::parse(&payload);
    if matches!(offset.as_str(), "" | "-1" | "now") {
        assert!(parsed.is_err(), "{offset:?} is no offset");
    } else {
        assert_eq!(parsed, Ok(control));
    }
    let stored = pieces.concat();
    if stored.is_empty() {
        assert_eq!(events, []);
        return;
    }
    let sent = match framing {
        Framing::Binary => STANDARD.encode(&stored).into_bytes(),
        Framing::Json => [b"[", &stored[..stored.len() - 1], b"]"].concat(),
        Framing::Text => as_text_arrives(&stored),
    };
    assert_eq!(events, [(EventKind::Data, sent)]);
}

/// docs/protocol.md §13.3: line ends become LF, each line loses one leading space, invalid
/// UTF-8 becomes U+FFFD.
fn as_text_arrives(text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text).replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<&str> = text.split('\n').map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    lines.join("\n").into_bytes()
}
