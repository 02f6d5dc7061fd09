//! The phases of the demo, in order.

use std::{
    fs, io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use durable_streams::{Client, CreateOptions, DurableStream, LiveMode, Offset, Producer, protocol::content_type};
use indicatif::ProgressBar;
use tokio::{sync::watch, task::JoinSet};

use super::{
    compare::{Comparison, Mark, Tally, Verdict, mark},
    feed::Feed,
    server::DemoServer,
    summary::{InputFacts, Kill, Phase, Summary},
};
use crate::{
    args::{OutputForm, Storage},
    failure::Failure,
    messages::{compact_into, split},
    progress,
    report::print,
    target::Target,
    units::{grouped, size},
};

/// The stream's id.
pub const STREAM: &str = "demo/feed";
const PRODUCER: &str = "demo-feed";
const QUEUED_BYTES: usize = 8 << 20;

/// One run of the demo.
pub struct Run {
    /// A file that can be read more than once.
    pub input: PathBuf,
    /// What to call it.
    pub input_name: String,
    /// Where the server keeps data.
    pub storage: Storage,
    /// How often the server is killed.
    pub kills: u32,
    /// The server's data directory.
    pub data_dir: PathBuf,
    /// How much is said on the way.
    pub form: OutputForm,
}

impl Run {
    /// Runs all phases.
    pub async fn all(&self) -> Result<Summary, Failure> {
        let facts = self.count_input()?;
        self.say(&format!("input   {}: {} events, {}", facts.name, grouped(facts.messages), size(facts.bytes)))?;
        let mut server = DemoServer::start(self.storage, &self.data_dir).await?;
        let place = match self.storage {
            Storage::File => format!("file storage in {}", self.data_dir.display()),
            Storage::Memory => "memory storage".to_owned(),
        };
        self.say(&format!("server  {}, {place}", server.streams_url()))?;
        let target = Target { id: STREAM.to_owned(), url: format!("{}/{STREAM}", server.streams_url()) };
        let stages = Stages { run: self, stream: client()?.stream(&target.url), target };
        let summary = stages.perform(&mut server, facts).await?;
        server.stop().await;
        Ok(summary)
    }

    fn count_input(&self) -> Result<InputFacts, Failure> {
        let bar = self.bar("counting the input", self.input_bytes()?);
        let mut feed = Feed::open(&self.input).map_err(bad_input)?;
        let mut tally = Tally::new();
        while feed.advance().map_err(bad_input)? {
            tally.add(feed.message());
            bar.set_position(feed.position());
        }
        bar.finish_and_clear();
        let (messages, bytes) = (tally.messages(), tally.bytes());
        if messages == 0 {
            return Err(Failure::Usage(format!("the input ({}) holds no events", self.input_name)));
        }
        Ok(InputFacts { name: self.input_name.clone(), messages, bytes, sha256: tally.sha256() })
    }

    fn input_bytes(&self) -> Result<u64, Failure> {
        fs::metadata(&self.input).map(|facts| facts.len()).map_err(bad_input)
    }

    /// Says a line, unless only a JSON object is wanted at the end.
    fn say(&self, line: &str) -> Result<(), Failure> {
        if self.form == OutputForm::Text { print(line) } else { Ok(()) }
    }

    fn bar(&self, what: &'static str, bytes: u64) -> ProgressBar {
        let bar = if self.form == OutputForm::Text { progress::bytes(Some(bytes)) } else { ProgressBar::hidden() };
        bar.set_prefix(format!("{what} "));
        bar
    }
}

/// A stream's messages held against the input.
type Check = Comparison<Box<dyn FnMut() -> io::Result<Option<Mark>> + Send>>;

/// The phases of one run, with the stream they work on.
struct Stages<'r> {
    run: &'r Run,
    target: Target,
    stream: DurableStream,
}

