//! Stores: where streams live. The engine decides, a store keeps.
//!
//! A store promises: one [`Store::commit`] is atomic and durable when it returns;
//! what was committed is read back byte for byte; nothing else ever appears.
//!
//! The trait is shaped so that several nodes may share one store later. An append
//! names the position it was decided against, and a position is taken once: a store
//! with other writers refuses the second unit at a position with
//! [`StoreError::Conflict`], the compare-and-set on the tail. The producer
//! state travels in the same record, so it moves with the tail or not at all.

pub mod file;
pub mod memory;

use std::fmt;

use bytes::Bytes;
use durable_streams_protocol::{
    expiry::Expiry,
    offset::Position,
    produce::decide::{ProducerClaim, ProducerState},
};

use crate::path::StreamPath;

/// Identity of a stream's incarnation; never used twice in one store.
pub type StreamId = u64;

/// Keeps streams. Calls may block; the engine keeps them off its async paths unless
/// [`Store::is_volatile`].
pub trait Store: Send + Sync + 'static {
    /// Tells every stream of the store once, in no particular order, with the units
    /// committed after its last checkpoint.
    fn load(&self, visit: &mut dyn FnMut(StoredStream)) -> Result<(), StoreError>;

    /// Carries out all mutations or none, in order, and returns when they are
    /// durable. The data of appended units is replaced by the store's own copy, so
    /// that it may be kept without pinning the request's buffer.
    fn commit(&self, mutations: &mut [Mutation]) -> Result<(), StoreError>;

    /// The first units of `from..until`, as many as fit into `max_bytes` but at least
    /// one. A first unit that does not start at `from` means `from` was never issued.
    fn read(
        &self,
        stream: StreamId,
        from: Position,
        until: Position,
        max_bytes: usize,
    ) -> Result<Vec<Unit>, StoreError>;

    /// Refuses with [`StoreError::Full`] when there is no room for new data; asked
    /// before each commit that adds data, so that nothing is half-written.
    fn check_room(&self) -> Result<(), StoreError>;

    /// All entries of the key-value area whose key starts with `prefix`, by key.
    fn kv_scan(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Bytes)>, StoreError>;

    /// Whether data lives in memory only: reads do not block, nothing survives.
    fn is_volatile(&self) -> bool;

    /// Makes everything durable and notes a clean end; nothing is committed afterwards.
    fn close(&self) -> Result<(), StoreError>;
}

/// One change of a commit.
#[derive(Debug)]
pub enum Mutation {
    /// Writes a stream's record: new, soft-deleted, or with a new checkpoint.
    Put(Box<StreamRecord>),
    /// Appends a unit, closes the stream, or both.
    Append(UnitRecord),
    /// Removes a stream with all its units.
    Remove(StreamId),
    /// Sets or removes an entry of the key-value area.
    Kv {
        /// Key.
        key: Vec<u8>,
        /// New value, or `None` to remove.
        value: Option<Bytes>,
    },
}

/// What a store keeps about a stream.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct StreamRecord {
    /// Identity.
    pub id: StreamId,
    /// Canonical path.
    pub path: StreamPath,
    /// Content type, verbatim.
    pub content_type: String,
    /// Expiry in force.
    pub expiry: Option<StoredExpiry>,
    /// Expiry the creating request named; differs from `expiry` on forks that inherit.
    pub requested_expiry: Option<StoredExpiry>,
    /// Creation time. Units: Unix milliseconds.
    pub created_unix_ms: u64,
    /// Fork origin.
    pub source: Option<StoredSource>,
    /// Deleted while forks still read through it.
    pub is_soft_deleted: bool,
    /// State of the stream at some position.
    pub checkpoint: Checkpoint,
}

/// [`Expiry`] as stored.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub enum StoredExpiry {
    /// Seconds.
    Ttl(u64),
    /// Text as sent.
    At(String),
}

impl StoredExpiry {
    /// The stored form of an expiry.
    pub fn of(expiry: &Expiry) -> Self {
        match expiry {
            Expiry::Ttl(seconds) => Self::Ttl(*seconds),
            Expiry::At(deadline) => Self::At(deadline.text.clone()),
        }
    }

    /// The expiry; `None` when a stored deadline does not parse.
    pub fn restore(&self) -> Option<Expiry> {
        match self {
            Self::Ttl(seconds) => Some(Expiry::Ttl(*seconds)),
            Self::At(text) => durable_streams_protocol::expiry::Deadline::parse(text).map(Expiry::At),
        }
    }
}

/// Fork origin as stored.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct StoredSource {
    /// Source incarnation.
    pub id: StreamId,
    /// Source path as the request named it, canonical.
    pub path: StreamPath,
    /// Where inherited data ends.
    pub at: u64,
    /// Sub-offset as sent.
    pub sub_offset: u64,
}

