//! One test's surroundings, and what each action does to them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value, json};

use super::{check, requests};
use crate::{
    adapter::{Adapter, AdapterCommand, AdapterError},
    case::{Operation, actions},
    lenient::Lenience,
    vars::{Vars, uuid},
    wire::{
        Wire,
        rules::{self, Edit, Effect, Rule},
    },
    yaml::{self, Node},
};

/// Compares the two sides of an assertion.
type Test = fn(&str, &str) -> Result<bool, String>;

/// How long past its own limit a read may take.
const READ_GRACE: Duration = Duration::from_secs(25);

/// The client, the wire, and what one test remembers.
pub struct World<'w> {
    pub(super) adapter: &'w mut Adapter,
    pub(super) wire: &'w Wire,
    pub(super) how: &'w AdapterCommand,
    /// Whether the server has the fault endpoint.
    pub(super) server_injects: bool,
    /// What is accepted beyond a public case's words.
    pub(super) lenience: Option<&'static Lenience>,
    vars: Vars,
    marks: BTreeMap<String, usize>,
    background: Option<Background>,
}

struct Background {
    name: String,
    /// How many read at once, if that was asked for.
    readers: Option<u64>,
    since: Instant,
    /// When it must have answered.
    timeout: Duration,
}

/// Why a step failed.
#[derive(Debug)]
pub enum StepError {
    /// The client or the case is wrong.
    Wrong(String),
    /// The adapter can no longer be used.
    Adapter(AdapterError),
}

impl From<String> for StepError {
    fn from(why: String) -> Self {
        Self::Wrong(why)
    }
}

impl From<AdapterError> for StepError {
    fn from(error: AdapterError) -> Self {
        Self::Adapter(error)
    }
}

impl<'w> World<'w> {
    /// A world without memory.
    pub fn new(adapter: &'w mut Adapter, wire: &'w Wire, how: &'w AdapterCommand, server_injects: bool) -> Self {
        Self {
            adapter,
            wire,
            how,
            server_injects,
            lenience: None,
            vars: Vars::default(),
            marks: BTreeMap::new(),
            background: None,
        }
    }

    /// Performs one operation and checks what came of it.
    pub async fn perform(&mut self, operation: &Operation) -> Result<(), StepError> {
        if operation.action.by == actions::By::Silent {
            return self.silent(operation).await;
        }
        let started = Instant::now();
        let result = match (operation.action.by, operation.action.name) {
            (actions::By::Adapter, "append-batch") => self.append_batch(operation).await?,
            (actions::By::Adapter, "read") if operation.is_set("background") => {
                return self.start_background(operation).await;
            }
            (actions::By::Adapter, _) => {
                let command = self.command(operation)?;
                self.ask(&command).await?
            }
            (_, "await") => return self.finish_background(operation).await,
            _ => self.server(operation).await?,
        };
        if self.lenience.is_some_and(|lenience| lenience.accepts(operation.action.name, &result)) {
            return Ok(());
        }
        self.judge(operation, operation.count("readers"), &result, started.elapsed())
    }

    /// Checks a result, and remembers what is asked for; of many readers each one's.
    fn judge(
        &mut self,
        operation: &Operation,
        readers: Option<u64>,
        result: &Value,
        took: Duration,
    ) -> Result<(), StepError> {
        let results = match (readers, result["results"].as_array()) {
            (Some(readers), Some(results)) if results.len() as u64 == readers => results.as_slice(),
            (Some(_), Some(results)) => return Err(StepError::Wrong(format!("only {} readers", results.len()))),
            _ => std::slice::from_ref(result),
        };
        for (index, one) in results.iter().enumerate() {
            check::check(&operation.expect, one, took, &self.vars).map_err(|why| match readers {
                Some(readers) => format!("reader {} of {readers}: {why}", index + 1),
                None => why,
            })?;
            check::capture(&operation.expect, one, &mut self.vars)?;
        }
        Ok(())
    }

    /// Brings the adapter back to order after a failed test: a read may still be running.
    pub async fn settle(&mut self) -> Result<(), AdapterError> {
        if let Some(background) = self.background.take() {
            self.adapter.answer("read", background.timeout).await?;
        }
        Ok(())
    }

    /// How long a command may take: a read by its own limit, and some.
    fn timeout_of(&self, command: &Value) -> Duration {
        let own = command["timeoutMs"].as_u64().map(|ms| Duration::from_millis(ms) + READ_GRACE);
        own.unwrap_or_default().max(self.how.timeout)
    }

