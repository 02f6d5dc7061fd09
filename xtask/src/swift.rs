//! Swift: the package built, its tests, and its adapter. The toolchain is the system's if it is
//! new enough. Otherwise it is Debian's, in a folder of its own below `.peers/` that programs
//! are started in: no package for the systems this runs on has a Swift 6.

use std::{
    ffi::OsString,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use serde_json::Value;

mod consumer;
mod sources;

use crate::{
    cargo::{Profile, cargo},
    conformance_client,
    debian::Debian,
    language::{Adapter, Language},
    process::{Outcome, cannot_start, capture, command, peers, root, run as run_command},
    tally::Tally,
};

/// Oldest Swift that the package builds with.
const OLDEST: u32 = 6;
/// The compiler, and what it needs to link.
const DEBIAN_PACKAGES: &str = "swiftlang,libc6-dev,gcc,libstdc++-14-dev";
/// Where things are inside it.
const PACKAGE: &str = "/durable-streams/package";
const BUILD: &str = "/durable-streams/build";
const LIBRARY: &str = "/durable-streams/lib";
const CONSUMER: &str = "/durable-streams/consumer";
/// The adapter's program.
const ADAPTER: &str = "durable-streams-adapter-swift";

/// Builds and tests the package; `alone` also runs the conformance kit, which is otherwise a
/// part of its own.
pub(crate) fn run(alone: bool) -> Outcome<Tally> {
    let swift = Swift::found(Profile::Dev)?;
    let mut tally = Tally::of("swift: the package builds without warnings", swift.build());
    tally += swift.test()?;
    tally += consumer::run(&swift)?;
    tally += Tally::of("swift: every public name says what it is", sources::documented());
    tally += Tally::of("swift/Scripts/xcframework.sh --dry-run", sources::dry_run());
    if alone {
        tally += conformance_client::run(&conformance_client::Options::of(Language::Swift), None)?;
    }
    Ok(tally)
}

/// How the adapter is started.
pub(crate) fn adapter() -> Outcome<Adapter> {
    let swift = Swift::found(Profile::Dev)?;
    // The parts of one run share it.
    static BUILT: OnceLock<()> = OnceLock::new();
    if BUILT.get().is_none() {
        swift.build()?;
        BUILT.get_or_init(|| ());
    }
    let (_, scratch, _) = swift.places();
    let program = swift.start(scratch.join("debug").join(ADAPTER));
    let library_path = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let environment = if swift.debian.is_none() {
        vec![("LD_LIBRARY_PATH".into(), joined(&swift.library, &library_path))]
    } else {
        Vec::new()
    };
    let arguments = program.get_args().map(OsString::from).collect();
    Ok(Adapter { arguments, environment, ..Adapter::new(program.get_program()) })
}

/// The benchmark's program with the library as it is shipped.
pub(crate) struct Measured {
    swift: Swift,
    program: PathBuf,
}

impl Measured {
    /// Builds it.
    pub(crate) fn built() -> Outcome<Self> {
        const PROGRAM: &str = "durable-streams-bench-swift";
        let swift = Swift::found(Profile::Release)?;
        run_command(swift.swift("build").args(["--configuration", "release", "--product", PROGRAM]))?;
        let (_, scratch, _) = swift.places();
        Ok(Self { program: scratch.join("release").join(PROGRAM), swift })
    }

    /// The program with these arguments.
    pub(crate) fn start(&self, arguments: &[&str]) -> Command {
        let mut start = self.swift.start(&self.program);
        start.args(arguments);
        start
    }
}

/// A toolchain, and the native library that the package stands on.
struct Swift {
    /// What it is in; absent: the system's.
    debian: Option<Debian>,
    /// Folder of the native library.
    library: PathBuf,
}

impl Swift {
    /// The system's toolchain, or Debian's, which is installed if need be; and the library.
    fn found(profile: Profile) -> Outcome<Self> {
        let is_here = major(command("swift").arg("--version")).is_some_and(|major| major >= OLDEST);
        let debian = if is_here { None } else { Some(Debian::installed("swift-root", DEBIAN_PACKAGES, works)?) };
        Ok(Self { debian, library: library(profile)? })
    }

    /// Builds library, adapter and tests. A warning fails it.
    fn build(&self) -> Outcome<()> {
        let mut build = self.swift("build");
        build.args(["--build-tests", "-Xswiftc", "-warnings-as-errors"]);
        run_command(&mut build)
    }

    /// Runs the tests, shows what they print, and counts.
    fn test(&self) -> Outcome<Tally> {
        let mut tests = self.swift("test");
        // One at a time: some look at the memory of the process.
        tests.args(["-Xswiftc", "-warnings-as-errors", "--disable-xctest", "--no-parallel"]);
        let mut child = tests.stdout(Stdio::piped()).spawn().map_err(|error| cannot_start(&tests, &error))?;
        let mut tally = Tally::default();
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                println!("{line}");
                count(&line, &mut tally);
            }
        }
        let status = child.wait().map_err(|error| cannot_start(&tests, &error))?;
        if tally.failures.is_empty() && (!status.success() || tally.passed == 0) {
            tally.failures.push(format!("swift test: ended with {status} after {} tests", tally.passed));
        }
        Ok(tally)
    }

    /// A command of the toolchain about our package.
    fn swift(&self, verb: &str) -> Command {
        let (package, scratch, _) = self.places();
        self.about(verb, &package, &scratch)
    }

    /// A command of the toolchain about a package that needs our library.
    fn about(&self, verb: &str, package: &Path, scratch: &Path) -> Command {
        let mut swift = self.start("swift");
        swift.args([verb, "--disable-sandbox", "--package-path"]).arg(package).arg("--scratch-path").arg(scratch);
        let mut flag = OsString::from("-L");
        flag.push(self.places().2);
        swift.arg("-Xlinker").arg(flag);
        swift
    }

    /// Package, scratch folder and library folder as the toolchain sees them.
    fn places(&self) -> (PathBuf, PathBuf, PathBuf) {
        match &self.debian {
            Some(_) => (PACKAGE.into(), BUILD.into(), LIBRARY.into()),
            None => (root().join("swift"), peers().join("swift-build"), self.library.clone()),
        }
    }

    /// The folder of a package that depends on ours, as we see it and as the toolchain does.
    fn consumer(&self) -> (PathBuf, PathBuf) {
        match &self.debian {
            Some(debian) => (debian.outside(CONSUMER), CONSUMER.into()),
            None => (peers().join("swift-consumer"), peers().join("swift-consumer")),
        }
    }

    /// A program that runs where the toolchain is.
    fn start(&self, program: impl AsRef<Path>) -> Command {
        let Some(debian) = &self.debian else {
            let mut start = command(program.as_ref());
            start.env("LD_LIBRARY_PATH", &self.library);
            return start;
        };
        let mounted = [(root().join("swift"), PACKAGE), (self.library.clone(), LIBRARY)];
        let mounted = mounted.each_ref().map(|(folder, place)| (folder.as_path(), *place));
        debian.start(&mounted, "/", [format!("LD_LIBRARY_PATH={LIBRARY}").into()], program)
    }
}

