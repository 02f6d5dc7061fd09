//! The conformance kit as a program: `durable-streams-conformance --help`.

#![allow(clippy::print_stdout, reason = "a command line tool reports on standard output")]

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use durable_streams_conformance::{
    adapter::AdapterCommand,
    breaks::{self, BREAKS},
    case::{Suite, load_suites},
    host::Host,
    report::{console, files},
    run::{Options, Outcome, Selection, run},
    table,
};
use futures_util::{StreamExt, stream};

#[derive(Parser)]
#[command(
    name = "durable-streams-conformance",
    about = "Runs the conformance cases through a client's adapter",
    version
)]
struct Args {
    /// Program that carries the client under test, with arguments.
    #[arg(long, value_name = "COMMAND", required_unless_present = "table")]
    adapter: Option<String>,
    /// An argument of the adapter, taken as it is; may be given several times.
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    adapter_arg: Vec<String>,
    /// A feature that the client cannot have: tests that need it are left out.
    #[arg(long, value_name = "FEATURE")]
    lacks: Vec<String>,
    /// Server to test against; an embedded one when absent.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The server's name, for cases that know a server to be wrong.
    #[arg(long, value_name = "NAME", default_value = "other")]
    host: String,
    /// Folder with case files; may be given several times.
    #[arg(long, value_name = "FOLDER", required = true)]
    cases: Vec<PathBuf>,
    /// Only suites with this id or category.
    #[arg(long, value_name = "ID")]
    suite: Vec<String>,
    /// Only tests that have this tag, or whose suite has it.
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Only tests with this id.
    #[arg(long, value_name = "ID")]
    test: Vec<String>,
    /// Only tests of this rule of protocol.md §28.
    #[arg(long, value_name = "RULE")]
    rule: Vec<String>,
    /// Stop at the first failure.
    #[arg(long)]
    fail_fast: bool,
    /// Adapters at work at once.
    #[arg(long, value_name = "N", default_value_t = 4)]
    jobs: usize,
    /// What one command may take. Units: ms.
    #[arg(long, value_name = "MS", default_value_t = 30_000)]
    timeout: u64,
    /// Write a JUnit XML report.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write a JSON report.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Say of each test how it went, as it ends.
    #[arg(long, short)]
    verbose: bool,
    /// Feign a client that breaks this rule; the run should then fail.
    #[arg(long = "break", value_name = "RULE")]
    broken: Option<String>,
    /// Feign every broken client in turn and say which cases notice.
    #[arg(long, conflicts_with_all = ["broken", "rule", "server"])]
    breaks: bool,
    /// Print the table of rules and cases, and run nothing.
    #[arg(long)]
    table: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match conformance(Args::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("durable-streams-conformance: {why}");
            ExitCode::from(2)
        }
    }
}

async fn conformance(args: Args) -> Result<bool, String> {
    let mut suites = Vec::new();
    for folder in &args.cases {
        suites.extend(load_suites(folder).map_err(|error| error.to_string())?);
    }
    if args.table {
        print!("{}", table::markdown(&suites));
        return Ok(true);
    }
    let broken = args.broken.as_deref().map(breaks::find).transpose()?;
    let host = match &args.server {
        Some(url) => Host::at(&args.host, url),
        None => Host::embedded(),
    };
    let selection =
        Selection { suites: args.suite, tags: args.tag, tests: args.test, rules: args.rule, lacks: args.lacks };
    let options = Options {
        adapter: AdapterCommand::parse(
            &args.adapter.unwrap_or_default(),
            &args.adapter_arg,
            Duration::from_millis(args.timeout),
        ),
        jobs: args.jobs,
        fail_fast: args.fail_fast,
        broken,
    };
    let suites = Arc::new(suites);
    if args.breaks {
        return feign_breaks(&suites, &selection, &host, &options).await;
    }
    let is_verbose = args.verbose;
    let run = run(suites, &selection, &host, &options, move |report| {
        if is_verbose {
            let outcome = match &report.outcome {
                Outcome::Passed => "passed",
                Outcome::Failed { .. } => "FAILED",
                Outcome::Skipped(_) => "skipped",
            };
            println!("{outcome} {}/{} ({} ms)", report.suite, report.test, report.took.as_millis());
        }
    })
    .await?;
    let write = |path: &PathBuf, text: String| {
        std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
    };
    if let Some(path) = &args.junit {
        write(path, files::junit(&run))?;
    }
    if let Some(path) = &args.json {
        write(path, files::json(&run).to_string())?;
    }
    print!("{}", console::text(&run));
    let (passed, failed, _) = run.totals();
    if passed + failed == 0 {
        return Err("no test was run".to_owned());
    }
    Ok(run.is_good())
}

/// Runs the cases of each rule against a client that breaks it; every break must be noticed.
async fn feign_breaks(
    suites: &Arc<Vec<Suite>>,
    selection: &Selection,
    host: &Host,
    options: &Options,
) -> Result<bool, String> {
    let jobs = options.jobs.div_ceil(4);
    let mut runs = stream::iter(BREAKS)
        .map(|broken| async move {
            let selection = Selection { rules: vec![broken.rule.to_owned()], ..selection.clone() };
            let options = Options { broken: Some(broken), fail_fast: true, jobs, ..options.clone() };
            (broken, run(Arc::clone(suites), &selection, host, &options, |_| {}).await)
        })
        .buffered(BREAKS_AT_ONCE);
    let mut unnoticed = 0;
    while let Some((broken, run)) = runs.next().await {
        let run = run?;
        let caught = run.reports.iter().find(|report| matches!(report.outcome, Outcome::Failed { .. }));
        match caught {
            Some(report) => {
                println!("caught    {:<4} {}: {}/{}", broken.rule, broken.what, report.suite, report.test);
            }
            None => {
                unnoticed += 1;
                println!("UNNOTICED {:<4} {} ({} cases)", broken.rule, broken.what, run.reports.len());
            }
        }
    }
    println!("{} passed, {unnoticed} failed, 0 skipped", BREAKS.len() - unnoticed);
    Ok(unnoticed == 0)
}

/// Most of their time goes into waiting for what does not come.
const BREAKS_AT_ONCE: usize = 6;
