//! Cargo: building programs and running tests.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    process::{Outcome, cannot_start, command, run},
    tally::Tally,
};

/// Optimisation of a build.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Quick to build.
    Dev,
    /// As shipped.
    Release,
}

/// A cargo command of the toolchain that runs this program, without what `cargo run` told
/// this program about its own package: build scripts that look at it would run again.
pub(crate) fn cargo() -> Command {
    without_our_package(command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())))
}

/// The same for a program that calls cargo itself.
pub(crate) fn without_our_package(mut program: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        let is_about_xtask = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"]
            .iter()
            .any(|prefix| name.to_string_lossy().starts_with(prefix));
        if is_about_xtask {
            program.env_remove(name);
        }
    }
    program
}

/// Builds a program of this workspace and returns where it is.
pub(crate) fn build(package: &str, bin: &str, profile: Profile) -> Outcome<PathBuf> {
    let mut build = cargo();
    build.args(["build", "--message-format=json-render-diagnostics", "--bin", bin]);
    match profile {
        // As `cargo test --workspace` builds it, so that no dependency is built twice.
        Profile::Dev => build.arg("--workspace"),
        Profile::Release => build.args(["--release", "-p", package]),
    };
    let output = build.stderr(Stdio::inherit()).output().map_err(|error| cannot_start(&build, &error))?;
    if !output.status.success() {
        return Err(format!("{package} does not build").into());
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == bin)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| format!("cargo named no program {bin} of {package}").into())
}

/// Runs all tests of the workspace and counts them.
pub(crate) fn test_workspace() -> Outcome<Tally> {
    let mut tests = cargo();
    tests.args(["test", "--workspace", "--no-fail-fast"]).stdout(Stdio::piped());
    let mut child = tests.spawn().map_err(|error| cannot_start(&tests, &error))?;
    let mut tally = Tally::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            println!("{line}");
            count(&line, &mut tally);
        }
    }
    let status = child.wait().map_err(|error| cannot_start(&tests, &error))?;
    if !status.success() && tally.failures.is_empty() {
        tally.failures.push("cargo test: it does not build, or a test program crashed".to_owned());
    }
    Ok(tally)
}

/// Installs a program by its crate's name and exact version.
pub(crate) fn install(name: &str, version: &str, into: &std::path::Path) -> Outcome<()> {
    let mut install = cargo();
    install.args(["install", "--quiet", "--locked", name, "--version", version, "--root"]).arg(into);
    install.env("CARGO_TARGET_DIR", into.join("target"));
    run(&mut install)
}

/// Reads one line of libtest's output.
fn count(line: &str, tally: &mut Tally) {
    if let Some(totals) = line.strip_prefix("test result: ") {
        let passed = totals.split_once(" passed").and_then(|(before, _)| before.rsplit(' ').next()?.parse().ok());
        tally.passed += passed.unwrap_or(0);
    } else if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
        tally.failures.push(format!("cargo test: {name}"));
    }
}

#[cfg(test)]
mod tests {
    use super::count;
    use crate::tally::Tally;

    #[test]
    fn libtest_lines_are_counted() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test offset::tests::order ... ok",
            "test cursor::tests::jitter ... FAILED",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: ok. 40 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ] {
            count(line, &mut tally);
        }
        assert_eq!(tally.passed, 42);
        assert_eq!(tally.failures, ["cargo test: cursor::tests::jitter"]);
    }
}
