//! Load for `cargo xtask bench server`, where `wrk` does not reach: it knows no
//! server-sent events, no pacing and no memory. Each command prints one JSON object.
//!
//! Plain sockets and nothing of this project's client, so that a server is measured
//! and not a client. Runs on one thread, which leaves the other cores to the server.

#![allow(clippy::print_stdout, reason = "the JSON result goes to standard output")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod http;
mod memory;
mod sse;
mod stats;
mod streams;

#[derive(Parser)]
#[command(about = "Load for the benchmarks; prints one JSON object")]
struct Args {
    /// Server address, such as 127.0.0.1:4437; loopback only.
    #[arg(long)]
    server: std::net::SocketAddr,
    /// Process id of the server, for its resident memory.
    #[arg(long)]
    pid: Option<u32>,
    #[command(subcommand)]
    load: Load,
}

#[derive(Subcommand)]
enum Load {
    /// Many readers of one stream, one paced writer: delivery latency.
    Fanout {
        /// Readers of the stream.
        #[arg(long, default_value_t = 1000)]
        readers: usize,
        /// Appends per second.
        #[arg(long, default_value_t = 20)]
        rate: u32,
        /// Appends in total.
        #[arg(long, default_value_t = 200)]
        appends: u32,
    },
    /// Readers that wait for data that never comes: memory per reader.
    Idle {
        /// Readers of one stream.
        #[arg(long, default_value_t = 5000)]
        readers: usize,
    },
    /// Streams with one 100-byte message each: creation rate, memory of all.
    Streams {
        /// Streams to create.
        #[arg(long, default_value_t = 100_000)]
        count: usize,
        /// Connections that create them.
        #[arg(long, default_value_t = 64)]
        connections: usize,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    if !args.server.ip().is_loopback() {
        eprintln!("load: --server {} is not a loopback address; start the server on 127.0.0.1", args.server);
        return ExitCode::from(2);
    }
    let outcome = match args.load {
        Load::Fanout { readers, rate, appends } => sse::fanout(args.server, readers, rate, appends).await,
        Load::Idle { readers } => sse::idle(args.server, args.pid, readers).await,
        Load::Streams { count, connections } => streams::create(args.server, args.pid, count, connections).await,
    };
    match outcome {
        Ok(result) => {
            println!("{result}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}
