//! Kotlin and Java: the jar with the native library in it, its tests, the examples as a project
//! of their own, and the conformance adapter. Maven builds; the native library comes from `ffi/`,
//! through `.peers/kotlin`.

use std::{
    env::consts,
    ffi::OsString,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use serde_json::Value;

use crate::{
    cargo::{Profile, cargo},
    conformance_client, generate,
    language::{Adapter, Language},
    process::{Outcome, cannot_start, capture, command, peers, root, run as run_command},
    tally::Tally,
};

/// Oldest Java that builds and tests; the jar itself runs on 11.
const OLDEST: u32 = 17;
/// Makes Java leave out the slow compiler.
const QUICK_COMPILER: &str = "-XX:TieredStopAtLevel=1";

/// Compares the generated sources, builds the jar and runs its tests, then the examples with the
/// packages as they are deployed; `alone` also runs the conformance kit, which is otherwise a
/// part of its own.
pub(crate) fn run(alone: bool) -> Outcome<Tally> {
    lay_native_library(Profile::Dev)?;
    let mut tally = generate::generate(generate::Options::CHECK)?;
    tally += tests(maven().args(["deploy", &format!("-DaltDeploymentRepository=peers::{}", repository()?)]))?;
    tally += examples()?;
    if alone {
        tally += conformance_client::run(&conformance_client::Options::of(Language::Kotlin), None)?;
    }
    Ok(tally)
}

/// How the adapter is started: the client out of its jar, in a Java of its own.
pub(crate) fn adapter() -> Outcome<Adapter> {
    // The parts of one run share it.
    static BUILT: OnceLock<()> = OnceLock::new();
    if BUILT.get().is_none() {
        lay_native_library(Profile::Dev)?;
        run_command(maven().args(["--quiet", "-DskipTests", "package"]))?;
        let _ = BUILT.set(());
    }
    Ok(Adapter { arguments: java_arguments("MainKt"), jobs: 2, ..Adapter::new("java") })
}

/// How the benchmark's class is started, with the library as it is shipped.
pub(crate) fn measured() -> Outcome<(&'static str, Vec<OsString>)> {
    lay_native_library(Profile::Release)?;
    run_command(maven().args(["--quiet", "-DskipTests", "package"]))?;
    let mut arguments = java_arguments("bench.ThroughputKt");
    arguments.retain(|argument| argument != QUICK_COMPILER);
    Ok(("java", arguments))
}

/// What Java is told to start a class of the adapter.
fn java_arguments(class: &str) -> Vec<OsString> {
    let built = root().join("bindings/kotlin/adapter/target");
    let path = std::env::join_paths([built.join("classes"), built.join("libraries/*")]).unwrap_or_default();
    // Most of a short run is start-up: the quick compiler is enough.
    let mut arguments: Vec<OsString> =
        [QUICK_COMPILER, "-Dfile.encoding=UTF-8", "-cp"].into_iter().map(OsString::from).collect();
    arguments.push(path);
    arguments.push(class.into());
    arguments
}

/// Maven on our project, with a cache of its own: what is tested comes from here and nowhere else.
fn maven() -> Command {
    let mut maven = command(if cfg!(windows) { "mvn.cmd" } else { "mvn" });
    maven.args(["--batch-mode", "--no-transfer-progress", "-Dstyle.color=never"]);
    let mut cache = OsString::from("-Dmaven.repo.local=");
    cache.push(cache_folder());
    maven.arg(cache);
    maven.current_dir(root().join("bindings/kotlin"));
    maven
}

fn cache_folder() -> PathBuf {
    peers().join("kotlin/m2")
}

/// Where the packages are deployed to, as Maven writes it; empty.
fn repository() -> Outcome<String> {
    let folder = peers().join("kotlin/repository");
    remove(&folder)?;
    Ok(format!("file://{}", folder.display()))
}

/// Builds and tests the examples, whose only knowledge of us is coordinates.
fn examples() -> Outcome<Tally> {
    // Maven never asks again for a version it has.
    remove(&cache_folder().join("com/durablestreams"))?;
    tests(maven().arg("verify").current_dir(root().join("bindings/kotlin/examples")))
}

fn remove(folder: &Path) -> Outcome<()> {
    if !folder.exists() {
        return Ok(());
    }
    std::fs::remove_dir_all(folder).map_err(|error| format!("cannot remove {}: {error}", folder.display()).into())
}

/// Builds `ffi/` and puts its library where the jar takes it from, under the name of this
/// platform that JNA looks for.
fn lay_native_library(profile: Profile) -> Outcome<()> {
    check_java()?;
    let library = native_library(profile)?;
    let folder = peers().join("kotlin/native").join(platform());
    std::fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let name = library.file_name().unwrap_or_default();
    let laid = folder.join(name);
    // Without what only a debugger reads the jar is a third of the size; every test starts with unpacking it.
    let stripped = command("strip").arg("-S").arg("-o").arg(&laid).arg(&library).status();
    if !stripped.is_ok_and(|status| status.success()) {
        std::fs::copy(&library, &laid).map_err(|error| format!("cannot write {}: {error}", laid.display()))?;
    }
    Ok(())
}

fn native_library(profile: Profile) -> Outcome<PathBuf> {
    let mut build = cargo();
    build.args(["build", "--lib", "-p", "durable-streams-ffi", "--message-format=json-render-diagnostics"]);
    match profile {
        // As `cargo xtask gen` builds it.
        Profile::Dev => build.args(["--features", "bindgen"]),
        Profile::Release => build.arg("--release"),
    };
    let output = build.stderr(Stdio::inherit()).output().map_err(|error| cannot_start(&build, &error))?;
    if !output.status.success() {
        return Err("durable-streams-ffi does not build".into());
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "durable_streams_ffi")
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .find(|file| is_dynamic_library(file))
        .ok_or_else(|| "cargo named no dynamic library of durable-streams-ffi".into())
}

fn is_dynamic_library(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == consts::DLL_EXTENSION)
}

