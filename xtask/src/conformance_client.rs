//! The conformance kit through a language's adapter: our own cases, and the public ones
//! where they are at hand.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::{
    cargo::{self, Profile},
    language::Language,
    process::{Outcome, capture, command, peers, root, run as run_command},
    server::Server,
    tally::Tally,
};

/// Where our cases are.
const CASES: &str = "tests/conformance/cases";
/// Where the generated table is.
const TABLE: &str = "docs/conformance-rules.md";
/// Public cases: data that is not part of this repository, used when it lies beside it.
const PUBLIC_CASES: &str = "../shared/cases";

/// A server to run against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Host {
    /// Our server, inside the kit.
    Own,
    /// npm `@durable-streams/server`.
    Npm,
}

/// What is run, and against what.
#[derive(Debug, Default, Args)]
pub(crate) struct Options {
    /// With `client`: the language; all when absent.
    language: Option<Language>,
    /// With `client`: the server; our own when absent.
    #[arg(long)]
    host: Option<Host>,
    /// With `client`: feign every broken client and see that the cases notice.
    #[arg(long)]
    breaks: bool,
    /// With `client`: only the test with this id.
    #[arg(long)]
    test: Option<String>,
    /// With `table`: only say whether the table is up to date.
    #[arg(long)]
    check: bool,
}

impl Options {
    /// This language through all cases, on our own server.
    pub(crate) fn of(language: Language) -> Self {
        Self { language: Some(language), ..Self::default() }
    }
}

/// Runs the kit.
pub(crate) fn run(options: &Options, url: Option<&str>) -> Outcome<Tally> {
    let kit = kit()?;
    let data = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    let npm = match options.host {
        Some(Host::Npm) if url.is_none() => Some(Server::npm_with(data.path(), &["--long-poll-ms", "500"])?),
        _ => None,
    };
    let mut tally = Tally::default();
    for language in Language::value_variants() {
        if options.language.is_some_and(|only| only != *language) {
            continue;
        }
        let adapter = language.adapter()?;
        let report = peers().join("conformance-client.json");
        std::fs::create_dir_all(peers()).map_err(|error| format!("cannot make {}: {error}", peers().display()))?;
        let _ = std::fs::remove_file(&report);
        let mut program = command(&kit);
        program.args(["--cases", CASES, "--json"]).arg(&report);
        adapter.hand_to(&mut program);
        for feature in adapter.lacks {
            program.args(["--lacks", feature]);
        }
        if options.breaks {
            program.arg("--breaks");
        } else if root().join(PUBLIC_CASES).is_dir() {
            program.args(["--cases", PUBLIC_CASES]);
        }
        match (&npm, url) {
            // One job: the server's faults are everybody's.
            (Some(server), _) => {
                program.args(["--server", &server.url(), "--host", "npm", "--jobs", "1"]);
            }
            (None, Some(url)) => {
                program.args(["--server", url, "--jobs", &adapter.jobs.to_string()]);
            }
            (None, None) => {
                program.args(["--jobs", &adapter.jobs.to_string()]);
            }
        }
        if let Some(test) = &options.test {
            program.args(["--test", test]);
        }
        let ended = run_command(&mut program);
        tally += if options.breaks {
            Tally::of(&format!("conformance of {language:?}: broken clients"), ended)
        } else {
            read_report(&report, *language, ended)
        };
    }
    Ok(tally)
}

/// The part of `cargo xtask test`: every language through all cases, then the broken clients,
/// which say something about the cases and need one language only.
pub(crate) fn run_all() -> Outcome<Tally> {
    let mut tally = run(&Options::default(), None)?;
    tally += run(&Options { language: Some(Language::Rust), breaks: true, ..Options::default() }, None)?;
    tally += table(&Options { check: true, ..Options::default() })?;
    Ok(tally)
}

/// Writes the table of rules and cases, or compares it.
pub(crate) fn table(options: &Options) -> Outcome<Tally> {
    let text = capture(command(kit()?).args(["--cases", CASES, "--table"]))?;
    let path = root().join(TABLE);
    let outcome = if !options.check {
        std::fs::write(&path, text).map_err(|error| format!("cannot write {TABLE}: {error}").into())
    } else if std::fs::read_to_string(&path).is_ok_and(|written| written == text) {
        Ok(())
    } else {
        Err("it is not up to date; run `cargo xtask conformance table`".into())
    };
    Ok(Tally::of(TABLE, outcome))
}

fn kit() -> Outcome<PathBuf> {
    cargo::build("durable-streams-conformance", "durable-streams-conformance", Profile::Dev)
}

/// Counts the tests of a run. Its exit status only repeats the report, unless something else
/// than a test went wrong.
fn read_report(path: &std::path::Path, language: Language, ended: Outcome<()>) -> Tally {
    let report = std::fs::read(path).ok();
    let report = report.and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok());
    let Some(report) = report else { return Tally::of(&format!("conformance of {language:?}"), ended) };
    let mut tally = count(&report, language);
    if let (true, Err(failure)) = (tally.failures.is_empty(), ended) {
        tally.failures.push(format!("conformance of {language:?}: {failure}"));
    }
    tally
}

fn count(report: &serde_json::Value, language: Language) -> Tally {
    let mut tally = Tally { passed: report["passed"].as_u64().unwrap_or(0) as usize, failures: Vec::new() };
    for test in report["tests"].as_array().into_iter().flatten() {
        let name = format!("conformance of {language:?}: {}/{}", text(&test["suite"]), text(&test["test"]));
        match test["outcome"].as_str() {
            Some("failed") => tally.failures.push(name),
            // What a server is known to be wrong at says so by name; our own may skip nothing.
            Some("skipped") if report["host"] == "own" => tally.failures.push(format!("{name}: skipped")),
            _ => {}
        }
    }
    tally
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Language, count};

    #[test]
    fn a_skip_is_a_failure_on_our_own_server_only() {
        let report = |host: &str| {
            json!({"host": host, "passed": 1, "tests": [
                {"suite": "s", "test": "a", "outcome": "passed"},
                {"suite": "s", "test": "b", "outcome": "skipped"},
                {"suite": "s", "test": "c", "outcome": "failed"},
            ]})
        };
        let own = count(&report("own"), Language::Rust);
        assert_eq!((own.passed, own.failures.len()), (1, 2));
        assert_eq!(count(&report("npm"), Language::Rust).failures, ["conformance of Rust: s/c"]);
    }
}
