//! Our client beside bare reqwest (reading) and the official Node client (producing).

use serde_json::Value;

use super::{
    Options, bench_folder,
    table::{Better, Row, Table},
    usage::Usage,
};
use crate::{
    cargo::{self, Profile},
    process::{Outcome, capture, command},
    server::Server,
    tools,
};

/// Measures reads and producers against the same server of ours, durable, and new for each
/// round: what an earlier round left to compact is not this round's.
pub(super) fn run(options: &Options) -> Outcome<Table> {
    let program = cargo::build("interop", "client-bench", Profile::Release)?;
    let script = tools::npm_packages()?.join("produce.mjs");
    let mut read = Row::new("read 256 MiB of bytes; peer: bare reqwest GET", "MiB/s", Better::Higher, Some(0.9));
    let mut produce =
        Row::new("1,000,000 JSON messages of 100 B; peer: npm client 0.2.7", "messages/s", Better::Higher, Some(5.0));
    let mut memory = Row::new("peak memory while producing them", "MiB", Better::Lower, None);
    let mut growth = Row::new("its growth over the second half", "MiB", Better::Lower, None);
    for round in 1..=options.rounds {
        let data = bench_folder()?;
        let data_dir = data.path().display().to_string();
        let server = Server::ours(Profile::Release, &["--storage", "file", "--data-dir", &data_dir])?;
        let url = server.url();
        let rust = |what: &str| {
            Usage::settle(server.pid());
            figures(command(&program).args([what, &url]))
        };
        if options.wants(produce.name) {
            let ours = rust("produce")?;
            Usage::settle(server.pid());
            let peer = figures(command("node").arg(&script).arg(&url))?;
            println!("round {round} {}: ours {ours}, peer {peer}", produce.name);
            produce.push(&ours["messages_per_second"], &peer["messages_per_second"]);
            memory.push(&ours["peak_mib"], &peer["peak_mib"]);
            growth.push(&ours["growth_mib"], &peer["growth_mib"]);
        }
        if options.wants(read.name) {
            rust("fill")?;
            // A server's first answers take longer: nobody is measured by them.
            rust("read")?;
            let (ours, peer) = (rust("read")?, rust("get")?);
            println!("round {round} {}: ours {ours}, peer {peer}", read.name);
            read.push(&ours["mib_per_second"], &peer["mib_per_second"]);
        }
    }
    Ok(Table(vec![read, produce, memory, growth]))
}

/// Runs a program that prints one JSON object.
fn figures(program: &mut std::process::Command) -> Outcome<Value> {
    let text = capture(program)?;
    serde_json::from_str(&text).map_err(|error| format!("{text:?} is no result: {error}").into())
}
