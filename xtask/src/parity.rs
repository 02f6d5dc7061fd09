//! What every language offers of what the shared layer has. `bindings/surface.toml` lists
//! every public name of `bindings/shared/`; `bindings/parity/<language>.toml` says under which
//! name a language offers it, or why not; `bindings/PARITY.md` shows it all. Surface and table
//! are written by `cargo xtask parity` and compared in the tests; a name that a language
//! claims must occur in its sources.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Deserialize;

use crate::{
    process::{Outcome, root},
    tally::Tally,
};

/// The shared layer, file by file.
const SHARED: &str = "bindings/shared/src";
/// Every name of it.
const SURFACE: &str = "bindings/surface.toml";
/// What each language says of each name.
const LANGUAGES: &str = "bindings/parity";
/// What people read.
const TABLE: &str = "bindings/PARITY.md";
/// The error codes.
const CODES: &str = "core/protocol/src/error.rs";

/// What is done with surface and table.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Options {
    /// Only say whether they are up to date.
    #[arg(long)]
    check: bool,
}

impl Options {
    /// Compares, and writes nothing.
    pub(crate) const CHECK: Self = Self { check: true };
}

/// What a language says.
#[derive(Debug, Deserialize)]
struct Language {
    /// Its name, as people write it.
    name: String,
    /// Files and folders whose text must hold the names it claims.
    sources: Vec<String>,
    /// By name of the surface: its own name for it, or why there is none.
    surface: BTreeMap<String, Answer>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Answer {
    /// Offered, under this name.
    Offered(String),
    /// Not there yet, with what is missing.
    NotYet { not_yet: String },
    /// Not there, for a reason.
    NotPlanned { not_planned: String },
}

/// Writes surface and table, or compares them; and holds every language to its claims.
pub(crate) fn run(options: Options) -> Outcome<Tally> {
    let surface = surface()?;
    let languages = languages()?;
    let mut tally = Tally::default();
    for (path, text) in [(SURFACE, listing(&surface)), (TABLE, table(&surface, &languages))] {
        tally += Tally::of(path, place(&root().join(path), &text, options.check));
    }
    for (file, language) in &languages {
        let text = text_of(&language.sources)?;
        for name in &surface {
            tally += Tally::of(&format!("{file}: {name}"), claim(language, name, &text));
        }
        for name in language.surface.keys().filter(|name| !surface.contains(name)) {
            tally.failures.push(format!("{file}: {name} is no name of the surface"));
        }
    }
    Ok(tally)
}

fn claim(language: &Language, name: &str, text: &str) -> Outcome<()> {
    match language.surface.get(name) {
        None => Err("nothing is said about it".into()),
        Some(Answer::NotYet { not_yet: reason } | Answer::NotPlanned { not_planned: reason }) if reason.is_empty() => {
            Err("without a reason".into())
        }
        Some(Answer::NotYet { .. } | Answer::NotPlanned { .. }) => Ok(()),
        Some(Answer::Offered(own)) => {
            // Every part counts, arguments too: a function alone says nothing of what it takes.
            match words(own).find(|word| !has_word(text, word)) {
                _ if words(own).next().is_none() => Err("without a name".into()),
                None => Ok(()),
                Some(word) => Err(format!("{own}: {word} does not occur in {}", language.sources.join(", ")).into()),
            }
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty() && *word != "_")
}

fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(word)
        .any(|(at, _)| !is_part(text[..at].chars().next_back()) && !is_part(text[at + word.len()..].chars().next()))
}

/// Every public method, field and variant of the shared layer, and every error code.
fn surface() -> Outcome<Vec<String>> {
    let mut names = Vec::new();
    for path in files(&root().join(SHARED), "rs")? {
        let text = read(&path)?;
        // Tests come last in a file.
        let text = text.split("#[cfg(test)]").next().unwrap_or(&text);
        let module = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        // For the bindings, not for those who use them.
        if matches!(module.as_str(), "lib" | "runtime" | "call" | "cancel" | "text") {
            continue;
        }
        let mut owner = String::new();
        for line in text.lines() {
            if !line.starts_with(' ') {
                owner = owner_of(line).unwrap_or(owner);
            }
            if let Some(member) = member_of(line)
                && !owner.is_empty()
            {
                names.push(format!("{owner}.{member}"));
            }
        }
    }
    let codes = read(&root().join(CODES))?;
    for line in codes.lines() {
        if let Some((_, code)) = line.split_once("=> \"") {
            names.push(format!("ErrorCode.{}", code.trim_end_matches(['"', ','])));
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// The type whose members follow a line without indentation.
fn owner_of(line: &str) -> Option<String> {
    if line.starts_with("impl") {
        // An implementation of a trait adds nothing of its own.
        let name = line.strip_prefix("impl ").filter(|rest| !rest.contains(" for "))?;
        return Some(word(name));
    }
    for start in ["pub struct ", "pub enum ", "pub trait "] {
        if let Some(rest) = line.strip_prefix(start) {
            return Some(word(rest));
        }
    }
    let opens = line.ends_with('{') || line.ends_with("= {");
    opens.then(String::new)
}

fn member_of(line: &str) -> Option<String> {
    let line = line.strip_prefix("    ").filter(|rest| !rest.starts_with(' '))?;
    let rest = line.strip_prefix("pub ")?;
    let rest = rest.strip_prefix("const fn ").or_else(|| rest.strip_prefix("async fn ")).unwrap_or(rest);
    let rest = rest.strip_prefix("fn ").unwrap_or(rest);
    let name = word(rest);
    (!name.is_empty() && name.chars().all(|c| c.is_lowercase() || c == '_' || c.is_ascii_digit())).then_some(name)
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn listing(surface: &[String]) -> String {
    let mut text =
        "# Every public name of bindings/shared and every error code. Written by `cargo xtask parity`.\n".to_owned();
    text.push_str("names = [\n");
    for name in surface {
        let _ = writeln!(text, "    \"{name}\",");
    }
    text.push_str("]\n");
    text
}

fn table(surface: &[String], languages: &[(String, Language)]) -> String {
    let mut text =
        "# Parity\n\nWhat the shared layer has, and the name under which each language offers it. Written by\n\
                    `cargo xtask parity` from `bindings/parity/`.\n\n|"
            .to_owned();
    for title in std::iter::once("").chain(languages.iter().map(|(_, language)| language.name.as_str())) {
        let _ = write!(text, " {title} |");
    }
    text.push_str("\n|");
    text.push_str(&"---|".repeat(languages.len() + 1));
    text.push('\n');
    let mut reasons: Vec<&str> = Vec::new();
    for name in surface {
        let _ = write!(text, "| `{name}` |");
        for (_, language) in languages {
            let (word, reason) = match language.surface.get(name) {
                Some(Answer::Offered(own)) => {
                    let _ = write!(text, " `{}` |", own.replace('|', "\\|"));
                    continue;
                }
                Some(Answer::NotYet { not_yet }) => ("not yet", not_yet.as_str()),
                Some(Answer::NotPlanned { not_planned }) => ("not planned", not_planned.as_str()),
                None => ("not yet", "nothing is said about it"),
            };
            let known = reasons.iter().position(|known| *known == reason);
            let number = known.unwrap_or_else(|| {
                reasons.push(reason);
                reasons.len() - 1
            });
            let _ = write!(text, " {word} ({}) |", number + 1);
        }
        text.push('\n');
    }
    text.push('\n');
    for (number, reason) in reasons.iter().enumerate() {
        let _ = writeln!(text, "{}. {reason}", number + 1);
    }
    text
}

fn languages() -> Outcome<Vec<(String, Language)>> {
    let parse = |path: PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let language = toml::from_str(&read(&path)?).map_err(|error| format!("{name}: {error}"))?;
        Ok((name, language))
    };
    files(&root().join(LANGUAGES), "toml")?.into_iter().map(parse).collect()
}

fn text_of(sources: &[String]) -> Outcome<String> {
    let mut text = String::new();
    for source in sources {
        let path = root().join(source);
        let paths = if path.is_dir() { files(&path, "")? } else { vec![path] };
        for path in paths {
            // What is no text holds no names.
            text.push_str(&fs::read_to_string(&path).unwrap_or_default());
        }
    }
    Ok(text)
}

/// All files below a folder with this extension, or all, in order.
fn files(folder: &Path, extension: &str) -> Outcome<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "node_modules" && name != "__pycache__") {
                found.extend(files(&path, extension)?);
            }
        } else if extension.is_empty() || path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Outcome<String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()).into())
}

