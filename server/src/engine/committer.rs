//! The committer: one thread that decides in order and commits in groups.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use durable_streams_protocol::{json_mode::JsonError, offset::Position};
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::{
    SWEEP_EVERY, Shared,
    apply::Transaction,
    pace::Pace,
    stream::{Decided, Gone, Stream},
    types::{AppendError, AppendRequest, Appended, CreateError, CreateRequest, Created, DeleteError, StreamEvent},
};
use crate::{
    path::StreamPath,
    store::{Mutation, StoreError, StreamId},
};

/// A request to the committer.
pub(super) enum Command {
    Create {
        path: StreamPath,
        request: Box<CreateRequest>,
        reply: oneshot::Sender<Result<Created, CreateError>>,
    },
    Append {
        stream: Arc<Stream>,
        request: Box<AppendRequest>,
        /// The body in stored form; `None` = close-only.
        unit: Option<Result<Bytes, JsonError>>,
        reply: oneshot::Sender<Result<Appended, AppendError>>,
    },
    Delete {
        path: StreamPath,
        reply: oneshot::Sender<Result<(), DeleteError>>,
    },
    Kv {
        entries: Vec<(Vec<u8>, Option<Bytes>)>,
        reply: oneshot::Sender<Result<(), StoreError>>,
    },
}

/// An answer that waits for the commit.
pub(super) enum Answer {
    Create(oneshot::Sender<Result<Created, CreateError>>, Result<Created, CreateError>),
    Append(oneshot::Sender<Result<Appended, AppendError>>, Result<Appended, AppendError>),
    Delete(oneshot::Sender<Result<(), DeleteError>>, Result<(), DeleteError>),
    Kv(oneshot::Sender<Result<(), StoreError>>),
}

/// What becomes visible after the commit.
pub(super) enum Effect {
    Created(Arc<Stream>),
    Gone(Arc<Stream>, Gone),
}

/// Requests on their way to the committer.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<QueueState>,
    filled: Condvar,
}

#[derive(Default)]
struct QueueState {
    commands: Vec<Command>,
    is_stopped: bool,
    /// The committer sleeps until so many requests wait; 0 = it is awake.
    wake_len: usize,
}

impl Queue {
    /// Adds a request; `false` when the committer has stopped taking them.
    pub(super) fn push(&self, command: Command) -> bool {
        let mut state = self.state.lock();
        if state.is_stopped {
            return false;
        }
        state.commands.push(command);
        let must_wake = state.wake_len > 0 && state.commands.len() >= state.wake_len;
        if must_wake {
            state.wake_len = 0;
        }
        drop(state);
        if must_wake {
            self.filled.notify_one();
        }
        true
    }

    /// Lets the committer finish what is queued and end.
    pub(super) fn stop(&self) {
        self.state.lock().is_stopped = true;
        self.filled.notify_one();
    }

    /// Takes all requests into `commands`, waiting until `deadline`; `false` at the end.
    /// With `gather`, waits a little more until the group has that size.
    fn take(&self, commands: &mut Vec<Command>, deadline: Instant, gather: Option<(usize, Duration)>) -> bool {
        let mut state = self.state.lock();
        while state.commands.is_empty() && !state.is_stopped {
            state.wake_len = 1;
            if self.filled.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        if let Some((size, wait)) = gather.filter(|(size, _)| (1..*size).contains(&state.commands.len())) {
            let deadline = Instant::now() + wait;
            while state.commands.len() < size && !state.is_stopped {
                state.wake_len = size;
                if self.filled.wait_until(&mut state, deadline).timed_out() {
                    break;
                }
            }
        }
        state.wake_len = 0;
        std::mem::swap(&mut state.commands, commands);
        !(state.is_stopped && commands.is_empty())
    }
}

impl Queue {
    fn take_now(&self, commands: &mut Vec<Command>) {
        std::mem::swap(&mut self.state.lock().commands, commands);
    }
}

/// Counts of the commit path, for metrics.
#[derive(Debug, Default)]
pub struct CommitStats {
    commits: AtomicU64,
    operations: AtomicU64,
    appended_bytes: AtomicU64,
    commit_nanos: AtomicU64,
}

impl CommitStats {
    /// Commits so far.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Operations in them.
    pub fn operations(&self) -> u64 {
        self.operations.load(Ordering::Relaxed)
    }

