//! A server to embed: `Server::builder().start().await` serves, `stop().await` ends it in
//! order. The standalone binary is the same server with settings from outside.

use std::{
    fmt, io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    http::{Fault, Faults, HttpOptions, service::Service},
    launch::{ActionPlan, HostPlan, Launched, RoutePlan, SitePlan, StreamsPlan, launch},
};

pub use crate::{
    backend::{BackendOptions, Durability, Storage},
    http::{CorsPolicy, Network, OriginPolicy},
    store::OpenError,
    subscriptions::WebhookMode,
    tls::TlsError,
};

/// A server that does not run yet.
#[derive(Debug)]
pub struct Server {
    options: ServerOptions,
}

/// Settings of a server. The defaults suit tests and embedding: loopback, a free port,
/// streams in memory.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Name or address to listen on.
    pub host: String,
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// Most connections at once.
    pub max_connections: usize,
    /// Certificate chain and private key, PEM files; absent = plain HTTP.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Where streams live, and their limits.
    pub backend: BackendOptions,
    /// The HTTP surface.
    pub http: HttpOptions,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 0,
            max_connections: 100_000,
            tls: None,
            backend: BackendOptions::default(),
            http: HttpOptions::default(),
        }
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken, not local, or does not resolve.
    #[error("cannot listen on {host}:{port}: {source}")]
    Listen {
        /// Host asked for.
        host: String,
        /// Port asked for.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// Certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The data directory cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store opened but its content could not be read, or its thread not started.
    #[error("cannot start on the storage: {0}")]
    Engine(#[from] crate::store::StoreError),
    /// Subscriptions could not be restored.
    #[error("cannot restore the subscriptions: {0}")]
    Subscriptions(#[from] crate::subscriptions::OpenError),
    /// The data was written under another number of log shards.
    #[error("wal-shards is {given}, but the data in {} was written with {kept}; give that number", directory.display())]
    WalShards {
        /// The data directory.
        directory: PathBuf,
        /// Number kept with the data.
        kept: String,
        /// Number asked for.
        given: String,
    },
    /// A setting is out of range.
    #[error("{0}")]
    Setting(String),
}

impl Server {
    /// Collects settings.
    pub fn builder() -> ServerBuilder {
        ServerBuilder { options: ServerOptions::default() }
    }

    /// A server with these settings.
    pub const fn new(options: ServerOptions) -> Self {
        Self { options }
    }

    /// Listens, opens the store and serves. While the store is being read, requests get
    /// 503 and `/health` says so.
    pub async fn start(self) -> Result<RunningServer, StartError> {
        let ServerOptions { host, port, max_connections, tls, backend, http } = self.options;
        let prefix = http.prefix.clone();
        let streams = ActionPlan::Streams(Box::new(StreamsPlan { block: 0, backend, http }));
        let routes = vec![RoutePlan { matcher: None, action: streams }];
        let plan = SitePlan { host, port, tls, hosts: vec![HostPlan { name: None, routes }] };
        let launched = launch(&[plan], max_connections).await?;
        let (Some((url, port)), Some(service)) =
            (launched.addresses.first().cloned(), launched.services.first().cloned())
        else {
            return Err(StartError::Setting("nothing was started".to_owned()));
        };
        Ok(RunningServer { url, port, prefix, service, launched })
    }
}

/// Collects the settings of a [`Server`].
#[derive(Debug, Clone)]
#[must_use]
pub struct ServerBuilder {
    options: ServerOptions,
}

impl ServerBuilder {
    /// Name or address to listen on; `127.0.0.1` when not called.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.options.host = host.into();
        self
    }

    /// Port to listen on; 0, a free one, when not called.
    pub const fn port(mut self, port: u16) -> Self {
        self.options.port = port;
        self
    }

    /// Keeps streams in memory only; the default.
    pub fn memory(mut self) -> Self {
        self.options.backend.storage = Storage::Memory;
        self
    }

    /// Keeps streams in a directory, created when missing.
    pub fn data_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.options.backend.storage = Storage::File(dir.into());
        self
    }

    /// When an append is acknowledged.
    pub const fn durability(mut self, durability: Durability) -> Self {
        self.options.backend.durability = durability;
        self
    }

    /// Path prefix of streams; slashes at both ends are added when missing.
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.options.http.prefix = normalised_prefix(prefix);
        self
    }

    /// How long a long-poll waits; 30 s when not called.
    pub const fn long_poll_timeout(mut self, wait: Duration) -> Self {
        self.options.http.long_poll_timeout = wait;
        self
    }

    /// About how long an SSE response lasts; 60 s when not called.
    pub const fn sse_reconnect_interval(mut self, life: Duration) -> Self {
        self.options.http.sse_reconnect_interval = life;
        self
    }

    /// Largest request body; 16 MiB when not called.
    /// Units: bytes, inclusive.
    pub const fn max_body_bytes(mut self, bytes: u64) -> Self {
        self.options.http.max_body_bytes = bytes;
        self
    }

    /// Most stored bytes per read answer; 4 MiB when not called.
    /// Units: bytes, at least 65536.
    pub const fn max_chunk_bytes(mut self, bytes: usize) -> Self {
        self.options.http.max_chunk_bytes = bytes;
        self
    }

    /// Most streams; no limit when not called.
    pub const fn max_streams(mut self, streams: usize) -> Self {
        self.options.backend.max_streams = Some(streams);
        self
    }

    /// Most connections at once.
    pub const fn max_connections(mut self, connections: usize) -> Self {
        self.options.max_connections = connections;
        self
    }

    /// Most long-polls and SSE responses at once.
    pub const fn max_live_readers(mut self, readers: usize) -> Self {
        self.options.http.max_live_readers = readers;
        self
    }

    /// Whether read answers may be compressed; yes when not called.
    pub const fn compression(mut self, is_on: bool) -> Self {
        self.options.http.compression = is_on;
        self
    }

    /// Which web origins may read answers; all when not called.
    pub fn cors(mut self, cors: CorsPolicy) -> Self {
        self.options.http.cors = cors;
        self
    }

    /// Under which URL clients see this server; else the request's host.
    pub fn public_url(mut self, url: &str) -> Self {
        self.options.http.origin.public_url = Some(url.trim_end_matches('/').to_owned());
        self
    }

    /// Networks whose `X-Forwarded-Proto` and `X-Forwarded-Host` count; none when not called.
    pub fn trusted_proxies(mut self, networks: Vec<Network>) -> Self {
        self.options.http.origin.trusted_proxies = networks;
        self
    }

    /// Where webhooks may go; https only when not called.
    pub const fn webhooks(mut self, mode: WebhookMode) -> Self {
        self.options.backend.webhooks = mode;
        self
    }

    /// Certificate chain and private key, PEM files.
    pub fn tls(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.options.tls = Some((certificate.into(), key.into()));
        self
    }

    /// Whether `/metrics` answers; no when not called.
    pub const fn metrics(mut self, is_on: bool) -> Self {
        self.options.http.metrics = is_on;
        self
    }

    /// Whether faults can be injected over HTTP; for tests of clients. No when not called.
    pub const fn test_control(mut self, is_on: bool) -> Self {
        self.options.http.test_control = is_on;
        self
    }

    /// Changes a setting that has no method of its own.
    pub fn with(mut self, change: impl FnOnce(&mut ServerOptions)) -> Self {
        change(&mut self.options);
        self
    }

    /// A server with these settings.
    pub fn build(self) -> Server {
        Server { options: self.options }
    }

    /// Builds and starts.
    pub async fn start(self) -> Result<RunningServer, StartError> {
        self.build().start().await
    }
}

