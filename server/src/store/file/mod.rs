//! The file store, on the fjall engine: one shared log for all streams, no
//! descriptor per stream, atomic batches, one data sync per commit.
//!
//! Keyspaces: `streams` (id → [`StreamRecord`]), `units` (id, position → unit row,
//! see [`codec`]), `kv`, `purge` (ids of removed streams whose units remain to be
//! dropped), `meta` (`clean`: present while nothing was written since a clean close).

mod ahead;
mod codec;
mod directory;
mod journal;
mod purge;

use std::{
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Instant,
};

use bytes::Bytes;
use durable_streams_protocol::offset::Position;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};

use self::codec::{decode_unit, encode_unit, key_position, unit_key};
use super::{LaterUnit, Mutation, OpenError, Store, StoreError, StoredStream, StreamId, StreamRecord, Unit};

/// What a unit row decodes to, encoded again; for the fuzz targets.
#[cfg(feature = "fuzz")]
pub(crate) fn reencoded_unit(row: &Bytes) -> Option<Bytes> {
    let at = Position::START;
    let (unit, data) = decode_unit(at, row).ok()?;
    let LaterUnit { producer, seq, closes, time_unix_ms, .. } = unit;
    let record = super::UnitRecord { stream: 0, at, data, producer, seq, closes, time_unix_ms };
    Some(encode_unit(&record).0)
}

/// Checks the journals of a directory: whole batches, and bytes set aside; for the fuzz targets.
#[cfg(feature = "fuzz")]
pub(crate) fn checked_journals(directory: &Path) -> Result<(u64, u64), String> {
    journal::check(directory).map(|report| (report.batches, report.torn_bytes))
}

/// Settings of the file store.
#[derive(Debug, Clone)]
pub struct FileOptions {
    /// Block cache. Units: bytes.
    pub cache_bytes: u64,
    /// Appends are refused with 507 when the file system has less free than this, so
    /// that the engine never meets a full disk in the middle of a write. Units: bytes.
    pub min_free_bytes: u64,
    /// Acknowledge only after the data sync. Without it a power loss can take
    /// acknowledged appends; a crash of the process cannot.
    pub sync: bool,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self { cache_bytes: 64 << 20, min_free_bytes: 256 << 20, sync: true }
    }
}

/// Keeps streams in a directory, which it locks against other processes.
pub struct FileStore {
    database: Database,
    streams: Keyspace,
    units: Keyspace,
    kv: Keyspace,
    purge: Keyspace,
    /// Locked while a batch is committed.
    ahead: ahead::Shared,
    purger: purge::Purger,
    meta: Keyspace,
    directory: std::path::PathBuf,
    /// Held for as long as the store lives.
    _lock: std::fs::File,
    options: FileOptions,
    is_clean: AtomicBool,
    /// Set when the engine failed: nothing more is written until a restart.
    is_failed: AtomicBool,
    was_clean: bool,
    opened: Instant,
    room_known_until_ms: AtomicU64,
}

/// Units: milliseconds.
const ROOM_LOOK_EVERY_MS: u64 = 20;

const CLEAN: &[u8] = b"clean";

impl FileStore {
    /// Opens or creates a data directory. Verifies the journal first: a torn tail is
    /// set aside and cut, other damage refuses the directory; nothing is deleted.
    pub fn open(directory: impl AsRef<Path>, options: FileOptions) -> Result<Self, OpenError> {
        let directory = directory.as_ref().to_path_buf();
        let refuse = |reason: String| OpenError { directory: directory.display().to_string(), reason };
        let directory::Prepared { lock, is_new } = directory::prepare(&directory).map_err(refuse)?;
        let data = directory.join(directory::DATA);
        if data.is_dir() {
            let report = journal::check(&data).map_err(refuse)?;
            if let Some(aside) = &report.set_aside {
                tracing::warn!(
                    torn_bytes = report.torn_bytes,
                    whole_batches = report.batches,
                    set_aside = %aside.display(),
                    "the journal ended in a torn batch, never acknowledged; it was cut after the last whole one"
                );
            }
        }
        let store = Self::open_engine(&data, &directory, lock, options).map_err(|error| {
            refuse(if matches!(error, fjall::Error::Locked) {
                format!("{} is in use by another process", data.display())
            } else {
                format!("{}: {error}", data.display())
            })
        })?;
        if is_new {
            directory::finish(&directory).map_err(|error| refuse(format!("cannot create it: {error}")))?;
        }
        Ok(store)
    }

