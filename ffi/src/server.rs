//! The embedded server, for tests in the host language.

use std::sync::Arc;

use durable_streams_bindings::server::{FaultConfig, ServerConfig, TestServer};

use crate::{call::run, error::CoreError};

/// Settings of a server; absent ones suit tests: loopback, a free port, memory.
#[derive(Debug, Clone, Default, uniffi::Record)]
pub struct ServerSettings {
    /// Address to listen on.
    #[uniffi(default = None)]
    pub host: Option<String>,
    /// Port; absent takes a free one.
    #[uniffi(default = None)]
    pub port: Option<u16>,
    /// Directory of the file store; absent = memory.
    #[uniffi(default = None)]
    pub data_dir: Option<String>,
    /// URL path below which streams live.
    #[uniffi(default = None)]
    pub prefix: Option<String>,
    /// How long a long-poll waits. Units: ms.
    #[uniffi(default = None)]
    pub long_poll_timeout_ms: Option<u64>,
}

/// A fault to inject; absent fields do nothing.
#[derive(Debug, Clone, uniffi::Record)]
pub struct FaultSettings {
    /// Exact URL path it waits for.
    pub path: String,
    /// Answer this status instead.
    #[uniffi(default = None)]
    pub status: Option<u16>,
    /// Wait before anything else. Units: ms.
    #[uniffi(default = None)]
    pub delay_ms: Option<u64>,
    /// Cut the connection without an answer.
    #[uniffi(default = false)]
    pub drop_connection: bool,
    /// Cut the body of a read to this length. Units: bytes.
    #[uniffi(default = None)]
    pub truncate_body_bytes: Option<u32>,
    /// Number of requests it hits; 1 when absent.
    #[uniffi(default = None)]
    pub count: Option<u64>,
    /// Units: seconds.
    #[uniffi(default = None)]
    pub retry_after: Option<u64>,
    /// Only this method.
    #[uniffi(default = None)]
    pub method: Option<String>,
    /// Most of a random extra wait. Units: ms.
    #[uniffi(default = 0)]
    pub jitter_ms: u64,
    /// Spoil the body of a read.
    #[uniffi(default = false)]
    pub corrupt_body: bool,
    /// Send this first in an SSE answer.
    #[uniffi(default = None)]
    pub inject_sse_event: Option<SseEvent>,
    /// Chance to hit, from 0 to 1; absent = always.
    #[uniffi(default = None)]
    pub probability: Option<f64>,
}

/// A server-sent event.
#[derive(Debug, Clone, uniffi::Record)]
pub struct SseEvent {
    /// Its type.
    pub event_type: String,
    /// Its payload.
    pub data: String,
}

/// A server that runs in this process.
#[derive(Debug, uniffi::Object)]
pub struct FfiServer {
    inner: TestServer,
}

/// Starts a server.
/// Errors: `INVALID_ARGUMENT` for an address that cannot be used.
#[uniffi::export]
pub async fn start_server(settings: ServerSettings) -> Result<Arc<FfiServer>, CoreError> {
    let config = ServerConfig {
        host: settings.host,
        port: settings.port,
        data_dir: settings.data_dir,
        prefix: settings.prefix,
        long_poll_timeout_ms: settings.long_poll_timeout_ms,
    };
    Ok(Arc::new(FfiServer { inner: run(None, TestServer::start(config)).await? }))
}

#[uniffi::export]
impl FfiServer {
    /// The server's origin.
    pub fn url(&self) -> String {
        self.inner.url().to_owned()
    }

    /// The URL below which streams live.
    pub fn streams_url(&self) -> String {
        self.inner.streams_url().to_owned()
    }

    /// The port listened on.
    pub fn port(&self) -> u16 {
        self.inner.port()
    }

    /// Lets requests to the fault's path fail.
    pub async fn inject_fault(&self, fault: FaultSettings) -> Result<(), CoreError> {
        let inner = self.inner.clone();
        let fault = FaultConfig {
            path: fault.path,
            status: fault.status,
            delay_ms: fault.delay_ms,
            drop_connection: fault.drop_connection,
            truncate_body_bytes: fault.truncate_body_bytes.map(|bytes| bytes as usize),
            count: fault.count,
            retry_after: fault.retry_after,
            method: fault.method,
            jitter_ms: fault.jitter_ms,
            corrupt_body: fault.corrupt_body,
            inject_sse_event: fault.inject_sse_event.map(|event| (event.event_type, event.data)),
            probability: fault.probability,
        };
        run(None, async move { inner.inject_fault(fault).await }).await
    }

    /// Forgets all faults.
    pub async fn clear_faults(&self) -> Result<(), CoreError> {
        let inner = self.inner.clone();
        run(None, async move { inner.clear_faults().await }).await
    }

    /// Number of long-polls and SSE answers under way.
    pub async fn live_readers(&self) -> Result<u64, CoreError> {
        let inner = self.inner.clone();
        Ok(run(None, async move { inner.live_readers().await }).await? as u64)
    }

    /// Deletes every stream.
    pub async fn clear(&self) -> Result<(), CoreError> {
        let inner = self.inner.clone();
        run(None, async move { inner.clear().await }).await
    }

    /// Stops in order. Repeating does nothing.
    pub async fn stop(&self) -> Result<(), CoreError> {
        let inner = self.inner.clone();
        run(None, async move { inner.stop().await }).await
    }
}
