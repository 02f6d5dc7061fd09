//! A lane: one stream after another, each with its writers and live readers, through as
//! many crashes as come. The client library survives them; nothing here repeats a request.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use durable_streams::{Client, CreateOptions, DurableStream, LiveMode, Offset, Producer, RetryPolicy, StreamError};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    history::{Life, Message, Verdict, check, check_reader},
    random::Random,
};

/// Writers of a stream.
const WRITERS: u64 = 3;
/// Messages of each writer on a stream that is closed in time. Lane 0 has one long stream.
const SHORT: u64 = 250;

/// What lanes share.
#[derive(Debug)]
pub(crate) struct Context {
    /// Seed of all choices.
    pub(crate) seed: u64,
    /// Set when the last generation runs.
    pub(crate) is_stopping: AtomicBool,
    /// Numbers the lives of writers.
    pub(crate) lives: AtomicU64,
    /// Messages acknowledged so far: progress.
    pub(crate) acknowledged: AtomicU64,
    /// Reads that went on from a saved offset in a new reader.
    pub(crate) resumed: AtomicU64,
    /// Speaks to the server.
    pub(crate) client: Client,
}

impl Context {
    /// A client that waits for a server however often it goes away.
    pub(crate) fn new(seed: u64, port: u16) -> Result<Self, String> {
        let client = Client::builder()
            .base_url(format!("http://127.0.0.1:{port}/v1/stream"))
            .retry(patience())
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self {
            seed,
            is_stopping: AtomicBool::new(false),
            lives: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            resumed: AtomicU64::new(0),
            client,
        })
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }
}

/// Retries without end and soon, since the server comes back soon.
fn patience() -> RetryPolicy {
    RetryPolicy {
        max_retries: RetryPolicy::UNLIMITED,
        initial_delay: Duration::from_millis(5),
        max_delay: Duration::from_millis(40),
        ..RetryPolicy::DEFAULT
    }
}

/// A stream that was closed, or deleted after that.
#[derive(Debug)]
pub(crate) struct Finished {
    name: String,
    content: u64,
    tail: Offset,
    is_deleted: bool,
}

/// What a lane hands back.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// All checks of its streams.
    pub(crate) verdict: Verdict,
    /// Its streams, for a last look.
    pub(crate) finished: Vec<Finished>,
    /// Messages live readers saw.
    pub(crate) read: u64,
}

/// Runs a lane until the context says to stop.
/// Errors: the client gave up, which it must not.
pub(crate) async fn run(context: Arc<Context>, lane: u64) -> Result<Report, String> {
    let mut random = Random::new(context.seed, lane + 1);
    let mut report = Report::default();
    let mut round = 0;
    while !context.is_stopping() {
        let name = format!("lane-{lane}/stream-{round}");
        let quota = if lane == 0 { u64::MAX } else { SHORT };
        let is_json = (lane + round) % 2 == 1;
        let finished = run_stream(&context, &name, is_json, quota, &mut random, &mut report)
            .await
            .map_err(|error| format!("{name}: {error}"))?;
        report.finished.push(finished);
        if random.once_in(3) {
            let victim = usize::try_from(random.below(report.finished.len() as u64)).unwrap_or_default();
            delete(&context, &mut report.finished[victim]).await?;
        }
        round += 1;
    }
    Ok(report)
}

async fn run_stream(
    context: &Arc<Context>,
    name: &str,
    is_json: bool,
    quota: u64,
    random: &mut Random,
    report: &mut Report,
) -> Result<Finished, String> {
    let content_type = if is_json { "application/json" } else { "text/plain" };
    let stream = context.client.stream(name);
    stream.create_with(CreateOptions::new().content_type(content_type)).await.map_err(said("create"))?;
    let readers = [("SSE", LiveMode::Sse), ("long-poll", LiveMode::LongPoll)].map(|(kind, live)| {
        let random = Random::new(random.next(), 0);
        (kind, tokio::spawn(read_live(Arc::clone(context), stream.clone(), is_json, live, random)))
    });
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let random = Random::new(random.next(), 0);
            tokio::spawn(write(Arc::clone(context), stream.clone(), is_json, quota, random))
        })
        .collect();
    let mut lives = Vec::new();
    for writer in writers {
        lives.extend(writer.await.map_err(said("writer"))??);
    }
    let closed = stream.close().await.map_err(said("close"))?;
    let (data, _) = read_whole(&stream).await?;
    let found = parse(&data, is_json)?;
    report.verdict += check(name, &lives, &found);
    for (kind, reader) in readers {
        let seen = reader.await.map_err(said("reader"))??;
        report.read += seen.len() as u64;
        report.verdict += check_reader(name, kind, &seen, &found);
    }
    Ok(Finished { name: name.to_owned(), content: xxh3_64(&data), tail: closed.final_offset, is_deleted: false })
}

