//! What a read returned, in the form the user asked for.

use std::io::{self, BufWriter, Write};

use crate::{
    args::ReadFormat,
    messages::{compact_into, split},
};

/// Bytes in one row of `--format hex`.
const ROW_BYTES: usize = 16;

/// How data is to be printed.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// The form.
    pub format: ReadFormat,
    /// Whether the stream is followed: then a body without messages is not worth a line.
    pub is_live: bool,
}

/// What became of one body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Printed {
    /// Messages (JSON) or bytes printed.
    pub units: u64,
    /// What is still to be skipped in the next body.
    pub unskipped: u64,
    /// The limit ended the output inside this body.
    pub is_cut: bool,
}

/// Prints bodies one after the other.
pub struct Printer<W: Write> {
    out: BufWriter<W>,
    shape: Shape,
    /// Bytes printed, for the position column of `hex`.
    position: u64,
    is_empty: bool,
    ends_line: bool,
    line: Vec<u8>,
}

impl<W: Write> Printer<W> {
    /// A printer that has printed nothing.
    pub fn new(out: W, shape: Shape) -> Self {
        let out = BufWriter::with_capacity(1 << 16, out);
        Self { out, shape, position: 0, is_empty: true, ends_line: true, line: Vec::new() }
    }

    /// Prints a body: leaves out the first `skip` messages (JSON) or bytes, and stops after `limit`.
    pub fn print(&mut self, body: &[u8], is_json: bool, skip: u64, limit: Option<u64>) -> io::Result<Printed> {
        // An empty JSON body says "nothing here" once; after data, or while following, it says nothing.
        if is_json && body == b"[]" && (self.shape.is_live || !self.is_empty) {
            return Ok(Printed { units: 0, unskipped: skip, is_cut: false });
        }
        let whole = skip == 0 && limit.is_none() && matches!(self.shape.format, ReadFormat::Raw | ReadFormat::Hex);
        match is_json && !whole {
            true => self.messages(body, skip, limit),
            false => self.bytes(body, skip, limit),
        }
    }

    /// Hands everything to the system.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Ends the output; on a terminal the prompt gets a line of its own.
    pub fn end(&mut self, is_terminal: bool) -> io::Result<()> {
        if is_terminal && !self.ends_line {
            self.put(b"\n")?;
        }
        self.flush()
    }

    fn bytes(&mut self, body: &[u8], skip: u64, limit: Option<u64>) -> io::Result<Printed> {
        let part = Part::of(body.len() as u64, skip, limit);
        // Both ends lie within the body, so they fit.
        let shown =
            &body[usize::try_from(part.from).unwrap_or(body.len())..usize::try_from(part.to).unwrap_or(body.len())];
        match self.shape.format {
            ReadFormat::Hex => self.rows(shown)?,
            ReadFormat::Raw | ReadFormat::Ndjson | ReadFormat::Pretty => self.put(shown)?,
        }
        Ok(part.printed())
    }

    fn messages(&mut self, body: &[u8], skip: u64, limit: Option<u64>) -> io::Result<Printed> {
        let invalid = |error: &dyn std::error::Error| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
        let text = std::str::from_utf8(body).map_err(|error| invalid(&error))?;
        let messages = split(text).map_err(|error| invalid(&error))?;
        let part = Part::of(messages.len() as u64, skip, limit);
        let shown = messages.iter().enumerate().filter(|(i, _)| part.holds(*i as u64));
        let texts: Vec<_> = shown.map(|(_, message)| message.get()).collect();
        match self.shape.format {
            ReadFormat::Raw if texts.is_empty() => {}
            ReadFormat::Raw => self.put(format!("[{}]", texts.join(",")).as_bytes())?,
            ReadFormat::Hex if texts.is_empty() => {}
            ReadFormat::Hex => self.rows(format!("[{}]", texts.join(",")).as_bytes())?,
            ReadFormat::Ndjson => {
                for text in texts {
                    let mut line = std::mem::take(&mut self.line);
                    line.clear();
                    compact_into(&mut line, text.as_bytes());
                    line.push(b'\n');
                    self.put(&line)?;
                    self.line = line;
                }
            }
            ReadFormat::Pretty => {
                for text in texts {
                    self.put(indented(text).as_bytes())?;
                }
            }
        }
        Ok(part.printed())
    }