    async fn ask(&mut self, command: &Value) -> Result<Value, StepError> {
        if self.background.is_some() {
            return Err(StepError::Wrong("the adapter is busy with a background read; await it first".to_owned()));
        }
        let mut command = command.clone();
        if let Some(mutant) = self.wire.mutant() {
            mutant.command(&mut command);
        }
        let mut result = self.adapter.command(&command, self.timeout_of(&command)).await?;
        if let Some(mutant) = self.wire.mutant() {
            mutant.result(&mut result);
        }
        Ok(result)
    }

    async fn start_background(&mut self, operation: &Operation) -> Result<(), StepError> {
        let name = operation.text("as").ok_or_else(|| "a background read needs `as`".to_owned())?;
        let command = self.command(operation)?;
        if self.background.is_some() {
            return Err(StepError::Wrong("only one background read at a time".to_owned()));
        }
        self.adapter.send(&command).await?;
        let timeout = self.timeout_of(&command);
        let readers = operation.count("readers");
        self.background = Some(Background { name: name.to_owned(), readers, since: Instant::now(), timeout });
        Ok(())
    }

    async fn finish_background(&mut self, operation: &Operation) -> Result<(), StepError> {
        let name = operation.text("ref").unwrap_or_default();
        let background = self.background.take().filter(|background| background.name == name);
        let background = background.ok_or_else(|| format!("there is no background read {name:?}"))?;
        let mut result = self.adapter.answer("read", background.timeout).await?;
        if let Some(mutant) = self.wire.mutant() {
            mutant.result(&mut result);
        }
        self.judge(operation, background.readers, &result, background.since.elapsed())
    }

    async fn append_batch(&mut self, operation: &Operation) -> Result<Value, StepError> {
        let path = self.text(operation, "path")?.unwrap_or_default();
        let mut results = Vec::new();
        for item in items(operation) {
            let mut command = json!({"type": "append", "path": path, "data": ""});
            if let Some(headers) = operation.get("headers") {
                command["headers"] = headers.to_value();
            }
            if let yaml::Value::Map(entries) = &item.value {
                for (key, value) in entries {
                    match key.as_str() {
                        "binaryData" => {
                            command["data"] = value.to_value();
                            command["binary"] = true.into();
                        }
                        key => command[key] = value.to_value(),
                    }
                }
            }
            results.push(self.ask(&command).await?);
        }
        let success = results.iter().all(|result| result["success"] == true);
        Ok(json!({"type": "append", "success": success, "status": if success { 200 } else { 207 }, "results": results}))
    }

    /// The command of an operation of the adapter's.
    fn command(&mut self, operation: &Operation) -> Result<Value, String> {
        let name = operation.action.name;
        let mut command = Map::new();
        command.insert("type".to_owned(), name.into());
        for (field, node) in &operation.fields {
            if matches!(field.name, "as" | "background" | "json" | "binaryData" | "items" | "times") {
                continue;
            }
            let node = if field.vars { self.vars.fill_node(node)? } else { node.clone() };
            command.insert(field.name.to_owned(), node.to_value());
        }
        match name {
            "create" => {
                let path = command.entry("path").or_insert_with(|| format!("/test-stream-{}", uuid()).into());
                if let (Some(variable), Some(path)) = (operation.text("as"), path.as_str()) {
                    self.vars.set(variable, path);
                }
            }
            "append" => {
                if let Some(data) = operation.text("binaryData").filter(|data| !data.is_empty()) {
                    command.insert("data".to_owned(), data.into());
                    command.insert("binary".to_owned(), true.into());
                } else if let Some(json) = operation.get("json") {
                    command.insert("data".to_owned(), json.to_json().into());
                }
                command.entry("data").or_insert_with(|| "".into());
            }
            "idempotent-append"
            | "idempotent-append-batch"
            | "idempotent-close"
            | "idempotent-detach"
            | "idempotent-restart" => {
                command.entry("epoch").or_insert_with(|| 0.into());
                if name != "idempotent-detach" && name != "idempotent-restart" {
                    command.entry("autoClaim").or_insert_with(|| false.into());
                }
                if name == "idempotent-append" {
                    command.entry("data").or_insert_with(|| "".into());
                }
                if name == "idempotent-close" && command.get("data").is_some_and(|data| data == "") {
                    command.remove("data");
                }
                if name == "idempotent-append-batch" {
                    let mut all = Vec::new();
                    for index in 0..operation.count("times").unwrap_or(1) {
                        self.vars.set("index", index);
                        for item in items(operation) {
                            all.push(self.item(item)?);
                        }
                    }
                    command.insert("items".to_owned(), all.into());
                }
            }
            "close" => {
                // The format has headers here, the command has not (adapter-protocol §8).
                command.remove("headers");
            }
            _ => {}
        }
        Ok(Value::Object(command))
    }

