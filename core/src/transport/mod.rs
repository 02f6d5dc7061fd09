//! The transport: the one place where bytes meet a network. The client asks for
//! whole requests and pulls answer bodies piece by piece; [`reqwest`] is the
//! default implementation, tests and hosts bring their own.

use std::{error::Error, future::Future, pin::Pin, sync::Arc};

use bytes::{Bytes, BytesMut};
pub use durable_streams_protocol::response::{ReplyHead, TransportFailure, TransportFailureKind};
use futures_core::Stream;
use futures_util::StreamExt as _;

#[cfg(feature = "rustls")]
pub mod reqwest;
#[cfg(any(test, feature = "testing"))]
pub mod scripted;

/// A boxed future, as the object-safe [`Transport`] returns it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The body of a request that comes piece by piece. An error breaks the request off.
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, Box<dyn Error + Send + Sync>>> + Send>>;

/// Sends HTTP requests. Dropping a returned future or body aborts the exchange; that is
/// also how the client enforces its time limits.
pub trait Transport: Send + Sync + 'static {
    /// Sends one request and resolves with the answer's head; the body follows on demand.
    /// Redirects are answers like others: the client follows them itself, so that
    /// credentials never reach another origin.
    fn send(&self, request: http::Request<Bytes>) -> BoxFuture<'_, Result<Reply, TransportFailure>>;

    /// Sends one request whose body is still being made, and resolves as
    /// [`Transport::send`] does. A transport that cannot stream collects the body first; so
    /// does this default.
    fn send_streaming(
        &self,
        request: http::Request<()>,
        mut body: BodyStream,
    ) -> BoxFuture<'_, Result<Reply, TransportFailure>> {
        Box::pin(async move {
            let mut whole = BytesMut::new();
            while let Some(piece) = body.next().await {
                whole.extend_from_slice(&piece.map_err(body_failure)?);
            }
            self.send(request.map(|()| whole.freeze())).await
        })
    }
}

/// The failure of a request whose body could not be made.
pub(crate) fn body_failure(error: Box<dyn Error + Send + Sync>) -> TransportFailure {
    TransportFailure {
        kind: TransportFailureKind::Local,
        detail: format!("the body ended with an error: {error}"),
        source: Some(Arc::from(error)),
    }
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

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply").field("head", &self.head).finish_non_exhaustive()
    }
}
