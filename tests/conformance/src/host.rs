//! The server behind the wire.

use std::time::Duration;

use durable_streams_server::server::{RunningServer, Server};

/// Name of this project's server inside the process.
pub const OWN: &str = "own";

/// What tests run against.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its name in `hostFaults`.
    pub name: String,
    url: Option<String>,
}

/// One server.
pub struct Place {
    /// The URL that stream paths follow.
    pub url: String,
    /// Stops when dropped.
    own: Option<RunningServer>,
}

impl Host {
    /// This project's server inside the process, a fresh one for each job: streams in
    /// memory directly below the root, long-polls of half a second, faults on request.
    pub fn embedded() -> Self {
        Self { name: OWN.to_owned(), url: None }
    }

    /// A server that runs already.
    pub fn at(name: &str, url: &str) -> Self {
        Self { name: name.to_owned(), url: Some(url.trim_end_matches('/').to_owned()) }
    }

    /// A server for one job.
    pub async fn place(&self) -> Result<Place, String> {
        if let Some(url) = &self.url {
            return Ok(Place { url: url.clone(), own: None });
        }
        let server = Server::builder().prefix("/").test_control(true).long_poll_timeout(Duration::from_millis(500));
        let running = server.start().await.map_err(|error| error.to_string())?;
        Ok(Place { url: running.url().to_owned(), own: Some(running) })
    }
}

impl Place {
    /// Whether nobody else uses it.
    pub const fn is_own(&self) -> bool {
        self.own.is_some()
    }
}
