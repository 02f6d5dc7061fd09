//! Running programs, and where things are.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What went wrong and what to do about it, in one sentence.
#[derive(Debug)]
pub(crate) struct Failure(String);

/// What commands return.
pub(crate) type Outcome<T> = Result<T, Failure>;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Failure {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// Folder of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Folder for everything installed by these commands; git ignores it.
pub(crate) fn peers() -> PathBuf {
    root().join(".peers")
}

/// Starts this program anew if Cargo has told it where the libraries are that it builds. Passed on,
/// that would make the tests of a package load the library built last, not the package's own.
#[cfg(unix)]
pub(crate) fn leave_cargos_libraries() -> Outcome<()> {
    use std::os::unix::process::CommandExt;

    const VARIABLES: [&str; 2] = ["LD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"];
    let program = std::env::current_exe().map_err(|error| format!("where is this program? {error}"))?;
    let Some(built) = program.parent() else { return Ok(()) };
    for variable in VARIABLES {
        let Some(path) = std::env::var_os(variable) else { continue };
        let (cargos, others): (Vec<_>, Vec<_>) =
            std::env::split_paths(&path).partition(|folder| folder.starts_with(built));
        if !cargos.is_empty() {
            let mut again = Command::new(&program);
            again.args(std::env::args_os().skip(1));
            // They were joined a moment ago.
            again.env(variable, std::env::join_paths(others).unwrap_or_default());
            let error = again.exec();
            return Err(cannot_start(&again, &error));
        }
    }
    Ok(())
}

/// On Windows these are part of `PATH`, where the programs themselves are found.
#[cfg(not(unix))]
pub(crate) fn leave_cargos_libraries() -> Outcome<()> {
    Ok(())
}

/// A command that runs in the workspace's folder.
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// Runs a command to its end with its output shown.
/// Errors: it could not start, or it ended with another status than 0.
pub(crate) fn run(command: &mut Command) -> Outcome<()> {
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", shown(command)).into()) }
}

/// Runs a command and returns what it wrote to standard output.
/// Errors: as for [`run`], with what it wrote to standard error.
pub(crate) fn capture(command: &mut Command) -> Outcome<String> {
    let output = command.output().map_err(|error| cannot_start(command, &error))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("{} ended with {}\n{text}{errors}", shown(command), output.status).into())
}

/// Says that a command could not be started at all.
pub(crate) fn cannot_start(command: &Command, error: &std::io::Error) -> Failure {
    format!("cannot start {}: {error}", shown(command)).into()
}

fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
