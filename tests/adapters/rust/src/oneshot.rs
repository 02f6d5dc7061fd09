//! The one-shot operations.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use durable_streams::{AppendOptions, CloseOptions, CreateOptions, DeleteOptions, HeadOptions};
use serde_json::{Value, json};

use crate::{
    command::Command,
    outcome::{Outcome, Problem, headers, success},
    session::Session,
};

/// Sets the command's headers on any options.
macro_rules! with_headers {
    ($options:expr, $command:expr) => {{
        let mut options = $options;
        for (name, value) in &$command.headers {
            options = options.header(name, value);
        }
        options
    }};
}

pub(crate) async fn create(session: &mut Session, command: &Command) -> Outcome {
    let stream = session.stream(command)?;
    let mut options = with_headers!(CreateOptions::new().closed(command.closed), command);
    if let Some(content_type) = &command.content_type {
        options = options.content_type(content_type);
    }
    if let Some(seconds) = command.ttl_seconds {
        options = options.ttl(Duration::from_secs(seconds));
    }
    if let Some(instant) = &command.expires_at {
        options = options.expires_at(instant);
    }
    if let Some(data) = &command.data {
        options = options.initial_data(data);
    }
    if let Some(source) = &command.fork_from {
        options = options.fork_from(source);
    }
    if let Some(offset) = &command.fork_offset {
        options = options.fork_offset(offset.as_str());
    }
    if let Some(sub_offset) = command.fork_sub_offset {
        options = options.fork_sub_offset(sub_offset);
    }
    let answer = stream.detailed().create(options).await?;
    session.learn(&command.path, stream.content_type());
    let mut result = success("create");
    result["status"] = answer.head.status.as_u16().into();
    set(&mut result, "offset", answer.value.next_offset.as_deref());
    result["headers"] = headers(&answer.head.headers);
    Ok(result)
}

pub(crate) async fn connect(session: &mut Session, command: &Command) -> Outcome {
    let mut result = head(session, command).await?;
    result["type"] = "connect".into();
    Ok(result)
}

pub(crate) async fn head(session: &mut Session, command: &Command) -> Outcome {
    let stream = session.stream(command)?;
    let answer = stream.detailed().head(with_headers!(HeadOptions::new(), command)).await?;
    let metadata = answer.value;
    session.learn(&command.path, metadata.content_type.as_deref());
    let mut result = json!({"type": "head", "success": true, "status": answer.head.status.as_u16(),
        "offset": metadata.next_offset, "streamClosed": metadata.closed, "headers": headers(&answer.head.headers)});
    set(&mut result, "contentType", metadata.content_type.as_deref());
    set(&mut result, "ttlSeconds", metadata.ttl_seconds);
    set(&mut result, "expiresAt", metadata.expires_at.as_deref());
    Ok(result)
}

pub(crate) async fn append(session: &mut Session, command: &Command) -> Outcome {
    let body = body(session, command)?;
    let (stream, sent) = session.dynamic_stream(command)?;
    let mut options = with_headers!(AppendOptions::new(), command);
    if let Some(seq) = command.seq {
        options = options.seq(seq.to_string());
    }
    if let (Some(id), Some(epoch), Some(seq)) = (&command.producer_id, command.producer_epoch, command.producer_seq) {
        options = options.producer(id, epoch, seq);
    }
    let is_empty = body.is_empty();
    let appended = stream.detailed().append(body, options).await.map_err(Problem::from);
    session.keep_counts(&sent);
    // The client refuses locally what the server would refuse with 400.
    let answer = appended.map_err(|problem| if is_empty { problem.with_status(400) } else { problem })?;
    let mut result = json!({"type": "append", "success": true, "status": 200,
        "headers": headers(&answer.head.headers)});
    set(&mut result, "offset", answer.value.next_offset.as_deref());
    if command.producer_id.is_some() {
        result["duplicate"] = answer.value.duplicate.into();
    }
    set(&mut result, "producerEpoch", answer.value.producer_epoch);
    set(&mut result, "producerSeq", answer.value.producer_seq);
    sent.tell(&mut result);
    Ok(result)
}

pub(crate) async fn delete(session: &mut Session, command: &Command) -> Outcome {
    let stream = session.stream(command)?;
    let answer = stream.detailed().delete(with_headers!(DeleteOptions::new(), command)).await?;
    session.learn(&command.path, None);
    Ok(json!({"type": "delete", "success": true, "status": 200, "headers": headers(&answer.head.headers)}))
}

pub(crate) async fn close(session: &mut Session, command: &Command) -> Outcome {
    let stream = session.stream(command)?;
    let mut options = CloseOptions::new();
    if command.data.is_some() {
        options = options.data(body(session, command)?);
    }
    if let Some(content_type) = &command.content_type {
        options = options.content_type(content_type);
    }
    let answer = stream.detailed().close(options).await?;
    let mut result = json!({"type": "close", "success": true, "status": 200});
    result["finalOffset"] = answer.value.final_offset.unwrap_or_default().into();
    Ok(result)
}

/// The body of an append. A JSON value travels inside an array, so that a value that is an
/// array stays one message (protocol.md §17); the Rust client's one-shot append takes JSON
/// text as it is.
fn body(session: &Session, command: &Command) -> Result<Bytes, Problem> {
    let data = command.text();
    if command.binary {
        return STANDARD.decode(data).map(Bytes::from).map_err(Problem::invalid);
    }
    let is_json = match &command.content_type {
        Some(content_type) => content_type.starts_with("application/json"),
        None => session.is_json(&command.path),
    };
    let is_value = is_json && serde_json::from_str::<serde::de::IgnoredAny>(data).is_ok();
    Ok(if is_value { format!("[{data}]").into() } else { data.to_owned().into() })
}

/// Sets a field unless there is nothing to say.
pub(crate) fn set(result: &mut Value, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        result[key] = value.into();
    }
}
