//! The server that scenarios run against.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use durable_streams_server::server::{RunningServer, Server};
use tempfile::TempDir;
use tokio::{net::lookup_host, sync::Mutex};

use crate::proxy::Restart;

/// How long long-polls of the own server wait.
const LONG_POLL: Duration = Duration::from_millis(500);

/// Which server.
#[derive(Debug, Clone)]
pub enum Host {
    /// This project's, inside the process, one for each job; one that keeps its data for
    /// scenarios that restart it.
    Own,
    /// One that runs already.
    At(String),
}

/// One server.
pub struct Place {
    /// Where it listens.
    pub address: SocketAddr,
    /// What stream paths follow; without a slash at its end.
    pub prefix: String,
    /// How it is restarted, if it can be.
    pub restart: Option<Restart>,
    _own: Option<Arc<Own>>,
}

struct Own {
    running: Mutex<Option<RunningServer>>,
    folder: Option<TempDir>,
}

impl Host {
    /// Its name in reports.
    pub fn name(&self) -> &str {
        match self {
            Self::Own => "own",
            Self::At(url) => url,
        }
    }

    /// A server for one job, or for one scenario that restarts it.
    pub async fn place(&self, is_durable: bool) -> Result<Place, String> {
        if let Self::At(url) = self {
            return Place::at(url).await;
        }
        let folder = if is_durable {
            Some(tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?)
        } else {
            None
        };
        let own = Arc::new(Own { running: Mutex::default(), folder });
        let address = own.start().await?;
        let again = Arc::clone(&own);
        let restart: Restart = Arc::new(move || {
            let own = Arc::clone(&again);
            Box::pin(async move { own.start().await })
        });
        let restart = Some(restart).filter(|_| is_durable);
        Ok(Place { address, prefix: String::new(), restart, _own: Some(own) })
    }
}

impl Place {
    async fn at(url: &str) -> Result<Self, String> {
        let wrong = || format!("{url:?} is not the http URL of a server");
        let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let port = if authority.contains(':') { "" } else { ":80" };
        let mut addresses =
            lookup_host(format!("{authority}{port}")).await.map_err(|error| format!("{url}: {error}"))?;
        let address = addresses.next().ok_or_else(wrong)?;
        let path = path.trim_end_matches('/');
        let prefix = if path.is_empty() { String::new() } else { format!("/{path}") };
        Ok(Self { address, prefix, restart: None, _own: None })
    }
}

impl Own {
    /// Starts the server, after stopping the one that runs.
    async fn start(&self) -> Result<SocketAddr, String> {
        let mut running = self.running.lock().await;
        if let Some(server) = running.take() {
            server.stop().await;
        }
        let mut server = Server::builder().prefix("/").long_poll_timeout(LONG_POLL);
        if let Some(folder) = &self.folder {
            server = server.data_dir(folder.path().join("data"));
        }
        let started = server.start().await.map_err(|error| error.to_string())?;
        let address = SocketAddr::from(([127, 0, 0, 1], started.port()));
        *running = Some(started);
        Ok(address)
    }
}
