//! The oldest Python that the package supports, and the wheel for it, which is built as a user
//! without a wheel would: from the source package. The interpreter is the system's if it has
//! one. Otherwise it is Debian's, unpacked into a folder below `.peers/` and run from there: the
//! systems this runs on have newer ones only.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{build_environment, only_wheel, path_with, pytest};
use crate::{
    cargo::without_our_package,
    debian,
    process::{Outcome, capture, command, peers, root, run as run_command},
    tally::Tally,
};

/// The program, as it is called where it is installed.
const PROGRAM: &str = "python3.9";
/// The module for all later Pythons is the default, and needs 3.10.
const OPTIONS: &str = "--profile dev --no-default-features";
/// The Debian that has it.
const SUITE: &str = "bullseye";
/// The interpreter with the libraries that newer systems lack, and what pip needs of it.
const PACKAGES: [&str; 7] = [
    "libffi7",
    "libpython3.9-minimal",
    "libpython3.9-stdlib",
    "libssl1.1",
    "python3-distutils",
    "python3.9",
    "python3.9-minimal",
];
/// Signs what comes from Debian.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Source package, wheel, and the tests on it; but not those of types and frames, whose tools run
/// on newer Pythons only, nor of memory over thousands of rounds, which no version makes different.
pub(super) fn run() -> Outcome<Tally> {
    let oldest = Oldest::found()?;
    let python = oldest.environment()?;
    oldest.install(&python, &oldest.wheel(&python, &sources()?)?)?;
    let mut tests = oldest.start(&python);
    tests.args(["-m", "pytest", "--color=no", "-q"]);
    tests.args(["types", "frames", "soak"].map(|left_out| format!("--ignore=test_{left_out}.py")));
    pytest(&mut tests)
}

/// The source package, unpacked.
fn sources() -> Outcome<PathBuf> {
    let (packed, unpacked) = (peers().join("python/sdist"), peers().join("python/sources"));
    for folder in [&packed, &unpacked] {
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    }
    let mut sdist = without_our_package(command(build_environment()?));
    sdist.args(["-m", "maturin", "sdist", "--manifest-path"]).arg(root().join("python/Cargo.toml"));
    run_command(sdist.arg("--out").arg(&packed))?;
    let package = only(&packed)?;
    // All files in it have the same old date; with today's no artefact of an earlier one counts.
    run_command(
        command("tar").args(["--extract", "--gzip", "--touch", "--file"]).arg(package).arg("-C").arg(&unpacked),
    )?;
    only(&unpacked)
}

/// The only entry of a folder.
fn only(folder: &Path) -> Outcome<PathBuf> {
    let entries = fs::read_dir(folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let mut entries = entries.filter_map(|entry| Some(entry.ok()?.path()));
    entries.next().ok_or_else(|| format!("{} is empty", folder.display()).into())
}

struct Oldest {
    program: PathBuf,
    /// Libraries that this system has not, if the interpreter is Debian's.
    libraries: Option<PathBuf>,
}

impl Oldest {
    /// The system's, or Debian's, which is unpacked if need be.
    fn found() -> Outcome<Self> {
        if capture(command(PROGRAM).arg("--version")).is_ok() {
            return Ok(Self { program: PROGRAM.into(), libraries: None });
        }
        let folder = peers().join("python/oldest-root");
        let unpacked = Self {
            program: folder.join("usr/bin").join(PROGRAM),
            libraries: Some(folder.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH))),
        };
        let works = || capture(unpacked.start(&unpacked.program).args(["-c", "import ssl, ctypes, distutils.cmd"]));
        if works().is_err() {
            println!("unpacking {PROGRAM} into {}", folder.display());
            unpack(&folder).map_err(|failure| {
                format!("{failure}; without {PROGRAM} on the path this needs Debian and its package manager")
            })?;
            works()?;
        }
        Ok(unpacked)
    }

    /// A Python program of it, or of an environment of it.
    fn start(&self, python: &Path) -> Command {
        let mut start = command(python);
        if let Some(libraries) = &self.libraries {
            start.env("LD_LIBRARY_PATH", libraries);
        }
        start
    }

    /// An environment with what building and testing need, made anew when the list changes.
    fn environment(&self) -> Outcome<PathBuf> {
        let requirements = root().join("python/tests/requirements-oldest.txt");
        let folder = peers().join("python/oldest");
        let python = folder.join("bin/python");
        let wanted = fs::read_to_string(&requirements)
            .map_err(|error| format!("cannot read {}: {error}", requirements.display()))?;
        let marker = folder.join("installed.txt");
        if capture(self.start(&python).arg("--version")).is_ok()
            && fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted)
        {
            return Ok(python);
        }
        // Debian keeps the pip of its environments in places of its own.
        run_command(self.start(&self.program).args(["-m", "venv", "--clear", "--without-pip"]).arg(&folder))?;
        run_command(self.pip(&python)?.args(["install", "--requirement"]).arg(&requirements))?;
        fs::write(&marker, wanted).map_err(|error| format!("cannot write {}: {error}", marker.display()))?;
        Ok(python)
    }

    /// pip of the environment that builds, at work for this one.
    fn pip(&self, python: &Path) -> Outcome<Command> {
        let mut pip = self.start(&build_environment()?);
        pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check", "--python"]).arg(python);
        Ok(pip)
    }

    /// Builds the wheel from sources in another place than these.
    fn wheel(&self, python: &Path, sources: &Path) -> Outcome<PathBuf> {
        let folder = peers().join("python/wheels-oldest");
        let _ = fs::remove_dir_all(&folder);
        let mut build = without_our_package(self.pip(python)?);
        build
            .args(["wheel", "--no-cache-dir", "--no-build-isolation", "--no-deps", "--wheel-dir"])
            .arg(&folder)
            .arg(sources);
        build.env("CARGO_TARGET_DIR", root().join("target")).env("MATURIN_PEP517_ARGS", OPTIONS);
        run_command(build.env("PATH", path_with(python.parent())))?;
        only_wheel(&folder)
    }

    fn install(&self, python: &Path, wheel: &Path) -> Outcome<()> {
        run_command(self.pip(python)?.args(["install", "--force-reinstall", "--no-index", "--no-deps"]).arg(wheel))
    }
}

/// Unpacks Debian's packages, with lists of its own, so that the system's stay as they are.
fn unpack(folder: &Path) -> Outcome<()> {
    let mirror = debian::mirror().ok_or("no place that Debian's packages come from")?;
    let work = peers().join("python/oldest-packages");
    let _ = fs::remove_dir_all(&work);
    let _ = fs::remove_dir_all(folder);
    let io = |error: std::io::Error| format!("cannot fill {}: {error}", work.display());
    for part in ["lists/partial", "cache/archives/partial", "packages"] {
        fs::create_dir_all(work.join(part)).map_err(io)?;
    }
    fs::write(work.join("status"), "").map_err(io)?;
    fs::write(work.join("sources.list"), format!("deb [signed-by={KEYRING}] {mirror} {SUITE} main\n")).map_err(io)?;
    let apt = |arguments: &[&str]| {
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
    };
    apt(&["update"])?;
    apt(&[&["download"], &PACKAGES[..]].concat())?;
    for package in fs::read_dir(work.join("packages")).map_err(io)? {
        run_command(command("dpkg-deb").arg("-x").arg(package.map_err(io)?.path()).arg(folder))?;
    }
    fs::remove_dir_all(&work).map_err(|error| io(error).into())
}
