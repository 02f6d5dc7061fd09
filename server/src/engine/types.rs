//! What the engine is asked and what it answers. The HTTP layer turns requests
//! into these and these into answers; embedders use them directly.

use std::sync::Arc;

use bytes::Bytes;
use durable_streams_protocol::{
    content_type::Framing,
    expiry::Expiry,
    json_mode::JsonError,
    offset::Position,
    produce::decide::{ProducerClaim, ProducerState},
};

use crate::{path::StreamPath, store::StoreError};

/// A create request (protocol.md §5), syntax already checked.
#[derive(Debug, Clone, Default)]
pub struct CreateRequest {
    /// Content type as sent; `None` when absent, blank or malformed.
    pub content_type: Option<String>,
    /// Expiry as sent.
    pub expiry: Option<Expiry>,
    /// Create the stream closed.
    pub closed: bool,
    /// Fork from another stream.
    pub fork: Option<ForkRequest>,
    /// First append unit; empty = none.
    pub body: Bytes,
}

/// The fork part of a create request (protocol.md §21).
#[derive(Debug, Clone)]
pub struct ForkRequest {
    /// Source stream.
    pub source: StreamPath,
    /// Divergence point; `None` = the source's tail.
    pub offset: Option<Position>,
    /// Bytes or JSON messages into the unit after the divergence point.
    pub sub_offset: u64,
}

/// Answer to a create.
#[derive(Debug, Clone)]
pub struct Created {
    /// 201 or 200.
    pub is_new: bool,
    /// Content type of the stream, verbatim.
    pub content_type: Arc<str>,
    /// Tail after the first unit.
    pub tail: Position,
    /// Whether the stream is closed.
    pub closed: bool,
}

/// Why a create failed.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// 409: exists with other settings.
    #[error("the stream exists with another {0}")]
    Exists(&'static str),
    /// 409: the path is held by a soft-deleted stream.
    #[error("the path is held by a deleted stream that forks still read from")]
    SoftDeleted,
    /// 404: the fork source is missing or expired.
    #[error("the fork source {0} does not exist")]
    SourceMissing(StreamPath),
    /// 409: the fork source is soft-deleted.
    #[error("the fork source {0} is deleted")]
    SourceSoftDeleted(StreamPath),
    /// 409: the content type differs from the source's.
    #[error("the content type differs from that of the fork source, {0}")]
    SourceContentType(Arc<str>),
    /// 400: the fork offset is not one this stream issued.
    #[error("Stream-Fork-Offset is not an offset of the source, whose tail is {0}")]
    ForkOffset(Position),
    /// 400: the sub-offset reaches beyond the unit after the fork offset.
    #[error("Stream-Fork-Sub-Offset {sub_offset} lies beyond the unit at the fork offset, which holds {available}")]
    ForkSubOffset {
        /// What was asked.
        sub_offset: u64,
        /// Bytes or messages in the unit; 0 = no unit follows.
        available: u64,
    },
    /// 400: the body of a JSON stream is not JSON.
    #[error("the body is not valid JSON: {0}")]
    Json(JsonError),
    /// 503: the configured number of streams exists.
    #[error("the server holds its limit of {0} streams")]
    TooManyStreams(usize),
    /// 507 or 500.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An append or close request (protocol.md §6, §7), syntax already checked. An empty
/// body means close-only; then `close` is set.
#[derive(Debug, Clone, Default)]
pub struct AppendRequest {
    /// Content type as sent.
    pub content_type: Option<String>,
    /// The append unit.
    pub body: Bytes,
    /// Close the stream, after the body if there is one.
    pub close: bool,
    /// `Stream-Seq`.
    pub seq: Option<Box<[u8]>>,
    /// Producer headers.
    pub producer: Option<ProducerClaim>,
}

/// Answer to an append or close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Whether data was stored, or the request was a duplicate or close-only.
    pub kind: AppendKind,
    /// Tail now.
    pub tail: Position,
    /// Whether the stream is closed now.
    pub closed: bool,
    /// Producer state to echo, when the request carried producer headers.
    pub producer: Option<ProducerState>,
}

/// What an accepted append request did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendKind {
    /// Stored a unit (and closed, if asked).
    Data,
    /// Closed only, now or earlier.
    Close,
    /// Nothing: the producer request was accepted before.
    Duplicate,
}

