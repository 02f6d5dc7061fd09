//! One stream in memory: what was decided (the committer's side) and what is
//! published (everybody's side).

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use durable_streams_protocol::{
    content_type::Framing,
    expiry::Expiry,
    offset::Position,
    produce::decide::{ProducerClaim, ProducerState},
};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    hot::{Budget, HotTail},
    types::StreamInfo,
};
use crate::{
    path::StreamPath,
    store::{Checkpoint, StoredExpiry, StoredSource, StreamId, StreamRecord, Unit},
};

/// A stream's incarnation.
pub(super) struct Stream {
    id: StreamId,
    path: StreamPath,
    content_type: Arc<str>,
    framing: Framing,
    expiry: Option<Expiry>,
    requested_expiry: Option<Expiry>,
    created_unix_ms: u64,
    source: Option<Source>,
    /// Forks that name this stream as their source.
    references: AtomicU32,
    touched_unix_ms: AtomicU64,
    live_readers: AtomicU32,
    /// Decided state; locked by the committer only, so never contended.
    pub(super) decided: Mutex<Decided>,
    published: Mutex<Published>,
}

/// Where a fork's data comes from.
pub(super) struct Source {
    pub(super) stream: Arc<Stream>,
    /// Path as the creating request named it.
    pub(super) path: StreamPath,
    /// Inherited data ends here.
    pub(super) at: Position,
    /// Sub-offset as sent.
    pub(super) sub_offset: u64,
}

/// State as decided so far, perhaps not durable yet.
#[derive(Default)]
pub(super) struct Decided {
    pub(super) tail: Position,
    pub(super) is_closed: bool,
    pub(super) closed_by: Option<ProducerClaim>,
    pub(super) last_seq: Option<Box<[u8]>>,
    pub(super) producers: HashMap<Box<[u8]>, Producer>,
    /// Decided to be gone (removed or soft-deleted).
    pub(super) is_deleted: bool,
    /// Units since the last checkpoint.
    pub(super) since_checkpoint: u32,
    /// Touch time of the last checkpoint.
    pub(super) checkpoint_touched_unix_ms: u64,
    /// In the list of streams to publish after this commit.
    pub(super) is_in_commit: bool,
}

/// A known producer.
#[derive(Clone, Copy)]
pub(super) struct Producer {
    pub(super) state: ProducerState,
    pub(super) used_unix_ms: u64,
}

/// State that readers see: durable.
struct Published {
    tail: Position,
    is_closed: bool,
    gone: Option<Gone>,
    hot: HotTail,
    /// Made by the first live reader.
    wake: Option<watch::Sender<()>>,
}

/// How a stream ceased to be readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    Removed,
    SoftDeleted,
}

/// Where a stream is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifecycle {
    Live,
    Expired,
    SoftDeleted,
    Removed,
}

/// What a reader sees at one moment.
pub(super) struct View {
    pub(super) tail: Position,
    pub(super) is_closed: bool,
    pub(super) gone: Option<Gone>,
    /// Data from the asked position on, if hot.
    pub(super) hot: super::hot::Look,
}

/// What a new stream starts with.
pub(super) struct NewStream {
    pub(super) id: StreamId,
    pub(super) path: StreamPath,
    pub(super) content_type: Arc<str>,
    pub(super) expiry: Option<Expiry>,
    pub(super) requested_expiry: Option<Expiry>,
    pub(super) created_unix_ms: u64,
    pub(super) source: Option<Source>,
}

impl Stream {
    pub(super) fn new(new: NewStream, budget: Arc<Budget>) -> Self {
        let start = new.source.as_ref().map_or(Position::START, |source| source.at);
        Self {
            id: new.id,
            path: new.path,
            framing: Framing::of(&new.content_type),
            content_type: new.content_type,
            expiry: new.expiry,
            requested_expiry: new.requested_expiry,
            created_unix_ms: new.created_unix_ms,
            source: new.source,
            references: AtomicU32::new(0),
            touched_unix_ms: AtomicU64::new(new.created_unix_ms),
            live_readers: AtomicU32::new(0),
            decided: Mutex::new(Decided { tail: start, ..Decided::default() }),
            published: Mutex::new(Published {
                tail: start,
                is_closed: false,
                gone: None,
                hot: HotTail::new(budget),
                wake: None,
            }),
        }
    }

