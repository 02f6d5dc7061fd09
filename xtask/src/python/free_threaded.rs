//! Python without its global lock. The interpreter is the system's if it has one. Otherwise it is
//! built, from the sources in Debian's stable release: Debian has no package of it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
};

use super::{
    another::{Another, sources},
    packages, pytest,
};
use crate::{
    process::{Outcome, capture, command, peers, run as run_command},
    tally::Tally,
    tools,
};

/// Names folders and files.
const NAME: &str = "free-threaded";
/// The program where it is installed: the first version that PyO3 supports without the lock.
const PROGRAM: &str = "python3.14t";
/// The Debian whose sources are built, and what they are called.
const SUITE: &str = "trixie";
const SOURCES: &str = "python3.13";
/// What the sources become.
const BUILT: &str = "python3.13t";
/// The last PyO3 that takes 3.13 without the lock; the package's own refuses it.
const PYO3: &str = "0.28.3";

/// Source package, wheel, and the tests on it; but not those of types and frames, for mypy and
/// polars have no release for it, nor of memory over thousands of rounds: its allocator keeps now
/// more and now less than their limit. They run with the lock off even if something they need
/// would have it back, and one of them asks whether the package alone leaves it off.
pub(super) fn run() -> Outcome<Tally> {
    let sources = sources()?;
    let program = if capture(command(PROGRAM).arg("--version")).is_ok() {
        PROGRAM.into()
    } else {
        let built = built()?;
        println!("testing on {BUILT} with PyO3 {PYO3}: there is no {PROGRAM} here");
        lower_pyo3(&sources)?;
        built
    };
    let free_threaded = Another { name: NAME, program, libraries: None, has_pip: true };
    let python = free_threaded.with_wheel_of(&sources)?;
    let mut tests = free_threaded.start(&python);
    tests.env("PYTHON_GIL", "0").args(["-m", "pytest", "--color=no", "-q"]);
    tests.args(["types", "frames", "soak"].map(|left_out| format!("--ignore=test_{left_out}.py")));
    pytest(&mut tests)
}

/// The interpreter, built if need be.
fn built() -> Outcome<PathBuf> {
    let folder = peers().join("python/free-threaded-root");
    let program = folder.join("bin").join(BUILT);
    let works =
        || capture(command(&program).args(["-c", "import ssl, ctypes, zlib, sys; assert not sys._is_gil_enabled()"]));
    if works().is_err() {
        println!("building {BUILT} into {}: this takes minutes", folder.display());
        build(&folder).map_err(|failure| {
            format!("{failure}; without {PROGRAM} on the path this needs Debian and its package manager")
        })?;
        works()?;
    }
    Ok(program)
}

/// Builds what runs the tests, without what makes it quick: that takes several times as long.
fn build(folder: &Path) -> Outcome<()> {
    tools::python_build()?;
    let _ = fs::remove_dir_all(folder);
    let fetched = packages::fetch(NAME, packages::Kind::Source, SUITE, &[SOURCES])?;
    let io = |error: std::io::Error| format!("cannot read {}: {error}", fetched.display());
    let entries = fs::read_dir(&fetched).map_err(io)?.collect::<Result<Vec<_>, _>>().map_err(io)?;
    let mut files = entries.iter().map(fs::DirEntry::path);
    let archive = files.find(|path| path.to_string_lossy().ends_with(".orig.tar.xz"));
    let archive = archive.ok_or_else(|| format!("no sources in {}", fetched.display()))?;
    let unpacked = fetched.join("unpacked");
    fs::create_dir(&unpacked).map_err(io)?;
    run_command(
        command("tar")
            .args(["--extract", "--xz", "--strip-components=1", "--file"])
            .arg(archive)
            .arg("-C")
            .arg(&unpacked),
    )?;
    let mut configure = command(unpacked.join("configure"));
    // Its warnings are none of ours.
    configure.env("CFLAGS", "-w").args(["--quiet", "--disable-gil", "--disable-test-modules", "--with-ensurepip=no"]);
    run_command(configure.arg(format!("--prefix={}", folder.display())).current_dir(&unpacked))?;
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    for argument in [format!("--jobs={jobs}"), "install".to_owned()] {
        run_command(command("make").arg("--silent").arg(argument).current_dir(&unpacked).stdout(Stdio::null()))?;
    }
    packages::forget(NAME)
}

/// Lets unpacked sources take the PyO3 that the built interpreter needs.
fn lower_pyo3(sources: &Path) -> Outcome<()> {
    const BEFORE: &str = "pyo3 = { version = \"";
    let manifest = sources.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).map_err(|error| format!("cannot read {}: {error}", manifest.display()))?;
    let (before, rest) = text.split_once(BEFORE).ok_or("the workspace does not say which PyO3 it takes")?;
    let (_, after) = rest.split_once('"').ok_or("the version of PyO3 does not end")?;
    let lowered = format!("{before}{BEFORE}{PYO3}\"{after}");
    fs::write(&manifest, lowered).map_err(|error| format!("cannot write {}: {error}", manifest.display()).into())
}