    fn item(&self, item: &Node) -> Result<Value, String> {
        match &self.vars.fill_node(item)?.value {
            yaml::Value::Map(entries) => Ok(entries.iter().next().map_or("".into(), |(_, data)| data.to_value())),
            yaml::Value::Text(text) => Ok(text.as_str().into()),
            _ => Err("an item is text or {data}".to_owned()),
        }
    }

    /// A field's text with its variables replaced.
    pub(super) fn text(&self, operation: &Operation, name: &str) -> Result<Option<String>, String> {
        operation.text(name).map(|text| self.vars.fill(text)).transpose()
    }

    async fn silent(&mut self, operation: &Operation) -> Result<(), StepError> {
        match operation.action.name {
            "wait" => {
                tokio::time::sleep(Duration::from_millis(operation.count("ms").unwrap_or(0))).await;
            }
            "set" => {
                let value = self.text(operation, "value")?.unwrap_or_default();
                let times = usize::try_from(operation.count("repeat").unwrap_or(1)).unwrap_or(1);
                self.vars.set(operation.text("name").unwrap_or_default(), value.repeat(times));
            }
            "assert" => self.assert(operation)?,
            "reset" => {
                let init = self.how.init(&self.wire.url());
                let result = self.ask(&init).await?;
                check::check(&[], &result, Duration::ZERO, &self.vars)?;
            }
            "inject-error" => self.inject(operation).await?,
            "clear-errors" => {
                self.wire.clear_rules();
                if self.server_injects {
                    self.wire.ask("DELETE", "/_test/inject-error", HeaderMap::new(), Bytes::new()).await?;
                }
            }
            "wire" => self.wire.add_rule(self.rule(operation)?),
            "clear-wire" => self.wire.clear_rules(),
            "mark" => {
                self.marks.insert(operation.text("name").unwrap_or_default().to_owned(), self.wire.record().len());
            }
            "expect-requests" => {
                let since = match operation.text("since") {
                    None => 0,
                    Some(mark) => *self.marks.get(mark).ok_or_else(|| format!("there is no mark {mark:?}"))?,
                };
                requests::expect(operation, self.wire.record(), since, &self.vars).await?;
            }
            other => return Err(StepError::Wrong(format!("the runner cannot do `{other}`"))),
        }
        Ok(())
    }

    fn assert(&self, operation: &Operation) -> Result<(), String> {
        let message = operation.text("message").map(|message| format!("{message}: ")).unwrap_or_default();
        let mut is_empty = true;
        for (field, node) in &operation.fields {
            if field.name == "message" {
                continue;
            }
            is_empty = false;
            let part = |key: &str, fill: bool| -> Result<String, String> {
                let yaml::Value::Map(entries) = &node.value else {
                    return Err(format!("`{}` must be keys with values", field.name));
                };
                let found = entries.iter().find(|(name, _)| name == key);
                let Some((_, node)) = found else { return Err(format!("`{}` needs `{key}`", field.name)) };
                match &node.value {
                    yaml::Value::Text(text) if fill => self.vars.fill(text),
                    yaml::Value::Text(text) => Ok(text.clone()),
                    _ => Ok(node.to_json()),
                }
            };
            let (left, right, holds): (_, _, Test) = match field.name {
                "equals" => (part("left", true)?, part("right", true)?, |left, right| Ok(left == right)),
                "notEquals" => (part("left", true)?, part("right", true)?, |left, right| Ok(left != right)),
                "contains" => (part("value", true)?, part("substring", true)?, |value, part| Ok(value.contains(part))),
                _ => (part("value", true)?, part("pattern", false)?, |value, pattern| {
                    let pattern = regex_lite::Regex::new(pattern).map_err(|error| error.to_string())?;
                    Ok(pattern.is_match(value))
                }),
            };
            if !holds(&left, &right)? {
                return Err(format!("{message}{} does not hold for {left:?} and {right:?}", field.name));
            }
        }
        if is_empty { Err("an assertion must say something".to_owned()) } else { Ok(()) }
    }

