//! Errors as bindings see them: a code to branch on, and everything else that is known.

use std::{any::Any, error::Error, fmt, sync::Arc, time::Duration};

use durable_streams::{BoxError, ErrorCode, Failure, ProducerError, StreamError, error::Remedy, http::HeaderMap};

/// A failed operation. Cloning is cheap.
#[derive(Clone)]
pub struct ErrorInfo {
    failure: Failure,
    host: Option<HostError>,
}

/// An error of the host language that passed through the core: what a callback raised, for
/// instance. It comes out as it went in.
#[derive(Clone)]
pub struct HostError {
    text: Arc<str>,
    value: Arc<dyn Any + Send + Sync>,
}

/// An error without its methods, for borders that carry records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorRecord {
    /// [`ErrorCode::as_str`].
    pub code: String,
    /// Everything in one line.
    pub text: String,
    /// What happened, for people.
    pub detail: String,
    /// HTTP status, if an answer arrived.
    pub status: Option<u16>,
    /// The start of the error answer's text.
    pub server_text: Option<String>,
    /// The stream's URL, without credentials.
    pub url: Option<String>,
    /// The operation that failed.
    pub operation: Option<String>,
    /// Final offset of a closed stream.
    pub final_offset: Option<String>,
    /// Epoch in force, of a stale-epoch answer.
    pub current_epoch: Option<u64>,
    /// Sequence number the server would accept.
    pub expected_seq: Option<u64>,
    /// Sequence number the server received.
    pub received_seq: Option<u64>,
    /// Least delay the server asked for. Units: ms.
    pub retry_after_ms: Option<u64>,
    /// Headers of the answer.
    pub headers: Vec<(String, String)>,
    /// Whether the server may have carried the request out all the same.
    pub may_be_applied: bool,
    /// How many times the request was sent.
    pub attempts: u32,
}

impl ErrorInfo {
    /// An error that only has a code and words.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Failure::new(code, detail).into()
    }

    /// The caller cancelled.
    pub fn cancelled() -> Self {
        Self::new(ErrorCode::Cancelled, "the operation was cancelled")
    }

    /// An argument that cannot be used. The text starts with the argument's name.
    pub fn invalid(argument: &str, reason: impl fmt::Display) -> Self {
        Self::new(ErrorCode::InvalidArgument, format!("{argument}: {reason}"))
    }

    /// A fault of the library or its surroundings.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::InternalError, detail)
    }

    /// An error of the host language.
    pub fn host(error: HostError) -> Self {
        let failure = Failure::new(ErrorCode::InvalidArgument, error.text.to_string());
        Self { failure, host: Some(error) }
    }

    /// What happened; the one thing to branch on.
    pub fn code(&self) -> ErrorCode {
        self.failure.code()
    }

    /// HTTP status, if an answer arrived.
    pub fn status(&self) -> Option<u16> {
        self.failure.status()
    }

    /// What the caller can do about it.
    pub fn remedy(&self) -> Remedy {
        self.failure.remedy()
    }

    /// What happened, for people.
    pub fn detail(&self) -> &str {
        self.failure.detail()
    }

    /// Everything the core knows.
    pub const fn failure(&self) -> &Failure {
        &self.failure
    }

    /// The host's own error behind this one, if a callback raised it.
    pub const fn host_error(&self) -> Option<&HostError> {
        self.host.as_ref()
    }

    /// How the exchange broke, in the transport's own words; for `NETWORK_ERROR` and `TIMEOUT`.
    pub fn cause(&self) -> Option<String> {
        let mut source = self.failure.source();
        let mut words = Vec::new();
        while let Some(error) = source {
            words.push(error.to_string());
            source = error.source();
        }
        (!words.is_empty()).then(|| words.join(": "))
    }

    /// The error without its methods.
    pub fn record(&self) -> ErrorRecord {
        let facts = self.failure.facts();
        ErrorRecord {
            code: self.code().as_str().to_owned(),
            text: self.to_string(),
            detail: self.detail().to_owned(),
            status: self.status(),
            server_text: self.failure.server_text().map(str::to_owned),
            url: self.failure.url().map(str::to_owned),
            operation: self.failure.operation().map(|operation| operation.as_str().to_owned()),
            final_offset: facts.final_offset.clone(),
            current_epoch: facts.current_epoch,
            expected_seq: facts.expected_seq,
            received_seq: facts.received_seq,
            retry_after_ms: facts.retry_after.map(millis),
            headers: header_pairs(self.failure.headers()),
            may_be_applied: self.failure.may_be_applied(),
            attempts: self.failure.attempts(),
        }
    }
}

impl HostError {
    /// Keeps a host's error. `text` is what people read.
    pub fn new(text: impl Into<Arc<str>>, value: impl Any + Send + Sync) -> Self {
        Self { text: text.into(), value: Arc::new(value) }
    }

    /// The error as it went in, if it is a `T`.
    pub fn downcast_ref<T: Any>(&self) -> Option<&T> {
        self.value.downcast_ref()
    }

    /// The same, for the core to carry.
    pub fn boxed(self) -> BoxError {
        Box::new(self)
    }
}

/// Headers as pairs of texts. A value that is no text has its odd bytes replaced.
pub fn header_pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let pair = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    headers.iter().map(pair).collect()
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl From<Failure> for ErrorInfo {
    fn from(failure: Failure) -> Self {
        let mut source: Option<&(dyn Error + 'static)> = failure.source();
        let mut host = None;
        while let Some(error) = source {
            if let Some(found) = error.downcast_ref::<HostError>() {
                host = Some(found.clone());
                break;
            }
            source = error.source();
        }
        Self { failure, host }
    }
}

impl From<StreamError> for ErrorInfo {
    fn from(error: StreamError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<ProducerError> for ErrorInfo {
    fn from(error: ProducerError) -> Self {
        if let ProducerError::Config(text) = error {
            return Self::new(ErrorCode::InvalidArgument, text);
        }
        // Only making a producer ends here; the rest comes as a `Failure`.
        Self::internal(error.to_string())
    }
}

impl fmt::Display for ErrorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

impl fmt::Debug for ErrorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {self}", self.code().as_str())
    }
}

impl Error for ErrorInfo {}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HostError").field(&self.text).finish()
    }
}

impl Error for HostError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_repeats_what_the_error_knows() {
        let record = ErrorInfo::invalid("offset", "is empty").record();
        assert_eq!(record.code, "INVALID_ARGUMENT");
        assert!(record.text.starts_with("offset: is empty"), "{}", record.text);
        assert!(!record.may_be_applied);
    }
}
