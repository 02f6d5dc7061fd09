//! Ruby: the gem, built, installed and tested; its extension and the adapter over it. Ruby
//! itself comes from the system's packages; the extension's workspace is its own, because it
//! needs Ruby to be built.

mod newest;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    cargo::{Profile, cargo, without_our_package},
    conformance_client,
    language::{Adapter, Language},
    process::{Outcome, capture, command, peers, root, run as run_command},
    tally::Tally,
    tools,
};

/// Oldest Ruby that the gem supports.
const OLDEST: (u32, u32) = (3, 0);
/// What the gem is built from.
const SOURCES: [&str; 5] = ["bindings/ruby", "bindings/shared", "core", "server", "Cargo.toml"];

/// Lints, builds the gem, installs it into a home of its own and runs its tests there; `alone`
/// also runs the conformance kit, which is otherwise a part of its own.
pub(crate) fn run(alone: bool) -> Outcome<Tally> {
    tools::ruby()?;
    require_new_enough()?;
    let mut tally = Tally::of("fmt of the extension", run_command(extension("fmt").arg("--check")));
    tally += Tally::of(
        "clippy of the extension",
        run_command(extension("clippy").args(["--all-targets", "--quiet", "--", "-D", "warnings"])),
    );
    let installed = install()?;
    tally += Tally::of("tests of the installed gem", run_command(&mut installed.ruby("test/all.rb")));
    tally += Tally::of("specs with the installed gem", run_command(&mut installed.rspec()));
    build(Profile::Dev)?;
    let folder = root().join("bindings/ruby");
    tally += Tally::of("the gem with the extension inside", native(&folder));
    tally += Tally::of("signatures", run_command(command("ruby").arg("test/signatures.rb").current_dir(&folder)));
    tally += Tally::of("documentation", documented(&folder));
    if alone {
        tally += conformance_client::run(&conformance_client::Options::of(Language::Ruby), None)?;
    }
    Ok(tally)
}

/// The gem on a newer Ruby. A command of its own: it installs a Debian, and builds the core once more.
pub(crate) fn newest() -> Outcome<Tally> {
    newest::run()
}

/// How the adapter is started.
pub(crate) fn adapter() -> Outcome<Adapter> {
    build(Profile::Dev)?;
    Ok(Adapter { arguments: vec![root().join("bindings/ruby/adapter/main.rb").into()], ..Adapter::new("ruby") })
}

/// Makes the checkout's gem ready to be measured.
pub(crate) fn measured() -> Outcome<()> {
    build(Profile::Release)
}

/// Builds the extension and puts it where Ruby looks for it.
fn build(profile: Profile) -> Outcome<()> {
    tools::ruby()?;
    require_new_enough()?;
    let mut build = extension("build");
    if profile == Profile::Release {
        build.arg("--release");
    }
    run_command(&mut build)?;
    let folder = if profile == Profile::Release { "release" } else { "debug" };
    let built = root().join("target").join(folder).join("libdurable_streams_ruby.so");
    replace(&built, &root().join("bindings/ruby/lib/durable_streams/durable_streams_ruby.so"))
}

/// A command of cargo on the extension's workspace.
fn extension(action: &str) -> Command {
    let mut cargo = cargo();
    cargo.arg(action).arg("--manifest-path").arg(root().join("bindings/ruby/ext/durable_streams/Cargo.toml"));
    // Not `--locked`: a dependency that the core gains must not wait for a second lock file.
    cargo.env("CARGO_TARGET_DIR", root().join("target"));
    cargo
}

/// Replaces the file instead of writing into it: a process may have it open.
fn replace(built: &Path, wanted: &Path) -> Outcome<()> {
    let _ = std::fs::remove_file(wanted);
    std::fs::copy(built, wanted).map(drop).map_err(|error| format!("cannot make {}: {error}", wanted.display()).into())
}

/// A home of gems with ours in it and nothing else.
struct Installed(PathBuf);

impl Installed {
    fn ruby(&self, script: &str) -> Command {
        let mut ruby = command("ruby");
        ruby.arg(script);
        self.at_home(ruby)
    }

    fn rspec(&self) -> Command {
        self.at_home(command("rspec"))
    }

    fn at_home(&self, mut program: Command) -> Command {
        program.current_dir(root().join("bindings/ruby"));
        program.env("GEM_HOME", &self.0).env("DURABLE_STREAMS_INSTALLED", &self.0);
        program
    }
}

/// Builds the gem in a copy of what git knows, and installs it, which builds the extension.
fn install() -> Outcome<Installed> {
    let copy = peers().join("ruby/copy");
    let _ = std::fs::remove_dir_all(&copy);
    copy_known_files(&copy)?;
    gem("sources", command("gem").current_dir(copy.join("bindings/ruby")))
}

/// Builds the gem with the checkout's extension inside, installs it and looks whether it works.
fn native(folder: &Path) -> Outcome<()> {
    let installed = gem("native", command("gem").current_dir(folder).env("NATIVE", "1"))?;
    run_command(&mut installed.ruby("test/package_test.rb"))
}

/// Builds a gem and installs it into a new home.
fn gem(name: &str, build: &mut Command) -> Outcome<Installed> {
    let (gem, home) = (peers().join(format!("ruby/{name}.gem")), peers().join("ruby").join(name));
    let _ = std::fs::remove_dir_all(&home);
    run_command(build.args(["build", "durable_streams.gemspec", "--output"]).arg(&gem))?;
    let mut install = without_our_package(command("gem"));
    install.args(["install", "--local", "--no-document", "--install-dir"]).arg(&home).arg(&gem);
    install.env("CARGO_TARGET_DIR", root().join("target")).env("DURABLE_STREAMS_PROFILE", "dev");
    run_command(&mut install)?;
    Ok(Installed(home))
}

fn copy_known_files(to: &Path) -> Outcome<()> {
    let names = capture(command("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]).args(SOURCES))?;
    for name in names.lines() {
        let (from, to) = (root().join(name), to.join(name));
        let folder = to.parent().unwrap_or(&to);
        // What git knows may be deleted here.
        if from.is_file() {
            std::fs::create_dir_all(folder)
                .and_then(|()| std::fs::copy(&from, &to).map(drop))
                .map_err(|error| format!("cannot copy {name} to {}: {error}", to.display()))?;
        }
    }
    Ok(())
}

/// Everything public has its words.
fn documented(folder: &Path) -> Outcome<()> {
    let text = capture(command("yard").args(["stats", "--list-undoc", "--no-cache", "--no-save"]).current_dir(folder))?;
    if text.contains("100.00% documented") && !text.contains("[warn]") { Ok(()) } else { Err(text.into()) }
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
