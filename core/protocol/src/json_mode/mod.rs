//! JSON mode (protocol.md §17): one-level flatten on write, arrays on read.
//!
//! Stored form: every message, compact, followed by one comma. A batch of
//! messages is then a plain concatenation, and a read of any units is that
//! concatenation with `[` in front and the last comma turned into `]`.
//!
//! Nothing here builds a value: one pass checks the grammar of RFC 8259 and finds
//! the boundaries, and tokens stay as sent. Numbers of any length and lone
//! surrogate escapes (`"\ud800"`) pass, as the grammar has them; a byte order mark
//! does not.

mod compact;
mod find;
mod scan;

use bytes::{Buf, Bytes};

use compact::Compact;
use find::Window;
use scan::{Gaps, Ignore};

/// How deep one message may nest: `[[1]]` nests two levels. The array that carries
/// messages over the wire does not count.
pub const MAX_DEPTH: usize = 512;

/// A write body in stored form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonBatch {
    /// Messages, compact, each followed by one comma. Empty for `[]`.
    pub stored: Bytes,
    /// Number of messages.
    pub message_count: u64,
}

/// Why a body is not acceptable JSON; each becomes a 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The body is not valid UTF-8.
    #[error("invalid UTF-8 at byte {0}")]
    Utf8(usize),
    /// The body breaks the JSON grammar.
    #[error("{reason} at byte {at}")]
    Syntax {
        /// Byte position in the body.
        at: usize,
        /// What is wrong there.
        reason: &'static str,
    },
    /// Nesting is deeper than the limit.
    #[error("nesting deeper than {0} levels")]
    TooDeep(usize),
    /// `[]` on append.
    #[error("an empty array appends nothing")]
    EmptyArray,
}

/// Validates a write body and brings it into stored form: a top-level array is
/// flattened one level, any other value is one message. Only insignificant white
/// space is dropped; tokens, key order and duplicate keys stay as sent. `[]` gives an
/// empty batch; refusing it on append is the caller's rule.
///
/// A compact body is not copied when no one else holds it.
pub fn split(body: Bytes) -> Result<JsonBatch, JsonError> {
    check_utf8(&body)?;
    let (start, end) = trimmed(&body);
    let mut text = body;
    text.truncate(end);
    text.advance(start);
    let is_array = text.first() == Some(&b'[');
    // What lies before the first message is not part of the stored form.
    let mut gaps = Compact::starting_at(usize::from(is_array));
    let passed = if is_array {
        array(&text, &mut gaps)
    } else {
        scan::value(&text, 0, &mut Window::new(&text, 0), &mut gaps).map(|at| (at, 1))
    };
    let message_count = passed
        .and_then(|(at, count)| scan::end(&text, at, &mut gaps).map(|_| count))
        .map_err(|fault| fault.in_text_from(start))?;
    let stored = match gaps.into_output() {
        _ if message_count == 0 => Bytes::new(),
        None => compact::with_comma(text, is_array),
        Some(pieces) => pieces.finish(&text, is_array),
    };
    Ok(JsonBatch { stored, message_count })
}

/// Checks that `text` is one JSON value, white space around it allowed: what a
/// producer may wrap into a batch as one message.
pub fn validate_item(text: &[u8]) -> Result<(), JsonError> {
    check_utf8(text)?;
    let passed =
        scan::value(text, 0, &mut Window::new(text, 0), &mut Ignore).and_then(|at| scan::end(text, at, &mut Ignore));
    passed.map(drop).map_err(|fault| fault.in_text_from(0))
}

/// Checks that `text` is one JSON array and returns the number of its elements.
pub fn validate_array(text: &[u8]) -> Result<u64, JsonError> {
    let mut count = 0;
    for element in elements(text) {
        element?;
        count += 1;
    }
    Ok(count)
}

/// The elements of a JSON array, each as sent and without the white space around it,
/// checked one by one as they are pulled. The last item is the error, if there is one;
/// until the iterator has ended the rest of the text is unchecked.
pub fn elements(array: &[u8]) -> Elements<'_> {
    Elements { text: array, at: 0, window: Window::new(array, 0), state: ElementsState::Start }
}

