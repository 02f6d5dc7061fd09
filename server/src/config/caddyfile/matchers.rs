//! Request matchers of a Caddyfile.

use std::collections::BTreeMap;

use http::{HeaderName, Method};

use super::{ADVICE, lexer::Word};
use crate::http::matcher::{Matcher, Pattern};

/// Matchers by name.
#[derive(Debug, Default)]
pub(super) struct Named(BTreeMap<String, Matcher>);

impl Named {
    /// Defines a matcher.
    pub(super) fn add(&mut self, name: &str, matcher: Matcher) {
        self.0.insert(name.to_owned(), matcher);
    }
}

impl Named {
    /// These names, and those of the block around.
    pub(super) fn within(&self, outer: &Self) -> Self {
        let mut all = outer.0.clone();
        all.extend(self.0.clone());
        Self(all)
    }
}

/// A matcher as a directive gives it: a path, or the name of one.
#[derive(Debug)]
pub(super) enum Reference {
    /// `/path*`.
    Path(String),
    /// `@name`.
    Name(String),
}

impl Reference {
    /// The prefix of streams that a path such as `/v1/stream/*` stands for.
    pub(super) fn prefix(&self) -> Option<String> {
        match self {
            Self::Path(path) if path != "*" => Some(crate::server::normalised_prefix(path.trim_end_matches('*'))),
            Self::Path(_) | Self::Name(_) => None,
        }
    }

    /// The matcher meant.
    pub(super) fn resolve(self, named: &Named) -> Result<Matcher, String> {
        match self {
            Self::Path(path) => Ok(Matcher::Path(vec![Pattern::path(&path)])),
            Self::Name(name) => {
                named.0.get(&name).cloned().ok_or_else(|| format!("there is no matcher @{name} in this block"))
            }
        }
    }
}

/// Splits a directive's words into its matcher, if the first is one, and the rest.
pub(super) fn split(words: &[Word]) -> (Option<Reference>, Vec<Word>) {
    let reference = words.first().filter(|word| !word.is_quoted).and_then(|word| {
        if let Some(name) = word.text.strip_prefix('@') {
            Some(Reference::Name(name.to_owned()))
        } else if word.text.starts_with('/') || word.text == "*" {
            Some(Reference::Path(word.text.clone()))
        } else {
            None
        }
    });
    let skipped = usize::from(reference.is_some());
    (reference, words[skipped..].to_vec())
}

/// Reads one matcher: its type and what it compares with.
pub(super) fn one(words: &[Word]) -> Result<Matcher, String> {
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    match texts.as_slice() {
        ["path", paths @ ..] if !paths.is_empty() => Ok(Matcher::Path(paths_of(paths))),
        ["method", methods @ ..] if !methods.is_empty() => methods
            .iter()
            .map(|method| Method::from_bytes(method.to_ascii_uppercase().as_bytes()))
            .collect::<Result<_, _>>()
            .map(Matcher::Method)
            .map_err(|_| format!("{:?} names no HTTP method", methods.join(" "))),
        ["header", name] if name.starts_with('!') => Ok(Matcher::NoHeader(header(&name[1..])?)),
        ["header", name] => Ok(Matcher::Header { name: header(name)?, values: Vec::new() }),
        // Caddy: `*` alone is any value, the header must be there.
        ["header", name, "*"] => Ok(Matcher::Header { name: header(name)?, values: Vec::new() }),
        ["header", name, value] => {
            Ok(Matcher::Header { name: header(name)?, values: vec![Pattern::exact_case(value)] })
        }
        ["not", ..] if texts.len() > 1 => Ok(Matcher::Not(vec![one(&words[1..])?])),
        [path] if path.starts_with('/') => Ok(Matcher::Path(paths_of(&[path]))),
        [] => Err("the matcher is empty".to_owned()),
        [kind, ..] => Err(format!(
            "the matcher {kind:?} is not supported here; path, method, header <name> <value> and not are; {ADVICE}"
        )),
    }
}

/// Joins `header` lines of one name, of which any may hold, as Caddy does.
pub(super) fn merged(all: Vec<Matcher>) -> Vec<Matcher> {
    let mut merged: Vec<Matcher> = Vec::new();
    for matcher in all {
        if let Matcher::Header { name, values } = &matcher
            && !values.is_empty()
            && let Some(Matcher::Header { values: earlier, .. }) = merged.iter_mut().find(
                |earlier| matches!(earlier, Matcher::Header { name: known, values } if known == name && !values.is_empty()),
            )
        {
            earlier.extend(values.iter().cloned());
            continue;
        }
        merged.push(matcher);
    }
    merged
}

fn paths_of(paths: &[&str]) -> Vec<Pattern> {
    paths.iter().map(|path| Pattern::path(path)).collect()
}

fn header(name: &str) -> Result<HeaderName, String> {
    name.parse().map_err(|_| format!("{name:?} is not a header name"))
}
