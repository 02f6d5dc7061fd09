//! Formatting, clippy, and the protocol crate without an operating system.

use crate::{
    cargo::cargo,
    process::{self, Outcome},
    tally::Tally,
    wasm,
};

/// Checks formatting, then clippy over every target with warnings refused.
pub(crate) fn run() -> Outcome<Tally> {
    let mut tally = Tally::of("fmt (mend with `cargo xtask fixup`)", run_cargo(&["fmt", "--all", "--check"]));
    tally += Tally::of(
        "clippy",
        run_cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--quiet", "--", "-D", "warnings"]),
    );
    tally += Tally::of("core/protocol as WebAssembly", wasm::check());
    Ok(tally)
}

/// Formats, and applies the fixes that clippy holds safe.
pub(crate) fn fix() -> Outcome<()> {
    run_cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--fix",
        "--allow-dirty",
        "--allow-staged",
    ])?;
    run_cargo(&["fmt", "--all"])
}

fn run_cargo(arguments: &[&str]) -> Outcome<()> {
    process::run(cargo().args(arguments))
}