    /// Stored bytes in them.
    pub fn appended_bytes(&self) -> u64 {
        self.appended_bytes.load(Ordering::Relaxed)
    }

    /// Time spent committing. Units: nanoseconds.
    pub fn commit_nanos(&self) -> u64 {
        self.commit_nanos.load(Ordering::Relaxed)
    }
}

/// A group is committed when it reaches this many bytes, so that no caller waits for
/// an unbounded write. Units: bytes.
const MAX_GROUP_BYTES: usize = 16 << 20;
/// A checkpoint is written after this many units of a stream, which bounds recovery.
const CHECKPOINT_UNITS: u32 = 1024;

/// The committer thread's state.
pub(super) struct Committer {
    pub(super) shared: Arc<Shared>,
    pub(super) next_id: StreamId,
    /// Streams with an expiry.
    pub(super) expiring: HashMap<StreamId, Arc<Stream>>,
    pub(super) transaction: Transaction,
    pace: Pace,
    is_failed: bool,
}

impl Committer {
    pub(super) fn new(shared: Arc<Shared>, next_id: StreamId, expiring: HashMap<StreamId, Arc<Stream>>) -> Self {
        Self { shared, next_id, expiring, transaction: Transaction::default(), pace: Pace::default(), is_failed: false }
    }

    /// Runs until the queue is stopped and empty, then closes the store.
    pub(super) fn run(mut self) {
        let mut commands = Vec::new();
        let mut next_sweep = Instant::now() + SWEEP_EVERY;
        while self.shared.queue.take(&mut commands, next_sweep, self.pace.gather()) {
            self.carry_out_all(&mut commands);
            if Instant::now() >= next_sweep {
                self.sweep();
                next_sweep = Instant::now() + SWEEP_EVERY;
            }
        }
        self.finish();
    }

    fn carry_out_all(&mut self, commands: &mut Vec<Command>) {
        for command in commands.drain(..) {
            self.carry_out(command);
            if self.transaction.bytes >= MAX_GROUP_BYTES {
                self.commit();
            }
        }
        self.commit();
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Create { path, request, reply } => {
                let result = self.create(path, *request);
                self.transaction.answers.push(Answer::Create(reply, result));
            }
            Command::Append { stream, request, unit, reply } => {
                let result = self.append(&stream, *request, unit);
                self.transaction.answers.push(Answer::Append(reply, result));
            }
            Command::Delete { path, reply } => {
                let result = self.delete(&path);
                self.transaction.answers.push(Answer::Delete(reply, result));
            }
            Command::Kv { entries, reply } => {
                let mutations = entries.into_iter().map(|(key, value)| Mutation::Kv { key, value });
                self.transaction.mutations.extend(mutations);
                self.transaction.answers.push(Answer::Kv(reply));
            }
        }
    }

    /// Commits the transaction, publishes it and answers; nothing happens before the
    /// store says it is durable.
    pub(super) fn commit(&mut self) {
        let mut transaction = std::mem::take(&mut self.transaction);
        if !transaction.mutations.is_empty() {
            let started = Instant::now();
            let outcome = self.shared.store.commit(&mut transaction.mutations);
            let stats = &self.shared.stats;
            stats.commits.fetch_add(1, Ordering::Relaxed);
            stats.operations.fetch_add(transaction.answers.len() as u64, Ordering::Relaxed);
            stats.appended_bytes.fetch_add(transaction.bytes as u64, Ordering::Relaxed);
            let took = started.elapsed();
            self.pace.record(transaction.answers.len(), took);
            let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
            stats.commit_nanos.fetch_add(nanos, Ordering::Relaxed);
            if let Err(error) = outcome {
                self.fail(transaction, &error);
                return;
            }
            self.publish(&mut transaction);
        }
        for answer in transaction.answers.drain(..) {
            send(answer);
        }
        self.transaction = transaction.recycled();
    }

