//! The client: what all streams of a program share.

use std::{error::Error, fmt, future::Future, sync::Arc, time::Duration};

use durable_streams_protocol::retry::RetryPolicy;
use http::HeaderMap;

#[cfg(feature = "rustls")]
use crate::transport::reqwest::{ConnectionOptions, ReqwestTransport};
use crate::{
    driver::{
        exchange::{BoxError, Exchange, Provided, Provider},
        limits::Timeouts,
        url::{Params, refuse_reserved},
    },
    error::{InvalidHeaderError, StreamError},
    host::{Host, TokioHost},
    options::{UserHeaders, parse_header},
    stream::DurableStream,
    transport::Transport,
};

/// A client: connections, default headers, time limits, retry policy. Clones share
/// everything and are cheap.
#[derive(Clone)]
pub struct Client {
    exchange: Arc<Exchange>,
    base_url: Option<Arc<str>>,
}

impl Client {
    /// A client with default settings.
    ///
    /// # Panics
    /// When the HTTP stack cannot start; [`Client::builder`] reports it instead.
    #[cfg(feature = "rustls")]
    pub fn new() -> Self {
        match Self::builder().build() {
            Ok(client) => client,
            Err(error) => panic!("the HTTP stack cannot start: {error}"),
        }
    }

    /// Starts a client with settings.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// A handle to a stream, without any I/O. A URL of its own stands as it is; anything
    /// else is a name below the base URL.
    pub fn stream(&self, url: &str) -> DurableStream {
        DurableStream::new(self.clone(), url)
    }

    /// The URL that relative stream names start from, without a trailing `/`.
    pub fn base_url(&self) -> Option<&str> {
        self.base_url.as_deref()
    }

    /// A builder with this client's settings; clients built from it share its connections.
    pub fn to_builder(&self) -> ClientBuilder {
        let exchange = &self.exchange;
        let mut headers = UserHeaders::default();
        headers.replace(exchange.headers.clone());
        ClientBuilder {
            base_url: self.base_url.as_deref().map(str::to_owned),
            headers,
            header_providers: exchange.header_providers.clone(),
            params: exchange.params.clone(),
            param_providers: exchange.param_providers.clone(),
            timeouts: exchange.timeouts,
            retry: exchange.retry,
            transport: Some(Arc::clone(&exchange.transport)),
            host: Some(Arc::clone(&exchange.host)),
            ..ClientBuilder::default()
        }
    }

    /// What every request shares.
    pub(crate) const fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }
}

#[cfg(feature = "rustls")]
impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Header values may be credentials.
        f.debug_struct("Client").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// Settings of a client.
#[derive(Default)]
#[must_use]
pub struct ClientBuilder {
    base_url: Option<String>,
    headers: UserHeaders,
    header_providers: Vec<Provider<HeaderMap>>,
    params: Params,
    param_providers: Vec<Provider<Params>>,
    timeouts: Timeouts,
    retry: RetryPolicy,
    transport: Option<Arc<dyn Transport>>,
    host: Option<Arc<dyn Host>>,
    #[cfg(feature = "rustls")]
    connection: ConnectionOptions,
}

impl ClientBuilder {
    /// Sets the URL that relative stream names are joined to, by plain concatenation with
    /// exactly one `/`.
    pub fn base_url(mut self, base_url: impl Into<String>) -> Self {
        self.base_url = Some(base_url.into());
        self
    }

