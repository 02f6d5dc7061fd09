//! Counters and gauges of a server, in Prometheus text form.

use std::sync::{
    OnceLock,
    atomic::{AtomicI64, AtomicU64},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

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
    commit_groups: Histogram,
    commit_seconds: Histogram,
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
            commit_groups: Histogram::new([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0]),
            commit_seconds: Histogram::new([
                0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0,
            ]),
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

    /// Records one commit of the storage.
    /// Units: appends and creates in the group; seconds from first request to durable.
    pub(crate) fn observe_commit(&self, group_size: usize, seconds: f64) {
        #[allow(clippy::cast_precision_loss, reason = "group sizes are far below 2^52")]
        self.commit_groups.observe(group_size as f64);
        self.commit_seconds.observe(seconds);
    }

    /// All values in Prometheus text form. `stream_count` is read by the caller at this moment.
    pub(crate) fn to_text(&self, stream_count: u64) -> String {
        self.streams.set(stream_count);
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
        registry.register("commit_group_size", "Requests made durable by one commit", self.commit_groups.clone());
        registry.register_with_unit(
            "commit_duration",
            "Time of one commit",
            Unit::Seconds,
            self.commit_seconds.clone(),
        );
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
    use super::*;

    #[test]
    fn every_operation_and_status_is_counted_under_its_own_labels() {
        let metrics = Metrics::default();
        metrics.count_request(Operation::Append, 204);
        metrics.count_request(Operation::Append, 204);
        metrics.count_request(Operation::Other, 404);
        metrics.count_request(Operation::Other, 499);
        let guard = metrics.live_reader();
        let text = metrics.to_text(7);
        for line in [
            "durable_streams_requests_total{operation=\"Append\",status=\"204\"} 2",
            "durable_streams_requests_total{operation=\"Other\",status=\"404\"} 1",
            "durable_streams_requests_total{operation=\"Other\",status=\"0\"} 1",
            "durable_streams_live_readers 1",
            "durable_streams_streams 7",
        ] {
            assert!(text.lines().any(|candidate| candidate == line), "{line} in {text}");
        }
        drop(guard);
        assert!(metrics.to_text(7).contains("durable_streams_live_readers 0"));
    }
}
