//! Kinds of fields, and the checks a value must pass when a file is loaded.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::yaml::{Node, Value};

/// One field of an action or expectation.
#[derive(Debug)]
pub struct Field {
    /// Its key.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether `${...}` is replaced in it.
    pub vars: bool,
    /// Whether it must be there.
    pub required: bool,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// Text that is standard base64.
    Base64,
    /// `true` or `false`.
    Bool,
    /// A whole number from 0.
    Count,
    /// A number.
    Number,
    /// A list of texts.
    Texts,
    /// A list of whole numbers.
    Counts,
    /// Names with text values.
    Headers,
    /// `false`, `true`, `long-poll` or `sse`.
    Live,
    /// `[{data}]`, also plain texts.
    BatchItems,
    /// `[{data, binaryData, seq}]`.
    AppendItems,
    /// Anything; whoever uses it checks it.
    Any,
}

impl Kind {
    /// Says what is wrong with a value of this kind.
    pub fn check(self, node: &Node) -> Result<(), String> {
        let is_text = |node: &Node| matches!(node.value, Value::Text(_));
        let is_count = |node: &Node| matches!(node.value, Value::Int(0..));
        let all = |test: &dyn Fn(&Node) -> bool| matches!(&node.value, Value::List(items) if items.iter().all(test));
        let (fits, wanted) = match self {
            Self::Text => (is_text(node), "text"),
            Self::Base64 => (is_base64(node), "text in standard base64"),
            Self::Bool => (matches!(node.value, Value::Bool(_)), "true or false"),
            Self::Count => (is_count(node), "a whole number from 0"),
            Self::Number => (is_count(node) || matches!(node.value, Value::Float(_)), "a number"),
            Self::Texts => (all(&is_text), "a list of texts"),
            Self::Counts => (all(&is_count), "a list of whole numbers from 0"),
            Self::Headers => (has_only(node, |_, value| is_text(value)), "names with text values"),
            Self::Live => (is_live(node), "false, true, long-poll or sse"),
            Self::BatchItems => (
                all(&|item| is_text(item) || has_only(item, |key, value| key == "data" && is_text(value))),
                "a list of {data}",
            ),
            Self::AppendItems => (
                all(&|item| {
                    has_only(item, |key, value| match key {
                        "data" => is_text(value),
                        "binaryData" => is_base64(value),
                        "seq" => is_count(value),
                        _ => false,
                    })
                }),
                "a list of {data, binaryData, seq}",
            ),
            Self::Any => (true, ""),
        };
        if fits { Ok(()) } else { Err(format!("must be {wanted}, it is {}", node.to_json())) }
    }
}

fn has_only(node: &Node, test: impl Fn(&str, &Node) -> bool) -> bool {
    matches!(&node.value, Value::Map(entries) if entries.iter().all(|(key, value)| test(key, value)))
}

fn is_base64(node: &Node) -> bool {
    matches!(&node.value, Value::Text(text) if STANDARD.decode(text).is_ok())
}

fn is_live(node: &Node) -> bool {
    match &node.value {
        Value::Bool(_) => true,
        Value::Text(text) => text == "long-poll" || text == "sse",
        _ => false,
    }
}