/// One writer: bursts, flushes, and now and then a life that ends in the middle.
async fn write(
    context: Arc<Context>,
    stream: DurableStream,
    is_json: bool,
    quota: u64,
    mut random: Random,
) -> Result<Vec<Life>, String> {
    let mut lives = Vec::new();
    let mut written = 0;
    let (mut id, mut epoch) = (format!("writer-{}", random.next()), 0);
    let mut is_done = false;
    while !is_done {
        let number = context.lives.fetch_add(1, Ordering::Relaxed);
        let mut life = Life { life: number, sent: 0, acknowledged: 0 };
        let producer = producer(&stream, &id, epoch)?;
        loop {
            is_done = written >= quota || context.is_stopping();
            if is_done {
                break;
            }
            for _ in 0..=random.below(12) {
                let text = Message { life: number, number: life.sent }.text();
                let message = if is_json { format!("\"{text}\"") } else { format!("{text}\n") };
                // Dropped receipts: the flush tells.
                let _ = producer.append(message);
                life.sent += 1;
                written += 1;
            }
            if random.once_in(3) {
                flush(&context, &producer, &mut life).await?;
            } else {
                tokio::task::yield_now().await;
            }
            // A program that dies: what it had not flushed may or may not be stored.
            if random.once_in(40) {
                break;
            }
        }
        if is_done {
            flush(&context, &producer, &mut life).await?;
        }
        drop(producer);
        lives.push(life);
        // Its successor has the same name in the next epoch, or is somebody else.
        if random.once_in(2) {
            epoch += 1;
        } else {
            (id, epoch) = (format!("writer-{}", random.next()), 0);
        }
    }
    Ok(lives)
}

fn producer(stream: &DurableStream, id: &str, epoch: u64) -> Result<Producer, String> {
    let builder = stream.producer(id).epoch(epoch).linger(Duration::from_millis(1)).retry(patience());
    builder.build().map_err(said("producer"))
}

async fn flush(context: &Context, producer: &Producer, life: &mut Life) -> Result<(), String> {
    producer.flush().await.map_err(said("flush"))?;
    context.acknowledged.fetch_add(life.sent - life.acknowledged, Ordering::Relaxed);
    life.acknowledged = life.sent;
    Ok(())
}

/// One live reader to the end of the stream; now and then a new one from the saved offset.
async fn read_live(
    context: Arc<Context>,
    stream: DurableStream,
    is_json: bool,
    live: LiveMode,
    mut random: Random,
) -> Result<Vec<Message>, String> {
    let mut seen = Vec::new();
    let mut offset = Offset::Beginning;
    loop {
        let builder = stream.read().offset(offset.clone()).live(live).retry(patience());
        let mut reader = builder.build().map_err(said("reader"))?;
        loop {
            let Some(chunk) = reader.next_chunk().await.map_err(said("live read"))? else { return Ok(seen) };
            seen.extend(parse(&chunk.data, is_json)?);
            offset = chunk.next_offset;
            if random.once_in(40) {
                context.resumed.fetch_add(1, Ordering::Relaxed);
                break;
            }
        }
    }
}

/// A fresh read from the beginning to the tail, and whether the stream is closed there.
async fn read_whole(stream: &DurableStream) -> Result<(Vec<u8>, bool), String> {
    let builder = stream.read().offset(Offset::Beginning).live(LiveMode::Off).retry(patience());
    let mut reader = builder.build().map_err(said("reader"))?;
    let (mut data, mut is_closed) = (Vec::new(), false);
    while let Some(chunk) = reader.next_chunk().await.map_err(said("read"))? {
        // JSON arrays follow each other; lines end them.
        data.extend_from_slice(&chunk.data);
        data.push(b'\n');
        is_closed |= chunk.stream_closed;
    }
    Ok((data, is_closed))
}

/// The messages in one or several chunks.
fn parse(data: &[u8], is_json: bool) -> Result<Vec<Message>, String> {
    let mut texts = Vec::new();
    if is_json {
        for array in serde_json::Deserializer::from_slice(data).into_iter::<Vec<String>>() {
            texts.extend(array.map_err(said("parse"))?);
        }
    } else {
        let text = std::str::from_utf8(data).map_err(said("parse"))?;
        texts.extend(text.lines().filter(|line| !line.is_empty()).map(str::to_owned));
    }
    let parsed = |text: String| {
        Message::parse(&text).ok_or_else(|| format!("damaged message {:?}", text.chars().take(60).collect::<String>()))
    };
    texts.into_iter().map(parsed).collect()
}

async fn delete(context: &Context, finished: &mut Finished) -> Result<(), String> {
    // The answer to a first delete may have been lost with the server.
    match context.client.stream(&finished.name).delete().await {
        Ok(()) | Err(StreamError::NotFound) => finished.is_deleted = true,
        Err(error) => return Err(format!("{}: delete: {error}", finished.name)),
    }
    Ok(())
}

/// A last look at a stream: closed where it was closed with what it held, or still deleted.
pub(crate) async fn look_again(context: &Context, finished: &Finished, verdict: &mut Verdict) -> Result<(), String> {
    let stream = context.client.stream(&finished.name);
    let name = &finished.name;
    if finished.is_deleted {
        if !matches!(stream.head().await, Err(StreamError::NotFound)) {
            verdict.find(format!("{name}: deleted, and there again"));
        }
        return Ok(());
    }
    let head = stream.head().await.map_err(|error| format!("{name}: {error}"))?;
    if !head.closed || head.offset != finished.tail {
        verdict.find(format!("{name}: closed at {}, now {head:?}", finished.tail));
    }
    let (data, is_closed) = read_whole(&stream).await?;
    if !is_closed || xxh3_64(&data) != finished.content {
        verdict.find(format!("{name}: it reads differently than when it was closed"));
    }
    let mut writer = stream.clone();
    writer.set_content_type(head.content_type.unwrap_or_default());
    match writer.append("\"late\"").await {
        Err(StreamError::Closed) => {}
        other => verdict.find(format!("{name}: closed, and an append ends with {other:?}")),
    }
    Ok(())
}

fn said<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{what}: {error}")
}
