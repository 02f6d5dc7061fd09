//! The real server in a process of its own.

use std::{
    fs::{File, OpenOptions},
    net::{Ipv4Addr, TcpListener},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// The signal that cannot be caught, on every Unix.
const SIGKILL: i32 = 9;

/// How the server is started, the same in every generation.
#[derive(Debug)]
pub(crate) struct Launch {
    /// The program.
    pub(crate) program: PathBuf,
    /// Its data directory.
    pub(crate) data: PathBuf,
    /// The same port in every generation, so that clients find it again.
    pub(crate) port: u16,
    /// Where it writes its log, all generations after each other.
    pub(crate) log: PathBuf,
    /// Further flags.
    pub(crate) flags: Vec<String>,
    /// Further environment.
    pub(crate) environment: Vec<(&'static str, PathBuf)>,
}

impl Launch {
    /// Starts the server and does not wait until it serves.
    /// With `kill_at` it kills itself at that sync, which needs the layer for power loss.
    pub(crate) fn start(&self, kill_at: Option<u64>) -> Result<Server, String> {
        let log = log_file(&self.log)?;
        let mut child = Command::new(&self.program)
            .args(["--host", "127.0.0.1", "--port", &self.port.to_string(), "--storage", "file", "--data-dir"])
            .arg(&self.data)
            .args(["--long-poll-timeout-ms", "1000"])
            .args(&self.flags)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .envs(kill_at.map(|sync| ("FORGET_KILL_AT", sync.to_string())))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", self.program.display()))?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        Ok(Server { child, stdout: BufReader::new(stdout) })
    }

    /// The end of the log.
    pub(crate) fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

/// A server process.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Server {
    /// Waits until it says that it listens.
    /// Errors: it ended, or said nothing for long.
    pub(crate) async fn ready(&mut self) -> Result<(), String> {
        const PATIENCE: Duration = Duration::from_secs(60);
        let mut line = String::new();
        match timeout(PATIENCE, self.stdout.read_line(&mut line)).await {
            Ok(Ok(len)) if len > 0 => Ok(()),
            Ok(_) => Err(format!("the server does not start: {}", self.ended().await)),
            Err(_) => Err("the server does not serve after a minute".to_owned()),
        }
    }

    /// Kills it where it stands.
    /// Errors: it had ended by itself.
    pub(crate) async fn kill(mut self) -> Result<(), String> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Err(format!("the server ended by itself with {status}"));
        }
        self.child.kill().await.map_err(|error| format!("the server cannot be killed: {error}"))
    }

    /// Waits until it has killed itself; kills it when that takes long.
    /// Errors: it ended in another way.
    pub(crate) async fn killed_itself(mut self, patience: Duration) -> Result<(), String> {
        if timeout(patience, self.child.wait()).await.is_err() {
            // Ended this very moment is as good.
            let _ = self.child.start_kill();
        }
        let status = self.child.wait().await.map_err(|error| error.to_string())?;
        let is_killed = status.signal() == Some(SIGKILL);
        if is_killed { Ok(()) } else { Err(format!("the server ended by itself with {status}")) }
    }

    async fn ended(&mut self) -> String {
        self.child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string())
    }
}

/// A port of 127.0.0.1 that is free now.
pub(crate) fn free_port() -> Result<u16, String> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| format!("no free port on 127.0.0.1: {error}"))
}

fn log_file(path: &Path) -> Result<File, String> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}