fn joined(first: &Path, rest: &OsString) -> OsString {
    let mut all = first.as_os_str().to_owned();
    if !rest.is_empty() {
        all.push(":");
        all.push(rest);
    }
    all
}

/// Whether what Debian has is new enough.
fn works(debian: &Debian) -> Outcome<()> {
    match major(debian.start(&[], "/", [], "swift").arg("--version")) {
        Some(major) if major >= OLDEST => Ok(()),
        _ => Err(format!("its Swift does not start, or is older than {OLDEST}").into()),
    }
}

/// Builds the native library and returns its folder.
fn library(profile: Profile) -> Outcome<PathBuf> {
    let mut build = cargo();
    build.args(["build", "--message-format=json-render-diagnostics", "--lib"]);
    match profile {
        // As `cargo test --workspace` builds it, so that no dependency is built twice.
        Profile::Dev => build.arg("--workspace"),
        Profile::Release => build.args(["--release", "-p", "durable-streams-ffi"]),
    };
    let output = build.stderr(Stdio::inherit()).output().map_err(|error| cannot_start(&build, &error))?;
    if !output.status.success() {
        return Err("the native library does not build".into());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let file = messages
        .find(|message| message["reason"] == "compiler-artifact" && message["target"]["name"] == "durable_streams_ffi")
        .and_then(|message| message["filenames"].get(0)?.as_str().map(PathBuf::from))
        .ok_or("cargo named no library durable_streams_ffi")?;
    Ok(file.parent().unwrap_or(&file).to_owned())
}

/// The first number of a version.
fn major(version: &mut Command) -> Option<u32> {
    let text = capture(version).ok()?;
    text.split_once("Swift version ")?.1.split('.').next()?.trim().parse().ok()
}

/// Reads one line of Swift Testing's report.
fn count(line: &str, tally: &mut Tally) {
    // A mark stands in front: `✔ Test name() passed after 0.1 seconds.`
    let Some((_, test)) = line.split_once(" Test ") else { return };
    if test.starts_with("run with ") {
        return;
    }
    if test.contains(" passed after ") {
        tally.passed += 1;
    } else if test.contains(" failed after ") || test.contains(" skipped") {
        tally.failures.push(format!("swift test: {test}"));
    }
}

#[cfg(test)]
mod tests {
    use super::count;
    use crate::tally::Tally;

    #[test]
    fn lines_of_swift_testing_are_counted() {
        let mut tally = Tally::default();
        for line in [
            "◇ Test run started.",
            "◇ Test appends() started.",
            "✔ Test appends() passed after 0.012 seconds.",
            "✔ Test \"a name\" passed after 0.012 seconds.",
            "✔ Suite Reading passed after 0.031 seconds.",
            "✘ Test reads() failed after 0.004 seconds with 1 issue.",
            "➜ Test forks() skipped.",
            "✘ Test run with 4 tests failed after 0.02 seconds with 1 issue.",
        ] {
            count(line, &mut tally);
        }
        assert_eq!(tally.passed, 2);
        assert_eq!(tally.failures.len(), 2);
    }
}
