//! Reading steps.

use std::sync::Arc;

use durable_streams_conformance::yaml::{CaseError, Fields, Node};
use serde_json::Map;

use super::{Action, Command, Expect, Messages, Step, Stored, faults};

/// Commands of the client, each with the fields it may have here. The runner adds `path`, and
/// the messages of those that write.
const COMMANDS: &[(&str, bool, &[&str])] = &[
    ("create", true, &["contentType", "closed", "headers", "ttlSeconds"]),
    ("append", true, &["headers", "seq", "producerId", "producerEpoch", "producerSeq"]),
    ("idempotent-append", true, &["producerId", "epoch", "autoClaim", "headers"]),
    ("idempotent-append-batch", true, &["producerId", "epoch", "autoClaim", "maxInFlight", "headers"]),
    ("idempotent-close", true, &["producerId", "epoch", "autoClaim", "headers"]),
    ("idempotent-detach", false, &["producerId", "epoch", "autoClaim", "headers"]),
    ("close", true, &[]),
    ("read", false, &["offset", "live", "timeoutMs", "maxChunks", "waitForUpToDate", "headers"]),
    ("head", false, &["headers"]),
    ("connect", false, &["headers"]),
    ("delete", false, &["headers"]),
    ("set-dynamic-header", false, &["name", "valueType", "initialValue"]),
    ("set-dynamic-param", false, &["name", "valueType"]),
    ("clear-dynamic", false, &[]),
    ("configure", false, &["longPollTimeoutMs", "requestTimeoutMs", "sseIdleTimeoutMs"]),
];

/// Reads `{do, faults, expect, ...}`.
pub(super) fn step(file: &Arc<str>, node: &Node) -> Result<Step, CaseError> {
    let fields = Fields::of(file, node, "a step")?;
    let kind = fields.required_text("do")?;
    let action = match kind.as_str() {
        "server-append" => Action::ServerAppend(messages(&fields)?),
        "server-close" => Action::ServerClose,
        "outage" => Action::Outage(faults::outage(&fields)?),
        "until" => Action::Until(
            faults::matched(&fields)?,
            fields.count("count")?.unwrap_or(1),
            fields.bool("answered")?.unwrap_or(false),
        ),
        "disarm" => Action::Disarm,
        "await" => Action::Await,
        kind => Action::Client(command(&fields, kind)?),
    };
    let step = Step {
        line: node.line,
        faults: fields.list("faults")?.iter().map(|node| faults::faulty(file, node)).collect::<Result<_, _>>()?,
        action,
        expect: expect(file, fields.get("expect"))?,
    };
    fields.finish()?;
    Ok(step)
}

fn command(fields: &Fields<'_>, kind: &str) -> Result<Command, CaseError> {
    let Some((kind, writes, known)) = COMMANDS.iter().find(|(name, _, _)| *name == kind) else {
        return Err(fields.error(fields.get("do"), format!("there is no step {kind:?}")));
    };
    let mut values = Map::new();
    for key in *known {
        if let Some(node) = fields.get(key) {
            values.insert((*key).to_owned(), node.to_value());
        }
    }
    if kind.starts_with("idempotent-") {
        values.entry("epoch").or_insert_with(|| 0.into());
        values.entry("autoClaim").or_insert_with(|| false.into());
        values.entry("producerId").or_insert_with(|| "writer".into());
    }
    let messages = if *writes { messages(fields)? } else { Messages::default() };
    let is_background = *kind == "read" && fields.bool("background")?.unwrap_or(false);
    Ok(Command { kind, fields: values, messages, is_background })
}

fn messages(fields: &Fields<'_>) -> Result<Messages, CaseError> {
    let size = fields.count("size")?.map_or(0, |size| usize::try_from(size).unwrap_or(usize::MAX));
    Ok(Messages { count: fields.count("messages")?.unwrap_or(0), size })
}

fn expect(file: &Arc<str>, node: Option<&Node>) -> Result<Expect, CaseError> {
    let empty = Node { line: 0, value: durable_streams_conformance::yaml::Value::Map(Vec::new()) };
    let fields = Fields::of(file, node.unwrap_or(&empty), "`expect`")?;
    let codes = fields.texts("error")?;
    let statuses = fields.list("status")?.iter().filter_map(|node| node.to_value().as_u64()).collect::<Vec<_>>();
    let stored = match fields.text("stored")?.as_deref() {
        None => None,
        Some("all") => Some(Stored::All),
        Some("none") => Some(Stored::None),
        Some("some") => Some(Stored::Some),
        Some(_) => return Err(fields.error(fields.get("stored"), "`stored` is all, none or some")),
    };
    let expect = Expect {
        may_succeed: codes.is_empty() || fields.bool("orSuccess")?.unwrap_or(false),
        codes,
        statuses,
        stored,
        complete: fields.bool("complete")?.unwrap_or(true),
        closed: fields.bool("closed")?,
        within: faults::span(&fields, "withinMs")?,
        after: faults::span(&fields, "afterMs")?,
    };
    fields.finish()?;
    Ok(expect)
}
