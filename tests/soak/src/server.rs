//! The real server in a process of its own, and what the system tells about it.

use std::{fs::File, net::SocketAddr, path::Path, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// A server process; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pid: u32,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts it on a free port of this machine with an empty data directory, and waits
    /// until it listens.
    pub(crate) async fn start(program: &Path, folder: &Path) -> Result<Self, String> {
        let io = |error: std::io::Error| format!("cannot start {}: {error}", program.display());
        let log = File::create(folder.join("server.log")).map_err(io)?;
        let mut child = Command::new(program)
            .args(["--host", "127.0.0.1", "--port", "0", "--storage", "file", "--data-dir"])
            .arg(folder.join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(io)?;
        let stdout = child.stdout.take().ok_or("the server has no standard output")?;
        let mut line = String::new();
        let read = timeout(Duration::from_secs(60), BufReader::new(stdout).read_line(&mut line)).await;
        let address = line.trim().rsplit("//").next().and_then(|address| address.parse().ok());
        let pid = child.id().ok_or("the server ended at once")?;
        match (read, address) {
            (Ok(Ok(_)), Some(address)) => Ok(Self { child, pid, address }),
            _ => Err(format!("the server does not say where it listens: {line:?}")),
        }
    }

    /// Resident memory. Units: bytes.
    pub(crate) fn resident(&self) -> Result<u64, String> {
        let path = format!("/proc/{}/status", self.pid);
        let status = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let kib =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| format!("{path} names no resident memory"))
    }

    /// Open descriptors.
    pub(crate) fn descriptors(&self) -> Result<usize, String> {
        let path = format!("/proc/{}/fd", self.pid);
        std::fs::read_dir(&path).map(Iterator::count).map_err(|error| format!("{path}: {error}"))
    }

    /// Asks it to stop (SIGTERM).
    pub(crate) fn terminate(&self) -> Result<(), String> {
        use rustix::process::{Pid, Signal, kill_process};
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).ok_or("the server has no process id")?;
        kill_process(pid, Signal::TERM).map_err(|error| format!("SIGTERM: {error}"))
    }

    /// Waits for its end; its exit code, `None` when it did not end in time or by a signal.
    pub(crate) async fn exit_code(mut self, patience: Duration) -> Option<i32> {
        timeout(patience, self.child.wait()).await.ok()?.ok()?.code()
    }
}

/// Lifts this process's limit of open files as far as the system lets it. The server does the
/// same for itself. Returns the limit.
pub(crate) fn lift_descriptor_limit() -> Result<u64, String> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).map_err(|error| format!("the limit of open files stays: {error}"))?;
    Ok(limit.current.unwrap_or(u64::MAX))
}