    fn rows(&mut self, bytes: &[u8]) -> io::Result<()> {
        for row in bytes.chunks(ROW_BYTES) {
            let mut line = format!("{:08x} ", self.position);
            for i in 0..ROW_BYTES {
                let gap = if i == ROW_BYTES / 2 { " " } else { "" };
                line += &row.get(i).map_or_else(|| format!("{gap}   "), |byte| format!("{gap} {byte:02x}"));
            }
            let text: String =
                row.iter().map(|byte| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' }).collect();
            self.put(format!("{line}  |{text}|\n").as_bytes())?;
            self.position += row.len() as u64;
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(last) = bytes.last() {
            self.ends_line = *last == b'\n';
            self.is_empty = false;
        }
        self.out.write_all(bytes)
    }
}

/// The part of a body that is printed. Units: messages or bytes; `from` inclusive, `to` exclusive.
struct Part {
    from: u64,
    to: u64,
    unskipped: u64,
    is_cut: bool,
}

impl Part {
    fn of(length: u64, skip: u64, limit: Option<u64>) -> Self {
        let from = skip.min(length);
        let to = limit.map_or(length, |limit| length.min(from.saturating_add(limit)));
        Self { from, to, unskipped: skip - from, is_cut: to < length }
    }

    const fn holds(&self, i: u64) -> bool {
        self.from <= i && i < self.to
    }

    const fn printed(&self) -> Printed {
        Printed { units: self.to - self.from, unskipped: self.unskipped, is_cut: self.is_cut }
    }
}

/// A JSON text with one member or element per line, tokens as they are.
fn indented(json: &str) -> String {
    let mut compact = Vec::new();
    compact_into(&mut compact, json.as_bytes());
    let mut out = Vec::with_capacity(compact.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let new_line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b' ', 2 * depth));
    };
    for (i, &byte) in compact.iter().enumerate() {
        let next = compact.get(i + 1).copied();
        if in_string {
            out.push(byte);
            in_string = escaped || byte != b'"';
            escaped = byte == b'\\' && !escaped;
            continue;
        }
        match byte {
            b'{' | b'[' => {
                out.push(byte);
                depth += 1;
                if !matches!(next, Some(b'}' | b']')) {
                    new_line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if !matches!(i.checked_sub(1).map(|before| compact[before]), Some(b'{' | b'[')) {
                    new_line(&mut out, depth);
                }
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                new_line(&mut out, depth);
            }
            b':' => out.extend(b": "),
            _ => {
                out.push(byte);
                in_string = byte == b'"';
            }
        }
    }
    out.push(b'\n');
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(format: ReadFormat, is_json: bool, bodies: &[&str], skip: u64, limit: Option<u64>) -> (String, Printed) {
        let mut out = Vec::new();
        let mut printer = Printer::new(&mut out, Shape { format, is_live: false });
        let mut last = Printed { units: 0, unskipped: skip, is_cut: false };
        for body in bodies {
            last = printer.print(body.as_bytes(), is_json, last.unskipped, limit).expect("printable");
        }
        printer.end(false).expect("flushed");
        drop(printer);
        (String::from_utf8(out).expect("UTF-8"), last)
    }

    #[test]
    fn raw_is_what_came() {
        assert_eq!(printed(ReadFormat::Raw, true, &["[1, 2]", "[3]", "[]"], 0, None).0, "[1, 2][3]");
        assert_eq!(printed(ReadFormat::Raw, true, &["[]"], 0, None).0, "[]");
        assert_eq!(printed(ReadFormat::Raw, false, &["ab", "c\r\n"], 0, None).0, "abc\r\n");
    }

    #[test]
    fn limits_cut_between_messages_or_bytes() {
        let (text, end) = printed(ReadFormat::Raw, true, &["[1,2,3]"], 1, Some(1));
        assert_eq!((text.as_str(), end), ("[2]", Printed { units: 1, unskipped: 0, is_cut: true }));
        let (text, end) = printed(ReadFormat::Raw, false, &["hello"], 0, Some(3));
        assert_eq!((text.as_str(), end), ("hel", Printed { units: 3, unskipped: 0, is_cut: true }));
        let (text, end) = printed(ReadFormat::Ndjson, true, &["[1]", "[2,3]"], 2, None);
        assert_eq!((text.as_str(), end), ("3\n", Printed { units: 1, unskipped: 0, is_cut: false }));
    }

    #[test]
    fn ndjson_has_one_message_per_line() {
        assert_eq!(printed(ReadFormat::Ndjson, true, &["[{\"a\": 1},\n [2]]"], 0, None).0, "{\"a\":1}\n[2]\n");
    }

    #[test]
    fn pretty_indents_and_keeps_tokens() {
        let text = printed(ReadFormat::Pretty, true, &["[{\"a\":[1.0,{}],\"b\":\"x,{y\"},[]]"], 0, None).0;
        assert_eq!(text, "{\n  \"a\": [\n    1.0,\n    {}\n  ],\n  \"b\": \"x,{y\"\n}\n[]\n");
    }

    #[test]
    fn hex_shows_position_bytes_and_text() {
        let text = printed(ReadFormat::Hex, false, &["0123456789abcdef", "\u{1}z"], 0, None).0;
        assert_eq!(
            text,
            "00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|\n\
             00000010  01 7a                                             |.z|\n"
        );
    }

    #[test]
    fn a_terminal_gets_a_last_line_feed() {
        let mut out = Vec::new();
        let mut printer = Printer::new(&mut out, Shape { format: ReadFormat::Raw, is_live: false });
        printer.print(b"no end", false, 0, None).expect("printable");
        printer.end(true).expect("flushed");
        drop(printer);
        assert_eq!(out, b"no end\n");
    }
}
