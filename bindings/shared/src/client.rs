//! Settings of a handle as host languages give them, and the client made of them. All
//! clients with the same settings of connections share one pool of them.

use std::{fmt, sync::Arc, time::Duration};

pub use durable_streams::protocol::retry::RetryNumbers;
use durable_streams::{
    BoxError, Client, RetryPolicy,
    http::{HeaderMap, HeaderName, HeaderValue},
    transport::{BoxFuture, Reply, Transport, TransportFailure},
};
use http::Request;
use parking_lot::Mutex;

use crate::{
    Bytes,
    error::ErrorInfo,
    runtime::{self, Engine, engine},
};

/// Settings of a client; absent ones keep the core's defaults.
#[derive(Clone, Default)]
pub struct ClientConfig {
    /// URL that relative stream names are joined to.
    pub base_url: Option<String>,
    /// Headers of every request.
    pub headers: Vec<(String, String)>,
    /// Query parameters of every request.
    pub params: Vec<(String, String)>,
    /// Sources of further headers and parameters, asked before every HTTP request.
    pub dynamic: Vec<Arc<dyn Dynamic>>,
    /// Limit of one exchange. Units: ms.
    pub timeout_ms: Option<f64>,
    /// Limit of an unanswered long-poll. Units: ms.
    pub long_poll_timeout_ms: Option<f64>,
    /// Limit of the silence of an SSE answer. Units: ms.
    pub sse_idle_timeout_ms: Option<f64>,
    /// How requests are repeated.
    pub retry: RetryNumbers,
    /// Numbers that `retry` leaves open; the language's defaults.
    pub retry_base: Option<RetryPolicy>,
    /// Speaks HTTP/2 without asking, on connections of its own.
    pub http2_prior_knowledge: bool,
    /// Limit of making a connection, on connections of its own. Units: ms.
    pub connect_timeout_ms: Option<f64>,
    /// The host's own HTTP client.
    pub transport: Option<Arc<dyn Transport>>,
}

/// A source of headers and query parameters that lives in the host language.
pub trait Dynamic: Send + Sync + 'static {
    /// Asked before every HTTP request, retries and reconnects included. An error fails the
    /// request, which is not sent; a [`HostError`](crate::error::HostError) comes out as it
    /// went in.
    fn resolve(&self) -> BoxFuture<'static, Result<Resolved, BoxError>>;
}

/// What a [`Dynamic`] source gave.
#[derive(Debug, Clone, Default)]
pub struct Resolved {
    /// Headers; they replace static ones of the same name.
    pub headers: Vec<(String, String)>,
    /// Query parameters.
    pub params: Vec<(String, String)>,
}

impl ClientConfig {
    /// A client with these settings.
    /// Errors: `INVALID_ARGUMENT` naming the setting.
    pub fn client(&self) -> Result<Client, ErrorInfo> {
        let engine = engine()?;
        // The host takes the runtime it finds for its timers and tasks.
        let _entered = runtime::handle()?.enter();
        let connect_limit = span("connect_timeout", self.connect_timeout_ms)?;
        let mut builder = match connect_limit {
            _ if self.transport.is_some() => Client::builder(),
            limit if self.http2_prior_knowledge => {
                let builder = limit.map_or_else(Client::builder, |limit| Client::builder().connect_timeout(limit));
                builder.http2_prior_knowledge()
            }
            Some(limit) => limited(engine, limit)?.to_builder(),
            None => match engine.client.get() {
                Some(shared) => shared.to_builder(),
                None => {
                    let made = Client::builder().build()?;
                    engine.client.get_or_init(|| made).to_builder()
                }
            },
        };
        if let Some(transport) = &self.transport {
            builder = builder.transport(Borrowed(Arc::clone(transport)));
        }
        if let Some(base_url) = &self.base_url {
            builder = builder.base_url(base_url.as_str());
        }
        for (name, value) in &self.headers {
            builder = builder.try_default_header(name, value).map_err(|error| ErrorInfo::invalid("headers", error))?;
        }
        for (name, value) in &self.params {
            builder = builder.default_param(name.as_str(), value.as_str());
        }
        if let Some(limit) = span("timeout", self.timeout_ms)? {
            builder = builder.timeout(limit);
        }
        if let Some(limit) = span("long_poll_timeout", self.long_poll_timeout_ms)? {
            builder = builder.long_poll_timeout(limit);
        }
        if let Some(limit) = span("sse_idle_timeout", self.sse_idle_timeout_ms)? {
            builder = builder.sse_idle_timeout(limit);
        }
        let base = self.retry_base.unwrap_or(RetryPolicy::DEFAULT);
        let policy = self.retry.check(&base).map_err(|error| ErrorInfo::from(durable_streams::Failure::from(error)))?;
        builder = builder.retry(policy);
        for source in &self.dynamic {
            let asked = Arc::new(Asked { source: Arc::clone(source), left: Mutex::default() });
            let again = Arc::clone(&asked);
            builder = builder.param_provider_async(move || Arc::clone(&asked).params());
            builder = builder.header_provider_async(move || Arc::clone(&again).headers());
        }
        Ok(builder.build()?)
    }
}

