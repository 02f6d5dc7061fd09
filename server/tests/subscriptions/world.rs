//! An engine with subscriptions, and a receiver of webhooks.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use durable_streams_protocol::offset::{Position, ReadFrom};
use durable_streams_server::{
    engine::{
        Engine, EngineOptions,
        types::{AppendRequest, CreateRequest},
    },
    path::StreamPath,
    store::{
        Store,
        file::{FileOptions, FileStore},
        memory::MemoryStore,
    },
    subscriptions::{Host, Options, StreamsPort, Subscriptions, SystemHost, WebhookMode},
};
use http::{HeaderMap, Method, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::mpsc};

/// Longer than anything that is awaited takes; reached only by a test that fails.
const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const BASE: &str = "http://127.0.0.1:4437";

/// The system's clock, moved forward on demand.
#[derive(Debug)]
pub(crate) struct ShiftedHost {
    system: SystemHost,
    ahead_ms: AtomicU64,
}

impl Host for ShiftedHost {
    fn now_ms(&self) -> u64 {
        self.system.now_ms() + self.ahead_ms.load(Ordering::Relaxed)
    }

    fn entropy(&self) -> [u8; 16] {
        self.system.entropy()
    }
}

pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) host: Arc<ShiftedHost>,
    options: Options,
    /// Where streams outlive a restart.
    directory: Option<TempDir>,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Options)) -> Self {
        let (host, mut options) = options();
        change(&mut options);
        Self::open(None, host, options).await
    }

    /// On a port that stands between the subscriptions and the engine.
    pub(crate) async fn start_behind(port: impl FnOnce(Engine) -> Arc<dyn StreamsPort>) -> Self {
        let (host, options) = options();
        let engine = Engine::open(EngineOptions::default(), Arc::new(MemoryStore::new())).expect("an engine");
        let subscriptions = Subscriptions::open(port(engine.clone()), options.clone()).await.expect("subscriptions");
        Self { engine, subscriptions, host, options, directory: None }
    }

    /// On a store that can be restarted.
    pub(crate) async fn start_on_disk() -> Self {
        let (host, options) = options();
        Self::open(Some(tempfile::tempdir().expect("a directory")), host, options).await
    }

    async fn open(directory: Option<TempDir>, host: Arc<ShiftedHost>, options: Options) -> Self {
        let store: Arc<dyn Store> = match &directory {
            Some(directory) => Arc::new(FileStore::open(directory.path(), FileOptions::default()).expect("a store")),
            None => Arc::new(MemoryStore::new()),
        };
        let engine = Engine::open(EngineOptions::default(), store).expect("an engine");
        let port = Arc::new(engine.clone());
        let subscriptions = Subscriptions::open(port, options.clone()).await.expect("subscriptions");
        Self { engine, subscriptions, host, options, directory }
    }

    /// Stops everything, lets `meanwhile` happen to streams unobserved and starts again, so
    /// much later.
    pub(crate) async fn restart_after(self, ahead: Duration, meanwhile: impl AsyncFnOnce(&Self)) -> Self {
        self.subscriptions.shut_down().await;
        meanwhile(&self).await;
        self.engine.close().await;
        let Self { engine, subscriptions, host, options, directory } = self;
        // The directory is locked until the last of them is gone.
        drop((engine, subscriptions));
        let ahead = u64::try_from(ahead.as_millis()).expect("a short time");
        host.ahead_ms.fetch_add(ahead, Ordering::Relaxed);
        Self::open(Some(directory.expect("a store on disk")), host, options).await
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        rest: &str,
        token: Option<&str>,
        body: &Value,
    ) -> (StatusCode, Value) {
        let response = self.raw(method, rest, token, Bytes::from(body.to_string())).await;
        let value = if response.body().is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(response.body()).expect("a JSON body")
        };
        (response.status(), value)
    }

    pub(crate) async fn raw(&self, method: Method, rest: &str, token: Option<&str>, body: Bytes) -> Response<Bytes> {
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().expect("a header value"));
        }
        self.subscriptions.handle(&method, rest, &headers, body, BASE).await
    }

    /// Puts a subscription and expects it to be new.
    pub(crate) async fn subscribe(&self, id: &str, config: &Value) -> Value {
        let (status, object) = self.call(Method::PUT, &format!("subscriptions/{id}"), None, config).await;
        assert_eq!(status, StatusCode::CREATED, "{object}");
        object
    }

    /// `path` and `acked_offset` of every link, as GET shows them.
    pub(crate) async fn links(&self, id: &str) -> Vec<(String, String, String)> {
        let (status, object) = self.call(Method::GET, &format!("subscriptions/{id}"), None, &Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{object}");
        let text = |entry: &Value, name: &str| entry[name].as_str().expect("a string").to_owned();
        let streams = object["streams"].as_array().expect("an array");
        streams
            .iter()
            .map(|entry| (text(entry, "path"), text(entry, "link_type"), text(entry, "acked_offset")))
            .collect()
    }

    pub(crate) async fn create(&self, relative: &str, body: &str) -> Position {
        let request = CreateRequest {
            content_type: Some("application/json".to_owned()),
            body: Bytes::copy_from_slice(body.as_bytes()),
            ..CreateRequest::default()
        };
        self.engine.create(path(relative), request).await.expect("created").tail
    }

    pub(crate) async fn append(&self, relative: &str, body: &str) -> Position {
        let request = AppendRequest {
            content_type: Some("application/json".to_owned()),
            body: Bytes::copy_from_slice(body.as_bytes()),
            ..AppendRequest::default()
        };
        self.engine.append(&path(relative), request).await.expect("appended").tail
    }

    pub(crate) async fn delete(&self, relative: &str) {
        self.engine.delete(&path(relative)).await.expect("deleted");
    }

    /// The first `count` messages of a stream, once they are there.
    pub(crate) async fn messages(&self, relative: &str, count: usize) -> Vec<Value> {
        let read = async {
            let mut reader = self.engine.reader(&path(relative), ReadFrom::Beginning, true).expect("a reader");
            let mut messages = Vec::new();
            while messages.len() < count {
                reader.changed().await;
                let framing = reader.info().framing;
                let body = reader.next(1 << 20).await.expect("data").into_body(framing).concat();
                messages.extend(serde_json::from_slice::<Vec<Value>>(&body).expect("a JSON array"));
            }
            messages
        };
        tokio::time::timeout(PATIENCE, read).await.expect("the messages arrive")
    }
}