/// Iterator of [`elements`].
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    text: &'a [u8],
    at: usize,
    window: Window,
    state: ElementsState,
}

#[derive(Debug, Clone, Copy)]
enum ElementsState {
    Start,
    AfterElement,
    Ended,
}

impl<'a> Elements<'a> {
    fn step(&mut self) -> Result<Option<&'a [u8]>, JsonError> {
        match self.state {
            ElementsState::Ended => return Ok(None),
            ElementsState::Start => {
                check_utf8(self.text)?;
                let at = scan::space(self.text, 0, &mut Ignore);
                if self.text.get(at) != Some(&b'[') {
                    return Err(not_an_array(at));
                }
                let at = scan::space(self.text, at + 1, &mut Ignore);
                if self.text.get(at) == Some(&b']') {
                    return self.finish(at + 1);
                }
                self.at = at;
            }
            ElementsState::AfterElement => {
                let (at, more) =
                    scan::separator(self.text, self.at, &mut Ignore).map_err(|fault| fault.in_text_from(0))?;
                if !more {
                    return self.finish(at);
                }
                self.at = scan::space(self.text, at, &mut Ignore);
            }
        }
        let from = self.at;
        self.at = scan::value(self.text, from, &mut self.window, &mut Ignore).map_err(|fault| fault.in_text_from(0))?;
        self.state = ElementsState::AfterElement;
        Ok(Some(&self.text[from..self.at]))
    }

    /// Ends the iteration after the closing bracket.
    fn finish(&mut self, at: usize) -> Result<Option<&'a [u8]>, JsonError> {
        self.state = ElementsState::Ended;
        scan::end(self.text, at, &mut Ignore).map(|_| None).map_err(|fault| fault.in_text_from(0))
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<&'a [u8], JsonError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.state = ElementsState::Ended;
        }
        step.transpose()
    }
}

/// Length in bytes of the first `message_count` messages of stored bytes; `None` when
/// there are fewer.
pub fn prefix_len(stored: &[u8], message_count: u64) -> Option<usize> {
    let mut len = 0;
    let mut messages = messages(stored);
    for _ in 0..message_count {
        len += messages.next()?.len() + 1;
    }
    Some(len)
}

/// The messages of stored bytes, without their commas. Bytes that are not in stored form
/// end the iteration early.
pub fn messages(stored: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut next = 0;
    let mut window = Window::new(stored, 0);
    std::iter::from_fn(move || {
        let from = next;
        let to = scan::value(stored, from, &mut window, &mut Ignore).ok()?;
        next = to + 1;
        (stored.get(to) == Some(&b',')).then(|| &stored[from..to])
    })
}

/// Passes a whole array, starting at its bracket: the place after it and the number of
/// its elements.
fn array<G: Gaps>(text: &[u8], gaps: &mut G) -> Result<(usize, u64), scan::Fault> {
    let mut at = scan::space(text, 1, gaps);
    if text.get(at) == Some(&b']') {
        return Ok((at + 1, 0));
    }
    let mut window = Window::new(text, at);
    let mut count = 0;
    let mut more = true;
    while more {
        at = scan::value(text, at, &mut window, gaps)?;
        (at, more) = scan::separator(text, at, gaps)?;
        count += 1;
    }
    Ok((at, count))
}

fn check_utf8(text: &[u8]) -> Result<(), JsonError> {
    if simdutf8::basic::from_utf8(text).is_ok() {
        return Ok(());
    }
    // The fast check does not say where.
    std::str::from_utf8(text).map(drop).map_err(|error| JsonError::Utf8(error.valid_up_to()))
}

/// Bounds of the text without the white space around it.
fn trimmed(text: &[u8]) -> (usize, usize) {
    let start = find::space_end(text);
    let spaces = text[start..].iter().rev().take_while(|&&byte| find::is_space(byte)).count();
    (start, text.len() - spaces)
}

const fn not_an_array(at: usize) -> JsonError {
    JsonError::Syntax { at, reason: "an array is due" }
}
