//! What came to a listener, and what became of it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::rule::Match;

/// Everything that came to one listener, in order. Clones share it.
#[derive(Debug, Clone)]
pub struct Record {
    all: Arc<Mutex<Vec<Exchange>>>,
    changes: watch::Sender<u64>,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// When its head was there.
    pub at: Instant,
    /// Method.
    pub method: String,
    /// Path.
    pub path: String,
    /// Query, without the question mark.
    pub query: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Raw body, as far as it came.
    pub body: Bytes,
    /// The fault that met it.
    pub fault: Option<&'static str>,
    /// Status the client was told, and when it had been told.
    pub answered: Option<(u16, Instant)>,
    /// `Retry-After` of that answer.
    pub wait: Option<Duration>,
    /// How it ended.
    pub end: Option<&'static str>,
}

impl Default for Record {
    fn default() -> Self {
        Self { all: Arc::default(), changes: watch::Sender::new(0) }
    }
}

impl Record {
    /// All requests so far.
    pub fn all(&self) -> Vec<Exchange> {
        self.all.lock().clone()
    }

    /// How many requests of this kind came.
    pub fn count(&self, of: &Match) -> u64 {
        self.all.lock().iter().filter(|exchange| exchange.is(of)).count() as u64
    }

    /// Waits until something holds; `false` when it did not in time.
    pub async fn until(&self, within: Duration, holds: impl Fn(&[Exchange]) -> bool + Send) -> bool {
        let mut changes = self.changes.subscribe();
        let waiting = async {
            loop {
                changes.borrow_and_update();
                if holds(&self.all.lock()) {
                    return;
                }
                // The sender lives as long as `self`.
                let _ = changes.changed().await;
            }
        };
        tokio::time::timeout(within, waiting).await.is_ok()
    }

    pub(super) fn asked(&self, exchange: Exchange) -> usize {
        let mut all = self.all.lock();
        all.push(exchange);
        let id = all.len() - 1;
        drop(all);
        self.changed();
        id
    }

    /// Whether a request came before, too.
    pub(super) fn is_repeated(&self, id: usize) -> bool {
        let all = self.all.lock();
        all.get(id).is_some_and(|exchange| all[..id].iter().any(|earlier| earlier.is_repeated_by(exchange)))
    }

    pub(super) fn update(&self, id: usize, change: impl FnOnce(&mut Exchange)) {
        if let Some(exchange) = self.all.lock().get_mut(id) {
            change(exchange);
        }
        self.changed();
    }

    fn changed(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }
}

impl Exchange {
    /// Whether it is of this kind.
    pub fn is(&self, kind: &Match) -> bool {
        kind.is_met(&self.method, &self.path, &self.query, &self.headers)
    }

    /// Whether another request repeats this one.
    pub fn is_repeated_by(&self, other: &Self) -> bool {
        self.method == other.method && self.path == other.path && self.query == other.query && self.body == other.body
    }
}
