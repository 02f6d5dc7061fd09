//! Measurements beside the official packages: one run, one machine, rounds that
//! alternate, medians. Never part of `test`: figures of a busy machine prove nothing.

use clap::{Args, ValueEnum};

use crate::process::{Outcome, peers};

mod beside_plain;
mod beside_rust;
mod client;
mod elixir;
mod kotlin;
mod node;
mod python;
mod ruby;
mod server;
mod swift;
mod table;
mod usage;

/// What is measured.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Subject {
    /// Our server beside crates.io `durable-streams` 0.1.5.
    Server,
    /// Our client beside bare reqwest and npm `@durable-streams/client` 0.2.7.
    Client,
    /// Our Python package beside PyPI `durable-streams` 0.1.0, httpx with json, and our Rust client.
    Python,
    /// Our npm package beside npm `@durable-streams/client` 0.2.7.
    Node,
    /// Our Kotlin client beside the Rust client it stands on.
    Kotlin,
    /// Our gem beside Net::HTTP and JSON.
    Ruby,
    /// Our Elixir package beside :httpc and JSON in Elixir.
    Elixir,
    /// Our Swift client beside the Rust client it stands on.
    Swift,
}

/// How long to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Rounds; each measures every side once, and medians over rounds are reported.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds per throughput measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Only rows whose name contains this text.
    #[arg(long)]
    only: Option<String>,
}

impl Options {
    fn wants(&self, row: &str) -> bool {
        self.only.as_ref().is_none_or(|only| row.contains(only.as_str()))
    }
}

/// Measures, and prints a table in Markdown.
pub(crate) fn run(subject: Subject, options: &Options) -> Outcome<()> {
    println!("{}", machine());
    let table = match subject {
        Subject::Server => server::run(options)?,
        Subject::Client => client::run(options)?,
        Subject::Python => python::run(options)?,
        Subject::Node => node::run(options)?,
        Subject::Kotlin => kotlin::run(options)?,
        Subject::Ruby => ruby::run(options)?,
        Subject::Elixir => elixir::run(options)?,
        Subject::Swift => swift::run(options)?,
    };
    println!("\n{table}");
    Ok(())
}

/// A folder for one server's data, gone when dropped. On the disk of this workspace: the
/// system's temporary folder may be in memory.
fn bench_folder() -> Outcome<tempfile::TempDir> {
    let folder = peers().join("bench-data");
    std::fs::create_dir_all(&folder).map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
    tempfile::tempdir_in(&folder).map_err(|error| format!("no folder in {}: {error}", folder.display()).into())
}

/// Says what figures depend on: the processor, the cores, and what else runs.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let first_value = |path: &str, key: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
        line.split_once(':').map_or(line.clone(), |(_, value)| value.trim().to_owned())
    };
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    format!(
        "{cores} cores, {}; load before the run {load}; loader and server share the machine",
        first_value("/proc/cpuinfo", "model name")
    )
}
