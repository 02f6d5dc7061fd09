//! The run: server, readers, producers, a watch over the server's resources, delivery,
//! drain.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use durable_streams::{Client, CreateOptions};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, interval, sleep, timeout},
};

use crate::{
    Args,
    checks::{Growth, Sample},
    ledger::Ledger,
    producer,
    reader::{self, End, Reader},
    server::{Server, lift_descriptor_limit},
};

/// Connections opened at once.
const OPENING: usize = 200;
/// How long readers may take to connect, and to get what is left at the end.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long the server may take to stop.
const DRAIN: Duration = Duration::from_secs(30);
/// How often the server is looked at.
const WATCH: Duration = Duration::from_secs(1);
/// How often a line is printed.
const SAY: u64 = 15;

const MIB: f64 = 1024.0 * 1024.0;

/// Path of streams below the server.
const ROOT: &str = "/v1/stream";

/// Name of a stream.
pub(crate) fn stream_name(stream: usize) -> String {
    format!("soak/{stream}")
}

/// Path of a stream.
pub(crate) fn stream_path(stream: usize) -> String {
    format!("{ROOT}/{}", stream_name(stream))
}

/// Every second stream is JSON.
pub(crate) const fn is_json(stream: usize) -> bool {
    stream % 2 == 1
}

type Ended = Result<End, String>;

struct Soak {
    args: Args,
    ledger: Arc<Ledger>,
    server: Server,
    client: Client,
    readers: JoinSet<Ended>,
    samples: Vec<Sample>,
}

/// Runs everything and prints the verdict; `false` when a check failed.
pub(crate) async fn run(args: &Args) -> Result<bool, String> {
    if args.streams < args.producers || args.readers < args.client_readers || args.producers == 0 {
        return Err("there must be a producer, a stream for each, and as many readers as client readers".to_owned());
    }
    let limit = lift_descriptor_limit()?;
    let needed = (args.readers + 10 * args.producers + 100) as u64;
    if limit < needed {
        return Err(format!("{needed} open files are needed and {limit} allowed; raise the hard limit (ulimit -Hn)"));
    }
    let folder = tempfile::Builder::new()
        .prefix("durable-streams-soak-")
        .tempdir()
        .map_err(|error| format!("no temporary folder: {error}"))?;
    let server = Server::start(&args.server, folder.path()).await?;
    let client = Client::builder().base_url(format!("http://{}{ROOT}", server.address)).build();
    let mut soak = Soak {
        args: args.clone(),
        ledger: Arc::new(Ledger::new(args.streams, args.readers)),
        server,
        client: client.map_err(|error| error.to_string())?,
        readers: JoinSet::new(),
        samples: Vec::new(),
    };
    soak.create().await?;
    soak.connect().await?;
    let stored = soak.write().await?;
    let is_delivered = soak.deliver().await;
    let growth = Growth::of(&soak.samples, stored, args.readers, args.producers)
        .ok_or("too short to judge growth; write longer")?;
    println!(
        "in the last {:.0} s memory grew by {:.1} MiB (allowed {:.1}), open descriptors by {:.1} (allowed {:.1})",
        growth.seconds,
        growth.resident / MIB,
        growth.resident_allowed / MIB,
        growth.descriptors,
        growth.descriptors_allowed
    );
    let ledger = Arc::clone(&soak.ledger);
    let is_drained = soak.drain().await?;
    for failure in ledger.failures().iter().take(10) {
        println!("FAILED {failure}");
    }
    let is_good = is_delivered && growth.is_flat() && is_drained && !ledger.has_failed();
    println!(
        "delivery {}, growth {}, drain {}: {}",
        told(is_delivered && !ledger.has_failed()),
        told(growth.is_flat()),
        told(is_drained),
        if is_good { "passed" } else { "failed" }
    );
    Ok(is_good)
}

const fn told(is_good: bool) -> &'static str {
    if is_good { "ok" } else { "FAILED" }
}

impl Soak {
    async fn create(&self) -> Result<(), String> {
        for stream in 0..self.args.streams {
            let options = CreateOptions::new().content_type(producer::content_type(stream));
            let created = self.client.stream(&stream_name(stream)).create_with_options(options).await;
            created.map_err(|error| format!("stream {stream}: {error}"))?;
        }
        Ok(())
    }

    /// Starts all readers and waits until they are there.
    async fn connect(&mut self) -> Result<(), String> {
        let started = Instant::now();
        let gate = Arc::new(Semaphore::new(OPENING));
        for index in 0..self.args.readers {
            let ledger = Arc::clone(&self.ledger);
            if index < self.args.client_readers {
                self.readers.spawn(reader::with_client(ledger, self.client.clone(), index));
            } else {
                let reader = Reader { ledger, server: self.server.address, index, gate: Arc::clone(&gate) };
                self.readers.spawn(reader.run());
            }
        }
        while self.ledger.connected.load(Ordering::Relaxed) < self.args.readers {
            sleep(Duration::from_millis(50)).await;
            self.collect_failures();
            if self.ledger.has_failed() || started.elapsed() > PATIENCE {
                let failures = self.ledger.failures();
                return Err(format!("readers do not connect: {:?}", failures.first()));
            }
        }
        println!("{} readers connected in {:.1} s", self.args.readers, started.elapsed().as_secs_f64());
        Ok(())
    }

