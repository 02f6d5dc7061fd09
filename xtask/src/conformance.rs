//! The public server suite against our server.

use clap::ValueEnum;
use serde_json::Value;

use crate::{
    cargo::Profile,
    process::{Outcome, command, run as run_command},
    server::Server,
    tally::Tally,
    tools,
};

/// Tests in version 0.3.6 with subscriptions.
const EXPECTED: u64 = 338;
/// The suite waits for real 204 answers under its runner's limit of 5 s per test.
const LONG_POLL_TIMEOUT_MS: &str = "1000";

/// Where the server under test keeps its streams.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Store {
    /// In memory.
    Memory,
    /// On disk.
    File,
}

/// Runs the suite against each store, one of them, or a server that runs already.
pub(crate) fn run(only: Option<Store>, url: Option<&str>, filter: Option<&str>) -> Outcome<Tally> {
    let folder = tools::npm_packages()?;
    if let Some(url) = url {
        return run_suite(&folder, url, url, filter);
    }
    let mut tally = Tally::default();
    for store in Store::value_variants() {
        if only.is_some_and(|only| only as u8 != *store as u8) {
            continue;
        }
        let data = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        let data_dir = data.path().display().to_string();
        let mut flags = vec!["--long-poll-timeout-ms", LONG_POLL_TIMEOUT_MS, "--webhooks", "dev"];
        match store {
            Store::Memory => flags.extend(["--storage", "memory"]),
            Store::File => flags.extend(["--storage", "file", "--data-dir", &data_dir]),
        }
        let server = Server::ours(Profile::Dev, &flags)?;
        tally += run_suite(&folder, &format!("{store:?} store"), &server.url(), filter)?;
    }
    Ok(tally)
}

fn run_suite(folder: &std::path::Path, name: &str, url: &str, filter: Option<&str>) -> Outcome<Tally> {
    let report = folder.join("conformance-report.json");
    let _ = std::fs::remove_file(&report);
    let mut vitest = command(folder.join("node_modules/.bin/vitest"));
    vitest.args(["run", "conformance.test.mjs", "--reporter=json", "--no-color", "--outputFile"]).arg(&report);
    if let Some(filter) = filter {
        vitest.args(["--testNamePattern", filter]);
    }
    vitest.env("SERVER_URL", url).env("LONG_POLL_TIMEOUT_MS", LONG_POLL_TIMEOUT_MS).current_dir(folder);
    // Its exit status only repeats the report; without one, the error is what there is to say.
    let ended = run_command(&mut vitest);
    let report = std::fs::read(&report).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    let Some(report) = report else {
        return Err(ended.err().unwrap_or_else(|| "the suite wrote no report".into()));
    };
    let totals = Totals::read(&report);
    println!("{name}: {} passed, {} failed, {} skipped", totals.passed, totals.failed, totals.skipped);
    let mut failures: Vec<_> = failed_tests(&report).map(|test| format!("conformance, {name}: {test}")).collect();
    if filter.is_none() && (totals.passed + totals.failed != EXPECTED || totals.skipped != 0) {
        failures.push(format!("conformance, {name}: {totals:?}, expected {EXPECTED} tests and none skipped"));
    }
    Ok(Tally { passed: totals.passed as usize, failures })
}

#[derive(Debug)]
struct Totals {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Totals {
    fn read(report: &Value) -> Self {
        let count = |key: &str| report[key].as_u64().unwrap_or(0);
        Self {
            passed: count("numPassedTests"),
            failed: count("numFailedTests"),
            skipped: count("numPendingTests") + count("numTodoTests"),
        }
    }
}

/// Names each failed test with the first line of its reason.
fn failed_tests(report: &Value) -> impl Iterator<Item = String> {
    let files = report["testResults"].as_array().into_iter().flatten();
    files.flat_map(|file| file["assertionResults"].as_array().into_iter().flatten()).filter_map(|test| {
        let reason = test["failureMessages"][0].as_str().unwrap_or("no reason").lines().next().unwrap_or_default();
        (test["status"] == "failed").then(|| format!("{}: {reason}", test["fullName"].as_str().unwrap_or("?")))
    })
}
