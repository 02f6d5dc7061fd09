//! The service without a socket, for a host that takes the requests in itself: a web server
//! of another language, with this engine inside. What it answers is what [`crate::server`]
//! answers, because it is the same service.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use durable_streams_protocol::headers;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header, uri::PathAndQuery};
use http_body::{Frame, SizeHint};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    backend::{Backend, BackendOptions},
    engine::Engine,
    http::{
        HttpOptions, Phase,
        answer::{self, Answer},
        body::{Body, Parts},
        connection::Connection,
        listener::{self, Gate},
        origin::Peer,
        request_body::RequestBody,
        service::Service,
        site::{Action, Route, Site, VirtualHost},
    },
    launch::{check_http, url_host},
    metrics::Metrics,
    server::StartError,
};

/// An engine with its service, answering requests that are handed to it.
pub struct Embedded {
    service: Arc<Service>,
    backend: Backend,
    metrics: Arc<Metrics>,
}

/// What the host knows about the connection a request came over.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    /// The other side's address.
    pub ip: IpAddr,
    /// The host's own address; the last resort for the URL in `Location`.
    pub local: SocketAddr,
    /// Whether the connection is encrypted.
    pub is_tls: bool,
}

/// A request as a host has it: nothing of it is checked yet.
#[derive(Debug, Clone, Default)]
pub struct RawRequest {
    /// The method, upper case.
    pub method: String,
    /// Path and query, as the client sent them.
    pub target: String,
    /// Names and values of the headers.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body's pieces.
    pub body: Vec<Bytes>,
}

impl RawRequest {
    fn parse(self) -> Result<Request<Vec<Bytes>>, http::Error> {
        let mut request = Request::builder().method(self.method.as_str()).uri(self.target);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        request.body(self.body)
    }
}

/// The body of an answer, to be pulled frame by frame. Dropping it ends a live read at once.
#[derive(Debug)]
pub struct AnswerBody(Body);

impl Embedded {
    /// Opens the store and makes the service.
    /// Errors: the storage cannot be used, or a setting is out of range.
    pub async fn open(backend: BackendOptions, mut http: HttpOptions) -> Result<Self, StartError> {
        check_http(&http)?;
        // A fault may ask for a connection to be cut, and there is none here.
        http.test_control = false;
        let backend = Backend::open(&backend, &http).await?;
        let metrics = Arc::new(Metrics::default());
        let service = Service::new(backend.engine.clone(), http, metrics.clone(), Some(backend.control_api()));
        Ok(Self { service: Arc::new(service), backend, metrics })
    }

    /// The engine behind the service.
    pub fn engine(&self) -> &Engine {
        self.service.engine()
    }

    /// The HTTP surface as it was set.
    pub fn options(&self) -> &HttpOptions {
        self.service.options()
    }

    /// Number of long-polls and SSE responses under way.
    pub fn live_readers(&self) -> usize {
        self.service.live_readers()
    }

    /// Answers one request, whose path is the one the client used. `mount` is the path the
    /// host serves streams under, without a slash at its end: what comes after it is looked
    /// for below the prefix of the options, and URLs in the answer name the mount again.
    /// Dropping the future cancels the request, if it was not carried out yet.
    pub async fn answer(&self, caller: &Caller, mount: &str, request: Request<Vec<Bytes>>) -> Response<AnswerBody> {
        self.mounted(caller, mount, request).await.map(AnswerBody)
    }

    /// The same for a request that is still to be checked: what is no HTTP is answered, too.
    pub async fn answer_raw(&self, caller: &Caller, mount: &str, request: RawRequest) -> Response<AnswerBody> {
        match request.parse() {
            Ok(request) => self.answer(caller, mount, request).await,
            Err(error) => answer::bad_request(error).map(AnswerBody),
        }
    }

    async fn mounted(&self, caller: &Caller, mount: &str, request: Request<Vec<Bytes>>) -> Answer {
        let peer = Peer { ip: caller.ip, local: caller.local, is_tls: caller.is_tls };
        let mut request = request.map(|pieces| RequestBody::Held(Parts::new(pieces)));
        let asked = request.uri().path().to_owned();
        let Some(own_path) = below(mount, &asked).map(|rest| self.own_path(rest)) else {
            return answer::not_found(format_args!("there is nothing here; streams live below {mount}/"));
        };
        if own_path != asked {
            let Some(uri) = with_path(request.uri(), &own_path) else {
                return answer::bad_request("the path is not that of a URL");
            };
            *request.uri_mut() = uri;
            self.localise(mount, request.headers_mut());
        }
        // A connection of its own: what a host's requests share on the wire is not known here.
        let connection = Arc::new(Connection::new(peer));
        let Ok(mut answer) = self.service.handle(&connection, request).await else {
            return answer::refuse(StatusCode::INTERNAL_SERVER_ERROR, "the request was cut on purpose");
        };
        if own_path != asked {
            rename_location(answer.headers_mut(), &own_path, &asked);
        }
        answer
    }

