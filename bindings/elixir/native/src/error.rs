//! Errors of the core as maps; `DurableStreams.Error` makes an exception of one, and its
//! `reason` is what functions return.

use durable_streams_bindings::{ErrorCode, ErrorInfo};
use rustler::{Encoder, Env, Term};

use crate::provider;

rustler::atoms! {
    attempts, code, detail, final_offset, headers, may_be_applied, operation, reason, retry_after_ms, server_text,
    status, url,
    bad_request, cancelled, closed, conflict, content_type_mismatch, forbidden, gone, internal_error,
    invalid_argument, json_decode_error, network_error, not_supported, seq_conflict, sequence_gap, stale_epoch,
    stream_closed, stream_exists, stream_not_found, timeout, unauthorized, unexpected_status,
}

/// Everything known of an error.
pub(crate) fn details<'a>(env: Env<'a>, error: &ErrorInfo) -> Term<'a> {
    let record = error.record();
    rustler::term_map!(env, {
        reason() => reason_of(env, error),
        code() => record.code,
        detail() => record.detail,
        status() => record.status,
        server_text() => record.server_text,
        url() => record.url,
        operation() => record.operation,
        final_offset() => record.final_offset,
        retry_after_ms() => record.retry_after_ms,
        headers() => record.headers,
        may_be_applied() => record.may_be_applied,
        attempts() => record.attempts,
    })
}

/// What programs match on.
fn reason_of<'a>(env: Env<'a>, error: &ErrorInfo) -> Term<'a> {
    if let Some(exception) = error.host_error().and_then(|host| provider::exception(env, host)) {
        return exception;
    }
    let facts = error.failure().facts();
    let text = || error.failure().server_text().unwrap_or_default().to_owned();
    match error.code() {
        ErrorCode::NotFound => stream_not_found().encode(env),
        ErrorCode::AlreadyExists => stream_exists().encode(env),
        ErrorCode::StreamClosed => stream_closed().encode(env),
        ErrorCode::SequenceConflict => seq_conflict().encode(env),
        ErrorCode::Conflict => conflict().encode(env),
        ErrorCode::ContentTypeMismatch => content_type_mismatch().encode(env),
        ErrorCode::Unauthorized => unauthorized().encode(env),
        ErrorCode::Forbidden => forbidden().encode(env),
        ErrorCode::StaleEpoch => (stale_epoch(), facts.current_epoch).encode(env),
        ErrorCode::SequenceGap => (sequence_gap(), facts.expected_seq, facts.received_seq).encode(env),
        // No answer of the protocol names the earliest offset that is left.
        ErrorCode::Gone => (gone(), None::<String>).encode(env),
        ErrorCode::BadRequest | ErrorCode::InvalidOffset => (bad_request(), text()).encode(env),
        ErrorCode::RateLimited
        | ErrorCode::Busy
        | ErrorCode::PayloadTooLarge
        | ErrorCode::NotSupported
        | ErrorCode::UnexpectedStatus => match error.status() {
            Some(status) => (unexpected_status(), status, text()).encode(env),
            None => (not_supported(), error.detail()).encode(env),
        },
        ErrorCode::ParseError | ErrorCode::OffsetWentBackwards => (json_decode_error(), error.detail()).encode(env),
        ErrorCode::Timeout => timeout().encode(env),
        ErrorCode::NetworkError => {
            (network_error(), error.cause().unwrap_or_else(|| error.detail().to_owned())).encode(env)
        }
        ErrorCode::Cancelled => cancelled().encode(env),
        ErrorCode::AlreadyClosed => closed().encode(env),
        ErrorCode::InvalidArgument => (invalid_argument(), error.detail()).encode(env),
        ErrorCode::InternalError => (internal_error(), error.detail()).encode(env),
    }
}
