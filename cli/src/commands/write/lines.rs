//! Lines as messages, through a producer, at any length of the input.

use std::{borrow::Cow, collections::VecDeque, io::Read};

use durable_streams::{Producer, producer::AppendReceipt};
use serde_json::json;

use super::{PIECE_BYTES, Write, empty_input, random_producer_id, resume, unreadable};
use crate::{
    failure::Failure,
    input,
    kind::{self, Kind},
    messages, progress,
    report::note,
    units::count,
};

/// Receipts that may be open at once when each message is asked for.
const OPEN_RECEIPTS: usize = 256;

/// Writes each line as its own message. Without `--checkpoint`, an own producer id sends one
/// message per request: line n always carries sequence number n, so a repeated run, even of
/// an input that has grown since, adds only what is missing.
pub(super) async fn run(write: &Write<'_>, reader: impl Read + Send + 'static) -> Result<(), Failure> {
    let wants_json = write.args.ndjson || write.args.kind.json;
    let kind = kind::resolve("write to", &write.stream, &write.target, &write.args.kind, wants_json).await?;
    if let (Some(id), Some(checkpoint)) = (&write.args.producer_id, &write.args.checkpoint) {
        return resume::run(write, &kind, reader, id, checkpoint).await;
    }
    let producer = producer(write, &kind)?;
    let bar = progress::of_standard_input();
    let mut sending = Sending {
        write,
        kind: &kind,
        producer: &producer,
        is_exact: write.args.producer_id.is_some(),
        open: VecDeque::new(),
        written: Written::default(),
    };
    let mut blocks = input::lines(reader);
    let mut outcome = Ok(());
    while let Some(block) = blocks.recv().await {
        let block = block.map_err(unreadable)?;
        outcome = sending.send(&block).await;
        bar.inc(block.bytes.len() as u64);
        if outcome.is_err() {
            break;
        }
    }
    let written = sending.finish().await;
    bar.finish_and_clear();
    let written = written?;
    // A bad line ends the run, after the good ones before it.
    outcome.map_err(|failure| match failure {
        Failure::Input(text) => {
            Failure::Input(format!("{text}\n  written before it: {}", count(written.new, "message")))
        }
        Failure::Usage(_) | Failure::Request(_) | Failure::Local(_) | Failure::Unfaithful | Failure::OutputGone => {
            failure
        }
    })?;
    done(write, written)
}

/// How many messages a run brought.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Written {
    /// Messages stored by this run.
    pub(super) new: u64,
    /// Messages that an earlier run had stored.
    pub(super) known: u64,
}

/// What is stored for a line: on a JSON stream the value, else the line as it is.
/// `None` for a blank line that carries nothing.
/// Errors: names the line when it should be JSON and is not.
pub(super) fn message<'l>(kind: &Kind, number: u64, line: &'l [u8]) -> Result<Option<Cow<'l, [u8]>>, Failure> {
    if !kind.is_json {
        return Ok(Some(Cow::Borrowed(line)));
    }
    let value = line.trim_ascii();
    if value.is_empty() {
        return Ok(None);
    }
    messages::check(value).map_err(|error| Failure::Input(format!("line {number} is not JSON: {error}")))?;
    Ok(Some(if kind.keeps_messages { Cow::Borrowed(value) } else { Cow::Owned([value, b"\n"].concat()) }))
}

/// Reports how many messages were written.
/// Errors: the input held none at all.
pub(super) fn done(write: &Write<'_>, Written { new, known }: Written) -> Result<(), Failure> {
    if new + known == 0 {
        return Err(empty_input());
    }
    if known > 0 {
        note(&format!("stored by an earlier run already: {}", count(known, "message")));
    }
    write.session.report.done(
        "write",
        &write.target,
        &format!("Wrote {} to stream \"{}\"", count(new, "message"), write.target.id),
        json!({ "messages": new, "already_stored": known }),
    )
}

fn producer(write: &Write<'_>, kind: &Kind) -> Result<Producer, Failure> {
    let builder = match &write.args.producer_id {
        Some(id) => write.stream.producer(id).max_batch_items(1),
        None => write.stream.producer(random_producer_id()?).max_batch_bytes(PIECE_BYTES),
    };
    let producer = builder.content_type(&kind.content_type).linger(write.args.linger).build();
    producer.map_err(|error| Failure::no_producer(&error))
}

/// A run under way.
struct Sending<'r> {
    write: &'r Write<'r>,
    kind: &'r Kind,
    producer: &'r Producer,
    /// Each message is asked whether it is new.
    is_exact: bool,
    open: VecDeque<AppendReceipt<'r>>,
    written: Written,
}

impl Sending<'_> {
    async fn send(&mut self, block: &input::LineBlock) -> Result<(), Failure> {
        for (number, line) in block.lines() {
            let Some(message) = message(self.kind, number, line)? else { continue };
            let receipt = self.producer.append(message);
            if self.is_exact {
                self.open.push_back(receipt);
                if self.open.len() > OPEN_RECEIPTS {
                    self.settle_one().await?;
                }
            } else {
                receipt.accepted_detailed().await.map_err(|failure| self.write.failed(&failure))?;
                self.written.new += 1;
            }
        }
        Ok(())
    }

    async fn settle_one(&mut self) -> Result<(), Failure> {
        let Some(receipt) = self.open.pop_front() else { return Ok(()) };
        let stored = receipt.acknowledged_detailed().await.map_err(|failure| self.write.failed(&failure))?;
        if stored.duplicate {
            self.written.known += 1;
        } else {
            self.written.new += 1;
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Written, Failure> {
        while !self.open.is_empty() {
            self.settle_one().await?;
        }
        self.producer.detailed().detach().await.map_err(|failure| self.write.failed(&failure))?;
        Ok(self.written)
    }
}