    /// What comes after the mount, below the prefix streams are kept under.
    fn own_path(&self, rest: &str) -> String {
        format!("{}{rest}", self.service.options().prefix)
    }

    /// The fork source is named by its path as the client sees it.
    fn localise(&self, mount: &str, map: &mut HeaderMap) {
        let source = map.get(headers::STREAM_FORKED_FROM).and_then(|value| below(mount, value.to_str().ok()?));
        if let Some(value) = source.and_then(|rest| HeaderValue::from_str(&self.own_path(rest)).ok()) {
            map.insert(headers::STREAM_FORKED_FROM, value);
        }
    }

    /// Serves the same streams on a socket, too.
    /// Units: port 0 takes a free one.
    /// Errors: the address is taken, not local, or does not resolve.
    pub async fn listen(&self, host: &str, port: u16, max_connections: usize) -> Result<Listening, StartError> {
        let listeners = listener::bind(host, port).await.map_err(|source| StartError::Listen {
            host: host.to_owned(),
            port,
            source,
        })?;
        let port = listeners.first().and_then(|socket| socket.local_addr().ok()).map_or(port, |bound| bound.port());
        let site = Arc::new(Site::default());
        let streams = Route { matcher: None, action: Action::Streams(self.service.clone()) };
        site.open(vec![VirtualHost { name: None, routes: vec![streams] }]);
        let gate = Gate::new(max_connections, self.metrics.clone());
        let (phase, stop) = watch::channel(Phase::Running);
        let acceptors = listeners
            .into_iter()
            .map(|socket| tokio::spawn(listener::accept(socket, None, site.clone(), gate.clone(), stop.clone())))
            .collect();
        Ok(Listening { url: format!("http://{}:{port}", url_host(host)), port, phase, acceptors, gate })
    }

    /// Stops in order: live reads end, what is queued is carried out, the store is closed.
    /// Later requests are refused. Repeating does nothing.
    pub async fn stop(&self) {
        self.service.begin_shut_down();
        self.backend.close().await;
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("engine", self.engine()).finish_non_exhaustive()
    }
}

/// A socket on which an [`Embedded`] is served. Dropping it cuts its connections.
#[derive(Debug)]
pub struct Listening {
    url: String,
    port: u16,
    phase: watch::Sender<Phase>,
    acceptors: Vec<JoinHandle<()>>,
    gate: Arc<Gate>,
}

/// How long connections may finish what they do when their socket is closed. Live reads,
/// which go on as long as the engine, are cut then; their clients come back.
const PATIENCE: Duration = Duration::from_secs(1);

impl Listening {
    /// The origin, such as `http://127.0.0.1:4437`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port listened on.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Accepts no more connections and ends those there are; the engine goes on.
    pub async fn stop(self) {
        let _ = self.phase.send(Phase::Draining);
        for acceptor in self.acceptors {
            let _ = acceptor.await;
        }
        if tokio::time::timeout(PATIENCE, self.gate.closed()).await.is_err() {
            let _ = self.phase.send(Phase::Killed);
            let _ = tokio::time::timeout(PATIENCE, self.gate.closed()).await;
        }
    }
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.get_mut().0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// The part of a path after the mount and one slash.
fn below<'p>(mount: &str, path: &'p str) -> Option<&'p str> {
    match path.strip_prefix(mount)? {
        "" => Some(""),
        rest => rest.strip_prefix('/'),
    }
}

fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let target = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    Uri::from_parts(parts).ok()
}

fn rename_location(map: &mut HeaderMap, own_path: &str, asked: &str) {
    const NAME: HeaderName = header::LOCATION;
    let renamed = map
        .get(NAME)
        .and_then(|value| value.to_str().ok()?.strip_suffix(own_path).map(|origin| format!("{origin}{asked}")));
    if let Some(value) = renamed.and_then(|url| HeaderValue::from_str(&url).ok()) {
        map.insert(NAME, value);
    }
}
