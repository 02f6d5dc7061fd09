//! The body of an SSE answer: data held until its control event confirms it
//! (protocol.md §13, §25.2).

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};

use super::json;
use crate::{
    content_type::Framing,
    sse::{
        control::ControlEvent,
        decoder::{Decoder, DecoderLimits, EventKind},
    },
};

/// Data of one or more data events with the control event after them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) data: Bytes,
    pub(super) is_json: bool,
    pub(super) is_empty: bool,
    pub(super) control: ControlEvent<'static>,
}

/// One SSE answer. Dropping it drops what no control event has confirmed.
#[derive(Debug)]
pub(super) struct EventBody {
    decoder: Decoder,
    /// Decided by this answer's header alone (protocol.md §13.1).
    base64: bool,
    /// What the stream carries, if an earlier answer or the caller told.
    framing: Option<Framing>,
    held: Vec<Bytes>,
    held_bytes: usize,
    max_held_bytes: usize,
}

impl EventBody {
    pub(super) fn new(limits: DecoderLimits, base64: bool, framing: Option<Framing>) -> Self {
        let max_held_bytes = limits.max_event_bytes.saturating_mul(4);
        Self { decoder: Decoder::new(limits), base64, framing, held: Vec::new(), held_bytes: 0, max_held_bytes }
    }

    pub(super) fn feed(&mut self, chunk: Bytes) {
        self.decoder.feed(chunk);
    }

    /// The next confirmed unit, or what is wrong with the answer.
    pub(super) fn next_unit(&mut self) -> Option<Result<Unit, String>> {
        while let Some(event) = self.decoder.next_event() {
            match event {
                Ok(event) => match event.kind {
                    EventKind::Data => {
                        if let Err(reason) = self.hold(event.data) {
                            return Some(Err(reason));
                        }
                    }
                    EventKind::Control => return Some(self.confirm(&event.data)),
                },
                Err(error) => return Some(Err(error.to_string())),
            }
        }
        None
    }

    fn hold(&mut self, payload: Bytes) -> Result<(), String> {
        let payload = if self.base64 { decode_base64(&payload)? } else { payload };
        let payload = if self.is_json() {
            let not_json = |error| format!("an SSE data event is not the JSON it should be: {error}");
            json::array(payload).map_err(not_json)?.text
        } else {
            payload
        };
        self.held_bytes += payload.len();
        if self.held_bytes > self.max_held_bytes {
            return Err(format!("more than {} bytes of SSE data without a control event", self.max_held_bytes));
        }
        self.held.push(payload);
        Ok(())
    }

    fn confirm(&mut self, control: &[u8]) -> Result<Unit, String> {
        let control = ControlEvent::parse(control).map_err(|error| error.to_string())?.into_owned();
        self.held_bytes = 0;
        let held = std::mem::take(&mut self.held);
        let (data, is_json, is_empty) = if self.is_json() || self.looks_like_json(&held) {
            let array = json::join(&held);
            (array.text, true, array.is_empty)
        } else {
            let data = concat(held);
            let is_empty = data.is_empty();
            (data, false, is_empty)
        };
        Ok(Unit { data, is_json, is_empty, control })
    }

    fn is_json(&self) -> bool {
        self.framing == Some(Framing::Json)
    }

    /// A read that began live at `now` may not know the content type. A single event passes
    /// as it came either way; only several need a decision, and arrays cannot be concatenated.
    fn looks_like_json(&self, held: &[Bytes]) -> bool {
        self.framing.is_none()
            && !self.base64
            && held.len() > 1
            && held.iter().all(|payload| payload.first() == Some(&b'[') && json::array(payload.clone()).is_ok())
    }
}

fn concat(mut pieces: Vec<Bytes>) -> Bytes {
    if pieces.len() <= 1 {
        return pieces.pop().unwrap_or_default();
    }
    let mut all = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    for piece in &pieces {
        all.extend_from_slice(piece);
    }
    all.freeze()
}

