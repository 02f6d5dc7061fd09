//! The soak test: thousands of live readers on the real server (docs/soak.md).

use clap::Args;

use crate::{
    cargo::{self, Profile},
    process::{Outcome, command, run as run_command},
    tally::Tally,
};

/// How much, and for how long.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How long messages are written once all readers are there.
    #[arg(long, default_value_t = 3.0)]
    minutes: f64,
    /// Live readers.
    #[arg(long, default_value_t = 10_000)]
    readers: usize,
    /// So many of them are readers of the Rust client, the others plain sockets.
    #[arg(long, default_value_t = 100)]
    client_readers: usize,
    /// Idempotent producers.
    #[arg(long, default_value_t = 200)]
    producers: usize,
    /// Streams.
    #[arg(long, default_value_t = 1000)]
    streams: usize,
    /// Messages per second in all.
    #[arg(long, default_value_t = 500)]
    rate: u32,
    /// Length of a message. Units: bytes.
    #[arg(long, default_value_t = 100)]
    message_bytes: usize,
    /// The server as shipped, instead of the build for tests.
    #[arg(long)]
    release: bool,
}

/// Runs it once; its last line is the verdict.
pub(crate) fn run(options: &Options) -> Outcome<()> {
    let profile = if options.release { Profile::Release } else { Profile::Dev };
    let server = cargo::build("durable-streams-serve", "durable-streams-server", profile)?;
    let program = cargo::build("durable-streams-soak", "durable-streams-soak", profile)?;
    let mut soak = command(program);
    soak.arg("--server").arg(server);
    let numbers = [
        ("--readers", options.readers),
        ("--client-readers", options.client_readers),
        ("--producers", options.producers),
        ("--streams", options.streams),
        ("--rate", options.rate as usize),
        ("--message-bytes", options.message_bytes),
        ("--seconds", (options.minutes.max(0.0) * 60.0) as usize),
    ];
    for (name, number) in numbers {
        soak.arg(name).arg(number.to_string());
    }
    run_command(&mut soak)
}

/// A short one for the pipeline. Memory is only told on Linux.
pub(crate) fn run_short() -> Tally {
    if !cfg!(target_os = "linux") {
        return Tally::default();
    }
    let short = Options {
        minutes: 0.25,
        readers: 500,
        client_readers: 20,
        producers: 20,
        streams: 50,
        rate: 200,
        message_bytes: 100,
        release: false,
    };
    Tally::of("soak", run(&short))
}