/// Everything the rules need to know about a stream at one position.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Checkpoint {
    /// Tail.
    pub tail: u64,
    /// Closed for ever.
    pub is_closed: bool,
    /// The producer request that closed the stream: id, epoch, seq.
    pub closed_by: Option<(Vec<u8>, u64, u64)>,
    /// Last accepted `Stream-Seq`.
    pub last_seq: Option<Vec<u8>>,
    /// Producers: id, epoch, seq, last use in Unix milliseconds.
    pub producers: Vec<(Vec<u8>, u64, u64, u64)>,
    /// Last touch for sliding expiry. Units: Unix milliseconds.
    pub touched_unix_ms: u64,
}

/// One append unit with all that moves with it: one atomic record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitRecord {
    /// Stream.
    pub stream: StreamId,
    /// Position before the unit: the tail it was decided against.
    pub at: Position,
    /// Stored bytes; empty when the record only closes the stream.
    pub data: Bytes,
    /// The accepted producer request.
    pub producer: Option<ProducerClaim>,
    /// The accepted `Stream-Seq`.
    pub seq: Option<Box<[u8]>>,
    /// Whether the stream is closed by this record.
    pub closes: bool,
    /// When it was accepted. Units: Unix milliseconds.
    pub time_unix_ms: u64,
}

/// A stream as loaded.
#[derive(Debug)]
pub struct StoredStream {
    /// Its record.
    pub record: StreamRecord,
    /// Units after the checkpoint, in order, without data.
    pub later: Vec<LaterUnit>,
}

/// What a unit after the checkpoint changed.
#[derive(Debug)]
pub struct LaterUnit {
    /// Position before the unit.
    pub at: Position,
    /// Stored bytes in it.
    pub len: u64,
    /// The accepted producer request.
    pub producer: Option<ProducerClaim>,
    /// The accepted `Stream-Seq`.
    pub seq: Option<Box<[u8]>>,
    /// Whether it closed the stream.
    pub closes: bool,
    /// When it was accepted. Units: Unix milliseconds.
    pub time_unix_ms: u64,
}

impl Checkpoint {
    /// Moves the state over one unit, as [`crate::engine`] did when it accepted it.
    pub fn advance(&mut self, unit: LaterUnit) {
        self.tail = unit.at.0 + unit.len;
        self.touched_unix_ms = self.touched_unix_ms.max(unit.time_unix_ms);
        if unit.closes {
            self.is_closed = true;
            self.closed_by =
                unit.producer.as_ref().map(|claim| (claim.id.to_vec(), claim.state.epoch, claim.state.seq));
        }
        if let Some(seq) = unit.seq {
            self.last_seq = Some(seq.into_vec());
        }
        if let Some(ProducerClaim { id, state: ProducerState { epoch, seq } }) = unit.producer {
            let entry = (id.into_vec(), epoch, seq, unit.time_unix_ms);
            match self.producers.iter_mut().find(|known| known.0 == entry.0) {
                Some(known) => *known = entry,
                None => self.producers.push(entry),
            }
        }
    }
}

/// A unit read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Position before it.
    pub at: Position,
    /// Stored bytes.
    pub data: Bytes,
}

impl Unit {
    /// Position after it.
    pub const fn end(&self) -> Position {
        Position(self.at.0 + self.data.len() as u64)
    }
}

/// The first units, as many as fit into `max_bytes` but at least one: what [`Store::read`]
/// owes.
/// Errors: the first that comes up.
pub fn take_fitting(
    units: impl IntoIterator<Item = Result<Unit, StoreError>>,
    max_bytes: usize,
) -> Result<Vec<Unit>, StoreError> {
    let mut room = max_bytes;
    let mut found: Vec<Unit> = Vec::new();
    for unit in units {
        let unit = unit?;
        if !found.is_empty() && unit.data.len() > room {
            break;
        }
        room = room.saturating_sub(unit.data.len());
        found.push(unit);
        // Looking at one more may cost a read.
        if room == 0 {
            break;
        }
    }
    Ok(found)
}

/// Why a store refused or failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// 507: no room; nothing was written.
    #[error("the storage is full: {0}")]
    Full(String),
    /// Another writer took the position; the stream must be looked at again.
    #[error("another writer moved stream {0}")]
    Conflict(StreamId),
    /// 500: the storage failed.
    #[error("the storage failed: {0}")]
    Failed(String),
}

impl StoreError {
    /// A failure while doing something, with its cause.
    pub fn failed(doing: &str, cause: impl fmt::Display) -> Self {
        Self::Failed(format!("{doing}: {cause}"))
    }
}

/// Why a store cannot be opened. Nothing was changed or deleted.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the data directory {directory}: {reason}")]
pub struct OpenError {
    /// The directory.
    pub directory: String,
    /// What is wrong, naming the file.
    pub reason: String,
}
