//! The package on another interpreter than the system's: the wheel is built as a user without
//! one would build it, from the source package, and tested in an environment of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{build_environment, only_wheel, path_with};
use crate::{
    cargo::without_our_package,
    process::{Outcome, capture, command, peers, root, run as run_command},
};

/// No module for several versions at once, and the quick build.
const OPTIONS: &str = "--profile dev --no-default-features";

/// An interpreter that is not the system's.
pub(super) struct Another {
    /// Names its folders, and its list of what testing needs.
    pub(super) name: &'static str,
    pub(super) program: PathBuf,
    /// Libraries that this system has not.
    pub(super) libraries: Option<PathBuf>,
    /// Its environments come with a pip that works.
    pub(super) has_pip: bool,
}

impl Another {
    /// A Python program of it, or of an environment of it.
    pub(super) fn start(&self, python: &Path) -> Command {
        let mut start = command(python);
        if let Some(libraries) = &self.libraries {
            start.env("LD_LIBRARY_PATH", libraries);
        }
        start
    }

    /// The interpreter of an environment with what the tests need, and the wheel of these sources.
    pub(super) fn with_wheel_of(&self, sources: &Path) -> Outcome<PathBuf> {
        let python = self.environment()?;
        let wheel = self.wheel(&python, sources)?;
        run_command(self.pip(&python)?.args(["install", "--force-reinstall", "--no-index", "--no-deps"]).arg(wheel))?;
        Ok(python)
    }

    /// An environment with what building and testing need, made anew when the list changes.
    fn environment(&self) -> Outcome<PathBuf> {
        let requirements = root().join(format!("python/tests/requirements-{}.txt", self.name));
        let folder = peers().join("python").join(self.name);
        let python = folder.join("bin/python");
        let wanted = fs::read_to_string(&requirements)
            .map_err(|error| format!("cannot read {}: {error}", requirements.display()))?;
        let marker = folder.join("installed.txt");
        if capture(self.start(&python).arg("--version")).is_ok()
            && fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted)
        {
            return Ok(python);
        }
        let mut make = self.start(&self.program);
        make.args(["-m", "venv", "--clear"]);
        if !self.has_pip {
            make.arg("--without-pip");
        }
        run_command(make.arg(&folder))?;
        run_command(self.pip(&python)?.args(["install", "--requirement"]).arg(&requirements))?;
        fs::write(&marker, wanted).map_err(|error| format!("cannot write {}: {error}", marker.display()))?;
        Ok(python)
    }

    /// pip for an environment: its own, or that of the environment that builds.
    fn pip(&self, python: &Path) -> Outcome<Command> {
        let mut pip = if self.has_pip { self.start(python) } else { self.start(&build_environment()?) };
        pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check"]);
        if !self.has_pip {
            pip.arg("--python").arg(python);
        }
        Ok(pip)
    }

    /// Builds the wheel from sources in another place than these.
    fn wheel(&self, python: &Path, sources: &Path) -> Outcome<PathBuf> {
        let folder = peers().join(format!("python/wheels-{}", self.name));
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
}

/// The source package, unpacked.
pub(super) fn sources() -> Outcome<PathBuf> {
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
