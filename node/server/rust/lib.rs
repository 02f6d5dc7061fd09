//! The Node-API addon of `@durable-streams/server`: our server, inside the process.
//!
//! What it is not: the API that users see. That is `node/server/src`; what passes between the
//! two is declared there in `native.ts`.

use std::{
    future::Future,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use durable_streams_protocol::cursor::CursorClock;
use durable_streams_server::{
    engine::types::{Observer, StreamEvent},
    http::Fault,
    path::StreamPath,
    server::{RunningServer, Server, WebhookMode},
    subscriptions::glob_matches,
};
use napi::{
    Env, Error, JsValue, Status,
    bindgen_prelude::{ToNapiValue, Unknown},
};
use napi_derive::napi;
use parking_lot::Mutex;
use tokio::{
    runtime::{Builder, Runtime},
    sync::Notify,
};

/// Settings of a server.
#[napi(object, object_to_js = false)]
#[derive(Debug)]
pub struct ServerSettings {
    /// Address to listen on.
    pub host: String,
    /// Port; 0 takes a free one.
    pub port: u16,
    /// Directory of the file store; absent = memory.
    pub data_dir: Option<String>,
    /// How long a long-poll waits; absent = the server's default. Units: ms.
    pub long_poll_timeout_ms: Option<u32>,
    /// Whether read answers may be compressed.
    pub compression: bool,
    /// How cursors are numbered.
    pub cursors: CursorSettings,
    /// Whether webhook subscriptions work, also to loopback.
    pub webhooks: bool,
    /// Whether `events` will be asked for created and deleted streams.
    pub has_hooks: bool,
}

/// How cursors are numbered; absent numbers are the protocol's.
#[napi(object)]
#[derive(Debug, Clone, Copy)]
pub struct CursorSettings {
    /// Length of an interval. Units: seconds.
    pub interval_seconds: Option<u32>,
    /// Where intervals start. Units: Unix seconds.
    pub epoch_seconds: Option<f64>,
}

impl From<CursorSettings> for CursorClock {
    fn from(settings: CursorSettings) -> Self {
        let defaults = Self::default();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let epoch = settings.epoch_seconds.map(|seconds| seconds as u64);
        Self {
            epoch_unix_seconds: epoch.unwrap_or(defaults.epoch_unix_seconds),
            interval_seconds: settings.interval_seconds.map_or(defaults.interval_seconds, u64::from),
        }
    }
}

/// A stream that came to be, or went.
#[napi(object, object_from_js = false)]
#[derive(Debug)]
pub struct ServerEvent {
    /// `created` or `deleted`.
    pub kind: String,
    /// The stream's path.
    pub path: String,
    /// Its content type, if it still exists.
    pub content_type: Option<String>,
    /// When. Units: Unix milliseconds.
    pub timestamp: f64,
}

/// What the store knows of a stream.
#[napi(object, object_from_js = false)]
#[derive(Debug)]
pub struct StoredStream {
    /// Its path.
    pub path: String,
    /// Content type.
    pub content_type: String,
    /// The tail, as servers write it.
    pub current_offset: String,
    /// Whether the stream is closed.
    pub closed: bool,
    /// When it was created. Units: Unix milliseconds.
    pub created_at: f64,
}

/// A server that runs.
#[napi]
pub struct NativeServer {
    inner: Arc<Inner>,
    url: String,
    port: u16,
}

struct Inner {
    running: Mutex<Option<RunningServer>>,
    events: Arc<Events>,
}

/// Events that JavaScript has not fetched.
#[derive(Default)]
struct Events {
    list: Mutex<Vec<ServerEvent>>,
    news: Notify,
    has_ended: std::sync::atomic::AtomicBool,
}

/// Starts a server; the promise resolves once it listens.
#[napi]
pub fn start_server(env: Env, settings: ServerSettings) -> napi::Result<Unknown<'static>> {
    promise(env, async move {
        let mut builder = Server::builder()
            .host(settings.host)
            .port(settings.port)
            .prefix("/")
            .test_control(true)
            .compression(settings.compression)
            .webhooks(if settings.webhooks { WebhookMode::Dev } else { WebhookMode::Off })
            .with(|options| options.http.cursor_clock = settings.cursors.into());
        if let Some(wait) = settings.long_poll_timeout_ms {
            builder = builder.long_poll_timeout(Duration::from_millis(wait.into()));
        }
        builder = match settings.data_dir {
            Some(dir) => builder.data_dir(PathBuf::from(dir)),
            None => builder.memory(),
        };
        let running = builder.start().await.map_err(|error| failure(error.to_string()))?;
        let events = Arc::new(Events::default());
        if settings.has_hooks {
            running.engine().add_observer(Arc::clone(&events) as Arc<dyn Observer>);
        }
        let (url, port) = (running.url().to_owned(), running.port());
        Ok(NativeServer { inner: Arc::new(Inner { running: Mutex::new(Some(running)), events }), url, port })
    })
}

