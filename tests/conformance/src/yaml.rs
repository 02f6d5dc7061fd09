//! YAML with positions: every refusal names the file and the line.

use std::{cell::RefCell, collections::BTreeSet, path::Path, sync::Arc};

use saphyr::{LoadableYamlNode, MarkedYamlOwned, ScalarOwned, YamlDataOwned};

/// A value and the line it starts at.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Counted from 1.
    pub line: usize,
    /// The value.
    pub value: Value,
}

/// A YAML value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Keys with values, in the order of the file.
    Map(Vec<(String, Node)>),
}

/// What is wrong with a case file, and where.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{file}:{line}: {what}")]
pub struct CaseError {
    /// The file.
    pub file: Arc<str>,
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

/// Reads one YAML document.
pub fn load(file: &Arc<str>, text: &str) -> Result<Node, CaseError> {
    let fail = |line, what| CaseError { file: Arc::clone(file), line, what };
    let documents =
        MarkedYamlOwned::load_from_str(text).map_err(|error| fail(error.marker().line(), error.info().to_owned()))?;
    let [document] = documents.as_slice() else {
        return Err(fail(1, format!("holds {} documents; one is wanted", documents.len())));
    };
    convert(document).map_err(|(line, what)| fail(line, what))
}

/// Reads one YAML file.
pub fn load_file(path: &Path) -> Result<(Arc<str>, Node), CaseError> {
    let file: Arc<str> = path.display().to_string().into();
    let text = std::fs::read_to_string(path).map_err(|error| CaseError {
        file: Arc::clone(&file),
        line: 1,
        what: format!("cannot be read: {error}"),
    })?;
    let node = load(&file, &text)?;
    Ok((file, node))
}

fn convert(node: &MarkedYamlOwned) -> Result<Node, (usize, String)> {
    let line = node.span.start.line();
    let value = match &node.data {
        YamlDataOwned::Value(scalar) => match scalar {
            ScalarOwned::Null => Value::Null,
            ScalarOwned::Boolean(value) => Value::Bool(*value),
            ScalarOwned::Integer(value) => Value::Int(*value),
            ScalarOwned::FloatingPoint(value) => Value::Float(value.into_inner()),
            ScalarOwned::String(text) => Value::Text(text.clone()),
        },
        YamlDataOwned::Sequence(items) => Value::List(items.iter().map(convert).collect::<Result<_, _>>()?),
        YamlDataOwned::Mapping(entries) => {
            let mut map = Vec::with_capacity(entries.len());
            for (key, value) in entries {
                let key = convert(key)?;
                let Value::Text(name) = key.value else {
                    return Err((key.line, "a key must be text".to_owned()));
                };
                // The position of a value may be the next line; the key's is what people look for.
                map.push((name, Node { line: key.line, ..convert(value)? }));
            }
            Value::Map(map)
        }
        YamlDataOwned::Representation(..)
        | YamlDataOwned::Tagged(..)
        | YamlDataOwned::Alias(_)
        | YamlDataOwned::BadValue => return Err((line, "tags and aliases are not part of the format".to_owned())),
    };
    Ok(Node { line, value })
}

impl Node {
    /// The value as compact JSON text, keys in the order of the file.
    pub fn to_json(&self) -> String {
        match &self.value {
            Value::Null => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => serde_json::Value::from(*value).to_string(),
            Value::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
            Value::List(items) => {
                let items: Vec<_> = items.iter().map(Self::to_json).collect();
                format!("[{}]", items.join(","))
            }
            Value::Map(entries) => {
                let key = |key: &str| serde_json::Value::from(key).to_string();
                let entries: Vec<_> =
                    entries.iter().map(|(name, value)| format!("{}:{}", key(name), value.to_json())).collect();
                format!("{{{}}}", entries.join(","))
            }
        }
    }

    /// The value as a JSON value.
    pub fn to_value(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Int(value) => (*value).into(),
            Value::Float(value) => (*value).into(),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Self::to_value).collect(),
            Value::Map(entries) => entries.iter().map(|(key, value)| (key.clone(), value.to_value())).collect(),
        }
    }
}

/// The keys of one map, read once each; [`Fields::finish`] refuses the others.
pub struct Fields<'n> {
    file: Arc<str>,
    line: usize,
    what: String,
    entries: &'n [(String, Node)],
    asked: RefCell<BTreeSet<String>>,
}

