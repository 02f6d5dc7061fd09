//! The package as others import it: the programs of the READMEs in a package that depends on
//! ours by path, built without warnings and run against a server. Each prints what the README
//! says behind it, if it says anything. And `swift/Examples`.

use std::{fs, path::Path};

use super::Swift;
use crate::{
    cargo::Profile,
    process::{Outcome, capture, root, run as run_command},
    server::Server,
    tally::Tally,
};

/// Where the programs are.
const READMES: [&str; 2] = ["swift/README.md", "README.md"];
/// Where they expect a server.
const PRINTED_SERVER: &str = "http://localhost:4437";
/// How the package calls itself, whatever its folder is called.
const PACKAGE: &str = "DurableStreams";

/// A program that goes on where an earlier run of it stopped.
const FOLLOW: &str = "follow";
/// The stream that the first README's first program leaves behind, closed, and how many messages.
const LEFT_BEHIND: (&str, usize) = ("/v1/stream/lamps", 1003);

/// A program, and what it is said to print.
#[derive(Debug, PartialEq, Eq)]
struct Example {
    program: String,
    output: Option<String>,
}

/// Builds and runs all programs.
pub(super) fn run(swift: &Swift) -> Outcome<Tally> {
    let mut examples = Vec::new();
    for readme in READMES {
        let path = root().join(readme);
        let text = fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let found = examples_of(&text);
        if found.is_empty() {
            return Err(format!("{readme} has no program").into());
        }
        examples.extend(found.into_iter().map(|example| (readme, example)));
    }
    let server = Server::ours(Profile::Dev, &["--storage", "memory"])?;
    let (outside, inside) = swift.consumer();
    // What an earlier run left behind must not make a program compile.
    let _ = fs::remove_dir_all(outside.join("Sources"));
    write(&outside.join("Package.swift"), &manifest(&swift.places().0, examples.len()))?;
    for (number, (_, example)) in examples.iter().enumerate() {
        let program = example.program.replace(PRINTED_SERVER, server.url().trim_end_matches('/'));
        write(&outside.join(format!("Sources/example-{number}/main.swift")), &program)?;
    }
    let path = root().join("swift/Examples").join(FOLLOW).join("main.swift");
    let program = fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    write(&outside.join(format!("Sources/{FOLLOW}/main.swift")), &program)?;
    let scratch = inside.join(".build");
    run_command(swift.about("build", &inside, &scratch).args(["-Xswiftc", "-warnings-as-errors"]))?;
    let mut tally = Tally::default();
    for (number, (readme, example)) in examples.iter().enumerate() {
        let name = format!("example-{number}");
        let printed = capture(&mut swift.start(scratch.join("debug").join(&name)));
        let verdict = printed.and_then(|printed| match &example.output {
            Some(output) if printed != *output => Err(format!("it printed\n{printed}instead of\n{output}").into()),
            _ => Ok(()),
        });
        tally += Tally::of(&format!("{readme}, {name}, in a package of its own"), verdict);
    }
    tally += follow(swift, &server, &scratch)?;
    Ok(tally)
}

/// The example goes on where it stopped: the second run has nothing left to print.
fn follow(swift: &Swift, server: &Server, scratch: &Path) -> Outcome<Tally> {
    const POSITION: &str = "position.json";
    let (outside, inside) = swift.consumer();
    let _ = fs::remove_file(outside.join(POSITION));
    let url = format!("{}{}", server.url().trim_end_matches('/'), LEFT_BEHIND.0);
    let mut tally = Tally::default();
    for (run, expected) in [("swift/Examples/follow", LEFT_BEHIND.1), ("swift/Examples/follow, once more", 0)] {
        let mut follow = swift.start(scratch.join("debug").join(FOLLOW));
        let printed = capture(follow.arg(&url).arg(inside.join(POSITION)));
        let verdict = printed.and_then(|printed| match printed.lines().count() {
            count if count == expected => Ok(()),
            count => Err(format!("it printed {count} lines instead of {expected}").into()),
        });
        tally += Tally::of(run, verdict);
    }
    Ok(tally)
}

/// Every ```` ```swift ````, with a ```` ```text ```` that is the next block behind it.
fn examples_of(readme: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut is_behind_one = false;
    let mut lines = readme.lines();
    while let Some(line) = lines.next() {
        if !line.starts_with("```") {
            continue;
        }
        let block: String = lines.by_ref().take_while(|line| *line != "```").flat_map(|line| [line, "\n"]).collect();
        match line {
            "```swift" => examples.push(Example { program: block, output: None }),
            "```text" if is_behind_one => {
                if let Some(example) = examples.last_mut() {
                    example.output = Some(block);
                }
            }
            _ => {}
        }
        is_behind_one = line == "```swift";
    }
    examples
}

fn manifest(package: &Path, examples: usize) -> String {
    let product = |name: &str| format!(".product(name: {name:?}, package: {PACKAGE:?})");
    let products = [product(PACKAGE), product("DurableStreamsTesting")].join(", ");
    let names = (0..examples).map(|number| format!("example-{number}")).chain([FOLLOW.to_owned()]);
    let targets: String =
        names.map(|name| format!("        .executableTarget(name: {name:?}, dependencies: [{products}]),\n")).collect();
    format!(
        "// swift-tools-version: 6.0\nimport PackageDescription\n\nlet package = Package(\n    name: \"Consumer\",\n    \
         platforms: [.macOS(.v13)],\n    dependencies: [.package(name: {PACKAGE:?}, path: {:?})],\n    targets: [\n{targets}    ]\n)\n",
        package.display()
    )
}

fn write(path: &Path, text: &str) -> Outcome<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}

#[cfg(test)]
mod tests {
    use super::examples_of;

    #[test]
    fn a_program_goes_with_the_output_right_behind_it() {
        let readme = "```swift\n1\n```\nIt prints:\n\n```text\none\n```\n\n```swift\n2\n```\n```sh\nls\n```\n```text\nof ls\n```\n";
        let found: Vec<_> = examples_of(readme).into_iter().map(|example| (example.program, example.output)).collect();
        assert_eq!(found, [("1\n".to_owned(), Some("one\n".to_owned())), ("2\n".to_owned(), None)]);
    }
}
