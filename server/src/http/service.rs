//! The service of one stream store under one prefix: routing, and the headers
//! every answer carries.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use durable_streams_protocol::{
    cursor::CursorClock,
    headers::{CORS_ALLOW_HEADERS, CORS_EXPOSE_HEADERS},
};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header, request::Parts};

use super::{
    answer::{self, Answer},
    body::Body,
    connection::{Connection, LiveRead},
    faults::{Faults, Verdict},
    origin::OriginPolicy,
    read,
    request_body::RequestBody,
    sse::FrameCache,
    write,
};
use crate::{
    engine::Engine,
    metrics::{GaugeGuard, Metrics, Operation},
    path::StreamPath,
};

/// Settings of the HTTP layer.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Path prefix of streams, with a slash at both ends; `/` = any path is a stream.
    pub prefix: String,
    /// How long a long-poll waits.
    pub long_poll_timeout: Duration,
    /// How long an SSE response lasts, give or take a twentieth.
    pub sse_reconnect_interval: Duration,
    /// Largest request body. Units: bytes, inclusive.
    pub max_body_bytes: u64,
    /// Most stored bytes per read answer, unit boundaries permitting.
    pub max_chunk_bytes: usize,
    /// Most long-polls and SSE responses at once.
    pub max_live_readers: usize,
    /// Whether read answers may be compressed.
    pub compression: bool,
    /// Which web origins may read answers.
    pub cors: CorsPolicy,
    /// Under which URL clients see this server.
    pub origin: OriginPolicy,
    /// How cursors are numbered.
    pub cursor_clock: CursorClock,
    /// Whether `/metrics` answers.
    pub metrics: bool,
    /// Whether `/_test/inject-error` answers; for tests of clients only.
    pub test_control: bool,
}

/// Smallest permitted chunk limit (protocol.md §10). Units: bytes.
pub(crate) const MIN_CHUNK_BYTES: usize = 64 * 1024;
/// Stream root of a server on which any path is a stream (protocol.md §2).
const DEFAULT_ROOT: &str = "/v1/stream";

/// Where faults are injected.
const FAULT_PATH: &str = "/_test/inject-error";

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            prefix: "/v1/stream/".to_owned(),
            long_poll_timeout: Duration::from_secs(30),
            sse_reconnect_interval: Duration::from_secs(60),
            max_body_bytes: 16 * 1024 * 1024,
            max_chunk_bytes: 4 * 1024 * 1024,
            max_live_readers: 100_000,
            compression: true,
            cors: CorsPolicy::Any,
            origin: OriginPolicy::default(),
            cursor_clock: CursorClock::default(),
            metrics: false,
            test_control: false,
        }
    }
}

impl HttpOptions {
    /// The stream root, without a slash at its end; control APIs live below it in `__ds`.
    pub fn root(&self) -> &str {
        match self.prefix.trim_end_matches('/') {
            "" => DEFAULT_ROOT,
            root => root,
        }
    }
}

/// Which web origins browsers let read the answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsPolicy {
    /// `*`.
    Any,
    /// These origins, such as `https://app.example.com`.
    Only(Vec<HeaderValue>),
}

/// Answers requests to `<root>/__ds/...`.
pub(crate) trait ControlApi: Send + Sync + 'static {
    /// Answers one request. `origin` is the public origin, such as `http://127.0.0.1:4437`.
    fn handle(&self, origin: String, request: Request<RequestBody>) -> ControlFuture;
}

/// What a [`ControlApi`] answers with.
pub(crate) type ControlFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// The connection must be cut without an answer.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the connection is dropped on purpose")]
pub(crate) struct Dropped;

