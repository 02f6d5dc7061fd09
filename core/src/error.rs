//! Errors. [`Failure`] knows everything (code, URL, facts of the answer); bindings and
//! careful callers use it. [`StreamError`] and [`ProducerError`] are the enums that
//! ordinary Rust callers match on; both are made from a [`Failure`].

use std::{error::Error, fmt, sync::Arc};

pub use durable_streams_protocol::error::{ErrorCode, Facts, Remedy};
use durable_streams_protocol::{
    request::{InvalidArgument, Operation},
    response::{Refusal, TransportFailure, TransportFailureKind},
};
use http::HeaderMap;

/// One failed operation, with all that is known about it. Cloning is cheap.
#[derive(Clone)]
pub struct Failure(Arc<Parts>);

#[derive(Clone)]
struct Parts {
    code: ErrorCode,
    operation: Option<Operation>,
    url: Option<Arc<str>>,
    facts: Facts,
    detail: String,
    server_text: Option<String>,
    headers: HeaderMap,
    may_be_applied: bool,
    attempts: u32,
    transport: Option<TransportFailure>,
}

impl Failure {
    /// A failure that only has a code and words.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self(Arc::new(Parts {
            code,
            operation: None,
            url: None,
            facts: Facts::default(),
            detail: detail.into(),
            server_text: None,
            headers: HeaderMap::new(),
            may_be_applied: code.may_be_applied(),
            attempts: 0,
            transport: None,
        }))
    }

    /// What happened; the one thing to branch on.
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// What the caller can do about it.
    pub fn remedy(&self) -> Remedy {
        self.0.code.remedy()
    }

    /// HTTP status, if an answer arrived.
    pub fn status(&self) -> Option<u16> {
        self.0.facts.status
    }

    /// What the answer told beyond its status.
    pub fn facts(&self) -> &Facts {
        &self.0.facts
    }

    /// The stream's URL, without credentials.
    pub fn url(&self) -> Option<&str> {
        self.0.url.as_deref()
    }

    /// The operation that failed.
    pub fn operation(&self) -> Option<Operation> {
        self.0.operation
    }

    /// What happened, for people; may change freely.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The start of the error answer's text, for people only.
    pub fn server_text(&self) -> Option<&str> {
        self.0.server_text.as_deref()
    }

    /// Headers of the answer; empty when none arrived.
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// Whether the server may have carried the request out all the same, in this or an
    /// earlier attempt.
    pub fn may_be_applied(&self) -> bool {
        self.0.may_be_applied
    }

    /// How many times the request was sent. Units: HTTP attempts, redirects not counted.
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// How the exchange broke, if no whole answer arrived.
    pub fn transport(&self) -> Option<&TransportFailure> {
        self.0.transport.as_ref()
    }

    /// The same failure, told of an operation on a URL.
    #[must_use]
    pub fn at(self, operation: Operation, url: &Arc<str>) -> Self {
        self.with(|parts| {
            parts.operation = Some(operation);
            parts.url = Some(Arc::clone(url));
        })
    }

    /// The same failure with facts of an answer.
    #[must_use]
    pub fn with_facts(self, facts: Facts) -> Self {
        self.with(|parts| parts.facts = facts)
    }

    /// The same failure with the headers of the answer.
    #[must_use]
    pub fn with_headers(self, headers: HeaderMap) -> Self {
        self.with(|parts| parts.headers = headers)
    }

    /// The same failure with the start of the answer's text.
    #[must_use]
    pub fn with_server_text(self, text: impl Into<String>) -> Self {
        let text = text.into();
        self.with(|parts| parts.server_text = Some(text).filter(|text| !text.is_empty()))
    }

    /// The same failure after so many attempts, an earlier one of which may have been
    /// carried out.
    #[must_use]
    pub fn after(self, attempts: u32, earlier_may_be_applied: bool) -> Self {
        self.with(|parts| {
            parts.attempts = attempts;
            parts.may_be_applied |= earlier_may_be_applied;
        })
    }

    fn with(mut self, change: impl FnOnce(&mut Parts)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

impl From<Box<Refusal>> for Failure {
    fn from(refusal: Box<Refusal>) -> Self {
        Self::new(refusal.code, refusal.detail).with_facts(refusal.facts)
    }
}

impl From<TransportFailure> for Failure {
    fn from(failure: TransportFailure) -> Self {
        Self::new(failure.kind.code(), failure.detail.clone()).with(|parts| {
            parts.may_be_applied = failure.kind.may_be_applied();
            parts.transport = Some(failure);
        })
    }
}

impl From<InvalidArgument> for Failure {
    fn from(invalid: InvalidArgument) -> Self {
        Self::new(ErrorCode::InvalidArgument, invalid.to_string())
    }
}

impl From<InvalidHeaderError> for Failure {
    fn from(invalid: InvalidHeaderError) -> Self {
        Self::new(ErrorCode::InvalidArgument, invalid.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = &*self.0;
        match (parts.operation, parts.url.as_deref()) {
            (Some(operation), Some(url)) => write!(f, "{} {url}: ", operation.as_str())?,
            (None, Some(url)) => write!(f, "{url}: ")?,
            (Some(operation), None) => write!(f, "{}: ", operation.as_str())?,
            (None, None) => {}
        }
        f.write_str(&parts.detail)?;
        if let Some(status) = parts.facts.status {
            write!(f, " (status {status})")?;
        }
        if let Some(text) = &parts.server_text {
            write!(f, "; the server says: {text}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("code", &self.0.code)
            .field("operation", &self.0.operation)
            .field("url", &self.0.url)
            .field("facts", &self.0.facts)
            .field("detail", &self.0.detail)
            .field("may_be_applied", &self.0.may_be_applied)
            .field("attempts", &self.0.attempts)
            .finish_non_exhaustive()
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.transport.as_ref().and_then(Error::source)
    }
}

/// Why an operation on a stream failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// 404.
    #[error("stream not found (404)")]
    NotFound,
    /// 409 to a create: the stream exists with other settings.
    #[error("stream already exists with other settings (409)")]
    AlreadyExists,
    /// 409: the stream is closed, nothing may follow.
    #[error("stream is closed (409)")]
    Closed,
    /// 409: `Stream-Seq` is not above the last one, or another conflict.
    #[error("conflict with the stream's state (409)")]
    Conflict,
    /// 409: the content type differs from the stream's.
    #[error("content type differs from the stream's (409)")]
    ContentTypeMismatch,
    /// 401.
    #[error("credentials are missing or not valid (401)")]
    Unauthorized,
    /// 403.
    #[error("these credentials do not allow it (403)")]
    Forbidden,
    /// 429, after all retries.
    #[error("the server asks to slow down (429)")]
    RateLimited,
    /// 5xx, after all retries.
    #[error("the server failed (status {0})")]
    ServerError(u16),
    /// 410: dropped by retention, or the stream is deleted and only forks keep it.
    #[error("the offset or the stream is gone (410)")]
    OffsetGone,
    /// 400; the text names the stream.
    #[error("{0}")]
    BadRequest(String),
    /// No whole answer arrived.
    #[error(transparent)]
    Network(NetworkError),
    /// No whole answer arrived in time.
    #[error("no answer in time")]
    Timeout,
    /// A header name or value no HTTP message can carry.
    #[error(transparent)]
    InvalidHeader(#[from] InvalidHeaderError),
    /// An argument was refused before anything was sent; the text names it.
    #[error("{0}")]
    InvalidArgument(String),
    /// An append without data was refused before anything was sent.
    #[error("an append needs at least one byte")]
    EmptyAppend,
    /// The reader was closed.
    #[error("the reader is closed")]
    IteratorClosed,
    /// A value did not become, or come from, JSON.
    #[error("{0}")]
    Json(String),
    /// The answer breaks the protocol.
    #[error("{0}")]
    Parse(String),
    /// Anything else, with its code.
    #[error(transparent)]
    Other(Failure),
}

impl StreamError {
    /// The code all languages share.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound => ErrorCode::NotFound,
            Self::AlreadyExists => ErrorCode::AlreadyExists,
            Self::Closed => ErrorCode::StreamClosed,
            Self::Conflict => ErrorCode::SequenceConflict,
            Self::ContentTypeMismatch => ErrorCode::ContentTypeMismatch,
            Self::Unauthorized => ErrorCode::Unauthorized,
            Self::Forbidden => ErrorCode::Forbidden,
            Self::RateLimited => ErrorCode::RateLimited,
            Self::ServerError(503) => ErrorCode::Busy,
            Self::ServerError(_) => ErrorCode::UnexpectedStatus,
            Self::OffsetGone => ErrorCode::Gone,
            Self::BadRequest(_) => ErrorCode::BadRequest,
            Self::Network(_) => ErrorCode::NetworkError,
            Self::Timeout => ErrorCode::Timeout,
            Self::InvalidHeader(_) | Self::InvalidArgument(_) | Self::EmptyAppend => ErrorCode::InvalidArgument,
            Self::IteratorClosed => ErrorCode::AlreadyClosed,
            Self::Json(_) | Self::Parse(_) => ErrorCode::ParseError,
            Self::Other(failure) => failure.code(),
        }
    }

    /// HTTP status, if an answer caused the error.
    pub fn status_code(&self) -> Option<u16> {
        match self {
            Self::NotFound => Some(404),
            Self::AlreadyExists | Self::Closed | Self::Conflict | Self::ContentTypeMismatch => Some(409),
            Self::Unauthorized => Some(401),
            Self::Forbidden => Some(403),
            Self::RateLimited => Some(429),
            Self::ServerError(status) => Some(*status),
            Self::OffsetGone => Some(410),
            Self::BadRequest(_) => Some(400),
            Self::Other(failure) => failure.status(),
            Self::Network(_)
            | Self::Timeout
            | Self::InvalidHeader(_)
            | Self::InvalidArgument(_)
            | Self::EmptyAppend
            | Self::IteratorClosed
            | Self::Json(_)
            | Self::Parse(_) => None,
        }
    }

    /// Whether the same call may succeed later without a change. The client's own retries
    /// are used up by then.
    pub fn is_retryable(&self) -> bool {
        matches!(self.remedy(), Remedy::RetryLater | Remedy::RetryIfIdempotent)
    }

    /// What the caller can do.
    pub fn remedy(&self) -> Remedy {
        self.code().remedy()
    }

    /// The code's name, as other languages and the conformance kit spell it.
    pub fn to_error_code(&self) -> &'static str {
        self.code().as_str()
    }
}

impl From<Failure> for StreamError {
    fn from(failure: Failure) -> Self {
        match failure.code() {
            ErrorCode::NotFound => Self::NotFound,
            ErrorCode::AlreadyExists => Self::AlreadyExists,
            ErrorCode::StreamClosed => Self::Closed,
            ErrorCode::SequenceConflict | ErrorCode::Conflict => Self::Conflict,
            ErrorCode::ContentTypeMismatch => Self::ContentTypeMismatch,
            ErrorCode::Unauthorized => Self::Unauthorized,
            ErrorCode::Forbidden => Self::Forbidden,
            ErrorCode::RateLimited => Self::RateLimited,
            ErrorCode::Gone => Self::OffsetGone,
            ErrorCode::BadRequest | ErrorCode::InvalidOffset => Self::BadRequest(failure.to_string()),
            ErrorCode::Busy | ErrorCode::UnexpectedStatus => match failure.status() {
                Some(status @ 500..) => Self::ServerError(status),
                _ => Self::Other(failure),
            },
            ErrorCode::NetworkError => Self::Network(NetworkError(failure)),
            ErrorCode::Timeout => Self::Timeout,
            ErrorCode::InvalidArgument => Self::InvalidArgument(failure.to_string()),
            ErrorCode::ParseError => Self::Parse(failure.to_string()),
            ErrorCode::PayloadTooLarge
            | ErrorCode::SequenceGap
            | ErrorCode::StaleEpoch
            | ErrorCode::NotSupported
            | ErrorCode::OffsetWentBackwards
            | ErrorCode::Cancelled
            | ErrorCode::AlreadyClosed
            | ErrorCode::InternalError => Self::Other(failure),
        }
    }
}

/// A connection that could not be made, or broke.
#[derive(Clone)]
pub struct NetworkError(Failure);

impl NetworkError {
    /// Everything known about it.
    pub fn failure(&self) -> &Failure {
        &self.0
    }

    /// The stream's URL, without credentials.
    pub fn url(&self) -> Option<&str> {
        self.0.url()
    }

    /// Whether no connection was made: nothing reached the server.
    pub fn is_connect(&self) -> bool {
        self.0.transport().is_some_and(|failure| failure.kind == TransportFailureKind::Connect)
    }

    /// Whether the server may have carried the request out.
    pub fn may_be_applied(&self) -> bool {
        self.0.may_be_applied()
    }

    /// The HTTP library's own error.
    #[cfg(feature = "rustls")]
    pub fn as_reqwest(&self) -> Option<&reqwest::Error> {
        Error::source(&self.0)?.downcast_ref()
    }
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for NetworkError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// A header no HTTP message can carry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeaderError {
    /// The name is not a token.
    #[error("{0:?} is not a header name")]
    InvalidName(String),
    /// The value has control characters; it belongs to the named header and is not shown,
    /// since it may be a credential.
    #[error("the value of header {0:?} contains characters no HTTP header can carry")]
    InvalidValue(String),
}

/// Why a producer failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ProducerError {
    /// The producer was closed or detached.
    #[error("the producer is closed")]
    Closed,
    /// The stream is closed, nothing may follow.
    #[error("the stream is closed")]
    StreamClosed,
    /// A newer writer holds this producer id.
    #[error("a newer writer holds this producer id: its epoch is {server_epoch}, ours is {our_epoch}")]
    StaleEpoch {
        /// Epoch in force.
        server_epoch: u64,
        /// Epoch this producer writes with.
        our_epoch: u64,
    },
    /// The server lost this producer's state, or never had it.
    #[error("the server expects sequence number {expected} and received {received}")]
    SequenceGap {
        /// Number the server would accept.
        expected: u64,
        /// Number it received.
        received: u64,
    },
    /// A request failed; the text names the stream.
    #[error("{message}")]
    Stream {
        /// What happened.
        message: String,
    },
    /// Kept for programs written for the official client; this one mixes freely.
    #[error("raw and JSON appends cannot be mixed")]
    MixedAppendTypes,
    /// The producer cannot be built so; the text names the field.
    #[error("{0}")]
    Config(String),
    /// The message was refused before anything was sent; the text says why.
    #[error("{0}")]
    InvalidMessage(String),
    /// Too much waits for delivery; the message was not taken.
    #[error("{0}")]
    QueueFull(String),
}

