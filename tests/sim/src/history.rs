//! What clients did and were told, and the plain model that judges it. The model knows
//! nothing of offsets, epochs in the engine or machines: it compares what was said with
//! what the disk holds in the end.

use std::collections::{BTreeMap, BTreeSet};

use durable_streams_protocol::{content_type::Framing, offset::Position};
use durable_streams_server::store::UnitRecord;

/// A message: who wrote it, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message {
    /// Index of the writer.
    pub writer: usize,
    /// Counted per writer from 0.
    pub number: u64,
}

/// A broken promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// An acknowledged message is in the stream.
    NothingLost,
    /// No message is there twice.
    NothingDoubled,
    /// The messages of a writer keep their order.
    OrderKept,
    /// What is stored was sent.
    NothingInvented,
    /// What a reader saw is a prefix of the stream.
    ReadsArePrefixes,
    /// A reader that saw the end saw everything.
    EndIsTheEnd,
    /// After closing nothing is added.
    ClosureIsFinal,
    /// An old epoch never writes after a newer one.
    OldEpochsAreFenced,
    /// With a calm network everything comes to an end.
    EverythingSettles,
    /// The server refuses no offset it issued and recovers from every crash.
    NoRefusal,
}

/// A broken promise with what broke it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What was promised.
    pub promise: Promise,
    /// What happened instead.
    pub detail: String,
}

/// What happened to one stream.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Messages handed to the network, with the epochs they travelled under.
    pub(crate) sent: BTreeMap<Message, BTreeSet<u64>>,
    /// Messages a writer was told are stored.
    pub(crate) acknowledged: BTreeSet<Message>,
    /// Final offsets that writers were told.
    pub(crate) closed_at: Vec<Option<String>>,
    /// What readers saw, in stored form.
    pub(crate) reads: Vec<Seen>,
}

/// What one reader saw from the beginning on.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) reader: usize,
    pub(crate) bytes: Vec<u8>,
    pub(crate) saw_end: bool,
}

/// How messages look in the bytes of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Format(pub(crate) Framing);

impl Format {
    /// The body of a batch.
    pub(crate) fn batch(self, messages: &[Message]) -> Vec<u8> {
        let mut stored: Vec<u8> = messages.iter().flat_map(|message| self.stored(*message)).collect();
        if self.0 == Framing::Json {
            stored.pop();
            stored.insert(0, b'[');
            stored.push(b']');
        }
        stored
    }

    fn stored(self, Message { writer, number }: Message) -> Vec<u8> {
        match self.0 {
            Framing::Json => format!("\"{writer}-{number}\",").into_bytes(),
            Framing::Text => format!("{writer}-{number}\n").into_bytes(),
            // Not UTF-8, so that a detour over text would show.
            Framing::Binary => [format!("{writer}-{number}").as_bytes(), &[0xff]].concat(),
        }
    }

    /// What a reader got, in stored form.
    pub(crate) fn unwrapped(self, data: &[u8]) -> Vec<u8> {
        if self.0 != Framing::Json {
            return data.to_vec();
        }
        let inner = data.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")).unwrap_or(data);
        if inner.is_empty() { Vec::new() } else { [inner, b","].concat() }
    }

    fn messages(self, stored: &[u8]) -> Option<Vec<Message>> {
        let end = match self.0 {
            Framing::Json => b',',
            Framing::Text => b'\n',
            Framing::Binary => 0xff,
        };
        let stored = stored.strip_suffix(&[end])?;
        let parse = |piece: &[u8]| {
            let text = std::str::from_utf8(piece).ok()?.trim_matches('"');
            let (writer, number) = text.split_once('-')?;
            Some(Message { writer: writer.parse().ok()?, number: number.parse().ok()? })
        };
        stored.split(|byte| *byte == end).map(parse).collect()
    }
}

/// Judges one stream by what its disk holds in the end. `ids` names the producer id of
/// each writer.
pub(crate) fn judge(
    stream: &str,
    format: Format,
    history: &History,
    units: &[UnitRecord],
    ids: &BTreeMap<usize, String>,
) -> Vec<Violation> {
    let log: Vec<u8> = units.iter().flat_map(|unit| unit.data.iter().copied()).collect();
    let mut found = Vec::new();
    let mut break_promise =
        |promise, detail: String| found.push(Violation { promise, detail: format!("{stream}: {detail}") });
    let messages = if log.is_empty() { Some(Vec::new()) } else { format.messages(&log) };
    let Some(messages) = messages else {
        break_promise(Promise::NothingInvented, "the stream holds bytes nobody sent".to_owned());
        return found;
    };

    let mut copies: BTreeMap<Message, usize> = BTreeMap::new();
    let mut last: BTreeMap<usize, u64> = BTreeMap::new();
    for message in &messages {
        let copy = copies.entry(*message).or_default();
        *copy += 1;
        if *copy > 1 {
            continue;
        }
        // First copies stand in order, whatever was claimed meanwhile.
        let newest = last.entry(message.writer).or_insert(message.number);
        if *newest > message.number {
            break_promise(Promise::OrderKept, format!("{message:?} stands after number {newest}"));
        }
        *newest = message.number;
    }
    for message in &history.acknowledged {
        if !copies.contains_key(message) {
            break_promise(Promise::NothingLost, format!("{message:?} was acknowledged and is not there"));
        }
    }
    for (message, count) in &copies {
        let epochs = history.sent.get(message).map_or(0, BTreeSet::len);
        if epochs == 0 {
            break_promise(Promise::NothingInvented, format!("{message:?} was never sent"));
        // protocol.md §20: claiming an epoch after an unknown outcome may store a batch again.
        } else if *count > epochs {
            break_promise(Promise::NothingDoubled, format!("{message:?} is there {count} times"));
        }
    }

    let mut newest: BTreeMap<&str, u64> = BTreeMap::new();
    for message in &messages {
        let (Some(epochs), Some(id)) = (history.sent.get(message), ids.get(&message.writer)) else { continue };
        let (Some(epoch), 1) = (epochs.first(), epochs.len()) else { continue };
        let in_force = newest.entry(id).or_insert(*epoch);
        if *epoch < *in_force {
            let detail = format!("{message:?} of epoch {epoch} stands after one of epoch {in_force}");
            break_promise(Promise::OldEpochsAreFenced, detail);
        }
        *in_force = (*in_force).max(*epoch);
    }

    for seen in &history.reads {
        let (reader, len) = (seen.reader, seen.bytes.len());
        if !log.starts_with(&seen.bytes) {
            let detail = format!("reader {reader} saw {len} bytes that are not the first {len} of {}", log.len());
            break_promise(Promise::ReadsArePrefixes, detail);
        } else if seen.saw_end && len != log.len() {
            let detail = format!("reader {reader} saw the end after {len} of {} bytes", log.len());
            break_promise(Promise::EndIsTheEnd, detail);
        }
    }

    let tail = Position(log.len() as u64).token().as_str().to_owned();
    for end in &history.closed_at {
        if end.as_ref().is_some_and(|end| *end != tail) {
            break_promise(Promise::ClosureIsFinal, format!("closed at {end:?}, but the stream ends at {tail}"));
        }
    }
    if let Some(index) = units.iter().position(|unit| unit.closes)
        && index + 1 != units.len()
    {
        break_promise(Promise::ClosureIsFinal, format!("{} units follow the closing one", units.len() - index - 1));
    }
    found
}
