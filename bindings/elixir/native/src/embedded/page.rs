//! Reading by offset: pages of data, and pages of messages with an offset behind each.
//!
//! The engine's offsets lie between appends. A message inside a batch is named by the offset
//! before its batch and its number in it, `<offset>~<number>`: still ordered as text, and
//! understood here only.

use std::time::Duration;

use bytes::Bytes;
use durable_streams_protocol::{
    content_type::Framing,
    json_mode,
    offset::{Position, ReadFrom},
};
use durable_streams_server::{
    engine::{
        Engine, Reader,
        types::{Change, LookupError, ReadChunk, ReadError},
    },
    path::StreamPath,
};
use tokio::time::{Instant, timeout_at};

use super::streams::Refusal;

/// Where to read from, and how.
pub(super) struct ReadRequest {
    pub(super) path: StreamPath,
    pub(super) from: From,
    /// How long to wait for data, when there is none.
    pub(super) wait: Option<Duration>,
    /// Units: bytes in stored form.
    pub(super) max_bytes: usize,
}

/// A place between two messages.
#[derive(Clone, Copy)]
pub(super) struct From {
    start: ReadFrom,
    /// Messages after `start` to pass over.
    skip: u64,
}

impl From {
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let Some(at) = text.iter().position(|byte| *byte == MARK) else {
            return ReadFrom::parse(text).map(|start| Self { start, skip: 0 });
        };
        let (start, number) = (Position::parse(&text[..at])?, &text[at + 1..]);
        let is_number = number.len() == NUMBER_LEN && number.iter().all(u8::is_ascii_digit);
        let skip = std::str::from_utf8(number).ok().filter(|_| is_number)?.parse().ok()?;
        (skip > 0).then_some(Self { start: ReadFrom::At(start), skip })
    }
}

const MARK: u8 = b'~';
/// Digits of a message's number, so that offsets are ordered as text.
const NUMBER_LEN: usize = 10;

/// What one read found.
pub(super) struct Page {
    /// The data as a reader over HTTP would get it, in pieces.
    pub(super) data: Vec<Bytes>,
    pub(super) next: Position,
    pub(super) has_more: bool,
    pub(super) closed: bool,
}

/// Reads once.
pub(super) async fn read(engine: &Engine, request: ReadRequest) -> Result<Page, Refusal> {
    let mut reader = engine.reader(&request.path, request.from.start, request.wait.is_some())?;
    let mut chunk = first_chunk(&mut reader, &request, Pieces::Any).await?;
    let framing = reader.info().framing;
    let passed_over = passed_over(&chunk.data, framing, request.from.skip)?;
    if let Some(first) = chunk.data.first_mut() {
        *first = first.slice(passed_over..);
    }
    let (next, has_more, closed) = (chunk.next, !chunk.up_to_date, chunk.closed);
    Ok(Page { data: chunk.into_body(framing), next, has_more, closed })
}

/// Messages with the offset behind each.
pub(super) struct MessagePage {
    pub(super) messages: Vec<(Bytes, String)>,
    pub(super) next: Position,
    pub(super) has_more: bool,
    pub(super) closed: bool,
}

/// Most messages per page; each is a term of its own.
const MAX_MESSAGES: usize = 10_000;

/// Reads once, append by append: what one of them stored is a batch of messages on a JSON
/// stream, and one message on others.
pub(super) async fn read_messages(engine: &Engine, request: ReadRequest) -> Result<MessagePage, Refusal> {
    let mut reader = engine.reader(&request.path, request.from.start, request.wait.is_some())?;
    let framing = reader.info().framing;
    let mut chunk = first_chunk(&mut reader, &request, Pieces::Units).await?;
    passed_over(&chunk.data, framing, request.from.skip)?;
    let mut page = MessagePage { messages: Vec::new(), next: chunk.from, has_more: true, closed: false };
    let (mut skip, mut bytes) = (request.from.skip, 0);
    loop {
        for unit in &chunk.data {
            if bytes >= request.max_bytes || page.messages.len() >= MAX_MESSAGES {
                return Ok(page);
            }
            let before = page.next;
            bytes += unit.len();
            page.next = Position(before.0 + unit.len() as u64);
            put_messages(&mut page.messages, unit, framing, (before, skip), page.next);
            skip = 0;
        }
        if chunk.up_to_date {
            return Ok(MessagePage { has_more: false, closed: chunk.closed, ..page });
        }
        chunk = reader.next_units(request.max_bytes).await?;
    }
}

fn put_messages(
    messages: &mut Vec<(Bytes, String)>,
    unit: &Bytes,
    framing: Framing,
    (before, skip): (Position, u64),
    behind: Position,
) {
    if framing != Framing::Json {
        messages.push((unit.clone(), behind.to_string()));
        return;
    }
    for (message, number) in json_mode::messages(unit).zip(1..).filter(|(_, number)| *number > skip) {
        messages.push((unit.slice_ref(message), format!("{before}~{number:0NUMBER_LEN$}")));
    }
    // Behind the last one lies the next append.
    if let Some((_, offset)) = messages.last_mut() {
        *offset = behind.to_string();
    }
}

/// Length of the messages to pass over, at the start of what was read.
fn passed_over(data: &[Bytes], framing: Framing, messages: u64) -> Result<usize, Refusal> {
    if messages == 0 {
        return Ok(0);
    }
    let first = data.first().filter(|_| framing == Framing::Json).ok_or(Refusal::Offset)?;
    json_mode::prefix_len(first, messages).filter(|len| *len < first.len()).ok_or(Refusal::Offset)
}

/// How data comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pieces {
    Any,
    /// One piece per append.
    Units,
}

/// What is there; if that is nothing, what comes within the wait.
async fn first_chunk(reader: &mut Reader, request: &ReadRequest, pieces: Pieces) -> Result<ReadChunk, Refusal> {
    let deadline = request.wait.map(|wait| Instant::now() + wait);
    loop {
        let chunk = match pieces {
            Pieces::Any => reader.next(request.max_bytes).await?,
            Pieces::Units => reader.next_units(request.max_bytes).await?,
        };
        let Some(deadline) = deadline.filter(|_| chunk.is_empty() && !chunk.closed) else { return Ok(chunk) };
        match timeout_at(deadline, reader.changed()).await {
            Ok(Change::Advanced) => {}
            Ok(Change::Removed) => return Err(ReadError::Lookup(LookupError::NotFound).into()),
            Ok(Change::SoftDeleted) => return Err(ReadError::Lookup(LookupError::Gone).into()),
            Ok(Change::ShuttingDown) | Err(_) => return Ok(chunk),
        }
    }
}
