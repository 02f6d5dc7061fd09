//! The default transport: reqwest with rustls, the ring provider and the platform's
//! trusted roots; HTTP/1.1, and HTTP/2 where the server offers it.

use std::{error::Error, net::IpAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, header::ACCEPT_ENCODING};
use reqwest::{Body, redirect};

use super::{BodyStream, BoxFuture, Reply, ReplyBody, ReplyHead, Transport, TransportFailure, TransportFailureKind};

/// Sends requests through a [`reqwest::Client`].
#[derive(Debug, Clone)]
pub struct ReqwestTransport {
    client: reqwest::Client,
}

/// Settings of the client's own connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionOptions {
    pub(crate) connect_timeout: Duration,
    pub(crate) http2_prior_knowledge: bool,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(10), http2_prior_knowledge: false }
    }
}

impl ReqwestTransport {
    /// Wraps a client with the caller's own settings. Its redirect policy should be
    /// [`reqwest::redirect::Policy::none`]: reqwest turns a redirected POST into a GET.
    pub fn new(client: reqwest::Client) -> Self {
        Self { client }
    }

    /// Builds a client with this crate's settings.
    pub(crate) fn with_options(options: ConnectionOptions) -> Result<Self, reqwest::Error> {
        let build = || {
            let builder = client_builder().connect_timeout(options.connect_timeout);
            if options.http2_prior_knowledge { builder.http2_prior_knowledge() } else { builder }
        };
        let client = build().build().or_else(|error| {
            // A machine without trusted roots can still speak plain HTTP; HTTPS requests
            // then fail one by one, with the verifier's own words.
            tracing::warn!(%error, "no trusted TLS roots; HTTPS requests will be refused");
            build().tls_certs_only([]).build()
        })?;
        Ok(Self { client })
    }
}

/// A reqwest builder with this crate's settings: the ring provider, `TCP_NODELAY`, gzip and
/// brotli (not asked for on loopback), a 10 s connect timeout, redirects left to the stream client. For callers who
/// add their own settings and pass the result to
/// [`ClientBuilder::http_client`](crate::ClientBuilder::http_client).
pub fn client_builder() -> reqwest::ClientBuilder {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Lost races are fine: some provider is in place then.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    reqwest::Client::builder()
        .connect_timeout(ConnectionOptions::default().connect_timeout)
        .redirect(redirect::Policy::none())
        .tcp_nodelay(true)
        .http2_adaptive_window(true)
        .user_agent(concat!("durable-streams-rust/", env!("CARGO_PKG_VERSION")))
}

impl ReqwestTransport {
    async fn execute(&self, mut request: reqwest::Request) -> Result<Reply, TransportFailure> {
        if is_this_machine(request.url()) {
            // Packing and unpacking take longer than the way: a few times, for JSON.
            request.headers_mut().entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("identity"));
        }
        let mut response = self.client.execute(request).await.map_err(|error| failure(error, Local::No))?;
        let head = ReplyHead { status: response.status(), headers: std::mem::take(response.headers_mut()) };
        Ok(Reply { head, body: Box::new(ReqwestBody(response)) })
    }
}

impl Transport for ReqwestTransport {
    fn send(&self, request: http::Request<Bytes>) -> BoxFuture<'_, Result<Reply, TransportFailure>> {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let needs_length = body.is_empty() && matches!(parts.method, Method::POST | Method::PUT);
            let request = http::Request::from_parts(parts, Body::from(body));
            let mut request = reqwest::Request::try_from(request).map_err(|error| failure(error, Local::Yes))?;
            if needs_length {
                // Some proxies answer 411 to a POST that does not say that its body is empty.
                request.headers_mut().insert(http::header::CONTENT_LENGTH, 0.into());
            }
            self.execute(request).await
        })
    }

    fn send_streaming(
        &self,
        request: http::Request<()>,
        body: BodyStream,
    ) -> BoxFuture<'_, Result<Reply, TransportFailure>> {
        Box::pin(async move {
            let request = request.map(|()| Body::wrap_stream(body));
            let request = reqwest::Request::try_from(request).map_err(|error| failure(error, Local::Yes))?;
            self.execute(request).await
        })
    }
}

/// Whether a URL leads to this very machine.
fn is_this_machine(url: &reqwest::Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or_else(|_| host == "localhost", |address| address.is_loopback())
}

struct ReqwestBody(reqwest::Response);

impl ReplyBody for ReqwestBody {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportFailure>> {
        Box::pin(async move { self.0.chunk().await.map_err(|error| failure(error, Local::No)) })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Local {
    Yes,
    No,
}

fn failure(error: reqwest::Error, local: Local) -> TransportFailure {
    let kind = if local == Local::Yes || error.is_builder() {
        TransportFailureKind::Local
    } else if error.is_connect() {
        TransportFailureKind::Connect
    } else if error.is_timeout() {
        TransportFailureKind::Timeout
    } else {
        TransportFailureKind::Broken
    };
    // The URL is in the failure's own text, without credentials and query.
    let error = error.without_url();
    TransportFailure::new(kind, words(&error)).caused_by(error)
}

/// An error and its causes in one line; reqwest's own text leaves the causes out.
fn words(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}
