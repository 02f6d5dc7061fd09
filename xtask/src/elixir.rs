//! Elixir: the mix project, its tests, and the adapter over it. Elixir itself comes from the
//! system's packages; the native library is a cargo workspace of its own, built by `mix compile`.

mod newest;

use std::{path::PathBuf, process::Command, sync::OnceLock};

use crate::{
    cargo::cargo,
    conformance_client,
    language::{Adapter, Language},
    process::{Outcome, capture, command, root, run as run_command},
    streamkeeper,
    tally::Tally,
    tools,
};

/// Oldest Elixir that the package supports.
const OLDEST: (u32, u32) = (1, 14);
/// Where mix puts what the tests and the adapter use.
const BUILT: &str = "bindings/elixir/_build/test";

/// Builds the package, runs its tests and the public server suite; `alone` also runs the conformance kit, which is
/// otherwise a part of its own.
pub(crate) fn run(alone: bool) -> Outcome<Tally> {
    build()?;
    let mut tally = native();
    tally += Tally::of("format of the Elixir package", run_command(mix("test").args(["format", "--check-formatted"])));
    tally += Tally::of("tests of the Elixir package", run_command(mix("test").args(["test", "--warnings-as-errors"])));
    tally += streamkeeper::run()?;
    if alone {
        tally += conformance_client::run(&conformance_client::Options::of(Language::Elixir), None)?;
    }
    Ok(tally)
}

/// The tests on a newer Elixir. A command of its own: it installs a Debian.
pub(crate) fn newest() -> Outcome<Tally> {
    newest::run()
}

/// How the adapter is started.
pub(crate) fn adapter() -> Outcome<Adapter> {
    // The parts of one run share it.
    static DONE: OnceLock<()> = OnceLock::new();
    if DONE.get().is_none() {
        build()?;
        let _ = DONE.set(());
    }
    let classes = root().join(BUILT).join("lib/durable_streams/ebin");
    // The adapter reads standard input itself.
    let arguments = ["--erl", "-noinput +fnu", "-pa"].into_iter().map(Into::into);
    let arguments = arguments.chain([classes.into(), "-e".into(), "DurableStreams.Adapter.main()".into()]).collect();
    Ok(Adapter { arguments, jobs: 4, ..Adapter::new("elixir") })
}

/// Builds the package as it is shipped. Where its modules are.
pub(crate) fn measured() -> Outcome<PathBuf> {
    tools::elixir()?;
    require_new_enough()?;
    run_command(mix("prod").arg("compile"))?;
    Ok(root().join("bindings/elixir/_build/prod/lib/durable_streams/ebin"))
}

/// The native library in order: format and lints. `cargo xtask test lint` does not know its workspace.
fn native() -> Tally {
    let manifest = root().join("bindings/elixir/native/Cargo.toml");
    let in_order = |arguments: &[&str], more: &[&str]| {
        let mut cargo = cargo();
        cargo.args(arguments).arg("--manifest-path").arg(&manifest).args(more);
        run_command(cargo.env("CARGO_TARGET_DIR", root().join("target")))
    };
    let mut tally = Tally::of("format of the native library for Elixir", in_order(&["fmt"], &["--check"]));
    tally += Tally::of("clippy of the native library for Elixir", in_order(&["clippy"], &["--", "-D", "warnings"]));
    tally
}

/// Builds the native library and the modules, the adapter's among them.
fn build() -> Outcome<()> {
    tools::elixir()?;
    require_new_enough()?;
    run_command(mix("test").args(["compile", "--warnings-as-errors"]))
}

/// Mix on our project.
pub(crate) fn mix(environment: &str) -> Command {
    let mut mix = program("mix");
    mix.current_dir(root().join("bindings/elixir"));
    mix.env("MIX_ENV", environment).env("CARGO_TARGET_DIR", root().join("target"));
    mix
}

/// `elixir`, or another program of it.
pub(crate) fn program(name: &str) -> Command {
    let mut program = command(name);
    // File names are UTF-8 whatever the machine's locale says.
    program.env("ELIXIR_ERL_OPTIONS", "+fnu");
    program
}

fn require_new_enough() -> Outcome<()> {
    let version = capture(program("elixir").args(["-e", "IO.write(System.version())"]))?;
    let mut numbers = version.split('.').filter_map(|number| number.parse::<u32>().ok());
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < OLDEST {
        return Err(format!("elixir is {version}; install Elixir 1.14 or newer").into());
    }
    Ok(())
}
