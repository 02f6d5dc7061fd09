//! Elixir: the mix project, its tests, and the adapter over it. Elixir itself comes from the
//! system's packages; the native library is a cargo workspace of its own, built by `mix compile`.

use std::{process::Command, sync::OnceLock};

use crate::{
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
    let mut tally =
        Tally::of("format of the Elixir package", run_command(mix("test").args(["format", "--check-formatted"])));
    tally += Tally::of("tests of the Elixir package", run_command(mix("test").arg("test")));
    tally += streamkeeper::run()?;
    if alone {
        tally += conformance_client::run(&conformance_client::Options::of(Language::Elixir), None)?;
    }
    Ok(tally)
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

/// Builds the native library and the modules, the adapter's among them.
fn build() -> Outcome<()> {
    tools::elixir()?;
    require_new_enough()?;
    run_command(mix("test").args(["compile", "--warnings-as-errors"]))
}

/// Mix on our project.
pub(crate) fn mix(environment: &str) -> Command {
    let mut mix = command("mix");
    mix.current_dir(root().join("bindings/elixir"));
    mix.env("MIX_ENV", environment).env("CARGO_TARGET_DIR", root().join("target"));
    // File names are UTF-8 whatever the machine's locale says.
    mix.env("ELIXIR_ERL_OPTIONS", "+fnu");
    mix
}

fn require_new_enough() -> Outcome<()> {
    let version = capture(command("elixir").args(["--erl", "+fnu", "-e", "IO.write(System.version())"]))?;
    let mut numbers = version.split('.').filter_map(|number| number.parse::<u32>().ok());
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < OLDEST {
        return Err(format!("elixir is {version}; install Elixir 1.14 or newer").into());
    }
    Ok(())
}
