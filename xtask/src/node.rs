//! Node, Bun and Deno: the npm packages, and what is tested on them once they are installed
//! where nothing of these sources is. Everything lives in `.peers/node`: the runtimes and
//! tools of the tests in its `node_modules`, and in `fresh/`, new for every run, the
//! packages with copies of tests, adapter and examples: runtimes look packages up from
//! where a script is.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::{
    cargo::{self, Profile, without_our_package},
    checks, conformance_client, faults,
    language::{Adapter, Language},
    process::{Outcome, command, peers, root, run as run_command},
    server::Server,
    tally::Tally,
    tools,
};

/// Folders that are copied beside the installed packages.
const COPIED: [&str; 4] = ["tests", "adapter", "examples", "bench"];
/// Checks that run in every runtime: scripts of `node/tests/portable`.
const PORTABLE: [&str; 2] = ["smoke", "faults"];

/// A program that runs JavaScript.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runtime {
    /// The machine's Node.
    Node,
    /// The oldest Node that the packages support.
    Node18,
    /// A newer one.
    Node24,
    /// Bun.
    Bun,
    /// Deno.
    Deno,
}

impl Runtime {
    const ALL: [Self; 5] = [Self::Node, Self::Node18, Self::Node24, Self::Bun, Self::Deno];

    /// A command that takes a script as its next argument.
    fn command(self) -> Command {
        let (program, arguments) = self.invocation();
        let mut command = command(program);
        command.args(arguments);
        command
    }

    fn invocation(self) -> (PathBuf, &'static [&'static str]) {
        let bin = |name: &str| tools_folder().join("node_modules").join(name);
        match self {
            Self::Node => ("node".into(), &[]),
            Self::Node18 => (bin("node18/bin/node"), &[]),
            Self::Node24 => (bin("node24/bin/node"), &[]),
            Self::Bun => (bin(".bin/bun"), &["run"]),
            Self::Deno => (bin(".bin/deno"), &["run", "--allow-all", "--node-modules-dir=manual"]),
        }
    }
}

/// Runs everything there is for Node; `alone` also runs the conformance kit, which is
/// otherwise a part of its own.
pub(crate) fn run(alone: bool) -> Outcome<Tally> {
    let folder = installed()?;
    tools::chromium()?;
    let mut tally = tests(&folder)?;
    for runtime in Runtime::ALL {
        tally += portable(&folder, runtime)?;
    }
    if alone {
        tally += conformance_client::run(&conformance_client::Options::of(Language::Node), None)?;
        for language in [Language::Node, Language::Bun, Language::Deno] {
            tally += faults::run(&faults::Options::of(language))?;
        }
    }
    Ok(tally)
}

/// How the adapter is started.
pub(crate) fn adapter(runtime: Runtime) -> Outcome<Adapter> {
    let script = installed()?.join("adapter/main.mjs");
    let (program, arguments) = runtime.invocation();
    let arguments = arguments.iter().map(Into::into).chain([script.into()]).collect();
    // A runtime needs more memory and time to start than a program does.
    Ok(Adapter { arguments, jobs: 4, ..Adapter::new(program) })
}

/// The folder with packages as the benchmark wants them.
pub(crate) fn measured() -> Outcome<PathBuf> {
    install(Profile::Release, "measured")
}

/// `node:test` over the files of `node/tests`.
fn tests(folder: &Path) -> Outcome<Tally> {
    let tests = folder.join("tests");
    let entries = std::fs::read_dir(&tests).map_err(|error| format!("cannot read {}: {error}", tests.display()))?;
    let mut files: Vec<_> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    files.retain(|name| name.ends_with(".test.mjs"));
    files.sort();
    let server = cargo::build("durable-streams-serve", "durable-streams-server", Profile::Dev)?;
    let mut node = command("node");
    node.args(["--test", "--test-reporter=./lib/reporter.mjs", "--test-concurrency=2"]).args(files);
    node.env("DS_SERVER", server).env("DS_PACKAGES", tools_folder().join("packages"));
    checks::run("node", node.current_dir(&tests), no_restart)
}

/// The checks that every runtime must pass, and the official client's own, which hold for
/// whatever has its API.
fn portable(folder: &Path, runtime: Runtime) -> Outcome<Tally> {
    let tests = folder.join("tests");
    let scripts = PORTABLE.iter().map(|name| tests.join("portable").join(format!("{name}.mjs")));
    let mut tally = Tally::default();
    for script in scripts.chain([tests.join("interop.mjs")]) {
        let data = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        let data_dir = data.path().display().to_string();
        let flags = ["--storage", "file", "--data-dir", &data_dir, "--long-poll-timeout-ms", "1000", "--test-control"];
        let mut server = Server::ours(Profile::Dev, &flags)?;
        let url = server.url();
        let name = script.file_stem().unwrap_or_default().to_string_lossy();
        let mut program = runtime.command();
        program.arg(&script).arg(url).current_dir(&tests);
        tally += checks::run(&format!("{runtime:?}: {name}"), &mut program, || server.kill_and_restart())?;
    }
    Ok(tally)
}

fn no_restart() -> Outcome<()> {
    Err("these tests start servers themselves".into())
}

fn tools_folder() -> PathBuf {
    peers().join("node")
}

