//! Rules of the core for the JavaScript that talks HTTP without it: the exported helpers
//! around `fetch`, and the errors made of answers that others received.

use durable_streams::{
    ErrorCode, RetryPolicy,
    protocol::{
        request,
        response::{self, ReplyHead},
        retry,
    },
};
use durable_streams_bindings::{
    ErrorInfo,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
};
use napi_derive::napi;

use crate::{
    error::{number, thrown},
    stream::RetrySettings,
};

/// What an error answer means.
#[napi(object, object_from_js = false)]
#[derive(Debug, Default)]
pub struct Meaning {
    /// The core's code.
    pub code: String,
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
}

/// What an error answer means when its request is not known.
#[napi]
pub fn meaning_of(status: u16, headers: Vec<(String, String)>) -> Meaning {
    let Ok(status) = StatusCode::from_u16(status) else {
        return Meaning { code: ErrorCode::UnexpectedStatus.as_str().to_owned(), ..Meaning::default() };
    };
    let head = ReplyHead { status, headers: header_map(&headers) };
    // Asking for metadata gives no status a meaning of its own.
    let refusal = response::classify(&request::head::plan(), &head);
    Meaning {
        code: refusal.code.as_str().to_owned(),
        final_offset: refusal.facts.final_offset,
        current_epoch: refusal.facts.current_epoch.map(number),
        expected_seq: refusal.facts.expected_seq.map(number),
        received_seq: refusal.facts.received_seq.map(number),
        retry_after_ms: refusal.facts.retry_after.map(|delay| delay.as_secs_f64() * 1000.0),
    }
}

/// Whether an answer of this status says "not now" rather than "no".
#[napi]
pub fn is_transient_status(status: u16) -> bool {
    StatusCode::from_u16(status).is_ok_and(retry::is_transient)
}

/// How long to wait before retry number `retry`, 0 for the first: `null` when there are no
/// more. `random` lies from 0 up to 1; `headers` are those of the failed answer, if one came.
/// Units: ms.
#[napi]
pub fn retry_delay(
    settings: RetrySettings,
    retry: u32,
    random: f64,
    headers: Vec<(String, String)>,
) -> napi::Result<Option<f64>> {
    let policy = retry::RetryNumbers::from(settings)
        .check(&RetryPolicy::DEFAULT)
        .map_err(|invalid| thrown(&ErrorInfo::invalid(invalid.argument, invalid.reason)))?;
    // The policy looks at the upper 53 bits, as many as a double has.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and NaN is 0")]
    let entropy = (random * (1_u64 << 53) as f64) as u64;
    let floor = response::retry_after(&header_map(&headers));
    let delay = policy.delay(retry, entropy.saturating_mul(1 << 11), floor);
    Ok(delay.map(|delay| delay.as_secs_f64() * 1000.0))
}

/// Headers as JavaScript gives them, without those no HTTP answer can carry.
fn header_map(pairs: &[(String, String)]) -> HeaderMap {
    pairs
        .iter()
        .filter_map(|(name, value)| {
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value.as_bytes()).ok()?))
        })
        .collect()
}