/// Standard alphabet with padding, one event at a time; CR and LF between lines are legal
/// (protocol.md §13.3).
fn decode_base64(payload: &Bytes) -> Result<Bytes, String> {
    let bad = |error: base64::DecodeError| format!("an SSE data event is not valid base64: {error}");
    if memchr::memchr2(b'\n', b'\r', payload).is_none() {
        return STANDARD.decode(payload).map(Bytes::from).map_err(bad);
    }
    let joined: Vec<u8> = payload.iter().copied().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect();
    STANDARD.decode(joined).map(Bytes::from).map_err(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(base64: bool, framing: Option<Framing>, text: &str) -> Vec<Result<(String, bool, String), ()>> {
        let mut body = EventBody::new(DecoderLimits::default(), base64, framing);
        body.feed(Bytes::copy_from_slice(text.as_bytes()));
        let mut units = Vec::new();
        while let Some(unit) = body.next_unit() {
            let failed = unit.is_err();
            units.push(unit.map_err(|_| ()).map(|unit| {
                (String::from_utf8_lossy(&unit.data).into_owned(), unit.is_empty, unit.control.next_offset.into_owned())
            }));
            if failed {
                break;
            }
        }
        units
    }

    fn unit(data: &str, next_offset: &str) -> Result<(String, bool, String), ()> {
        Ok((data.to_owned(), matches!(data, "" | "[]"), next_offset.to_owned()))
    }

    const C1: &str = "event: control\ndata:{\"streamNextOffset\":\"1\"}\n\n";

    #[test]
    fn data_waits_for_its_control_event() {
        assert_eq!(units(false, Some(Framing::Text), "event: data\ndata:a\n\n"), []);
        let text = format!("event: data\ndata:a\n\nevent: data\ndata:b\n\n{C1}{C1}");
        assert_eq!(units(false, Some(Framing::Text), &text), [unit("ab", "1"), unit("", "1")]);
    }

    #[test]
    fn arrays_of_several_events_become_one_array() {
        let text = format!("event: data\ndata:[1]\n\nevent: data\ndata:[]\n\nevent: data\ndata:[2,[3]]\n\n{C1}");
        for framing in [Some(Framing::Json), None] {
            assert_eq!(units(false, framing, &text), [unit("[1,2,[3]]", "1")]);
        }
        assert_eq!(units(false, Some(Framing::Text), &text), [unit("[1][][2,[3]]", "1")]);
        assert_eq!(units(false, Some(Framing::Json), C1), [unit("[]", "1")]);
    }

    #[test]
    fn corrupt_json_in_an_event_is_an_error() {
        assert_eq!(units(false, Some(Framing::Json), "event: data\ndata:[1\n\n"), [Err(())]);
    }

    #[test]
    fn base64_is_decoded_per_event_and_strictly() {
        let text = format!("event: data\ndata:QQ==\n\nevent: data\ndata:Qk\ndata:M=\n\nevent: data\ndata:\n\n{C1}");
        assert_eq!(units(true, Some(Framing::Binary), &text), [unit("ABC", "1")]);
        for bad in ["QQ", "QQ=", "Q===", "QR==", "Q Q=", "QQ==QQ==", "Q_=="] {
            let text = format!("event: data\ndata:{bad}\n\n");
            assert_eq!(units(true, None, &text), [Err(())], "{bad}");
        }
    }

    #[test]
    fn without_the_header_base64_text_is_text() {
        let text = format!("event: data\ndata:QQ==\n\n{C1}");
        assert_eq!(units(false, Some(Framing::Binary), &text), [unit("QQ==", "1")]);
    }

    #[test]
    fn endless_unconfirmed_data_is_an_error() {
        let limits = DecoderLimits { max_line_bytes: 100, max_event_bytes: 10 };
        let mut body = EventBody::new(limits, false, Some(Framing::Text));
        for _ in 0..5 {
            body.feed(Bytes::from_static(b"event: data\ndata:0123456789\n\n"));
        }
        assert!(matches!(body.next_unit(), Some(Err(_))));
    }
}
