//! Incremental SSE decoder: response bytes in, `data` and `control` events out
//! (protocol.md §25.2). Works on bytes, so chunk cuts inside a line, a UTF-8
//! sequence or a CRLF pair make no difference. Work is linear in the input.

use bytes::{Buf, Bytes, BytesMut};

/// An event the protocol knows. Others never leave the decoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its type.
    pub kind: EventKind,
    /// Its `data` lines joined with LF; empty when it had none.
    pub data: Bytes,
}

/// The event types of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// Payload, final once the control event after it arrived.
    Data,
    /// Position and flags.
    Control,
}

/// How much the decoder is willing to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecoderLimits {
    /// Longest line. Units: bytes, line end excluded.
    pub max_line_bytes: usize,
    /// Largest payload of one event. Units: bytes, joining LFs included.
    pub max_event_bytes: usize,
}

impl Default for DecoderLimits {
    fn default() -> Self {
        Self { max_line_bytes: 64 << 20, max_event_bytes: 64 << 20 }
    }
}

/// Why decoding stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A line is longer than the limit.
    #[error("SSE line longer than {limit} bytes")]
    LineTooLong {
        /// The limit in force.
        limit: usize,
    },
    /// An event is larger than the limit.
    #[error("SSE event larger than {limit} bytes")]
    EventTooLarge {
        /// The limit in force.
        limit: usize,
    },
}

/// Turns response bytes into events. Call [`Decoder::feed`] with each piece of the
/// body, then [`Decoder::next_event`] until it gives `None`. An event that the end of the
/// body cuts off is dropped with the decoder. After an error only errors follow.
#[derive(Debug, Default)]
pub struct Decoder {
    limits: DecoderLimits,
    /// Bytes not looked at yet.
    input: Bytes,
    /// Pieces fed while `input` was not used up; rare.
    backlog: BytesMut,
    /// Start of a line whose end has not arrived.
    partial: BytesMut,
    /// The last line ended in CR: an LF right after it belongs to it.
    after_cr: bool,
    /// The first line has been read, so no byte order mark can follow.
    started: bool,
    kind: PendingKind,
    payload: Payload,
    failed: Option<DecodeError>,
}

impl Decoder {
    /// A decoder at the start of a response body.
    pub fn new(limits: DecoderLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Takes the next piece of the body.
    pub fn feed(&mut self, chunk: Bytes) {
        if self.input.is_empty() && self.backlog.is_empty() {
            self.input = chunk;
        } else {
            self.backlog.extend_from_slice(&chunk);
        }
    }

    /// The next complete event, or `None` when more input is needed.
    pub fn next_event(&mut self) -> Option<Result<Event, DecodeError>> {
        if let Some(error) = self.failed {
            return Some(Err(error));
        }
        match self.advance() {
            Ok(event) => event.map(Ok),
            Err(error) => {
                self.failed = Some(error);
                Some(Err(error))
            }
        }
    }

    fn advance(&mut self) -> Result<Option<Event>, DecodeError> {
        while let Some(line) = self.next_line()? {
            if line.is_empty() {
                if let Some(event) = self.dispatch() {
                    return Ok(Some(event));
                }
            } else {
                self.field(line)?;
            }
        }
        Ok(None)
    }

    /// The next whole line without its end. The end of a line is LF, CR or CRLF and nothing
    /// else: U+0085, U+2028 and U+2029 are ordinary characters.
    fn next_line(&mut self) -> Result<Option<Bytes>, DecodeError> {
        loop {
            if self.input.is_empty() {
                if self.backlog.is_empty() {
                    return Ok(None);
                }
                self.input = self.backlog.split().freeze();
            }
            if self.after_cr {
                self.after_cr = false;
                if self.input[0] == b'\n' {
                    self.input.advance(1);
                    continue;
                }
            }
            let Some(end) = memchr::memchr2(b'\n', b'\r', &self.input) else {
                let rest = std::mem::take(&mut self.input);
                self.check_line(self.partial.len() + rest.len())?;
                self.partial.extend_from_slice(&rest);
                continue;
            };
            self.check_line(self.partial.len() + end)?;
            self.after_cr = self.input[end] == b'\r';
            let mut line = if self.partial.is_empty() {
                self.input.split_to(end)
            } else {
                self.partial.extend_from_slice(&self.input[..end]);
                self.input.advance(end);
                self.partial.split().freeze()
            };
            self.input.advance(1);
            if !std::mem::replace(&mut self.started, true) && line.starts_with(b"\xEF\xBB\xBF") {
                line.advance(3);
            }
            return Ok(Some(line));
        }
    }

    fn check_line(&self, len: usize) -> Result<(), DecodeError> {
        let limit = self.limits.max_line_bytes;
        if len > limit { Err(DecodeError::LineTooLong { limit }) } else { Ok(()) }
    }

    fn field(&mut self, line: Bytes) -> Result<(), DecodeError> {
        let (name, value_at) = match memchr::memchr(b':', &line) {
            // A comment.
            Some(0) => return Ok(()),
            // At most one leading space goes (protocol.md §25.2).
            Some(colon) => (&line[..colon], colon + 1 + usize::from(line.get(colon + 1) == Some(&b' '))),
            None => (&line[..], line.len()),
        };
        match name {
            b"data" => {
                let value = payload_slice(&line, value_at);
                let limit = self.limits.max_event_bytes;
                if self.payload.len() + value.len() > limit {
                    return Err(DecodeError::EventTooLarge { limit });
                }
                self.payload.push(value);
            }
            b"event" => {
                self.kind = match &line[value_at..] {
                    b"data" => PendingKind::Known(EventKind::Data),
                    b"control" => PendingKind::Known(EventKind::Control),
                    b"" => PendingKind::Absent,
                    _ => PendingKind::Unknown,
                };
            }
            // `id`, `retry` and names of a later protocol.
            _ => {}
        }
        Ok(())
    }

    /// Ends the event at an empty line. Events without a type, or of an unknown one, vanish.
    fn dispatch(&mut self) -> Option<Event> {
        let kind = std::mem::take(&mut self.kind);
        let payload = std::mem::take(&mut self.payload);
        match kind {
            PendingKind::Known(kind) => Some(Event { kind, data: payload.into_bytes() }),
            PendingKind::Absent | PendingKind::Unknown => None,
        }
    }
}

/// Large payloads share the network chunk. Small ones are copied: a caller who keeps a
/// hundred bytes must not keep the transport's whole read buffer alive.
fn payload_slice(line: &Bytes, from: usize) -> Bytes {
    const COPY_UP_TO_BYTES: usize = 1024;
    if line.len() - from <= COPY_UP_TO_BYTES { Bytes::copy_from_slice(&line[from..]) } else { line.slice(from..) }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum PendingKind {
    #[default]
    Absent,
    Known(EventKind),
    Unknown,
}

/// The payload of the event under assembly. One line, the usual case, is a slice of the
/// network chunk; only several lines are copied together.
#[derive(Debug, Default)]
enum Payload {
    #[default]
    None,
    One(Bytes),
    Many(BytesMut),
}

impl Payload {
    /// Length after one more line has been joined on with LF, that line excluded.
    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(line) => line.len() + 1,
            Self::Many(lines) => lines.len() + 1,
        }
    }