/// One stream store under one prefix.
pub(crate) struct Service {
    pub(super) engine: Engine,
    pub(super) options: HttpOptions,
    pub(super) metrics: Arc<Metrics>,
    pub(super) frames: Arc<FrameCache>,
    control: Option<Arc<dyn ControlApi>>,
    faults: Faults,
    live_readers: Arc<AtomicUsize>,
    is_stopping: AtomicBool,
    /// `<root>/__ds`.
    control_root: String,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Service {
    /// Puts the HTTP service in front of an engine.
    pub(crate) fn new(
        engine: Engine,
        options: HttpOptions,
        metrics: Arc<Metrics>,
        control: Option<Arc<dyn ControlApi>>,
    ) -> Self {
        let control_root = format!("{}/__ds", options.root());
        Self {
            engine,
            options,
            metrics,
            frames: Arc::default(),
            control,
            faults: Faults::default(),
            live_readers: Arc::default(),
            is_stopping: AtomicBool::new(false),
            control_root,
        }
    }

    /// The engine behind the service.
    pub(crate) const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The settings.
    pub(crate) const fn options(&self) -> &HttpOptions {
        &self.options
    }

    /// Number of long-polls and SSE responses under way.
    pub(crate) fn live_readers(&self) -> usize {
        self.live_readers.load(Ordering::Relaxed)
    }

    /// The faults to inject, when test control is on.
    pub(crate) const fn faults(&self) -> &Faults {
        &self.faults
    }

    /// From now on `/health` answers 503 and live reads end at once.
    pub(crate) fn begin_shut_down(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        self.engine.shut_down();
    }

    /// Answers one request.
    pub(crate) async fn handle(
        &self,
        connection: &Arc<Connection>,
        request: Request<RequestBody>,
    ) -> Result<Answer, Dropped> {
        // Only a list of origins needs the request's own.
        let origin = match &self.options.cors {
            CorsPolicy::Any => None,
            CorsPolicy::Only(_) => request.headers().get(header::ORIGIN).cloned(),
        };
        // What a cache keeps must serve browsers too; other answers need the long list of
        // readable headers only when a browser asks across origins.
        let is_for_browsers = request.method() == Method::GET || request.headers().contains_key(header::ORIGIN);
        let (operation, answered) = self.route(connection, request).await;
        let mut answer = answered?;
        self.metrics.count_request(operation, answer.status().as_u16());
        let map = answer.headers_mut();
        self.set_common_headers(map, origin.as_ref());
        if is_for_browsers {
            map.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(CORS_EXPOSE_HEADERS));
        }
        Ok(answer)
    }

    /// Whether a request without a body is a plain live read of a stream.
    pub(crate) fn claims_live(&self, request: &Parts) -> bool {
        let path = request.uri.path();
        !self.options.test_control
            && path.starts_with(&self.options.prefix)
            && !self.is_control_path(path)
            && self.own_page(path, &request.method).is_none()
    }