    /// Writes for as long as asked and watches the server meanwhile.
    /// Returns what was appended. Units: bytes per second.
    async fn write(&mut self) -> Result<f64, String> {
        let Args { producers, streams, rate, seconds, message_bytes, .. } = self.args;
        let every = Duration::from_secs(1) * u32::try_from(producers).unwrap_or(u32::MAX) / rate.max(1);
        let started = Instant::now();
        let mut writing = JoinSet::new();
        for index in 0..producers {
            let dealt: Vec<usize> = (index..streams).step_by(producers).collect();
            let first_at = started + every.mul_f64(index as f64 / producers as f64);
            let (ledger, client) = (Arc::clone(&self.ledger), self.client.clone());
            writing.spawn(producer::run(ledger, client, index, dealt, every, first_at, message_bytes));
        }
        let mut watch = interval(WATCH);
        while started.elapsed() < Duration::from_secs(seconds) && !self.ledger.has_failed() {
            watch.tick().await;
            self.look(started)?;
            self.collect_failures();
            while let Some(ended) = writing.try_join_next() {
                let failure = flat(ended).err().unwrap_or_else(|| "a producer ended by itself".to_owned());
                self.ledger.fail(failure);
            }
        }
        self.ledger.is_written.store(true, Ordering::Release);
        let flushed = async {
            while let Some(ended) = writing.join_next().await {
                flat(ended).unwrap_or_else(|failure| self.ledger.fail(failure));
            }
        };
        timeout(PATIENCE, flushed).await.map_err(|_| "producers do not finish")?;
        let sent = self.ledger.sent_in_all();
        let seconds = started.elapsed().as_secs_f64();
        println!("{sent} messages acknowledged in {seconds:.1} s, {:.0} a second", sent as f64 / seconds);
        Ok(sent as f64 * message_bytes as f64 / seconds)
    }

    fn look(&mut self, started: Instant) -> Result<(), String> {
        let (resident, descriptors) = (self.server.resident()?, self.server.descriptors()?);
        let at = started.elapsed().as_secs_f64();
        if (self.samples.len() as u64).is_multiple_of(SAY) {
            println!(
                "{at:6.1} s: {:6.1} MiB resident, {descriptors} descriptors, {} sent, {} delivered, {} live answers renewed",
                resident as f64 / MIB,
                self.ledger.sent_in_all(),
                self.ledger.delivered_in_all(),
                self.ledger.reconnects.load(Ordering::Relaxed),
            );
        }
        self.samples.push(Sample { at, resident: resident as f64, descriptors: descriptors as f64 });
        Ok(())
    }

    /// Waits until every reader has every message of its stream.
    async fn deliver(&mut self) -> bool {
        let started = Instant::now();
        while self.ledger.behind().0 > 0 && started.elapsed() < PATIENCE && !self.ledger.has_failed() {
            sleep(Duration::from_millis(20)).await;
            self.collect_failures();
        }
        let (readers, lack) = self.ledger.behind();
        println!(
            "{} messages delivered to {} readers, each once and in order; {readers} readers lack {lack}, looked for {:.1} s",
            self.ledger.delivered_in_all(),
            self.args.readers,
            started.elapsed().as_secs_f64()
        );
        readers == 0
    }

    /// Stops the server under all its live answers.
    async fn drain(self) -> Result<bool, String> {
        let Self { args, ledger, server, mut readers, .. } = self;
        ledger.begin_drain();
        // Requests that were just sent reach the server before the signal does.
        sleep(Duration::from_secs(1)).await;
        let started = Instant::now();
        server.terminate()?;
        let code = server.exit_code(DRAIN).await;
        let stopped = started.elapsed().as_secs_f64();
        let (mut answered, mut left) = (0, 0);
        let all = async {
            while let Some(ended) = readers.join_next().await {
                match flat(ended) {
                    Ok(End::Answered) => answered += 1,
                    Ok(End::Left) => left += 1,
                    Err(failure) => ledger.fail(failure),
                }
            }
        };
        let is_whole = timeout(DRAIN, all).await.is_ok();
        println!(
            "stopped in {stopped:.1} s with exit code {code:?}; {answered} live answers ended as they should, \
             {left} client readers had left",
        );
        Ok(is_whole && code == Some(0) && answered + left == args.readers)
    }

    fn collect_failures(&mut self) {
        while let Some(ended) = self.readers.try_join_next() {
            match flat(ended) {
                Ok(end) => self.ledger.fail(format!("a reader ended by itself: {end:?}")),
                Err(failure) => self.ledger.fail(failure),
            }
        }
    }
}

fn flat<T>(ended: Result<Result<T, String>, tokio::task::JoinError>) -> Result<T, String> {
    ended.map_err(|error| error.to_string())?
}
