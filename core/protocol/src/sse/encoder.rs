//! SSE encoder: payload and position in, response bytes out (protocol.md §13.2 to
//! §13.4). Every byte of payload stands on a `data:` line, so no payload can forge a
//! field or an event.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};

use super::control::ControlEvent;
use crate::content_type::Framing;

/// Appends one data event that carries the concatenated `pieces`; nothing when they
/// are all empty, since an empty batch is not sent.
///
/// Text arrives at the reader with CR and CRLF as LF, without the first leading space of
/// each line, and with U+FFFD in place of invalid UTF-8 (protocol.md §13.3); a character
/// cut between two pieces is whole again. JSON and binary payloads arrive as they are.
///
/// Shape: for [`Framing::Json`] the pieces are in stored form, see
/// [`json_mode`](crate::json_mode); they become one array.
pub fn encode_data(framing: Framing, pieces: &[Bytes], out: &mut BytesMut) {
    let total: usize = pieces.iter().map(Bytes::len).sum();
    if total == 0 {
        return;
    }
    out.reserve(FRAME.len() + payload_len(framing, pieces, total));
    out.extend_from_slice(b"event: data\ndata:");
    match framing {
        Framing::Json => put_array(pieces, out),
        Framing::Text => put_text(pieces, out),
        Framing::Binary => put_base64(pieces, out),
    }
    out.extend_from_slice(b"\n\n");
}

/// Appends one control event. Send it in the same flush as the data event before it.
pub fn encode_control(event: &ControlEvent<'_>, out: &mut BytesMut) {
    out.extend_from_slice(b"event: control\ndata:");
    // Compact JSON: line breaks in strings are escaped, there are none between tokens.
    event.write_to(out);
    out.extend_from_slice(b"\n\n");
}

/// What an event adds to its payload, the brackets of an array included.
const FRAME: &[u8] = b"event: data\ndata:[]\n\n";
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// Room to reserve. Exact but for invalid UTF-8, which is rare.
fn payload_len(framing: Framing, pieces: &[Bytes], total: usize) -> usize {
    match framing {
        Framing::Json => total,
        Framing::Text => {
            let breaks: usize = pieces.iter().map(|piece| memchr::memchr2_iter(b'\r', b'\n', piece).count()).sum();
            total + breaks * b"data:".len()
        }
        Framing::Binary => total.div_ceil(3) * 4,
    }
}

fn put_array(pieces: &[Bytes], out: &mut BytesMut) {
    out.extend_from_slice(b"[");
    let mut lines = Lines { out, after_cr: false };
    let last = pieces.iter().rposition(|piece| !piece.is_empty());
    for (index, piece) in pieces.iter().enumerate() {
        // The comma after the last message makes room for the bracket.
        let end = piece.len() - usize::from(Some(index) == last);
        // Stored messages have no line breaks. One that slipped in could only be white space
        // between tokens; as a line break of the event it is still that, and not a forgery.
        lines.put(&piece[..end]);
    }
    out.extend_from_slice(b"]");
}

fn put_text(pieces: &[Bytes], out: &mut BytesMut) {
    let mut lines = Lines { out, after_cr: false };
    // The start of a character that the end of a piece cuts off.
    let mut cut = [0; 4];
    let mut cut_len = 0;
    for piece in pieces {
        let mut rest = &piece[..];
        while cut_len > 0
            && let [next, tail @ ..] = rest
        {
            cut[cut_len] = *next;
            let joined = &cut[..=cut_len];
            match std::str::from_utf8(joined) {
                Ok(_) => {
                    lines.put(joined);
                    (cut_len, rest) = (0, tail);
                }
                Err(error) if error.error_len().is_none() => (cut_len, rest) = (cut_len + 1, tail),
                // The byte does not belong to the character; it is looked at again.
                Err(_) => {
                    lines.put(REPLACEMENT);
                    cut_len = 0;
                }
            }
        }
        if simdutf8::basic::from_utf8(rest).is_ok() {
            lines.put(rest);
            continue;
        }
        let mut at = 0;
        for chunk in rest.utf8_chunks() {
            let (valid, invalid) = (chunk.valid().as_bytes(), chunk.invalid());
            lines.put(valid);
            at += valid.len() + invalid.len();
            let is_cut =
                at == rest.len() && std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            if is_cut {
                cut[..invalid.len()].copy_from_slice(invalid);
                cut_len = invalid.len();
            } else if !invalid.is_empty() {
                lines.put(REPLACEMENT);
            }
        }
    }
    if cut_len > 0 {
        lines.put(REPLACEMENT);
    }
}

/// Writes text as `data:` lines; the first one is already begun.
struct Lines<'a> {
    out: &'a mut BytesMut,
    /// The text so far ends in CR: an LF right after it belongs to the same line break.
    after_cr: bool,
}

impl Lines<'_> {
    fn put(&mut self, mut text: &[u8]) {
        if text.is_empty() {
            return;
        }
        if std::mem::take(&mut self.after_cr) && text[0] == b'\n' {
            text = &text[1..];
        }
        while let Some(end) = memchr::memchr2(b'\r', b'\n', text) {
            self.out.extend_from_slice(&text[..end]);
            self.out.extend_from_slice(b"\ndata:");
            let is_crlf = text[end..].starts_with(b"\r\n");
            self.after_cr = text[end..] == *b"\r";
            text = &text[end + 1 + usize::from(is_crlf)..];
        }
        self.out.extend_from_slice(text);
    }
}

/// Standard base64 with padding, on one line: one encoding over all pieces.
fn put_base64(pieces: &[Bytes], out: &mut BytesMut) {
    // Bytes that do not fill a group of three yet.
    let mut group = [0; 3];
    let mut group_len = 0;
    for piece in pieces {
        let mut rest = &piece[..];
        if group_len > 0 {
            let missing = rest.len().min(3 - group_len);
            group[group_len..group_len + missing].copy_from_slice(&rest[..missing]);
            group_len += missing;
            rest = &rest[missing..];
            if group_len < 3 {
                continue;
            }
            put_groups(&group, out);
        }
        let (groups, tail) = rest.split_at(rest.len() / 3 * 3);
        put_groups(groups, out);
        group[..tail.len()].copy_from_slice(tail);
        group_len = tail.len();
    }
    put_groups(&group[..group_len], out);
}

fn put_groups(bytes: &[u8], out: &mut BytesMut) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    // The room is exact, so encoding cannot fail.
    let written = STANDARD.encode_slice(bytes, &mut out[start..]);
    debug_assert_eq!(written.ok(), Some(out.len() - start));
}