    fn push(&mut self, line: Bytes) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(line),
            Self::One(first) => {
                let mut lines = BytesMut::with_capacity((first.len() + line.len() + 1) * 2);
                lines.extend_from_slice(&first);
                lines.extend_from_slice(b"\n");
                lines.extend_from_slice(&line);
                Self::Many(lines)
            }
            Self::Many(mut lines) => {
                lines.extend_from_slice(b"\n");
                lines.extend_from_slice(&line);
                Self::Many(lines)
            }
        };
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::None => Bytes::new(),
            Self::One(line) => line,
            Self::Many(lines) => lines.freeze(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Decoded = (Vec<(EventKind, Vec<u8>)>, Option<DecodeError>);

    fn decode_with<'c>(limits: DecoderLimits, chunks: impl IntoIterator<Item = &'c [u8]>) -> Decoded {
        let mut decoder = Decoder::new(limits);
        let mut events = Vec::new();
        for chunk in chunks {
            decoder.feed(Bytes::copy_from_slice(chunk));
            while let Some(event) = decoder.next_event() {
                match event {
                    Ok(event) => events.push((event.kind, event.data.to_vec())),
                    Err(error) => return (events, Some(error)),
                }
            }
        }
        (events, None)
    }

    fn decode(text: &[u8]) -> Vec<(EventKind, Vec<u8>)> {
        let (events, error) = decode_with(DecoderLimits::default(), [text]);
        assert_eq!(error, None);
        events
    }

    fn data(payload: &str) -> (EventKind, Vec<u8>) {
        (EventKind::Data, payload.as_bytes().to_vec())
    }

    fn control(payload: &str) -> (EventKind, Vec<u8>) {
        (EventKind::Control, payload.as_bytes().to_vec())
    }

    #[test]
    fn every_line_end_ends_a_line_and_nothing_else_does() {
        for end in ["\n", "\r", "\r\n"] {
            let text = format!("event: data{end}data:a{end}data:b\u{85}\u{2028}\u{2029}c{end}{end}");
            assert_eq!(decode(text.as_bytes()), [data("a\nb\u{85}\u{2028}\u{2029}c")], "{end:?}");
        }
    }

    #[test]
    fn at_most_one_leading_space_is_stripped() {
        assert_eq!(decode(b"event:data\ndata:  two\ndata:\tx\ndata: y\n\n"), [data(" two\n\tx\ny")]);
    }

    #[test]
    fn unknown_types_fields_and_comments_leave_no_trace() {
        let text = b": hi\n\nevent: later\ndata: {\"x\":1}\n\ndata: untyped\n\nid: 4\nretry: 9\nwhat\nevent: data\n:c\ndata:x\ndatax:y\n\n";
        assert_eq!(decode(text), [data("x")]);
    }

    #[test]
    fn the_type_may_follow_the_payload() {
        assert_eq!(decode(b"data: {}\nevent: control\n\n"), [control("{}")]);
    }

    #[test]
    fn typed_events_without_payload_are_events() {
        // A control event without payload is a parse error for the caller, not silence.
        assert_eq!(
            decode(b"event: control\ndata: \n\nevent: control\n\nevent: data\ndata\n\n"),
            [control(""), control(""), data("")]
        );
    }

    #[test]
    fn a_byte_order_mark_counts_only_at_the_start() {
        assert_eq!(
            decode(b"\xEF\xBB\xBFevent: data\ndata:\xEF\xBB\xBFx\n\n\xEF\xBB\xBFevent: data\n\n"),
            [data("\u{feff}x")]
        );
    }

    #[test]
    fn an_unfinished_event_at_the_end_is_dropped() {
        assert_eq!(decode(b"event: data\ndata:1\n\nevent: control\ndata:{}\n"), [data("1")]);
    }

    #[test]
    fn crlf_cut_between_chunks_is_one_line_end() {
        let (events, _) = decode_with(DecoderLimits::default(), [&b"event: data\r"[..], b"\ndata:x\r", b"\n\r", b"\n"]);
        assert_eq!(events, [data("x")]);
    }

    #[test]
    fn an_event_is_complete_at_the_cr_of_its_empty_line() {
        let (events, _) = decode_with(DecoderLimits::default(), [&b"event: data\r\ndata:x\r\n\r"[..]]);
        assert_eq!(events, [data("x")]);
    }

    #[test]
    fn large_one_line_payloads_share_the_chunk() {
        let chunk = Bytes::from(format!("event: data\ndata:{}\n\n", "x".repeat(5000)));
        let mut decoder = Decoder::default();
        decoder.feed(chunk.clone());
        let event = decoder.next_event().expect("an event").expect("no error");
        assert!(chunk.as_ptr_range().contains(&event.data.as_ptr()));
    }

    #[test]
    fn limits_are_typed_errors_and_final() {
        let limits = DecoderLimits { max_line_bytes: 16, max_event_bytes: 8 };
        let (_, error) = decode_with(limits, [&b"data:0123456789"[..], b"01"]);
        assert_eq!(error, Some(DecodeError::LineTooLong { limit: 16 }));
        let (_, error) = decode_with(limits, [&b"data:0123\ndata:4567\n\n"[..]]);
        assert_eq!(error, Some(DecodeError::EventTooLarge { limit: 8 }));
        let (events, error) = decode_with(limits, [&b"event: data\ndata:0123\ndata:456\n\n"[..]]);
        assert_eq!((events, error), (vec![data("0123\n456")], None));

        let mut decoder = Decoder::new(limits);
        decoder.feed(Bytes::from_static(b"data:0123456789ab\n\nevent: data\n\n"));
        assert!(matches!(decoder.next_event(), Some(Err(_))));
        assert!(matches!(decoder.next_event(), Some(Err(_))));
    }

    #[test]
    fn pieces_fed_early_are_kept_in_order() {
        let mut decoder = Decoder::default();
        for piece in ["event: data\nda", "ta:1\n\nevent: da", "ta\ndata:2\n\n"] {
            decoder.feed(Bytes::from_static(piece.as_bytes()));
        }
        let mut payloads = Vec::new();
        while let Some(event) = decoder.next_event() {
            payloads.push(event.expect("no error").data);
        }
        assert_eq!(payloads, ["1", "2"]);
    }

    /// Text made of what matters to the grammar, so that random cuts hit the interesting places.
    fn sse_text() -> impl Strategy<Value = Vec<u8>> {
        let piece = proptest::sample::select(vec![
            &b"event: data"[..],
            b"event:control",
            b"event: other",
            b"data:",
            b"data: ",
            b"data",
            b": comment",
            b"\n",
            b"\n\n",
            b"\r",
            b"\r\n",
            b"\r\n\r\n",
            "\u{feff}".as_bytes(),
            "\u{85}é\u{2028}".as_bytes(),
            b"{\"streamNextOffset\":\"1\"}",
            b"\xff\x00",
        ]);
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn chunk_cuts_do_not_change_the_events(text in sse_text(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12)) {
            let whole = decode(&text);
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            at.extend([0, text.len()]);
            at.sort_unstable();
            let pieces = at.windows(2).map(|pair| &text[pair[0]..pair[1]]);
            prop_assert_eq!(&decode_with(DecoderLimits::default(), pieces).0, &whole);
            let single_bytes = text.chunks(1);
            prop_assert_eq!(&decode_with(DecoderLimits::default(), single_bytes).0, &whole);
        }
    }
}
