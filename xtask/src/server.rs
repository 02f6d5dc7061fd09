//! Servers under test: started on loopback, stopped when dropped.

use std::{
    ffi::OsString,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    cargo::{self, Profile},
    process::{Outcome, cannot_start, command, peers},
    tools,
};

/// A running server.
pub(crate) struct Server {
    child: Child,
    program: PathBuf,
    arguments: Vec<OsString>,
    address: SocketAddr,
    log: PathBuf,
}

impl Server {
    /// Starts our own server with further flags; `--data-dir` among them for the file store.
    pub(crate) fn ours(profile: Profile, flags: &[&str]) -> Outcome<Self> {
        let program = cargo::build("durable-streams-serve", "durable-streams-server", profile)?;
        Self::start("ours", program, Vec::new(), flags)
    }

    /// Starts the official Rust server in its default, durable mode, with further flags.
    pub(crate) fn peer(data: &Path, flags: &[&str]) -> Outcome<Self> {
        let data = data.display().to_string();
        Self::start("peer", tools::peer_server()?, Vec::new(), &[&["--data-dir", &data], flags].concat())
    }

    /// Starts the official Node server with files as storage.
    pub(crate) fn npm(data: &Path) -> Outcome<Self> {
        Self::npm_with(data, &[])
    }

    /// The same with further flags of `tests/interop/node/server.mjs`.
    pub(crate) fn npm_with(data: &Path, flags: &[&str]) -> Outcome<Self> {
        let script = tools::npm_packages()?.join("server.mjs");
        let data = data.display().to_string();
        let flags: Vec<_> = ["--data-dir", &data].iter().chain(flags).copied().collect();
        Self::start("npm", "node".into(), vec![script.into()], &flags)
    }

    fn start(name: &str, program: PathBuf, mut arguments: Vec<OsString>, flags: &[&str]) -> Outcome<Self> {
        let address = free_address()?;
        let port = address.port().to_string();
        arguments.extend(["--host", "127.0.0.1", "--port", &port].iter().chain(flags).map(OsString::from));
        let log = peers().join(format!("{name}.log"));
        let child = spawn(&program, &arguments, &log)?;
        let mut server = Self { child, program, arguments, address, log };
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL, without a trailing slash.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it without warning and starts it anew on the same address and data.
    pub(crate) fn kill_and_restart(&mut self) -> Outcome<()> {
        self.kill();
        self.child = spawn(&self.program, &self.arguments, &self.log)?;
        self.wait_until_ready()
    }

    fn wait_until_ready(&mut self) -> Outcome<()> {
        const PATIENCE: Duration = Duration::from_secs(20);
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if is_ready(self.address) {
                return Ok(());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("the server ended with {status}:\n{}", self.last_words()).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("the server does not answer on {}:\n{}", self.address, self.last_words()).into())
    }

    fn last_words(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn kill(&mut self) {
        // Ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Tells whether a server answers, and not that it still reads its storage.
fn is_ready(address: SocketAddr) -> bool {
    let exchange = || {
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        write!(socket, "GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).map(|()| answer)
    };
    exchange().is_ok_and(|answer: [u8; 12]| !answer.ends_with(b" 503"))
}

fn spawn(program: &Path, arguments: &[OsString], log: &Path) -> Outcome<Child> {
    let fail = |error: std::io::Error| format!("cannot write {}: {error}", log.display());
    std::fs::create_dir_all(peers()).map_err(fail)?;
    let out = std::fs::File::create(log).map_err(fail)?;
    let errors = out.try_clone().map_err(fail)?;
    let mut server: Command = command(program);
    server.args(arguments).stdout(out).stderr(errors).stdin(Stdio::null());
    server.spawn().map_err(|error| cannot_start(&server, &error))
}

/// Returns a loopback address that is free now. A server that binds port 0 and prints
/// its port would be surer, but the official ones print the 0.
fn free_address() -> Outcome<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|error| format!("no free port on 127.0.0.1: {error}").into())
}
