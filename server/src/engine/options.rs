//! Settings of the engine.

use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// Settings of the engine.
#[derive(Clone)]
pub struct EngineOptions {
    /// Streams beyond this number are refused; `None` = no limit.
    pub max_streams: Option<usize>,
    /// Newest data kept in memory per stream. Units: bytes.
    pub hot_bytes_per_stream: usize,
    /// Newest data kept in memory over all streams. Units: bytes.
    pub hot_bytes_total: usize,
    /// Forget producers of a volatile store idle for this long. Units: milliseconds.
    pub producer_idle_ms: u64,
    /// What tells the time.
    pub clock: Arc<dyn Clock>,
    /// Called once when the store failed in a way that leaves its state unknown, such as
    /// a failed sync. The default ends the process, so that recovery decides.
    pub on_fatal: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            max_streams: None,
            hot_bytes_per_stream: 2 << 20,
            hot_bytes_total: 256 << 20,
            producer_idle_ms: 7 * 24 * 3600 * 1000,
            clock: Arc::new(SystemClock),
            on_fatal: Arc::new(|reason| {
                tracing::error!(reason, "the storage failed; stopping so that recovery can decide what is durable");
                std::process::abort();
            }),
        }
    }
}

impl fmt::Debug for EngineOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineOptions")
            .field("max_streams", &self.max_streams)
            .field("hot_bytes_per_stream", &self.hot_bytes_per_stream)
            .field("hot_bytes_total", &self.hot_bytes_total)
            .finish_non_exhaustive()
    }
}

/// Tells wall-clock time; tests bring their own.
pub trait Clock: Send + Sync + 'static {
    /// Now. Units: Unix milliseconds.
    fn unix_ms(&self) -> u64;
}

/// The system's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn unix_ms(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}
