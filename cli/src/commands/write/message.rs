//! One message: from an argument, or all of standard input.

use std::io;

use durable_streams::AppendOptions;
use serde_json::json;

use super::{PIECE_BYTES, Write, all_of_standard_input, empty_input, pieces, unreadable};
use crate::{
    content::{check_stdin_json, message_body, one_message},
    escapes::unescape,
    failure::Failure,
    input,
    kind::{self, Kind},
    units::size,
};

/// Writes an argument.
pub(super) async fn from_argument(write: &Write<'_>, text: &str) -> Result<(), Failure> {
    if text.is_empty() {
        return Err(Failure::Input("no content to write: the argument is empty".to_owned()));
    }
    if write.args.kind.json {
        // A mistake here needs no server to be told.
        one_message(text, unescape(text), true)?;
    }
    let kind = kind_of(write).await?;
    let content = one_message(text, unescape(text), kind.is_json)?;
    send(write, &kind, &content).await
}

/// Writes standard input: as one message when it fits, in pieces when it is longer bytes.
pub(super) async fn from_standard_input(write: &Write<'_>) -> Result<(), Failure> {
    let begun = input::up_to(&mut io::stdin().lock(), PIECE_BYTES + 1).map_err(unreadable)?;
    if begun.is_empty() {
        return Err(empty_input());
    }
    let is_whole = begun.len() <= PIECE_BYTES;
    if write.args.kind.json && is_whole {
        check_stdin_json(&begun)?;
    }
    let kind = kind_of(write).await?;
    if !is_whole && !kind.is_json {
        return pieces::run(write, &kind, begun).await;
    }
    let content = if is_whole { begun } else { all_of_standard_input(begun)? };
    if kind.is_json {
        check_stdin_json(&content)?;
    }
    send(write, &kind, &content).await
}

async fn kind_of(write: &Write<'_>) -> Result<Kind, Failure> {
    kind::resolve("write to", &write.stream, &write.target, &write.args.kind, write.args.kind.json).await
}

async fn send(write: &Write<'_>, kind: &Kind, content: &[u8]) -> Result<(), Failure> {
    let options = AppendOptions::new().content_type(&kind.content_type);
    let appended = write.stream.detailed().append(message_body(content, kind).into(), options).await;
    let appended = appended.map_err(|failure| write.failed(&failure))?.value;
    let what = if kind.is_json { "1 JSON message".to_owned() } else { size(content.len() as u64) };
    write.session.report.done(
        "write",
        &write.target,
        &format!("Wrote {what} to stream \"{}\"", write.target.id),
        json!({
            "messages": kind.keeps_messages.then_some(1),
            "bytes": content.len(),
            "next_offset": appended.next_offset,
        }),
    )
}
