//! `core/protocol` built for WebAssembly, where there is no operating system: whatever it
//! needed from one would be an import of the module, and there must be none.

use std::path::PathBuf;

use serde_json::Value;

use crate::{
    cargo::cargo,
    process::{Outcome, cannot_start, command, run},
};

const TARGET: &str = "wasm32-unknown-unknown";
/// Functions the module has at least; with fewer the linker dropped what should be checked.
const FUNCTIONS: u64 = 100;

const IMPORTS: u8 = 2;
const CODE: u8 = 10;

/// Builds the module and looks at what it asks its host for.
pub(crate) fn check() -> Outcome<()> {
    // Does nothing when the target is there.
    run(command("rustup").args(["target", "add", TARGET]))?;
    let path = build()?;
    let module = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let [imports, functions] = counts(&module).ok_or_else(|| format!("{} is no WebAssembly module", path.display()))?;
    match (imports, functions) {
        (0, FUNCTIONS..) => Ok(()),
        (0, _) => Err(format!("only {functions} functions are in the module; the check checks nothing").into()),
        _ => Err(format!("the protocol crate needs {imports} imports from its host; it must need none").into()),
    }
}

/// Builds the whole crate into one module, also what nothing calls.
fn build() -> Outcome<PathBuf> {
    let mut build = cargo();
    build.args(["rustc", "--quiet", "--message-format=json-render-diagnostics", "-p", "durable-streams-protocol"]);
    build.args(["--lib", "--crate-type", "cdylib", "--target", TARGET]);
    build.args(["--", "-C", "link-dead-code", "-C", "link-arg=--no-gc-sections"]);
    let output = build.stderr(std::process::Stdio::inherit()).output().map_err(|error| cannot_start(&build, &error))?;
    if !output.status.success() {
        return Err("durable-streams-protocol does not build for WebAssembly".into());
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| message["filenames"].as_array().cloned())
        .flatten()
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .find(|file| file.extension().is_some_and(|extension| extension == "wasm"))
        .ok_or_else(|| "cargo named no WebAssembly module".into())
}

/// Imports and functions of a module: each section is an id, a length, and content that
/// begins with the number of entries.
fn counts(module: &[u8]) -> Option<[u64; 2]> {
    let mut rest = module.strip_prefix(b"\0asm\x01\0\0\0")?;
    let [mut imports, mut functions] = [0, 0];
    while let Some((id, after)) = rest.split_first() {
        let (len, after) = number(after)?;
        let (content, after) = after.split_at_checked(usize::try_from(len).ok()?)?;
        match *id {
            IMPORTS => imports = number(content)?.0,
            CODE => functions = number(content)?.0,
            _ => {}
        }
        rest = after;
    }
    Some([imports, functions])
}

/// A LEB128 number at the start, and what follows it.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_counted() {
        // Ids 1 (types, skipped), 2 with one import, 10 with 130 functions in two bytes.
        let module = b"\0asm\x01\0\0\0\x01\x02\0\0\x02\x03\x01xx\x0a\x02\x82\x01";
        assert_eq!(counts(module), Some([1, 130]));
        assert_eq!(counts(&module[..module.len() - 1]), None);
        assert_eq!(counts(b"no module"), None);
    }
}
