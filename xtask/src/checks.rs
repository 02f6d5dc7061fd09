//! Test programs of ours in any language: each prints `ok NAME` or `FAILED NAME: REASON`
//! per check, and `restart` when it wants the server killed and started anew; it then
//! reads one line and goes on.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use crate::{
    process::{Outcome, cannot_start},
    tally::Tally,
};

/// Runs such a program to its end, shows what it prints, and counts its checks.
pub(crate) fn run(name: &str, program: &mut Command, mut restart: impl FnMut() -> Outcome<()>) -> Outcome<Tally> {
    println!("--- {name}");
    program.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = program.spawn().map_err(|error| cannot_start(program, &error))?;
    let mut tally = Tally::default();
    let (Some(mut answers), Some(lines)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(format!("{name}: no standard streams").into());
    };
    for line in BufReader::new(lines).lines().map_while(Result::ok) {
        println!("{line}");
        if line == "restart" {
            restart()?;
            // A program that is gone shows in its exit status.
            let _ = writeln!(answers, "ready");
        } else if line.starts_with("ok ") {
            tally.passed += 1;
        } else if let Some(failure) = line.strip_prefix("FAILED ") {
            tally.failures.push(format!("{name}: {failure}"));
        }
    }
    let status = child.wait().map_err(|error| format!("{name}: {error}"))?;
    if tally.failures.is_empty() && (!status.success() || tally.passed == 0) {
        tally.failures.push(format!("{name}: ended with {status} after {} checks", tally.passed));
    }
    Ok(tally)
}
