//! The server engine inside the VM: opened once per storage, asked by Elixir functions
//! ([`streams`]) and by the web server of the application ([`http`]), and listening on a socket
//! of its own where that is wanted.

mod http;
mod name;
mod page;
mod streams;

use std::{path::PathBuf, time::Duration};

use durable_streams_bindings::ErrorInfo;
use durable_streams_server::{
    embedded::{Embedded, Listening},
    http::HttpOptions,
    server::{BackendOptions, StartError, Storage, WebhookMode, normalised_prefix},
};
use parking_lot::Mutex;
use rustler::{Encoder, Env, NifResult, Reference, Resource, ResourceArc, Term, types::atom};

use crate::{
    options::Options,
    reply::{Operation, start, start_unit},
};

/// An open engine. Letting go of it without [`keeper_stop`] loses nothing that was answered.
pub(crate) struct Keeper {
    embedded: Embedded,
}

#[rustler::resource_impl]
impl Resource for Keeper {}

/// A socket of an engine.
pub(crate) struct Listener {
    /// Taken by [`keeper_stop_listening`].
    listening: Mutex<Option<Listening>>,
}

#[rustler::resource_impl]
impl Resource for Listener {}

/// Opens the storage and starts the engine.
#[rustler::nif]
fn keeper_open<'a>(env: Env<'a>, reference: Reference<'a>, options: Term<'a>) -> NifResult<ResourceArc<Operation>> {
    let (backend, http) = settings(&Options::new(options))?;
    let work = async move { Embedded::open(backend, http).await.map_err(refused) };
    Ok(start(env, reference, work, |env, embedded| (atom::ok(), ResourceArc::new(Keeper { embedded })).encode(env)))
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
    start_unit(env, reference, async move {
        keeper.embedded.stop().await;
        Ok(())
    })
}

/// Number of long-polls and server-sent event answers under way, over HTTP.
#[rustler::nif]
fn keeper_live_readers(keeper: ResourceArc<Keeper>) -> usize {
    keeper.embedded.live_readers()
}

/// Largest request body that is taken in. Units: bytes.
#[rustler::nif]
fn keeper_max_body_bytes(keeper: ResourceArc<Keeper>) -> u64 {
    keeper.embedded.options().max_body_bytes
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
        let listening = keeper.embedded.listen(&host, port, MAX_CONNECTIONS).await.map_err(refused)?;
        let url = format!("{}{}", listening.url(), keeper.embedded.options().prefix.trim_end_matches('/'));
        let port = listening.port();
        Ok((Listener { listening: Mutex::new(Some(listening)) }, url, port))
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
        if let Some(listening) = listening {
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
