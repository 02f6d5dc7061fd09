//! Maintenance commands: `cargo xtask --help`. Start at `test.rs`, which runs all others
//! but the benchmarks. Whatever a command needs beyond rustup and Node it installs into
//! `.peers/`, which git ignores.

#![allow(clippy::print_stdout, reason = "a command line tool reports on standard output")]

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

mod bench;
mod cargo;
mod checks;
mod conformance;
mod conformance_client;
mod crash;
mod debian;
mod e2e;
mod elixir;
mod faults;
mod fuzz;
mod generate;
mod interop;
mod kotlin;
mod language;
mod lint;
mod node;
mod parity;
mod process;
mod python;
mod ruby;
mod server;
mod sim;
mod soak;
mod streamkeeper;
mod swift;
mod tally;
mod test;
mod tidy;
mod tools;
mod wasm;

use process::Outcome;
use tally::Tally;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Maintenance commands of this repository")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every check and test, or one part of them.
    Test {
        /// Only this part.
        part: Option<test::Part>,
    },
    /// What the pipeline runs: the same as `test`.
    Ci,
    /// rustfmt and clippy over all targets, warnings refused; the protocol crate as WebAssembly.
    Lint,
    /// Format all Rust code and apply clippy's safe fixes.
    Fixup,
    /// The project's own rules: dependencies, protocol strings, file sizes.
    Tidy,
    /// Write the sources that UniFFI makes from `ffi/`.
    Gen(generate::Options),
    /// Write the list of exported names and the table of what each language has of them.
    Parity(parity::Options),
    /// Run a conformance suite: `server`, `client [language]`; or write its `table`.
    Conformance {
        /// What is tested.
        subject: Subject,
        #[command(flatten)]
        client: conformance_client::Options,
        /// Only this store; both when absent.
        #[arg(long)]
        store: Option<conformance::Store>,
        /// A server that runs already, instead of one of our own.
        #[arg(long, conflicts_with = "store")]
        url: Option<String>,
        /// Only tests whose full name contains this pattern; totals are then not checked.
        #[arg(long)]
        filter: Option<String>,
    },
    /// Our client against the official servers, the official client against our server.
    Interop,
    /// The server killed at random moments: nothing acknowledged is lost or doubled.
    Crash(crash::Options),
    /// The two programs from outside.
    E2e,
    /// Throughput, latency and memory beside the official packages.
    Bench {
        /// What is measured.
        subject: bench::Subject,
        #[command(flatten)]
        options: bench::Options,
    },
    /// Seeded simulation of clients and server over a bad network.
    Sim(sim::Options),
    /// Coverage-guided fuzzing of everything that reads bytes from outside.
    Fuzz(fuzz::Options),
    /// Thousands of live readers for minutes: nothing lost, nothing grows, a clean drain.
    Soak(soak::Options),
    /// Clients through a bad network: broken, slow, doubled, refused, redirected.
    Faults(faults::Options),
    /// The Python client's source package, built and tested on the oldest Python it supports.
    PythonOldest,
    /// The same on a Python without its global lock, which is built where it is missing.
    PythonFreeThreaded,
    /// The Ruby gem, built, installed and tested on a newer Ruby, in a Debian of its own.
    RubyNewest,
    /// The Elixir package's tests on a newer Elixir, in a Debian of its own.
    ElixirNewest,
    /// Remove everything that was installed into `.peers/`.
    CleanPeers,
}

#[derive(Clone, Copy, ValueEnum)]
enum Subject {
    /// `server/`, with npm `@durable-streams/server-conformance-tests`.
    Server,
    /// A client, with our conformance kit.
    Client,
    /// Nothing: writes `docs/conformance-rules.md`.
    Table,
}

fn main() -> ExitCode {
    match process::leave_cargos_libraries().and_then(|()| run(Args::parse().command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Outcome<()> {
    match command {
        Command::Test { part } => test::run(part),
        Command::Ci => test::run(None),
        Command::Lint => lint::run().and_then(Tally::verdict),
        Command::Fixup => lint::fix(),
        Command::Tidy => tidy::run().and_then(Tally::verdict),
        Command::Gen(options) => generate::generate(options).and_then(Tally::verdict),
        Command::Parity(options) => parity::run(options).and_then(Tally::verdict),
        Command::Conformance { subject, client, store, url, filter } => match subject {
            Subject::Server => conformance::run(store, url.as_deref(), filter.as_deref()),
            Subject::Client => conformance_client::run(&client, url.as_deref()),
            Subject::Table => conformance_client::table(&client),
        }
        .and_then(Tally::verdict),
        Command::Interop => interop::run().and_then(Tally::verdict),
        Command::Crash(options) => crash::run(&options),
        Command::E2e => e2e::run().and_then(Tally::verdict),
        Command::Bench { subject, options } => bench::run(subject, &options),
        Command::Sim(options) => sim::simulate(&options),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Soak(options) => soak::run(&options),
        Command::Faults(options) => faults::run(&options).and_then(Tally::verdict),
        Command::PythonOldest => python::oldest().and_then(Tally::verdict),
        Command::PythonFreeThreaded => python::free_threaded().and_then(Tally::verdict),
        Command::RubyNewest => ruby::newest().and_then(Tally::verdict),
        Command::ElixirNewest => elixir::newest().and_then(Tally::verdict),
        Command::CleanPeers => clean_peers(),
    }
}

fn clean_peers() -> Outcome<()> {
    let peers = process::peers();
    match std::fs::remove_dir_all(&peers) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(format!("cannot remove {}: {error}", peers.display()).into()),
    }
}
