//! The Ruby gem beside the plain way: Net::HTTP on one connection, and JSON.

use serde_json::Value;

use super::{
    Options, bench_folder,
    table::{Better::Higher, Row, Table},
};
use crate::{
    cargo::Profile,
    process::{Outcome, capture, command, root},
    ruby,
    server::Server,
};

/// Which program, what it is told to do, and which figure of its answer counts.
type Side = (&'static str, &'static str, &'static str);

const OURS: &str = "ours.rb";
const PLAIN: &str = "plain.rb";
const PER_SECOND: &str = "messages_per_second";
const MIB: &str = "mib_per_second";

/// Name, unit, wanted ratio, both sides.
type Line = (&'static str, &'static str, Option<f64>, Side, Side);

#[rustfmt::skip]
const LINES: [Line; 9] = [
    ("1,000,000 JSON messages of 100 B, read_json; peer: Net::HTTP and JSON.parse", "messages/s", Some(3.0),
        (OURS, "read-json", PER_SECOND), (PLAIN, "read-json", PER_SECOND)),
    ("the same; peer: Net::HTTP told not to ask for compression, and JSON.parse", "messages/s", None,
        (OURS, "read-json", PER_SECOND), (PLAIN, "read-json-uncompressed", PER_SECOND)),
    ("the same in batches, all items of a batch at once; the same peer", "messages/s", None,
        (OURS, "read-batches", PER_SECOND), (PLAIN, "read-json", PER_SECOND)),
    ("256 MiB of bytes; peer: Net::HTTP", "MiB/s", None,
        (OURS, "read-bytes", MIB), (PLAIN, "read-bytes", MIB)),
    ("producing JSON from hashes; peer: JSON.generate and Net::HTTP, 1,000 a request", "messages/s", Some(3.0),
        (OURS, "produce-json", PER_SECOND), (PLAIN, "produce-json", PER_SECOND)),
    ("the same, append_all of 1,000; the same peer", "messages/s", Some(3.0),
        (OURS, "produce-json-all", PER_SECOND), (PLAIN, "produce-json", PER_SECOND)),
    ("producing 100 B; peer: Net::HTTP, 1,000 joined by hand a request", "messages/s", None,
        (OURS, "produce-bytes", PER_SECOND), (PLAIN, "produce-bytes", PER_SECOND)),
    ("producing 100 B; peer: Net::HTTP, one request each", "messages/s", Some(3.0),
        (OURS, "produce-bytes", PER_SECOND), (PLAIN, "produce-bytes-singly", PER_SECOND)),
    ("a thread that computes beside ten that read live; peer: the same alone", "additions/s", Some(0.9),
        (OURS, "live", "beside"), (OURS, "live", "alone")),
];

/// Measures both sides against the same server of ours, durable, new for each round.
pub(super) fn run(options: &Options) -> Outcome<Table> {
    ruby::measured()?;
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
        measure(OURS, "fill", &url)?;
        // What several lines ask for is measured once a round.
        let mut known: Vec<(Side, Value)> = Vec::new();
        for ((name, .., ours, peer), row) in &mut rows {
            for side in [*ours, *peer] {
                if !known.iter().any(|((program, what, _), _)| (*program, *what) == (side.0, side.1)) {
                    known.push((side, measure(side.0, side.1, &url)?));
                }
            }
            let figure = |side: &Side| {
                let found = known.iter().find(|((program, what, _), _)| (*program, *what) == (side.0, side.1));
                found.map_or(Value::Null, |(_, figures)| figures[side.2].clone())
            };
            let (ours, peer) = (figure(ours), figure(peer));
            println!("round {round} {name}: ours {ours}, peer {peer}");
            row.push(&ours, &peer);
        }
    }
    Ok(Table(rows.into_iter().map(|(_, row)| row).collect()))
}

fn measure(program: &str, what: &str, url: &str) -> Outcome<Value> {
    let text = capture(command("ruby").arg(root().join("bindings/ruby/bench").join(program)).args([what, url]))?;
    serde_json::from_str(&text).map_err(|error| format!("{text:?} is no result: {error}").into())
}