impl Stages<'_> {
    async fn perform(&self, server: &mut DemoServer, facts: InputFacts) -> Result<Summary, Failure> {
        let created = self.stream.detailed().create(CreateOptions::new().content_type(content_type::JSON)).await;
        created.map_err(|failure| Failure::request("create", &self.target, &failure))?;
        let input_bytes = self.run.input_bytes()?;
        let producer = self.producer(input_bytes)?;
        self.run.say(&format!("\n{}", Phase::HEADING))?;
        let mut phases = Vec::new();
        let mut passed = |phase: Phase| {
            self.run.say(&phase.line())?;
            phases.push(phase);
            Ok::<_, Failure>(())
        };

        let mut feed = Feed::up_to(&self.run.input, input_bytes / 2).map_err(bad_input)?;
        let written = self.write_first(&producer, &mut feed).await?;
        passed(written)?;

        let (position, mut check) = self.check()?;
        let (offset, read) = self.read_back(&mut check, feed.position()).await?;
        passed(read)?;

        let tail = Tail { stream: self.stream.clone(), target: self.target.clone(), offset, check, position };
        let begun = Instant::now();
        let before = (tail.check.tally().messages(), tail.check.tally().bytes());
        let (live, kills) = self.write_rest_and_tail(&producer, feed, tail, server).await?;
        passed(Phase {
            name: if kills.is_empty() { "write the rest, tail" } else { "write the rest, tail, kill" },
            messages: live.messages - before.0,
            bytes: live.bytes - before.1,
            took: begun.elapsed(),
        })?;

        let (again, read) = self.read_again(input_bytes).await?;
        passed(read)?;
        Ok(Summary { input: facts, storage: self.run.storage, phases, kills, live, again })
    }

    /// A producer whose batches are small enough that even a short feed takes many.
    fn producer(&self, input_bytes: u64) -> Result<Producer, Failure> {
        let batch_bytes = usize::try_from(input_bytes / 64).unwrap_or(usize::MAX).clamp(4 << 10, 1 << 20);
        let builder = self.stream.producer(PRODUCER).content_type(content_type::JSON).max_batch_bytes(batch_bytes);
        // A long input waits in the file, not in memory.
        let producer = builder.max_queued_bytes(QUEUED_BYTES).build();
        producer.map_err(|error| Failure::no_producer(&error))
    }

    async fn write_first(&self, producer: &Producer, feed: &mut Feed) -> Result<Phase, Failure> {
        let failed = |failure| Failure::request("write to", &self.target, &failure);
        let bar = self.run.bar("writing", self.run.input_bytes()? / 2);
        let begun = Instant::now();
        let (mut messages, mut bytes) = (0, 0);
        while feed.advance().map_err(bad_input)? {
            producer.append(feed.line()).accepted_detailed().await.map_err(failed)?;
            messages += 1;
            bytes += feed.message().len() as u64;
            bar.set_position(feed.position());
        }
        producer.detailed().flush().await.map_err(failed)?;
        bar.finish_and_clear();
        Ok(Phase { name: "write the first half", messages, bytes, took: begun.elapsed() })
    }

    /// A comparison with the input, and how far into the input it has come.
    fn check(&self) -> Result<(Arc<AtomicU64>, Check), Failure> {
        let mut feed = Feed::open(&self.run.input).map_err(bad_input)?;
        let position = Arc::new(AtomicU64::new(0));
        let reached = Arc::clone(&position);
        let expected = move || {
            let is_there = feed.advance()?;
            reached.store(feed.position(), Ordering::Relaxed);
            Ok(is_there.then(|| mark(feed.message())))
        };
        Ok((position, Comparison::new(Box::new(expected))))
    }

    async fn read_back(&self, check: &mut Check, bytes: u64) -> Result<(Offset, Phase), Failure> {
        let bar = self.run.bar("reading back", bytes);
        let begun = Instant::now();
        let mut reader = self.stream.read().reader().map_err(|failure| self.unread(&failure))?;
        while let Some(batch) = reader.next_batch().await.map_err(|failure| self.unread(&failure))? {
            take(check, &batch.data)?;
            bar.set_position(check.tally().bytes());
        }
        bar.finish_and_clear();
        let (messages, bytes) = (check.tally().messages(), check.tally().bytes());
        Ok((
            reader.offset().clone(),
            Phase { name: "read back from the start", messages, bytes, took: begun.elapsed() },
        ))
    }

    async fn write_rest_and_tail(
        &self,
        producer: &Producer,
        mut feed: Feed,
        tail: Tail,
        server: &mut DemoServer,
    ) -> Result<(Verdict, Vec<Kill>), Failure> {
        feed.extend_to(u64::MAX);
        let plan = KillPlan::new(self.run.kills, feed.position(), self.run.input_bytes()?);
        let seen = watch::Sender::new(Seen { messages: tail.check.tally().messages(), position: 0 });
        let done = watch::Sender::new(0);
        let appended = AtomicU64::new(tail.check.tally().messages());
        let bar = self.run.bar("writing and tailing", self.run.input_bytes()?);
        // Dropping the set ends the task.
        let mut tailing = JoinSet::new();
        let (seen_by_killer, done_for_writer) = (seen.subscribe(), done.subscribe());
        tailing.spawn(tail.follow(seen, bar.clone()));
        let tailed = async {
            match tailing.join_next().await {
                Some(Ok(verdict)) => verdict,
                Some(Err(error)) => Err(Failure::Local(format!("the tailing reader: {error}"))),
                None => Err(Failure::Local("the tailing reader did not start".to_owned())),
            }
        };
        let written = self.write_rest(producer, &mut feed, &plan, done_for_writer, &appended);
        let killed = plan.carry_out(server, seen_by_killer, &done, &appended);
        let ((), kills, verdict) = tokio::try_join!(written, killed, tailed)?;
        bar.finish_and_clear();
        Ok((verdict, kills))
    }

    async fn write_rest(
        &self,
        producer: &Producer,
        feed: &mut Feed,
        plan: &KillPlan,
        mut done: watch::Receiver<usize>,
        appended: &AtomicU64,
    ) -> Result<(), Failure> {
        let failed = |failure| Failure::request("write to", &self.target, &failure);
        // Each gate holds the writer until the kill before it has happened, so that every
        // kill falls into the middle of the writing, whatever the speed of the machine.
        let mut gates = plan.gates.iter().enumerate().peekable();
        while feed.advance().map_err(bad_input)? {
            while let Some((i, _)) = gates.next_if(|(_, gate)| feed.position() > **gate) {
                let _ = done.wait_for(|done| *done > i).await;
            }
            producer.append(feed.line()).accepted_detailed().await.map_err(failed)?;
            appended.fetch_add(1, Ordering::Relaxed);
        }
        let _ = done.wait_for(|done| *done == plan.gates.len()).await;
        producer.detailed().close_stream(None).await.map_err(failed)?;
        Ok(())
    }

    async fn read_again(&self, bytes: u64) -> Result<(Verdict, Phase), Failure> {
        let bar = self.run.bar("reading all again", bytes);
        let (_, mut check) = self.check()?;
        let begun = Instant::now();
        let stream = client()?.stream(&self.target.url);
        let mut reader = stream.read().reader().map_err(|failure| self.unread(&failure))?;
        while let Some(batch) = reader.next_batch().await.map_err(|failure| self.unread(&failure))? {
            take(&mut check, &batch.data)?;
            bar.set_position(check.tally().bytes());
        }
        bar.finish_and_clear();
        let took = begun.elapsed();
        let verdict = check.finish().map_err(bad_input)?;
        let (messages, bytes) = (verdict.messages, verdict.bytes);
        Ok((verdict, Phase { name: "read all again from the start", messages, bytes, took }))
    }

    fn unread(&self, failure: &durable_streams::Failure) -> Failure {
        Failure::request("read", &self.target, failure)
    }
}