fn options() -> (Arc<ShiftedHost>, Options) {
    let host = Arc::new(ShiftedHost { system: SystemHost::new(), ahead_ms: AtomicU64::new(0) });
    let options = Options { webhooks: WebhookMode::Dev, host: host.clone(), ..Options::default() };
    (host, options)
}

pub(crate) fn path(relative: &str) -> StreamPath {
    StreamPath::parse(&format!("/v1/stream/{relative}")).expect("a path")
}

/// A webhook receiver that answers as told, 200 `{}` by default.
pub(crate) struct Receiver {
    pub(crate) url: String,
    deliveries: mpsc::UnboundedReceiver<Delivery>,
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
}

/// One request a receiver got.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) headers: HeaderMap,
    pub(crate) raw: Bytes,
    pub(crate) body: Value,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let (arrived, deliveries) = mpsc::unbounded_channel();
        let answers = Arc::new(Mutex::new(VecDeque::new()));
        let given = Arc::clone(&answers);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (arrived, given) = (arrived.clone(), Arc::clone(&given));
                let service = service_fn(move |request| receive(request, arrived.clone(), Arc::clone(&given)));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service),
                );
            }
        });
        Self { url, deliveries, answers }
    }

    /// What to answer to the requests to come, in order.
    pub(crate) fn will_answer(&self, answers: &[(u16, &str)]) {
        self.answers.lock().extend(answers.iter().map(|(status, body)| (*status, (*body).to_owned())));
    }

    pub(crate) async fn next(&mut self) -> Delivery {
        let next = tokio::time::timeout(PATIENCE, self.deliveries.recv()).await;
        next.expect("a delivery arrives").expect("the receiver runs")
    }

    pub(crate) fn has_more(&mut self) -> bool {
        self.deliveries.try_recv().is_ok()
    }
}

async fn receive(
    request: http::Request<Incoming>,
    arrived: mpsc::UnboundedSender<Delivery>,
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let raw = body.collect().await.expect("a whole body").to_bytes();
    let body = serde_json::from_slice(&raw).expect("a JSON body");
    let (status, answer) = answers.lock().pop_front().unwrap_or((200, "{}".to_owned()));
    let _ = arrived.send(Delivery { headers: parts.headers, raw, body });
    let mut response = Response::new(Full::from(answer.clone()));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    if status == 302 {
        response.headers_mut().insert(header::LOCATION, answer.parse().expect("a URL"));
    }
    Ok(response)
}
