//! The closed list of failures, named once for all languages (style of names:
//! the shared conformance suite's).

use std::time::Duration;

/// Every failure a caller can meet. Callers branch on the code; texts may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorCode {
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
    /// 403 without `Producer-Epoch`.
    Forbidden,
    /// 404.
    NotFound,
    /// 410: dropped by retention, or soft-deleted (protocol.md §8, §10).
    Gone,
    /// An answer's next offset sorts before the one held: a stale cache, or the stream was
    /// deleted and created again under the same name (protocol.md §10).
    OffsetWentBackwards,
    /// 409 to a create: the stream exists with other settings (protocol.md §5).
    AlreadyExists,
    /// 409 that says no more than that.
    Conflict,
    /// 409 to a request whose content type differs from the stream's.
    ContentTypeMismatch,
    /// 409 to a request that carried `Stream-Seq`.
    SequenceConflict,
    /// 409 with `Stream-Closed`: nothing may follow the final message.
    StreamClosed,
    /// 409 with `Producer-Expected-Seq`.
    SequenceGap,
    /// 403 with `Producer-Epoch`: a newer writer holds this producer id.
    StaleEpoch,
    /// 429.
    RateLimited,
    /// 405 or 501.
    NotSupported,
    /// 503: the server is overloaded or stopping.
    Busy,
    /// Any other answer, other 5xx included.
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

/// What a caller can do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Remedy {
    /// Change the arguments.
    FixTheCall,
    /// Change the credentials.
    FixCredentials,
    /// Create the stream, or stop.
    CreateOrStop,
    /// Go back to an earlier decision: the data or the stream is gone.
    StartOver,
    /// Compare the settings with what exists.
    CompareConfiguration,
    /// Read, then decide.
    ReadThenDecide,
    /// Resend from the expected sequence number.
    ResendFromExpected,
    /// Claim a new epoch, if the caller opted in.
    ClaimNewEpoch,
    /// Wait as told, then repeat.
    RetryLater,
    /// Repeat if the request is idempotent.
    RetryIfIdempotent,
    /// Report: nothing the caller can do.
    Report,
    /// Stop: the stream or handle has ended.
    Stop,
}

impl ErrorCode {
    /// Every code; tests hold the other languages to this list.
    pub const ALL: &[Self] = &[
        Self::InvalidArgument,
        Self::BadRequest,
        Self::InvalidOffset,
        Self::PayloadTooLarge,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::Gone,
        Self::OffsetWentBackwards,
        Self::AlreadyExists,
        Self::Conflict,
        Self::ContentTypeMismatch,
        Self::SequenceConflict,
        Self::StreamClosed,
        Self::SequenceGap,
        Self::StaleEpoch,
        Self::RateLimited,
        Self::NotSupported,
        Self::Busy,
        Self::UnexpectedStatus,
        Self::NetworkError,
        Self::Timeout,
        Self::ParseError,
        Self::Cancelled,
        Self::AlreadyClosed,
        Self::InternalError,
    ];

    /// The code as other languages and the conformance kit spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::BadRequest => "BAD_REQUEST",
            Self::InvalidOffset => "INVALID_OFFSET",
            Self::PayloadTooLarge => "PAYLOAD_TOO_LARGE",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Forbidden => "FORBIDDEN",
            Self::NotFound => "NOT_FOUND",
            Self::Gone => "GONE",
            Self::OffsetWentBackwards => "OFFSET_WENT_BACKWARDS",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::Conflict => "CONFLICT",
            Self::ContentTypeMismatch => "CONTENT_TYPE_MISMATCH",
            Self::SequenceConflict => "SEQUENCE_CONFLICT",
            Self::StreamClosed => "STREAM_CLOSED",
            Self::SequenceGap => "SEQUENCE_GAP",
            Self::StaleEpoch => "STALE_EPOCH",
            Self::RateLimited => "RATE_LIMITED",
            Self::NotSupported => "NOT_SUPPORTED",
            Self::Busy => "BUSY",
            Self::UnexpectedStatus => "UNEXPECTED_STATUS",
            Self::NetworkError => "NETWORK_ERROR",
            Self::Timeout => "TIMEOUT",
            Self::ParseError => "PARSE_ERROR",
            Self::Cancelled => "CANCELLED",
            Self::AlreadyClosed => "ALREADY_CLOSED",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }

    /// What the caller can do.
    pub const fn remedy(self) -> Remedy {
        match self {
            Self::InvalidArgument
            | Self::BadRequest
            | Self::InvalidOffset
            | Self::PayloadTooLarge
            | Self::ContentTypeMismatch
            | Self::NotSupported => Remedy::FixTheCall,
            Self::Unauthorized | Self::Forbidden => Remedy::FixCredentials,
            Self::NotFound => Remedy::CreateOrStop,
            Self::Gone | Self::OffsetWentBackwards => Remedy::StartOver,
            Self::AlreadyExists | Self::Conflict => Remedy::CompareConfiguration,
            Self::SequenceConflict => Remedy::ReadThenDecide,
            Self::StreamClosed | Self::Cancelled | Self::AlreadyClosed => Remedy::Stop,
            Self::SequenceGap => Remedy::ResendFromExpected,
            Self::StaleEpoch => Remedy::ClaimNewEpoch,
            Self::RateLimited | Self::Busy => Remedy::RetryLater,
            Self::UnexpectedStatus | Self::NetworkError | Self::Timeout => Remedy::RetryIfIdempotent,
            Self::ParseError | Self::InternalError => Remedy::Report,
        }
    }

    /// Whether the server may have carried the request out all the same.
    pub const fn may_be_applied(self) -> bool {
        matches!(
            self,
            Self::UnexpectedStatus
                | Self::NetworkError
                | Self::Timeout
                | Self::ParseError
                | Self::Cancelled
                | Self::InternalError
        )
    }
}

/// What an answer told beyond its status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// HTTP status, if an answer arrived.
    pub status: Option<u16>,
    /// Final offset of a closed stream.
    pub final_offset: Option<String>,
    /// Epoch in force, of a stale-epoch answer.
    pub current_epoch: Option<u64>,
    /// Sequence number the server would accept, of a gap answer.
    pub expected_seq: Option<u64>,
    /// Sequence number the server received, of a gap answer.
    pub received_seq: Option<u64>,
    /// Least delay the server asked for.
    pub retry_after: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_own_name() {
        let mut names: Vec<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ErrorCode::ALL.len());
    }
}
