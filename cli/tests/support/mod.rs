//! What the end-to-end tests share: a server inside the test, and the built binary outside.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

use std::{
    io::Write as _,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use durable_streams_server::server::{RunningServer, Server};
use tokio::runtime::Runtime;

/// The built binary.
pub const BINARY: &str = env!("CARGO_BIN_EXE_durable-stream");

/// A server on a free loopback port, and a client environment that points to it.
pub struct World {
    runtime: Runtime,
    server: Option<RunningServer>,
    origin: String,
}

impl World {
    /// A server with streams in memory.
    pub fn new() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let server = runtime.block_on(Server::builder().start()).expect("a server on loopback");
        let origin = server.url().to_owned();
        Self { runtime, server: Some(server), origin }
    }

    /// `http://127.0.0.1:port`, as the seed's `STREAM_URL`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The binary with this server as `STREAM_URL`.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare(arguments);
        command.env("STREAM_URL", &self.origin);
        command
    }

    /// Runs the binary with an empty standard input.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        ran(self.command(arguments).stdin(Stdio::null()).output().expect("the binary runs"))
    }

    /// Runs the binary with this standard input.
    pub fn pipe(&self, input: &[u8], arguments: &[&str]) -> Ran {
        let child = self.command(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("the binary starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        let input = input.to_vec();
        // A refusal may come before the input was read: a broken pipe is fine here.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().expect("the binary ends");
        writer.join().expect("the writer ends");
        ran(output)
    }

    /// Runs a line in a shell that finds the binary by its name, as users type it.
    pub fn shell(&self, line: &str) -> Ran {
        let folder = Path::new(BINARY).parent().expect("a folder");
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
        let output = Command::new("sh")
            .args(["-ec", line])
            .env("PATH", path)
            .env_remove("STREAM_AUTH")
            .env("STREAM_URL", &self.origin)
            .stdin(Stdio::null())
            .output();
        ran(output.expect("a shell"))
    }

    /// Reads a stream through the binary.
    pub fn read(&self, id: &str) -> String {
        let read = self.run(&["read", id]);
        assert_eq!(read.code, 0, "{read:?}");
        read.out
    }

    /// Starts the binary and leaves it running.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let child = self.command(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Running(child.expect("the binary starts"))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop());
        }
    }
}

/// The binary without any setting from outside.
pub fn bare(arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments);
    for variable in ["STREAM_URL", "STREAM_AUTH", "STREAM_PREFIX"] {
        command.env_remove(variable);
    }
    command
}

/// What a run left behind.
#[derive(Debug, PartialEq, Eq)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Decodes a run.
pub fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).expect("UTF-8 on standard output"),
        err: String::from_utf8(output.stderr).expect("UTF-8 on standard error"),
    }
}

/// A process of ours, killed when the test is over.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