/// The packages as they are now, installed with everything the tests need.
fn installed() -> Outcome<PathBuf> {
    // The parts of one run share it.
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    if let Some(folder) = FOLDER.get() {
        return Ok(folder.clone());
    }
    install_tools()?;
    // Tests take the quick build: they are the same packages, and the machine that runs all
    // tests builds a dozen of them.
    let folder = install(Profile::Dev, "fresh")?;
    Ok(FOLDER.get_or_init(|| folder).clone())
}

/// Installs runtimes and tools, once per list of them.
fn install_tools() -> Outcome<()> {
    tools::require_node()?;
    let folder = tools_folder();
    let wanted = root().join("node/tests/package.json");
    npm_install(&folder, &wanted, &["--no-package-lock"])
}

/// Runs `npm install` in a folder, unless that was done for this very manifest.
fn npm_install(folder: &Path, manifest: &Path, flags: &[&str]) -> Outcome<()> {
    let io = |error: std::io::Error| format!("cannot fill {}: {error}", folder.display());
    std::fs::create_dir_all(folder).map_err(io)?;
    let text = std::fs::read(manifest).map_err(io)?;
    let marker = folder.join("node_modules/.installed");
    if std::fs::read(&marker).is_ok_and(|installed| installed == text) {
        return Ok(());
    }
    println!("installing the packages of {} into {}", manifest.display(), folder.display());
    std::fs::write(folder.join("package.json"), &text).map_err(io)?;
    run_command(npm(folder).arg("install").args(flags))?;
    std::fs::write(marker, text).map_err(io)?;
    Ok(())
}

/// Builds, packs and installs the packages, alone in a new folder, from their tarballs.
fn install(profile: Profile, name: &str) -> Outcome<PathBuf> {
    let tarballs = pack(profile)?;
    let folder = tools_folder().join(name);
    let io = |error: std::io::Error| format!("cannot fill {}: {error}", folder.display());
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(io)?;
    std::fs::write(folder.join("package.json"), "{\"private\":true,\"type\":\"module\"}").map_err(io)?;
    run_command(npm(&folder).args(["install", "--no-package-lock"]).args(tarballs))?;
    for part in COPIED {
        copy(&root().join("node").join(part), &folder.join(part)).map_err(io)?;
    }
    std::fs::copy(root().join("tests/interop/node/client.mjs"), folder.join("tests/interop.mjs")).map_err(io)?;
    Ok(folder)
}

/// Builds addons and TypeScript and packs them; returns the tarballs.
fn pack(profile: Profile) -> Outcome<Vec<PathBuf>> {
    tools::require_node()?;
    let sources = root().join("node");
    install_locked(&sources)?;
    let script = |name: &str| {
        let mut node = without_our_package(command("node"));
        node.arg(sources.join("scripts").join(name));
        node
    };
    let mut addons = script("addons.mjs");
    // The quick build shares every dependency with the other tests of the workspace.
    addons.arg(if profile == Profile::Release { "--release" } else { "--workspace" });
    run_command(&mut addons)?;
    run_command(&mut script("build.mjs"))?;
    let folder = tools_folder().join("packages");
    let io = |error: std::io::Error| format!("cannot use {}: {error}", folder.display());
    // Only the tarballs of this build may be found afterwards.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(io)?;
    run_command(script("pack.mjs").arg(&folder))?;
    let entries = std::fs::read_dir(&folder).map_err(io)?;
    let mut tarballs: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    tarballs.retain(|path| path.extension().is_some_and(|extension| extension == "tgz"));
    tarballs.sort();
    if tarballs.is_empty() { Err(format!("no package in {}", folder.display()).into()) } else { Ok(tarballs) }
}

/// Installs what the lock file says and nothing else, once per lock file.
fn install_locked(folder: &Path) -> Outcome<()> {
    let io = |error: std::io::Error| format!("cannot use {}: {error}", folder.display());
    let lock = std::fs::read(folder.join("package-lock.json")).map_err(io)?;
    let marker = folder.join("node_modules/.installed");
    if std::fs::read(&marker).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    run_command(npm(folder).arg("ci"))?;
    std::fs::write(marker, lock).map_err(io)?;
    Ok(())
}

fn npm(folder: &Path) -> Command {
    let mut npm = command("npm");
    npm.current_dir(folder).args(["--no-audit", "--no-fund", "--loglevel=error"]);
    npm
}

/// Copies a folder without what was installed or built in it.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_dir() {
            if name != "node_modules" && name != "dist" {
                copy(&entry.path(), &to.join(name))?;
            }
        } else {
            std::fs::copy(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Runtime, copy};

    #[test]
    fn deno_looks_packages_up_where_npm_put_them() {
        let (_, arguments) = Runtime::Deno.invocation();
        assert!(arguments.contains(&"--node-modules-dir=manual"));
    }

    #[test]
    fn what_was_installed_is_not_copied() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        std::fs::create_dir_all(from.join("node_modules/x"))?;
        std::fs::create_dir_all(from.join("lib"))?;
        std::fs::write(from.join("lib/a.mjs"), "a")?;
        copy(&from, &to)?;
        assert_eq!(std::fs::read_to_string(to.join("lib/a.mjs"))?, "a");
        assert!(!to.join("node_modules").exists());
        Ok(())
    }
}