/// How far the tailing reader has come.
#[derive(Debug, Clone, Copy)]
struct Seen {
    messages: u64,
    /// Byte of the input.
    position: u64,
}

/// A live read that holds what arrives against the input, until the stream is closed.
struct Tail {
    stream: DurableStream,
    target: Target,
    offset: Offset,
    check: Check,
    position: Arc<AtomicU64>,
}

impl Tail {
    async fn follow(mut self, seen: watch::Sender<Seen>, bar: ProgressBar) -> Result<Verdict, Failure> {
        let unread = |failure| Failure::request("read", &self.target, &failure);
        let mut reader = self.stream.read().offset(self.offset).live_mode(LiveMode::Auto).reader().map_err(unread)?;
        while let Some(batch) = reader.next_batch().await.map_err(unread)? {
            take(&mut self.check, &batch.data)?;
            let position = self.position.load(Ordering::Relaxed);
            bar.set_position(position);
            seen.send_replace(Seen { messages: self.check.tally().messages(), position });
        }
        self.check.finish().map_err(bad_input)
    }
}

/// When the server is killed, and where the writer waits for it. Units: bytes of the input.
struct KillPlan {
    kills: Vec<u64>,
    gates: Vec<u64>,
}

impl KillPlan {
    /// Spreads the kills evenly over the rest of the input.
    fn new(count: u32, begin: u64, end: u64) -> Self {
        let parts = u128::from(2 * count + 1);
        let at = |part: u32| {
            let way = u128::from(end.saturating_sub(begin)) * u128::from(part) / parts;
            begin + u64::try_from(way).unwrap_or(u64::MAX)
        };
        Self { kills: (0..count).map(|i| at(2 * i + 1)).collect(), gates: (0..count).map(|i| at(2 * i + 2)).collect() }
    }

