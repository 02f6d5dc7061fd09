//! Programs that are not ours: found, or installed into `.peers/`.

use std::path::PathBuf;

use crate::{
    cargo,
    process::{Outcome, capture, command, peers, root, run},
};

/// The official Rust server, a black box to test and measure against.
const PEER_CRATE: (&str, &str) = ("durable-streams", "0.1.5");
/// Oldest Node that the public suite's test runner accepts.
const NODE_MAJOR: u32 = 20;

/// Installs the public npm packages, and returns the folder that holds them beside a
/// copy of our own scripts: Node looks packages up from where a script is.
pub(crate) fn npm_packages() -> Outcome<PathBuf> {
    require_node()?;
    let (source, target) = (root().join("tests/interop/node"), peers().join("npm"));
    let io = |error: std::io::Error| format!("cannot fill {}: {error}", target.display());
    std::fs::create_dir_all(&target).map_err(io)?;
    let installed = std::fs::read(target.join("package.json")).ok();
    let wanted = std::fs::read(source.join("package.json")).map_err(io)?;
    for entry in std::fs::read_dir(&source).map_err(io)? {
        let entry = entry.map_err(io)?;
        std::fs::copy(entry.path(), target.join(entry.file_name())).map_err(io)?;
    }
    let marker = target.join("node_modules/.installed");
    if installed.as_ref() == Some(&wanted) && marker.exists() {
        return Ok(target);
    }
    println!("installing the official npm packages into {}", target.display());
    let mut npm = command("npm");
    npm.args(["install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]);
    run(npm.current_dir(&target))?;
    std::fs::write(marker, "").map_err(io)?;
    Ok(target)
}

/// Returns the official Rust server's program, building it on first use.
pub(crate) fn peer_server() -> Outcome<PathBuf> {
    let folder = peers().join("cargo");
    let program = folder.join("bin").join(format!("durable-streams-server{}", std::env::consts::EXE_SUFFIX));
    if !program.exists() {
        println!("installing the official Rust server into {}", folder.display());
        cargo::install(PEER_CRATE.0, PEER_CRATE.1, &folder)?;
    }
    Ok(program)
}

/// Makes sure the load generator `wrk` is there.
pub(crate) fn wrk() -> Outcome<()> {
    let found = || command("wrk").arg("--version").output().is_ok();
    if found() {
        return Ok(());
    }
    install_with_apt("wrk");
    if found() { Ok(()) } else { Err("wrk is missing; install it with your system's package manager".into()) }
}

/// Makes sure there is a browser without a screen.
pub(crate) fn chromium() -> Outcome<()> {
    let found = || command("chromium").arg("--version").output().is_ok();
    if found() {
        return Ok(());
    }
    install_with_apt("chromium");
    if found() { Ok(()) } else { Err("chromium is missing; install it with your system's package manager".into()) }
}

/// Makes sure the program that installs a Debian into a folder is there.
pub(crate) fn debootstrap() -> Outcome<()> {
    let found = || command("debootstrap").arg("--version").output().is_ok();
    if found() {
        return Ok(());
    }
    install_with_apt("debootstrap");
    if found() { Ok(()) } else { Err("debootstrap is missing; install it with your system's package manager".into()) }
}

/// Makes sure Ruby is there with what an extension needs to be built (its headers, and libclang,
/// which reads them) and with what its tests need.
pub(crate) fn ruby() -> Outcome<()> {
    const HEADER: &str = "exit File.exist?(File.join(RbConfig::CONFIG['rubyhdrdir'], 'ruby.h'))";
    let headers = || capture(command("ruby").args(["-rrbconfig", "-e", HEADER])).is_ok();
    // Not `libclang*`: LLVM's own packages bring `libclang-cpp`, which reads no headers for others.
    const LIBCLANG: &str =
        "ls /usr/lib/llvm-*/lib/libclang.so* /usr/lib/llvm-*/lib/libclang-[0-9]*.so* 2>/dev/null | grep -q .";
    let libclang = || capture(command("sh").args(["-c", LIBCLANG])).is_ok();
    let tests =
        || capture(command("ruby").args(["-rminitest", "-rrspec/core", "-rrbs", "-ryard", "-e", "exit"])).is_ok();
    let found = || headers() && libclang() && tests();
    for package in ["ruby", "ruby-dev", "libclang-dev", "ruby-minitest", "ruby-rspec", "ruby-rbs", "yard"] {
        if found() {
            break;
        }
        install_with_apt(package);
    }
    if found() {
        Ok(())
    } else {
        Err("Ruby is missing; install Ruby 3.0 or newer with its headers, libclang, Minitest, RSpec, RBS and YARD"
            .into())
    }
}

/// Makes sure Elixir is there, with Mix and ExUnit.
pub(crate) fn elixir() -> Outcome<()> {
    let found = || command("mix").arg("--version").output().is_ok_and(|output| output.status.success());
    if found() {
        return Ok(());
    }
    install_with_apt("elixir");
    if found() { Ok(()) } else { Err("Elixir is missing; install Elixir 1.14 or newer with Mix".into()) }
}

/// Makes sure there is what building Python needs, and of the libraries it uses those that pip needs.
pub(crate) fn python_build() -> Outcome<()> {
    const HEADERS: &str = "for header in openssl/ssl.h zlib.h ffi.h; do echo \"#include <$header>\"; done";
    let headers =
        || capture(command("sh").args(["-c", &format!("set -e; ({HEADERS}) | cc -E -o /dev/null -")])).is_ok();
    let make = || capture(command("make").arg("--version")).is_ok();
    let found = || make() && headers();
    for package in ["gcc", "libc6-dev", "make", "xz-utils", "libssl-dev", "zlib1g-dev", "libffi-dev"] {
        if found() {
            break;
        }
        install_with_apt(package);
    }
    if found() {
        Ok(())
    } else {
        Err("Python cannot be built; install make, a C compiler, and the headers of OpenSSL, zlib and libffi".into())
    }
}

/// Best effort: without apt, or without the right to use it, the caller's check says what to do.
/// Another installation under way is waited for.
fn install_with_apt(package: &str) {
    println!("installing {package}");
    let apt =
        |arguments: &[&str]| run(command("apt-get").args(["-q", "-o", "DPkg::Lock::Timeout=600"]).args(arguments));
    let install = || apt(&["install", "-y", "--no-install-recommends", package]);
    let _ = install().or_else(|_| apt(&["update"])).and_then(|()| install());
}

/// Makes sure Node and npm are there and new enough.
pub(crate) fn require_node() -> Outcome<()> {
    const FIX: &str = "install Node.js 20 or newer with npm";
    let version = capture(command("node").arg("--version")).map_err(|_| format!("node is missing; {FIX}"))?;
    let major = version.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < NODE_MAJOR) {
        return Err(format!("node is {}; {FIX}", version.trim()).into());
    }
    capture(command("npm").arg("--version")).map(drop).map_err(|_| format!("npm is missing; {FIX}").into())
}
