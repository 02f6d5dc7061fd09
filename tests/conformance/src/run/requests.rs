//! `expect-requests`: what the client must have sent.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::check::bounded;
use crate::{
    case::Operation,
    vars::Vars,
    wire::record::{By, End, Exchange, Record},
    wire::rules,
    yaml::{self, Node},
};

/// Checks the requests of the client to one path, waiting a little for those that are
/// still under way.
pub async fn expect(operation: &Operation, record: &Record, since: usize, vars: &Vars) -> Result<(), String> {
    let patience = Duration::from_millis(operation.count("withinMs").unwrap_or(5000));
    let deadline = Instant::now() + patience;
    let mut changes = record.changes();
    loop {
        let verdict = verdict(operation, &record.exchanges(), since, vars);
        if verdict.is_ok() || Instant::now() >= deadline {
            return verdict;
        }
        changes.next_before(deadline).await;
    }
}

fn verdict(operation: &Operation, exchanges: &[Exchange], since: usize, vars: &Vars) -> Result<(), String> {
    let path = vars.fill(operation.text("path").unwrap_or_default())?;
    let method = operation.text("method");
    let filter = operation.get("where").map(|node| vars.fill_node(node)).transpose()?;
    let mut found = Vec::new();
    for exchange in exchanges.iter().skip(since) {
        let fits = exchange.by == By::Client
            && exchange.path == path
            && method.is_none_or(|method| method.eq_ignore_ascii_case(&exchange.method));
        if fits && filter.as_ref().is_none_or(|filter| matches(exchange, filter).is_ok()) {
            found.push(exchange);
        }
    }
    let (least, most) = match operation.count("count") {
        Some(count) => (Some(count), Some(count)),
        None => (operation.count("atLeast"), operation.count("atMost")),
    };
    bounded(found.len() as u64, least, most).map_err(|why| format!("number of requests: {why}"))?;
    for key in ["each", "list", "first", "last"] {
        let Some(node) = operation.get(key) else { continue };
        let node = vars.fill_node(node)?;
        shapes(key, &node, &found)?;
    }
    for (key, wanted) in [("same", true), ("different", false)] {
        let Some(Node { value: yaml::Value::List(parts), .. }) = operation.get(key) else { continue };
        for part in parts {
            let yaml::Value::Text(part) = &part.value else { continue };
            compare(part, wanted, &found)?;
        }
    }
    if let Some(most) = operation.count("maxOverlap") {
        bounded(overlap(&found), None, Some(most)).map_err(|why| format!("requests at once: {why}"))?;
    }
    if let Some(least) = operation.count("minOverlap") {
        bounded(overlap(&found), Some(least), None).map_err(|why| format!("requests at once: {why}"))?;
    }
    if operation.is_set("firstAlone") {
        let [first, second, ..] = found.as_slice() else { return Err("fewer than two requests".to_owned()) };
        if first.end.is_none_or(|(end, _)| end > second.at) {
            return Err("a second request was sent before the first had ended".to_owned());
        }
    }
    if let Some(node) = operation.get("gapMs") {
        gaps(node, &found)?;
    }
    if operation.is_set("abandoned") {
        let last = found.last().ok_or("no request was sent")?;
        if !matches!(last.end, Some((_, End::Abandoned))) {
            return Err(format!("the last request was not given up by the client, it is {:?}", last.end));
        }
    }
    Ok(())
}

fn shapes(key: &str, node: &Node, found: &[&Exchange]) -> Result<(), String> {
    let one = |index: usize, exchange: &Exchange, node: &Node| {
        matches(exchange, node).map_err(|why| format!("request {} of {}: {why}", index + 1, found.len()))
    };
    match (key, &node.value) {
        ("each", _) => found.iter().enumerate().try_for_each(|(index, exchange)| one(index, exchange, node)),
        ("first", _) => one(0, found.first().ok_or("no request was sent")?, node),
        ("last", _) => one(found.len().saturating_sub(1), found.last().ok_or("no request was sent")?, node),
        ("list", yaml::Value::List(wanted)) => {
            if wanted.len() != found.len() {
                return Err(format!("wanted {} requests, found {}", wanted.len(), found.len()));
            }
            wanted.iter().zip(found).enumerate().try_for_each(|(index, (node, exchange))| one(index, exchange, node))
        }
        _ => Err(format!("`{key}` must be a list of requests")),
    }
}

