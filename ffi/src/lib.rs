//! The client core through UniFFI: objects and records for Swift and Kotlin.
//!
//! What it is: one export per operation of `durable_streams_bindings`, with owned records in
//! and out. Reading is pulled, batch by batch; every operation takes a [`FfiCancel`], because
//! a Swift task that is cancelled does not drop its Rust future.
//!
//! What it is not: an API for people. The idiomatic layers in `swift/` and
//! `bindings/kotlin/` stand on it and hide it.
//!
//! Read next: [`stream`], then [`reader`] and [`producer`].

// UniFFI's macros export by value and generate code without documentation.
#![allow(clippy::needless_pass_by_value, reason = "exported functions take owned values")]
#![allow(clippy::result_large_err, reason = "the error enum itself crosses the border")]

mod blob;
mod call;
mod error;
mod piece;
mod producer;
mod provider;
mod quick;
mod reader;
mod rules;
#[cfg(feature = "server")]
mod server;
mod settings;
mod stream;
mod taking;
mod transport;

#[cfg(feature = "server")]
pub use crate::server::{FaultSettings, FfiServer, ServerSettings, SseEvent, start_server};
pub use crate::{
    blob::Blob,
    call::FfiCancel,
    error::{CoreError, ErrorDetails},
    piece::{FfiBytes, Piece},
    producer::{Acknowledgement, ErrorListener, FfiProducer, FfiReceipt, ProducerSettings},
    provider::{ProviderError, Resolved, ValueProvider},
    reader::{FfiReader, LiveMode, ReadSettings, ReadState},
    rules::{code_of_status, is_json_type, is_transient_status},
    settings::{ClientSettings, NameValue, RetrySettings},
    stream::{
        AppendSettings, Appended, Batching, BodySource, Closed, CreateSettings, Created, FfiStream, Head, MessageKind,
        Told,
    },
    transport::{HttpBody, HttpFailure, HttpRequest, HttpResponse, HttpTransport},
};

uniffi::setup_scaffolding!("durable_streams");

/// The version of the core.
#[uniffi::export]
pub fn core_version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}
