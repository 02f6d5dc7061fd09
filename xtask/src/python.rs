//! Python: the wheel, and what is tested on it once it is installed where nothing of these
//! sources is. Environments live in `.peers/python`.

mod another;
mod free_threaded;
mod oldest;
mod packages;

use std::{
    ffi::OsString,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use crate::{
    cargo::{Profile, without_our_package},
    conformance_client, faults,
    language::{Adapter, Language},
    process::{Outcome, cannot_start, capture, command, peers, root, run as run_command},
    tally::Tally,
};

/// Oldest Python that the package supports.
const OLDEST: (u32, u32) = (3, 9);

/// Runs the tests of the installed wheel; `alone` also runs the conformance kit, which is
/// otherwise a part of its own, and the fault scenarios.
pub(crate) fn run(alone: bool) -> Outcome<Tally> {
    let python = tested()?;
    let mut tally = Tally::of("python: the wheel in a fresh environment", quick_start());
    tally += Tally::of("python: the wheel keeps to the stable ABI", audit());
    let mut tests = command(&python);
    tally += pytest(tests.args(["-m", "pytest", "--color=no", "-q"]))?;
    if alone {
        for language in [Language::Python, Language::PythonSync] {
            tally += conformance_client::run(&conformance_client::Options::of(language), None)?;
            tally += faults::run(&faults::Options::of(language))?;
        }
    }
    Ok(tally)
}

/// The same tests on the oldest Python. A command of its own: it builds the workspace once more.
pub(crate) fn oldest() -> Outcome<Tally> {
    oldest::run()
}

/// The same tests without Python's global lock. A command of its own: it builds an interpreter.
pub(crate) fn free_threaded() -> Outcome<Tally> {
    free_threaded::run()
}

/// How the adapter is started: `mode` is `--async` or `--sync`.
pub(crate) fn adapter(mode: &str) -> Outcome<Adapter> {
    let program = root().join("python/adapter");
    Ok(Adapter { arguments: vec![program.into(), mode.into()], ..Adapter::new(tested()?) })
}

/// The interpreter of an environment with the wheel as the benchmark wants it.
pub(crate) fn measured() -> Outcome<PathBuf> {
    let wheel = wheel(Profile::Release)?;
    let python = environment("bench", &root().join("python/bench/requirements.txt"))?;
    install(&python, &wheel)?;
    Ok(python)
}

/// The interpreter of an environment with the official client of the same name.
pub(crate) fn peer() -> Outcome<PathBuf> {
    environment("peer", &root().join("python/bench/requirements-peer.txt"))
}

/// The interpreter of the environment that tests and adapter run in, with the wheel as it is now.
fn tested() -> Outcome<PathBuf> {
    // The parts of one run share it.
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    if let Some(python) = PYTHON.get() {
        return Ok(python.clone());
    }
    let wheel = wheel(Profile::Dev)?;
    let python = environment("test", &root().join("python/tests/requirements.txt"))?;
    install(&python, &wheel)?;
    Ok(PYTHON.get_or_init(|| python).clone())
}

/// Builds the wheel. Tests take the quick build: it is the same package, and the machine that
/// runs all tests builds a dozen of them.
fn wheel(profile: Profile) -> Outcome<PathBuf> {
    let build_python = build_environment()?;
    let folder = peers().join("python").join(match profile {
        Profile::Dev => "wheels-dev",
        Profile::Release => "wheels",
    });
    // Only the wheel of this build may be found afterwards.
    let _ = std::fs::remove_dir_all(&folder);
    let mut build = without_our_package(command(&build_python));
    build.args(["-m", "maturin", "build", "--manifest-path"]).arg(root().join("python/Cargo.toml"));
    build.arg("--interpreter").arg(&build_python).arg("--out").arg(&folder);
    build.args(match profile {
        Profile::Dev => ["--profile", "dev"],
        Profile::Release => ["--profile", "release"],
    });
    run_command(&mut build)?;
    only_wheel(&folder)
}

/// The interpreter of the environment that builds packages and looks into them.
fn build_environment() -> Outcome<PathBuf> {
    environment("build", &root().join("python/tests/requirements-build.txt"))
}

/// The only wheel in a folder.
fn only_wheel(folder: &Path) -> Outcome<PathBuf> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let mut wheels = entries.filter_map(|entry| Some(entry.ok()?.path()));
    wheels
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| format!("no wheel in {}", folder.display()).into())
}

/// The search path with another folder in front.
fn path_with(folder: Option<&Path>) -> OsString {
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let all = folder.map(Path::to_owned).into_iter().chain(std::env::split_paths(&rest));
    std::env::join_paths(all).unwrap_or(rest)
}

