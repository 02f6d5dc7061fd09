//! Coverage-guided fuzzing of the targets in `tests/fuzz` (docs/fuzzing.md).

use std::path::{Path, PathBuf};

use clap::Args;

use crate::{
    cargo,
    process::{Outcome, command, peers, root, run as run_command},
};

/// The driver of libFuzzer.
const CARGO_FUZZ: (&str, &str) = ("cargo-fuzz", "0.13.2");

/// What is fuzzed, and for how long.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Target, a folder of `tests/fuzz/corpus`; all in turn when absent.
    target: Option<String>,
    /// How long each target is fuzzed.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Longest input. Units: bytes.
    #[arg(long, default_value_t = 4096)]
    max_len: u32,
}

/// Fuzzes from the committed corpus on. What is new goes to `target/fuzz/corpus`, what fails to
/// `tests/fuzz/engine/artifacts`.
pub(crate) fn run(options: &Options) -> Outcome<()> {
    let known = targets()?;
    let targets = match &options.target {
        Some(target) if known.contains(target) => std::slice::from_ref(target),
        Some(target) => return Err(format!("no target {target:?}; there are {}", known.join(", ")).into()),
        None => &known,
    };
    let program = cargo_fuzz()?;
    let io = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    // The same versions of everything as in the workspace.
    let lock = engine().join("Cargo.lock");
    std::fs::copy(root().join("Cargo.lock"), &lock).map_err(|error| io(&lock, error))?;
    for target in targets {
        let found = root().join("target/fuzz/corpus").join(target);
        std::fs::create_dir_all(&found).map_err(|error| io(&found, error))?;
        let mut fuzz = command(&program);
        fuzz.args(["fuzz", "run", "--fuzz-dir"]).arg(engine()).arg(target).arg(&found).arg(corpus().join(target));
        fuzz.args(["--", "-timeout=25", "-rss_limit_mb=4096", "-print_final_stats=1"]);
        fuzz.args([format!("-max_total_time={}", options.seconds), format!("-max_len={}", options.max_len)]);
        // Instrumentation needs flags that rustc keeps behind this; the pinned toolchain stays.
        fuzz.env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", root().join("target/fuzz"));
        println!("=== {target}");
        run_command(&mut fuzz)?;
    }
    Ok(())
}

fn corpus() -> PathBuf {
    root().join("tests/fuzz/corpus")
}

fn engine() -> PathBuf {
    root().join("tests/fuzz/engine")
}

/// A target is a folder of the corpus; the crate's own test compares these with the programs.
fn targets() -> Outcome<Vec<String>> {
    let io = |error: std::io::Error| format!("{}: {error}", corpus().display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(corpus()).map_err(io)? {
        names.push(entry.map_err(io)?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

fn cargo_fuzz() -> Outcome<PathBuf> {
    let folder = peers().join("cargo-fuzz");
    let program = folder.join("bin").join(format!("cargo-fuzz{}", std::env::consts::EXE_SUFFIX));
    if !program.exists() {
        println!("installing cargo-fuzz into {}", folder.display());
        cargo::install(CARGO_FUZZ.0, CARGO_FUZZ.1, &folder)?;
    }
    Ok(program)
}
