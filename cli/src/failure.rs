//! How a run fails: the words on standard error and the exit code.

use std::io::{self, Write as _};

use durable_streams::{
    ErrorCode, Failure as ClientFailure, ProducerError, http::StatusCode, transport::TransportFailureKind,
};
use serde_json::json;

use crate::{
    args::{ExitCodes, Global, OutputForm},
    target::Target,
};

/// Why a run ends without its result.
#[derive(Debug)]
pub enum Failure {
    /// A bad argument, id, URL or credential: a sentence that names it and the fix.
    Usage(String),
    /// Nothing to write, or not what it should be: a sentence.
    Input(String),
    /// A request failed.
    Request(Box<RequestFailure>),
    /// Something on this machine: a file, the output.
    Local(String),
    /// The demo found a difference; it has told so already.
    Unfaithful,
    /// Whoever read our output has gone: not a failure at all.
    OutputGone,
}

/// A request that failed, in words.
#[derive(Debug)]
pub struct RequestFailure {
    /// `create`, `write to`, `read` and so on.
    pub verb: &'static str,
    /// The stream as the user named it.
    pub stream: String,
    /// The code all languages share.
    pub code: ErrorCode,
    /// HTTP status, if an answer arrived.
    pub status: Option<u16>,
    /// Least delay the server asked for. Units: seconds.
    pub retry_after: Option<f64>,
    /// What happened.
    pub reason: String,
}

impl Failure {
    /// A request to a stream failed.
    pub fn request(verb: &'static str, target: &Target, failure: &ClientFailure) -> Self {
        let told = failure.server_text().map(|text| format!("\nthe server says: {text}")).unwrap_or_default();
        let is_connect = failure.transport().is_some_and(|transport| transport.kind == TransportFailureKind::Connect);
        let detail = match failure.transport() {
            Some(transport) if is_connect => {
                format!("{}\nis the server running, and is STREAM_URL right?", transport.detail)
            }
            _ => failure.detail().to_owned(),
        };
        Self::Request(Box::new(RequestFailure {
            verb,
            stream: target.id.clone(),
            code: failure.code(),
            status: failure.status(),
            retry_after: failure.facts().retry_after.map(|delay| delay.as_secs_f64()),
            reason: reason(failure.code(), failure.status(), &detail, target) + &told,
        }))
    }

    /// A producer cannot be made from what the user gave.
    pub fn no_producer(error: &ProducerError) -> Self {
        Self::Usage(error.to_string())
    }

