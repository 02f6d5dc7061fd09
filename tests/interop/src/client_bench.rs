//! Speed of our client, measured for `cargo xtask bench client`; prints one JSON object.
//!
//! `fill URL` writes the 256 MiB stream, `read URL` reads it with our reader, `get URL`
//! with bare reqwest, `read-again URL` is the median of five reads after the first, `produce URL` writes a million JSON messages.

#![allow(clippy::print_stdout, reason = "the JSON result goes to standard output")]

use std::{process::ExitCode, time::Instant};

use bytes::Bytes;
use durable_streams::{
    Client, CreateOptions, DurableStream, LiveMode, Offset, http_client_builder,
    protocol::headers::{STREAM_NEXT_OFFSET, STREAM_UP_TO_DATE},
};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const MIB: f64 = 1024.0 * 1024.0;
const READ_BYTES: usize = 256 * 1024 * 1024;
const MESSAGES: usize = 1_000_000;
const MESSAGE_BYTES: usize = 100;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, url] = arguments.as_slice() else {
        eprintln!("usage: client-bench fill|read|read-again|get|produce URL");
        return ExitCode::from(2);
    };
    let outcome = match what.as_str() {
        "fill" => fill(url).await,
        "read" => read(url).await,
        "read-again" => read_again(url).await,
        "get" => get(url).await,
        "produce" => produce(url).await,
        other => Err(format!("{other:?} is none of fill, read, read-again, get, produce").into()),
    };
    match outcome {
        Ok(result) => {
            println!("{result}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("client-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn fill(url: &str) -> Outcome<Value> {
    let stream = big_stream(url)?;
    stream.create().await?;
    let piece = incompressible(1024 * 1024);
    for _ in 0..READ_BYTES / piece.len() {
        stream.append(&piece).await?;
    }
    Ok(json!({ "bytes": READ_BYTES }))
}

/// Bytes without a pattern, so that nothing on the way can be clever about them: xorshift.
fn incompressible(bytes: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..bytes / 8).flat_map(|_| next()).collect()
}

async fn read(url: &str) -> Outcome<Value> {
    let mut reader = big_stream(url)?.read().offset(Offset::beginning()).live(LiveMode::Off).build()?;
    let started = Instant::now();
    let mut bytes = 0;
    while let Some(chunk) = reader.next_chunk().await? {
        bytes += std::hint::black_box(chunk.data).len();
    }
    rate(bytes, started)
}

async fn read_again(url: &str) -> Outcome<Value> {
    read(url).await?;
    let mut rates = Vec::new();
    for _ in 0..5 {
        rates.push(read(url).await?["mib_per_second"].as_f64().ok_or("no figure")?);
    }
    rates.sort_by(f64::total_cmp);
    Ok(json!({ "mib_per_second": rates[2] }))
}

/// Follows the offsets by hand: the same requests, and nothing else of a client.
async fn get(url: &str) -> Outcome<Value> {
    let client = http_client_builder().build()?;
    let url = big_stream(url)?.url().to_owned();
    let (mut bytes, mut offset) = (0, "-1".to_owned());
    let started = Instant::now();
    loop {
        let mut answer = client.get(format!("{url}?offset={offset}")).send().await?.error_for_status()?;
        let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (next, up_to_date) = (header(STREAM_NEXT_OFFSET), header(STREAM_UP_TO_DATE).is_some());
        while let Some(piece) = answer.chunk().await? {
            bytes += std::hint::black_box::<Bytes>(piece).len();
        }
        match next {
            Some(next) if !up_to_date => offset = next,
            _ => return rate(bytes, started),
        }
    }
}

async fn produce(url: &str) -> Outcome<Value> {
    let stream = client(url)?.stream(&format!("produce-rust-{}", std::process::id()));
    stream.create_with_options(CreateOptions::new().content_type("application/json")).await?;
    let producer = stream.producer("bench").build()?;
    let (mut message, text) = (Vec::with_capacity(MESSAGE_BYTES), "x".repeat(74));
    let mut at_half = None;
    let started = Instant::now();
    for number in 0..MESSAGES {
        use std::io::Write as _;
        message.clear();
        write!(message, "{{\"n\":\"{number:08}\",\"text\":\"{text}\"}}")?;
        producer.append(&message).await?;
        if number == MESSAGES / 2 {
            at_half = peak_mib();
        }
    }
    producer.flush().await?;
    let seconds = started.elapsed().as_secs_f64();
    let peak = peak_mib();
    producer.detach().await?;
    Ok(json!({
        "messages_per_second": MESSAGES as f64 / seconds,
        "peak_mib": peak,
        "growth_mib": peak.zip(at_half).map(|(peak, half)| peak - half),
        "message_bytes": message.len(),
    }))
}

fn client(url: &str) -> Outcome<Client> {
    Ok(Client::builder().base_url(format!("{url}/v1/stream")).build()?)
}

fn big_stream(url: &str) -> Outcome<DurableStream> {
    Ok(client(url)?.stream("read-256-mib"))
}

fn rate(bytes: usize, started: Instant) -> Outcome<Value> {
    let seconds = started.elapsed().as_secs_f64();
    if bytes != READ_BYTES {
        return Err(format!("read {bytes} bytes of {READ_BYTES}").into());
    }
    Ok(json!({ "mib_per_second": bytes as f64 / MIB / seconds }))
}

/// Highest resident memory of this process so far, where the system tells (Linux).
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}
