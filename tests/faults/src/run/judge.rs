//! What must hold of every scenario, as functions of what was seen.

use std::time::Duration;

use serde_json::Value;

use crate::{proxy::record::Exchange, scenario::Stored};

/// Messages of one stream, numbered from 0 in the order in which they were written.
#[derive(Debug, Clone, Default)]
pub struct Book {
    is_json: bool,
    texts: Vec<String>,
    writes: Vec<Write>,
}

/// Messages written by one step, and what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// Line of the step.
    pub line: usize,
    /// First number.
    pub first: usize,
    /// Number behind the last.
    pub end: usize,
    /// What the server must have of them.
    pub stored: Stored,
}

impl Book {
    /// An empty book of a stream of this type.
    pub fn of(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        Self { is_json: essence.eq_ignore_ascii_case("application/json"), ..Self::default() }
    }

    /// Whether the stream holds JSON.
    pub const fn is_json(&self) -> bool {
        self.is_json
    }

    /// Makes new messages, each different from all others.
    pub fn write(&mut self, count: u64, size: usize) -> std::ops::Range<usize> {
        let first = self.texts.len();
        for number in (first..).take(usize::try_from(count).unwrap_or(usize::MAX)) {
            let (before, after) = if self.is_json {
                (format!(r#"{{"n":{number},"pad":""#), r#""}"#)
            } else {
                (format!("<{number}|"), ">")
            };
            let pad = size.saturating_sub(before.len() + after.len());
            self.texts.push(format!("{before}{}{after}", "x".repeat(pad)));
        }
        first..self.texts.len()
    }

    /// A message's text.
    pub fn text(&self, number: usize) -> &str {
        self.texts.get(number).map_or("", String::as_str)
    }

    /// Notes what must have become of messages.
    pub fn note(&mut self, write: Write) {
        self.writes.push(write);
    }

    /// The numbers of the messages in what was read of a stream, piece by piece.
    /// Errors: something in it is not a whole message.
    pub fn numbers(&self, pieces: &[Vec<u8>]) -> Result<Vec<usize>, String> {
        if self.is_json { self.json_numbers(pieces) } else { self.text_numbers(&pieces.concat()) }
    }

    fn json_numbers(&self, pieces: &[Vec<u8>]) -> Result<Vec<usize>, String> {
        let mut numbers = Vec::new();
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            let Ok(Value::Array(messages)) = serde_json::from_slice::<Value>(piece) else {
                return Err(format!("this is no JSON array: {}", shown(piece)));
            };
            for message in messages {
                let number = message["n"].as_u64().and_then(|number| usize::try_from(number).ok());
                let known = number.filter(|number| {
                    serde_json::from_str::<Value>(self.text(*number)).is_ok_and(|written| written == message)
                });
                numbers.push(known.ok_or_else(|| format!("nobody wrote this message: {message}"))?);
            }
        }
        Ok(numbers)
    }

    fn text_numbers(&self, bytes: &[u8]) -> Result<Vec<usize>, String> {
        let mut numbers = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let number = rest.strip_prefix(b"<").and_then(|rest| {
                let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
            });
            let number: usize = number.ok_or_else(|| format!("no message begins here: {}", shown(rest)))?;
            let text = self.text(number);
            rest = rest
                .strip_prefix(text.as_bytes())
                .filter(|_| !text.is_empty())
                .ok_or_else(|| format!("message {number} is torn: {}", shown(rest)))?;
            numbers.push(number);
        }
        Ok(numbers)
    }

    /// Every acknowledged message exactly once and in order, refused ones not at all, others at
    /// most once.
    pub fn judge(&self, stored: &[usize]) -> Result<(), String> {
        if let Some(pair) = stored.windows(2).find(|pair| pair[0] >= pair[1]) {
            let how = if stored.iter().filter(|number| **number == pair[1]).count() > 1 { "twice" } else { "too late" };
            return Err(format!("message {} is there {how}: the server has {stored:?}", pair[1]));
        }
        for write in &self.writes {
            let there = (write.first..write.end).filter(|number| stored.binary_search(number).is_ok()).count();
            let all = write.end - write.first;
            let is_right = match write.stored {
                Stored::All => there == all,
                Stored::None => there == 0,
                Stored::Some => true,
            };
            if !is_right {
                let wanted = if write.stored == Stored::All { "all of them" } else { "none" };
                let numbers = format!("{}..{}", write.first, write.end);
                return Err(format!(
                    "of messages {numbers} of line {} the server must have {wanted}, it has {there}: {stored:?}",
                    write.line
                ));
            }
        }
        Ok(())
    }
}

/// A reader has seen what the stream has, from where it began, without gap or repeat; all of
/// it when `complete`.
pub fn read_right(seen: &[usize], stored: &[usize], complete: bool) -> Result<(), String> {
    let is_prefix = stored.starts_with(seen);
    if is_prefix && (!complete || seen.len() == stored.len()) {
        return Ok(());
    }
    let what = if is_prefix { "stopped before the end" } else { "has a gap or a repeat" };
    Err(format!("the read {what}: the server has {stored:?}, the client got {seen:?}"))
}

/// No header that the client was given by its user stands in a request to the foreign origin.
pub fn keeps_secrets(foreign: &[Exchange], secrets: &[String]) -> Result<(), String> {
    for exchange in foreign {
        let always = ["authorization", "cookie", "proxy-authorization"];
        let is_secret = |name: &String| always.contains(&name.as_str()) || secrets.contains(name);
        if let Some((name, _)) = exchange.headers.iter().find(|(name, _)| is_secret(name)) {
            return Err(format!("`{name}` went to another origin with {} {}", exchange.method, exchange.path));
        }
    }
    Ok(())
}

/// What was to be repeated later was not repeated sooner.
pub fn waits(requests: &[Exchange]) -> Result<(), String> {
    for (index, exchange) in requests.iter().enumerate() {
        let (Some(wait), Some((status, told))) = (exchange.wait, exchange.answered) else { continue };
        let repeat = requests[index + 1..].iter().find(|later| exchange.is_repeated_by(later));
        let waited = repeat.map(|repeat| repeat.at.saturating_duration_since(told));
        if let Some(waited) = waited.filter(|waited| *waited < wait) {
            let (method, path) = (&exchange.method, &exchange.path);
            return Err(format!(
                "{method} {path} was to wait {wait:?} after {status}, and came again after {waited:?}"
            ));
        }
    }
    Ok(())
}

/// A client that repeats itself without end is stopped here.
pub fn bounded(requests: &[Exchange], most: usize, took: Duration) -> Result<(), String> {
    if requests.len() <= most {
        return Ok(());
    }
    Err(format!("{} requests in {took:?}; no scenario needs more than {most}", requests.len()))
}

fn shown(bytes: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
    format!("{text:?} ({} bytes)", bytes.len())
}
