//! What answers mean: `(plan, reply) -> outcome`, one file per operation.

use http::{HeaderMap, StatusCode};

/// Status and headers of an answer.
#[derive(Debug, Clone)]
pub struct ReplyHead {
    /// HTTP status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
}

/// How an exchange failed without a whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportFailure {
    /// What happened.
    pub kind: TransportFailureKind,
    /// For people: the transport's own words.
    pub detail: String,
}

/// What happened to an exchange without a whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransportFailureKind {
    /// No connection was made: nothing reached the server.
    Connect,
    /// The time limit passed; the server may have carried the request out.
    Timeout,
    /// The connection broke after the request was on its way.
    Broken,
}