/// Why an append failed; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// 404.
    #[error("the stream does not exist")]
    NotFound,
    /// 410.
    #[error("the stream is deleted")]
    Gone,
    /// 409 with `Stream-Closed` and the final offset.
    #[error("the stream is closed at {0}")]
    Closed(Position),
    /// 409.
    #[error("the content type differs from the stream's, {0}")]
    ContentType(Arc<str>),
    /// 403 with the epoch in force.
    #[error("Producer-Epoch is older than the epoch in force, {0}")]
    StaleEpoch(u64),
    /// 400.
    #[error("a new Producer-Epoch must start with Producer-Seq 0")]
    EpochMustStartAtZero,
    /// 409 with both numbers.
    #[error("Producer-Seq {received} skips ahead; {expected} is expected")]
    Gap {
        /// The number the server would accept.
        expected: u64,
        /// The number received.
        received: u64,
    },
    /// 409.
    #[error("Stream-Seq must be greater than the last accepted one")]
    SeqConflict,
    /// 400.
    #[error("the body is not valid JSON: {0}")]
    Json(JsonError),
    /// 507 or 500.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a stream cannot be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// 404.
    #[error("the stream does not exist")]
    NotFound,
    /// 410.
    #[error("the stream is deleted")]
    Gone,
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// 404 or 410.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// 400: not a position this stream issued.
    #[error("the offset is not one this stream issued")]
    Offset,
    /// 500.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What HEAD shows (protocol.md §9), and what every read needs to know.
#[derive(Debug, Clone)]
pub struct StreamInfo {
    /// Content type, verbatim.
    pub content_type: Arc<str>,
    /// How the payload travels in SSE.
    pub framing: Framing,
    /// Unique per incarnation of the path; part of entity tags.
    pub incarnation: u64,
    /// Configured or inherited expiry.
    pub expiry: Option<Expiry>,
    /// Tail: only what is durable.
    pub tail: Position,
    /// Whether the stream is closed.
    pub closed: bool,
    /// When the stream was created. Units: Unix milliseconds.
    pub created_unix_ms: u64,
}

/// One contiguous piece of a stream, in stored form. Concatenated, `data` is
/// the stored bytes of `from..next`. On JSON streams each message is followed by one
/// comma; [`ReadChunk::into_body`] makes the array.
#[derive(Debug, Clone)]
pub struct ReadChunk {
    /// Position before the first byte.
    pub from: Position,
    /// Position after the last byte; the tail when nothing was returned.
    pub next: Position,
    /// Stored bytes; empty at the tail.
    pub data: Vec<Bytes>,
    /// Whether `next` was the tail when the piece was taken.
    pub up_to_date: bool,
    /// Whether the stream is closed and `next` its final offset.
    pub closed: bool,
}

impl ReadChunk {
    /// Number of stored bytes.
    pub fn len(&self) -> usize {
        self.data.iter().map(Bytes::len).sum()
    }

    /// Whether the piece carries no data.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The pieces of the body a reader sees: the bytes, or one JSON array.
    pub fn into_body(mut self, framing: Framing) -> Vec<Bytes> {
        if framing != Framing::Json {
            return self.data;
        }
        let Some(last) = self.data.last_mut() else { return vec![Bytes::from_static(b"[]")] };
        // Drop the comma after the last message; every unit ends with one.
        last.truncate(last.len() - 1);
        let mut body = Vec::with_capacity(self.data.len() + 2);
        body.push(Bytes::from_static(b"["));
        body.append(&mut self.data);
        body.push(Bytes::from_static(b"]"));
        body
    }
}

/// Why a waiting reader was woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The tail moved or the stream was closed: read on.
    Advanced,
    /// The stream was deleted or expired: answer 404.
    Removed,
    /// The stream was soft-deleted: answer 410.
    SoftDeleted,
    /// The server is stopping: end the response cleanly.
    ShuttingDown,
}

/// What happened to a stream, told to observers after it is durable and visible.
#[derive(Debug, Clone)]
pub enum StreamEvent {
    /// A stream came to be, without data.
    Created {
        /// Its path.
        path: StreamPath,
    },
    /// Data was appended; also follows a create with a body.
    Appended {
        /// Its path.
        path: StreamPath,
        /// Tail before.
        previous: Position,
        /// Tail now.
        tail: Position,
    },
    /// The path no longer names a readable stream.
    Deleted {
        /// Its path.
        path: StreamPath,
    },
}

/// Is told of stream events, in commit order, on the committing thread: must not block.
pub trait Observer: Send + Sync + 'static {
    /// Takes the events of one commit.
    fn observe(&self, events: &[StreamEvent]);
}

/// Why a delete failed.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// 404 or 410.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// 507 or 500.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<LookupError> for AppendError {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::NotFound => Self::NotFound,
            LookupError::Gone => Self::Gone,
        }
    }
}
