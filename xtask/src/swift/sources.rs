//! What can be told of Swift's sources and scripts without a compiler.

use std::{fs, path::Path};

use crate::process::{Outcome, capture, command, root};

/// What users import.
const MODULES: [&str; 2] = ["swift/Sources/DurableStreams", "swift/Sources/DurableStreamsTesting"];
/// Makes the library for Apple's systems, which nobody here has.
const SCRIPT: &str = "swift/Scripts/xcframework.sh";

/// Every public name has a comment. Initializers whose arguments are the fields need none.
pub(super) fn documented() -> Outcome<()> {
    let mut bare = Vec::new();
    for module in MODULES {
        let folder = root().join(module);
        let entries = fs::read_dir(&folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            let text = fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            bare.extend(undocumented(&text).into_iter().map(|line| format!("{}: {line}", path.display())));
        }
    }
    if bare.is_empty() { Ok(()) } else { Err(format!("without a comment:\n{}", bare.join("\n")).into()) }
}

fn undocumented(text: &str) -> Vec<&str> {
    let mut bare = Vec::new();
    let mut has_comment = false;
    for line in text.lines().map(str::trim) {
        let is_exempt = ["public init(", "public import "].iter().any(|start| line.starts_with(start));
        if line.starts_with("public ") && !has_comment && !is_exempt {
            bare.push(line);
        }
        // An attribute stands between a comment and what it is about.
        if !line.starts_with('@') {
            has_comment = line.starts_with("///");
        }
    }
    bare
}

/// The script's commands, printed instead of run: the steps for every target, in order.
pub(super) fn dry_run() -> Outcome<()> {
    let printed = capture(command("sh").arg(root().join(SCRIPT)).arg("--dry-run"))?;
    let mut rest = printed.as_str();
    let steps = [
        "cp Sources/durable_streamsFFI/include/durable_streamsFFI.h ",
        "cp Scripts/apple.modulemap ",
        "rustup target add aarch64-apple-darwin",
        "cargo rustc --release --target aarch64-apple-darwin",
        "--target x86_64-apple-darwin",
        "--target aarch64-apple-ios ",
        "--target aarch64-apple-ios-sim ",
        "--target x86_64-apple-ios ",
        "lipo -create",
        "lipo -create",
        "xcodebuild -create-xcframework",
    ];
    for step in steps {
        let Some((_, behind)) = rest.split_once(step) else {
            return Err(format!("{step:?} is missing, or too early, in\n{printed}").into());
        };
        rest = behind;
    }
    // Where Package.swift looks for it.
    let manifest = root().join("swift/Package.swift");
    let text = fs::read_to_string(&manifest).map_err(|error| format!("cannot read {}: {error}", manifest.display()))?;
    let made = rest.split_whitespace().last().unwrap_or_default();
    if Path::new(made).is_relative() && text.contains(&format!("path: {made:?}")) {
        Ok(())
    } else {
        Err(format!("{made:?} is not what Package.swift takes the core from").into())
    }
}

#[cfg(test)]
mod tests {
    use super::undocumented;

    #[test]
    fn attributes_stand_between_a_comment_and_its_name() {
        let text =
            "/// Said.\n@discardableResult\npublic func a() {}\n    public var b: Int\n    public init(b: Int) {}\n";
        assert_eq!(undocumented(text), ["public var b: Int"]);
    }
}
