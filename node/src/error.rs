//! Failures on their way to JavaScript, which makes its error classes of them.

use durable_streams_bindings::error::{ErrorInfo, ErrorRecord};
use napi_derive::napi;

/// What a promise is rejected with.
#[napi(object, object_from_js = false)]
#[derive(Debug)]
pub struct Rejection {
    /// The core's code.
    pub code: String,
    /// Everything in one line.
    pub text: String,
    /// What happened, for people.
    pub detail: String,
    /// HTTP status, if an answer arrived.
    pub status: Option<u32>,
    /// The start of the error answer's text.
    pub server_text: Option<String>,
    /// The stream's URL, without credentials.
    pub url: Option<String>,
    /// The operation that failed.
    pub operation: Option<String>,
    /// Final offset of a closed stream.
    pub final_offset: Option<String>,
    /// Epoch in force.
    pub current_epoch: Option<f64>,
    /// Sequence number the server would accept.
    pub expected_seq: Option<f64>,
    /// Sequence number the server received.
    pub received_seq: Option<f64>,
    /// Least delay the server asked for. Units: ms.
    pub retry_after_ms: Option<f64>,
    /// Headers of the answer.
    pub headers: Vec<(String, String)>,
    /// Whether the server may have carried the request out all the same.
    pub may_be_applied: bool,
    /// How many times the request was sent.
    pub attempts: u32,
    /// Number of the JavaScript error behind this one, if a callback threw it.
    pub host_error: Option<u32>,
    /// How the exchange broke, in the transport's words.
    pub cause: Option<String>,
}

/// An error that JavaScript keeps under a number, while it passes through the core.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JsErrorNumber(pub(crate) u32);

impl Rejection {
    /// A fault between us and the host.
    pub(crate) fn internal(error: napi::Error) -> Self {
        ErrorInfo::internal(error.reason.clone()).into()
    }
}

impl From<ErrorInfo> for Rejection {
    fn from(info: ErrorInfo) -> Self {
        let host_error = info.host_error().and_then(|error| error.downcast_ref::<JsErrorNumber>());
        let cause = info.cause();
        let ErrorRecord {
            code,
            text,
            detail,
            status,
            server_text,
            url,
            operation,
            final_offset,
            current_epoch,
            expected_seq,
            received_seq,
            retry_after_ms,
            headers,
            may_be_applied,
            attempts,
        } = info.record();
        Self {
            code,
            text,
            detail,
            status: status.map(u32::from),
            server_text,
            url,
            operation,
            final_offset,
            current_epoch: current_epoch.map(number),
            expected_seq: expected_seq.map(number),
            received_seq: received_seq.map(number),
            retry_after_ms: retry_after_ms.map(number),
            headers,
            may_be_applied,
            attempts,
            host_error: host_error.map(|number| number.0),
            cause,
        }
    }
}

/// A number for JavaScript. The protocol's own end at 2^53 - 1, where doubles are exact.
#[expect(clippy::cast_precision_loss, reason = "exact in the protocol's range")]
pub(crate) const fn number(value: u64) -> f64 {
    value as f64
}

/// Throws a failure of a call that returns at once, as text that JavaScript parses.
pub(crate) fn thrown(info: &ErrorInfo) -> napi::Error {
    napi::Error::new(napi::Status::GenericFailure, format!("{}: {info}", info.code().as_str()))
}