/// A prefix with a slash at both ends.
pub fn normalised_prefix(prefix: &str) -> String {
    match prefix.trim_matches('/') {
        "" => "/".to_owned(),
        inner => format!("/{inner}/"),
    }
}

/// A server that serves. Dropping it ends the process's part in order as far as possible
/// without waiting; [`RunningServer::stop`] waits.
pub struct RunningServer {
    url: String,
    port: u16,
    prefix: String,
    service: Arc<Service>,
    launched: Launched,
}

impl fmt::Debug for RunningServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningServer").field("url", &self.url).finish_non_exhaustive()
    }
}

impl RunningServer {
    /// The server's origin, such as `http://127.0.0.1:4437`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same as [`RunningServer::url`].
    pub fn base_url(&self) -> &str {
        &self.url
    }

    /// The URL below which streams live, without a slash at its end.
    pub fn streams_url(&self) -> String {
        format!("{}{}", self.url, self.prefix.trim_end_matches('/'))
    }

    /// The port listened on.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The engine behind the server.
    pub fn engine(&self) -> &crate::engine::Engine {
        self.service.engine()
    }

    /// Number of long-polls and SSE responses under way.
    pub fn live_readers(&self) -> usize {
        self.service.live_readers()
    }

    /// Replaces the fault of a path; takes effect when test control is on.
    pub fn inject_fault(&self, fault: Fault) {
        self.faults().inject(fault);
    }

    /// Forgets all faults.
    pub fn clear_injected_faults(&self) {
        self.faults().clear();
    }

    fn faults(&self) -> &Faults {
        self.service.faults()
    }

    /// Deletes every stream.
    /// Errors: the store failed.
    pub async fn clear(&self) -> Result<(), crate::engine::types::DeleteError> {
        use crate::engine::types::DeleteError;
        for (path, _) in self.engine().paths() {
            match self.engine().delete(&path).await {
                // Somebody else was faster, or a fork still reads from it.
                Ok(()) | Err(DeleteError::Lookup(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Stops in order: no new connections, SSE ended, long-polls answered 204, everything
    /// under way finished within a few seconds, the store flushed and closed.
    pub async fn stop(self) {
        let started = Instant::now();
        self.launched.stop().await;
        tracing::info!(took_ms = started.elapsed().as_millis(), "stopped");
    }
}
