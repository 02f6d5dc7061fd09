//! Exactly-once lines with a progress file. Before a batch leaves, the file says which part
//! of the input it is and under which sequence number it goes; a run that crashed repeats
//! just that batch, and the server drops it if it was stored already.

use std::{
    fs, io,
    io::Read,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use durable_streams::AppendOptions;
use ring::digest::{Context, SHA256};
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use super::{
    Write,
    lines::{Written, done, message},
    unreadable,
};
use crate::{
    checkpoint::replace,
    failure::Failure,
    input::{self, LineBlock},
    kind::Kind,
    progress,
    report::note,
};

/// A batch leaves once it is this long.
const BATCH_BYTES: u64 = 1 << 19;

/// Writes the lines that the progress file does not count as stored.
pub(super) async fn run(
    write: &Write<'_>,
    kind: &Kind,
    reader: impl Read + Send + 'static,
    producer_id: &str,
    path: &Path,
) -> Result<(), Failure> {
    let url = &write.target.url;
    let loaded = Progress::load(path, url, producer_id).map_err(Failure::Usage)?;
    let bar = progress::of_standard_input();
    let mut input = Input::new(reader);
    let mut progress = if let Some(progress) = loaded { progress } else { Progress::new(url, producer_id)? };
    input.skip(&progress, path).await?;
    bar.inc(progress.stored.bytes);
    let is_begun = progress.stored.bytes > 0;
    let mut written = Written::default();
    loop {
        let mut batch = Batch::default();
        let outcome = match progress.planned.take() {
            Some(planned) => input
                .fill_to(&mut batch, kind, planned.bytes)
                .await
                .and_then(|()| if input.mark() == planned { Ok(()) } else { Err(changed(path)) }),
            None => input.fill(&mut batch, kind, write.args.linger).await,
        };
        if batch.is_empty() {
            outcome?;
            break;
        }
        // A bad line ends the run, after the good ones before it.
        if outcome.is_err() && !matches!(outcome, Err(Failure::Input(_))) {
            return outcome;
        }
        let end = input.mark();
        if !batch.messages.is_empty() {
            progress.planned = Some(end.clone());
            progress.store(path)?;
            let options = AppendOptions::new().content_type(&kind.content_type).producer(
                producer_id,
                progress.epoch,
                progress.seq,
            );
            let appended = write.stream.detailed().append(batch.body(kind).into(), options).await;
            let appended = appended.map_err(|failure| write.failed(&failure))?.value;
            progress.seq += 1;
            let messages = batch.messages.len() as u64;
            if appended.duplicate {
                written.known += messages;
            } else {
                written.new += messages;
            }
        }
        bar.inc(end.bytes - progress.stored.bytes);
        progress.stored = end;
        progress.planned = None;
        progress.store(path)?;
        outcome?;
    }
    bar.finish_and_clear();
    if is_begun && written.new + written.known == 0 {
        note(&format!("nothing new: \"{}\" counts all of the input as stored", path.display()));
        return write.session.report.done(
            "write",
            &write.target,
            &format!("Wrote 0 messages to stream \"{}\"", write.target.id),
            json!({ "messages": 0, "already_stored": 0 }),
        );
    }
    done(write, written)
}

/// A prefix of the input: its length and content.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    bytes: u64,
    sha256: String,
}

/// The progress file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Progress {
    url: String,
    producer_id: String,
    epoch: u64,
    seq: u64,
    stored: Mark,
    planned: Option<Mark>,
}

impl Progress {
    /// A fresh start. The epoch is the time in seconds, so a start without the old file
    /// begins anew instead of being taken for a repetition.
    fn new(url: &str, producer_id: &str) -> Result<Self, Failure> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_err(|_| Failure::Local("the system clock stands before 1970".to_owned()))?;
        let stored = Mark { bytes: 0, sha256: Running::new().hex() };
        Ok(Self {
            url: url.to_owned(),
            producer_id: producer_id.to_owned(),
            epoch: now.as_secs(),
            seq: 0,
            stored,
            planned: None,
        })
    }

    fn load(path: &Path, url: &str, producer_id: &str) -> Result<Option<Self>, String> {
        let shown = path.display();
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("cannot read checkpoint \"{shown}\": {error}")),
        };
        let stored = serde_json::from_str(&text).ok().as_ref().and_then(Self::from_json).ok_or_else(|| {
            format!("checkpoint \"{shown}\" is not one of ours; give another file, or remove it to start over")
        })?;
        if stored.url != url || stored.producer_id != producer_id {
            return Err(format!(
                "checkpoint \"{shown}\" belongs to producer \"{}\" of {}; give another file for producer \"{producer_id}\" of {url}",
                stored.producer_id, stored.url
            ));
        }
        Ok(Some(stored))
    }

    fn store(&self, path: &Path) -> Result<(), Failure> {
        replace(path, &format!("{}\n", self.to_json())).map_err(Failure::Local)
    }

    fn to_json(&self) -> Value {
        let mark = |mark: &Mark| json!({ "bytes": mark.bytes, "sha256": mark.sha256 });
        json!({
            "stream": self.url,
            "producer_id": self.producer_id,
            "epoch": self.epoch,
            "next_seq": self.seq,
            "stored": mark(&self.stored),
            "planned": self.planned.as_ref().map(mark),
        })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let mark = |value: &Value| {
            Some(Mark { bytes: value.get("bytes")?.as_u64()?, sha256: value.get("sha256")?.as_str()?.to_owned() })
        };
        let planned = value.get("planned")?;
        Some(Self {
            url: value.get("stream")?.as_str()?.to_owned(),
            producer_id: value.get("producer_id")?.as_str()?.to_owned(),
            epoch: value.get("epoch")?.as_u64()?,
            seq: value.get("next_seq")?.as_u64()?,
            stored: mark(value.get("stored")?)?,
            planned: if planned.is_null() { None } else { Some(mark(planned)?) },
        })
    }
}