/// Limits of connecting that are in use at a time, at most.
const MOST_LIMITS: usize = 16;

/// The client whose connections all with this limit of connecting share.
fn limited(engine: &Engine, limit: Duration) -> Result<Client, ErrorInfo> {
    let mut clients = engine.limited.lock();
    if let Some((_, client)) = clients.iter().find(|(known, _)| *known == limit) {
        return Ok(client.clone());
    }
    let client = Client::builder().connect_timeout(limit).build()?;
    if clients.len() >= MOST_LIMITS {
        clients.remove(0);
    }
    clients.push((limit, client.clone()));
    Ok(client)
}

/// Asks a source once per attempt. The core wants parameters first and headers second: the
/// first question brings both, the second takes what the first left. Concurrent attempts may
/// swap headers of the same moment, which is as fresh as it gets.
struct Asked {
    source: Arc<dyn Dynamic>,
    left: Mutex<Vec<Pairs>>,
}

type Pairs = Vec<(String, String)>;

impl Asked {
    /// Headers that attempts left and never took, because they ended in between.
    const MOST_LEFT: usize = 64;

    async fn params(self: Arc<Self>) -> Result<Pairs, BoxError> {
        let resolved = self.source.resolve().await?;
        let mut left = self.left.lock();
        if left.len() >= Self::MOST_LEFT {
            left.remove(0);
        }
        left.push(resolved.headers);
        Ok(resolved.params)
    }

    async fn headers(self: Arc<Self>) -> Result<HeaderMap, BoxError> {
        let left = self.left.lock().pop();
        let pairs = match left {
            Some(pairs) => pairs,
            None => self.source.resolve().await?.headers,
        };
        header_map(&pairs).map_err(Into::into)
    }
}

/// Pairs of texts as headers.
/// Errors: `INVALID_ARGUMENT` naming the header.
pub fn header_map(pairs: &[(String, String)]) -> Result<HeaderMap, ErrorInfo> {
    let mut headers = HeaderMap::with_capacity(pairs.len());
    for (name, value) in pairs {
        let refuse = |what: &str| ErrorInfo::invalid("headers", format!("{name:?} {what}"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refuse("is not a header name"))?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| refuse("has a value no header can carry"))?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// A time limit as host languages give it.
/// Errors: `INVALID_ARGUMENT` unless it is more than 0.
pub fn span(argument: &str, ms: Option<f64>) -> Result<Option<Duration>, ErrorInfo> {
    match ms {
        None => Ok(None),
        Some(ms) if ms > 0.0 => Ok(Some(Duration::try_from_secs_f64(ms / 1000.0).unwrap_or(Duration::MAX))),
        Some(ms) => Err(ErrorInfo::invalid(argument, format!("must be more than 0, got {ms} ms"))),
    }
}

/// A transport that several clients share.
struct Borrowed(Arc<dyn Transport>);

impl Transport for Borrowed {
    fn send(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Reply, TransportFailure>> {
        self.0.send(request)
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Header values may be credentials.
        f.debug_struct("ClientConfig").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}
