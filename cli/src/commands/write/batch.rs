//! `--batch-json`: each element of a top-level array is its own message.

use durable_streams::AppendOptions;
use serde_json::{json, value::RawValue};

use super::{PIECE_BYTES, Write, random_producer_id};
use crate::{
    content::check_stdin_json,
    failure::Failure,
    kind::{self, Kind},
    messages, progress,
    units::count,
};

/// Writes the elements, in order; anything but an array is one message.
pub(super) async fn run(write: &Write<'_>, content: Vec<u8>) -> Result<(), Failure> {
    check_stdin_json(&content)?;
    let text = std::str::from_utf8(&content).map_err(|error| Failure::Input(format!("invalid JSON: {error}")))?;
    let is_array = text.trim_start().starts_with('[');
    let split = if is_array { messages::split(text) } else { serde_json::from_str(text).map(|one| vec![one]) };
    let elements = split.map_err(|error| Failure::Input(format!("invalid JSON: {error}")))?;
    if elements.is_empty() {
        return Err(Failure::Input("no content to write: the array is empty".to_owned()));
    }
    let kind = kind::resolve("write to", &write.stream, &write.target, &write.args.kind, true).await?;
    if content.len() <= PIECE_BYTES {
        at_once(write, &kind, &elements).await?;
    } else {
        in_pieces(write, &kind, &elements).await?;
    }
    write.session.report.done(
        "write",
        &write.target,
        &format!("Wrote {} to stream \"{}\"", count(elements.len() as u64, "message"), write.target.id),
        json!({ "messages": elements.len(), "bytes": content.len() }),
    )
}

async fn at_once(write: &Write<'_>, kind: &Kind, elements: &[&RawValue]) -> Result<(), Failure> {
    let body = if kind.keeps_messages {
        let joined = elements.iter().map(|element| element.get()).collect::<Vec<_>>().join(",");
        format!("[{joined}]")
    } else {
        elements.iter().flat_map(|element| [element.get(), "\n"]).collect()
    };
    let options = AppendOptions::new().content_type(&kind.content_type);
    let appended = write.stream.detailed().append(body.into(), options).await;
    appended.map(|_| ()).map_err(|failure| write.failed(&failure))
}

async fn in_pieces(write: &Write<'_>, kind: &Kind, elements: &[&RawValue]) -> Result<(), Failure> {
    let failed = |failure| write.failed(&failure);
    let producer = write
        .stream
        .producer(random_producer_id()?)
        .content_type(&kind.content_type)
        .max_batch_bytes(PIECE_BYTES)
        .build()
        .map_err(|error| Failure::no_producer(&error))?;
    let bar = progress::bytes(Some(elements.iter().map(|element| element.get().len() as u64).sum()));
    for element in elements {
        let text = element.get();
        let sent = if kind.keeps_messages { producer.append(text) } else { producer.append(format!("{text}\n")) };
        sent.accepted_detailed().await.map_err(failed)?;
        bar.inc(text.len() as u64);
    }
    producer.detailed().detach().await.map_err(failed)?;
    bar.finish_and_clear();
    Ok(())
}
