//! What the client needs from its surroundings besides HTTP: time, waiting, background
//! tasks and entropy. A simulation replaces all of it at once.

use std::{
    collections::hash_map::RandomState,
    fmt,
    hash::{BuildHasher, Hasher},
    time::{Duration, SystemTime},
};

pub use durable_streams_protocol::Time;
use tokio::{runtime::Handle, time::Instant};

use crate::transport::BoxFuture;

/// The client's surroundings.
pub trait Host: Send + Sync + 'static {
    /// Monotonic time since an origin the host chose once.
    fn now(&self) -> Time;

    /// The time of day, for `Retry-After` dates.
    fn wall_clock(&self) -> SystemTime;

    /// A future that resolves after the span; dropping it cancels the wait.
    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()>;

    /// Runs a task in the background until it ends by itself.
    /// Errors: [`NoRuntime`] when there is nothing to run it on; the task is dropped.
    fn spawn(&self, task: BoxFuture<'static, ()>) -> Result<(), NoRuntime>;

    /// Any uniformly distributed value; need not be secret.
    fn entropy(&self) -> u64;
}

/// There is no runtime to run background tasks on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("background tasks need a Tokio runtime: call this from within one")]
pub struct NoRuntime;

/// The host of ordinary programs: Tokio's clock, timers and tasks.
pub struct TokioHost {
    origin: Instant,
    /// The runtime in which the host was made, for tasks started from outside of any.
    runtime: Option<Handle>,
}

impl TokioHost {
    /// A host on the current runtime, if there is one; otherwise on the one that each
    /// call finds.
    pub fn new() -> Self {
        Self { origin: Instant::now(), runtime: Handle::try_current().ok() }
    }
}

impl Host for TokioHost {
    fn now(&self) -> Time {
        self.origin.elapsed()
    }

    fn wall_clock(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(span))
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> Result<(), NoRuntime> {
        let runtime = Handle::try_current().ok().or_else(|| self.runtime.clone()).ok_or(NoRuntime)?;
        runtime.spawn(task);
        Ok(())
    }

    fn entropy(&self) -> u64 {
        // Every `RandomState` has its own keys; hashing nothing exposes 64 bits of them.
        RandomState::new().build_hasher().finish()
    }
}

impl Default for TokioHost {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TokioHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokioHost")
    }
}