    /// A fault: by the server's own endpoint if it has one, else by the wire.
    async fn inject(&self, operation: &Operation) -> Result<(), String> {
        let path = self.text(operation, "path")?.unwrap_or_default();
        if self.server_injects {
            let mut fault = Map::new();
            for (field, node) in &operation.fields {
                fault.insert(field.name.to_owned(), node.to_value());
            }
            fault.insert("path".to_owned(), path.into());
            let mut headers = HeaderMap::new();
            headers.insert("content-type", HeaderValue::from_static("application/json"));
            let body = Value::Object(fault).to_string();
            let reply = self.wire.ask("POST", "/_test/inject-error", headers, body.into()).await?;
            return if reply.status == 200 {
                Ok(())
            } else {
                Err(format!("the server refused the fault: {}", String::from_utf8_lossy(&reply.body)))
            };
        }
        self.wire.add_rule(fault_rule(path, operation)?);
        Ok(())
    }

    fn rule(&self, operation: &Operation) -> Result<Rule, String> {
        let fill = |name: &str| operation.get(name).map(|node| self.vars.fill_node(node)).transpose();
        let path = self.text(operation, "path")?.unwrap_or_default();
        let effect = match (fill("answer")?, fill("edit")?, operation.is_set("lose"), operation.is_set("hold")) {
            (Some(node), None, false, false) => Effect::Answer(rules::answer(&node)?),
            (None, Some(node), false, false) => Effect::Edit(rules::edit(&node)?),
            (None, None, true, false) => Effect::Lose,
            (None, None, false, true) => Effect::Hold,
            (None, None, false, false)
                if operation.count("delayMs").is_some() || operation.count("untilAnswered").is_some() =>
            {
                Effect::Pass
            }
            _ => return Err("`wire` needs one of answer, edit, lose, hold, delayMs, untilAnswered".to_owned()),
        };
        let mut rule = Rule::on(path, effect);
        rule.method = operation.text("method").map(str::to_owned);
        rule.query = fill("query")?.map(|node| rules::pairs(&node)).transpose()?.unwrap_or_default();
        rule.headers = fill("headers")?.map(|node| rules::pairs(&node)).transpose()?.unwrap_or_default();
        rule.skip = operation.count("skip").unwrap_or(0);
        rule.count = operation.count("count").unwrap_or(1);
        rule.delay = Duration::from_millis(operation.count("delayMs").unwrap_or(0));
        rule.until_answered = operation.count("untilAnswered").unwrap_or(0);
        Ok(rule)
    }
}

fn items(operation: &Operation) -> &[Node] {
    match operation.get("items") {
        Some(Node { value: yaml::Value::List(items), .. }) => items,
        _ => &[],
    }
}

/// The wire's version of a fault of adapter-protocol §10.
fn fault_rule(path: String, operation: &Operation) -> Result<Rule, String> {
    let mut edit = Edit {
        truncate: operation.count("truncateBodyBytes").and_then(|len| usize::try_from(len).ok()),
        corrupt: operation.is_set("corruptBody"),
        ..Edit::default()
    };
    if let Some(event) = operation.get("injectSseEvent").map(Node::to_value) {
        let (Some(kind), Some(data)) = (event["eventType"].as_str(), event["data"].as_str()) else {
            return Err("`injectSseEvent` needs eventType and data".to_owned());
        };
        let lines: String = data.split('\n').map(|line| format!("data: {line}\n")).collect();
        edit.prelude = Some(format!("event: {kind}\n{lines}\n").into());
    }
    let effect = if operation.is_set("dropConnection") {
        Effect::Drop
    } else if let Some(status) = operation.count("status") {
        let mut headers = HeaderMap::new();
        if let Some(seconds) = operation.count("retryAfter") {
            headers.insert("retry-after", HeaderValue::from(seconds));
        }
        let status = u16::try_from(status).map_err(|_| format!("{status} is not a status"))?;
        Effect::Answer(rules::Answer {
            status,
            headers,
            pieces: vec![rules::Piece::Data("a test asked for this".into())],
        })
    } else if edit.truncate.is_some() || edit.corrupt || edit.prelude.is_some() {
        Effect::Edit(edit)
    } else if operation.count("delayMs").is_some() {
        Effect::Pass
    } else {
        return Err("`inject-error` names no fault".to_owned());
    };
    let mut rule = Rule::on(path, effect);
    rule.method = operation.text("method").map(str::to_owned);
    rule.count = operation.count("count").unwrap_or(1);
    if let Some(node) = operation.get("probability") {
        rule.probability = node.to_value().as_f64().unwrap_or(1.0);
    }
    let jitter = operation.count("jitterMs").unwrap_or(0);
    let delay = operation.count("delayMs").unwrap_or(0);
    rule.delay = Duration::from_millis(delay + if delay > 0 { crate::entropy() % (jitter + 1) } else { 0 });
    Ok(rule)
}
