//! The server engine inside the VM: opened once per storage, asked by Elixir functions
//! ([`streams`]) and by the web server of the application ([`http`]), and listening on a socket
//! of its own where that is wanted.

mod http;
mod name;
mod page;
mod streams;

use std::{ops::Deref, path::PathBuf, sync::Arc, time::Duration};

use durable_streams_bindings::{ErrorInfo, call::Outcome};
use durable_streams_server::{
    embedded::{Embedded, Listening},
    http::HttpOptions,
    server::{BackendOptions, StartError, Storage, WebhookMode, normalised_prefix},
};
use parking_lot::Mutex;
use rustler::{Encoder, Env, NifResult, Reference, Resource, ResourceArc, Term, types::atom};
use tokio::{sync::mpsc, time::timeout};

use crate::{
    options::Options,
    reply::{Operation, start, start_unit},
};

/// An engine. Letting go of it without [`keeper_stop`] loses nothing that was answered.
pub(crate) struct Keeper {
    /// Taken by [`keeper_stop`].
    open: Mutex<Option<(Engine, mpsc::Receiver<()>)>>,
}

/// An open engine in use. While one of these exists its directory stays locked.
#[derive(Clone)]
pub(crate) struct Engine {
    embedded: Arc<Embedded>,
    /// Tells [`keeper_stop`] when the last one is gone; dropped after the engine itself.
    _in_use: mpsc::Sender<()>,
}

impl Keeper {
    fn new(embedded: Embedded) -> Self {
        let (in_use, unused) = mpsc::channel(1);
        Self { open: Mutex::new(Some((Engine { embedded: Arc::new(embedded), _in_use: in_use }, unused))) }
    }

    fn engine(&self) -> Outcome<Engine> {
        let open = self.open.lock();
        open.as_ref().map(|(engine, _)| engine.clone()).ok_or_else(|| ErrorInfo::internal("the engine is stopped"))
    }
}

impl Deref for Engine {
    type Target = Embedded;

    fn deref(&self) -> &Embedded {
        &self.embedded
    }
}

#[rustler::resource_impl]
impl Resource for Keeper {}

/// A socket of an engine.
pub(crate) struct Listener {
    /// Taken by [`keeper_stop_listening`].
    listening: Mutex<Option<(Listening, Engine)>>,
}

#[rustler::resource_impl]
impl Resource for Listener {}

/// Opens the storage and starts the engine.
#[rustler::nif]
fn keeper_open<'a>(env: Env<'a>, reference: Reference<'a>, options: Term<'a>) -> NifResult<ResourceArc<Operation>> {
    let (backend, http) = settings(&Options::new(options))?;
    let work = async move { Embedded::open(backend, http).await.map_err(refused) };
    Ok(start(env, reference, work, |env, embedded| (atom::ok(), ResourceArc::new(Keeper::new(embedded))).encode(env)))
}

fn settings(options: &Options<'_>) -> NifResult<(BackendOptions, HttpOptions)> {
    let mut backend = BackendOptions::default();
    if let Some(dir) = options.get::<String>("data_dir")? {
        backend.storage = Storage::File(PathBuf::from(dir));
    }
    backend.max_streams = options.get("max_streams")?;
    backend.webhooks = match options.get::<String>("webhooks")?.as_deref() {
        Some("off") => WebhookMode::Off,
        Some("dev") => WebhookMode::Dev,
        Some(_) | None => WebhookMode::Https,
    };
    let mut http = HttpOptions::default();
    if let Some(mount) = options.get::<String>("mount")? {
        http.prefix = normalised_prefix(&mount);
    }
    if let Some(wait) = options.get("long_poll_timeout")? {
        http.long_poll_timeout = Duration::from_millis(wait);
    }
    if let Some(life) = options.get("sse_reconnect_interval")? {
        http.sse_reconnect_interval = Duration::from_millis(life);
    }
    if let Some(bytes) = options.get("max_body_bytes")? {
        http.max_body_bytes = bytes;
    }
    http.origin.public_url = options.get::<String>("public_url")?.map(|url| url.trim_end_matches('/').to_owned());
    Ok((backend, http))
}

/// Ends live reads, carries out what is queued, closes the storage.
#[rustler::nif]
fn keeper_stop<'a>(env: Env<'a>, reference: Reference<'a>, keeper: ResourceArc<Keeper>) -> ResourceArc<Operation> {
    let open = keeper.open.lock().take();
    start_unit(env, reference, async move {
        if let Some((engine, mut unused)) = open {
            engine.stop().await;
            drop(engine);
            // What is under way ends now; then the directory is free.
            let _ = timeout(PATIENCE, unused.recv()).await;
        }
        Ok(())
    })
}

/// How long answers may take that the application's web server has not passed on yet.
const PATIENCE: Duration = Duration::from_secs(2);

/// Number of long-polls and server-sent event answers under way, over HTTP.
#[rustler::nif]
fn keeper_live_readers(keeper: ResourceArc<Keeper>) -> usize {
    keeper.engine().map_or(0, |engine| engine.live_readers())
}

/// Largest request body that is taken in. Units: bytes.
#[rustler::nif]
fn keeper_max_body_bytes(keeper: ResourceArc<Keeper>) -> u64 {
    keeper.engine().map_or(0, |engine| engine.options().max_body_bytes)
}

/// Serves an engine on a socket: `{:ok, {listener, url, port}}`.
#[rustler::nif]
fn keeper_listen<'a>(
    env: Env<'a>,
    reference: Reference<'a>,
    keeper: ResourceArc<Keeper>,
    host: String,
    port: u16,
) -> ResourceArc<Operation> {
    let work = async move {
        let engine = keeper.engine()?;
        let listening = engine.listen(&host, port, MAX_CONNECTIONS).await.map_err(refused)?;
        let url = format!("{}{}", listening.url(), engine.options().prefix.trim_end_matches('/'));
        let port = listening.port();
        Ok((Listener { listening: Mutex::new(Some((listening, engine))) }, url, port))
    };
    start(env, reference, work, |env, (listener, url, port)| {
        (atom::ok(), (ResourceArc::new(listener), url, port)).encode(env)
    })
}

/// As many as the server's own default.
const MAX_CONNECTIONS: usize = 100_000;

/// Closes a socket; its engine goes on. Repeating does nothing.
#[rustler::nif]
fn keeper_stop_listening<'a>(
    env: Env<'a>,
    reference: Reference<'a>,
    listener: ResourceArc<Listener>,
) -> ResourceArc<Operation> {
    let listening = listener.listening.lock().take();
    start_unit(env, reference, async move {
        if let Some((listening, _engine)) = listening {
            listening.stop().await;
        }
        Ok(())
    })
}

fn refused(error: StartError) -> ErrorInfo {
    let text = error.to_string();
    match error {
        StartError::Listen { .. } => ErrorInfo::invalid("host, port", text),
        StartError::Setting(_) => ErrorInfo::invalid("setting", text),
        StartError::Tls(_)
        | StartError::Open(_)
        | StartError::Engine(_)
        | StartError::Subscriptions(_)
        | StartError::WalShards { .. } => ErrorInfo::internal(text),
    }
}