    fn open_engine(data: &Path, directory: &Path, lock: std::fs::File, options: FileOptions) -> fjall::Result<Self> {
        let database = Database::builder(data)
            .cache_size(options.cache_bytes)
            .journal_compression(fjall::CompressionType::None)
            .manual_journal_persist(true)
            .worker_threads(2)
            .open()?;
        let small = || KeyspaceCreateOptions::default().max_memtable_size(16 << 20);
        let streams = database.keyspace("streams", small)?;
        // Large units go to blob files: compaction then moves keys, not payloads. They stay as they
        // are: a read of them need not decompress and copy.
        let separated = fjall::KvSeparationOptions::default()
            .separation_threshold(4 << 10)
            .compression(fjall::CompressionType::None);
        let units = database.keyspace("units", || {
            KeyspaceCreateOptions::default().max_memtable_size(64 << 20).with_kv_separation(Some(separated.clone()))
        })?;
        let kv = database.keyspace("kv", small)?;
        let purge = database.keyspace("purge", small)?;
        let meta = database.keyspace("meta", small)?;
        let was_clean = meta.get(CLEAN)?.is_some();
        let ahead = ahead::Ahead::new(data.to_path_buf(), options.sync);
        let mode = persist_mode(&options);
        let purger = purge::Purger::start(database.clone(), units.clone(), purge.clone(), ahead.clone(), mode)?;
        Ok(Self {
            database,
            streams,
            units,
            kv,
            purge,
            ahead,
            purger,
            meta,
            directory: directory.to_path_buf(),
            _lock: lock,
            options,
            is_clean: AtomicBool::new(was_clean),
            is_failed: AtomicBool::new(false),
            was_clean,
            opened: Instant::now(),
            room_known_until_ms: AtomicU64::new(0),
        })
    }

    fn batch(&self, capacity: usize) -> OwnedWriteBatch {
        OwnedWriteBatch::with_capacity(self.database.clone(), capacity).durability(Some(persist_mode(&self.options)))
    }

    /// Commits a batch whose keys and values have about so many bytes.
    fn finish(&self, batch: OwnedWriteBatch, bytes: usize) -> Result<(), StoreError> {
        let mut ahead = self.ahead.lock();
        ahead.make_room(bytes + (batch.len() + 1) * ahead::ROW_OVERHEAD);
        batch.commit().map_err(|error| {
            self.is_failed.store(true, Ordering::Release);
            if is_full(&error) {
                StoreError::Full("the disk filled up during a write; free space and restart".to_owned())
            } else {
                StoreError::failed("committing", error)
            }
        })
    }

    fn later_units(&self, record: &StreamRecord) -> Result<Vec<LaterUnit>, StoreError> {
        let from = unit_key(record.id, Position(record.checkpoint.tail));
        let until = unit_key(record.id, Position(u64::MAX));
        self.units
            .range(from..=until)
            .map(|row| {
                let (key, row) = row.into_inner().map_err(reading)?;
                decode_unit(key_position(&key)?, &row.into()).map(|(unit, _)| unit)
            })
            .collect()
    }
}

impl Store for FileStore {
    fn load(&self, visit: &mut dyn FnMut(StoredStream)) -> Result<(), StoreError> {
        for entry in self.streams.iter() {
            let row = entry.value().map_err(reading)?;
            let record: StreamRecord =
                postcard::from_bytes(&row).map_err(|error| StoreError::failed("decoding a stream record", error))?;
            // A closed checkpoint is final, and after a clean close all are.
            let is_final = self.was_clean || record.checkpoint.is_closed;
            let later = if is_final { Vec::new() } else { self.later_units(&record)? };
            visit(StoredStream { record, later });
        }
        Ok(())
    }