fn place(path: &Path, text: &str, only_check: bool) -> Outcome<()> {
    if !only_check {
        return fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()).into());
    }
    match fs::read_to_string(path) {
        Ok(written) if written == text => Ok(()),
        _ => Err("it is not up to date; run `cargo xtask parity`".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claimed_name_must_stand_as_a_word() {
        assert!(has_word("def append(self):", "append"));
        assert!(!has_word("def append_all(self):", "append"));
    }

    #[test]
    fn a_claim_stands_with_all_its_words() {
        let language = |own: &str| Language {
            name: "X".to_owned(),
            sources: Vec::new(),
            surface: BTreeMap::from([("A.b".to_owned(), Answer::Offered(own.to_owned()))]),
        };
        let text = "class Stream: def append(self, data, seq=None)";
        assert!(claim(&language("Stream.append(seq=)"), "A.b", text).is_ok());
        assert!(claim(&language("Stream.append(if_match=)"), "A.b", text).is_err());
        assert!(claim(&language("()"), "A.b", text).is_err());
    }

    #[test]
    fn members_are_found_with_their_owners() {
        assert_eq!(owner_of("impl Stream {").as_deref(), Some("Stream"));
        assert_eq!(member_of("    pub async fn create(&self) -> X {").as_deref(), Some("create"));
        assert_eq!(member_of("    pub ttl_seconds: Option<f64>,").as_deref(), Some("ttl_seconds"));
        assert_eq!(member_of("    fn private(&self) {"), None);
    }
}