    fn publish(&mut self, transaction: &mut Transaction) {
        let is_observed = !self.shared.observers.read().is_empty();
        let mut events = Vec::new();
        for effect in transaction.effects.drain(..) {
            match effect {
                Effect::Created(stream) => {
                    if is_observed {
                        events.push(StreamEvent::Created { path: stream.path().clone() });
                    }
                    self.shared.paths.write().insert(stream.path().clone(), stream);
                }
                Effect::Gone(stream, gone) => {
                    stream.publish_gone(gone);
                    let mut paths = self.shared.paths.write();
                    if gone == Gone::Removed && paths.get(stream.path()).is_some_and(|held| held.id() == stream.id()) {
                        paths.remove(stream.path());
                    }
                    drop(paths);
                    if is_observed {
                        events.push(StreamEvent::Deleted { path: stream.path().clone() });
                    }
                }
            }
        }
        let hot_limit = if self.shared.store.is_volatile() { 0 } else { self.shared.options.hot_bytes_per_stream };
        let mut changed = transaction.changed.iter();
        for mutation in transaction.mutations.drain(..) {
            let Mutation::Append(unit) = mutation else { continue };
            let Some(stream) = changed.next() else { break };
            if unit.data.is_empty() {
                continue;
            }
            if is_observed {
                let tail = Position(unit.at.0 + unit.data.len() as u64);
                events.push(StreamEvent::Appended { path: stream.path().clone(), previous: unit.at, tail });
            }
            stream.publish_unit(unit.at, unit.data, hot_limit);
        }
        for stream in transaction.changed.drain(..) {
            let mut decided = stream.decided.lock();
            if std::mem::take(&mut decided.is_in_commit) {
                stream.publish_state(decided.is_closed);
            }
        }
        if !events.is_empty() {
            for observer in &*self.shared.observers.read() {
                observer.observe(&events);
            }
        }
    }

    /// The store refused or failed. What was decided since is not true, so nothing is
    /// decided any more; readers keep what is durable.
    fn fail(&mut self, mut transaction: Transaction, error: &StoreError) {
        let was_failed = std::mem::replace(&mut self.is_failed, true);
        for answer in transaction.answers.drain(..) {
            send(answer.failed(error));
        }
        if !was_failed && !matches!(error, StoreError::Full(_)) {
            (self.shared.options.on_fatal)(&error.to_string());
        }
    }

    /// The error to answer writes with once the store failed.
    pub(super) fn refusal(&self) -> Result<(), StoreError> {
        if self.is_failed {
            return Err(StoreError::Full("an earlier write failed; restart the server".to_owned()));
        }
        self.shared.store.check_room()
    }

    /// Ends expired streams and checkpoints touches, all in one commit.
    fn sweep(&mut self) {
        if self.is_failed {
            return;
        }
        if self.shared.hot_bytes.is_exceeded() {
            for stream in self.shared.paths.read().values() {
                stream.cool();
            }
        }
        let now = self.shared.options.clock.unix_ms();
        let expired: Vec<_> = self.expiring.values().filter(|stream| stream.is_expired(now)).cloned().collect();
        for stream in expired {
            self.remove(&stream);
        }
        let touched: Vec<_> = self.expiring.values().filter(|stream| needs_touch_checkpoint(stream)).cloned().collect();
        for stream in touched {
            self.checkpoint(&stream);
        }
        self.commit();
    }

