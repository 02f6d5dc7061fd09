//! Timed work (adapter-protocol §6).

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use durable_streams::{CreateOptions, DurableStream, LiveMode};
use serde_json::{Value, json};

use crate::{
    command::Command,
    outcome::{Outcome, Problem},
    session::Session,
};

pub(crate) async fn run(session: &mut Session, command: &Command) -> Outcome {
    let work = &command.operation;
    let text = |key: &str| work[key].as_str().unwrap_or_default().to_owned();
    let count = |key: &str| usize::try_from(work[key].as_u64().unwrap_or(0)).unwrap_or(usize::MAX);
    let target = Command { path: text("path"), ..Command::default() };
    let stream = session.stream(&target)?;
    let started = Instant::now();
    let (took, metrics) = match text("op").as_str() {
        "append" => {
            let body = vec![b'x'; count("size")];
            let started = Instant::now();
            stream.append(&body).await?;
            (started.elapsed(), json!({"bytesTransferred": body.len()}))
        }
        "read" => {
            let bytes = read_all(&stream, &text("offset")).await?;
            (started.elapsed(), json!({"bytesTransferred": bytes}))
        }
        "create" => {
            create(session, &stream, &target.path, &text("contentType")).await?;
            (started.elapsed(), json!({}))
        }
        "roundtrip" => round_trip(session, &stream, &target.path, work).await?,
        "throughput_append" => {
            create(session, &stream, &target.path, "").await?;
            let (body, count) = (vec![b'x'; count("size")], count("count"));
            // The path repeats over iterations; a fixed id would measure deduplication.
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let producer = stream.producer(format!("bench-{}", now.as_nanos())).build()?;
            let started = Instant::now();
            for _ in 0..count {
                producer.append(&body).await?;
            }
            producer.flush().await?;
            let metrics = json!({"bytesTransferred": count * body.len(), "messagesProcessed": count});
            (started.elapsed(), metrics)
        }
        "throughput_read" => {
            let (mut bytes, mut messages) = (0, 0);
            let mut reader = stream.read().json::<serde::de::IgnoredAny>()?;
            while let Some(batch) = reader.next_batch().await? {
                messages += batch.items.len();
            }
            bytes += read_all(&stream, "-1").await?;
            (started.elapsed(), json!({"bytesTransferred": bytes, "messagesProcessed": messages}))
        }
        other => return Err(Problem::not_supported(format!("there is no benchmark {other:?}"))),
    };
    Ok(json!({"type": "benchmark", "success": true, "iterationId": command.iteration_id,
        "durationNs": took.as_nanos().to_string(), "metrics": metrics}))
}

async fn round_trip(
    session: &mut Session,
    stream: &DurableStream,
    path: &str,
    work: &Value,
) -> Result<(Duration, Value), Problem> {
    let content_type = work["contentType"].as_str().unwrap_or_default();
    create(session, stream, path, content_type).await?;
    let size = usize::try_from(work["size"].as_u64().unwrap_or(0)).unwrap_or(0);
    let fill = "x".repeat(size);
    let body = if content_type.starts_with("application/json") { format!("[\"{fill}\"]") } else { fill };
    let live = if work["live"] == "sse" { LiveMode::Sse } else { LiveMode::LongPoll };
    let started = Instant::now();
    let mut reader = stream.read().live_mode(live).build()?;
    let (appended, read) = tokio::join!(stream.append(&body), async {
        loop {
            match reader.next_chunk().await {
                Ok(Some(chunk)) if chunk.data.len() > 2 => return Ok(chunk.data.len()),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(0),
                Err(error) => return Err(error),
            }
        }
    });
    appended?;
    Ok((started.elapsed(), json!({"bytesTransferred": body.len() + read?})))
}

async fn create(session: &mut Session, stream: &DurableStream, path: &str, content_type: &str) -> Result<(), Problem> {
    let mut options = CreateOptions::new();
    if !content_type.is_empty() {
        options = options.content_type(content_type);
    }
    stream.create_with(options).await?;
    session.learn(path, stream.content_type());
    Ok(())
}

async fn read_all(stream: &DurableStream, offset: &str) -> Result<usize, Problem> {
    let mut builder = stream.read();
    if !offset.is_empty() {
        builder = builder.offset(offset);
    }
    let mut reader = builder.build()?;
    let mut bytes = 0;
    while let Some(chunk) = reader.next_chunk().await? {
        bytes += chunk.data.len();
    }
    Ok(bytes)
}