/// Messages that go in one request.
#[derive(Default)]
struct Batch {
    messages: Vec<Vec<u8>>,
    lines: u64,
}

impl Batch {
    const fn is_empty(&self) -> bool {
        self.lines == 0
    }

    fn body(&self, kind: &Kind) -> Vec<u8> {
        if kind.keeps_messages {
            [b"[", self.messages.join(&b","[..]).as_slice(), b"]"].concat()
        } else {
            self.messages.concat()
        }
    }
}

/// The input, line by line, with the mark of what was taken.
struct Input {
    blocks: mpsc::Receiver<io::Result<LineBlock>>,
    block: LineBlock,
    taken: usize,
    number: u64,
    bytes: u64,
    running: Running,
}

impl Input {
    fn new(reader: impl Read + Send + 'static) -> Self {
        let block = LineBlock::default();
        Self { blocks: input::lines(reader), block, taken: 0, number: 0, bytes: 0, running: Running::new() }
    }

    fn mark(&self) -> Mark {
        Mark { bytes: self.bytes, sha256: self.running.hex() }
    }

    /// Passes over what is stored already, and makes sure that it is the same.
    async fn skip(&mut self, progress: &Progress, path: &Path) -> Result<(), Failure> {
        while self.bytes < progress.stored.bytes {
            if self.peek().await?.is_none() {
                return Err(changed(path));
            }
            self.take();
        }
        if self.mark() == progress.stored { Ok(()) } else { Err(changed(path)) }
    }

    /// Takes lines up to a byte position of the input.
    async fn fill_to(&mut self, batch: &mut Batch, kind: &Kind, end: u64) -> Result<(), Failure> {
        while self.bytes < end && self.add(batch, kind).await? {}
        Ok(())
    }

    /// Takes lines until the batch is long enough, or nothing more came in time.
    async fn fill(&mut self, batch: &mut Batch, kind: &Kind, linger: Duration) -> Result<(), Failure> {
        let begin = self.bytes;
        if !self.add(batch, kind).await? {
            return Ok(());
        }
        let deadline = Instant::now() + linger;
        while self.bytes - begin < BATCH_BYTES {
            let added = timeout_at(deadline, self.add(batch, kind)).await;
            if !added.unwrap_or(Ok(false))? {
                break;
            }
        }
        Ok(())
    }

    /// Takes one line into the batch; false at the end. Waiting may be given up without loss.
    async fn add(&mut self, batch: &mut Batch, kind: &Kind) -> Result<bool, Failure> {
        let Some(line) = self.peek().await? else { return Ok(false) };
        let line = line.to_vec();
        let message = message(kind, self.number + 1, &line)?;
        batch.messages.extend(message.map(std::borrow::Cow::into_owned));
        batch.lines += 1;
        self.take();
        Ok(true)
    }

    async fn peek(&mut self) -> Result<Option<&[u8]>, Failure> {
        if self.taken == self.block.bytes.len() {
            match self.blocks.recv().await {
                Some(block) => {
                    self.block = block.map_err(unreadable)?;
                    self.taken = 0;
                }
                None => return Ok(None),
            }
        }
        Ok(Some(self.line()))
    }

    fn take(&mut self) {
        let length = self.line().len();
        let line = &self.block.bytes[self.taken..self.taken + length];
        self.running.0.update(line);
        self.taken += length;
        self.bytes += length as u64;
        self.number += 1;
    }

    fn line(&self) -> &[u8] {
        self.block.bytes[self.taken..].split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default()
    }
}

/// A running SHA-256 that can be asked in between.
#[derive(Clone)]
struct Running(Context);

impl Running {
    fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    fn hex(&self) -> String {
        self.0.clone().finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn changed(path: &Path) -> Failure {
    Failure::Usage(format!(
        "the input does not begin with what checkpoint \"{}\" counts as stored; give the same input from its start, or another checkpoint file",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_progress_file_reads_back() {
        let mut progress = Progress::new("http://h/s", "p").expect("a clock");
        assert_eq!(Progress::from_json(&progress.to_json()), Some(progress.clone()));
        progress.planned = Some(Mark { bytes: 3, sha256: "ab".to_owned() });
        assert_eq!(Progress::from_json(&progress.to_json()), Some(progress));
    }

    #[tokio::test]
    async fn an_input_that_changed_is_refused() {
        let path = Path::new("mark");
        let mut first = Input::new(&b"1\n2\n"[..]);
        let mut progress = Progress::new("http://h/s", "p").expect("a clock");
        while first.peek().await.expect("readable").is_some() {
            first.take();
        }
        progress.stored = first.mark();
        assert!(Input::new(&b"1\n2\n3\n"[..]).skip(&progress, path).await.is_ok());
        for other in [&b"1\n3\n4\n"[..], b"1\n", b"1\n22\n"] {
            assert!(matches!(Input::new(other).skip(&progress, path).await, Err(Failure::Usage(_))));
        }
    }
}
