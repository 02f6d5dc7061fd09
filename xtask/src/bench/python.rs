//! The Python package beside the official one, plain httpx, and the Rust client it stands on.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{
    Options, bench_folder,
    table::{
        Better::{self, Higher, Lower},
        Row, Table,
    },
    usage::Usage,
};
use crate::{
    cargo::{self, Profile},
    process::{Outcome, capture, command, root},
    python,
    server::Server,
};

/// Where the server has the streams.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Store {
    /// On disk, every append synced.
    Durable,
    /// In memory: for bytes, whose copies by the server would otherwise be half of what is measured.
    Memory,
}

/// Who measures, what it is told to do, and which figure of its answer counts.
type Side = (Who, &'static str, &'static str);

#[derive(Clone, Copy)]
enum Who {
    /// Our package.
    Ours,
    /// PyPI `durable-streams` 0.1.0.
    Official,
    /// httpx, json, orjson.
    Plain,
    /// Our Rust client.
    Rust,
}

/// One line of the table.
type Line = (&'static str, &'static str, Better, Option<f64>, Store, Side, Side);

const PER_SECOND: &str = "messages_per_second";
const MIB: &str = "mib_per_second";

#[rustfmt::skip]
const LINES: [Line; 14] = [
    ("1,000,000 JSON messages of 100 B, iter_json; peer: PyPI client", "messages/s", Higher, Some(2.0), Store::Durable,
        (Who::Ours, "read-json", PER_SECOND), (Who::Official, "read-json", PER_SECOND)),
    ("the same in batches, awaiting; peer: PyPI client", "messages/s", Higher, Some(2.0), Store::Durable,
        (Who::Ours, "read-json-async", PER_SECOND), (Who::Official, "read-json-async", PER_SECOND)),
    ("the same in batches; peer: orjson.loads of the bodies in memory", "messages/s", Higher, Some(0.9), Store::Durable,
        (Who::Ours, "read-json-batches", PER_SECOND), (Who::Plain, "orjson", PER_SECOND)),
    ("the same in batches; peer: httpx and json", "messages/s", Higher, None, Store::Durable,
        (Who::Ours, "read-json-batches", PER_SECOND), (Who::Plain, "read-json", PER_SECOND)),
    ("256 MiB of bytes, again, from the server's memory; peer: PyPI client", "MiB/s", Higher, Some(2.0), Store::Memory,
        (Who::Ours, "read-bytes-again", MIB), (Who::Official, "read-bytes-again", MIB)),
    ("256 MiB of bytes, again, from its disk; peer: PyPI client", "MiB/s", Higher, Some(2.0), Store::Durable,
        (Who::Ours, "read-bytes-again", MIB), (Who::Official, "read-bytes-again", MIB)),
    ("256 MiB of bytes, by a new process, from memory; peer: PyPI client", "MiB/s", Higher, None, Store::Memory,
        (Who::Ours, "read-bytes", MIB), (Who::Official, "read-bytes", MIB)),
    ("256 MiB of bytes, again, from memory; peer: our Rust client", "MiB/s", Higher, Some(0.8), Store::Memory,
        (Who::Ours, "read-bytes-again", MIB), (Who::Rust, "read-again", MIB)),
    ("256 MiB of bytes, again, from disk; peer: our Rust client", "MiB/s", Higher, Some(0.8), Store::Durable,
        (Who::Ours, "read-bytes-again", MIB), (Who::Rust, "read-again", MIB)),
    ("producing JSON from dicts; peer: json.dumps and httpx, 1,000 a request", "messages/s", Higher, Some(2.0), Store::Durable,
        (Who::Ours, "produce-dicts", PER_SECOND), (Who::Plain, "produce-dicts", PER_SECOND)),
    ("producing 100 B; peer: httpx, one request each", "messages/s", Higher, Some(10.0), Store::Durable,
        (Who::Ours, "produce-bytes", PER_SECOND), (Who::Plain, "produce-bytes", PER_SECOND)),
    ("long-poll tail, append to item, p50; peer: PyPI client", "us", Lower, Some(2.0), Store::Durable,
        (Who::Ours, "tail-latency", "p50_us"), (Who::Official, "tail-latency", "p50_us")),
    ("1,000 awaiting SSE tails: memory of each; peer: PyPI client", "KiB", Lower, None, Store::Durable,
        (Who::Ours, "tails", "kib_per_tail"), (Who::Official, "tails", "kib_per_tail")),
    ("1,000 awaiting SSE tails: one message to all; peer: PyPI client", "ms", Lower, None, Store::Durable,
        (Who::Ours, "tails", "all_served_ms"), (Who::Official, "tails", "all_served_ms")),
];

/// Measures all sides against the same servers of ours, new for each round.
pub(super) fn run(options: &Options) -> Outcome<Table> {
    let programs = Programs {
        ours: python::measured()?,
        official: python::peer()?,
        rust: cargo::build("interop", "client-bench", Profile::Release)?,
    };
    let mut rows: Vec<_> = LINES
        .iter()
        .filter(|line| options.wants(line.0))
        .map(|line| (line, Row::new(line.0, line.1, line.2, line.3)))
        .collect();
    for round in 1..=options.rounds {
        let data = bench_folder()?;
        let data_dir = data.path().display().to_string();
        let durable = Server::ours(Profile::Release, &["--storage", "file", "--data-dir", &data_dir])?;
        let volatile = Server::ours(Profile::Release, &["--storage", "memory"])?;
        programs.measure(Who::Ours, "fill", &durable.url())?;
        programs.measure(Who::Rust, "fill", &durable.url())?;
        programs.measure(Who::Rust, "fill", &volatile.url())?;
        // A server's first answers take longer: nobody is measured by them.
        programs.measure(Who::Rust, "read", &durable.url())?;
        programs.measure(Who::Rust, "read", &volatile.url())?;
        // What several lines ask for is measured once a round.
        let mut known: Vec<((usize, &str, Store), Value)> = Vec::new();
        let mut figure = |store: Store, (who, what, field): Side| -> Outcome<Value> {
            let key = (who as usize, what, store);
            if let Some((_, known)) = known.iter().find(|(measured, _)| *measured == key) {
                return Ok(known[field].clone());
            }
            let server = if store == Store::Memory { &volatile } else { &durable };
            Usage::settle(durable.pid());
            let figures = programs.measure(who, what, &server.url())?;
            let value = figures[field].clone();
            known.push((key, figures));
            Ok(value)
        };
        for ((name, .., store, ours, peer), row) in &mut rows {
            let (ours, peer) = (figure(*store, *ours)?, figure(*store, *peer)?);
            println!("round {round} {name}: ours {ours}, peer {peer}");
            row.push(&ours, &peer);
        }
    }
    Ok(Table(rows.into_iter().map(|(_, row)| row).collect()))
}

struct Programs {
    ours: PathBuf,
    official: PathBuf,
    rust: PathBuf,
}

impl Programs {
    fn measure(&self, who: Who, what: &str, url: &str) -> Outcome<Value> {
        let script = |python: &Path, name: &str| {
            let mut script = command(python);
            script.arg(root().join("python/bench").join(name));
            script
        };
        let mut program = match who {
            Who::Ours => script(&self.ours, "ours.py"),
            Who::Official => script(&self.official, "peer.py"),
            Who::Plain => script(&self.ours, "plain.py"),
            Who::Rust => command(&self.rust),
        };
        let text = capture(program.args([what, url]))?;
        serde_json::from_str(&text).map_err(|error| format!("{text:?} is no result: {error}").into())
    }
}
