//! The host's own HTTP client under the core's protocol.

use std::{error::Error, sync::Arc};

use durable_streams_bindings::{
    BoxFuture, Bytes, Reply, ReplyBody, ReplyHead, Transport, TransportFailure, TransportFailureKind,
    client::header_map, http::Request,
};
use http::StatusCode;

use crate::{
    blob::Blob,
    settings::{NameValue, pairs, tuples},
};
use durable_streams_bindings::error::header_pairs;

/// An HTTP client of the host. It must not follow redirects: the core does, so that
/// credentials never reach another origin.
#[uniffi::export(foreign)]
#[async_trait::async_trait]
pub trait HttpTransport: Send + Sync {
    /// Sends a request and returns when the head of the answer is there.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpFailure>;
}

/// The body of an answer, pulled piece by piece.
#[uniffi::export(foreign)]
#[async_trait::async_trait]
pub trait HttpBody: Send + Sync {
    /// The next piece; `None` at the clean end.
    async fn chunk(&self) -> Result<Option<Blob>, HttpFailure>;

    /// Nobody wants the rest: the exchange can be aborted.
    fn close(&self);
}

/// A request.
#[derive(Debug, Clone, uniffi::Record)]
pub struct HttpRequest {
    /// HTTP method.
    pub method: String,
    /// Absolute URL.
    pub url: String,
    /// Headers.
    pub headers: Vec<NameValue>,
    /// Body; empty for none.
    pub body: Blob,
}

/// The head of an answer, and its body to pull.
#[derive(Clone, uniffi::Record)]
pub struct HttpResponse {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<NameValue>,
    /// The body.
    pub body: Arc<dyn HttpBody>,
}

/// How an exchange failed.
#[derive(Debug, Clone, thiserror::Error, uniffi::Error)]
pub enum HttpFailure {
    /// No connection was made: nothing reached the server.
    #[error("{reason}")]
    Connect {
        /// The client's words.
        reason: String,
    },
    /// A time limit passed.
    #[error("{reason}")]
    Timeout {
        /// The client's words.
        reason: String,
    },
    /// The connection broke after the request was on its way.
    #[error("{reason}")]
    Broken {
        /// The client's words.
        reason: String,
    },
}

impl From<uniffi::UnexpectedUniFFICallbackError> for HttpFailure {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Broken { reason: error.reason }
    }
}

impl From<HttpFailure> for TransportFailure {
    fn from(failure: HttpFailure) -> Self {
        let kind = match failure {
            HttpFailure::Connect { .. } => TransportFailureKind::Connect,
            HttpFailure::Timeout { .. } => TransportFailureKind::Timeout,
            HttpFailure::Broken { .. } => TransportFailureKind::Broken,
        };
        Self::new(kind, failure.to_string()).caused_by(failure)
    }
}

/// A host's client as the core uses it.
pub(crate) struct ForeignTransport(pub(crate) Arc<dyn HttpTransport>);

impl Transport for ForeignTransport {
    fn send(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Reply, TransportFailure>> {
        let (parts, body) = request.into_parts();
        let request = HttpRequest {
            method: parts.method.to_string(),
            url: parts.uri.to_string(),
            headers: pairs(header_pairs(&parts.headers)),
            body: body.into(),
        };
        let transport = Arc::clone(&self.0);
        Box::pin(async move {
            let response = transport.send(request).await?;
            let body = Box::new(ForeignBody(response.body));
            let unusable = |error: &dyn Error| {
                let detail = format!("the transport's answer cannot be used: {error}");
                TransportFailure::new(TransportFailureKind::Broken, detail)
            };
            let status = StatusCode::from_u16(response.status).map_err(|error| unusable(&error))?;
            let headers = header_map(&tuples(response.headers)).map_err(|error| unusable(&error))?;
            Ok(Reply { head: ReplyHead { status, headers }, body })
        })
    }
}

struct ForeignBody(Arc<dyn HttpBody>);

impl ReplyBody for ForeignBody {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportFailure>> {
        let body = Arc::clone(&self.0);
        Box::pin(async move { Ok(body.chunk().await?.map(Bytes::from)) })
    }
}

impl Drop for ForeignBody {
    fn drop(&mut self) {
        self.0.close();
    }
}
