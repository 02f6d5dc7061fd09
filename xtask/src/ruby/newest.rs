//! A newer Ruby than the system's: Debian's, in a folder of its own, with what building an
//! extension needs; Rust is ours, and so are the crates. The gem is built, installed and tested
//! there: an extension belongs to the Ruby that it was built for.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{copy_known_files, extension};
use crate::{
    debian::Debian,
    process::{Outcome, capture, command, peers, run as run_command},
    tally::Tally,
};

/// What is wanted at least.
const NEWEST: (u32, u32) = (3, 3);
const PACKAGES: &str = "ruby,ruby-dev,gcc,libc6-dev,make,libclang-dev,ruby-minitest,ruby-rspec";
/// Where things are inside it.
const SOURCES: &str = "/durable-streams/sources";
const FOLDER: &str = "/durable-streams/sources/bindings/ruby";
const TOOLCHAIN: &str = "/durable-streams/rust";
const CARGO: &str = "/durable-streams/cargo";
const TARGET: &str = "/durable-streams/target";
const GEM: &str = "/durable-streams/durable_streams.gem";
const HOME: &str = "/durable-streams/home";

/// Builds the gem, installs it, which builds the extension, and runs its tests.
pub(super) fn run() -> Outcome<Tally> {
    let newest = Newest::found()?;
    run_command(newest.start("gem").args(["build", "durable_streams.gemspec", "--output", GEM]))?;
    // Only the gem of this run may be found afterwards.
    let _ = fs::remove_dir_all(newest.debian.outside(HOME));
    let install = ["install", "--local", "--no-document", "--install-dir", HOME, GEM];
    run_command(newest.start("gem").args(install))?;
    let mut tally = Tally::of("tests of the installed gem", run_command(newest.start("ruby").arg("test/all.rb")));
    tally += Tally::of("specs with the installed gem", run_command(&mut newest.start("rspec")));
    tally += Tally::of("signatures", run_command(newest.start("ruby").arg("test/signatures.rb")));
    Ok(tally)
}

struct Newest {
    debian: Debian,
    /// What it sees of ours.
    sources: PathBuf,
    toolchain: PathBuf,
    cargo: PathBuf,
}

impl Newest {
    /// Debian's, which is installed if need be; with the sources as they are now.
    fn found() -> Outcome<Self> {
        let debian = Debian::installed("ruby-root", PACKAGES, |debian| {
            debian.has("ruby", &["-e", "print RUBY_VERSION"], NEWEST)
        })?;
        // There is no network to get them from in there.
        run_command(&mut extension("fetch"))?;
        let sources = peers().join("ruby/newest");
        let _ = fs::remove_dir_all(&sources);
        copy_known_files(&sources)?;
        let toolchain = capture(command("rustc").args(["--print", "sysroot"]))?.trim_end().into();
        let cargo = env::var_os("CARGO_HOME").map(PathBuf::from);
        let cargo = cargo.or_else(|| Some(env::home_dir()?.join(".cargo"))).ok_or("where are cargo's crates?")?;
        Ok(Self { debian, sources, toolchain, cargo })
    }

    fn start(&self, program: &str) -> Command {
        let mounted: [(&Path, &str); 3] =
            [(&self.sources, SOURCES), (&self.toolchain, TOOLCHAIN), (&self.cargo, CARGO)];
        let variables = [
            format!("PATH={TOOLCHAIN}/bin:/usr/bin:/bin"),
            format!("CARGO_HOME={CARGO}"),
            "CARGO_NET_OFFLINE=true".to_owned(),
            format!("CARGO_TARGET_DIR={TARGET}"),
            "DURABLE_STREAMS_PROFILE=dev".to_owned(),
            format!("GEM_HOME={HOME}"),
            format!("DURABLE_STREAMS_INSTALLED={HOME}"),
        ];
        self.debian.start(&mounted, FOLDER, variables.map(OsString::from), program)
    }
}