impl<'n> Fields<'n> {
    /// The keys of `node`, which `what` describes in messages.
    pub fn of(file: &Arc<str>, node: &'n Node, what: impl Into<String>) -> Result<Self, CaseError> {
        let what = what.into();
        let Value::Map(entries) = &node.value else {
            return Err(CaseError {
                file: Arc::clone(file),
                line: node.line,
                what: format!("{what} must be keys with values"),
            });
        };
        Ok(Self { file: Arc::clone(file), line: node.line, what, entries, asked: RefCell::default() })
    }

    /// The file these keys are in.
    pub const fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&'n Node> {
        self.asked.borrow_mut().insert(key.to_owned());
        self.entries.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// An error at a value's line, or at the start of the map.
    pub fn error(&self, at: Option<&Node>, what: impl Into<String>) -> CaseError {
        let line = at.map_or(self.line, |node| node.line);
        CaseError { file: Arc::clone(&self.file), line, what: what.into() }
    }

    /// Text, or nothing when the key is absent.
    pub fn text(&self, key: &str) -> Result<Option<String>, CaseError> {
        self.typed(key, "text", |value| match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        })
    }

    /// Text that must be there.
    pub fn required_text(&self, key: &str) -> Result<String, CaseError> {
        self.text(key)?.ok_or_else(|| self.error(None, format!("{}: `{key}` is missing", self.what)))
    }

    /// `true` or `false`.
    pub fn bool(&self, key: &str) -> Result<Option<bool>, CaseError> {
        self.typed(key, "true or false", |value| match value {
            Value::Bool(value) => Some(*value),
            _ => None,
        })
    }

    /// A whole number, not negative.
    pub fn count(&self, key: &str) -> Result<Option<u64>, CaseError> {
        self.typed(key, "a whole number from 0", |value| match value {
            Value::Int(value) => u64::try_from(*value).ok(),
            _ => None,
        })
    }

    /// A list of texts.
    pub fn texts(&self, key: &str) -> Result<Vec<String>, CaseError> {
        let texts = self.typed(key, "a list of texts", |value| match value {
            Value::List(items) => items
                .iter()
                .map(|item| match &item.value {
                    Value::Text(text) => Some(text.clone()),
                    _ => None,
                })
                .collect(),
            _ => None,
        })?;
        Ok(texts.unwrap_or_default())
    }

    /// A list.
    pub fn list(&self, key: &str) -> Result<&'n [Node], CaseError> {
        match self.get(key) {
            None => Ok(&[]),
            Some(Node { value: Value::List(items), .. }) => Ok(items),
            Some(node) => Err(self.error(Some(node), format!("`{key}` must be a list"))),
        }
    }

    /// Refuses every key that nobody asked for.
    pub fn finish(self) -> Result<(), CaseError> {
        let asked = self.asked.borrow();
        match self.entries.iter().find(|(key, _)| !asked.contains(key)) {
            None => Ok(()),
            Some((key, node)) => {
                let known: Vec<_> = asked.iter().map(String::as_str).collect();
                Err(self
                    .error(Some(node), format!("{} has no key `{key}`; its keys are {}", self.what, known.join(", "))))
            }
        }
    }

    fn typed<T>(&self, key: &str, kind: &str, read: impl Fn(&Value) -> Option<T>) -> Result<Option<T>, CaseError> {
        let Some(node) = self.get(key) else { return Ok(None) };
        match read(&node.value) {
            Some(value) => Ok(Some(value)),
            None => Err(self.error(Some(node), format!("`{key}` must be {kind}, it is {}", node.to_json()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(text: &str) -> Node {
        load(&"a.yaml".into(), text).expect("YAML")
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let node = node("id: a\nname: b\n\nnmae: c\n");
        let fields = Fields::of(&"a.yaml".into(), &node, "a suite").expect("a map");
        assert_eq!(fields.required_text("id").expect("text"), "a");
        assert_eq!(fields.required_text("name").expect("text"), "b");
        let error = fields.finish().expect_err("unknown key").to_string();
        assert!(error.starts_with("a.yaml:4: a suite has no key `nmae`"), "{error}");
    }

    #[test]
    fn a_repeated_key_is_refused() {
        assert!(load(&"a.yaml".into(), "a: 1\na: 2\n").is_err());
    }

    #[test]
    fn json_keeps_the_order_of_keys() {
        assert_eq!(node("{b: 1, a: [x, null, 2.5, {}]}").to_json(), r#"{"b":1,"a":["x",null,2.5,{}]}"#);
    }
}
