//! Clients through a bad network: the scenarios of `tests/faults` (docs/faults.md).

use std::path::Path;

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::{
    cargo::{self, Profile},
    language::Language,
    process::{Outcome, command, peers, run as run_command},
    tally::Tally,
};

/// Where the scenarios are.
const SCENARIOS: &str = "tests/faults/scenarios";

/// What is run, and against what.
#[derive(Debug, Default, Args)]
pub(crate) struct Options {
    /// The language; all when absent.
    language: Option<Language>,
    /// Only scenarios whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// A server that runs already, instead of our own inside the program.
    #[arg(long)]
    url: Option<String>,
}

impl Options {
    /// All scenarios through this language's client, on our own server.
    pub(crate) fn of(language: Language) -> Self {
        Self { language: Some(language), ..Self::default() }
    }
}

/// Runs the scenarios through one language's client, or through every one's.
pub(crate) fn run(options: &Options) -> Outcome<Tally> {
    let program = cargo::build("durable-streams-faults", "durable-streams-faults", Profile::Dev)?;
    std::fs::create_dir_all(peers()).map_err(|error| format!("cannot make {}: {error}", peers().display()))?;
    let mut tally = Tally::default();
    for language in Language::value_variants() {
        if options.language.is_some_and(|only| only != *language) {
            continue;
        }
        let adapter = language.adapter()?;
        let report = peers().join("faults.json");
        // A report of an earlier run must not stand for this one.
        let _ = std::fs::remove_file(&report);
        let mut scenarios = command(&program);
        scenarios.args(["--scenarios", SCENARIOS, "--jobs", &adapter.jobs.to_string(), "--json"]).arg(&report);
        adapter.hand_to(&mut scenarios);
        for feature in adapter.lacks {
            scenarios.args(["--lacks", feature]);
        }
        for (flag, value) in [("--only", &options.only), ("--server", &options.url)] {
            if let Some(value) = value {
                scenarios.args([flag, value]);
            }
        }
        let ended = run_command(&mut scenarios);
        tally += read_report(&report, *language, ended);
    }
    Ok(tally)
}

/// The part of `cargo xtask test`: every language.
pub(crate) fn run_all() -> Outcome<Tally> {
    run(&Options::default())
}

/// Counts the scenarios of a run. Its exit status only repeats the report, unless something
/// else than a scenario went wrong.
fn read_report(path: &Path, language: Language, ended: Outcome<()>) -> Tally {
    let report = std::fs::read(path).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    let Some(report) = report else { return Tally::of(&format!("faults of {language:?}"), ended) };
    let mut tally = count(&report, language);
    if let (true, Err(failure)) = (tally.failures.is_empty(), ended) {
        tally.failures.push(format!("faults of {language:?}: {failure}"));
    }
    tally
}

fn count(report: &Value, language: Language) -> Tally {
    let mut tally = Tally { passed: report["passed"].as_u64().unwrap_or(0) as usize, failures: Vec::new() };
    for scenario in report["scenarios"].as_array().into_iter().flatten() {
        let name = format!("faults of {language:?}: {}", scenario["scenario"].as_str().unwrap_or("?"));
        match scenario["outcome"].as_str() {
            Some("failed") => tally.failures.push(name),
            // Another server may be one that cannot be restarted; ours can.
            Some("skipped") if report["strict"] == true => tally.failures.push(format!("{name}: skipped")),
            _ => {}
        }
    }
    tally
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Language, count};

    #[test]
    fn a_skip_is_a_failure_on_our_own_server_only() {
        let report = |strict: bool| {
            json!({"strict": strict, "passed": 1, "scenarios": [
                {"scenario": "s/a", "outcome": "passed"},
                {"scenario": "s/b", "outcome": "skipped"},
                {"scenario": "s/c", "outcome": "failed"},
            ]})
        };
        let own = count(&report(true), Language::Rust);
        assert_eq!((own.passed, own.failures.len()), (1, 2));
        assert_eq!(count(&report(false), Language::Rust).failures, ["faults of Rust: s/c"]);
    }
}
