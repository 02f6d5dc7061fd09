//! A newer Elixir than the system's: Debian's, in a folder of its own. The package's tests run
//! there, with the native library that is built here: it is the same for every Erlang.

use std::{ffi::OsString, path::Path, process::Command};

use crate::{
    cargo::cargo,
    debian::Debian,
    process::{Outcome, cannot_start, root, run as run_command},
    tally::Tally,
};

/// What is wanted at least.
const NEWEST: (u32, u32) = (1, 18);
const PACKAGES: &str = "elixir,erlang-dev";
/// Where things are inside it.
const SOURCES: &str = "/durable-streams/elixir";
const BUILT: &str = "/durable-streams/built";
const LIBRARY: &str = "/durable-streams/lib";

/// Compiles both packages anew, and runs their tests. A warning fails either.
pub(super) fn run() -> Outcome<Tally> {
    let debian = Debian::installed("elixir-root", PACKAGES, |debian| {
        debian.has("elixir", &["-e", "IO.write(System.version())"], NEWEST)
    })?;
    library()?;
    let streamkeeper = format!("{SOURCES}/streamkeeper");
    let mut tally = Tally::default();
    for (name, package) in [("the Elixir package", SOURCES), ("the package streamkeeper", &streamkeeper)] {
        let compile = ["compile", "--force", "--warnings-as-errors"];
        tally += Tally::of(&format!("{name} compiles"), quiet(mix(&debian, package).args(compile)));
        let test = ["test", "--warnings-as-errors"];
        tally += Tally::of(&format!("tests of {name}"), run_command(mix(&debian, package).args(test)));
    }
    Ok(tally)
}

/// Builds the native library as `mix compile` does.
fn library() -> Outcome<()> {
    let mut build = cargo();
    build.args(["build", "--quiet", "--manifest-path"]).arg(root().join("bindings/elixir/native/Cargo.toml"));
    run_command(build.env("CARGO_TARGET_DIR", root().join("target")))
}

/// Mix there.
fn mix(debian: &Debian, package: &str) -> Command {
    let (sources, library) = (root().join("bindings/elixir"), root().join("target/debug"));
    let mounted: [(&Path, &str); 2] = [(&sources, SOURCES), (&library, LIBRARY)];
    // One for each: they are different packages to each other.
    let built = format!("{BUILT}/{}", package.rsplit('/').next().unwrap_or_default());
    let variables = [
        "MIX_ENV=test".to_owned(),
        format!("MIX_BUILD_PATH={built}"),
        format!("DURABLE_STREAMS_NIF={LIBRARY}/libdurable_streams_elixir.so"),
        "ELIXIR_ERL_OPTIONS=+fnu".to_owned(),
    ];
    debian.start(&mounted, package, variables.map(OsString::from), "mix")
}

/// Runs it with its output shown, and takes a warning for a failure: those about the project's own
/// description fail nothing by themselves.
fn quiet(command: &mut Command) -> Outcome<()> {
    let output = command.output().map_err(|error| cannot_start(command, &error))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    print!("{text}");
    if output.status.success() && !text.contains("warning:") {
        return Ok(());
    }
    Err(format!("it ended with {}; see above for errors and warnings", output.status).into())
}
