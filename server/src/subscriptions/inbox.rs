//! Where stream events wait for the hub: one entry per stream, however many appends it
//! sees, so that the committing thread never waits and memory stays bounded.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
};

use durable_streams_protocol::offset::Position;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    engine::types::{Observer, StreamEvent},
    path::StreamPath,
};

/// What happened to one stream since the hub looked last, coalesced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// It was deleted; what follows belongs to a new stream at the same path.
    pub(crate) removed: bool,
    /// It came to be.
    pub(crate) created: bool,
    /// Tail after the last append.
    pub(crate) tail: Option<Position>,
}

/// Collects events until the hub takes them. Inactive while there is no subscription:
/// then an event costs one load.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    is_active: AtomicBool,
    changes: Mutex<Changes>,
    arrival: Notify,
}

#[derive(Debug, Default)]
struct Changes {
    /// In the order in which the streams changed first.
    ordered: Vec<(StreamPath, Change)>,
    by_path: HashMap<StreamPath, usize>,
}

impl Inbox {
    /// Starts or stops collecting.
    pub(crate) fn set_active(&self, active: bool) {
        self.is_active.store(active, Ordering::SeqCst);
        if !active {
            *self.changes.lock() = Changes::default();
        }
    }

    /// Resolves when something has arrived since the last call.
    pub(crate) async fn arrival(&self) {
        self.arrival.notified().await;
    }

    /// Everything collected so far.
    pub(crate) fn take(&self) -> Vec<(StreamPath, Change)> {
        std::mem::take(&mut *self.changes.lock()).ordered
    }
}

impl Observer for Inbox {
    fn observe(&self, events: &[StreamEvent]) {
        if !self.is_active.load(Ordering::SeqCst) {
            return;
        }
        let mut changes = self.changes.lock();
        for event in events {
            match event {
                StreamEvent::Created { path } => changes.entry(path).created = true,
                StreamEvent::Appended { path, tail, .. } => changes.entry(path).tail = Some(*tail),
                StreamEvent::Deleted { path } => {
                    *changes.entry(path) = Change { removed: true, ..Change::default() };
                }
            }
        }
        drop(changes);
        self.arrival.notify_one();
    }
}

impl Changes {
    fn entry(&mut self, path: &StreamPath) -> &mut Change {
        let at = *self.by_path.entry(path.clone()).or_insert_with(|| {
            self.ordered.push((path.clone(), Change::default()));
            self.ordered.len() - 1
        });
        &mut self.ordered[at].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> StreamPath {
        StreamPath::parse(text).expect("a path")
    }

    fn appended(text: &str, previous: u64, tail: u64) -> StreamEvent {
        StreamEvent::Appended { path: path(text), previous: Position(previous), tail: Position(tail) }
    }

    #[test]
    fn many_appends_leave_one_entry_per_stream() {
        let inbox = Inbox::default();
        inbox.set_active(true);
        for n in 0..100 {
            inbox.observe(&[appended("/b", n, n + 1), appended("/a", n, n + 1)]);
        }
        let tail = |tail| Change { tail: Some(Position(tail)), ..Change::default() };
        assert_eq!(inbox.take(), [(path("/b"), tail(100)), (path("/a"), tail(100))]);
        assert_eq!(inbox.take(), []);
    }

    #[test]
    fn a_deletion_forgets_what_came_before_and_keeps_what_follows() {
        let inbox = Inbox::default();
        inbox.set_active(true);
        inbox.observe(&[appended("/a", 0, 9), StreamEvent::Deleted { path: path("/a") }]);
        inbox.observe(&[StreamEvent::Created { path: path("/a") }, appended("/a", 0, 3)]);
        assert_eq!(inbox.take(), [(path("/a"), Change { removed: true, created: true, tail: Some(Position(3)) })]);
    }

    #[test]
    fn an_inactive_inbox_collects_nothing() {
        let inbox = Inbox::default();
        inbox.observe(&[appended("/a", 0, 9)]);
        assert_eq!(inbox.take(), []);
    }
}
