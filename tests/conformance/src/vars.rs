//! Variables of a test: `${name}`, `${name.property}`, `${randomUUID}`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::yaml::{self, Node};

/// The variables of one test.
#[derive(Debug, Default)]
pub struct Vars(BTreeMap<String, Value>);

impl Vars {
    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Replaces every `${...}` in a text.
    /// Errors: names a variable that is not set.
    pub fn fill(&self, text: &str) -> Result<String, String> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            filled.push_str(before);
            let Some((name, tail)) = after.split_once('}') else {
                return Err(format!("`${{` without `}}` in {text:?}"));
            };
            filled.push_str(&self.value(name)?);
            rest = tail;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// Replaces every `${...}` in all texts of a value.
    pub fn fill_node(&self, node: &Node) -> Result<Node, String> {
        let value = match &node.value {
            yaml::Value::Text(text) => yaml::Value::Text(self.fill(text)?),
            yaml::Value::List(items) => {
                yaml::Value::List(items.iter().map(|item| self.fill_node(item)).collect::<Result<_, _>>()?)
            }
            yaml::Value::Map(entries) => yaml::Value::Map(
                entries
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), self.fill_node(value)?)))
                    .collect::<Result<_, String>>()?,
            ),
            other => other.clone(),
        };
        Ok(Node { line: node.line, value })
    }

    fn value(&self, name: &str) -> Result<String, String> {
        if name == "randomUUID" {
            return Ok(uuid());
        }
        let mut parts = name.split('.');
        let first = parts.next().unwrap_or_default();
        let mut value = self.0.get(first).ok_or_else(|| format!("variable {first:?} is not set"))?;
        for part in parts {
            value = value.get(part).ok_or_else(|| format!("variable {name:?}: there is no {part:?}"))?;
        }
        Ok(match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }
}

/// A random UUID.
pub fn uuid() -> String {
    let (high, low) = (crate::entropy(), crate::entropy());
    let version = (high & !0xf000) | 0x4000;
    let variant = (low & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        version >> 32,
        (version >> 16) & 0xffff,
        version & 0xffff,
        variant >> 48,
        variant & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_their_properties_are_replaced_and_unknown_ones_refused() {
        let mut vars = Vars::default();
        vars.set("path", "/a");
        vars.set("head", serde_json::json!({"offset": "7", "streamClosed": false}));
        assert_eq!(vars.fill("${path}?${head.offset}&${head.streamClosed}").as_deref(), Ok("/a?7&false"));
        assert!(vars.fill("${nothing}").is_err());
        assert!(vars.fill("${head.nothing}").is_err());
        assert!(vars.fill("${open").is_err());
        assert_eq!(vars.fill("${randomUUID}").map(|uuid| uuid.len()), Ok(36));
    }
}
