//! Failures of the engine as answers: the status of protocol.md, and a sentence that
//! names the header or parameter, its value and the way out.

use durable_streams_protocol::{headers, produce::decide::ProducerState};
use http::{HeaderValue, StatusCode, header};

use super::{
    answer::{self, Answer, bad_request, refuse},
    upload::UploadError,
    write::set_integer,
};
use crate::{
    engine::types::{AppendError, CreateError, DeleteError, LookupError, ReadError},
    path::StreamPath,
    store::StoreError,
};

/// A stream that cannot be looked up.
pub(crate) fn lookup(path: &StreamPath, error: LookupError) -> Answer {
    match error {
        LookupError::NotFound => refuse(StatusCode::NOT_FOUND, format_args!("there is no stream {path}")),
        LookupError::Gone => {
            refuse(StatusCode::GONE, format_args!("the stream {path} is deleted; only its forks can still be read"))
        }
    }
}

/// A read that failed.
pub(crate) fn read(path: &StreamPath, error: &ReadError) -> Answer {
    match error {
        ReadError::Lookup(error) => lookup(path, *error),
        ReadError::Offset => bad_request("the query parameter offset is not an offset this stream returned"),
        ReadError::Store(error) => store(error),
    }
}

/// A create that failed.
pub(crate) fn create(path: &StreamPath, error: &CreateError) -> Answer {
    match error {
        CreateError::Exists(_) => refuse(
            StatusCode::CONFLICT,
            format_args!("{error}; repeat the settings it was created with, or choose another path than {path}"),
        ),
        CreateError::SoftDeleted | CreateError::SourceSoftDeleted(_) | CreateError::SourceContentType(_) => {
            refuse(StatusCode::CONFLICT, error)
        }
        CreateError::SourceMissing(_) => answer::not_found(error),
        CreateError::ForkOffset(_) | CreateError::ForkSubOffset { .. } | CreateError::Json(_) => bad_request(error),
        CreateError::TooManyStreams(_) => answer::overloaded(error),
        CreateError::Store(error) => store(error),
    }
}

/// An append that failed. The headers of the request make the text concrete.
pub(crate) fn append(
    path: &StreamPath,
    error: &AppendError,
    content_type: Option<&str>,
    seq: Option<&HeaderValue>,
    claim: Option<ProducerState>,
) -> Answer {
    match error {
        AppendError::NotFound => lookup(path, LookupError::NotFound),
        AppendError::Gone => lookup(path, LookupError::Gone),
        AppendError::Closed(end) => {
            let mut answer = refuse(StatusCode::CONFLICT, format_args!("{error}; nothing can be appended"));
            answer::set_flag(answer.headers_mut(), headers::STREAM_CLOSED, true);
            answer::set_next_offset(answer.headers_mut(), *end);
            answer
        }
        AppendError::ContentType(_) => refuse(
            StatusCode::CONFLICT,
            format_args!("{error}: Content-Type is {:?}", content_type.unwrap_or_default()),
        ),
        AppendError::StaleEpoch(epoch) => {
            let sent = claim.map_or(0, |claim| claim.epoch);
            let mut answer = refuse(StatusCode::FORBIDDEN, format_args!("{error}: it is {sent}"));
            set_integer(answer.headers_mut(), headers::PRODUCER_EPOCH, *epoch);
            answer
        }
        AppendError::EpochMustStartAtZero => {
            let (epoch, seq) = claim.map_or((0, 0), |claim| (claim.epoch, claim.seq));
            bad_request(format_args!("{error}: epoch {epoch} came with {seq}"))
        }
        AppendError::Gap { expected, received } => {
            let mut answer = refuse(StatusCode::CONFLICT, error);
            set_integer(answer.headers_mut(), headers::PRODUCER_EXPECTED_SEQ, *expected);
            set_integer(answer.headers_mut(), headers::PRODUCER_RECEIVED_SEQ, *received);
            answer
        }
        AppendError::SeqConflict => {
            let sent = String::from_utf8_lossy(seq.map_or(&[][..], HeaderValue::as_bytes)).into_owned();
            refuse(StatusCode::CONFLICT, format_args!("{error}: it is {sent:?}, compared byte by byte"))
        }
        AppendError::Json(_) => bad_request(error),
        AppendError::Store(error) => store(error),
    }
}

/// A delete that failed.
pub(crate) fn delete(path: &StreamPath, error: &DeleteError) -> Answer {
    match error {
        DeleteError::Lookup(error) => lookup(path, *error),
        DeleteError::Store(error) => store(error),
    }
}

/// A body that was not taken in.
pub(crate) fn upload(error: UploadError) -> Answer {
    let mut answer = match error {
        UploadError::TooLarge { limit } => refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            format_args!("the body is longer than this server's limit of {limit} bytes; send it in smaller appends"),
        ),
        UploadError::Broken => bad_request("the body ended before its announced end"),
        UploadError::Stalled => refuse(StatusCode::REQUEST_TIMEOUT, "the body stopped arriving"),
    };
    // What is left of the body must not be taken for the next request.
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// A store that failed. The client learns that, the log learns why.
fn store(error: &StoreError) -> Answer {
    match error {
        StoreError::Full(_) => {
            tracing::error!(%error, "storage full");
            refuse(StatusCode::INSUFFICIENT_STORAGE, "the server's storage is full; nothing was written")
        }
        StoreError::Failed(_) | StoreError::Conflict(_) => {
            tracing::error!(%error, "storage failed");
            refuse(StatusCode::INTERNAL_SERVER_ERROR, "the server's storage failed")
        }
    }
}