    /// Writing to standard output failed; a broken pipe is the quiet end of a run.
    pub fn of_stdout(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::OutputGone;
        }
        Self::Local(format!("cannot write to standard output: {error}"))
    }

    /// Tells the failure on standard error and gives the exit code.
    pub fn tell(&self, global: &Global) -> u8 {
        if matches!(self, Self::OutputGone) {
            return 0;
        }
        let text = match global.output {
            OutputForm::Text => self.text(),
            OutputForm::Json => self.json(),
        };
        if !text.is_empty() {
            let _ = writeln!(io::stderr(), "{text}");
        }
        match global.exit_codes {
            ExitCodes::Simple => 1,
            ExitCodes::Detailed => self.detailed_code(),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Usage(text) | Self::Input(text) | Self::Local(text) => format!("Error: {text}"),
            Self::Request(failure) => {
                let RequestFailure { verb, stream, reason, .. } = &**failure;
                format!("Failed to {verb} stream \"{stream}\"\n  {}", reason.replace('\n', "\n  "))
            }
            Self::Unfaithful | Self::OutputGone => String::new(),
        }
    }

    fn json(&self) -> String {
        let error = match self {
            Self::Usage(text) => json!({ "code": "INVALID_ARGUMENT", "message": text }),
            Self::Input(text) => json!({ "code": "INVALID_INPUT", "message": text }),
            Self::Local(text) => json!({ "code": "LOCAL_ERROR", "message": text }),
            Self::Unfaithful | Self::OutputGone => return String::new(),
            Self::Request(failure) => json!({
                "code": failure.code.as_str(),
                "status": failure.status,
                "retry_after": failure.retry_after,
                "stream": failure.stream,
                "message": failure.reason,
            }),
        };
        json!({ "ok": false, "error": error }).to_string()
    }

    /// One code per kind; docs/cli.md lists them.
    fn detailed_code(&self) -> u8 {
        match self {
            Self::OutputGone => 0,
            Self::Local(_) | Self::Unfaithful => 1,
            Self::Usage(_) | Self::Input(_) => 2,
            Self::Request(failure) => match failure.code {
                ErrorCode::NotFound => 3,
                ErrorCode::AlreadyExists
                | ErrorCode::Conflict
                | ErrorCode::ContentTypeMismatch
                | ErrorCode::SequenceConflict
                | ErrorCode::SequenceGap
                | ErrorCode::StaleEpoch => 4,
                ErrorCode::StreamClosed => 5,
                ErrorCode::Unauthorized | ErrorCode::Forbidden => 6,
                ErrorCode::NetworkError | ErrorCode::Timeout => 7,
                ErrorCode::RateLimited | ErrorCode::Busy => 8,
                ErrorCode::Gone | ErrorCode::OffsetWentBackwards => 9,
                ErrorCode::InvalidArgument
                | ErrorCode::BadRequest
                | ErrorCode::InvalidOffset
                | ErrorCode::PayloadTooLarge
                | ErrorCode::NotSupported => 10,
                ErrorCode::UnexpectedStatus
                | ErrorCode::ParseError
                | ErrorCode::Cancelled
                | ErrorCode::AlreadyClosed
                | ErrorCode::InternalError => 11,
            },
        }
    }
}

/// The HTTP status in words, what it means here, and what helps.
fn reason(code: ErrorCode, status: Option<u16>, detail: &str, target: &Target) -> String {
    let helped;
    let meaning = match code {
        ErrorCode::NotFound => {
            helped = format!("there is no such stream; \"durable-stream create {}\" makes one", target.id);
            &helped
        }
        ErrorCode::AlreadyExists => "a stream of this name exists with other settings; \"head\" shows them",
        ErrorCode::StreamClosed => "the stream is closed; nothing can follow its last message",
        ErrorCode::ContentTypeMismatch => {
            "the content type differs from the stream's; leave --content-type away to use the stream's own"
        }
        ErrorCode::Unauthorized => "credentials are missing or not valid; set STREAM_AUTH or --auth",
        ErrorCode::StaleEpoch => {
            "a newer writer uses this producer id; give another --producer-id, or the --checkpoint file of before"
        }
        ErrorCode::Forbidden => "these credentials do not allow it",
        ErrorCode::RateLimited => "the server asks to slow down; try again later",
        ErrorCode::Busy => "the server is overloaded or stopping; try again later",
        ErrorCode::Gone => "the stream was deleted, or the offset is older than what the server keeps",
        ErrorCode::InvalidArgument
        | ErrorCode::BadRequest
        | ErrorCode::InvalidOffset
        | ErrorCode::PayloadTooLarge
        | ErrorCode::OffsetWentBackwards
        | ErrorCode::Conflict
        | ErrorCode::SequenceConflict
        | ErrorCode::SequenceGap
        | ErrorCode::NotSupported
        | ErrorCode::UnexpectedStatus
        | ErrorCode::NetworkError
        | ErrorCode::Timeout
        | ErrorCode::ParseError
        | ErrorCode::Cancelled
        | ErrorCode::AlreadyClosed
        | ErrorCode::InternalError => detail,
    };
    match status.and_then(|status| StatusCode::from_u16(status).ok()) {
        Some(status) => format!("HTTP {} {}: {meaning}", status.as_u16(), status.canonical_reason().unwrap_or("")),
        None => meaning.to_owned(),
    }
}
