//! Everything behind the HTTP service: a store, its engine and its subscriptions.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use http::{Request, StatusCode};

use crate::{
    engine::{Engine, EngineOptions},
    http::{
        HttpOptions,
        answer::{self, Answer},
        body::Body,
        request_body::RequestBody,
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
    /// Hosts webhooks may go to, `*.example.com` for all below; empty = any public one.
    pub webhook_hosts: Vec<String>,
    /// Number kept with the data; opening it with another one is an error. Has no other
    /// meaning here: all streams share one log.
    pub wal_shards: Option<u32>,
    /// Newest data kept in memory per stream; `None` = the engine's choice. Units: bytes.
    pub hot_bytes_per_stream: Option<usize>,
}

impl Default for BackendOptions {
    fn default() -> Self {
        Self {
            storage: Storage::Memory,
            durability: Durability::default(),
            max_streams: None,
            webhooks: WebhookMode::default(),
            webhook_hosts: Vec::new(),
            wal_shards: None,
            hot_bytes_per_stream: None,
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
            let mut engine_options = EngineOptions { max_streams: opening.max_streams, ..EngineOptions::default() };
            if let Some(bytes) = opening.hot_bytes_per_stream {
                engine_options.hot_bytes_per_stream = bytes;
            }
            Ok::<_, StartError>(Engine::open(engine_options, store)?)
        });
        let engine = match opened.await {
            Ok(engine) => engine?,
            Err(panicked) => {
                return Err(StartError::Setting(format!("opening the storage ended abnormally: {panicked}")));
            }
        };
        if let (Some(shards), Storage::File(directory)) = (options.wal_shards, &options.storage) {
            keep_wal_shards(&engine, shards, directory).await?;
        }
        let subscribing = subscriptions::Options {
            root: http.root().to_owned(),
            webhooks: options.webhooks,
            webhook_hosts: options.webhook_hosts.clone(),
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

/// Key of the number of log shards that a file store was opened with.
const WAL_SHARDS: &[u8] = b"server/wal-shards";

async fn keep_wal_shards(engine: &Engine, shards: u32, directory: &Path) -> Result<(), StartError> {
    let given = shards.to_string();
    let kept =
        engine.kv_scan(WAL_SHARDS)?.into_iter().next().map(|(_, kept)| String::from_utf8_lossy(&kept).into_owned());
    match kept {
        Some(kept) if kept == given => Ok(()),
        Some(kept) => Err(StartError::WalShards { directory: directory.to_owned(), kept, given }),
        None => Ok(engine.kv_put(vec![(WAL_SHARDS.to_vec(), Some(Bytes::from(given)))]).await?),
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
    fn handle(&self, origin: String, request: Request<RequestBody>) -> ControlFuture {
        let (subscriptions, root) = (self.subscriptions.clone(), self.root.clone());
        Box::pin(async move {
            let (request, body) = request.into_parts();
            let Ok(body) = upload::collect(body, &request, MAX_CONTROL_BODY).await else { return too_large() };
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
