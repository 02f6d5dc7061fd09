//! What every language binding stands on: owned types that cross a border as they are, one
//! runtime per process, operations that can be cancelled, errors with everything known.
//!
//! What it is not: a place for protocol decisions; those live in the core. And not a place
//! for niceties of one language; those live in its package.
//!
//! Read next: [`call`] for how an operation is started or waited for, [`stream`], [`reader`]
//! and [`producer`] for what can be done, [`runtime`] for where it runs and what a fork means.

pub mod call;
pub mod cancel;
pub mod client;
pub mod error;
pub mod json;
pub mod message;
pub mod producer;
pub mod reader;
pub mod runtime;
#[cfg(feature = "server")]
pub mod server;
pub mod stream;

pub use bytes::Bytes;
pub use durable_streams::{
    BoxError, ErrorCode, LiveMode,
    protocol::{response::code_of, retry::is_transient},
    transport::{BoxFuture, Reply, ReplyBody, ReplyHead, Transport, TransportFailure, TransportFailureKind},
};
pub use http;

pub use crate::{cancel::CancelHandle, error::ErrorInfo};
