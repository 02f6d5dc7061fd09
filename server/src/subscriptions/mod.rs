//! Subscriptions: durable cursors over many streams that wake a worker, by webhook or
//! through a wake stream, when there is unprocessed data (protocol.md §23).
//!
//! One task, the `hub`, owns all state. Stream events reach it through the `inbox`,
//! requests through `http`; the `registry` finds whom they concern, the `machine` knows
//! the rules and asks for what is to be sent, `persist` writes it down first. Nothing here
//! runs on the path of an append: while there is no subscription, an event costs one load.
//!
//! Read next: `machine` for the life cycle, `hub` for the order of things.

mod ack;
mod command;
mod config;
mod deliver;
mod error;
mod glob;
mod host;
mod http;
mod hub;
mod inbox;
mod machine;
mod model;
mod persist;
mod port;
mod registry;
mod root;
mod schedule;
mod signing;
mod ssrf;
mod token;
mod view;

use std::{collections::HashMap, fmt, sync::Arc};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use self::{
    command::{Answer, Command},
    deliver::Deliverer,
    error::ApiError,
    hub::{Call, Hub, Parts},
    inbox::Inbox,
    registry::Registry,
    root::Root,
    signing::{KeyRing, StoredKey},
    ssrf::Guard,
    token::{SECRET_LEN, Tokens},
};
pub use self::{
    host::{Host, SystemHost},
    persist::Corrupt,
    port::{EventError, KvBatch, StreamsPort},
    ssrf::WebhookMode,
};
use crate::store::StoreError;

/// Whether a path pattern covers a path: `*` is one segment, `**` any number of them.
/// Slashes at either end do not count. Errors: why the pattern is refused.
pub fn glob_matches(pattern: &str, path: &str) -> Result<bool, String> {
    let glob = glob::Glob::parse(pattern).map_err(|error| error.to_string())?;
    Ok(glob.matches(path.trim_matches('/')))
}

/// Requests waiting for the hub; more wait in their tasks.
const QUEUE: usize = 1_024;

/// How subscriptions behave.
#[derive(Debug, Clone)]
pub struct Options {
    /// Path prefix of all streams; relative paths in control bodies begin here.
    pub root: String,
    /// Whether webhooks are sent, and where to.
    pub webhooks: WebhookMode,
    /// Hosts webhooks may be sent to, `*.example.com` for all below; empty = any public one.
    pub webhook_hosts: Vec<String>,
    /// Scheme and authority for callback and key-set URLs; `None` = as the creating
    /// request reached the server.
    pub public_url: Option<String>,
    /// Largest number of subscriptions; more are refused with 503.
    pub max_subscriptions: usize,
    /// Time and entropy.
    pub host: Arc<dyn Host>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            root: "/v1/stream".to_owned(),
            webhooks: WebhookMode::default(),
            webhook_hosts: Vec::new(),
            public_url: None,
            max_subscriptions: 100_000,
            host: Arc::new(SystemHost::new()),
        }
    }
}

/// Why subscriptions cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored entry cannot be read; nothing was changed.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// A key could not be made or read.
    #[error("subscriptions cannot be set up: {0}")]
    Setup(String),
}

/// The subscriptions of a server.
pub struct Subscriptions {
    root: Root,
    public_url: Option<String>,
    guard: Guard,
    host: Arc<dyn Host>,
    tokens: Arc<Tokens>,
    keys: Arc<RwLock<KeyRing>>,
    port: Arc<dyn StreamsPort>,
    calls: Mutex<Option<mpsc::Sender<Call>>>,
    hub: Mutex<Option<JoinHandle<()>>>,
}

impl Subscriptions {
    /// Reads what the store holds, brings it up to the streams as they are, and starts.
    /// Must be called on a Tokio runtime.
    pub async fn open(port: Arc<dyn StreamsPort>, options: Options) -> Result<Self, OpenError> {
        let root = Root::new(&options.root);
        let host = options.host;
        let tokens = Arc::new(Tokens::new(&load_token_secret(&*port).await?));
        let keys = Arc::new(RwLock::new(load_keys(&*port, &*host).await?));
        let guard = Guard::new(options.webhooks, &options.webhook_hosts);
        let deliverer = Deliverer::new(guard.clone(), Arc::clone(&keys), Arc::clone(&host));
        let stored = load_subscriptions(&*port, &root)?;

        let inbox = Arc::new(Inbox::default());
        inbox.set_active(!stored.is_empty());
        // Observing starts before the tails are read, so that no append falls in between.
        port.observe(Arc::<Inbox>::clone(&inbox));
        let mut registry = Registry::new(root.clone());
        if !stored.is_empty() {
            let tails: HashMap<_, _> = port.streams().into_iter().collect();
            for subscription in stored {
                registry.restore(subscription, &tails);
            }
            registry.discover(&tails);
        }

        let public_url = options.public_url.map(|url| url.trim_end_matches('/').to_owned());
        let (calls, receiver) = mpsc::channel(QUEUE);
        let parts = Parts {
            registry,
            port: Arc::clone(&port),
            inbox,
            host: Arc::clone(&host),
            tokens: Arc::clone(&tokens),
            keys: Arc::clone(&keys),
            deliverer,
            public_url: public_url.clone(),
            max_subscriptions: options.max_subscriptions,
        };
        let hub = tokio::spawn(Hub::run(parts, receiver));
        Ok(Self {
            root,
            public_url,
            guard,
            host,
            tokens,
            keys,
            port,
            calls: Mutex::new(Some(calls)),
            hub: Mutex::new(Some(hub)),
        })
    }

