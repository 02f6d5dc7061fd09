//! What answers mean: `(plan, reply) -> outcome`, one file per operation.

use std::{error::Error, fmt, sync::Arc};

use http::{HeaderMap, StatusCode};

use crate::{
    error::{ErrorCode, Facts},
    request::RequestPlan,
};

pub mod append;
pub mod close;
pub mod create;
pub mod delete;
pub mod head;
pub mod read;
pub mod redirect;
mod refusal;

pub use refusal::{classify, code_of, retry_after};

/// Status and headers of an answer.
#[derive(Debug, Clone)]
pub struct ReplyHead {
    /// HTTP status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
}

/// An answer that is not a success: what it means, and what it told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What happened.
    pub code: ErrorCode,
    /// What the answer's headers told.
    pub facts: Facts,
    /// For people; no body text, no URL.
    pub detail: String,
}

/// How an exchange failed without a whole answer.
#[derive(Clone)]
pub struct TransportFailure {
    /// What happened.
    pub kind: TransportFailureKind,
    /// For people: the transport's own words.
    pub detail: String,
    /// The transport's own error, if it has one.
    pub source: Option<Arc<dyn Error + Send + Sync>>,
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
    /// The request could not be made (a bad URL, a failing header provider): nothing was
    /// sent, and a repeat is no use.
    Local,
}

impl TransportFailure {
    /// A failure without a source.
    pub fn new(kind: TransportFailureKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), source: None }
    }

    /// The same failure with the transport's own error kept.
    #[must_use]
    pub fn caused_by(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }
}

impl TransportFailureKind {
    /// The code callers branch on.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Connect | Self::Broken => ErrorCode::NetworkError,
            Self::Timeout => ErrorCode::Timeout,
            Self::Local => ErrorCode::InvalidArgument,
        }
    }

    /// Whether the request may have reached the server.
    pub const fn may_be_applied(self) -> bool {
        match self {
            Self::Connect | Self::Local => false,
            Self::Timeout | Self::Broken => true,
        }
    }
}

impl PartialEq for TransportFailure {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.detail == other.detail
    }
}

impl Eq for TransportFailure {}

impl fmt::Debug for TransportFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportFailure").field("kind", &self.kind).field("detail", &self.detail).finish()
    }
}

impl fmt::Display for TransportFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl Error for TransportFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// The refusal of an answer that breaks the protocol.
pub(crate) fn broken(plan: &RequestPlan, head: &ReplyHead, reason: &str) -> Box<Refusal> {
    let facts = Facts { status: Some(head.status.as_u16()), ..Facts::default() };
    let detail = format!("the answer to this {} breaks the protocol: {reason}", plan.operation.as_str());
    Box::new(Refusal { code: ErrorCode::ParseError, facts, detail })
}
