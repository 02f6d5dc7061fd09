//! Test cases as data: suites, tests and operations, checked when they are loaded.
//!
//! Reading order: [`actions`] for the whole vocabulary, [`Suite`] for how it is put
//! together.

pub mod actions;
pub mod fields;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use self::{
    actions::{ACTIONS, Action, By, EXPECTATIONS},
    fields::Field,
};
use crate::yaml::{CaseError, Fields, Node, Value, load, load_file};

/// One file of tests.
#[derive(Debug)]
pub struct Suite {
    /// The file.
    pub file: Arc<str>,
    /// Its name in reports.
    pub id: String,
    /// One line for people.
    pub name: String,
    /// `producer`, `consumer` or `lifecycle`.
    pub category: String,
    /// For `--tag`.
    pub tags: Vec<String>,
    /// Features all its tests need.
    pub requires: Vec<String>,
    /// Rules of protocol.md §28 that all its tests show.
    pub rules: Vec<String>,
    /// The tests.
    pub tests: Vec<Test>,
}

/// One test.
#[derive(Debug)]
pub struct Test {
    /// Where it starts.
    pub line: usize,
    /// Unique in its suite.
    pub id: String,
    /// One line for people.
    pub name: String,
    /// For `--tag`.
    pub tags: Vec<String>,
    /// Why it is skipped.
    pub skip: Option<String>,
    /// Features it needs.
    pub requires: Vec<String>,
    /// Rules of protocol.md §28 it shows.
    pub rules: Vec<String>,
    /// Hosts on which another outcome is known and right to expect, with the reason.
    pub host_faults: Vec<(String, String)>,
    /// Run first.
    pub setup: Vec<Operation>,
    /// The test itself.
    pub operations: Vec<Operation>,
    /// Run last, whatever happened; errors do not matter.
    pub cleanup: Vec<Operation>,
}

/// One step of a test.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Where it is.
    pub line: usize,
    /// What to do.
    pub action: &'static Action,
    /// With what.
    pub fields: Vec<(&'static Field, Node)>,
    /// What must come of it.
    pub expect: Vec<(&'static Field, Node)>,
}

impl Operation {
    /// A field's value.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.fields.iter().find(|(field, _)| field.name == name).map(|(_, node)| node)
    }

    /// A field's whole number.
    pub fn count(&self, name: &str) -> Option<u64> {
        match self.get(name)?.value {
            Value::Int(value) => u64::try_from(value).ok(),
            _ => None,
        }
    }

    /// A field's text as it stands.
    pub fn text(&self, name: &str) -> Option<&str> {
        match &self.get(name)?.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether a field is there and `true`.
    pub fn is_set(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Node { value: Value::Bool(true), .. }))
    }
}

/// Loads every `*.yaml` and `*.yml` below a folder, in the order of their paths.
pub fn load_suites(folder: &Path) -> Result<Vec<Suite>, CaseError> {
    let mut files = Vec::new();
    find_files(folder, &mut files).map_err(|error| CaseError {
        file: folder.display().to_string().into(),
        line: 1,
        what: format!("cannot be read: {error}"),
    })?;
    files.sort();
    files
        .iter()
        .map(|path| {
            let (file, node) = load_file(path)?;
            suite(&file, &node)
        })
        .collect()
}

/// Reads one suite from text.
pub fn parse(file: &str, text: &str) -> Result<Suite, CaseError> {
    let file = Arc::from(file);
    suite(&file, &load(&file, text)?)
}

fn find_files(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            found.push(path);
        }
    }
    Ok(())
}

fn suite(file: &Arc<str>, node: &Node) -> Result<Suite, CaseError> {
    let fields = Fields::of(file, node, "a suite")?;
    let suite = Suite {
        file: Arc::clone(file),
        id: fields.required_text("id")?,
        name: fields.required_text("name")?,
        category: fields.required_text("category")?,
        tags: fields.texts("tags")?,
        requires: fields.texts("requires")?,
        rules: rules(&fields)?,
        tests: fields.list("tests")?.iter().map(|node| test(file, node)).collect::<Result<_, _>>()?,
    };
    fields.text("description")?;
    if !["producer", "consumer", "lifecycle"].contains(&suite.category.as_str()) {
        let what = format!("category {:?} is not producer, consumer or lifecycle", suite.category);
        return Err(fields.error(fields.get("category"), what));
    }
    for (index, test) in suite.tests.iter().enumerate() {
        if suite.tests[..index].iter().any(|other| other.id == test.id) {
            let what = format!("test {:?} is there twice", test.id);
            return Err(CaseError { file: Arc::clone(file), line: test.line, what });
        }
    }
    fields.finish()?;
    Ok(suite)
}

