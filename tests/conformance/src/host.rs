//! The server behind the wire.

use std::time::Duration;

use durable_streams_server::server::{RunningServer, Server};

/// A server that tests run against.
pub struct Host {
    /// Its name in `hostFaults`.
    pub name: String,
    /// The URL that stream paths follow.
    pub url: String,
    /// Stops when dropped.
    _own: Option<RunningServer>,
}

impl Host {
    /// This project's server inside the process: streams in memory directly below the root,
    /// long-polls of half a second, faults on request.
    pub async fn embedded() -> Result<Self, String> {
        let server = Server::builder().prefix("/").test_control(true).long_poll_timeout(Duration::from_millis(500));
        let running = server.start().await.map_err(|error| error.to_string())?;
        let url = running.url().to_owned();
        Ok(Self { name: "own".to_owned(), url, _own: Some(running) })
    }

    /// A server that runs already.
    pub fn at(name: &str, url: &str) -> Self {
        Self { name: name.to_owned(), url: url.trim_end_matches('/').to_owned(), _own: None }
    }
}
