//! Errors: one variant per code of the core, each with everything that is known.

use std::fmt;

use durable_streams_bindings::{ErrorCode, ErrorInfo};

use crate::{
    provider::ProviderError,
    settings::{NameValue, pairs},
};

/// Everything that is known of a failed operation.
#[derive(Debug, Clone, uniffi::Record)]
pub struct ErrorDetails {
    /// The code, spelt as in the conformance kit.
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
    pub headers: Vec<NameValue>,
    /// Whether the server may have carried the request out all the same.
    pub may_be_applied: bool,
    /// How many times the request was sent.
    pub attempts: u32,
    /// The number under which the host keeps its own exception, if that is behind it.
    pub raised: Option<u64>,
}

macro_rules! core_errors {
    ($($(#[$doc:meta])* $variant:ident),+ $(,)?) => {
        /// A failed operation.
        #[derive(Debug, Clone, thiserror::Error, uniffi::Error)]
        pub enum CoreError {
            $(
                $(#[$doc])*
                #[error("{info}")]
                $variant {
                    /// What is known.
                    info: ErrorDetails,
                },
            )+
        }

        impl From<ErrorInfo> for CoreError {
            fn from(error: ErrorInfo) -> Self {
                let info = (&error).into();
                match error.code() {
                    $(ErrorCode::$variant => Self::$variant { info },)+
                }
            }
        }
    };
}

core_errors! {
    /// Our own check failed, nothing was sent.
    InvalidArgument,
    /// 400.
    BadRequest,
    /// 400 to a read that carried an offset.
    InvalidOffset,
    /// 413.
    PayloadTooLarge,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 404.
    NotFound,
    /// 410.
    Gone,
    /// An answer's next offset sorts before the one held.
    OffsetWentBackwards,
    /// The stream exists with other settings.
    AlreadyExists,
    /// 409 that says no more.
    Conflict,
    /// The content type differs from the stream's.
    ContentTypeMismatch,
    /// The writer coordination token is not above the last one.
    SequenceConflict,
    /// The stream is closed.
    StreamClosed,
    /// The server expects another sequence number.
    SequenceGap,
    /// A newer writer holds this producer id.
    StaleEpoch,
    /// 429.
    RateLimited,
    /// 405 or 501.
    NotSupported,
    /// 503.
    Busy,
    /// Any other answer.
    UnexpectedStatus,
    /// No whole answer arrived.
    NetworkError,
    /// No whole answer arrived in time.
    Timeout,
    /// The answer breaks the protocol.
    ParseError,
    /// The caller cancelled.
    Cancelled,
    /// The handle was closed or used up.
    AlreadyClosed,
    /// A fault of this library.
    InternalError,
}

impl From<&ErrorInfo> for ErrorDetails {
    fn from(error: &ErrorInfo) -> Self {
        let record = error.record();
        let raised = error.host_error().and_then(|host| host.downcast_ref::<ProviderError>());
        Self {
            code: record.code,
            text: record.text,
            detail: record.detail,
            status: record.status,
            server_text: record.server_text,
            url: record.url,
            operation: record.operation,
            final_offset: record.final_offset,
            current_epoch: record.current_epoch,
            expected_seq: record.expected_seq,
            received_seq: record.received_seq,
            retry_after_ms: record.retry_after_ms,
            headers: pairs(record.headers),
            may_be_applied: record.may_be_applied,
            attempts: record.attempts,
            raised: raised.and_then(ProviderError::number),
        }
    }
}

impl fmt::Display for ErrorDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
