//! Everything behind the HTTP service: a store, its engine and its subscriptions.

use std::{path::PathBuf, sync::Arc};

use http::{Request, StatusCode};
use hyper::body::Incoming;

use crate::{
    engine::{Engine, EngineOptions},
    http::{
        HttpOptions,
        answer::{self, Answer},
        body::Body,
        service::{ControlApi, ControlFuture},
        upload,
    },
    server::StartError,
    store::{
        Store,
        file::{FileOptions, FileStore},
        memory::MemoryStore,
    },
    subscriptions::{self, Subscriptions, WebhookMode},
};

/// Where streams live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// In memory; gone when the server stops.
    Memory,
    /// In this directory.
    File(PathBuf),
}

/// When an append is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// After the log has reached the disk.
    #[default]
    Wal,
    /// Before; a power cut can undo the last moments.
    Memory,
}

/// Settings of a [`Backend`].
#[derive(Debug, Clone)]
pub struct BackendOptions {
    /// Where streams live.
    pub storage: Storage,
    /// When an append is acknowledged.
    pub durability: Durability,
    /// Most streams; `None` = no limit.
    pub max_streams: Option<usize>,
    /// Where webhooks may go.
    pub webhooks: WebhookMode,
}

impl Default for BackendOptions {
    fn default() -> Self {
        Self {
            storage: Storage::Memory,
            durability: Durability::default(),
            max_streams: None,
            webhooks: WebhookMode::default(),
        }
    }
}

/// A store with its engine and its subscriptions.
#[derive(Clone)]
pub(crate) struct Backend {
    /// The engine.
    pub(crate) engine: Engine,
    subscriptions: Arc<Subscriptions>,
    /// `<root>/__ds/`, below which the subscriptions answer.
    control_root: Arc<str>,
}

impl Backend {
    /// Opens the store and restores what it holds. Reading happens off the runtime.
    pub(crate) async fn open(options: &BackendOptions, http: &HttpOptions) -> Result<Self, StartError> {
        let opening = options.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let store = open_store(&opening)?;
            let engine_options = EngineOptions { max_streams: opening.max_streams, ..EngineOptions::default() };
            Ok::<_, StartError>(Engine::open(engine_options, store)?)
        });
        let engine = match opened.await {
            Ok(engine) => engine?,
            Err(panicked) => {
                return Err(StartError::Setting(format!("opening the storage ended abnormally: {panicked}")));
            }
        };
        let subscribing = subscriptions::Options {
            root: http.root().to_owned(),
            webhooks: options.webhooks,
            public_url: http.origin.public_url.clone(),
            ..subscriptions::Options::default()
        };
        let subscriptions = Subscriptions::open(Arc::new(engine.clone()), subscribing).await?;
        let control_root = format!("{}/__ds/", http.root()).into();
        Ok(Self { engine, subscriptions: Arc::new(subscriptions), control_root })
    }

    /// The control API below `__ds`.
    pub(crate) fn control_api(&self) -> Arc<dyn ControlApi> {
        Arc::new(Control { subscriptions: self.subscriptions.clone(), root: self.control_root.clone() })
    }

    /// Carries out what is queued and closes the store.
    pub(crate) async fn close(&self) {
        self.subscriptions.shut_down().await;
        self.engine.close().await;
    }
}

/// Brings control requests to the subscriptions.
struct Control {
    subscriptions: Arc<Subscriptions>,
    root: Arc<str>,
}

/// Largest body of a control request. Units: bytes.
const MAX_CONTROL_BODY: u64 = 1024 * 1024;

impl ControlApi for Control {
    fn handle(&self, origin: String, request: Request<Incoming>) -> ControlFuture {
        let (subscriptions, root) = (self.subscriptions.clone(), self.root.clone());
        Box::pin(async move {
            let (request, body) = request.into_parts();
            let Ok(body) = upload::collect(body, &request.headers, MAX_CONTROL_BODY).await else { return too_large() };
            let rest = request.uri.path().strip_prefix(&*root).unwrap_or_default();
            let answer = subscriptions.handle(&request.method, rest, &request.headers, body, &origin).await;
            answer.map(Body::from)
        })
    }
}

fn too_large() -> Answer {
    answer::json(
        StatusCode::PAYLOAD_TOO_LARGE,
        r#"{"error":{"code":"INVALID_REQUEST","message":"the body is incomplete or longer than 1048576 bytes"}}"#,
    )
}

fn open_store(options: &BackendOptions) -> Result<Arc<dyn Store>, StartError> {
    match &options.storage {
        Storage::Memory => Ok(Arc::new(MemoryStore::new())),
        Storage::File(dir) => {
            let files = FileOptions { sync: options.durability == Durability::Wal, ..FileOptions::default() };
            Ok(Arc::new(FileStore::open(dir, files)?))
        }
    }
}
