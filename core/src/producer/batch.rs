//! The batch being filled. The body is built in place, so that sealing is no copy.

use bytes::{BufMut, Bytes, BytesMut};
use durable_streams_protocol::{Time, content_type, produce::options::BatchOptions};

/// How messages of a stream are put together (protocol.md §20).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BatchKind {
    /// Plain concatenation.
    Bytes,
    /// One JSON array, each message an element.
    Json,
}

impl BatchKind {
    /// The kind of a stream's content type.
    pub(super) fn of(content_type: &str) -> Self {
        if content_type::is_json(content_type) { Self::Json } else { Self::Bytes }
    }

    /// The body that carries one message alone.
    pub(super) fn wrap(self, message: &[u8]) -> Bytes {
        let mut body = BytesMut::with_capacity(message.len() + 2);
        self.begin(&mut body);
        body.extend_from_slice(message);
        self.end(&mut body);
        body.freeze()
    }

    fn begin(self, body: &mut BytesMut) {
        if self == Self::Json {
            body.put_u8(b'[');
        }
    }

    fn end(self, body: &mut BytesMut) {
        if self == Self::Json {
            body.put_u8(b']');
        }
    }

    /// Bytes of framing per message, and once more per batch.
    const fn overhead(self) -> usize {
        match self {
            Self::Bytes => 0,
            Self::Json => 1,
        }
    }
}

/// The batch being filled.
#[derive(Debug, Default)]
pub(super) struct OpenBatch {
    body: BytesMut,
    pub(super) message_count: u64,
    /// When it is sealed even if it is small; set by the driver.
    pub(super) deadline: Option<Time>,
    /// Size of the last batch: the next one will be about as large.
    size_hint: usize,
}

impl OpenBatch {
    pub(super) const fn is_empty(&self) -> bool {
        self.message_count == 0
    }

    /// Whether a message has to go into the next batch.
    pub(super) fn is_too_full_for(&self, message: &[u8], kind: BatchKind, options: &BatchOptions) -> bool {
        !self.is_empty() && self.body.len() + message.len() + 2 * kind.overhead() > options.max_batch_bytes
    }

    /// Whether no message fits any more.
    pub(super) fn is_full(&self, kind: BatchKind, options: &BatchOptions) -> bool {
        self.body.len() + kind.overhead() >= options.max_batch_bytes
            || options.max_batch_items.is_some_and(|most| self.message_count >= most)
    }

    pub(super) fn push(&mut self, message: &[u8], kind: BatchKind) {
        if self.is_empty() {
            self.body.reserve(self.size_hint.max(message.len() + 2));
            kind.begin(&mut self.body);
        } else if kind == BatchKind::Json {
            self.body.put_u8(b',');
        }
        self.body.extend_from_slice(message);
        self.message_count += 1;
    }

    /// The finished body and its number of messages; the batch is empty afterwards.
    pub(super) fn take(&mut self, kind: BatchKind) -> (Bytes, u64) {
        kind.end(&mut self.body);
        self.size_hint = self.body.len();
        self.deadline = None;
        (std::mem::take(&mut self.body).freeze(), std::mem::take(&mut self.message_count))
    }

    /// Throws the messages away.
    pub(super) fn clear(&mut self) {
        self.body.clear();
        self.message_count = 0;
        self.deadline = None;
    }
}
