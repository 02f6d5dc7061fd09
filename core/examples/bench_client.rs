//! Measures the client against a running server, for `cargo xtask bench client`.
//!
//! ```text
//! bench_client read    --url http://127.0.0.1:4437/v1/stream [--bytes N] [--rounds N] [--json]
//! bench_client produce --url http://127.0.0.1:4437/v1/stream [--messages N] [--no-await] [--json]
//! ```
//!
//! `read` fills a byte stream, then reads it in turns through the reader and through a bare
//! HTTP loop that follows `Stream-Next-Offset`, and prints medians. `produce` writes JSON
//! messages of 100 bytes through a producer and prints messages per second and memory.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::{
    error::Error,
    time::{Duration, Instant, SystemTime},
};

use durable_streams::{Client, CreateOptions, DurableStream, protocol::headers};

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let client = Client::builder().base_url(&arguments.url).build()?;
    match arguments.command.as_str() {
        "read" => read(&client, &arguments).await,
        "produce" => produce(&client, &arguments).await,
        other => Err(format!("{other:?} is not a command; use `read` or `produce`").into()),
    }
}

struct Arguments {
    command: String,
    url: String,
    bytes: u64,
    rounds: usize,
    messages: u64,
    awaits: bool,
    json: bool,
}

impl Arguments {
    fn parse(mut given: impl Iterator<Item = String>) -> Outcome<Self> {
        let command = given.next().ok_or("say `read` or `produce`")?;
        let mut arguments = Self {
            command,
            url: String::new(),
            bytes: 256 * 1024 * 1024,
            rounds: 5,
            messages: 1_000_000,
            awaits: true,
            json: false,
        };
        while let Some(flag) = given.next() {
            let mut value = || given.next().ok_or(format!("{flag} needs a value"));
            match flag.as_str() {
                "--url" => arguments.url = value()?,
                "--bytes" => arguments.bytes = value()?.parse()?,
                "--rounds" => arguments.rounds = value()?.parse()?,
                "--messages" => arguments.messages = value()?.parse()?,
                "--no-await" => arguments.awaits = false,
                "--json" => arguments.json = true,
                _ => return Err(format!("{flag} is not a flag of this program").into()),
            }
        }
        if arguments.url.is_empty() {
            return Err("--url is missing; it is the URL below which streams live".into());
        }
        Ok(arguments)
    }
}

/// A new stream, so that runs do not disturb each other.
async fn fresh(client: &Client, name: &str, content_type: &str) -> Outcome<DurableStream> {
    let stamp = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos();
    let stream = client.stream(&format!("bench-{name}-{stamp}"));
    stream.create_with_options(CreateOptions::new().content_type(content_type)).await?;
    Ok(stream)
}

async fn read(client: &Client, arguments: &Arguments) -> Outcome<()> {
    let stream = fresh(client, "read", "application/octet-stream").await?;
    fill(&stream, arguments.bytes).await?;
    let bare = durable_streams::http_client_builder().build()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // One round of each warms connections and caches and does not count.
    for round in 0..=arguments.rounds {
        let (reader_took, loop_took) = if round % 2 == 0 {
            let reader_took = through_reader(&stream, arguments.bytes).await?;
            (reader_took, through_loop(&bare, stream.url(), arguments.bytes).await?)
        } else {
            let loop_took = through_loop(&bare, stream.url(), arguments.bytes).await?;
            (through_reader(&stream, arguments.bytes).await?, loop_took)
        };
        if round > 0 {
            ours.push(reader_took);
            theirs.push(loop_took);
        }
    }
    stream.delete().await?;
    let rate = |took: Duration| arguments.bytes as f64 / took.as_secs_f64() / (1024.0 * 1024.0);
    let (reader, bare) = (rate(median(ours)), rate(median(theirs)));
    if arguments.json {
        let result = serde_json::json!({
            "bench": "read", "bytes": arguments.bytes, "rounds": arguments.rounds,
            "reader_mib_per_second": reader, "bare_mib_per_second": bare, "ratio": reader / bare,
        });
        println!("{result}");
    } else {
        println!("read {} bytes, median of {} rounds each", arguments.bytes, arguments.rounds);
        println!("  reader     {reader:8.0} MiB/s");
        println!("  bare GETs  {bare:8.0} MiB/s");
        println!("  ratio      {:8.2}", reader / bare);
    }
    Ok(())
}

