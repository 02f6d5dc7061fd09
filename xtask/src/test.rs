//! Every check and test in one run.

use std::time::Instant;

use clap::ValueEnum;

use crate::{
    cargo, conformance, conformance_client, crash, e2e, elixir, faults, interop, kotlin, lint, node,
    process::{Failure, Outcome},
    python, ruby, soak, swift,
    tally::Tally,
    tidy,
};

/// A part of the whole, in the order in which they run: quick ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// The project's own rules.
    Tidy,
    /// rustfmt and clippy.
    Lint,
    /// `cargo test` over the workspace.
    Rust,
    /// The two programs from outside.
    E2e,
    /// The server killed at random moments, with and without its power.
    Crash,
    /// Live readers on a server: nothing lost, nothing grows, a clean drain.
    Soak,
    /// Both directions against the official packages.
    Interop,
    /// The public server suite on both stores.
    Conformance,
    /// The conformance kit: every language's client, and clients broken on purpose.
    Client,
    /// Every language's client through a bad network.
    Faults,
    /// The Python wheel, installed; alone also the conformance kit.
    Python,
    /// The npm packages, installed, in Node, Bun and Deno; alone also the conformance kit.
    Node,
    /// The jar for Kotlin and Java; alone also the conformance kit.
    Kotlin,
    /// The Swift package and its tests; alone also the conformance kit.
    Swift,
    /// The Ruby gem's tests; alone also the conformance kit.
    Ruby,
    /// The Elixir package's tests; alone also the conformance kit.
    Elixir,
}

/// Runs one part or all, prints a summary, and closes with the totals alone on a line.
pub(crate) fn run(only: Option<Part>) -> Outcome<()> {
    let mut total = Tally::default();
    let mut summary = Vec::new();
    for part in Part::value_variants() {
        if only.is_some_and(|only| only != *part) {
            continue;
        }
        println!("\n=== {part:?}");
        let started = Instant::now();
        let tally =
            execute(*part, only.is_some()).unwrap_or_else(|failure| Tally::of(&format!("{part:?}"), Err(failure)));
        let line = format!("{:<12} {:>5} passed {:>4} failed", format!("{part:?}"), tally.passed, tally.failures.len());
        summary.push(format!("{line} {:>6} s", started.elapsed().as_secs()));
        total += tally;
    }
    println!("\n=== Summary\n{}", summary.join("\n"));
    total.print();
    if total.failures.is_empty() { Ok(()) } else { Err(Failure::from("tests failed")) }
}

fn execute(part: Part, alone: bool) -> Outcome<Tally> {
    match part {
        Part::Tidy => tidy::run(),
        Part::Lint => lint::run(),
        Part::Rust => cargo::test_workspace(),
        Part::E2e => e2e::run(),
        Part::Crash => crash::run_short(),
        Part::Soak => Ok(soak::run_short()),
        Part::Interop => interop::run(),
        Part::Conformance => conformance::run(None, None, None),
        Part::Client => conformance_client::run_all(),
        Part::Faults => faults::run_all(),
        Part::Python => python::run(alone),
        Part::Node => node::run(alone),
        Part::Kotlin => kotlin::run(alone),
        Part::Swift => swift::run(alone),
        Part::Ruby => ruby::run(alone),
        Part::Elixir => elixir::run(alone),
    }
}
