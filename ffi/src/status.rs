//! What a status alone says: the core's own table, for hosts that name errors of answers they
//! got by other ways.

use durable_streams_bindings::{ErrorCode, code_of, http::StatusCode, is_transient};

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
