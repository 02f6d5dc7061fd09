//! Our client beside bare reqwest (reading) and the official Node client (producing).

use serde_json::Value;

use super::{
    Options,
    table::{Better, Row, Table},
};
use crate::{
    cargo::{self, Profile},
    process::{Outcome, capture, command, peers},
    server::Server,
    tools,
};

/// Measures reads and producers against the same server of ours.
pub(super) fn run(options: &Options) -> Outcome<Table> {
    let rust = cargo::build("interop", "client-bench", Profile::Release)?;
    let node = tools::npm_packages()?.join("produce.mjs");
    let folder = peers().join("bench-data");
    std::fs::create_dir_all(&folder).map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
    let data = tempfile::tempdir_in(&folder).map_err(|error| format!("no folder in {}: {error}", folder.display()))?;
    let data = data.path().display().to_string();
    let server = Server::ours(Profile::Release, &["--storage", "file", "--data-dir", &data])?;
    let url = server.url();
    let rust = |what: &str| figures(command(&rust).args([what, &url]));

    let mut read = Row::new("read 256 MiB of bytes; peer: bare reqwest GET", "MiB/s", Better::Higher, Some(0.9));
    let mut produce =
        Row::new("1,000,000 JSON messages of 100 B; peer: npm client 0.2.7", "messages/s", Better::Higher, Some(5.0));
    let mut memory = Row::new("peak memory while producing them", "MiB", Better::Lower, None);
    let mut growth = Row::new("memory growth from the first to the last tenth", "MiB", Better::Lower, None);
    if options.wants(read.name) {
        rust("fill")?;
        for round in 0..options.rounds {
            read.ours.push(rust("read")?["mib_per_second"].as_f64().unwrap_or(f64::NAN));
            read.peer.push(rust("get")?["mib_per_second"].as_f64().unwrap_or(f64::NAN));
            println!("round {} {}: ours {:?}, peer {:?}", round + 1, read.name, read.ours.last(), read.peer.last());
        }
    }
    if options.wants(produce.name) {
        for round in 0..options.rounds {
            let ours = rust("produce")?;
            let peer = figures(command("node").arg(&node).arg(&url))?;
            for (row, field) in
                [(&mut produce, "messages_per_second"), (&mut memory, "peak_mib"), (&mut growth, "growth_mib")]
            {
                row.ours.push(ours[field].as_f64().unwrap_or(f64::NAN));
                row.peer.push(peer[field].as_f64().unwrap_or(f64::NAN));
            }
            println!("round {} {}: ours {ours}, peer {peer}", round + 1, produce.name);
        }
    }
    Ok(Table(vec![read, produce, memory, growth]))
}

/// Runs a program that prints one JSON object.
fn figures(program: &mut std::process::Command) -> Outcome<Value> {
    let text = capture(program)?;
    serde_json::from_str(&text).map_err(|error| format!("{text:?} is no result: {error}").into())
}