async fn fill(stream: &DurableStream, bytes: u64) -> Outcome<()> {
    let producer = stream.producer("filler").build()?;
    let piece: Vec<u8> = (0..1024 * 1024_u32).map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let mut rest = usize::try_from(bytes)?;
    while rest > 0 {
        let len = rest.min(piece.len());
        producer.append(&piece[..len]).await?;
        rest -= len;
    }
    producer.detach().await?;
    Ok(())
}

async fn through_reader(stream: &DurableStream, expected: u64) -> Outcome<Duration> {
    let begun = Instant::now();
    let mut chunks = stream.read().build()?;
    let mut read = 0;
    while let Some(chunk) = chunks.next_chunk().await? {
        read += chunk.data.len() as u64;
    }
    check(read, expected)?;
    Ok(begun.elapsed())
}

async fn through_loop(http: &reqwest::Client, url: &str, expected: u64) -> Outcome<Duration> {
    let begun = Instant::now();
    let (mut read, mut offset) = (0, "-1".to_owned());
    loop {
        let mut answer = http.get(format!("{url}?offset={offset}")).send().await?.error_for_status()?;
        let is_last = answer.headers().contains_key(headers::STREAM_UP_TO_DATE);
        let next = answer.headers().get(headers::STREAM_NEXT_OFFSET).ok_or("the answer has no Stream-Next-Offset")?;
        offset = next.to_str()?.to_owned();
        while let Some(piece) = answer.chunk().await? {
            read += piece.len() as u64;
        }
        if is_last {
            check(read, expected)?;
            return Ok(begun.elapsed());
        }
    }
}

fn check(read: u64, expected: u64) -> Outcome<()> {
    if read == expected { Ok(()) } else { Err(format!("read {read} bytes instead of {expected}").into()) }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

async fn produce(client: &Client, arguments: &Arguments) -> Outcome<()> {
    let stream = fresh(client, "produce", "application/json").await?;
    let producer = stream.producer("bench").build()?;
    let message = format!("{{\"text\":\"{}\"}}", "x".repeat(100 - 11));
    assert_eq!(message.len(), 100);
    let mut resident = Vec::new();
    let begun = Instant::now();
    for number in 0..arguments.messages {
        let receipt = producer.append(&message);
        if arguments.awaits {
            receipt.await?;
        }
        if number % (arguments.messages / 10).max(1) == 0 {
            resident.push(memory("VmRSS"));
        }
    }
    producer.flush().await?;
    let took = begun.elapsed().as_secs_f64();
    let (peak, after) = (memory("VmHWM"), memory("VmRSS"));
    let rate = arguments.messages as f64 / took;
    let count = producer.next_seq();
    stream.delete().await?;
    if arguments.json {
        let result = serde_json::json!({
            "bench": "produce", "messages": arguments.messages, "message_bytes": message.len(),
            "messages_per_second": rate, "seconds": took, "batches": count,
            "peak_rss_kib": peak, "rss_after_kib": after, "rss_at_tenths_kib": resident,
        });
        println!("{result}");
    } else {
        println!("{} messages of {} bytes in {took:.2} s and {count} batches", arguments.messages, message.len());
        println!("  rate       {rate:10.0} messages/s");
        println!("  peak RSS   {:10.1} MiB", mib(peak));
        println!("  RSS after  {:10.1} MiB", mib(after));
        println!("  RSS at each tenth (MiB): {:.0?}", resident.into_iter().map(mib).collect::<Vec<_>>());
    }
    Ok(())
}

fn mib(kib: Option<u64>) -> f64 {
    kib.unwrap_or_default() as f64 / 1024.0
}

/// A line of `/proc/self/status`. Units: KiB; `None` where there is no such file.
fn memory(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}
