//! Reading rules.

use std::{sync::Arc, time::Duration};

use durable_streams_conformance::yaml::{CaseError, Fields, Node, Value};

use super::Faulty;
use crate::proxy::rule::{Canned, Fault, How, Keep, Match, Outage, Point, RetryAfter, Rule, To, Way};

/// How long the first request of a swap waits for the second when the rule does not say.
const SWAP_PATIENCE: Duration = Duration::from_secs(5);

/// Reads `{on, skip, count, at, mayMiss, FAULT}`.
pub(super) fn faulty(file: &Arc<str>, node: &Node) -> Result<Faulty, CaseError> {
    let fields = Fields::of(file, node, "a fault")?;
    let on = match fields.get("on") {
        None => Match::default(),
        Some(node) => {
            let on = Fields::of(file, node, "`on`")?;
            let matched = matched(&on)?;
            on.finish()?;
            matched
        }
    };
    let count = match fields.get("count") {
        None => Some(1),
        Some(Node { value: Value::Text(all), .. }) if all == "all" => None,
        Some(_) => fields.count("count")?,
    };
    let mut fault = None;
    for (name, read) in READERS {
        let Some(node) = fields.get(name) else { continue };
        if fault.is_some() {
            return Err(fields.error(Some(node), "a rule has one fault"));
        }
        let details = Fields::of(file, node, format!("`{name}`"))?;
        fault = Some(read(&details)?);
        details.finish()?;
    }
    let fault = fault.ok_or_else(|| fields.error(None, "a rule needs a fault"))?;
    // Both halves of a swap are met.
    let count = if matches!(fault, Fault::Swap(_)) { count.map(|pairs| 2 * pairs) } else { count };
    let is_foreign = match fields.text("at")?.as_deref() {
        None => false,
        Some("foreign") => true,
        Some(_) => return Err(fields.error(fields.get("at"), "`at` is `foreign` or absent")),
    };
    let faulty = Faulty {
        line: node.line,
        rule: Rule { on, skip: fields.count("skip")?.unwrap_or(0), count, fault },
        is_foreign,
        may_miss: fields.bool("mayMiss")?.unwrap_or(false),
    };
    fields.finish()?;
    Ok(faulty)
}

/// Reads `method`, `path`, `query` and `headers`.
pub(super) fn matched(fields: &Fields<'_>) -> Result<Match, CaseError> {
    let pairs = |key: &str| -> Result<Vec<(String, Option<String>)>, CaseError> {
        let Some(node) = fields.get(key) else { return Ok(Vec::new()) };
        let wrong = || fields.error(Some(node), format!("`{key}` is names with texts, or null for absent"));
        let Value::Map(entries) = &node.value else { return Err(wrong()) };
        entries
            .iter()
            .map(|(name, node)| match &node.value {
                Value::Text(text) => Ok((name.clone(), Some(text.clone()))),
                Value::Null => Ok((name.clone(), None)),
                _ => Err(wrong()),
            })
            .collect()
    };
    let mut headers = pairs("headers")?;
    for (name, _) in &mut headers {
        name.make_ascii_lowercase();
    }
    Ok(Match { method: fields.text("method")?, path: fields.text("path")?, query: pairs("query")?, headers })
}

