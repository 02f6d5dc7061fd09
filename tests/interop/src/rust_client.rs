//! Our client against the server at the URL given: one line per check.
//! `restart` asks for the server to be killed and started anew; a line on standard input
//! answers. `cargo xtask interop` runs it against the official servers and ours.

#![allow(clippy::print_stdout, reason = "checks report on standard output")]

use std::{future::Future, io::BufRead, process::ExitCode, time::Duration};

use durable_streams::{
    Client, CloseOptions, CreateOptions, DurableStream, LiveMode, Offset, ProducerError, StreamError,
};
use serde_json::{Value, json};

type Checked = Result<(), Box<dyn std::error::Error>>;

/// Longest time for one check, a restart of the server included.
const LIMIT: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> ExitCode {
    let Some(url) = std::env::args().nth(1) else {
        eprintln!("usage: rust-client URL");
        return ExitCode::from(2);
    };
    let client = match Client::builder().base_url(format!("{url}/v1/stream")).build() {
        Ok(client) => client,
        Err(error) => {
            eprintln!("rust-client: {error}");
            return ExitCode::from(2);
        }
    };
    let mut checks = Checks { client, failed: false, number: 0 };
    checks.run("create, append, read bytes", bytes).await;
    checks.run("head tells type and tail", head).await;
    checks.run("create again with the same settings, not with others", create_again).await;
    checks.run("JSON messages come back as sent", json_messages).await;
    checks.run("resume from an offset", resume).await;
    checks.run("long-poll delivers what comes later", long_poll).await;
    checks.run("SSE delivers what comes later", sse).await;
    checks.run("SSE carries bytes", sse_bytes).await;
    checks.run("a closed stream ends readers and refuses appends", close).await;
    checks.run("a missing stream is not found", missing).await;
    checks.run("delete", delete).await;
    checks.run("a producer stores each message once, in order", producer_order).await;
    checks.run("a producer's repeated batch is dropped, a stale epoch refused", producer_epochs).await;
    checks.run("a restart loses and doubles nothing", restart).await;
    if checks.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Runs checks, each on a stream of its own.
struct Checks {
    client: Client,
    failed: bool,
    number: u32,
}

impl Checks {
    async fn run<F: Future<Output = Checked>>(&mut self, name: &str, check: impl FnOnce(DurableStream) -> F) {
        self.number += 1;
        let stream = self.client.stream(&format!("rust-client-{}-{}", std::process::id(), self.number));
        let outcome = tokio::time::timeout(LIMIT, check(stream)).await;
        match outcome.unwrap_or_else(|_| Err(format!("not done after {LIMIT:?}").into())) {
            Ok(()) => println!("ok {name}"),
            Err(error) => {
                self.failed = true;
                println!("FAILED {name}: {}", error.to_string().replace('\n', " "));
            }
        }
    }
}

async fn bytes(stream: DurableStream) -> Checked {
    stream.create().await?;
    let every: Vec<u8> = (0..=255).collect();
    stream.append(&every).await?;
    stream.append(&every).await?;
    same(&read_all(&stream, Offset::beginning()).await?, &[every.clone(), every].concat())
}

async fn head(stream: DurableStream) -> Checked {
    stream.create_with_options(CreateOptions::new().content_type("text/plain").initial_data("hello")).await?;
    let head = stream.head().await?;
    same(&head.content_type.as_deref(), &Some("text/plain"))?;
    same(&head.closed, &false)?;
    same(&read_all(&stream, head.offset).await?, &Vec::new())
}

async fn create_again(stream: DurableStream) -> Checked {
    stream.create_with_options(CreateOptions::new().content_type("application/json")).await?;
    stream.create_with_options(CreateOptions::new().content_type("application/json")).await?;
    match stream.create_with_options(CreateOptions::new().content_type("text/plain")).await {
        Err(StreamError::AlreadyExists) => Ok(()),
        other => Err(format!("another type gave {other:?}").into()),
    }
}

async fn json_messages(stream: DurableStream) -> Checked {
    create_json(&stream).await?;
    let messages = [json!({"n": 1}), json!("text \u{2028} \"quoted\""), json!(9_007_199_254_740_991_u64), json!(null)];
    for message in &messages {
        stream.append(message.to_string()).await?;
    }
    // A top-level array is several messages, an array inside it one.
    stream.append("[true, [1, [2]]]").await?;
    let mut wanted = messages.to_vec();
    wanted.extend([json!(true), json!([1, [2]])]);
    same(&read_json(&stream).await?, &wanted)
}

async fn resume(stream: DurableStream) -> Checked {
    create_json(&stream).await?;
    let after_first = stream.append("1").await?.next_offset;
    stream.append("2").await?;
    same(&json_array(&read_all(&stream, after_first).await?)?, &vec![json!(2)])
}

async fn long_poll(stream: DurableStream) -> Checked {
    live(stream, LiveMode::LongPoll).await
}

async fn sse(stream: DurableStream) -> Checked {
    live(stream, LiveMode::Sse).await
}

async fn live(stream: DurableStream, mode: LiveMode) -> Checked {
    create_json(&stream).await?;
    stream.append("\"early\"").await?;
    let mut reader = stream.read().offset(Offset::beginning()).live(mode).build()?;
    let mut got = Vec::new();
    let mut next = "\"later\"";
    while let Some(chunk) = reader.next_chunk().await? {
        if !chunk.data.is_empty() {
            got.extend(json_array(&chunk.data)?);
        }
        if chunk.up_to_date && !next.is_empty() {
            stream.append(next).await?;
            next = "";
        } else if got.len() == 2 {
            stream.close().await?;
        }
    }
    same(&got, &vec![json!("early"), json!("later")])
}

async fn sse_bytes(stream: DurableStream) -> Checked {
    stream.create().await?;
    let mut reader = stream.read().offset(Offset::beginning()).live(LiveMode::Sse).build()?;
    let every: Vec<u8> = (0..=255).collect();
    stream.append(&every).await?;
    stream.close().await?;
    let mut got = Vec::new();
    while let Some(chunk) = reader.next_chunk().await? {
        got.extend_from_slice(&chunk.data);
    }
    same(&got, &every)
}

async fn close(stream: DurableStream) -> Checked {
    create_json(&stream).await?;
    let closed = stream.close_with_options(CloseOptions::new().data("\"last\"")).await?;
    same(&stream.close().await?.final_offset, &closed.final_offset)?;
    let mut reader = stream.read().offset(Offset::beginning()).live(LiveMode::LongPoll).build()?;
    let mut got = Vec::new();
    while let Some(chunk) = reader.next_chunk().await? {
        if !chunk.data.is_empty() {
            got.extend(json_array(&chunk.data)?);
        }
    }
    same(&got, &vec![json!("last")])?;
    match stream.append("\"more\"").await {
        Err(StreamError::Closed) => Ok(()),
        other => Err(format!("an append gave {other:?}").into()),
    }
}

async fn missing(stream: DurableStream) -> Checked {
    let mut reader = stream.read().offset(Offset::beginning()).live(LiveMode::Off).build()?;
    match (stream.head().await, stream.append("x").await, reader.next_chunk().await) {
        (Err(StreamError::NotFound), Err(StreamError::NotFound), Err(StreamError::NotFound)) => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

async fn delete(stream: DurableStream) -> Checked {
    stream.create().await?;
    stream.delete().await?;
    match stream.head().await {
        Err(StreamError::NotFound) => Ok(()),
        other => Err(format!("head gave {other:?}").into()),
    }
}

async fn producer_order(stream: DurableStream) -> Checked {
    create_json(&stream).await?;
    let producer = stream.producer("writer").max_batch_bytes(512).build()?;
    for number in 0..2000 {
        producer.append(format!("{{\"n\":{number}}}")).await?;
    }
    producer.flush().await?;
    let wanted: Vec<Value> = (0..2000).map(|number| json!({"n": number})).collect();
    same(&read_json(&stream).await?, &wanted)
}

async fn producer_epochs(stream: DurableStream) -> Checked {
    create_json(&stream).await?;
    for _ in 0..2 {
        let producer = stream.producer("writer").epoch(1).build()?;
        producer.append("\"once\"").await?;
        producer.detach().await?;
    }
    same(&read_json(&stream).await?, &vec![json!("once")])?;
    let stale = stream.producer("writer").epoch(0).build()?;
    match stale.append("\"stale\"").acknowledged().await {
        Err(ProducerError::StaleEpoch { .. }) => {}
        other => return Err(format!("a stale epoch gave {other:?}").into()),
    }
    let claiming = stream.producer("writer").epoch(0).auto_claim(true).build()?;
    claiming.append("\"claimed\"").acknowledged().await?;
    same(&read_json(&stream).await?, &vec![json!("once"), json!("claimed")])
}

async fn restart(stream: DurableStream) -> Checked {
    create_json(&stream).await?;
    let tail = tokio::spawn(tail(stream.clone()));
    let producer = stream.producer("writer").max_batch_bytes(256).build()?;
    for number in 0..500 {
        producer.append(number.to_string()).await?;
    }
    producer.flush().await?;
    tokio::task::spawn_blocking(restart_server).await??;
    for number in 500..1000 {
        producer.append(number.to_string()).await?;
    }
    producer.close().await?;
    let wanted: Vec<Value> = (0..1000).map(|number| json!(number)).collect();
    same(&tail.await??, &wanted)?;
    same(&read_json(&stream).await?, &wanted)
}

/// Follows a stream to its end.
async fn tail(stream: DurableStream) -> Result<Vec<Value>, String> {
    let mut reader =
        stream.read().offset(Offset::beginning()).live(LiveMode::LongPoll).build().map_err(|e| e.to_string())?;
    let mut got = Vec::new();
    while let Some(chunk) = reader.next_chunk().await.map_err(|error| error.to_string())? {
        if !chunk.data.is_empty() {
            got.extend(json_array(&chunk.data).map_err(|error| error.to_string())?);
        }
    }
    Ok(got)
}

fn restart_server() -> std::io::Result<()> {
    println!("restart");
    std::io::stdin().lock().read_line(&mut String::new()).map(drop)
}

async fn create_json(stream: &DurableStream) -> Result<(), StreamError> {
    stream.create_with_options(CreateOptions::new().content_type("application/json")).await
}

async fn read_all(stream: &DurableStream, from: Offset) -> Result<Vec<u8>, StreamError> {
    let mut reader = stream.read().offset(from).live(LiveMode::Off).build()?;
    let mut body = Vec::new();
    while let Some(chunk) = reader.next_chunk().await? {
        body.extend_from_slice(&chunk.data);
    }
    Ok(body)
}

async fn read_json(stream: &DurableStream) -> Result<Vec<Value>, Box<dyn std::error::Error>> {
    let mut reader = stream.read().offset(Offset::beginning()).live(LiveMode::Off).build()?;
    let mut messages = Vec::new();
    while let Some(chunk) = reader.next_chunk().await? {
        messages.extend(json_array(&chunk.data)?);
    }
    Ok(messages)
}

fn json_array(data: &[u8]) -> serde_json::Result<Vec<Value>> {
    serde_json::from_slice(data)
}

fn same<T: PartialEq + std::fmt::Debug>(got: &T, wanted: &T) -> Checked {
    if got == wanted {
        return Ok(());
    }
    let shown = |value: &T| format!("{value:?}").chars().take(200).collect::<String>();
    Err(format!("got {}, wanted {}", shown(got), shown(wanted)).into())
}