impl ProducerError {
    /// The enum's view of a failure of a producer that writes with `our_epoch`.
    pub fn from_failure(failure: &Failure, our_epoch: u64) -> Self {
        let facts = failure.facts();
        match (failure.code(), facts.current_epoch, facts.expected_seq) {
            (ErrorCode::StreamClosed, ..) => Self::StreamClosed,
            (ErrorCode::AlreadyClosed, ..) => Self::Closed,
            (ErrorCode::StaleEpoch, Some(server_epoch), _) => Self::StaleEpoch { server_epoch, our_epoch },
            (ErrorCode::SequenceGap, _, Some(expected)) => {
                Self::SequenceGap { expected, received: facts.received_seq.unwrap_or_default() }
            }
            (ErrorCode::InvalidArgument, ..) if failure.attempts() == 0 => Self::InvalidMessage(failure.to_string()),
            (ErrorCode::Busy, ..) if failure.status().is_none() => Self::QueueFull(failure.to_string()),
            _ => Self::Stream { message: failure.to_string() },
        }
    }
}

impl From<InvalidArgument> for ProducerError {
    fn from(invalid: InvalidArgument) -> Self {
        Self::Config(invalid.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_text_names_operation_url_and_status() {
        let url: Arc<str> = Arc::from("http://h/v1/stream/tides");
        let failure = Failure::new(ErrorCode::NotFound, "there is no such stream")
            .with_facts(Facts { status: Some(404), ..Facts::default() })
            .at(Operation::Append, &url);
        let text = failure.to_string();
        for part in ["append", "/v1/stream/tides", "404"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn every_code_has_a_stream_error_of_the_same_family() {
        for code in ErrorCode::ALL {
            let error = StreamError::from(Failure::new(*code, "x"));
            let family =
                [(ErrorCode::InvalidOffset, ErrorCode::BadRequest), (ErrorCode::Conflict, ErrorCode::SequenceConflict)];
            let family = family.iter().find(|(from, _)| from == code).map_or(*code, |(_, to)| *to);
            assert_eq!(error.code(), family);
        }
    }
}
