//! What the wire does to requests besides passing them on: canned answers, changed
//! answers, lost answers, silence, and the faults of adapter-protocol §10.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::yaml::{Node, Value};

/// One rule: which requests it meets and what it does to them.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Exact path below the server's URL.
    pub path: String,
    /// Only this method.
    pub method: Option<String>,
    /// Only requests with these parameters; `None` means absent.
    pub query: Vec<(String, Option<String>)>,
    /// Only requests with these headers; `None` means absent.
    pub headers: Vec<(String, Option<String>)>,
    /// Requests let through first.
    pub skip: u64,
    /// Requests met after that.
    pub count: u64,
    /// Chance of each.
    pub probability: f64,
    /// Wait first.
    pub delay: Duration,
    /// Then wait until the client has been answered so many requests to this path that came
    /// after this rule.
    pub until_answered: u64,
    /// How many requests there were before this rule.
    pub since: usize,
    /// What then happens.
    pub effect: Effect,
}

/// What a rule does.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Nothing more than the delay.
    Pass,
    /// Answers instead of the server.
    Answer(Answer),
    /// Changes the server's answer.
    Edit(Edit),
    /// Lets the server answer, and cuts the connection without telling the client.
    Lose,
    /// Never answers.
    Hold,
    /// Cuts the connection before the server hears of it.
    Drop,
}

/// A canned answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, piece by piece.
    pub pieces: Vec<Piece>,
}

/// A piece of a canned body.
#[derive(Debug, Clone)]
pub enum Piece {
    /// Bytes that travel on their own.
    Data(Bytes),
    /// Nothing for a while.
    Pause(Duration),
    /// Cuts the connection.
    Cut,
    /// Nothing any more.
    Hold,
}

/// A change of a server's answer.
#[derive(Debug, Clone, Default)]
pub struct Edit {
    /// Another status.
    pub status: Option<u16>,
    /// Headers to set.
    pub set: HeaderMap,
    /// Headers to remove.
    pub remove: Vec<HeaderName>,
    /// Texts to replace in each piece of the body.
    pub replace: Vec<(String, String)>,
    /// Keep so many bytes of the body.
    pub truncate: Option<usize>,
    /// Spoil the body.
    pub corrupt: bool,
    /// Goes in front of an SSE body.
    pub prelude: Option<Bytes>,
}

impl Rule {
    /// A rule that meets the next request to a path.
    pub fn on(path: impl Into<String>, effect: Effect) -> Self {
        Self {
            path: path.into(),
            method: None,
            query: Vec::new(),
            headers: Vec::new(),
            skip: 0,
            count: 1,
            probability: 1.0,
            delay: Duration::ZERO,
            until_answered: 0,
            since: 0,
            effect,
        }
    }
}

/// Reads `answer: {status, headers, body | pieces}`.
pub fn answer(node: &Node) -> Result<Answer, String> {
    let mut answer = Answer { status: 200, headers: HeaderMap::new(), pieces: Vec::new() };
    for (key, value) in entries(node)? {
        match (key.as_str(), &value.value) {
            ("status", Value::Int(status)) => answer.status = status_of(*status)?,
            ("headers", _) => answer.headers = headers(value)?,
            ("body", Value::Text(text)) => answer.pieces.push(Piece::Data(Bytes::from(text.clone()))),
            ("pieces", Value::List(items)) => {
                answer.pieces = items.iter().map(piece).collect::<Result<_, _>>()?;
            }
            _ => return Err(unknown("answer", key, value)),
        }
    }
    Ok(answer)
}

/// Reads `edit: {status, setHeaders, removeHeaders, replace, truncate}`.
pub fn edit(node: &Node) -> Result<Edit, String> {
    let mut edit = Edit::default();
    for (key, value) in entries(node)? {
        match (key.as_str(), &value.value) {
            ("status", Value::Int(status)) => edit.status = Some(status_of(*status)?),
            ("setHeaders", _) => edit.set = headers(value)?,
            ("removeHeaders", Value::List(items)) => {
                for item in items {
                    let Value::Text(name) = &item.value else { return Err(unknown("edit", key, value)) };
                    edit.remove.push(name.parse().map_err(|_| format!("{name:?} is not a header name"))?);
                }
            }
            ("replace", Value::Map(pairs)) => {
                for (from, to) in pairs {
                    let Value::Text(to) = &to.value else { return Err(unknown("edit", key, value)) };
                    edit.replace.push((from.clone(), to.clone()));
                }
            }
            ("truncate", Value::Int(len)) => {
                edit.truncate = Some(usize::try_from(*len).map_err(|_| "`truncate` must not be negative".to_owned())?);
            }
            _ => return Err(unknown("edit", key, value)),
        }
    }
    Ok(edit)
}

/// Reads `{name: value}` where `null` means absent.
pub fn pairs(node: &Node) -> Result<Vec<(String, Option<String>)>, String> {
    entries(node)?
        .iter()
        .map(|(key, value)| match &value.value {
            Value::Text(text) => Ok((key.clone(), Some(text.clone()))),
            Value::Null => Ok((key.clone(), None)),
            _ => Err(unknown("query", key, value)),
        })
        .collect()
}

fn piece(node: &Node) -> Result<Piece, String> {
    match &node.value {
        Value::Text(text) => Ok(Piece::Data(Bytes::from(text.clone()))),
        Value::Map(entries) => match entries.as_slice() {
            [(key, value)] => match (key.as_str(), &value.value) {
                ("base64", Value::Text(text)) => STANDARD
                    .decode(text)
                    .map(|bytes| Piece::Data(bytes.into()))
                    .map_err(|error| format!("`base64`: {error}")),
                ("pauseMs", Value::Int(ms)) => {
                    Ok(Piece::Pause(Duration::from_millis(u64::try_from(*ms).unwrap_or_default())))
                }
                ("cut", Value::Bool(true)) => Ok(Piece::Cut),
                ("hold", Value::Bool(true)) => Ok(Piece::Hold),
                _ => Err(unknown("a piece", key, value)),
            },
            _ => Err(format!("a piece has one key, not {}", node.to_json())),
        },
        _ => Err(format!("a piece is text or one of base64, pauseMs, cut, hold; not {}", node.to_json())),
    }
}

fn headers(node: &Node) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    for (name, value) in entries(node)? {
        let Value::Text(text) = &value.value else { return Err(unknown("headers", name, value)) };
        let name: HeaderName = name.parse().map_err(|_| format!("{name:?} is not a header name"))?;
        let text = HeaderValue::from_str(text).map_err(|_| format!("{text:?} is not a header value"))?;
        map.insert(name, text);
    }
    Ok(map)
}

fn entries(node: &Node) -> Result<&[(String, Node)], String> {
    match &node.value {
        Value::Map(entries) => Ok(entries),
        _ => Err(format!("must be keys with values, it is {}", node.to_json())),
    }
}

fn status_of(status: i64) -> Result<u16, String> {
    u16::try_from(status)
        .ok()
        .filter(|status| (200..600).contains(status))
        .ok_or_else(|| format!("{status} is not a final HTTP status"))
}

fn unknown(what: &str, key: &str, value: &Node) -> String {
    format!("{what} has no `{key}` like {}", value.to_json())
}
