//! Which failure an answer means. Status and headers decide, never the body
//! (protocol.md §3.4).

use std::time::{Duration, SystemTime};

use http::{
    HeaderMap, StatusCode,
    header::{DATE, RETRY_AFTER},
};

use super::{Refusal, ReplyHead};
use crate::{
    error::{ErrorCode, Facts},
    headers,
    request::{Operation, RequestPlan},
};

/// Longest wait a server can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Names the failure of an answer that is not the operation's success. The request takes
/// part because a bare 409 has several meanings.
pub fn classify(plan: &RequestPlan, head: &ReplyHead) -> Box<Refusal> {
    let (code, detail) = meaning(plan, head);
    let map = &head.headers;
    let closed = code == ErrorCode::StreamClosed;
    let facts = Facts {
        status: Some(head.status.as_u16()),
        final_offset: headers::text(map, &headers::STREAM_NEXT_OFFSET).filter(|_| closed).map(str::to_owned),
        current_epoch: headers::integer(map, &headers::PRODUCER_EPOCH).filter(|_| code == ErrorCode::StaleEpoch),
        expected_seq: headers::integer(map, &headers::PRODUCER_EXPECTED_SEQ),
        received_seq: headers::integer(map, &headers::PRODUCER_RECEIVED_SEQ),
        retry_after: retry_after(map),
    };
    Box::new(Refusal { code, facts, detail: detail.to_owned() })
}

/// The least delay an answer asks for: `Retry-After` as seconds, or as a date compared
/// with the answer's own `Date`. Units: at most one hour.
/// Source: protocol.md §25.4.
pub fn retry_after(map: &HeaderMap) -> Option<Duration> {
    let value = headers::text(map, &RETRY_AFTER)?.trim();
    let delay = if value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits beyond u64 ask for longer than anyone waits.
        value.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs)
    } else {
        let date = |text: &str| httpdate::parse_http_date(text).ok();
        let sent: SystemTime = headers::text(map, &DATE).and_then(date)?;
        date(value)?.duration_since(sent).unwrap_or_default()
    };
    (!value.is_empty()).then_some(delay.min(MAX_RETRY_AFTER))
}

/// The code of a refusal of which only the status is known. [`classify`] says more, where
/// the request and the answer's headers are there.
pub fn code_of(status: StatusCode) -> ErrorCode {
    by_status(status).0
}

fn meaning(plan: &RequestPlan, head: &ReplyHead) -> (ErrorCode, &'static str) {
    let map = &head.headers;
    match head.status {
        StatusCode::BAD_REQUEST if plan.operation == Operation::Read => {
            (ErrorCode::InvalidOffset, "the server refused the read's parameters; the offset is not one it issued")
        }
        StatusCode::FORBIDDEN if map.contains_key(headers::PRODUCER_EPOCH) => {
            (ErrorCode::StaleEpoch, "a newer writer holds this producer id")
        }
        StatusCode::CONFLICT => conflict(plan, map),
        status => by_status(status),
    }
}

fn by_status(status: StatusCode) -> (ErrorCode, &'static str) {
    match status {
        StatusCode::BAD_REQUEST => (ErrorCode::BadRequest, "the server refused the request as malformed"),
        StatusCode::UNAUTHORIZED => (ErrorCode::Unauthorized, "credentials are missing or not valid"),
        StatusCode::FORBIDDEN => (ErrorCode::Forbidden, "these credentials do not allow it"),
        StatusCode::NOT_FOUND => (ErrorCode::NotFound, "there is no such stream"),
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
            (ErrorCode::NotSupported, "the server does not support this operation")
        }
        StatusCode::CONFLICT => (ErrorCode::Conflict, "the request conflicts with the stream's state"),
        StatusCode::GONE => (ErrorCode::Gone, "the data or the stream is gone for good"),
        StatusCode::PAYLOAD_TOO_LARGE => (ErrorCode::PayloadTooLarge, "the body is larger than the server accepts"),
        StatusCode::TOO_MANY_REQUESTS => (ErrorCode::RateLimited, "the server asks to slow down"),
        StatusCode::SERVICE_UNAVAILABLE => (ErrorCode::Busy, "the server is overloaded or stopping"),
        status if status.is_redirection() => {
            (ErrorCode::UnexpectedStatus, "the server redirects in a way that cannot be followed safely")
        }
        status if status.is_server_error() => (ErrorCode::UnexpectedStatus, "the server failed"),
        _ => (ErrorCode::UnexpectedStatus, "the protocol gives this status no meaning here"),
    }
}

/// The kinds of 409, in the order of protocol.md §3.4. After closure and gap, a write
/// leaves two reasons: `Stream-Seq`, if it carried one, else the content type.
fn conflict(plan: &RequestPlan, map: &HeaderMap) -> (ErrorCode, &'static str) {
    if headers::is_true(map, &headers::STREAM_CLOSED) {
        return (ErrorCode::StreamClosed, "the stream is closed; nothing may follow its final message");
    }
    if map.contains_key(headers::PRODUCER_EXPECTED_SEQ) {
        return (ErrorCode::SequenceGap, "the producer's sequence number skips ahead of what the server accepted");
    }
    match plan.operation {
        Operation::Create if plan.carries(&headers::STREAM_FORKED_FROM) => (
            ErrorCode::AlreadyExists,
            "the stream exists with other settings, or the fork's source is deleted or of another content type",
        ),
        Operation::Create => (ErrorCode::AlreadyExists, "the stream exists with other settings"),
        Operation::Append | Operation::Close if plan.carries(&headers::STREAM_SEQ) => {
            (ErrorCode::SequenceConflict, "`Stream-Seq` is not above the last accepted one")
        }
        Operation::Append | Operation::Close if !plan.body.is_empty() => {
            (ErrorCode::ContentTypeMismatch, "the content type differs from the stream's")
        }
        Operation::Append | Operation::Close | Operation::Delete | Operation::Head | Operation::Read => {
            by_status(StatusCode::CONFLICT)
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn retry_after_reads_seconds_and_dates_up_to_an_hour() {
        let with = |value: &'static str| {
            let mut map = HeaderMap::new();
            map.insert(DATE, HeaderValue::from_static("Wed, 21 Oct 2026 07:28:00 GMT"));
            map.insert(RETRY_AFTER, HeaderValue::from_static(value));
            retry_after(&map)
        };
        assert_eq!(with("7"), Some(Duration::from_secs(7)));
        assert_eq!(with("0"), Some(Duration::ZERO));
        assert_eq!(with("86400"), Some(MAX_RETRY_AFTER));
        assert_eq!(with("99999999999999999999999"), Some(MAX_RETRY_AFTER));
        assert_eq!(with("Wed, 21 Oct 2026 07:28:30 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(with("Wed, 21 Oct 2026 07:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(with("Thu, 22 Oct 2026 07:28:00 GMT"), Some(MAX_RETRY_AFTER));
        for odd in ["", "soon", "-1", "1.5"] {
            assert_eq!(with(odd), None, "{odd:?}");
        }
    }
}