    /// A stream as it was when its checkpoint was taken.
    pub(super) fn restore(
        record: StreamRecord,
        checkpoint: Checkpoint,
        source: Option<Arc<Self>>,
        budget: Arc<Budget>,
    ) -> Self {
        let restore_expiry = |stored: Option<&StoredExpiry>| stored.and_then(StoredExpiry::restore);
        let source = record.source.zip(source).map(|(stored, stream)| Source {
            stream,
            path: stored.path,
            at: Position(stored.at),
            sub_offset: stored.sub_offset,
        });
        let stream = Self::new(
            NewStream {
                id: record.id,
                path: record.path,
                content_type: record.content_type.into(),
                expiry: restore_expiry(record.expiry.as_ref()),
                requested_expiry: restore_expiry(record.requested_expiry.as_ref()),
                created_unix_ms: record.created_unix_ms,
                source,
            },
            budget,
        );
        stream.touched_unix_ms.store(checkpoint.touched_unix_ms.max(record.created_unix_ms), Ordering::Relaxed);
        {
            let mut published = stream.published.lock();
            published.tail = Position(checkpoint.tail);
            published.is_closed = checkpoint.is_closed;
            published.gone = record.is_soft_deleted.then_some(Gone::SoftDeleted);
            let mut decided = stream.decided.lock();
            decided.tail = Position(checkpoint.tail);
            decided.is_closed = checkpoint.is_closed;
            decided.is_deleted = record.is_soft_deleted;
            decided.checkpoint_touched_unix_ms = checkpoint.touched_unix_ms;
            decided.closed_by = checkpoint
                .closed_by
                .map(|(id, epoch, seq)| ProducerClaim { id: id.into(), state: ProducerState { epoch, seq } });
            decided.last_seq = checkpoint.last_seq.map(Into::into);
            decided.producers = checkpoint
                .producers
                .into_iter()
                .map(|(id, epoch, seq, used_unix_ms)| {
                    (id.into(), Producer { state: ProducerState { epoch, seq }, used_unix_ms })
                })
                .collect();
        }
        stream
    }

    /// The record to store, with a checkpoint of the decided state.
    pub(super) fn record(&self, decided: &Decided) -> StreamRecord {
        StreamRecord {
            id: self.id,
            path: self.path.clone(),
            content_type: self.content_type.to_string(),
            expiry: self.expiry.as_ref().map(StoredExpiry::of),
            requested_expiry: self.requested_expiry.as_ref().map(StoredExpiry::of),
            created_unix_ms: self.created_unix_ms,
            source: self.source.as_ref().map(|source| StoredSource {
                id: source.stream.id,
                path: source.path.clone(),
                at: source.at.0,
                sub_offset: source.sub_offset,
            }),
            is_soft_deleted: decided.is_deleted,
            checkpoint: Checkpoint {
                tail: decided.tail.0,
                is_closed: decided.is_closed,
                closed_by: decided
                    .closed_by
                    .as_ref()
                    .map(|claim| (claim.id.to_vec(), claim.state.epoch, claim.state.seq)),
                last_seq: decided.last_seq.as_deref().map(<[u8]>::to_vec),
                producers: decided
                    .producers
                    .iter()
                    .map(|(id, known)| (id.to_vec(), known.state.epoch, known.state.seq, known.used_unix_ms))
                    .collect(),
                touched_unix_ms: self.touched_unix_ms.load(Ordering::Relaxed),
            },
        }
    }

    pub(super) const fn id(&self) -> StreamId {
        self.id
    }

    pub(super) const fn path(&self) -> &StreamPath {
        &self.path
    }

    pub(super) const fn content_type(&self) -> &Arc<str> {
        &self.content_type
    }

    pub(super) fn is_json(&self) -> bool {
        self.framing == Framing::Json
    }

    pub(super) const fn expiry(&self) -> Option<&Expiry> {
        self.expiry.as_ref()
    }

    pub(super) const fn requested_expiry(&self) -> Option<&Expiry> {
        self.requested_expiry.as_ref()
    }

    pub(super) const fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    pub(super) fn reference_count(&self) -> u32 {
        self.references.load(Ordering::Acquire)
    }

    pub(super) fn add_reference(&self) {
        self.references.fetch_add(1, Ordering::AcqRel);
    }

    /// Releases one reference and returns how many are left.
    pub(super) fn release_reference(&self) -> u32 {
        self.references.fetch_sub(1, Ordering::AcqRel) - 1
    }