/// This platform as JNA names it.
fn platform() -> String {
    let system = match consts::OS {
        "macos" => "darwin",
        "windows" => "win32",
        other => other,
    };
    let processor = match consts::ARCH {
        "x86_64" => "x86-64",
        other => other,
    };
    format!("{system}-{processor}")
}

/// Java and Maven are there, and Java is new enough.
fn check_java() -> Outcome<()> {
    const FIX: &str = "install JDK 17 or newer and Maven (Debian: openjdk-17-jdk-headless and maven)";
    let version = capture(command("javac").arg("-version")).map_err(|_| format!("javac is missing; {FIX}"))?;
    let number = version.trim().trim_start_matches("javac ").split('.').next().and_then(|n| n.parse::<u32>().ok());
    if number.is_none_or(|number| number < OLDEST) {
        return Err(format!("{} is too old; {FIX}", version.trim()).into());
    }
    capture(maven().arg("--version")).map_err(|_| format!("mvn is missing; {FIX}"))?;
    Ok(())
}

/// Runs Maven with tests, shows what it prints, and counts.
fn tests(maven: &mut Command) -> Outcome<Tally> {
    let mut child = maven.stdout(Stdio::piped()).spawn().map_err(|error| cannot_start(maven, &error))?;
    let mut tally = Tally::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            println!("{line}");
            count(&line, &mut tally);
        }
    }
    let status = child.wait().map_err(|error| cannot_start(maven, &error))?;
    if tally.failures.is_empty() && (!status.success() || tally.passed == 0) {
        tally.failures.push(format!("mvn: ended with {status} after {} tests", tally.passed));
    }
    Ok(tally)
}

/// Reads one line of Surefire's report. A test that is skipped has not been passed.
fn count(line: &str, tally: &mut Tally) {
    // `[INFO] Tests run: 42, Failures: 1, Errors: 0, Skipped: 0`; lines of one class also tell the time.
    let Some((_, totals)) = line.split_once("Tests run: ").filter(|_| !line.contains("Time elapsed")) else { return };
    let mut numbers = totals
        .split(|c: char| !c.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .filter_map(|part| part.parse::<usize>().ok());
    let all = numbers.next().unwrap_or(0);
    let bad: usize = numbers.sum();
    tally.passed += all.saturating_sub(bad);
    if bad > 0 {
        tally.failures.push(format!("mvn: {bad} tests failed or were skipped"));
    }
}

#[cfg(test)]
mod tests {
    use super::count;
    use crate::tally::Tally;

    #[test]
    fn lines_of_surefire_are_counted() {
        let mut tally = Tally::default();
        for line in [
            "[INFO] Tests run: 5, Failures: 0, Errors: 0, Skipped: 0, Time elapsed: 0.2 s -- in FlowTest",
            "[ERROR] Tests run: 42, Failures: 1, Errors: 2, Skipped: 1",
        ] {
            count(line, &mut tally);
        }
        assert_eq!(tally.passed, 38);
        assert_eq!(tally.failures, ["mvn: 4 tests failed or were skipped"]);
    }
}
