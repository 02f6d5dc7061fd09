//! Reads: batches until one of the rules of adapter-protocol §2.4 says stop.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use durable_streams::{Failure, LiveMode, reader::Reader};
use serde_json::{Value, json};

use crate::{
    command::Command,
    oneshot::set,
    outcome::{Outcome, Problem},
    session::{Sent, Session},
};

const MAX_CHUNKS: usize = 100;
const TIMEOUT_MS: u64 = 5000;

/// When a read stops.
#[derive(Clone, Copy)]
struct Limits {
    timeout: Duration,
    max_chunks: usize,
    wait_for_up_to_date: bool,
}

/// What a read has collected.
struct Collected {
    chunks: Vec<Value>,
    status: Option<u16>,
    offset: String,
    up_to_date: bool,
    stream_closed: bool,
    cursor: Option<String>,
}

/// One read, or `readers` of the same at once.
pub(crate) async fn read(session: &mut Session, command: &Command) -> Outcome {
    let limits = Limits {
        timeout: Duration::from_millis(command.timeout_ms.unwrap_or(TIMEOUT_MS)),
        max_chunks: command.max_chunks.unwrap_or(MAX_CHUNKS),
        wait_for_up_to_date: command.wait_for_up_to_date,
    };
    let from = command.offset.as_deref().unwrap_or("-1");
    let Some(count) = command.readers else {
        let (reader, sent) = reader(session, command)?;
        let collected = run(reader, limits, from.to_owned()).await;
        session.keep_counts(&sent);
        return Ok(result(collected?, &sent));
    };
    let mut reads = tokio::task::JoinSet::new();
    for _ in 0..count {
        let (reader, sent) = reader(session, command)?;
        let from = from.to_owned();
        reads.spawn(async move { Ok(result(run(reader, limits, from).await?, &sent)) });
    }
    let results = reads.join_all().await.into_iter().collect::<Result<Vec<_>, Problem>>()?;
    Ok(json!({"type": "read", "success": true, "results": results}))
}

fn reader(session: &mut Session, command: &Command) -> Result<(Reader, Sent), Problem> {
    let live = match &command.live {
        Value::Null | Value::Bool(false) => LiveMode::Off,
        Value::Bool(true) => LiveMode::Auto,
        Value::String(mode) if mode == "long-poll" => LiveMode::LongPoll,
        Value::String(mode) if mode == "sse" => LiveMode::Sse,
        other @ (Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_)) => {
            return Err(Problem::invalid(format!("live: {other} is no mode")));
        }
    };
    let (stream, sent) = session.dynamic_stream(command)?;
    let mut builder = stream.read().live_mode(live);
    if let Some(offset) = &command.offset {
        builder = builder.offset(offset.as_str());
    }
    if let Some(cursor) = &command.cursor {
        builder = builder.cursor(cursor);
    }
    if let Some(etag) = &command.if_none_match {
        builder = builder.if_none_match(etag);
    }
    for (name, value) in &command.headers {
        builder = builder.header(name, value);
    }
    Ok((builder.reader()?, sent))
}

/// Reads until a limit is reached, and leaves nothing open.
async fn run(mut reader: Reader, limits: Limits, from: String) -> Result<Collected, Failure> {
    let mut collected = Collected {
        chunks: Vec::new(),
        status: None,
        offset: from,
        // If nothing ever arrives, there is nothing the reader is behind of.
        up_to_date: true,
        stream_closed: false,
        cursor: None,
    };
    match tokio::time::timeout(limits.timeout, collect(&mut reader, limits, &mut collected)).await {
        Ok(Err(failure)) => Err(failure),
        // Running out of time is a success with what there is.
        Ok(Ok(())) | Err(_) => Ok(collected),
    }
}

fn result(collected: Collected, sent: &Sent) -> Value {
    let mut result = json!({"type": "read", "success": true, "status": collected.status.unwrap_or(200),
        "chunks": collected.chunks, "offset": collected.offset, "upToDate": collected.up_to_date,
        "streamClosed": collected.stream_closed});
    set(&mut result, "cursor", collected.cursor);
    sent.tell(&mut result);
    result
}

async fn collect(reader: &mut Reader, limits: Limits, collected: &mut Collected) -> Result<(), Failure> {
    while let Some(batch) = reader.next_batch().await? {
        if !batch.is_empty {
            let offset = batch.next_offset.as_str();
            collected.chunks.push(match std::str::from_utf8(&batch.data) {
                Ok(text) => json!({"data": text, "offset": offset}),
                Err(_) => json!({"data": STANDARD.encode(&batch.data), "offset": offset, "binary": true}),
            });
        }
        collected.status = Some(batch.status);
        collected.offset = batch.next_offset.as_str().to_owned();
        collected.up_to_date = batch.up_to_date;
        collected.stream_closed = batch.stream_closed;
        collected.cursor = batch.cursor;
        let is_caught_up = limits.wait_for_up_to_date && batch.up_to_date;
        if collected.chunks.len() >= limits.max_chunks || is_caught_up || batch.stream_closed {
            break;
        }
    }
    Ok(())
}