#[napi]
impl NativeServer {
    /// The server's origin.
    #[napi(getter)]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port listened on.
    #[napi(getter)]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The next events; `null` once the server is stopped. While it is pending, the process
    /// stays alive.
    #[napi]
    pub fn events(&self, env: Env) -> napi::Result<Unknown<'static>> {
        let inner = Arc::clone(&self.inner);
        promise(env, async move { Ok(inner.events().await) })
    }

    /// Lets requests fail as the fault, a JSON text, describes.
    #[napi]
    pub fn inject_fault(&self, fault: String) -> napi::Result<()> {
        let fault = Fault::parse(fault.as_bytes()).map_err(failure)?;
        self.with(|running| running.inject_fault(fault))
    }

    /// Forgets all faults.
    #[napi]
    pub fn clear_faults(&self) -> napi::Result<()> {
        self.with(RunningServer::clear_injected_faults)
    }

    /// Number of long-polls and SSE answers under way.
    #[napi]
    pub fn live_readers(&self) -> napi::Result<u32> {
        self.with(|running| u32::try_from(running.live_readers()).unwrap_or(u32::MAX))
    }

    /// Deletes every stream.
    #[napi]
    pub fn clear(&self, env: Env) -> napi::Result<Unknown<'static>> {
        let engine = self.with(|running| running.engine().clone())?;
        promise(env, async move {
            for (path, _) in engine.paths() {
                // Somebody else was faster, or a fork still reads from it.
                let _ = engine.delete(&path).await;
            }
            Ok(())
        })
    }

    /// Deletes one stream; tells whether there was one.
    #[napi]
    pub fn delete_stream(&self, env: Env, path: String) -> napi::Result<Unknown<'static>> {
        let engine = self.with(|running| running.engine().clone())?;
        promise(env, async move {
            let path = StreamPath::parse(&path).map_err(|error| failure(error.to_string()))?;
            Ok(engine.delete(&path).await.is_ok())
        })
    }

    /// What is known of a stream; `null` when there is none.
    #[napi]
    pub fn find_stream(&self, path: String) -> napi::Result<Option<StoredStream>> {
        let found = StreamPath::parse(&path).map_err(|error| failure(error.to_string()))?;
        self.with(|running| {
            let info = running.engine().head(&found).ok()?;
            Some(StoredStream {
                path,
                content_type: info.content_type.to_string(),
                current_offset: info.tail.to_string(),
                closed: info.closed,
                created_at: number(info.created_unix_ms),
            })
        })
    }

    /// Paths of all streams.
    #[napi]
    pub fn list_streams(&self) -> napi::Result<Vec<String>> {
        self.with(|running| running.engine().paths().into_iter().map(|(path, _)| path.to_string()).collect())
    }

    /// Stops in order: live readers end, everything under way finishes. Repeating does nothing.
    #[napi]
    pub fn stop(&self, env: Env) -> napi::Result<Unknown<'static>> {
        let inner = Arc::clone(&self.inner);
        promise(env, async move {
            let running = inner.running.lock().take();
            if let Some(running) = running {
                running.stop().await;
            }
            inner.events.end();
            Ok(())
        })
    }

    fn with<T>(&self, work: impl FnOnce(&RunningServer) -> T) -> napi::Result<T> {
        self.inner.running.lock().as_ref().map(work).ok_or_else(|| failure("the server is stopped"))
    }
}

