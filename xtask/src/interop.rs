//! Our client against the official servers, the official client against our server.

use std::{process::Command, time::Duration};

use crate::{
    cargo::{self, Profile},
    checks,
    process::{Outcome, command},
    server::Server,
    tally::Tally,
    tools,
};

/// The official Rust server keeps producers' sequence numbers in memory until its next
/// checkpoint: killed earlier, it has the data and answers the next batch with a gap.
const PEER_CHECKPOINT: Duration = Duration::from_secs(3);

/// Runs both directions, each with a restart of the server in the middle.
pub(crate) fn run() -> Outcome<Tally> {
    let data = || tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"));
    let rust_client = cargo::build("interop", "rust-client", Profile::Dev)?;
    let node_client = tools::npm_packages()?.join("client.mjs");
    let mut tally = Tally::default();

    let folder = data()?;
    let mut npm = Server::npm(folder.path())?;
    tally += converse("Rust client, npm server 0.3.7", &mut command(&rust_client), &mut npm)?;

    let folder = data()?;
    let mut peer = Server::peer(folder.path(), &["--wal-checkpoint-interval-ms", "200"])?;
    let url = peer.url();
    tally += checks::run("interop: Rust client, crates.io server 0.1.5", command(&rust_client).arg(url), || {
        std::thread::sleep(PEER_CHECKPOINT);
        peer.kill_and_restart()
    })?;

    let folder = data()?;
    let folder = folder.path().display().to_string();
    let flags = ["--storage", "file", "--data-dir", &folder, "--long-poll-timeout-ms", "1000"];
    let mut ours = Server::ours(Profile::Dev, &flags)?;
    tally += converse("Rust client, our server", &mut command(&rust_client), &mut ours)?;
    tally += converse("npm client 0.2.7, our server", command("node").arg(node_client), &mut ours)?;
    Ok(tally)
}

fn converse(name: &str, client: &mut Command, server: &mut Server) -> Outcome<Tally> {
    let url = server.url();
    checks::run(&format!("interop: {name}"), client.arg(url), || server.kill_and_restart())
}
