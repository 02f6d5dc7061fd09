//! What was sent and what arrived, shared by all tasks.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use durable_streams::LiveMode;
use parking_lot::Mutex;
use tokio::sync::watch;

/// Counts of one run.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// Messages handed to the producer of each stream.
    sent: Vec<AtomicU64>,
    /// Messages each reader has, all of them in order.
    delivered: Vec<AtomicU64>,
    /// Readers whose first request is on its way.
    pub(crate) connected: AtomicUsize,
    /// Live answers that ended and were asked for again.
    pub(crate) reconnects: AtomicU64,
    /// Nothing more is written.
    pub(crate) is_written: AtomicBool,
    /// No reader asks again.
    draining: watch::Sender<bool>,
    failures: Mutex<Vec<String>>,
}

impl Ledger {
    pub(crate) fn new(streams: usize, readers: usize) -> Self {
        let zeros = |count| (0..count).map(|_| AtomicU64::new(0)).collect();
        Self {
            sent: zeros(streams),
            delivered: zeros(readers),
            connected: AtomicUsize::new(0),
            reconnects: AtomicU64::new(0),
            is_written: AtomicBool::new(false),
            draining: watch::Sender::new(false),
            failures: Mutex::default(),
        }
    }

    /// The stream a reader follows.
    pub(crate) fn stream_of(&self, reader: usize) -> usize {
        reader % self.sent.len()
    }

    /// Seven in ten readers use server-sent events; every stream with a few has both kinds.
    pub(crate) fn mode_of(&self, reader: usize) -> LiveMode {
        let turn = reader / self.sent.len() + reader % self.sent.len();
        if turn % 10 < 7 { LiveMode::Sse } else { LiveMode::LongPoll }
    }

    /// The number of the stream's next message.
    pub(crate) fn next_number(&self, stream: usize) -> u64 {
        self.sent[stream].fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn set_delivered(&self, reader: usize, count: u64) {
        self.delivered[reader].store(count, Ordering::Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    pub(crate) fn begin_drain(&self) {
        self.draining.send_replace(true);
    }

    /// Waits until no reader asks again.
    pub(crate) async fn draining(&self) {
        // The sender lives as long as this ledger, so waiting cannot fail.
        let _ = self.draining.subscribe().wait_for(|is_draining| *is_draining).await;
    }

    pub(crate) fn is_written(&self) -> bool {
        self.is_written.load(Ordering::Acquire)
    }

    pub(crate) fn sent_in_all(&self) -> u64 {
        self.sent.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    pub(crate) fn delivered_in_all(&self) -> u64 {
        self.delivered.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Readers that do not have everything sent to their stream, and how much they lack.
    pub(crate) fn behind(&self) -> (usize, u64) {
        let lacks = self.delivered.iter().enumerate().map(|(reader, delivered)| {
            let sent = self.sent[self.stream_of(reader)].load(Ordering::Relaxed);
            sent.saturating_sub(delivered.load(Ordering::Relaxed))
        });
        lacks.filter(|lack| *lack > 0).fold((0, 0), |(readers, sum), lack| (readers + 1, sum + lack))
    }

    pub(crate) fn fail(&self, failure: String) {
        self.failures.lock().push(failure);
    }

    pub(crate) fn has_failed(&self) -> bool {
        !self.failures.lock().is_empty()
    }

    pub(crate) fn failures(&self) -> Vec<String> {
        self.failures.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::Ledger;

    #[test]
    fn a_reader_that_lacks_a_message_is_behind() {
        let ledger = Ledger::new(2, 4);
        for stream in [0, 0, 1] {
            ledger.next_number(stream);
        }
        for (reader, count) in [(0, 2), (1, 1), (2, 1), (3, 1)] {
            ledger.set_delivered(reader, count);
        }
        assert_eq!(ledger.behind(), (1, 1), "reader 2 follows stream 0");
        assert_eq!((ledger.sent_in_all(), ledger.delivered_in_all()), (3, 5));
    }
}