    /// Has a fresh key sign webhooks from now on. The present one stays published until
    /// its deliveries are too old to be accepted.
    /// Source: protocol.md §23.8.
    pub async fn rotate_signing_key(&self) -> Result<(), OpenError> {
        let (rotated, batch) = {
            let keys = self.keys.read();
            let rotated = keys.rotated(self.host.now_ms()).map_err(|error| OpenError::Setup(error.to_string()))?;
            let forgotten = keys.stored().map(|(kid, _)| (persist::signing_key_key(kid), None));
            let batch: KvBatch = forgotten.chain(key_entries(&rotated)).collect();
            (rotated, batch)
        };
        self.port.kv_put(batch).await?;
        *self.keys.write() = rotated;
        Ok(())
    }

    /// Answers what has arrived and stops. Webhooks in flight are cut off and sent again
    /// after the next start. To be called before the engine is closed.
    pub async fn shut_down(&self) {
        self.calls.lock().take();
        let hub = self.hub.lock().take();
        if let Some(hub) = hub
            && hub.await.is_err()
        {
            tracing::error!("the subscription task did not end cleanly");
        }
    }

    async fn ask(&self, command: Command) -> Answer {
        let calls = self.calls.lock().clone().ok_or(ApiError::Stopping)?;
        let (reply, answer) = oneshot::channel();
        calls.send((command, reply)).await.map_err(|_| ApiError::Stopping)?;
        drop(calls);
        answer.await.map_err(|_| ApiError::Stopping)?
    }

    fn published_keys(&self) -> serde_json::Value {
        self.keys.read().jwks(self.host.now_ms())
    }

    const fn root(&self) -> &Root {
        &self.root
    }

    fn public_url(&self) -> Option<&str> {
        self.public_url.as_deref()
    }

    const fn guard(&self) -> &Guard {
        &self.guard
    }

    fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    fn host(&self) -> &dyn Host {
        &*self.host
    }
}

impl fmt::Debug for Subscriptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriptions").field("root", &self.root).field("guard", &self.guard).finish_non_exhaustive()
    }
}

fn load_subscriptions(port: &dyn StreamsPort, root: &Root) -> Result<Vec<model::Subscription>, OpenError> {
    let mut subscriptions = Vec::new();
    for (key, record) in port.kv_scan(persist::record_prefix())? {
        let id = String::from_utf8_lossy(&key[persist::record_prefix().len()..]).into_owned();
        let links = port.kv_scan(&persist::link_prefix(&id))?;
        subscriptions.push(persist::load(&key, &record, &links, root)?);
    }
    Ok(subscriptions)
}

async fn load_token_secret(port: &dyn StreamsPort) -> Result<[u8; SECRET_LEN], OpenError> {
    let stored = port.kv_scan(persist::TOKEN_SECRET)?;
    if let Some((key, value)) = stored.first() {
        return <[u8; SECRET_LEN]>::try_from(&value[..])
            .map_err(|_| persist::corrupt(key, format!("it has {} bytes, not {SECRET_LEN}", value.len())).into());
    }
    let mut secret = [0; SECRET_LEN];
    // A secret must be unpredictable, so it comes from the system alone.
    SystemRandom::new()
        .fill(&mut secret)
        .map_err(|_| OpenError::Setup("the system gives no random bytes".to_owned()))?;
    port.kv_put(vec![(persist::TOKEN_SECRET.to_vec(), Some(Bytes::copy_from_slice(&secret)))]).await?;
    Ok(secret)
}

async fn load_keys(port: &dyn StreamsPort, host: &dyn Host) -> Result<KeyRing, OpenError> {
    let stored = port.kv_scan(persist::signing_key_prefix())?;
    let keys =
        stored.iter().map(|(key, value)| persist::from_json::<StoredKey>(key, value)).collect::<Result<_, _>>()?;
    let setup = |error: signing::KeyError| OpenError::Setup(error.to_string());
    if let Some(ring) = KeyRing::load(keys).map_err(setup)? {
        return Ok(ring);
    }
    let ring = KeyRing::generate(host.now_ms()).map_err(setup)?;
    port.kv_put(key_entries(&ring).collect()).await?;
    Ok(ring)
}

fn key_entries(ring: &KeyRing) -> impl Iterator<Item = (Vec<u8>, Option<Bytes>)> {
    ring.stored().map(|(kid, key)| (persist::signing_key_key(kid), Some(persist::to_json(key))))
}
