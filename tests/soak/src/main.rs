//! Soak test: the real server with its file store in a process of its own, thousands of live
//! readers, many idempotent producers, minutes of it. Ends with status 1 when a message is
//! lost, doubled or out of order, memory or descriptors grow, or the drain is not clean.
//!
//! Producers and a sample of the readers are the Rust client; the other readers are plain
//! sockets (`reader.rs`), so that ten thousand of them fit beside the server they load.
//! Read `checks.rs` for what is judged.

#![allow(clippy::print_stdout, reason = "a command line tool reports on standard output")]

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;

mod checks;
mod ledger;
mod load;
mod message;
mod producer;
mod reader;
mod server;
mod wire;

/// What is run.
#[derive(Debug, Clone, Parser)]
#[command(about = "Thousands of live readers on a server: nothing lost, nothing grows, a clean drain")]
struct Args {
    /// Program of the server.
    #[arg(long)]
    server: PathBuf,
    /// Live readers, seven in ten with server-sent events and the others with long-polls.
    #[arg(long, default_value_t = 10_000)]
    readers: usize,
    /// So many of them are readers of the Rust client, the others plain sockets.
    #[arg(long, default_value_t = 100)]
    client_readers: usize,
    /// Idempotent producers; streams are dealt out to them.
    #[arg(long, default_value_t = 200)]
    producers: usize,
    /// Streams; every second one is JSON.
    #[arg(long, default_value_t = 1000)]
    streams: usize,
    /// How long messages are written once all readers are there.
    #[arg(long, default_value_t = 180)]
    seconds: u64,
    /// Messages per second in all.
    #[arg(long, default_value_t = 500)]
    rate: u32,
    /// Length of a message. Units: bytes.
    #[arg(long, default_value_t = 100)]
    message_bytes: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match load::run(&Args::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("soak: {failure}");
            ExitCode::FAILURE
        }
    }
}