    /// Puts a checkpoint of a stream into the transaction.
    pub(super) fn checkpoint(&mut self, stream: &Arc<Stream>) {
        let mut decided = stream.decided.lock();
        decided.since_checkpoint = 0;
        decided.checkpoint_touched_unix_ms = stream.touched();
        self.transaction.mutations.push(Mutation::Put(Box::new(stream.record(&decided))));
    }

    /// Whether the units since the last checkpoint are enough for a new one.
    pub(super) fn wants_checkpoint(&self, decided: &Decided) -> bool {
        decided.since_checkpoint >= CHECKPOINT_UNITS && !self.shared.store.is_volatile()
    }

    fn finish(&mut self) {
        if !self.is_failed && !self.shared.store.is_volatile() {
            let streams: Vec<_> = self.shared.paths.read().values().cloned().collect();
            for stream in streams {
                let must_write = stream.decided.lock().since_checkpoint > 0 || needs_touch_checkpoint(&stream);
                if must_write {
                    self.checkpoint(&stream);
                }
                if self.transaction.mutations.len() >= 4096 {
                    self.commit();
                }
            }
            self.commit();
        }
        if let Err(error) = self.shared.store.close() {
            tracing::error!(%error, "the store did not close cleanly; the next start recovers");
        }
    }
}

/// The committer without its thread: its owner says when it works. For hosts with
/// their own loop and for simulation, where every step must be repeatable.
pub struct Stepper {
    committer: Committer,
    commands: Vec<Command>,
    next_sweep_unix_ms: u64,
}

impl Stepper {
    pub(super) const fn new(committer: Committer) -> Self {
        Self { committer, commands: Vec::new(), next_sweep_unix_ms: 0 }
    }

    /// Carries out everything queued so far in one commit, and looks at expiring streams
    /// when it is time by the engine's clock. Returns how many requests there were.
    pub fn step(&mut self) -> usize {
        self.committer.shared.queue.take_now(&mut self.commands);
        let count = self.commands.len();
        self.committer.carry_out_all(&mut self.commands);
        let now = self.committer.shared.options.clock.unix_ms();
        if now >= self.next_sweep_unix_ms {
            self.committer.sweep();
            self.next_sweep_unix_ms = now + u64::try_from(SWEEP_EVERY.as_millis()).unwrap_or(u64::MAX);
        }
        count
    }

    /// Checkpoints all streams and closes the store.
    pub fn finish(mut self) {
        self.step();
        self.committer.finish();
    }
}

/// A touch is worth a checkpoint once it moved by a quarter of the window, at least a
/// second and at most a minute.
fn needs_touch_checkpoint(stream: &Stream) -> bool {
    use durable_streams_protocol::expiry::Expiry;
    let Some(Expiry::Ttl(seconds)) = stream.expiry() else { return false };
    let step = (seconds.saturating_mul(1000) / 4).clamp(1000, 60_000);
    stream.touched() >= stream.decided.lock().checkpoint_touched_unix_ms.saturating_add(step)
}

fn send(answer: Answer) {
    // A caller that went away needs no answer; its request stands all the same.
    match answer {
        Answer::Create(reply, result) => drop(reply.send(result)),
        Answer::Append(reply, result) => drop(reply.send(result)),
        Answer::Delete(reply, result) => drop(reply.send(result)),
        Answer::Kv(reply) => drop(reply.send(Ok(()))),
    }
}

impl Answer {
    fn failed(self, error: &StoreError) -> Self {
        match self {
            Self::Create(reply, _) => Self::Create(reply, Err(error.clone().into())),
            Self::Append(reply, _) => Self::Append(reply, Err(error.clone().into())),
            Self::Delete(reply, _) => Self::Delete(reply, Err(error.clone().into())),
            Self::Kv(reply) => {
                drop(reply.send(Err(error.clone())));
                let (unused, _) = oneshot::channel();
                Self::Kv(unused)
            }
        }
    }
}
