//! The engine: the rules per stream, one serialised append path, group commit,
//! live readers.
//!
//! The life of an append: the caller's task looks the stream up and validates
//! the body ([`Engine::append`]); the committer thread decides in order ([`apply`]),
//! gathers what was accepted since the last commit into one, hands it to the store,
//! publishes the new tails and wakes readers once per stream ([`committer`]); only
//! then are the callers answered. Readers see nothing that a crash could undo.

mod apply;
mod committer;
mod hot;
mod options;
mod pace;
mod reader;
mod recover;
mod stream;
pub mod types;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use durable_streams_protocol::{json_mode, offset::Position, offset::ReadFrom};
use parking_lot::{Mutex, RwLock};
use tokio::sync::oneshot;

use self::{
    committer::{Command, Committer, Queue},
    stream::{Lifecycle, Stream},
    types::{
        AppendError, AppendRequest, Appended, CreateError, CreateRequest, Created, DeleteError, LookupError, Observer,
        ReadError, StreamInfo,
    },
};
pub use self::{
    committer::{CommitStats, Stepper},
    options::{Clock, EngineOptions, SystemClock},
    reader::Reader,
};
use crate::{
    path::StreamPath,
    store::{Store, StoreError},
};

/// Keeps streams. Cheap to clone; all clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    _last: Arc<StopWhenLast>,
}

/// Ends the committer when the last handle goes away.
struct StopWhenLast(Arc<Shared>);

impl Drop for StopWhenLast {
    fn drop(&mut self) {
        self.0.queue.stop();
    }
}

