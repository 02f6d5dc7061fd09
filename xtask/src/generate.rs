//! Sources that UniFFI writes from the compiled `ffi/`: committed, so that packages build
//! without the generator, and compared in the tests.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;

use crate::{
    cargo::cargo,
    process::{Outcome, command, root, run},
    tally::Tally,
};

/// A generated file, and where it belongs.
const FILES: &[(&str, &str)] = &[
    (
        "com/durablestreams/ffi/durable_streams.kt",
        "bindings/kotlin/client/src/main/kotlin/com/durablestreams/ffi/durable_streams.kt",
    ),
    ("DurableStreamsFFI.swift", "swift/Sources/DurableStreamsFFI/DurableStreamsFFI.swift"),
    ("durable_streamsFFI.h", "swift/Sources/durable_streamsFFI/include/durable_streamsFFI.h"),
];

/// What Swift's generator leaves out, and Swift 6 insists on: closures that a task takes along
/// can be sent. The compiler of 6.0.3 does not refuse them without it; it crashes.
const SENDABLE: &[(&str, &str)] = &[
    ("    makeCall: @escaping () async throws -> T,", "    makeCall: @escaping @Sendable () async throws -> T,"),
    ("    handleSuccess: @escaping (T)", "    handleSuccess: @escaping @Sendable (T)"),
    ("    handleError: @escaping (Int8, RustBuffer)", "    handleError: @escaping @Sendable (Int8, RustBuffer)"),
    ("    lowerError: @escaping (E)", "    lowerError: @escaping @Sendable (E)"),
    (
        "let makeCall = {\n                () async throws",
        "let makeCall = {\n                @Sendable () async throws",
    ),
    ("let uniffiHandleSuccess = { (", "let uniffiHandleSuccess = { @Sendable ("),
    (
        "let uniffiHandleError = { (statusCode, errorBuf) in",
        "let uniffiHandleError = { @Sendable (statusCode: Int8, errorBuf: RustBuffer) in",
    ),
];

/// What is done with the sources.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Options {
    /// Only say whether they are up to date.
    #[arg(long)]
    check: bool,
}

impl Options {
    /// Compares, and writes nothing.
    pub(crate) const CHECK: Self = Self { check: true };
}

/// Writes the sources, or compares them.
pub(crate) fn generate(options: Options) -> Outcome<Tally> {
    let made = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    write_into(made.path())?;
    let mut tally = Tally::default();
    for (from, to) in FILES {
        let text =
            fs::read_to_string(made.path().join(from)).map_err(|error| format!("no {from} was made: {error}"))?;
        // The generator leaves blanks at line ends.
        let mut text: String = text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect();
        if from.ends_with(".swift") {
            text = sendable(text)?;
        }
        let to = root().join(to);
        tally += Tally::of(&format!("generated {}", to.display()), place(&text, &to, options.check));
    }
    Ok(tally)
}

fn sendable(mut text: String) -> Outcome<String> {
    for (without, with) in SENDABLE {
        if !text.contains(without) {
            return Err(format!("the generator no longer writes {without:?}; does it need {with:?}?").into());
        }
        text = text.replace(without, with);
    }
    Ok(text)
}

fn place(text: &str, to: &Path, only_check: bool) -> Outcome<()> {
    if only_check {
        return match fs::read_to_string(to) {
            Ok(written) if written == text => Ok(()),
            _ => Err("it is not up to date; run `cargo xtask gen`".into()),
        };
    }
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    fs::write(to, text).map_err(|error| format!("cannot write {}: {error}", to.display()).into())
}

fn write_into(folder: &Path) -> Outcome<()> {
    run(cargo().args(["build", "-p", "durable-streams-ffi", "--features", "bindgen"]))?;
    let built = target();
    for language in ["kotlin", "swift"] {
        let mut generator = command(built.join("durable-streams-bindgen"));
        generator.arg("generate").arg(library(&built)).args(["--no-format", "--language", language, "--out-dir"]);
        run(generator.arg(folder))?;
    }
    Ok(())
}

/// Where cargo puts what it builds without optimisation.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from).join("debug")
}

fn library(folder: &Path) -> PathBuf {
    folder.join(format!("{}durable_streams_ffi{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX))
}
