//! Errors of the core as exceptions; `DurableStreams::Errors` picks the class.

use std::sync::Arc;

use durable_streams_bindings::ErrorInfo;
use magnus::{Error, Exception, RHash, RModule, Ruby, error::ErrorType, prelude::*};

use crate::host::Kept;

/// What is raised: the host's own exception if a callable raised one.
pub(crate) fn raised(ruby: &Ruby, error: &ErrorInfo) -> Error {
    let own = error.host_error().and_then(|host| host.downcast_ref::<Arc<Kept>>());
    if let Some(exception) = own.and_then(|kept| kept.exception(ruby)) {
        return exception.into();
    }
    match build(ruby, error) {
        Ok(exception) => exception.into(),
        Err(error) => error,
    }
}

/// The exception that an error raises.
pub(crate) fn to_exception(ruby: &Ruby, error: &Error) -> Result<Exception, Error> {
    match error.error_type() {
        ErrorType::Exception(exception) => Ok(*exception),
        ErrorType::Error(class, text) => class.new_instance((text.as_ref(),)),
        ErrorType::Jump(_) => Err(Error::new(ruby.exception_runtime_error(), "a jump is no exception")),
    }
}

fn build(ruby: &Ruby, error: &ErrorInfo) -> Result<Exception, Error> {
    let record = error.record();
    let facts: RHash = ruby.hash_new();
    let set = |name: &str, value: Option<String>| facts.aset(ruby.to_symbol(name), value);
    let set_number = |name: &str, value: Option<u64>| facts.aset(ruby.to_symbol(name), value);
    set("reason", Some(record.code))?;
    set("message", Some(record.text))?;
    set("detail", Some(record.detail))?;
    set("url", record.url)?;
    set("operation", record.operation)?;
    set("final_offset", record.final_offset)?;
    set("server_text", record.server_text)?;
    set_number("status", record.status.map(u64::from))?;
    set_number("current_epoch", record.current_epoch)?;
    set_number("expected_seq", record.expected_seq)?;
    set_number("received_seq", record.received_seq)?;
    set_number("retry_after_ms", record.retry_after_ms)?;
    facts.aset(ruby.to_symbol("headers"), ruby.hash_from_iter(record.headers))?;
    facts.aset(ruby.to_symbol("may_be_applied"), record.may_be_applied)?;
    facts.aset(ruby.to_symbol("attempts"), record.attempts)?;
    let errors: RModule = ruby.class_object().const_get::<_, RModule>("DurableStreams")?.const_get("Errors")?;
    errors.funcall("build", (facts,))
}