/// What callers and the committer share.
pub(crate) struct Shared {
    paths: RwLock<HashMap<StreamPath, Arc<Stream>>>,
    store: Arc<dyn Store>,
    queue: Queue,
    options: EngineOptions,
    hot_bytes: Arc<hot::Budget>,
    observers: RwLock<Vec<Arc<dyn Observer>>>,
    is_stopping: AtomicBool,
    stats: CommitStats,
    committer: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Engine {
    /// Loads the store's streams and starts the committer thread.
    pub fn open(options: EngineOptions, store: Arc<dyn Store>) -> Result<Self, StoreError> {
        let (engine, committer) = Self::load(options, store)?;
        let handle = std::thread::Builder::new()
            .name("ds-commit".to_owned())
            .spawn(move || committer.run())
            .map_err(|error| StoreError::failed("starting the committer thread", error))?;
        *engine.shared.committer.lock() = Some(handle);
        Ok(engine)
    }

    /// Loads the store's streams; the caller drives the commits by [`Stepper::step`].
    pub fn open_stepped(options: EngineOptions, store: Arc<dyn Store>) -> Result<(Self, Stepper), StoreError> {
        let (engine, committer) = Self::load(options, store)?;
        Ok((engine, Stepper::new(committer)))
    }

    fn load(options: EngineOptions, store: Arc<dyn Store>) -> Result<(Self, Committer), StoreError> {
        let hot_bytes = Arc::new(hot::Budget::new(options.hot_bytes_total));
        let recovered = recover::load(&*store, &options, &hot_bytes)?;
        let shared = Arc::new(Shared {
            paths: RwLock::new(recovered.paths),
            store,
            queue: Queue::default(),
            options,
            hot_bytes,
            observers: RwLock::default(),
            is_stopping: AtomicBool::new(false),
            stats: CommitStats::default(),
            committer: Mutex::new(None),
        });
        let committer = Committer::new(Arc::clone(&shared), recovered.next_id, recovered.expiring);
        let last = Arc::new(StopWhenLast(Arc::clone(&shared)));
        Ok((Self { shared, _last: last }, committer))
    }

    /// Creates a stream, or confirms one with the same settings (protocol.md §5).
    pub async fn create(&self, path: StreamPath, request: CreateRequest) -> Result<Created, CreateError> {
        self.ask(|reply| Command::Create { path, request: Box::new(request), reply }).await?
    }

    /// Appends a unit, closes the stream, or both (protocol.md §6, §7).
    pub async fn append(&self, path: &StreamPath, mut request: AppendRequest) -> Result<Appended, AppendError> {
        let stream = self.find(path)?;
        let body = std::mem::take(&mut request.body);
        // Splitting is CPU work, so it is done here and not on the committer; whether its
        // result matters is decided there, in the order of protocol.md §6.
        let unit = if body.is_empty() {
            None
        } else if stream.is_json() {
            Some(json_mode::split(body).map(|batch| batch.stored))
        } else {
            Some(Ok(body))
        };
        self.ask(|reply| Command::Append { stream, request: Box::new(request), unit, reply }).await?
    }

    /// Deletes a stream (protocol.md §8).
    pub async fn delete(&self, path: &StreamPath) -> Result<(), DeleteError> {
        self.ask(|reply| Command::Delete { path: path.clone(), reply }).await?
    }

    /// Shows a stream without touching it (protocol.md §9).
    pub fn head(&self, path: &StreamPath) -> Result<StreamInfo, LookupError> {
        self.find(path).map(|stream| stream.info())
    }

    /// Opens a reader and touches the stream (protocol.md §22). A live reader keeps a
    /// stream with a TTL alive until it is dropped.
    pub fn reader(&self, path: &StreamPath, from: ReadFrom, live: bool) -> Result<Reader, ReadError> {
        let stream = self.find(path)?;
        stream.touch(self.now());
        Ok(Reader::new(Arc::clone(&self.shared), stream, from, live))
    }

    /// Number of streams, soft-deleted ones included.
    pub fn stream_count(&self) -> usize {
        self.shared.paths.read().len()
    }

    /// Readable streams with their tails.
    pub fn paths(&self) -> Vec<(StreamPath, Position)> {
        let now = self.now();
        self.shared
            .paths
            .read()
            .values()
            .filter(|stream| stream.lifecycle(now) == Lifecycle::Live)
            .map(|stream| (stream.path().clone(), stream.tail()))
            .collect()
    }

    /// Has every later event told to one more observer.
    pub fn add_observer(&self, observer: Arc<dyn Observer>) {
        self.shared.observers.write().push(observer);
    }

    /// Writes entries of the key-value area, all or none; resolves when they are durable.
    pub async fn kv_put(&self, entries: Vec<(Vec<u8>, Option<Bytes>)>) -> Result<(), StoreError> {
        self.ask(|reply| Command::Kv { entries, reply }).await?
    }

    /// Entries of the key-value area whose key starts with `prefix`, by key.
    pub fn kv_scan(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Bytes)>, StoreError> {
        self.shared.store.kv_scan(prefix)
    }

    /// Counts of the commit path.
    pub fn stats(&self) -> &CommitStats {
        &self.shared.stats
    }

    /// Time by the engine's clock. Units: Unix milliseconds.
    pub fn now(&self) -> u64 {
        self.shared.options.clock.unix_ms()
    }

    /// Wakes live readers with [`types::Change::ShuttingDown`]; writes go on.
    pub fn shut_down(&self) {
        self.shared.is_stopping.store(true, Ordering::Release);
        for stream in self.shared.paths.read().values() {
            stream.wake();
        }
    }

    /// Carries out what is queued, checkpoints all streams and closes the store.
    pub async fn close(&self) {
        self.shut_down();
        self.shared.queue.stop();
        let handle = self.shared.committer.lock().take();
        if let Some(handle) = handle {
            let joined = tokio::task::spawn_blocking(move || handle.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the committer thread did not end cleanly");
            }
        }
    }

    fn find(&self, path: &StreamPath) -> Result<Arc<Stream>, LookupError> {
        let stream = self.shared.paths.read().get(path).cloned().ok_or(LookupError::NotFound)?;
        match stream.lifecycle(self.now()) {
            Lifecycle::Live => Ok(stream),
            Lifecycle::SoftDeleted => Err(LookupError::Gone),
            // protocol.md §21.5: an expired stream that forks read through is gone, not missing.
            Lifecycle::Expired if stream.reference_count() > 0 => Err(LookupError::Gone),
            Lifecycle::Expired | Lifecycle::Removed => Err(LookupError::NotFound),
        }
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let stopped = || StoreError::Failed("the server is stopping".to_owned());
        if !self.shared.queue.push(command(reply)) {
            return Err(stopped());
        }
        answer.await.map_err(|_| stopped())
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("stream_count", &self.stream_count()).finish_non_exhaustive()
    }
}

/// How long the committer sleeps between looks at expiring streams.
const SWEEP_EVERY: Duration = Duration::from_millis(500);
