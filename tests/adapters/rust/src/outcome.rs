//! Results and errors as the runner reads them (adapter-protocol §2, §4).

use durable_streams::{ErrorCode, Failure, ProducerError, StreamError, http::HeaderMap};
use serde_json::{Map, Value, json};

/// What a command comes to.
pub(crate) type Outcome = Result<Value, Problem>;

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Problem {
    code: &'static str,
    message: String,
    status: Option<u16>,
    details: Map<String, Value>,
}

/// A success with nothing to tell.
pub(crate) fn success(kind: &str) -> Value {
    json!({"type": kind, "success": true})
}

/// An error result.
pub(crate) fn error(kind: &str, code: &str, message: &str, status: Option<u16>) -> Value {
    let mut result =
        json!({"type": "error", "success": false, "commandType": kind, "errorCode": code, "message": message});
    if let Some(status) = status {
        result["status"] = status.into();
    }
    result
}

/// Headers of an answer as a map.
pub(crate) fn headers(map: &HeaderMap) -> Value {
    map.iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into()))
        .collect::<Map<_, _>>()
        .into()
}

impl Problem {
    /// The adapter or client cannot do this.
    pub(crate) fn not_supported(message: String) -> Self {
        Self { code: "NOT_SUPPORTED", message, status: None, details: Map::new() }
    }

    /// The command makes no sense.
    pub(crate) fn invalid(message: impl ToString) -> Self {
        Self { code: "INVALID_ARGUMENT", message: message.to_string(), status: None, details: Map::new() }
    }

    /// The client refused locally what the server would refuse with this status.
    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.status = self.status.or(Some(status));
        self
    }

    /// The result line.
    pub(crate) fn into_result(self, kind: &str) -> Value {
        let mut result = error(kind, self.code, &self.message, self.status);
        if !self.details.is_empty() {
            result["details"] = self.details.into();
        }
        result
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let facts = failure.facts();
        let mut details = Map::new();
        let mut tell = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                details.insert(key.to_owned(), value);
            }
        };
        tell("code", Some(failure.code().as_str().into()));
        tell("finalOffset", facts.final_offset.as_deref().map(Value::from));
        tell("currentEpoch", facts.current_epoch.map(Value::from));
        tell("expectedSeq", facts.expected_seq.map(Value::from));
        tell("receivedSeq", facts.received_seq.map(Value::from));
        Self { code: code(failure.code()), message: failure.to_string(), status: failure.status(), details }
    }
}

impl From<StreamError> for Problem {
    fn from(error: StreamError) -> Self {
        Self { code: code(error.code()), message: error.to_string(), status: error.status_code(), details: Map::new() }
    }
}

impl From<ProducerError> for Problem {
    fn from(error: ProducerError) -> Self {
        Self::invalid(error)
    }
}

/// The kit's name of a code; the kit has fewer.
const fn code(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::NotFound
        | ErrorCode::InvalidOffset
        | ErrorCode::InvalidArgument
        | ErrorCode::SequenceConflict
        | ErrorCode::StreamClosed
        | ErrorCode::NetworkError
        | ErrorCode::Timeout
        | ErrorCode::ParseError
        | ErrorCode::NotSupported
        | ErrorCode::InternalError => code.as_str(),
        ErrorCode::AlreadyExists | ErrorCode::Conflict | ErrorCode::ContentTypeMismatch => "CONFLICT",
        ErrorCode::SequenceGap => "SEQUENCE_CONFLICT",
        ErrorCode::BadRequest
        | ErrorCode::PayloadTooLarge
        | ErrorCode::Unauthorized
        | ErrorCode::Forbidden
        | ErrorCode::Gone
        | ErrorCode::StaleEpoch
        | ErrorCode::RateLimited
        | ErrorCode::Busy
        | ErrorCode::UnexpectedStatus => "UNEXPECTED_STATUS",
        ErrorCode::OffsetWentBackwards => "PARSE_ERROR",
        ErrorCode::AlreadyClosed => "INVALID_ARGUMENT",
        ErrorCode::Cancelled => "INTERNAL_ERROR",
    }
}
