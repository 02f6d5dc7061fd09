//! The oldest Python that the package supports. The interpreter is the system's if it has one.
//! Otherwise it is Debian's, unpacked into a folder below `.peers/` and run from there: the
//! systems this runs on have newer ones only.

use std::{fs, path::Path};

use super::{
    another::{Another, sources},
    packages, pytest,
};
use crate::{
    process::{Outcome, capture, command, peers, run as run_command},
    tally::Tally,
};

/// Names folders and files.
const NAME: &str = "oldest";
/// The program, as it is called where it is installed.
const PROGRAM: &str = "python3.9";
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

/// Source package, wheel, and the tests on it; but not those of types and frames, whose tools run
/// on newer Pythons only, nor of memory over thousands of rounds, which no version makes different.
pub(super) fn run() -> Outcome<Tally> {
    let oldest = found()?;
    let python = oldest.with_wheel_of(&sources()?)?;
    let mut tests = oldest.start(&python);
    tests.args(["-m", "pytest", "--color=no", "-q"]);
    tests.args(["types", "frames", "soak"].map(|left_out| format!("--ignore=test_{left_out}.py")));
    pytest(&mut tests)
}

/// The system's, or Debian's, which is unpacked if need be. Debian keeps the pip of its
/// environments in places of its own.
fn found() -> Outcome<Another> {
    if capture(command(PROGRAM).arg("--version")).is_ok() {
        return Ok(Another { name: NAME, program: PROGRAM.into(), libraries: None, has_pip: false });
    }
    let folder = peers().join("python/oldest-root");
    let unpacked = Another {
        name: NAME,
        program: folder.join("usr/bin").join(PROGRAM),
        libraries: Some(folder.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH))),
        has_pip: false,
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

fn unpack(folder: &Path) -> Outcome<()> {
    let _ = fs::remove_dir_all(folder);
    let fetched = packages::fetch(NAME, packages::Kind::Binary, SUITE, &PACKAGES)?;
    let io = |error: std::io::Error| format!("cannot read {}: {error}", fetched.display());
    for package in fs::read_dir(&fetched).map_err(io)? {
        run_command(command("dpkg-deb").arg("-x").arg(package.map_err(io)?.path()).arg(folder))?;
    }
    packages::forget(NAME)
}
