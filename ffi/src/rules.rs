//! Rules of the core that hosts ask, so that none restates them.

use durable_streams_bindings::{ErrorCode, code_of, http::StatusCode, is_transient, message};

/// Whether an answer of this status says "not now" rather than "no".
#[uniffi::export]
pub fn is_transient_status(status: u16) -> bool {
    StatusCode::from_u16(status).is_ok_and(is_transient)
}

/// The code of a refusal of which only the status is known, spelt as in the conformance kit.
#[uniffi::export]
pub fn code_of_status(status: u16) -> String {
    StatusCode::from_u16(status).map_or(ErrorCode::UnexpectedStatus, code_of).as_str().to_owned()
}

/// Whether streams of this content type hold JSON messages.
#[uniffi::export]
pub fn is_json_type(content_type: String) -> bool {
    message::is_json(&content_type)
}