    fn commit(&self, mutations: &mut [Mutation]) -> Result<(), StoreError> {
        if self.is_failed.load(Ordering::Acquire) {
            return Err(StoreError::Full("an earlier write failed; restart the server".to_owned()));
        }
        let mut batch = self.batch(mutations.len() + 1);
        if self.is_clean.swap(false, Ordering::AcqRel) {
            batch.remove(&self.meta, CLEAN);
        }
        let mut removed = Vec::new();
        let mut bytes = 0;
        for mutation in mutations {
            match mutation {
                Mutation::Put(record) => {
                    let row = postcard::to_stdvec(record)
                        .map_err(|error| StoreError::failed("encoding a stream record", error))?;
                    bytes += size_of::<StreamId>() + row.len();
                    batch.insert(&self.streams, record.id.to_be_bytes(), row);
                }
                Mutation::Append(unit) => {
                    let (row, data_at) = encode_unit(unit);
                    unit.data = row.slice(data_at..);
                    bytes += codec::KEY_LEN + row.len();
                    batch.insert(&self.units, unit_key(unit.stream, unit.at), row);
                }
                Mutation::Remove(stream) => {
                    bytes += 2 * size_of::<StreamId>();
                    batch.remove(&self.streams, stream.to_be_bytes());
                    batch.insert(&self.purge, stream.to_be_bytes(), []);
                    removed.push(*stream);
                }
                Mutation::Kv { key, value } => {
                    bytes += key.len() + value.as_ref().map_or(0, Bytes::len);
                    match value {
                        Some(value) => batch.insert(&self.kv, key.as_slice(), value.clone()),
                        None => batch.remove(&self.kv, key.as_slice()),
                    }
                }
            }
        }
        self.finish(batch, bytes)?;
        removed.into_iter().for_each(|stream| self.purger.add(stream));
        Ok(())
    }

    fn read(
        &self,
        stream: StreamId,
        from: Position,
        until: Position,
        max_bytes: usize,
    ) -> Result<Vec<Unit>, StoreError> {
        let units = self.units.range(unit_key(stream, from)..unit_key(stream, until)).map(|row| {
            let (key, row) = row.into_inner().map_err(reading)?;
            let at = key_position(&key)?;
            decode_unit(at, &row.into()).map(|(_, data)| Unit { at, data })
        });
        super::take_fitting(units, max_bytes)
    }

    fn check_room(&self) -> Result<(), StoreError> {
        if self.is_failed.load(Ordering::Acquire) {
            return Err(StoreError::Full("an earlier write failed; restart the server".to_owned()));
        }
        // The reserve is far larger than what can be written between two looks.
        let now = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        if now < self.room_known_until_ms.load(Ordering::Relaxed) {
            return Ok(());
        }
        let free = directory::free_bytes(&self.directory)
            .map_err(|error| StoreError::failed("asking for free space", error))?;
        if free < self.options.min_free_bytes {
            return Err(StoreError::Full(format!(
                "{} has {free} bytes free, and the server keeps {} in reserve",
                self.directory.display(),
                self.options.min_free_bytes
            )));
        }
        self.room_known_until_ms.store(now + ROOM_LOOK_EVERY_MS, Ordering::Relaxed);
        Ok(())
    }

    fn kv_scan(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Bytes)>, StoreError> {
        self.kv
            .prefix(prefix)
            .map(|entry| entry.into_inner().map(|(key, value)| (key.to_vec(), value.into())).map_err(reading))
            .collect()
    }

    fn is_volatile(&self) -> bool {
        false
    }

    fn close(&self) -> Result<(), StoreError> {
        if self.is_failed.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut batch = OwnedWriteBatch::with_capacity(self.database.clone(), 1).durability(Some(PersistMode::SyncAll));
        batch.insert(&self.meta, CLEAN, []);
        self.finish(batch, CLEAN.len())
    }
}

const fn persist_mode(options: &FileOptions) -> PersistMode {
    if options.sync { PersistMode::SyncData } else { PersistMode::Buffer }
}

fn reading(error: fjall::Error) -> StoreError {
    StoreError::failed("reading", error)
}

fn is_full(error: &fjall::Error) -> bool {
    let (fjall::Error::Io(io) | fjall::Error::Storage(fjall::LsmError::Io(io))) = error else { return false };
    matches!(io.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}
