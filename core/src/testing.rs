//! A real server inside the test process: loopback, a free port, streams in memory, and
//! faults on demand.

use std::{fmt, time::Duration};

pub use durable_streams_server::http::{Fault, SseEvent};
use durable_streams_server::server::{RunningServer, Server, ServerBuilder, StartError};

pub use crate::transport::scripted::{Scripted, ScriptedReply};
use crate::{Client, ClientBuilder};

/// A server for tests. Every path is a stream. It stops when dropped, without waiting;
/// [`TestServer::stop`] waits.
pub struct TestServer {
    running: RunningServer,
}

impl TestServer {
    /// Starts a server with long-polls of half a second.
    pub async fn start() -> Result<Self, StartError> {
        Self::start_with(|builder| builder).await
    }

    /// Starts a server with changed settings.
    pub async fn start_with(change: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Result<Self, StartError> {
        let builder = Server::builder().prefix("/").test_control(true).long_poll_timeout(Duration::from_millis(500));
        Ok(Self { running: change(builder).start().await? })
    }

    /// The server's origin, such as `http://127.0.0.1:4437`.
    pub fn url(&self) -> &str {
        self.running.url()
    }

    /// The URL below which streams live.
    pub fn base_url(&self) -> String {
        self.running.streams_url()
    }

    /// The port listened on.
    pub fn port(&self) -> u16 {
        self.running.port()
    }

    /// A client whose relative names are streams of this server.
    ///
    /// # Panics
    /// When the HTTP stack cannot start.
    #[cfg(feature = "rustls")]
    pub fn client(&self) -> Client {
        match self.client_builder().build() {
            Ok(client) => client,
            Err(error) => panic!("the HTTP stack cannot start: {error}"),
        }
    }

    /// A builder of such a client.
    pub fn client_builder(&self) -> ClientBuilder {
        Client::builder().base_url(self.base_url())
    }

    /// Lets the next request to the fault's path fail, or as many as it counts.
    pub fn inject_fault(&self, fault: Fault) {
        self.running.inject_fault(fault);
    }

    /// Forgets all faults.
    pub fn clear_injected_faults(&self) {
        self.running.clear_injected_faults();
    }

    /// Deletes every stream.
    pub async fn clear(&self) -> Result<(), durable_streams_server::engine::types::DeleteError> {
        self.running.clear().await
    }

    /// Stops in order: live readers end, everything under way finishes.
    pub async fn stop(self) {
        self.running.stop().await;
    }

    /// The embedded server itself.
    pub fn running(&self) -> &RunningServer {
        &self.running
    }
}

impl fmt::Debug for TestServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestServer").field("url", &self.url()).finish_non_exhaustive()
    }
}
