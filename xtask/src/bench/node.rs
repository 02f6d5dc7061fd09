//! The npm package beside the official one: the same script, in two folders.

use std::path::PathBuf;

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
    cargo::Profile,
    node,
    process::{Outcome, capture, command, root},
    server::Server,
    tools,
};

/// One line of the table: its name and unit, what the script is told to do, which figure
/// of its answer counts.
struct Line {
    name: &'static str,
    unit: &'static str,
    better: Better,
    required: Option<f64>,
    work: &'static str,
    figure: &'static str,
}

const fn line(
    name: &'static str,
    unit: &'static str,
    better: Better,
    required: Option<f64>,
    work: &'static str,
    figure: &'static str,
) -> Line {
    Line { name, unit, better, required, work, figure }
}

const CPU: &str = "cpu_seconds_per_million";

#[rustfmt::skip]
const LINES: [Line; 12] = [
    line("producing 1,000,000 JSON messages of 100 B", "messages/s", Higher, Some(3.0), "produce", "messages_per_second"),
    line("processor time of that, per million messages", "s", Lower, Some(2.0), "produce", CPU),
    line("peak memory of that", "MiB", Lower, None, "produce", "peak_mib"),
    line("reading them as parsed objects, in batches", "messages/s", Higher, Some(1.3), "read-json", "messages_per_second"),
    line("processor time of that, per million messages", "s", Lower, Some(2.0), "read-json", CPU),
    line("reading them as parsed objects, one by one", "messages/s", Higher, Some(1.3), "read-json-each", "messages_per_second"),
    line("reading 256 MiB of bytes", "MiB/s", Higher, Some(3.0), "read-bytes", "mib_per_second"),
    line("processor time of that", "s", Lower, None, "read-bytes", "cpu_seconds"),
    line("SSE tail, append to item, p50", "us", Lower, Some(2.0), "tail-sse", "p50_us"),
    line("SSE tail, append to item, p99", "us", Lower, None, "tail-sse", "p99_us"),
    line("long-poll tail, append to item, p50", "us", Lower, Some(2.0), "tail-long-poll", "p50_us"),
    line("long-poll tail, append to item, p99", "us", Lower, None, "tail-long-poll", "p99_us"),
];

/// Measures both against the same server of ours, durable, new for each round.
pub(super) fn run(options: &Options) -> Outcome<Table> {
    let ours = node::measured()?.join("bench/bench.mjs");
    // Node looks packages up from where a script is.
    let peer = tools::npm_packages()?.join("bench.mjs");
    let source = root().join("node/bench/bench.mjs");
    std::fs::copy(&source, &peer).map_err(|error| format!("cannot copy {}: {error}", source.display()))?;
    let lines: Vec<&Line> = LINES.iter().filter(|line| options.wants(line.name)).collect();
    let mut rows: Vec<Row> =
        lines.iter().map(|line| Row::new(line.name, line.unit, line.better, line.required)).collect();
    for round in 1..=options.rounds {
        let data = bench_folder()?;
        let data_dir = data.path().display().to_string();
        let server = Server::ours(Profile::Release, &["--storage", "file", "--data-dir", &data_dir])?;
        let url = server.url();
        if lines.iter().any(|line| line.work.starts_with("read")) {
            measure(&ours, "fill", &url, "ours")?;
        }
        // Lines of one measurement stand together.
        let mut known: Option<(&str, Value, Value)> = None;
        for (line, row) in lines.iter().zip(&mut rows) {
            if known.as_ref().is_none_or(|(work, ..)| *work != line.work) {
                Usage::settle(server.pid());
                let ours = measure(&ours, line.work, &url, "ours")?;
                Usage::settle(server.pid());
                let peer = measure(&peer, line.work, &url, "peer")?;
                println!("round {round} {}: ours {ours}, peer {peer}", line.work);
                known = Some((line.work, ours, peer));
            }
            if let Some((_, ours, peer)) = &known {
                row.push(&ours[line.figure], &peer[line.figure]);
            }
        }
    }
    Ok(Table(rows))
}

fn measure(script: &PathBuf, work: &str, url: &str, side: &str) -> Outcome<Value> {
    let text = capture(command("node").arg("--expose-gc").arg(script).args([work, url, side]))?;
    serde_json::from_str(&text).map_err(|error| format!("{text:?} is no result: {error}").into())
}
