//! Packages of another Debian than this one, or their sources: to unpack, not to install.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    debian::mirror,
    process::{Outcome, command, peers, run as run_command},
};

/// Signs what comes from Debian.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What is wanted.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Binary,
    Source,
}

/// Fetches packages of a Debian, with lists of their own, so that the system's stay as they are.
/// Returns the folder that they are in; it is below the one that [`forget`] removes.
pub(super) fn fetch(name: &str, kind: Kind, suite: &str, packages: &[&str]) -> Outcome<PathBuf> {
    let mirror = mirror().ok_or("no place that Debian's packages come from")?;
    let work = work(name);
    let _ = fs::remove_dir_all(&work);
    let io = |error: std::io::Error| format!("cannot fill {}: {error}", work.display());
    for part in ["lists/partial", "cache/archives/partial", "packages"] {
        fs::create_dir_all(work.join(part)).map_err(io)?;
    }
    fs::write(work.join("status"), "").map_err(io)?;
    let (lists, fetch) = match kind {
        Kind::Binary => ("deb", ["download"].as_slice()),
        Kind::Source => ("deb-src", ["source", "--download-only"].as_slice()),
    };
    let source = format!("{lists} [signed-by={KEYRING}] {mirror} {suite} main\n");
    fs::write(work.join("sources.list"), source).map_err(io)?;
    apt(&work, &["update"])?;
    apt(&work, &[fetch, packages].concat())?;
    Ok(work.join("packages"))
}

/// Removes what was fetched by this name.
pub(super) fn forget(name: &str) -> Outcome<()> {
    let work = work(name);
    fs::remove_dir_all(&work).map_err(|error| format!("cannot remove {}: {error}", work.display()).into())
}

fn work(name: &str) -> PathBuf {
    peers().join(format!("python/{name}-packages"))
}

fn apt(work: &Path, arguments: &[&str]) -> Outcome<()> {
    let mut apt = command("apt-get");
    apt.current_dir(work.join("packages")).args(["-q", "-o", "APT::Sandbox::User=root"]);
    for (setting, place) in [
        ("Dir::Etc::sourcelist", "sources.list"),
        ("Dir::Etc::sourceparts", "no-more-sources"),
        ("Dir::State::lists", "lists"),
        ("Dir::State::status", "status"),
        ("Dir::Cache", "cache"),
    ] {
        apt.arg("-o").arg(format!("{setting}={}", work.join(place).display()));
    }
    run_command(apt.args(arguments))
}
