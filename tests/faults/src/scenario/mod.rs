//! Scenarios as data: what a client does, which faults meet it, what must hold afterwards.

mod faults;
mod steps;
#[cfg(test)]
mod tests;

use std::{path::Path, sync::Arc, time::Duration};

use durable_streams_conformance::yaml::{self, CaseError, Fields, Node};
use serde_json::{Map, Value};

use crate::proxy::rule::{Match, Outage, Rule};

/// One story of one stream.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// `file/id`.
    pub id: String,
    /// The claim.
    pub name: String,
    /// Where it is written.
    pub place: Place,
    /// Features a client needs for it.
    pub requires: Vec<String>,
    /// Type of the stream.
    pub content_type: String,
    /// Whether the stream exists at the beginning.
    pub exists: bool,
    /// Whether the server keeps its data when it is restarted.
    pub is_durable: bool,
    /// What is done.
    pub steps: Vec<Step>,
    /// What must hold afterwards.
    pub holds: Holds,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: Arc<str>,
    /// Counted from 1.
    pub line: usize,
}

/// One step.
#[derive(Debug, Clone)]
pub struct Step {
    /// Where it is written.
    pub line: usize,
    /// Faults in force from now on.
    pub faults: Vec<Faulty>,
    /// What is done.
    pub action: Action,
    /// What comes of it.
    pub expect: Expect,
}

/// A rule and what is to be said about it.
#[derive(Debug, Clone)]
pub struct Faulty {
    /// Where it is written.
    pub line: usize,
    /// The rule.
    pub rule: Rule,
    /// Whether it meets requests to the foreign origin.
    pub is_foreign: bool,
    /// Whether the scenario proves something even when the fault never happens.
    pub may_miss: bool,
}

/// What a step does.
#[derive(Debug, Clone)]
pub enum Action {
    /// A command of the client. Messages are added by the runner.
    Client(Command),
    /// Appends past the proxy: so many messages, each in a request of its own.
    ServerAppend(Messages),
    /// Closes the stream past the proxy.
    ServerClose,
    /// Ends all connections and refuses new ones for a while.
    Outage(Outage),
    /// Waits until so many requests of a kind have come; with `true`, until they are answered.
    Until(Match, u64, bool),
    /// Forgets all faults.
    Disarm,
    /// Takes the result of the read in the background.
    Await,
}

/// A command of the adapter protocol.
#[derive(Debug, Clone)]
pub struct Command {
    /// Its name.
    pub kind: &'static str,
    /// Its fields, but for path and messages.
    pub fields: Map<String, Value>,
    /// What it writes.
    pub messages: Messages,
    /// Reads: whether the next steps happen while it runs.
    pub is_background: bool,
}

/// New messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Messages {
    /// How many.
    pub count: u64,
    /// Least length of each. Units: bytes.
    pub size: usize,
}

/// What must come of a step.
#[derive(Debug, Clone)]
pub struct Expect {
    /// Whether success is right.
    pub may_succeed: bool,
    /// Error codes that are right.
    pub codes: Vec<String>,
    /// Statuses of such an error; empty = any or none.
    pub statuses: Vec<u64>,
    /// What the server must have of the step's messages; absent = what the result promises.
    pub stored: Option<Stored>,
    /// Reads: whether everything the stream has must have been read when the read succeeds.
    pub complete: bool,
    /// Reads and heads: whether the stream must be seen as closed.
    pub closed: Option<bool>,
    /// Longest time.
    pub within: Option<Duration>,
    /// Shortest time.
    pub after: Option<Duration>,
}

/// What the server has of a step's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// Each, once.
    All,
    /// None.
    None,
    /// Each at most once.
    Some,
}

/// What must hold when all steps are done. What always must hold is in `run/judge.rs`.
#[derive(Debug, Clone, Default)]
pub struct Holds {
    /// Counts of requests at the proxy.
    pub requests: Vec<Count>,
    /// Counts of requests at the foreign origin.
    pub foreign: Vec<Count>,
    /// Whether the stream is closed.
    pub closed: Option<bool>,
    /// Whether there is no stream.
    pub gone: bool,
}

/// How many requests of a kind are right.
#[derive(Debug, Clone)]
pub struct Count {
    /// Where it is written.
    pub line: usize,
    /// The kind.
    pub of: Match,
    /// At least so many.
    pub at_least: u64,
    /// At most so many.
    pub at_most: u64,
}

/// Reads all scenarios below a folder, files in order of their names.
/// Errors: a file cannot be read, or says something that is not part of the format.
pub fn load(folder: &Path) -> Result<Vec<Scenario>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    let mut all: Vec<Scenario> = Vec::new();
    for path in files {
        let (file, node) = yaml::load_file(&path).map_err(|error| error.to_string())?;
        let suite = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        all.extend(read(&file, &suite, &node).map_err(|error| error.to_string())?);
    }
    for (index, scenario) in all.iter().enumerate() {
        if all[..index].iter().any(|other| other.id == scenario.id) {
            return Err(format!("{}:{}: there are two {}", scenario.place.file, scenario.place.line, scenario.id));
        }
    }
    Ok(all)
}

/// Reads one file.
pub fn read(file: &Arc<str>, suite: &str, node: &Node) -> Result<Vec<Scenario>, CaseError> {
    let fields = Fields::of(file, node, "a file")?;
    fields.required_text("about")?;
    let scenarios =
        fields.list("scenarios")?.iter().map(|node| scenario(file, suite, node)).collect::<Result<_, _>>()?;
    fields.finish()?;
    Ok(scenarios)
}

fn scenario(file: &Arc<str>, suite: &str, node: &Node) -> Result<Scenario, CaseError> {
    let fields = Fields::of(file, node, "a scenario")?;
    let scenario = Scenario {
        id: format!("{suite}/{}", fields.required_text("id")?),
        name: fields.required_text("name")?,
        place: Place { file: Arc::clone(file), line: node.line },
        requires: fields.texts("requires")?,
        content_type: fields.text("contentType")?.unwrap_or_else(|| "application/json".to_owned()),
        exists: fields.bool("exists")?.unwrap_or(true),
        is_durable: fields.bool("durable")?.unwrap_or(false),
        steps: fields.list("steps")?.iter().map(|node| steps::step(file, node)).collect::<Result<_, _>>()?,
        holds: match fields.get("holds") {
            Some(node) => holds(file, node)?,
            None => Holds::default(),
        },
    };
    if scenario.steps.is_empty() {
        return Err(fields.error(None, "a scenario needs steps"));
    }
    fields.finish()?;
    Ok(scenario)
}

fn holds(file: &Arc<str>, node: &Node) -> Result<Holds, CaseError> {
    let fields = Fields::of(file, node, "holds")?;
    let counts = |key| fields.list(key)?.iter().map(|node| count(file, node)).collect::<Result<Vec<_>, CaseError>>();
    let holds = Holds {
        requests: counts("requests")?,
        foreign: counts("foreign")?,
        closed: fields.bool("closed")?,
        gone: fields.bool("gone")?.unwrap_or(false),
    };
    fields.finish()?;
    Ok(holds)
}

fn count(file: &Arc<str>, node: &Node) -> Result<Count, CaseError> {
    let fields = Fields::of(file, node, "a count of requests")?;
    let exact = fields.count("count")?;
    let count = Count {
        line: node.line,
        of: faults::matched(&fields)?,
        at_least: fields.count("atLeast")?.or(exact).unwrap_or(0),
        at_most: fields.count("atMost")?.or(exact).unwrap_or(u64::MAX),
    };
    fields.finish()?;
    Ok(count)
}
