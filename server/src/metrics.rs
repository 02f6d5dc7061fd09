//! Counters and gauges of a server, in Prometheus text form.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use crate::engine::Engine;

/// What a request asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(missing_docs, reason = "the names say it; they are label values")]
pub(crate) enum Operation {
    Create,
    Append,
    Close,
    Delete,
    Head,
    Read,
    LongPoll,
    Sse,
    Control,
    Other,
}

/// Number of operations.
const OPERATIONS: usize = 10;
/// Statuses with a counter of their own; the rest share the last slot.
const STATUSES: [u16; 20] =
    [200, 201, 204, 304, 400, 401, 403, 404, 405, 408, 409, 410, 413, 429, 500, 501, 502, 503, 507, 0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    operation: Operation,
    status: u16,
}

/// What a server counts. Cheap to update: one atomic each, no map lookup.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_counters: [[OnceLock<Counter>; STATUSES.len()]; OPERATIONS],
    appended_bytes: Counter,
    read_bytes: Counter,
    connections: Gauge<i64, AtomicI64>,
    live_readers: Gauge<i64, AtomicI64>,
    streams: Gauge<u64, AtomicU64>,
    commits: Counter,
    commit_operations: Counter,
    commit_seconds: Counter<f64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: Registry::with_prefix("durable_streams"),
            requests: Family::default(),
            request_counters: std::array::from_fn(|_| std::array::from_fn(|_| OnceLock::new())),
            appended_bytes: Counter::default(),
            read_bytes: Counter::default(),
            connections: Gauge::default(),
            live_readers: Gauge::default(),
            streams: Gauge::default(),
            commits: Counter::default(),
            commit_operations: Counter::default(),
            commit_seconds: Counter::default(),
        };
        metrics.registered()
    }
}

impl Metrics {
    /// Counts an answered request.
    pub(crate) fn count_request(&self, operation: Operation, status: u16) {
        let slot = STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len() - 1);
        self.request_counters[operation as usize][slot]
            .get_or_init(|| self.requests.get_or_create_owned(&RequestLabels { operation, status: STATUSES[slot] }))
            .inc();
    }

    /// Counts stored bytes of accepted requests.
    pub(crate) fn count_appended(&self, bytes: u64) {
        self.appended_bytes.inc_by(bytes);
    }

    /// Counts stream bytes sent to readers.
    pub(crate) fn count_read(&self, bytes: u64) {
        self.read_bytes.inc_by(bytes);
    }

    /// Counts a connection from now until the guard is dropped.
    pub(crate) fn connection(&self) -> GaugeGuard {
        GaugeGuard::new(&self.connections)
    }

    /// Counts a live reader from now until the guard is dropped.
    pub(crate) fn live_reader(&self) -> GaugeGuard {
        GaugeGuard::new(&self.live_readers)
    }

    /// All values in Prometheus text form; those of the engine are read now.
    pub(crate) fn to_text(&self, engine: &Engine) -> String {
        let stats = engine.stats();
        self.streams.set(engine.stream_count() as u64);
        self.commits.inner().store(stats.commits(), Ordering::Relaxed);
        self.commit_operations.inner().store(stats.operations(), Ordering::Relaxed);
        let seconds = Duration::from_nanos(stats.commit_nanos()).as_secs_f64();
        self.commit_seconds.inner().store(seconds.to_bits(), Ordering::Relaxed);
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register("requests", "Requests answered", self.requests.clone());
        registry.register_with_unit("appended", "Body bytes accepted", Unit::Bytes, self.appended_bytes.clone());
        registry.register_with_unit("read", "Stream bytes sent to readers", Unit::Bytes, self.read_bytes.clone());
        registry.register("connections", "Open connections", self.connections.clone());
        registry.register("live_readers", "Long-polls and SSE responses in progress", self.live_readers.clone());
        registry.register("streams", "Streams that exist", self.streams.clone());
        registry.register("commits", "Commits of the storage", self.commits.clone());
        let help = "Appends, creates and deletes made durable by them";
        registry.register("commit_operations", help, self.commit_operations.clone());
        registry.register_with_unit("commit", "Time spent in them", Unit::Seconds, self.commit_seconds.clone());
        self
    }
}

/// Lowers its gauge when dropped.
#[derive(Debug)]
pub(crate) struct GaugeGuard(Gauge<i64, AtomicI64>);

impl GaugeGuard {
    fn new(gauge: &Gauge<i64, AtomicI64>) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{engine::EngineOptions, store::memory::MemoryStore};

    #[test]
    fn every_operation_and_status_is_counted_under_its_own_labels() {
        let engine = Engine::open(EngineOptions::default(), Arc::new(MemoryStore::new())).expect("an engine");
        let metrics = Metrics::default();
        metrics.count_request(Operation::Append, 204);
        metrics.count_request(Operation::Append, 204);
        metrics.count_request(Operation::Other, 404);
        metrics.count_request(Operation::Other, 499);
        let guard = metrics.live_reader();
        let text = metrics.to_text(&engine);
        for line in [
            "durable_streams_requests_total{operation=\"Append\",status=\"204\"} 2",
            "durable_streams_requests_total{operation=\"Other\",status=\"404\"} 1",
            "durable_streams_requests_total{operation=\"Other\",status=\"0\"} 1",
            "durable_streams_live_readers 1",
            "durable_streams_streams 0",
            "durable_streams_commits_total 0",
            "durable_streams_commit_seconds_total 0.0",
        ] {
            assert!(text.lines().any(|candidate| candidate == line), "{line} in {text}");
        }
        drop(guard);
        assert!(metrics.to_text(&engine).contains("durable_streams_live_readers 0"));
    }
}