    /// Answers a request that [`Service::claims_live`].
    pub(crate) async fn answer_live(&self, connection: &Arc<Connection>, request: Parts) -> Answer {
        let (operation, mut answer) = match StreamPath::parse(request.uri.path()) {
            Ok(path) if self.is_control_path(path.as_str()) => (Operation::Other, below_control_path()),
            Ok(path) => read::get(self, connection, path, &request, None).await,
            Err(error) => (Operation::Other, answer::bad_request(error)),
        };
        self.metrics.count_request(operation, answer.status().as_u16());
        let map = answer.headers_mut();
        self.set_common_headers(map, request.headers.get(header::ORIGIN));
        map.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(CORS_EXPOSE_HEADERS));
        answer
    }

    async fn route(
        &self,
        connection: &Arc<Connection>,
        request: Request<RequestBody>,
    ) -> (Operation, Result<Answer, Dropped>) {
        let path = request.uri().path();
        if request.method() == Method::OPTIONS {
            return (Operation::Other, Ok(preflight()));
        }
        if let Some(answer) = self.own_page(path, request.method()) {
            return (Operation::Other, Ok(answer));
        }
        if self.is_control_path(path) {
            let origin = self.options.origin.origin_of(&connection.peer, request.uri(), request.headers());
            return (Operation::Control, Ok(self.control(origin, request).await));
        }
        if self.options.test_control && path == FAULT_PATH {
            return (Operation::Other, Ok(Box::pin(self.faults.control(request)).await));
        }
        let stream = match StreamPath::parse(path) {
            // A spelling of the control path that normalises to it names nothing.
            Ok(stream) if self.is_control_path(stream.as_str()) => {
                return (Operation::Other, Ok(below_control_path()));
            }
            Ok(stream) if stream.as_str().starts_with(&self.options.prefix) => stream,
            Err(error) if path.starts_with(&self.options.prefix) && path.len() > self.options.prefix.len() => {
                return (Operation::Other, Ok(answer::bad_request(error)));
            }
            Ok(_) | Err(_) => {
                let reason = format_args!("there is nothing here; streams live below {}", self.options.prefix);
                return (Operation::Other, Ok(answer::not_found(reason)));
            }
        };
        if self.options.test_control {
            return Box::pin(self.stream_with_faults(connection, stream, request)).await;
        }
        let (operation, answer) = self.stream(connection, stream, request).await;
        (operation, Ok(answer))
    }

    async fn stream(
        &self,
        connection: &Arc<Connection>,
        path: StreamPath,
        request: Request<RequestBody>,
    ) -> (Operation, Answer) {
        match *request.method() {
            Method::GET => read::get(self, connection, path, &request.into_parts().0, None).await,
            Method::POST => write::append(self, path, request).await,
            // The rarer ones keep their state out of every connection's memory.
            Method::PUT => (Operation::Create, Box::pin(write::create(self, connection.peer, path, request)).await),
            Method::HEAD => (Operation::Head, read::head(self, &path)),
            Method::DELETE => (Operation::Delete, Box::pin(write::delete(self, &path)).await),
            _ => {
                let allow = "GET, HEAD, PUT, POST, DELETE, OPTIONS";
                (Operation::Other, answer::method_not_allowed(request.method(), allow))
            }
        }
    }

    async fn stream_with_faults(
        &self,
        connection: &Arc<Connection>,
        path: StreamPath,
        request: Request<RequestBody>,
    ) -> (Operation, Result<Answer, Dropped>) {
        match self.faults.meet(&request).await {
            Verdict::Drop => (Operation::Other, Err(Dropped)),
            Verdict::Answer(answer) => (Operation::Other, Ok(answer)),
            Verdict::Continue(change) if request.method() == Method::GET => {
                let (mut request, _) = request.into_parts();
                if change.touches_body() {
                    request.headers.remove(header::ACCEPT_ENCODING);
                }
                let prelude = change.prelude.clone();
                let (operation, answer) = read::get(self, connection, path, &request, prelude).await;
                (operation, Ok(change.apply(answer)))
            }
            Verdict::Continue(_) => {
                let (operation, answer) = self.stream(connection, path, request).await;
                (operation, Ok(answer))
            }
        }
    }

    async fn control(&self, origin: String, request: Request<RequestBody>) -> Answer {
        match &self.control {
            Some(control) => control.handle(origin, request).await,
            None => answer::json(
                StatusCode::NOT_FOUND,
                r#"{"error":{"code":"NOT_FOUND","message":"this server offers no subscriptions"}}"#,
            ),
        }
    }

    /// Health and metrics; `None` when the path is none of theirs.
    fn own_page(&self, path: &str, method: &Method) -> Option<Answer> {
        let page = match path {
            "/health" | "/readyz" if self.is_stopping.load(Ordering::Relaxed) => {
                let mut answer = answer::json(StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"stopping"}"#);
                answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
                answer
            }
            "/health" | "/readyz" | "/healthz" => answer::json(StatusCode::OK, r#"{"status":"ok"}"#),
            "/metrics" if self.options.metrics => {
                let text = self.metrics.to_text(&self.engine);
                let mut answer = answer::uncached(StatusCode::OK, Body::from(text));
                let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
                answer
            }
            _ => return None,
        };
        Some(match *method {
            Method::GET | Method::HEAD => page,
            _ => answer::method_not_allowed(method, "GET, HEAD, OPTIONS"),
        })
    }

    /// Whether a request is this service's to answer; the rest belongs to other routes.
    pub(crate) fn claims(&self, method: &Method, path: &str) -> bool {
        let is_under_prefix = |path: &str| path.starts_with(&self.options.prefix);
        is_under_prefix(path)
            || self.is_control_path(path)
            || self.own_page(path, method).is_some()
            || (self.options.test_control && path == FAULT_PATH)
            || StreamPath::parse(path).is_ok_and(|path| is_under_prefix(path.as_str()))
    }

    fn is_control_path(&self, path: &str) -> bool {
        path.strip_prefix(&self.control_root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// protocol.md §4.1: on every answer, refusals and 204s included.
    fn set_common_headers(&self, map: &mut HeaderMap, origin: Option<&HeaderValue>) {
        set_security_headers(map);
        match &self.options.cors {
            CorsPolicy::Any => {
                map.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            }
            CorsPolicy::Only(origins) => {
                map.append(header::VARY, HeaderValue::from_static("Origin"));
                if let Some(origin) = origin.filter(|origin| origins.contains(origin)) {
                    map.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                }
            }
        }
    }

    /// Admits a live reader; `None` when there are too many.
    pub(super) fn admit_live_reader(&self, connection: &Arc<Connection>) -> Option<LiveGuard> {
        let guard = LiveGuard {
            count: self.live_readers.clone(),
            _gauge: self.metrics.live_reader(),
            _read: connection.live_read(),
        };
        (guard.count.fetch_add(1, Ordering::Relaxed) < self.options.max_live_readers).then_some(guard)
    }
}

/// Keeps browsers from guessing types and lets other origins embed what CORS allows.
pub(crate) fn set_security_headers(map: &mut HeaderMap) {
    map.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    map.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
}

const CROSS_ORIGIN_RESOURCE_POLICY: http::HeaderName = http::HeaderName::from_static("cross-origin-resource-policy");

/// Counts a live reader until dropped.
#[derive(Debug)]
pub(crate) struct LiveGuard {
    count: Arc<AtomicUsize>,
    _gauge: GaugeGuard,
    _read: LiveRead,
}

impl Drop for LiveGuard {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

fn below_control_path() -> Answer {
    answer::not_found("there is no stream below __ds")
}

/// The answer to OPTIONS on any path (protocol.md §4.1).
fn preflight() -> Answer {
    let mut answer = answer::uncached(StatusCode::NO_CONTENT, Body::Empty);
    let map = answer.headers_mut();
    map.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, PUT, DELETE, HEAD, OPTIONS"));
    map.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(CORS_ALLOW_HEADERS));
    map.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    answer
}
