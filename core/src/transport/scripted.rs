//! A transport for tests: answers in a given order, and remembers what was asked.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{BoxFuture, Reply, ReplyBody, ReplyHead, Transport, TransportFailure, TransportFailureKind};

/// Answers each request with the next scripted reply. Clones share script and record.
#[derive(Clone, Default)]
pub struct Scripted {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    script: Mutex<VecDeque<ScriptedReply>>,
    requests: Mutex<Vec<http::Request<Bytes>>>,
    arrival: Notify,
}

/// One scripted answer.
#[derive(Debug, Clone)]
pub struct ScriptedReply {
    head: ReplyHead,
    pieces: VecDeque<Piece>,
    failure: Option<TransportFailure>,
    hangs: bool,
}

#[derive(Debug, Clone)]
enum Piece {
    Data(Bytes),
    Failure(TransportFailure),
    Pause(Duration),
    Hang,
}

impl Scripted {
    /// A transport with an empty script.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an answer at the end of the script.
    #[must_use]
    pub fn reply(self, reply: ScriptedReply) -> Self {
        self.push(reply);
        self
    }

    /// Adds an answer at the end of the script, also while a client is using it.
    pub fn push(&self, reply: ScriptedReply) {
        self.shared.script.lock().push_back(reply);
    }

    /// All requests so far, in order.
    pub fn requests(&self) -> Vec<http::Request<Bytes>> {
        self.shared.requests.lock().clone()
    }

    /// How many answers are left.
    pub fn remaining(&self) -> usize {
        self.shared.script.lock().len()
    }

    /// Waits until at least so many requests have arrived.
    pub async fn arrived(&self, count: usize) {
        loop {
            let arrival = self.shared.arrival.notified();
            if self.shared.requests.lock().len() >= count {
                return;
            }
            arrival.await;
        }
    }
}

impl Transport for Scripted {
    fn send(&self, request: http::Request<Bytes>) -> BoxFuture<'_, Result<Reply, TransportFailure>> {
        let unscripted = format!("no answer is scripted for {} {}", request.method(), request.uri());
        self.shared.requests.lock().push(request);
        self.shared.arrival.notify_waiters();
        let reply = self.shared.script.lock().pop_front();
        Box::pin(async move {
            let Some(reply) = reply else {
                return Err(TransportFailure::new(TransportFailureKind::Local, unscripted));
            };
            if reply.hangs {
                std::future::pending::<()>().await;
            }
            match reply.failure {
                Some(failure) => Err(failure),
                None => Ok(Reply { head: reply.head, body: Box::new(ScriptedBody(reply.pieces)) }),
            }
        })
    }
}

impl ScriptedReply {
    /// An answer with this status, no headers and no body.
    ///
    /// # Panics
    /// When the number is no HTTP status.
    pub fn status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).expect("a test scripts a real status");
        let head = ReplyHead { status, headers: HeaderMap::new() };
        Self { head, pieces: VecDeque::new(), failure: None, hangs: false }
    }

    /// No answer: the exchange fails this way.
    pub fn failure(kind: TransportFailureKind) -> Self {
        Self { failure: Some(TransportFailure::new(kind, format!("scripted: {kind:?}"))), ..Self::status(200) }
    }

    /// No answer, ever.
    pub fn hang() -> Self {
        Self { hangs: true, ..Self::status(200) }
    }

    /// Adds a header.
    ///
    /// # Panics
    /// When name or value are no header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a test scripts a real header name");
        let value: HeaderValue = value.parse().expect("a test scripts a real header value");
        self.head.headers.append(name, value);
        self
    }

    /// Adds a piece of body.
    #[must_use]
    pub fn body(mut self, piece: impl Into<Bytes>) -> Self {
        self.pieces.push_back(Piece::Data(piece.into()));
        self
    }

    /// Breaks the body off here.
    #[must_use]
    pub fn broken(mut self) -> Self {
        let failure = TransportFailure::new(TransportFailureKind::Broken, "scripted: the body breaks off");
        self.pieces.push_back(Piece::Failure(failure));
        self
    }

    /// Lets the next piece wait this long.
    #[must_use]
    pub fn pause(mut self, span: Duration) -> Self {
        self.pieces.push_back(Piece::Pause(span));
        self
    }

    /// Keeps the body open here without another byte.
    #[must_use]
    pub fn stalled(mut self) -> Self {
        self.pieces.push_back(Piece::Hang);
        self
    }
}

struct ScriptedBody(VecDeque<Piece>);

impl ReplyBody for ScriptedBody {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportFailure>> {
        Box::pin(async move {
            while let Some(Piece::Pause(span)) = self.0.front() {
                tokio::time::sleep(*span).await;
                self.0.pop_front();
            }
            match self.0.pop_front() {
                Some(Piece::Data(data)) => Ok(Some(data)),
                Some(Piece::Failure(failure)) => Err(failure),
                Some(Piece::Hang) => {
                    // A caller that gives up and asks again meets the same silence.
                    self.0.push_front(Piece::Hang);
                    std::future::pending().await
                }
                Some(Piece::Pause(_)) | None => Ok(None),
            }
        })
    }
}