    /// Limits one whole exchange; for reads, the wait for the next piece. Default: 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.request = timeout;
        self
    }

    /// Limits how long a long-poll may stay unanswered. Default: 65 s; keep it at least
    /// 10 s above what the server holds.
    pub fn long_poll_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.long_poll = timeout;
        self
    }

    /// Limits the silence of a server-sent-events answer. Default: 90 s.
    pub fn sse_idle_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.sse_idle = timeout;
        self
    }

    /// Sets how failed requests are repeated. Default: [`RetryPolicy::DEFAULT`].
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Adds a header to every request. An unusable one fails [`ClientBuilder::build`].
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.add(name, value);
        self
    }

    /// Adds a header to every request; the same as [`ClientBuilder::header`].
    pub fn default_header(self, name: &str, value: &str) -> Self {
        self.header(name, value)
    }

    /// Adds a header to every request, or says at once that it is unusable.
    pub fn try_default_header(mut self, name: &str, value: &str) -> Result<Self, InvalidHeaderError> {
        parse_header(name, value)?;
        self.headers.add(name, value);
        Ok(self)
    }

    /// Replaces the headers of every request.
    pub fn default_headers(mut self, headers: HeaderMap) -> Self {
        self.headers.replace(headers);
        self
    }

    /// Adds a source of headers that is asked before every HTTP request, retries and
    /// reconnects included. Its headers replace static ones of the same name. After a 401 it
    /// is asked once more.
    pub fn header_provider(mut self, provider: impl Fn() -> HeaderMap + Send + Sync + 'static) -> Self {
        self.header_providers.push(Arc::new(move || Provided::Now(provider())));
        self
    }

    /// The same as [`ClientBuilder::header_provider`] for a source that has to wait or may
    /// fail, for instance a token service. A failure fails the request, which is not sent.
    pub fn header_provider_async<F, R>(mut self, provider: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<HeaderMap, BoxError>> + Send + 'static,
    {
        self.header_providers.push(Arc::new(move || Provided::Later(Box::pin(provider()))));
        self
    }

    /// Adds a query parameter to every request. `offset`, `live` and `cursor` are refused.
    pub fn default_param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.params.push((name.into(), value.into()));
        self
    }

    /// Adds a source of query parameters that is asked before every HTTP request.
    pub fn param_provider(mut self, provider: impl Fn() -> Vec<(String, String)> + Send + Sync + 'static) -> Self {
        self.param_providers.push(Arc::new(move || Provided::Now(provider())));
        self
    }

    /// The same as [`ClientBuilder::param_provider`] for a source that has to wait or may fail.
    pub fn param_provider_async<F, R>(mut self, provider: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<Vec<(String, String)>, BoxError>> + Send + 'static,
    {
        self.param_providers.push(Arc::new(move || Provided::Later(Box::pin(provider()))));
        self
    }

    /// Sends requests through a reqwest client with the caller's own settings. Give it
    /// [`reqwest::redirect::Policy::none`]: reqwest turns a redirected POST into a GET, and
    /// an append would be lost. [`http_client_builder`](crate::http_client_builder) has that set.
    #[cfg(feature = "rustls")]
    pub fn http_client(self, client: reqwest::Client) -> Self {
        self.transport(ReqwestTransport::new(client))
    }

    /// Sends requests through any transport.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// Replaces clock, timers, tasks and entropy.
    pub fn host(mut self, host: impl Host) -> Self {
        self.host = Some(Arc::new(host));
        self
    }

    /// Limits how long making a connection may take. Default: 10 s. Only for the client's
    /// own connections.
    #[cfg(feature = "rustls")]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connection.connect_timeout = timeout;
        self
    }

    /// Speaks HTTP/2 without asking, also without TLS (h2c). Only for the client's own
    /// connections.
    #[cfg(feature = "rustls")]
    pub fn http2_prior_knowledge(mut self) -> Self {
        self.connection.http2_prior_knowledge = true;
        self
    }

    /// Builds the client.
    /// Errors: [`StreamError::InvalidHeader`], [`StreamError::InvalidArgument`] naming the
    /// setting.
    pub fn build(self) -> Result<Client, StreamError> {
        let invalid = |error: &dyn Error| StreamError::InvalidArgument(error.to_string());
        let headers = self.headers.checked()?.clone();
        self.retry.validate().map_err(|error| invalid(&error))?;
        refuse_reserved(&self.params).map_err(|error| invalid(&error))?;
        let base_url = self.base_url.as_deref().map(|url| url.trim_end_matches('/'));
        if let Some(url) = base_url.filter(|url| !crate::driver::url::is_absolute(url)) {
            return Err(StreamError::InvalidArgument(format!("base_url: {url:?} is not an http or https URL")));
        }
        let transport = match self.transport {
            Some(transport) => transport,
            #[cfg(feature = "rustls")]
            None => Arc::new(ReqwestTransport::with_options(self.connection).map_err(|error| {
                StreamError::Other(crate::error::Failure::new(
                    crate::error::ErrorCode::InternalError,
                    error.to_string(),
                ))
            })?),
            #[cfg(not(feature = "rustls"))]
            None => return Err(StreamError::InvalidArgument("transport: none is set and none is built in".to_owned())),
        };
        Ok(Client {
            base_url: base_url.map(Arc::from),
            exchange: Arc::new(Exchange {
                transport,
                host: self.host.unwrap_or_else(|| Arc::new(TokioHost::new())),
                headers,
                header_providers: self.header_providers,
                params: self.params,
                param_providers: self.param_providers,
                timeouts: self.timeouts,
                retry: self.retry,
            }),
        })
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("base_url", &self.base_url)
            .field("timeouts", &self.timeouts)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}