/// Whether a request is as described: `{method, query, rawQuery, queryKeys, headers, body,
/// bodyJson, bodyLength, answered, status}`.
fn matches(exchange: &Exchange, node: &Node) -> Result<(), String> {
    let yaml::Value::Map(entries) = &node.value else { return Err("a request is keys with values".to_owned()) };
    for (key, node) in entries {
        let wanted = node.to_value();
        let (found, wanted): (Value, Value) = match key.as_str() {
            "method" => (exchange.method.as_str().into(), wanted),
            "query" => {
                let params = exchange.params();
                for (name, wanted) in rules::pairs(node)? {
                    let found = params.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
                    if found != wanted.as_ref() {
                        return Err(format!("parameter {name}: wanted {wanted:?}, found {found:?}"));
                    }
                }
                continue;
            }
            "rawQuery" => (exchange.query.as_str().into(), wanted),
            "queryKeys" => (exchange.params().into_iter().map(|(key, _)| key).collect(), wanted),
            "headers" => {
                for (name, wanted) in rules::pairs(node)? {
                    let found = exchange.headers.get(&name).map(|value| String::from_utf8_lossy(value.as_bytes()));
                    if found.as_deref() != wanted.as_deref() {
                        return Err(format!("header {name}: wanted {wanted:?}, found {found:?}"));
                    }
                }
                continue;
            }
            "body" => (String::from_utf8_lossy(&exchange.body).into(), wanted),
            "bodyJson" => (serde_json::from_slice(&exchange.body).unwrap_or(Value::Null), wanted),
            "bodyLength" => (exchange.body.len().into(), wanted),
            "answered" => (exchange.reply.is_some().into(), wanted),
            "status" => (exchange.reply.as_ref().map(|(status, _)| *status).into(), wanted),
            _ => return Err(format!("a request has no `{key}`")),
        };
        if found != wanted {
            return Err(format!("{key}: wanted {wanted}, found {}", super::check::shown(&found)));
        }
    }
    Ok(())
}

fn compare(part: &str, wants_same: bool, found: &[&Exchange]) -> Result<(), String> {
    let value = |exchange: &Exchange| match part.split_once(':') {
        None if part == "body" => Some(exchange.body.to_vec()),
        Some(("header", name)) => exchange.headers.get(name).map(|value| value.as_bytes().to_vec()),
        Some(("query", name)) => {
            exchange.params().into_iter().find(|(key, _)| key == name).map(|(_, value)| value.into_bytes())
        }
        _ => None,
    };
    let values: Vec<_> = found.iter().map(|exchange| value(exchange)).collect();
    let shown = || {
        let texts: Vec<_> = values
            .iter()
            .map(|value| value.as_ref().map_or("nothing".into(), |value| value.escape_ascii().to_string()))
            .collect();
        texts.join(", ")
    };
    if values.iter().any(Option::is_none) {
        return Err(format!("{part} is missing in a request: {}", shown()));
    }
    for (index, value) in values.iter().enumerate() {
        let repeats = values[..index].contains(value);
        if index > 0 && repeats != wants_same {
            return Err(format!("{part} should {}: {}", if wants_same { "stay" } else { "change" }, shown()));
        }
    }
    Ok(())
}

/// Most requests that were under way at once.
fn overlap(found: &[&Exchange]) -> u64 {
    let is_open = |exchange: &Exchange, at: Instant| exchange.at <= at && exchange.end.is_none_or(|(end, _)| end > at);
    let counts = found.iter().map(|one| found.iter().filter(|other| is_open(other, one.at)).count() as u64);
    counts.max().unwrap_or(0)
}

/// Time between the end of one request and the start of the next.
fn gaps(node: &Node, found: &[&Exchange]) -> Result<(), String> {
    let limits = node.to_value();
    for pair in found.windows(2) {
        let [first, second] = pair else { continue };
        let end = first.end.map_or(first.at, |(end, _)| end);
        let gap = second.at.saturating_duration_since(end).as_millis() as u64;
        bounded(gap, limits["min"].as_u64(), limits["max"].as_u64()).map_err(|why| format!("gap in ms: {why}"))?;
    }
    Ok(())
}