fn test(file: &Arc<str>, node: &Node) -> Result<Test, CaseError> {
    let fields = Fields::of(file, node, "a test")?;
    let skip = match fields.get("skip") {
        None | Some(Node { value: Value::Bool(false), .. }) => None,
        Some(Node { value: Value::Bool(true), .. }) => Some("no reason is given".to_owned()),
        Some(Node { value: Value::Text(reason), .. }) => Some(reason.clone()),
        Some(node) => return Err(fields.error(Some(node), "`skip` must be true or a reason")),
    };
    let mut requires = fields.texts("requires")?;
    // The public cases write `json` here, which every client of this protocol can.
    requires.extend(fields.texts("requiredFeatures")?.into_iter().filter(|feature| feature != "json"));
    let test = Test {
        line: node.line,
        id: fields.required_text("id")?,
        name: fields.required_text("name")?,
        tags: fields.texts("tags")?,
        skip,
        requires,
        rules: rules(&fields)?,
        host_faults: host_faults(&fields)?,
        setup: operations(file, fields.list("setup")?)?,
        operations: operations(file, fields.list("operations")?)?,
        cleanup: operations(file, fields.list("cleanup")?)?,
    };
    fields.text("description")?;
    if test.operations.is_empty() {
        return Err(fields.error(None, format!("test {:?} has no operations", test.id)));
    }
    fields.finish()?;
    Ok(test)
}

/// `hostFaults: {npm: "why"}`: servers known to be wrong on this point.
fn host_faults(fields: &Fields<'_>) -> Result<Vec<(String, String)>, CaseError> {
    let Some(node) = fields.get("hostFaults") else { return Ok(Vec::new()) };
    let refuse = || fields.error(Some(node), "`hostFaults` must be names of hosts with reasons");
    let Value::Map(entries) = &node.value else { return Err(refuse()) };
    entries
        .iter()
        .map(|(host, reason)| match &reason.value {
            Value::Text(reason) => Ok((host.clone(), reason.clone())),
            _ => Err(refuse()),
        })
        .collect()
}

fn rules(fields: &Fields<'_>) -> Result<Vec<String>, CaseError> {
    let rules = fields.texts("rules")?;
    for rule in &rules {
        if !crate::rules::RULES.iter().any(|(name, _)| name == rule) {
            return Err(fields.error(fields.get("rules"), format!("{rule:?} is not a rule of protocol.md §28")));
        }
    }
    Ok(rules)
}

fn operations(file: &Arc<str>, nodes: &[Node]) -> Result<Vec<Operation>, CaseError> {
    nodes.iter().map(|node| operation(file, node)).collect()
}

fn operation(file: &Arc<str>, node: &Node) -> Result<Operation, CaseError> {
    let fields = Fields::of(file, node, "an operation")?;
    let name = fields.required_text("action")?;
    let Some(action) = ACTIONS.iter().find(|action| action.name == name) else {
        return Err(fields.error(fields.get("action"), format!("there is no action {name:?}")));
    };
    let fields = Fields::of(file, node, format!("`{name}`"))?;
    fields.get("action");
    let given = collect(&fields, action.fields)?;
    // Asking for a key makes it known, so an action without a result is not asked.
    let expect = match (action.by != By::Silent).then(|| fields.get("expect")).flatten() {
        Some(node) => {
            let fields = Fields::of(file, node, "`expect`")?;
            let expect = collect(&fields, EXPECTATIONS)?;
            fields.finish()?;
            expect
        }
        None => Vec::new(),
    };
    fields.finish()?;
    Ok(Operation { line: node.line, action, fields: given, expect })
}

fn collect(fields: &Fields<'_>, known: &'static [Field]) -> Result<Vec<(&'static Field, Node)>, CaseError> {
    let mut given = Vec::new();
    for field in known {
        match fields.get(field.name) {
            Some(node) => {
                field.kind.check(node).map_err(|why| fields.error(Some(node), format!("`{}` {why}", field.name)))?;
                given.push((field, node.clone()));
            }
            None if field.required => return Err(fields.error(None, format!("`{}` is missing", field.name))),
            None => {}
        }
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "id: a\nname: A\ncategory: consumer\ntests:\n  - id: t\n    name: T\n    operations:\n";

    fn error_of(operation: &str) -> String {
        parse("a.yaml", &format!("{HEAD}{operation}")).expect_err("is refused").to_string()
    }

    #[test]
    fn what_the_format_does_not_know_is_refused_with_its_line() {
        assert!(error_of("      - action: raed\n").starts_with("a.yaml:8: there is no action"));
        let error = error_of("      - action: head\n        path: /x\n        expext: {}\n");
        assert!(error.starts_with("a.yaml:10: `head` has no key `expext`"), "{error}");
        let error = error_of("      - action: head\n        path: /x\n        expect:\n          sttaus: 1\n");
        assert!(error.starts_with("a.yaml:11: `expect` has no key `sttaus`"), "{error}");
        let error = error_of("      - action: head\n        path: 7\n");
        assert!(error.starts_with("a.yaml:9: `path` must be text"), "{error}");
        assert!(error_of("      - action: head\n").contains("`path` is missing"));
    }

    #[test]
    fn an_expectation_where_there_is_no_result_is_refused() {
        let error = error_of("      - action: wait\n        ms: 1\n        expect: {status: 200}\n");
        assert!(error.contains("`wait` has no key `expect`"), "{error}");
    }
}