/// Looks for symbols that later Pythons do not promise to have.
fn audit() -> Outcome<()> {
    let wheel = only_wheel(&peers().join("python/wheels-dev"))?;
    run_command(command(build_environment()?).args(["-m", "abi3audit", "--strict", "--verbose"]).arg(wheel))
}

/// An environment of its own with these packages, made anew when the list changes.
fn environment(name: &str, requirements: &Path) -> Outcome<PathBuf> {
    let folder = peers().join("python").join(name);
    let python = interpreter_of(&folder);
    let wanted = std::fs::read_to_string(requirements)
        .map_err(|error| format!("cannot read {}: {error}", requirements.display()))?;
    let marker = folder.join("installed.txt");
    if python.exists() && std::fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    println!("installing {} into {}", requirements.display(), folder.display());
    make_environment(&folder)?;
    run_command(pip(&python).arg("--requirement").arg(requirements))?;
    std::fs::write(&marker, wanted).map_err(|error| format!("cannot write {}: {error}", marker.display()))?;
    Ok(python)
}

fn make_environment(folder: &Path) -> Outcome<()> {
    let system = system_python()?;
    std::fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    run_command(command(system).args(["-m", "venv", "--clear"]).arg(folder))
        .map_err(|failure| format!("{failure}; on Debian install python3-venv").into())
}

fn interpreter_of(folder: &Path) -> PathBuf {
    if cfg!(windows) { folder.join("Scripts/python.exe") } else { folder.join("bin/python") }
}

fn pip(python: &Path) -> Command {
    let mut pip = command(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    pip
}

/// Puts the wheel in the place of an earlier one; nothing else may come with it.
fn install(python: &Path, wheel: &Path) -> Outcome<()> {
    run_command(pip(python).args(["--force-reinstall", "--no-index", "--no-deps"]).arg(wheel))
}

/// The system's Python, if it is new enough.
fn system_python() -> Outcome<&'static str> {
    const FIX: &str = "install Python 3.9 or newer (Debian: python3 and python3-venv)";
    const PROGRAM: &str = if cfg!(windows) { "python" } else { "python3" };
    let version = capture(command(PROGRAM).args(["-c", "import sys; print(*sys.version_info[:2])"]))
        .map_err(|_| format!("{PROGRAM} is missing; {FIX}"))?;
    let mut numbers = version.split_whitespace().filter_map(|number| number.parse::<u32>().ok());
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < OLDEST {
        return Err(format!("{PROGRAM} is {}.{}; {FIX}", found.0, found.1).into());
    }
    Ok(PROGRAM)
}

/// The README's quick start in an environment that holds the wheel and nothing else.
fn quick_start() -> Outcome<()> {
    let folder = peers().join("python/fresh");
    make_environment(&folder)?;
    let python = interpreter_of(&folder);
    let wheels = peers().join("python/wheels-dev");
    run_command(pip(&python).args(["--no-index", "--find-links"]).arg(wheels).arg("durable-streams"))?;
    run_command(command(&python).arg(root().join("python/tests/quick_start.py")))
}

/// Runs pytest, shows what it prints, and counts. A test that is skipped has not been passed.
fn pytest(pytest: &mut Command) -> Outcome<Tally> {
    pytest.current_dir(root().join("python/tests"));
    let mut child = pytest.stdout(Stdio::piped()).spawn().map_err(|error| cannot_start(pytest, &error))?;
    let mut tally = Tally::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            println!("{line}");
            count(&line, &mut tally);
        }
    }
    let status = child.wait().map_err(|error| cannot_start(pytest, &error))?;
    if tally.failures.is_empty() && (!status.success() || tally.passed == 0) {
        tally.failures.push(format!("pytest: ended with {status} after {} tests", tally.passed));
    }
    Ok(tally)
}

/// Reads one line of pytest's report.
fn count(line: &str, tally: &mut Tally) {
    if ["FAILED ", "ERROR ", "SKIPPED "].iter().any(|word| line.starts_with(word)) {
        tally.failures.push(format!("pytest: {line}"));
    } else if let (Some(totals), true) = (line.split(" passed").next(), line.contains(" passed")) {
        // `1 failed, 300 passed, 2 warnings in 40.21s`
        let passed = totals.rsplit([' ', '=']).next().and_then(|number| number.parse::<usize>().ok());
        tally.passed += passed.unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::count;
    use crate::tally::Tally;

    #[test]
    fn lines_of_pytest_are_counted() {
        let mut tally = Tally::default();
        for line in [
            "....F..s",
            "FAILED test_a.py::test_b[asyncio] - AssertionError: assert 1 == 2",
            "SKIPPED [1] test_a.py:3: no reason",
            "1 failed, 300 passed, 1 skipped, 2 warnings in 40.21s",
        ] {
            count(line, &mut tally);
        }
        assert_eq!(tally.passed, 300);
        assert_eq!(tally.failures.len(), 2);
    }
}