    async fn carry_out(
        &self,
        server: &mut DemoServer,
        mut seen: watch::Receiver<Seen>,
        done: &watch::Sender<usize>,
        appended: &AtomicU64,
    ) -> Result<Vec<Kill>, Failure> {
        let mut kills = Vec::with_capacity(self.kills.len());
        for (i, kill) in self.kills.iter().enumerate() {
            let Ok(reached) = seen.wait_for(|seen| seen.position >= *kill).await.map(|seen| *seen) else {
                // The reader failed; its own error ends the phase.
                return std::future::pending().await;
            };
            let under_way = appended.load(Ordering::Relaxed).saturating_sub(reached.messages);
            server.kill().await?;
            // The writer goes on while nobody answers.
            done.send_replace(i + 1);
            let gap = server.restart().await?;
            kills.push(Kill { at_message: reached.messages, under_way, gap });
        }
        Ok(kills)
    }
}

fn take(check: &mut Check, array: &[u8]) -> Result<(), Failure> {
    let broken = |error: &dyn std::error::Error| Failure::Local(format!("the server sent no valid JSON: {error}"));
    let text = std::str::from_utf8(array).map_err(|error| broken(&error))?;
    let mut compact = Vec::new();
    for message in split(text).map_err(|error| broken(&error))? {
        compact.clear();
        compact_into(&mut compact, message.get().as_bytes());
        check.message(&compact).map_err(bad_input)?;
    }
    Ok(())
}

fn client() -> Result<Client, Failure> {
    Client::builder().build().map_err(|error| Failure::Local(format!("cannot set up the HTTP client: {error}")))
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn bad_input(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::InvalidData {
        return Failure::Input(error.to_string());
    }
    Failure::Local(format!("cannot read the input: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_and_gates_alternate_within_the_rest() {
        let plan = KillPlan::new(3, 1000, 8000);
        assert_eq!((plan.kills, plan.gates), (vec![2000, 4000, 6000], vec![3000, 5000, 7000]));
        let none = KillPlan::new(0, 0, 100);
        assert!(none.kills.is_empty() && none.gates.is_empty());
        let tiny = KillPlan::new(1, 10, 10);
        assert_eq!((tiny.kills, tiny.gates), (vec![10], vec![10]));
    }
}
