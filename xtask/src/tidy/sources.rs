//! What Rust sources may contain, and where.

use super::File;
use crate::process::Outcome;

/// Longest source file, in lines; the usual one is far shorter.
const MAX_LINES: usize = 700;
/// The same for tests, which read as lists.
const MAX_TEST_LINES: usize = 900;
/// Folders of code that ships.
const SHIPPED: [&str; 4] = ["core", "server", "cli", "examples"];
/// Where protocol strings live.
const PROTOCOL: &str = "core/protocol";
/// Where headers are named.
const HEADERS: &str = "core/protocol/src/headers.rs";
/// Strings of the protocol that are not headers: fields of the control event, values.
const FIELDS: [&str; 5] = ["streamNextOffset", "streamCursor", "upToDate", "streamClosed", "long-poll"];
/// What a pure rule never calls.
const IMPURE: [&str; 7] =
    ["SystemTime::now", "Instant::now", "Timestamp::now", "std::thread", "std::fs", "std::net", "std::env::"];

/// Finds clocks, files, sockets and threads in the protocol rules.
pub(super) fn impure_calls(files: &[File]) -> Vec<String> {
    find_in_code(files.iter().filter(|file| file.is_rust_in("core/protocol/src")), |line| {
        IMPURE.iter().find(|call| line.contains(*call)).map(|call| (*call).to_owned())
    })
}

/// Finds string literals that spell a header or a control field outside core/protocol.
/// Prose in messages may name them; tests and docs too.
pub(super) fn stray_protocol_strings(files: &[File]) -> Outcome<Vec<String>> {
    let headers = files.iter().find(|file| file.path == std::path::Path::new(HEADERS));
    let headers = headers.ok_or_else(|| format!("{HEADERS} is missing"))?;
    let mut literals: Vec<String> = FIELDS.iter().map(|field| format!("\"{field}\"").to_ascii_lowercase()).collect();
    let named =
        headers.text.lines().filter(|line| line.trim_end().ends_with("\";")).filter_map(|line| line.split_once(" = "));
    literals.extend(named.map(|(_, literal)| literal.trim_end_matches(';').to_owned()));
    let shipped = files.iter().filter(|file| SHIPPED.iter().any(|folder| file.is_rust_in(folder)));
    let outside = shipped.filter(|file| !file.path.starts_with(PROTOCOL) && !is_test(file));
    Ok(find_in_code(outside, |line| {
        let line = line.to_ascii_lowercase();
        literals.iter().find(|literal| line.contains(*literal)).cloned()
    }))
}

/// Finds files that have grown out of one purpose.
pub(super) fn long_files(files: &[File]) -> Vec<String> {
    let rust = files.iter().filter(|file| file.is_rust_in(""));
    let lengths = rust.map(|file| (file, file.text.lines().count()));
    let most = |file| if is_test(file) { MAX_TEST_LINES } else { MAX_LINES };
    lengths.filter(|(file, lines)| *lines > most(file)).map(|(file, lines)| file.at(lines, "split this file")).collect()
}

/// Finds crates whose first line is not their description.
pub(super) fn missing_crate_docs(files: &[File]) -> Vec<String> {
    let roots = files.iter().filter(|file| file.path.ends_with("src/lib.rs") || file.path.ends_with("src/main.rs"));
    roots.filter(|file| !file.text.starts_with("//! ")).map(|file| file.at(1, "say what this crate is")).collect()
}

fn is_test(file: &File) -> bool {
    file.path.iter().any(|part| part == "tests" || part == "tests.rs" || part == "benches")
}

/// Applies a rule to each line of code, comments and tests left out.
fn find_in_code<'a>(files: impl Iterator<Item = &'a File>, rule: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut findings = Vec::new();
    for file in files {
        let code = file.lines_before_tests().filter(|(_, line)| !line.trim_start().starts_with("//"));
        findings.extend(code.filter_map(|(number, line)| Some(file.at(number, &rule(line)?))));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{File, HEADERS, impure_calls, long_files, stray_protocol_strings};

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), text: text.to_owned() }
    }

    #[test]
    fn a_header_spelled_in_the_server_is_found_and_prose_is_not() {
        let headers = file(HEADERS, "STREAM_SEQ = \"stream-seq\";\n");
        let text =
            "// \"stream-seq\"\nlet a = \"Stream-Seq\";\nlet b = \"Stream-Seq is old\";\n#[cfg(test)]\n\"stream-seq\"";
        let found = stray_protocol_strings(&[headers, file("server/src/a.rs", text)]).expect("headers are there");
        assert_eq!(found, ["server/src/a.rs:2: \"stream-seq\""]);
    }

    #[test]
    fn clocks_are_found_in_the_protocol_and_allowed_elsewhere() {
        let text = "let now = Instant::now();";
        let found = impure_calls(&[file("core/protocol/src/a.rs", text), file("server/src/a.rs", text)]);
        assert_eq!(found, ["core/protocol/src/a.rs:1: Instant::now"]);
    }

    #[test]
    fn only_long_files_are_found() {
        let found = long_files(&[
            file("a.rs", &"x\n".repeat(701)),
            file("b.rs", &"x\n".repeat(700)),
            file("tests/c.rs", &"x\n".repeat(701)),
        ]);
        assert_eq!(found, ["a.rs:701: split this file"]);
    }
}
