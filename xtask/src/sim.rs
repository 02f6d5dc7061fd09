//! The seeded simulation of `tests/sim` (docs/simulation.md).

use clap::{Args, Subcommand};

use crate::{
    cargo,
    process::{Outcome, run},
};

/// Which seeds.
#[derive(Args)]
pub(crate) struct Options {
    /// Run one seed.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Run so many seeds from 0 on; 1000 when absent.
    #[arg(long)]
    seeds: Option<u64>,
    /// With `--seed`: show every event.
    #[arg(long, requires = "seed")]
    trace: bool,
    #[command(subcommand)]
    subject: Option<Subject>,
}

#[derive(Clone, Copy, Subcommand)]
enum Subject {
    /// Judge the simulation itself: equal traces of equal seeds, and every planted fault found.
    Meta,
}

/// Runs seeds; fails when a promise is broken.
pub(crate) fn simulate(options: &Options) -> Outcome<()> {
    let mut simulation = cargo::cargo();
    simulation.args(["run", "--quiet", "--package", "durable-streams-sim", "--"]);
    for (name, value) in [("--seed", options.seed), ("--seeds", options.seeds)] {
        if let Some(value) = value {
            simulation.args([name, &value.to_string()]);
        }
    }
    if options.trace {
        simulation.arg("--trace");
    }
    if let Some(Subject::Meta) = options.subject {
        simulation.arg("meta");
    }
    run(&mut simulation)
}
