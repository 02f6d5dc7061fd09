//! Readers: catch-up and live, stitched through forks of any depth.

use std::sync::{Arc, atomic::Ordering};

use bytes::{Bytes, BytesMut};
use durable_streams_protocol::offset::{Position, ReadFrom};
use tokio::sync::watch;

use super::{
    Shared,
    hot::Look,
    stream::{Gone, Stream},
    types::{Change, LookupError, ReadChunk, ReadError, StreamInfo},
};
use crate::store::{StoreError, Unit};

/// Reads one stream from a position on. Dropping it at any point loses nothing.
pub struct Reader {
    engine: Arc<Shared>,
    stream: Arc<Stream>,
    info: StreamInfo,
    position: Position,
    has_seen_close: bool,
    wake: Option<watch::Receiver<()>>,
}

impl Reader {
    pub(super) fn new(engine: Arc<Shared>, stream: Arc<Stream>, from: ReadFrom, live: bool) -> Self {
        // Subscribed before the tail is looked at, so no change falls between.
        let wake = live.then(|| {
            stream.attach_live_reader();
            stream.subscribe()
        });
        let info = stream.info();
        let position = match from {
            ReadFrom::Beginning => Position::START,
            // protocol.md §10: beyond the tail is at the tail.
            ReadFrom::At(position) => position.min(info.tail),
            ReadFrom::Now => info.tail,
        };
        Self { engine, stream, info, position, has_seen_close: false, wake }
    }

    /// The stream as it was when the reader was opened.
    pub const fn info(&self) -> &StreamInfo {
        &self.info
    }

    /// Position of the next byte.
    pub const fn position(&self) -> Position {
        self.position
    }

    /// What is there now from the position on, at most `max_bytes` but at least one
    /// unit; an empty piece at the tail. Moves the position.
    pub async fn next(&mut self, max_bytes: usize) -> Result<ReadChunk, ReadError> {
        self.advance(max_bytes, max_bytes, gather).await
    }

    /// The same with one piece of data per unit; there may be fewer than would fit.
    pub async fn next_units(&mut self, max_bytes: usize) -> Result<ReadChunk, ReadError> {
        // Hot data is kept merged: looked at for one byte, it gives one unit.
        self.advance(1, max_bytes, |units| units.into_iter().map(|unit| unit.data).collect()).await
    }

    async fn advance(
        &mut self,
        max_hot_bytes: usize,
        max_bytes: usize,
        pieces: impl FnOnce(Vec<Unit>) -> Vec<Bytes>,
    ) -> Result<ReadChunk, ReadError> {
        let from = self.position;
        let view = self.stream.view(from, max_hot_bytes);
        match view.gone {
            None => {}
            Some(Gone::Removed) => return Err(LookupError::NotFound.into()),
            Some(Gone::SoftDeleted) => return Err(LookupError::Gone.into()),
        }
        let data = match view.hot {
            _ if from >= view.tail => Vec::new(),
            Look::Hit(data) => data,
            Look::NotAUnit => return Err(ReadError::Offset),
            Look::Cold => pieces(self.read_cold(from, view.tail, max_bytes).await?),
        };
        let next = Position(from.0 + data.iter().map(|piece| piece.len() as u64).sum::<u64>());
        let up_to_date = next >= view.tail;
        let closed = up_to_date && view.is_closed;
        self.position = next;
        self.has_seen_close = closed;
        Ok(ReadChunk { from, next, data, up_to_date, closed })
    }

    /// Waits until there is more to read or nothing more to come. Resolves at once
    /// if that is so already. Only for live readers; others see [`Change::Advanced`].
    pub async fn changed(&mut self) -> Change {
        loop {
            if let Some(change) = self.pending_change() {
                return change;
            }
            let Some(wake) = self.wake.as_mut() else { return Change::Advanced };
            if wake.changed().await.is_err() {
                // The stream let go of a channel nobody listened to; take the new one.
                self.wake = Some(self.stream.subscribe());
            }
        }
    }

