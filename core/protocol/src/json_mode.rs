//! JSON mode (protocol.md §17): one-level flatten on write, arrays on read.
//!
//! Stored form: every message, compact, followed by one comma. A batch of
//! messages is then a plain concatenation, and a read of any units is that
//! concatenation with `[` in front and the last comma turned into `]`.

use bytes::Bytes;

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
pub fn split(body: Bytes) -> Result<JsonBatch, JsonError> {
    let _ = body;
    Err(JsonError::EmptyArray)
}

/// Length in bytes of the first `message_count` messages of stored bytes; `None` when
/// there are fewer.
pub fn prefix_len(stored: &[u8], message_count: u64) -> Option<usize> {
    let _ = (stored, message_count);
    None
}

/// The messages of stored bytes, without their commas.
pub fn messages(stored: &[u8]) -> impl Iterator<Item = &[u8]> {
    stored.split(|_| true)
}
