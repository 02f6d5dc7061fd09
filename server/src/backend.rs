//! Everything behind the HTTP service: a store, its engine and its subscriptions.

use std::{path::PathBuf, sync::Arc};

use crate::{
    engine::{Engine, EngineOptions},
    http::{HttpOptions, service::ControlApi},
    server::StartError,
    store::{
        Store,
        file::{FileOptions, FileStore},
        memory::MemoryStore,
    },
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

/// Where webhooks may go (protocol.md §23.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WebhookMode {
    /// Nowhere.
    Off,
    /// Public https URLs.
    #[default]
    Https,
    /// Also http to loopback; for development.
    Dev,
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

/// A store with its engine.
#[derive(Clone)]
pub(crate) struct Backend {
    /// The engine.
    pub(crate) engine: Engine,
}

impl Backend {
    /// Opens the store and restores what it holds. Reading happens off the runtime.
    pub(crate) async fn open(options: &BackendOptions) -> Result<Self, StartError> {
        let options = options.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let store = open_store(&options)?;
            let engine_options = EngineOptions { max_streams: options.max_streams, ..EngineOptions::default() };
            Ok::<_, StartError>(Engine::open(engine_options, store)?)
        });
        match opened.await {
            Ok(engine) => Ok(Self { engine: engine? }),
            Err(panicked) => Err(StartError::Setting(format!("opening the storage ended abnormally: {panicked}"))),
        }
    }

    /// The control API below `__ds`.
    pub(crate) fn control_api(&self, _http: &HttpOptions) -> Option<Arc<dyn ControlApi>> {
        None
    }

    /// Carries out what is queued and closes the store.
    pub(crate) async fn close(&self) {
        self.engine.close().await;
    }
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
