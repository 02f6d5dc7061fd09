//! A client beside the Rust client it stands on, whose program `client-bench` does the same work.

use std::process::Command;

use serde_json::Value;

use super::{
    Options, bench_folder,
    table::{Better::Higher, Row, Table},
    usage::Usage,
};
use crate::{
    cargo::{self, Profile},
    process::{Outcome, capture, command},
    server::Server,
};

/// What both sides do.
#[derive(Debug, Clone, Copy)]
pub(super) enum Work {
    /// Reading 256 MiB of bytes.
    Read,
    /// A million JSON messages of 100 bytes through a producer.
    Produce,
}

/// One thing measured: its name, the ratio that is wanted, what ours is told, what it does.
pub(super) type Line = (&'static str, Option<f64>, &'static str, Work);

impl Work {
    const fn unit(self) -> &'static str {
        match self {
            Self::Read => "MiB/s",
            Self::Produce => "messages/s",
        }
    }

    /// What the Rust program is told.
    const fn peer(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Produce => "produce",
        }
    }

    /// The figure among what a program prints.
    const fn field(self) -> &'static str {
        match self {
            Self::Read => "mib_per_second",
            Self::Produce => "messages_per_second",
        }
    }
}

/// Measures both sides in turn against the same server of ours, durable, new for each round.
/// `start` makes the command of our side for what it is told and the server's URL.
pub(super) fn run(options: &Options, lines: &[Line], start: impl Fn([&str; 2]) -> Command) -> Outcome<Table> {
    let rust = cargo::build("interop", "client-bench", Profile::Release)?;
    let mut rows: Vec<_> = lines
        .iter()
        .filter(|line| options.wants(line.0))
        .map(|line| (line, Row::new(line.0, line.3.unit(), Higher, line.1)))
        .collect();
    for round in 1..=options.rounds {
        let data = bench_folder()?;
        let data_dir = data.path().display().to_string();
        let server = Server::ours(Profile::Release, &["--storage", "file", "--data-dir", &data_dir])?;
        let url = server.url();
        figures(command(&rust).args(["fill", &url]))?;
        // A server's first answers take longer: nobody is measured by them.
        figures(command(&rust).args(["read", &url]))?;
        for ((name, _, told, work), row) in &mut rows {
            Usage::settle(server.pid());
            let ours = figures(&mut start([told, &url]))?;
            Usage::settle(server.pid());
            let peer = figures(command(&rust).args([work.peer(), &url]))?;
            let (ours, peer) = (&ours[work.field()], &peer[work.field()]);
            println!("round {round} {name}: ours {ours}, peer {peer}");
            row.push(ours, peer);
        }
    }
    Ok(Table(rows.into_iter().map(|(_, row)| row).collect()))
}

/// Runs a program that prints one JSON object.
fn figures(program: &mut Command) -> Outcome<Value> {
    let text = capture(program)?;
    serde_json::from_str(&text).map_err(|error| format!("{text:?} is no result: {error}").into())
}
