//! What went over the wire, as the client under test sent and saw it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use tokio::sync::watch;

/// How long a rule waits for other answers: a client that never sends what is waited for must
/// fail its test, not hang it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most bytes kept of one answer's body.
const MAX_KEPT_BODY: usize = 256 * 1024;

/// Who sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The client under test.
    Client,
    /// The runner.
    Runner,
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The whole answer was sent.
    Complete,
    /// The client went away before that.
    Abandoned,
    /// The wire cut it, as told.
    Cut,
    /// The server cut it.
    ServerGone,
}

/// One request and its answer.
#[derive(Debug, Clone)]
pub struct Exchange {
    id: u64,
    /// When the request had arrived.
    pub at: Instant,
    /// Who sent it.
    pub by: By,
    /// Its method.
    pub method: String,
    /// Its path below the server's URL.
    pub path: String,
    /// Its query as sent.
    pub query: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// The answer's status and headers.
    pub reply: Option<(u16, HeaderMap)>,
    /// The answer's body as far as it was kept.
    pub reply_body: Vec<u8>,
    /// When and how it ended.
    pub end: Option<(Instant, End)>,
}

impl Exchange {
    /// The query's names with decoded values, in the order sent.
    pub fn params(&self) -> Vec<(String, String)> {
        params(&self.query)
    }
}

/// A query's names with decoded values, in their order.
pub fn params(query: &str) -> Vec<(String, String)> {
    let decode =
        |text: &str| percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect()
}

/// Keeps the exchanges of one test.
#[derive(Debug, Default, Clone)]
pub struct Record(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    kept: Mutex<Kept>,
    /// Told of every change; whoever waits subscribes before looking, so that none is missed.
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Kept {
    next_id: u64,
    exchanges: Vec<Exchange>,
}

/// A new request.
pub struct Asked<'a> {
    /// Who sent it.
    pub by: By,
    /// Its method.
    pub method: &'a str,
    /// Its path below the server's URL.
    pub path: &'a str,
    /// Its query.
    pub query: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body.
    pub body: &'a Bytes,
}

impl Record {
    /// Notes a request and returns its number.
    pub fn asked(&self, asked: &Asked<'_>) -> u64 {
        let mut kept = self.0.kept.lock();
        let id = kept.next_id;
        kept.next_id += 1;
        kept.exchanges.push(Exchange {
            id,
            at: Instant::now(),
            by: asked.by,
            method: asked.method.to_owned(),
            path: asked.path.to_owned(),
            query: asked.query.to_owned(),
            headers: asked.headers.clone(),
            body: asked.body.clone(),
            reply: None,
            reply_body: Vec::new(),
            end: None,
        });
        drop(kept);
        self.0.changed.send_replace(());
        id
    }

    /// Notes the head of an answer.
    pub fn answered(&self, id: u64, status: u16, headers: &HeaderMap) {
        self.change(id, |exchange| exchange.reply = Some((status, headers.clone())));
    }

    /// Notes a piece of an answer's body.
    pub fn piece(&self, id: u64, piece: &[u8]) {
        self.change(id, |exchange| {
            let room = MAX_KEPT_BODY.saturating_sub(exchange.reply_body.len());
            exchange.reply_body.extend_from_slice(&piece[..piece.len().min(room)]);
        });
    }

    /// Notes the end of an exchange; the first end counts.
    pub fn ended(&self, id: u64, end: End) {
        self.change(id, |exchange| {
            exchange.end.get_or_insert((Instant::now(), end));
        });
    }

    /// All exchanges since the last [`Record::clear`].
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.0.kept.lock().exchanges.clone()
    }

    /// How many requests came so far; a mark for later.
    pub fn len(&self) -> usize {
        self.0.kept.lock().exchanges.len()
    }

    /// Whether none came.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.0.kept.lock().exchanges.clear();
    }

    /// Hears of every change from now on.
    pub fn changes(&self) -> Changes {
        Changes(self.0.changed.subscribe())
    }

    /// Resolves when so many requests of the client to a path have been answered, the first
    /// `since` requests not counted, or when that takes too long.
    pub async fn until_answered(&self, path: &str, since: usize, count: u64) {
        let deadline = Instant::now() + PATIENCE;
        let mut changes = self.changes();
        while self.answered_to(path, since) < count && Instant::now() < deadline {
            changes.next_before(deadline).await;
        }
    }

    fn answered_to(&self, path: &str, since: usize) -> u64 {
        let kept = self.0.kept.lock();
        let answered = kept
            .exchanges
            .iter()
            .skip(since)
            .filter(|exchange| exchange.by == By::Client && exchange.path == path && exchange.reply.is_some());
        answered.count() as u64
    }

    fn change(&self, id: u64, change: impl FnOnce(&mut Exchange)) {
        if let Some(exchange) = self.0.kept.lock().exchanges.iter_mut().rev().find(|exchange| exchange.id == id) {
            change(exchange);
        }
        self.0.changed.send_replace(());
    }
}

/// Changes of a record since the last look.
#[derive(Debug)]
pub struct Changes(watch::Receiver<()>);

impl Changes {
    /// Resolves at the next change, or at the deadline.
    pub async fn next_before(&mut self, deadline: Instant) {
        let _ = tokio::time::timeout_at(deadline.into(), self.0.changed()).await;
    }
}

/// Notes that the client went away unless told otherwise before it is dropped.
#[derive(Debug)]
pub struct Ending {
    record: Record,
    id: u64,
    end: End,
}

impl Ending {
    /// Watches one exchange.
    pub const fn new(record: Record, id: u64) -> Self {
        Self { record, id, end: End::Abandoned }
    }

    /// Says how it ended.
    pub const fn set(&mut self, end: End) {
        self.end = end;
    }

    /// Notes a piece of the answer.
    pub fn piece(&self, piece: &[u8]) {
        self.record.piece(self.id, piece);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.record.ended(self.id, self.end);
    }
}
