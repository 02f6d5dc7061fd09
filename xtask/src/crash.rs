//! The crash test: the real server killed, and its power cut, at random moments.

use clap::Args;

use crate::{
    cargo::{self, Profile},
    process::{Outcome, command, run as run_command},
    tally::Tally,
};

/// Generations in the pipeline, of each kind.
const IN_PIPELINE: u64 = 10;

/// What is run.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How often the server is killed.
    #[arg(long, default_value_t = 200)]
    generations: u64,
    /// Seed of kill moments, workload and power losses; another one each time when absent.
    #[arg(long)]
    seed: Option<u64>,
    /// Each kill also takes what was not synced to the disk.
    #[arg(long)]
    power_loss: bool,
}

/// Runs the test once; its last line has the seed and the counts.
pub(crate) fn run(options: &Options) -> Outcome<()> {
    let server = cargo::build("durable-streams-serve", "durable-streams-server", Profile::Dev)?;
    let program = cargo::build("durable-streams-crash", "durable-streams-crash", Profile::Dev)?;
    let mut test = command(program);
    test.arg("--server").arg(server).args(["--generations", &options.generations.to_string()]);
    if let Some(seed) = options.seed {
        test.args(["--seed", &seed.to_string()]);
    }
    if options.power_loss {
        test.arg("--power-loss");
    }
    run_command(&mut test)
}

/// Runs a few generations of both kinds. Power loss needs Linux and a C compiler.
pub(crate) fn run_short() -> Outcome<Tally> {
    let short = |power_loss| run(&Options { generations: IN_PIPELINE, seed: None, power_loss });
    let mut tally = Tally::of("crash", short(false));
    if cfg!(target_os = "linux") {
        tally += Tally::of("crash with power loss", short(true));
    }
    Ok(tally)
}
