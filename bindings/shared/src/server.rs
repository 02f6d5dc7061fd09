//! An embedded server, for tests in the host language and for programs that bring their own.

use std::{path::PathBuf, sync::Arc, time::Duration};

use durable_streams::server::{
    RunningServer, Server, StartError,
    http::{Fault, SseEvent},
};
use tokio::sync::Mutex;

use crate::{error::ErrorInfo, runtime};

/// Settings of a server; absent ones suit tests: loopback, a free port, memory.
#[derive(Debug, Clone, Default)]
pub struct ServerConfig {
    /// Address to listen on; loopback when absent.
    pub host: Option<String>,
    /// Port; 0 or absent takes a free one.
    pub port: Option<u16>,
    /// Directory of the file store; absent = memory.
    pub data_dir: Option<String>,
    /// URL path below which streams live; `/` when absent: every path is a stream.
    pub prefix: Option<String>,
    /// How long a long-poll waits. Units: ms.
    pub long_poll_timeout_ms: Option<u64>,
}

/// A fault to inject; absent fields do nothing.
#[derive(Debug, Clone, Default)]
pub struct FaultConfig {
    /// Exact URL path it waits for.
    pub path: String,
    /// Answer this status instead.
    pub status: Option<u16>,
    /// Wait before anything else. Units: ms.
    pub delay_ms: Option<u64>,
    /// Random extra. Units: ms.
    pub jitter_ms: u64,
    /// Cut the connection without an answer.
    pub drop_connection: bool,
    /// Cut the body of a read to this length. Units: bytes.
    pub truncate_body_bytes: Option<usize>,
    /// Spoil the body of a read.
    pub corrupt_body: bool,
    /// Type and payload of an event to send at the start of an SSE answer.
    pub inject_sse_event: Option<(String, String)>,
    /// Number of requests it hits; 1 when absent.
    pub count: Option<u64>,
    /// Units: seconds.
    pub retry_after: Option<u64>,
    /// Chance to hit.
    pub probability: Option<f64>,
    /// Only this method.
    pub method: Option<String>,
}

/// A server that runs. It stops when the last clone goes, without waiting.
#[derive(Clone, Debug)]
pub struct TestServer {
    running: Arc<Mutex<Option<RunningServer>>>,
    url: String,
    streams_url: String,
    port: u16,
    made_in: u64,
}

impl TestServer {
    /// Listens and serves.
    /// Errors: `INVALID_ARGUMENT` for an address that cannot be used, `INTERNAL_ERROR` for a
    /// directory that cannot.
    pub async fn start(config: ServerConfig) -> Result<Self, ErrorInfo> {
        let mut builder = Server::builder()
            .prefix(config.prefix.as_deref().unwrap_or("/"))
            .test_control(true)
            .long_poll_timeout(Duration::from_millis(config.long_poll_timeout_ms.unwrap_or(30_000)));
        if let Some(host) = config.host {
            builder = builder.host(host);
        }
        if let Some(port) = config.port {
            builder = builder.port(port);
        }
        builder = match config.data_dir {
            Some(dir) => builder.data_dir(PathBuf::from(dir)),
            None => builder.memory(),
        };
        // On the runtime, whoever polls this: what the server starts must live there.
        let started = runtime::handle()?.spawn(builder.start());
        let running = started.await.map_err(|_| ErrorInfo::cancelled())?.map_err(refused)?;
        Ok(Self {
            url: running.url().to_owned(),
            streams_url: running.streams_url(),
            port: running.port(),
            running: Arc::new(Mutex::new(Some(running))),
            made_in: runtime::generation(),
        })
    }

    /// The server's origin.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL below which streams live, without a slash at its end.
    pub fn streams_url(&self) -> &str {
        &self.streams_url
    }

    /// The port listened on.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Lets requests to the fault's path fail.
    pub async fn inject_fault(&self, fault: FaultConfig) -> Result<(), ErrorInfo> {
        let fault = Fault {
            path: fault.path,
            status: fault.status,
            delay_ms: fault.delay_ms,
            drop_connection: fault.drop_connection,
            truncate_body_bytes: fault.truncate_body_bytes,
            corrupt_body: fault.corrupt_body,
            inject_sse_event: fault.inject_sse_event.map(|(event_type, data)| SseEvent { event_type, data }),
            count: fault.count,
            retry_after: fault.retry_after,
            jitter_ms: fault.jitter_ms,
            probability: fault.probability,
            method: fault.method,
        };
        self.with(|running| running.inject_fault(fault)).await
    }

    /// Forgets all faults.
    pub async fn clear_faults(&self) -> Result<(), ErrorInfo> {
        self.with(RunningServer::clear_injected_faults).await
    }

    /// Number of long-polls and SSE answers under way.
    pub async fn live_readers(&self) -> Result<usize, ErrorInfo> {
        self.with(RunningServer::live_readers).await
    }

    /// Deletes every stream.
    pub async fn clear(&self) -> Result<(), ErrorInfo> {
        let running = self.running.lock().await;
        let running = running.as_ref().ok_or_else(stopped)?;
        running.clear().await.map_err(|error| ErrorInfo::internal(error.to_string()))
    }

    /// Stops in order: live readers end, everything under way finishes. Repeating does nothing.
    pub async fn stop(&self) -> Result<(), ErrorInfo> {
        runtime::check(self.made_in, "server")?;
        let running = self.running.lock().await.take();
        if let Some(running) = running {
            runtime::handle()?.spawn(running.stop()).await.map_err(|_| ErrorInfo::cancelled())?;
        }
        Ok(())
    }

    async fn with<T>(&self, work: impl FnOnce(&RunningServer) -> T) -> Result<T, ErrorInfo> {
        runtime::check(self.made_in, "server")?;
        self.running.lock().await.as_ref().map(work).ok_or_else(stopped)
    }
}

fn stopped() -> ErrorInfo {
    ErrorInfo::new(durable_streams::ErrorCode::AlreadyClosed, "the server is stopped")
}

fn refused(error: StartError) -> ErrorInfo {
    let text = error.to_string();
    match error {
        StartError::Listen { .. } | StartError::Setting(_) => ErrorInfo::invalid("host, port", text),
        StartError::Tls(_)
        | StartError::Open(_)
        | StartError::Engine(_)
        | StartError::Subscriptions(_)
        | StartError::WalShards { .. } => ErrorInfo::internal(text),
    }
}
