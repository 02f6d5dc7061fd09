//! The project's own rules, which neither rustc nor clippy know.

use std::path::{Path, PathBuf};

use crate::{
    parity,
    process::{Outcome, capture, command, root},
    tally::Tally,
};

mod dependencies;
mod sources;
mod words;

/// Checks every rule; one check per rule, one failure per rule that is broken.
pub(crate) fn run() -> Outcome<Tally> {
    let files = tracked_files()?;
    let mut tally = Tally::default();
    for (rule, findings) in [
        ("core/protocol depends on nothing that does I/O", dependencies::of_protocol()?),
        ("server does not depend on the client", dependencies::of_server()?),
        ("core/protocol reads no clock and opens nothing", sources::impure_calls(&files)),
        ("protocol strings are spelled in core/protocol alone", sources::stray_protocol_strings(&files)?),
        ("source files have one purpose and a readable length", sources::long_files(&files)),
        ("crates say what they are", sources::missing_crate_docs(&files)),
        ("no path of one machine and no registry's host", words::of_one_machine(&files)),
        ("every language says what it has of the shared layer", parity::run(parity::Options::CHECK)?.failures),
    ] {
        let outcome =
            if findings.is_empty() { Ok(()) } else { Err(format!("\n    {}", findings.join("\n    ")).into()) };
        tally += Tally::of(&format!("tidy: {rule}"), outcome);
    }
    Ok(tally)
}

/// A file that git tracks, or would with the next `git add`.
struct File {
    /// Relative to the workspace.
    path: PathBuf,
    text: String,
}

impl File {
    fn is_rust_in(&self, folder: &str) -> bool {
        self.path.starts_with(folder) && self.path.extension().is_some_and(|extension| extension == "rs")
    }

    /// Lines with their numbers, up to the tests at the end of the file.
    fn lines_before_tests(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines()).take_while(|(_, line)| line.trim() != "#[cfg(test)]")
    }

    fn at(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path.display())
    }
}

fn tracked_files() -> Outcome<Vec<File>> {
    let names = capture(command("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]))?;
    // Deleted and binary files have no text to check.
    let read = |path: &str| {
        let text = std::fs::read_to_string(root().join(path)).ok()?;
        Some(File { path: Path::new(path).to_owned(), text })
    };
    Ok(names.lines().filter_map(read).collect())
}