    /// What [`Reader::changed`] would resolve with now.
    pub fn pending_change(&self) -> Option<Change> {
        let view = self.stream.view(Position::MAX, 0);
        match view.gone {
            Some(Gone::Removed) => return Some(Change::Removed),
            Some(Gone::SoftDeleted) => return Some(Change::SoftDeleted),
            None => {}
        }
        if view.tail > self.position || (view.is_closed && !self.has_seen_close) {
            return Some(Change::Advanced);
        }
        self.engine.is_stopping.load(Ordering::Acquire).then_some(Change::ShuttingDown)
    }

    /// Reads from the store; inherited parts come from the ancestor that owns them.
    async fn read_cold(&self, from: Position, tail: Position, max_bytes: usize) -> Result<Vec<Unit>, ReadError> {
        let mut found: Vec<Unit> = Vec::new();
        let mut at = from;
        let mut budget = max_bytes;
        while at < tail && (found.is_empty() || budget > 0) {
            let (owner, until) = owner(&self.stream, at, tail);
            let units = self.read_store(owner.id(), at, until, budget).await?;
            let Some(first) = units.first() else {
                if !found.is_empty() {
                    break;
                }
                return Err(self.why_missing(at));
            };
            if first.at != at {
                return Err(if found.is_empty() { ReadError::Offset } else { self.why_missing(at) });
            }
            let bytes: usize = units.iter().map(|unit| unit.data.len()).sum();
            if !found.is_empty() && bytes > budget {
                break;
            }
            budget = budget.saturating_sub(bytes);
            at = Position(at.0 + bytes as u64);
            found.extend(units);
            if at < until {
                break;
            }
        }
        if at == tail && !self.engine.store.is_volatile() {
            let limit = self.engine.options.hot_bytes_per_stream;
            if max_bytes - budget.min(max_bytes) <= limit {
                self.stream.warm(&found, limit);
            }
        }
        Ok(found)
    }

    async fn read_store(&self, id: u64, from: Position, until: Position, max: usize) -> Result<Vec<Unit>, StoreError> {
        let store = Arc::clone(&self.engine.store);
        if store.is_volatile() {
            return store.read(id, from, until, max);
        }
        tokio::task::spawn_blocking(move || store.read(id, from, until, max))
            .await
            .map_err(|error| StoreError::failed("reading", error))?
    }

    /// Units that should be there are not: the stream was removed meanwhile, or the
    /// offset lies inside the last unit.
    fn why_missing(&self, at: Position) -> ReadError {
        let view = self.stream.view(at, 0);
        match view.gone {
            Some(Gone::Removed) => LookupError::NotFound.into(),
            Some(Gone::SoftDeleted) => LookupError::Gone.into(),
            None => ReadError::Offset,
        }
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("path", &self.stream.path().as_str())
            .field("position", &self.position)
            .field("is_live", &self.wake.is_some())
            .finish_non_exhaustive()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if self.wake.is_some() {
            self.stream.detach_live_reader(self.engine.options.clock.unix_ms());
        }
    }
}

/// The ancestor whose own data covers a position, and where that coverage ends.
fn owner(stream: &Arc<Stream>, at: Position, tail: Position) -> (&Arc<Stream>, Position) {
    let (mut owner, mut until) = (stream, tail);
    while let Some(source) = owner.source().filter(|source| at < source.at) {
        until = until.min(source.at);
        owner = &source.stream;
    }
    (owner, until)
}

/// The unit that starts at a position of a stream, wherever it is kept.
pub(super) fn unit_at(engine: &Shared, stream: &Arc<Stream>, at: Position) -> Result<Option<Unit>, StoreError> {
    let (owner, until) = owner(stream, at, stream.decided.lock().tail);
    let units = engine.store.read(owner.id(), at, until, 1)?;
    Ok(units.into_iter().next().filter(|unit| unit.at == at))
}

/// Few large buffers instead of many small ones.
fn gather(units: Vec<Unit>) -> Vec<Bytes> {
    const MANY: usize = 16;
    if units.len() <= MANY {
        return units.into_iter().map(|unit| unit.data).collect();
    }
    let mut joined = BytesMut::with_capacity(units.iter().map(|unit| unit.data.len()).sum());
    for unit in &units {
        joined.extend_from_slice(&unit.data);
    }
    vec![joined.freeze()]
}
