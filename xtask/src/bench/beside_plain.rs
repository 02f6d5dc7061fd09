//! A package beside the plain way of its language: programs of the binding's `bench` folder, ours
//! and one without a client, that do the same work against the same server.

use std::process::Command;

use serde_json::Value;

use super::{
    Options, bench_folder,
    table::{Better::Higher, Row, Table},
    usage::Usage,
};
use crate::{
    cargo::Profile,
    process::{Outcome, capture},
    server::Server,
};

/// Figures that programs print.
pub(super) const PER_SECOND: &str = "messages_per_second";
pub(super) const MIB: &str = "mib_per_second";

/// Which program, what it is told to do, and which figure of its answer counts.
pub(super) type Side = (&'static str, &'static str, &'static str);

/// Name, unit, wanted ratio, both sides.
pub(super) type Line = (&'static str, &'static str, Option<f64>, Side, Side);

/// Measures both sides against the same server of ours, durable, new for each round, that the
/// program `filler` fills. `start` makes the command of a program, what it does and the server's URL.
pub(super) fn run(
    options: &Options,
    lines: &[Line],
    filler: &str,
    start: impl Fn(&str, [&str; 2]) -> Command,
) -> Outcome<Table> {
    let measure = |program: &str, what: &str, server: &Server| -> Outcome<Value> {
        Usage::settle(server.pid());
        let text = capture(&mut start(program, [what, &server.url()]))?;
        serde_json::from_str(&text).map_err(|error| format!("{text:?} is no result: {error}").into())
    };
    let mut rows: Vec<_> = lines
        .iter()
        .filter(|line| options.wants(line.0))
        .map(|line| (line, Row::new(line.0, line.1, Higher, line.2)))
        .collect();
    for round in 1..=options.rounds {
        let data = bench_folder()?;
        let data_dir = data.path().display().to_string();
        let server = Server::ours(Profile::Release, &["--storage", "file", "--data-dir", &data_dir])?;
        measure(filler, "fill", &server)?;
        // What several lines ask for is measured once a round.
        let mut known: Vec<([&str; 2], Value)> = Vec::new();
        for ((name, .., ours, peer), row) in &mut rows {
            for (program, what, _) in [*ours, *peer] {
                if !known.iter().any(|(asked, _)| *asked == [program, what]) {
                    known.push(([program, what], measure(program, what, &server)?));
                }
            }
            let figure = |(program, what, field): &Side| {
                let found = known.iter().find(|(asked, _)| asked == &[*program, *what]);
                found.map_or(Value::Null, |(_, figures)| figures[*field].clone())
            };
            let (ours, peer) = (figure(ours), figure(peer));
            println!("round {round} {name}: ours {ours}, peer {peer}");
            row.push(&ours, &peer);
        }
    }
    Ok(Table(rows.into_iter().map(|(_, row)| row).collect()))
}
