//! The demo's server: the embedded one, in a process of its own so that it can be killed.

use std::{
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use durable_streams_server::server::Server;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    sync::oneshot,
    time::timeout,
};

use crate::{
    args::{DemoServerArgs, Storage},
    failure::Failure,
};

/// Starting takes at most this long.
const START_LIMIT: Duration = Duration::from_secs(30);

/// The child's side: serves until standard input ends, so it never outlives its parent.
pub fn run(args: &DemoServerArgs) -> Result<(), Failure> {
    let failed = |error: &dyn std::error::Error| Failure::Local(format!("the demo's server: {error}"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| failed(&error))?;
    runtime.block_on(async {
        let builder = Server::builder().host("127.0.0.1").port(args.port);
        let builder = match args.storage {
            Storage::File => builder.data_dir(&args.data_dir),
            Storage::Memory => builder.memory(),
        };
        let running = builder.start().await.map_err(|error| failed(&error))?;
        writeln!(io::stdout(), "{} {}", running.port(), running.streams_url()).map_err(|error| failed(&error))?;
        let (ended, end) = oneshot::channel();
        std::thread::spawn(move || {
            let _ = io::stdin().read_to_end(&mut Vec::new());
            let _ = ended.send(());
        });
        let _ = end.await;
        running.stop().await;
        Ok(())
    })
}

/// The parent's side.
pub struct DemoServer {
    child: Child,
    port: u16,
    streams_url: String,
    storage: Storage,
    data_dir: PathBuf,
    killed: Instant,
}

impl DemoServer {
    /// Starts a server on a free loopback port.
    pub async fn start(storage: Storage, data_dir: &Path) -> Result<Self, Failure> {
        let (child, port, streams_url) = spawn(storage, data_dir, 0).await?;
        Ok(Self { child, port, streams_url, storage, data_dir: data_dir.to_owned(), killed: Instant::now() })
    }

    /// The URL below which streams live.
    pub fn streams_url(&self) -> &str {
        &self.streams_url
    }

    /// Kills the process without warning (SIGKILL).
    pub async fn kill(&mut self) -> Result<(), Failure> {
        self.killed = Instant::now();
        self.child.kill().await.map_err(|error| Failure::Local(format!("cannot kill the demo's server: {error}")))
    }

    /// Starts another process on the same port and directory; gives the time since the kill.
    pub async fn restart(&mut self) -> Result<Duration, Failure> {
        (self.child, ..) = spawn(self.storage, &self.data_dir, self.port).await?;
        Ok(self.killed.elapsed())
    }

    /// Ends the server in order.
    pub async fn stop(mut self) {
        drop(self.child.stdin.take());
        // Dropping the handle kills what is left after the wait.
        let _ = timeout(START_LIMIT, self.child.wait()).await;
    }
}

async fn spawn(storage: Storage, data_dir: &Path, port: u16) -> Result<(Child, u16, String), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Local(format!("cannot start the demo's server: {error}"));
    let mut program = std::env::current_exe().map_err(|error| failed(&error))?;
    if !program.exists() {
        // Replaced while we run, by an upgrade or a new build: Linux still knows the old file.
        program = PathBuf::from("/proc/self/exe");
    }
    let mut child = Command::new(program)
        .args(["demo-server", "--storage", storage.as_str(), "--port", &port.to_string(), "--data-dir"])
        .arg(data_dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(&error))?;
    let stdout = child.stdout.take().ok_or_else(|| failed(&"it has no output"))?;
    let mut ready = String::new();
    let read = timeout(START_LIMIT, BufReader::new(stdout).read_line(&mut ready)).await;
    read.map_err(|_| failed(&"it takes too long"))?.map_err(|error| failed(&error))?;
    let (port, url) = ready
        .trim()
        .split_once(' ')
        .and_then(|(port, url)| Some((port.parse().ok()?, url.to_owned())))
        .ok_or_else(|| failed(&"it ended; what it said stands above"))?;
    Ok((child, port, url))
}
