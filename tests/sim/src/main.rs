//! `durable-streams-sim`: runs seeds and tells what broke.

#![allow(clippy::print_stdout, reason = "a command line tool reports on standard output")]

use std::{process::ExitCode, time::Instant};

use clap::{Parser, Subcommand};
use durable_streams_sim::{Bug, Report, run, run_traced, run_with_bug};

#[derive(Parser)]
#[command(about = "Seeded simulation of clients and server over a bad network")]
struct Args {
    /// Run one seed.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Run so many seeds from 0 on.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// With `--seed`: write every event to standard error.
    #[arg(long, requires = "seed")]
    trace: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Judge the simulation itself: equal traces of equal seeds, and every planted fault found.
    Meta,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let started = Instant::now();
    let is_good = match (&args.command, args.seed) {
        (Some(Command::Meta), _) => meta(),
        (None, Some(seed)) => {
            let report = if args.trace { run_traced(seed) } else { run(seed) };
            println!("{report:#?}");
            report.violations.is_empty()
        }
        (None, None) => many(args.seeds),
    };
    println!("{} ms", started.elapsed().as_millis());
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn many(seeds: u64) -> bool {
    let (mut bad, mut hash, mut messages, mut acknowledged, mut crashes, mut events) = (0, 0_u64, 0, 0, 0, 0);
    for seed in 0..seeds {
        let report = run(seed);
        hash = hash.rotate_left(5) ^ report.hash;
        messages += report.messages;
        acknowledged += report.acknowledged;
        crashes += report.crashes;
        events += report.events;
        if !report.violations.is_empty() {
            bad += 1;
            print_bad(&report);
        }
    }
    println!("{seeds} seeds, {bad} bad; trace {hash:016x}");
    println!("{messages} messages, {acknowledged} acknowledged, {crashes} restarts, {events} trace lines");
    bad == 0
}

fn print_bad(report: &Report) {
    println!("seed {} (again with --seed {} --trace):", report.seed, report.seed);
    for violation in report.violations.iter().take(5) {
        println!("  {:?}: {}", violation.promise, violation.detail);
    }
}

fn meta() -> bool {
    let mut is_good = true;
    for seed in 0..32 {
        let (first, second) = (run(seed), run(seed));
        println!("seed {seed}: {:016x} {:016x}", first.hash, second.hash);
        is_good &= first == second;
    }
    for bug in Bug::ALL {
        let seed = (0..200).find(|seed| !run_with_bug(*seed, *bug).violations.is_empty());
        match seed {
            Some(seed) => {
                let promise = run_with_bug(seed, *bug).violations[0].promise;
                println!("{bug:?}: found by seed {seed}, {promise:?}");
            }
            None => println!("{bug:?}: not found"),
        }
        is_good &= seed.is_some();
    }
    is_good
}
