//! The transport: the one place where bytes meet a network. The client asks for
//! whole requests and pulls answer bodies piece by piece; [`reqwest`] is the
//! default implementation, tests and hosts bring their own.

use std::{future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
pub use durable_streams_protocol::response::{ReplyHead, TransportFailure, TransportFailureKind};

/// A boxed future, as the object-safe [`Transport`] returns it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Sends HTTP requests. Dropping a returned future or body aborts the exchange.
pub trait Transport: Send + Sync + 'static {
    /// Sends one request and resolves with the answer's head; the body follows on demand.
    /// Redirects to another origin must not carry credentials.
    fn send(&self, request: http::Request<Bytes>, limits: Limits) -> BoxFuture<'_, Result<Reply, TransportFailure>>;
}

/// Time limits of one exchange.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Whole exchange, body included; `None` = no limit.
    pub total: Option<Duration>,
    /// Longest silence between two pieces of the body; `None` = no limit.
    pub idle: Option<Duration>,
}

/// An answer whose body has not been read yet.
pub struct Reply {
    /// Status and headers.
    pub head: ReplyHead,
    /// The body, pulled piece by piece.
    pub body: Box<dyn ReplyBody>,
}

/// The body of an answer.
pub trait ReplyBody: Send {
    /// The next piece, or `None` at the clean end. A body shorter than announced is
    /// a [`TransportFailureKind::Broken`] failure, never a clean end.
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportFailure>>;
}
