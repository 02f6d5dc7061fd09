//! Ruby: the extension, built into the gem's folder, and the adapter over it. Ruby itself comes
//! from the system's packages; the extension's workspace is its own, because it needs Ruby to
//! be built.

use std::path::Path;

use crate::{
    cargo::cargo,
    conformance_client,
    language::{Adapter, Language},
    process::{Outcome, capture, command, root, run as run_command},
    tally::Tally,
    tools,
};

/// Oldest Ruby that the gem supports.
const OLDEST: (u32, u32) = (3, 0);

/// Builds the extension and runs its tests; `alone` also runs the conformance kit, which is
/// otherwise a part of its own.
pub(crate) fn run(alone: bool) -> Outcome<Tally> {
    build()?;
    let tests = run_command(command("ruby").arg(root().join("bindings/ruby/test/all.rb")));
    let mut tally = Tally::of("tests of the gem", tests);
    if alone {
        tally += conformance_client::run(&conformance_client::Options::of(Language::Ruby), None)?;
    }
    Ok(tally)
}

/// How the adapter is started.
pub(crate) fn adapter() -> Outcome<Adapter> {
    build()?;
    Ok(Adapter { arguments: vec![root().join("bindings/ruby/adapter/main.rb").into()], ..Adapter::new("ruby") })
}

/// Builds the extension and puts it where Ruby looks for it.
fn build() -> Outcome<()> {
    tools::ruby()?;
    require_new_enough()?;
    let target = root().join("target");
    let manifest = root().join("bindings/ruby/ext/durable_streams/Cargo.toml");
    let mut build = cargo();
    // Not `--locked`: a dependency that the core gains must not wait for a second lock file.
    build.args(["build", "--manifest-path"]).arg(manifest).env("CARGO_TARGET_DIR", &target);
    run_command(&mut build)?;
    let built = target.join("debug").join("libdurable_streams_ruby.so");
    install(&built, &root().join("bindings/ruby/lib/durable_streams/durable_streams_ruby.so"))
}

/// Replaces the file instead of writing into it: a process may have it open.
fn install(built: &Path, wanted: &Path) -> Outcome<()> {
    let _ = std::fs::remove_file(wanted);
    std::fs::copy(built, wanted).map(drop).map_err(|error| format!("cannot make {}: {error}", wanted.display()).into())
}

fn require_new_enough() -> Outcome<()> {
    let version = capture(command("ruby").args(["-e", "print RUBY_VERSION"]))?;
    let mut numbers = version.split('.').filter_map(|number| number.parse::<u32>().ok());
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < OLDEST {
        return Err(format!("ruby is {version}; install Ruby 3.0 or newer (Debian: ruby-dev)").into());
    }
    Ok(())
}