type Reader = fn(&Fields<'_>) -> Result<Fault, CaseError>;

const READERS: &[(&str, Reader)] = &[
    ("cutRequest", |fields| Ok(Fault::CutRequest(point(fields)?, how(fields)?))),
    ("cutAnswer", |fields| Ok(Fault::CutAnswer(point(fields)?, how(fields)?))),
    ("stall", |fields| Ok(Fault::Stall(point(fields)?, span(fields, "ms")?))),
    ("delay", |fields| Ok(Fault::Delay(way(fields)?, required_span(fields)?))),
    ("trickle", |fields| {
        let pause = span(fields, "pauseMs")?.unwrap_or_default();
        Ok(Fault::Trickle(way(fields)?, bytes(fields, "bytes")?.unwrap_or(1), pause))
    }),
    ("twice", |fields| {
        let keep = one_of(fields, "keep", &[("first", Keep::First), ("second", Keep::Second)])?;
        Ok(Fault::Twice(keep.unwrap_or(Keep::First)))
    }),
    ("swap", |fields| Ok(Fault::Swap(span(fields, "withinMs")?.unwrap_or(SWAP_PATIENCE)))),
    ("truncate", |fields| match fields.count("to")? {
        Some(length) => Ok(Fault::Truncate(length)),
        None => Err(fields.error(None, "`truncate` needs `to`")),
    }),
    ("wrongLength", |fields| match fields.get("by") {
        Some(Node { value: Value::Int(by), .. }) if *by != 0 => Ok(Fault::WrongLength(*by)),
        node => Err(fields.error(node, "`wrongLength` needs `by`, a number of bytes that is not 0")),
    }),
    ("answer", |fields| Ok(Fault::Answer(canned(fields)?))),
    ("redirect", |fields| {
        let to = one_of(fields, "to", &[("foreign", To::Foreign), ("same", To::Same)])?;
        let to = to.ok_or_else(|| fields.error(None, "`redirect` needs `to`"))?;
        Ok(Fault::Redirect(status(fields)?, to))
    }),
    ("outage", |fields| Ok(Fault::Outage(outage(fields)?))),
];

/// Reads `ms`, `restart` and `reached`.
pub(super) fn outage(fields: &Fields<'_>) -> Result<Outage, CaseError> {
    Ok(Outage {
        lasts: required_span(fields)?,
        restart: fields.bool("restart")?.unwrap_or(false),
        reached: fields.bool("reached")?.unwrap_or(false),
    })
}

fn canned(fields: &Fields<'_>) -> Result<Canned, CaseError> {
    let retry_after = match fields.get("retryAfter").map(|node| &node.value) {
        None => None,
        Some(Value::Int(seconds)) => Some(RetryAfter::Seconds(u64::try_from(*seconds).unwrap_or_default())),
        Some(Value::Text(text)) if text == "nonsense" => Some(RetryAfter::Nonsense),
        Some(Value::Text(text)) => match text.strip_prefix("date+").and_then(|seconds| seconds.parse().ok()) {
            Some(seconds) => Some(RetryAfter::Date(seconds)),
            None => return Err(fields.error(fields.get("retryAfter"), "a number, `date+SECONDS` or `nonsense`")),
        },
        Some(_) => return Err(fields.error(fields.get("retryAfter"), "a number, `date+SECONDS` or `nonsense`")),
    };
    let mut headers = Vec::new();
    for (name, value) in map(fields, "headers")? {
        let Value::Text(text) = &value.value else {
            return Err(fields.error(Some(value), "a header's value is text"));
        };
        headers.push((name.clone(), text.clone()));
    }
    Ok(Canned {
        status: status(fields)?,
        retry_after,
        headers,
        body: fields.text("body")?.unwrap_or_default(),
        reached: fields.bool("reached")?.unwrap_or(false),
    })
}

fn map<'n>(fields: &Fields<'n>, key: &str) -> Result<&'n [(String, Node)], CaseError> {
    match fields.get(key) {
        None => Ok(&[]),
        Some(Node { value: Value::Map(entries), .. }) => Ok(entries),
        node => Err(fields.error(node, format!("`{key}` is names with values"))),
    }
}

fn point(fields: &Fields<'_>) -> Result<Point, CaseError> {
    match (bytes(fields, "head")?, bytes(fields, "body")?) {
        (None, None) => Ok(Point::Head(0)),
        (Some(bytes), None) => Ok(Point::Head(bytes)),
        (None, Some(bytes)) => Ok(Point::Body(bytes)),
        (Some(_), Some(_)) => Err(fields.error(None, "`head` or `body`, not both")),
    }
}

fn how(fields: &Fields<'_>) -> Result<How, CaseError> {
    let how = one_of(fields, "how", &[("close", How::Close), ("reset", How::Reset), ("silence", How::Silence)])?;
    Ok(how.unwrap_or(How::Close))
}

fn way(fields: &Fields<'_>) -> Result<Way, CaseError> {
    let way = one_of(fields, "way", &[("request", Way::Request), ("answer", Way::Answer)])?;
    way.ok_or_else(|| fields.error(None, "`way` is `request` or `answer`"))
}

fn status(fields: &Fields<'_>) -> Result<u16, CaseError> {
    let status = fields.count("status")?.and_then(|status| u16::try_from(status).ok());
    status
        .filter(|status| (200..600).contains(status))
        .ok_or_else(|| fields.error(fields.get("status"), "`status` is a final HTTP status"))
}

fn bytes(fields: &Fields<'_>, key: &str) -> Result<Option<usize>, CaseError> {
    Ok(fields.count(key)?.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)))
}

/// A time in milliseconds.
pub(super) fn span(fields: &Fields<'_>, key: &str) -> Result<Option<Duration>, CaseError> {
    Ok(fields.count(key)?.map(Duration::from_millis))
}

fn required_span(fields: &Fields<'_>) -> Result<Duration, CaseError> {
    span(fields, "ms")?.ok_or_else(|| fields.error(None, "`ms` is missing"))
}

fn one_of<T: Copy>(fields: &Fields<'_>, key: &str, values: &[(&str, T)]) -> Result<Option<T>, CaseError> {
    let Some(text) = fields.text(key)? else { return Ok(None) };
    match values.iter().find(|(name, _)| *name == text) {
        Some((_, value)) => Ok(Some(*value)),
        None => {
            let names: Vec<_> = values.iter().map(|(name, _)| *name).collect();
            Err(fields.error(fields.get(key), format!("`{key}` is one of {}", names.join(", "))))
        }
    }
}