impl Drop for NativeServer {
    /// The JavaScript environment has ended, or nobody can reach the server any more.
    fn drop(&mut self) {
        self.inner.events.end();
        let running = self.inner.running.lock().take();
        if running.is_some()
            && let Ok(runtime) = runtime()
        {
            // Its tasks end on the runtime, not on this thread.
            runtime.spawn(async move { drop(running) });
        }
    }
}

impl Inner {
    async fn events(&self) -> Option<Vec<ServerEvent>> {
        loop {
            let news = self.events.news.notified();
            let mut events = std::mem::take(&mut *self.events.list.lock());
            if !events.is_empty() {
                self.complete(&mut events);
                return Some(events);
            }
            if self.events.has_ended.load(std::sync::atomic::Ordering::Acquire) {
                return None;
            }
            news.await;
        }
    }

    /// Adds content types, which the observer must not look up on the committing thread.
    fn complete(&self, events: &mut [ServerEvent]) {
        let running = self.running.lock();
        let Some(running) = &*running else { return };
        for event in events.iter_mut().filter(|event| event.kind == "created") {
            let info = StreamPath::parse(&event.path).ok().and_then(|path| running.engine().head(&path).ok());
            event.content_type = info.map(|info| info.content_type.to_string());
        }
    }
}

impl Observer for Events {
    fn observe(&self, events: &[StreamEvent]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let timestamp = number(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
        let event = |kind: &str, path: &StreamPath| ServerEvent {
            kind: kind.to_owned(),
            path: path.to_string(),
            content_type: None,
            timestamp,
        };
        let seen = events.iter().filter_map(|happened| match happened {
            StreamEvent::Created { path } => Some(event("created", path)),
            StreamEvent::Deleted { path } => Some(event("deleted", path)),
            StreamEvent::Appended { .. } => None,
        });
        self.list.lock().extend(seen);
        self.news.notify_one();
    }
}

impl Events {
    fn end(&self) {
        self.has_ended.store(true, std::sync::atomic::Ordering::Release);
        self.news.notify_one();
    }
}

/// The protocol's own way to number cursors.
#[napi]
pub fn default_cursors() -> CursorSettings {
    let clock = CursorClock::default();
    CursorSettings {
        interval_seconds: u32::try_from(clock.interval_seconds).ok(),
        epoch_seconds: Some(number(clock.epoch_unix_seconds)),
    }
}

/// The cursor a server answers with. Units: Unix seconds.
#[napi]
pub fn next_cursor(client: Option<String>, cursors: CursorSettings, now_seconds: f64, toss: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let (now, toss) = (now_seconds as u64, toss as u64);
    let client = client.as_deref().and_then(durable_streams_protocol::cursor::parse);
    CursorClock::from(cursors).respond(client, now, toss).to_string()
}

/// Whether a path pattern covers a path.
#[napi]
pub fn glob_match(pattern: String, path: String) -> napi::Result<bool> {
    glob_matches(&pattern, &path).map_err(failure)
}

/// Where servers of this process run.
fn runtime() -> napi::Result<&'static Runtime> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let made = Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("ds-server")
        .enable_all()
        .build()
        .map_err(|error| failure(format!("cannot start the runtime: {error}")))?;
    Ok(RUNTIME.get_or_init(|| made))
}

/// A promise of what a future gives. It keeps the process alive while it is pending.
fn promise<T>(env: Env, work: impl Future<Output = napi::Result<T>> + Send + 'static) -> napi::Result<Unknown<'static>>
where
    T: ToNapiValue + Send + 'static,
{
    let (deferred, promise) = env.create_deferred()?;
    let promise = promise.raw();
    runtime()?.spawn(async move {
        match work.await {
            Ok(value) => deferred.resolve(move |_| Ok(value)),
            Err(error) => deferred.reject(error),
        }
    });
    // SAFETY: a promise of this environment, made above.
    Ok(unsafe { Unknown::from_raw_unchecked(env.raw(), promise) })
}

fn failure(reason: impl Into<String>) -> Error {
    Error::new(Status::GenericFailure, reason.into())
}

/// A number for JavaScript.
#[expect(clippy::cast_precision_loss, reason = "times and counts below 2^53")]
const fn number(value: u64) -> f64 {
    value as f64
}