    pub(super) fn touch(&self, now_unix_ms: u64) {
        if self.expiry.is_some() {
            self.touched_unix_ms.fetch_max(now_unix_ms, Ordering::Relaxed);
        }
    }

    pub(super) fn touched(&self) -> u64 {
        self.touched_unix_ms.load(Ordering::Relaxed)
    }

    pub(super) fn attach_live_reader(&self) {
        self.live_readers.fetch_add(1, Ordering::AcqRel);
    }

    /// The window of a sliding expiry starts anew when the last live reader leaves.
    pub(super) fn detach_live_reader(&self, now_unix_ms: u64) {
        self.touch(now_unix_ms);
        self.live_readers.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn is_expired(&self, now_unix_ms: u64) -> bool {
        match &self.expiry {
            None => false,
            Some(Expiry::At(deadline)) => i64::try_from(now_unix_ms).unwrap_or(i64::MAX) >= deadline.unix_ms,
            Some(Expiry::Ttl(seconds)) => {
                self.live_readers.load(Ordering::Acquire) == 0
                    && now_unix_ms >= self.touched().saturating_add(seconds.saturating_mul(1000))
            }
        }
    }

    pub(super) fn lifecycle(&self, now_unix_ms: u64) -> Lifecycle {
        match self.published.lock().gone {
            Some(Gone::Removed) => Lifecycle::Removed,
            Some(Gone::SoftDeleted) => Lifecycle::SoftDeleted,
            None if self.is_expired(now_unix_ms) => Lifecycle::Expired,
            None => Lifecycle::Live,
        }
    }

    pub(super) fn tail(&self) -> Position {
        self.published.lock().tail
    }

    pub(super) fn info(&self) -> StreamInfo {
        let published = self.published.lock();
        StreamInfo {
            content_type: Arc::clone(&self.content_type),
            framing: self.framing,
            incarnation: self.id,
            expiry: self.expiry.clone(),
            tail: published.tail,
            closed: published.is_closed,
            created_unix_ms: self.created_unix_ms,
        }
    }

    /// What a reader at a position sees now.
    pub(super) fn view(&self, from: Position, max_bytes: usize) -> View {
        let published = self.published.lock();
        View {
            tail: published.tail,
            is_closed: published.is_closed,
            gone: published.gone,
            hot: if from < published.tail { published.hot.look(from, max_bytes) } else { super::hot::Look::Cold },
        }
    }

    /// Keeps units read from the store hot, if they end at the tail.
    pub(super) fn warm(&self, units: &[Unit], hot_limit: usize) {
        let Some(last) = units.last() else { return };
        let mut published = self.published.lock();
        if published.gone.is_none() && last.end() == published.tail {
            published.hot.warm(units, hot_limit);
        }
    }

    /// Drops hot data nobody waits for.
    pub(super) fn cool(&self) {
        let mut published = self.published.lock();
        if published.wake.as_ref().is_none_or(|wake| wake.receiver_count() == 0) {
            published.hot.clear();
        }
    }

    /// A receiver that is told of every later change.
    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.published.lock().wake.get_or_insert_with(|| watch::Sender::new(())).subscribe()
    }

    /// Makes a committed unit visible; readers are woken by [`Stream::publish_state`].
    pub(super) fn publish_unit(&self, at: Position, data: Bytes, hot_limit: usize) {
        let mut published = self.published.lock();
        published.tail = Position(at.0 + data.len() as u64);
        if hot_limit > 0 {
            published.hot.push(at, data, hot_limit);
        }
    }

    /// Makes the committed end state visible and wakes readers, once per commit.
    pub(super) fn publish_state(&self, is_closed: bool) {
        let mut published = self.published.lock();
        published.is_closed = is_closed;
        wake(&mut published);
    }

    /// Makes the end of the stream visible and wakes readers.
    pub(super) fn publish_gone(&self, gone: Gone) {
        let mut published = self.published.lock();
        published.gone = Some(gone);
        if gone == Gone::Removed {
            published.hot.clear();
        }
        wake(&mut published);
    }

    /// Wakes readers without a change, for shutdown.
    pub(super) fn wake(&self) {
        wake(&mut self.published.lock());
    }
}

fn wake(published: &mut Published) {
    if published.wake.as_ref().is_some_and(|wake| wake.send(()).is_err()) {
        // Nobody listens any more: idle streams hold no channel.
        published.wake = None;
    }
}
