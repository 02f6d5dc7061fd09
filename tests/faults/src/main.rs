//! The fault scenarios as a program: `durable-streams-faults --help`.

#![allow(clippy::print_stdout, reason = "a command line tool reports on standard output")]

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use durable_streams_conformance::adapter::AdapterCommand;
use durable_streams_faults::{
    flaws::FLAWS,
    host::Host,
    report,
    run::{Options, Outcome, run},
    scenario::{self, Scenario},
};

#[derive(Parser)]
#[command(name = "durable-streams-faults", about = "Runs a client through a bad network", version)]
struct Args {
    /// Program that carries the client under test, with arguments.
    #[arg(long, value_name = "COMMAND")]
    adapter: String,
    /// An argument of the adapter, taken as it is; may be given several times.
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    adapter_arg: Vec<String>,
    /// A feature that the client cannot have: scenarios that need it are left out.
    #[arg(long, value_name = "FEATURE")]
    lacks: Vec<String>,
    /// Server to test against; an embedded one when absent.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Folder with scenario files.
    #[arg(long, value_name = "FOLDER", default_value = "tests/faults/scenarios")]
    scenarios: PathBuf,
    /// Only scenarios whose name contains this; may be given several times.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Adapters at work at once.
    #[arg(long, value_name = "N", default_value_t = 8)]
    jobs: usize,
    /// What one command may take. Units: ms.
    #[arg(long, value_name = "MS", default_value_t = 20_000)]
    timeout: u64,
    /// Feign every wrong client in turn and see that scenarios notice.
    #[arg(long, conflicts_with_all = ["only", "json"])]
    flaws: bool,
    /// Write a JSON report.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match faults(Args::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("durable-streams-faults: {why}");
            ExitCode::from(2)
        }
    }
}

async fn faults(args: Args) -> Result<bool, String> {
    let mut scenarios = scenario::load(&args.scenarios)?;
    scenarios.retain(|scenario| args.only.is_empty() || args.only.iter().any(|text| scenario.id.contains(text)));
    if scenarios.is_empty() {
        return Err(format!("no scenario to run in {}", args.scenarios.display()));
    }
    let host = args.server.map_or(Host::Own, Host::At);
    let options = Options {
        adapter: adapter(&args.adapter, &args.adapter_arg, args.timeout),
        jobs: args.jobs,
        lacks: args.lacks,
        flaw: None,
    };
    if args.flaws {
        return feign_flaws(&scenarios, &host, &options).await;
    }
    let run = run(scenarios, &host, &options, |report| println!("{}", report::line(report))).await?;
    if let Some(path) = &args.json {
        let text = report::json(&run).to_string();
        std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    print!("{}", report::text(&run));
    Ok(run.is_good())
}

/// Runs the scenarios that must notice a flaw against a client that shows it.
async fn feign_flaws(scenarios: &[Scenario], host: &Host, options: &Options) -> Result<bool, String> {
    let mut unnoticed = 0;
    for flaw in FLAWS {
        let those = scenarios.iter().filter(|scenario| scenario.id.contains(flaw.noticed_in)).cloned().collect();
        let options = Options { flaw: Some(flaw), ..options.clone() };
        let run = run(those, host, &options, |_| {}).await?;
        let (_, failed, _) = run.totals();
        let noticed = run.reports.iter().find(|report| matches!(report.outcome, Outcome::Failed { .. }));
        match noticed {
            Some(report) => {
                println!("caught    {:<16} {}: {failed} scenarios, such as {}", flaw.name, flaw.what, report.id)
            }
            None => {
                unnoticed += 1;
                println!("UNNOTICED {:<16} {} ({} scenarios)", flaw.name, flaw.what, run.reports.len());
            }
        }
    }
    println!("{} passed, {unnoticed} failed, 0 skipped", FLAWS.len() - unnoticed);
    Ok(unnoticed == 0)
}

/// A program alone may be written with its arguments; given ones are taken as they are.
fn adapter(line: &str, arguments: &[String], timeout_ms: u64) -> AdapterCommand {
    let is_whole = !arguments.is_empty() || std::path::Path::new(line).exists();
    let mut words: Vec<String> =
        if is_whole { vec![line.to_owned()] } else { line.split_whitespace().map(str::to_owned).collect() };
    words.extend_from_slice(arguments);
    AdapterCommand { words, timeout: Duration::from_millis(timeout_ms) }
}
