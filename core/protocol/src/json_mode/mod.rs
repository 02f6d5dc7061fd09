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
use scan::{Gaps, Ignore, Scanner};

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
    let mut scanner = Scanner::new(&text, Compact::starting_at(usize::from(is_array)));
    let message_count = if is_array { array(&mut scanner) } else { scanner.value().map(|()| 1) };
    let message_count = message_count
        .and_then(|count| scanner.end().map(|()| count))
        .map_err(|fault| scanner.error(fault).moved_by(start))?;
    let stored = match scanner.into_gaps().into_output() {
        _ if message_count == 0 => Bytes::new(),
        None => compact::with_comma(text, is_array),
        Some(pieces) => pieces.finish(&text, is_array),
    };
    Ok(JsonBatch { stored, message_count })
}

/// Like [`split`] for the answer to a read, which is always an array: any other value
/// is an error.
pub fn split_array(body: Bytes) -> Result<JsonBatch, JsonError> {
    let (start, _) = trimmed(&body);
    if body.get(start) == Some(&b'[') { split(body) } else { Err(not_an_array(start)) }
}

/// Checks that `text` is one JSON value, white space around it allowed: what a
/// producer may wrap into a batch as one message.
pub fn validate_item(text: &[u8]) -> Result<(), JsonError> {
    check_utf8(text)?;
    let mut scanner = Scanner::new(text, Ignore);
    scanner.value().and_then(|()| scanner.end()).map_err(|fault| scanner.error(fault))
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
    Elements { text: array, scanner: Scanner::new(array, Ignore), state: ElementsState::Start }
}

/// Iterator of [`elements`].
pub struct Elements<'a> {
    text: &'a [u8],
    scanner: Scanner<'a, Ignore>,
    state: ElementsState,
}

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
                if self.scanner.peek() != Some(b'[') {
                    return Err(not_an_array(self.scanner.at));
                }
                self.scanner.at += 1;
                if self.scanner.peek() == Some(b']') {
                    return self.finish();
                }
            }
            ElementsState::AfterElement => match self.scanner.separator() {
                Ok(true) => {}
                Ok(false) => return self.finish(),
                Err(fault) => return Err(self.scanner.error(fault)),
            },
        }
        self.scanner.peek();
        let from = self.scanner.at;
        self.scanner.value().map_err(|fault| self.scanner.error(fault))?;
        self.state = ElementsState::AfterElement;
        Ok(Some(&self.text[from..self.scanner.at]))
    }

    /// Passes the closing bracket.
    fn finish(&mut self) -> Result<Option<&'a [u8]>, JsonError> {
        self.scanner.at += 1;
        self.state = ElementsState::Ended;
        self.scanner.end().map_err(|fault| self.scanner.error(fault))?;
        Ok(None)
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
    let mut scanner = Scanner::new(stored, Ignore);
    std::iter::from_fn(move || {
        let from = scanner.at;
        scanner.value().ok()?;
        let to = scanner.at;
        scanner.at += 1;
        (stored.get(to) == Some(&b',')).then(|| &stored[from..to])
    })
}

/// Passes a whole array and returns the number of its elements.
fn array<G: Gaps>(scanner: &mut Scanner<'_, G>) -> Result<u64, scan::Fault> {
    scanner.at += 1;
    let mut count = 0;
    if scanner.peek() == Some(b']') {
        scanner.at += 1;
        return Ok(count);
    }
    loop {
        scanner.value()?;
        count += 1;
        if !scanner.separator()? {
            scanner.at += 1;
            return Ok(count);
        }
    }
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

impl JsonError {
    /// The same error in a text that starts `by` bytes earlier.
    const fn moved_by(mut self, by: usize) -> Self {
        if let Self::Syntax { at, .. } = &mut self {
            *at += by;
        }
        self
    }
}
