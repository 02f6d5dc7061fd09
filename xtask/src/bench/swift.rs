//! The Swift client beside the Rust client it stands on.

use serde_json::Value;

use super::{
    Options, bench_folder,
    table::{Better::Higher, Row, Table},
};
use crate::{
    cargo::{self, Profile},
    process::{Outcome, capture, command},
    server::Server,
    swift,
};

const PER_SECOND: &str = "messages_per_second";
const MIB: &str = "mib_per_second";

/// Name, unit, wanted ratio, what ours is told, what the peer is told, the figure.
type Line = (&'static str, &'static str, Option<f64>, &'static str, &'static str, &'static str);

#[rustfmt::skip]
const LINES: [Line; 4] = [
    ("256 MiB of bytes; peer: our Rust client", "MiB/s", Some(0.6), "read", "read", MIB),
    ("1,000,000 JSON messages of 100 B, appendData; peer: our Rust client", "messages/s", Some(0.3), "produce", "produce", PER_SECOND),
    ("the same, appendBatch of 1,000; peer: our Rust client", "messages/s", Some(0.3), "produce-batches", "produce", PER_SECOND),
    ("the same, values that JSONEncoder encodes; peer: our Rust client", "messages/s", None, "produce-values", "produce", PER_SECOND),
];

/// Measures both sides in turn against the same server of ours, durable, new for each round.
pub(super) fn run(options: &Options) -> Outcome<Table> {
    let program = swift::Measured::built()?;
    let rust = cargo::build("interop", "client-bench", Profile::Release)?;
    let measure = |program: &mut std::process::Command| -> Outcome<Value> {
        let text = capture(program)?;
        serde_json::from_str(&text).map_err(|error| format!("{text:?} is no result: {error}").into())
    };
    let mut rows: Vec<_> = LINES
        .iter()
        .filter(|line| options.wants(line.0))
        .map(|line| (line, Row::new(line.0, line.1, Higher, line.2)))
        .collect();
    for round in 1..=options.rounds {
        let data = bench_folder()?;
        let data_dir = data.path().display().to_string();
        let server = Server::ours(Profile::Release, &["--storage", "file", "--data-dir", &data_dir])?;
        let url = server.url();
        measure(command(&rust).args(["fill", &url]))?;
        for ((name, _, _, ours, peer, field), row) in &mut rows {
            let ours = measure(&mut program.start(&[ours, &url]))?;
            let peer = measure(command(&rust).args([peer, url.as_str()]))?;
            println!("round {round} {name}: ours {}, peer {}", ours[*field], peer[*field]);
            row.push(&ours[*field], &peer[*field]);
        }
    }
    Ok(Table(rows.into_iter().map(|(_, row)| row).collect()))
}
