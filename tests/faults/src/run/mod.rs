//! Runs scenarios: one adapter and one server per job, two listeners per scenario.

mod direct;
pub mod judge;
#[cfg(test)]
mod tests;
mod world;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use durable_streams_conformance::adapter::{Adapter, AdapterCommand, AdapterError};
use parking_lot::Mutex;

use self::world::World;
use crate::{
    flaws::Flaw,
    host::{Host, Place},
    proxy::record::Exchange,
    scenario::Scenario,
};

/// How scenarios run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The adapter, and what one command may take.
    pub adapter: AdapterCommand,
    /// Adapters at work at once.
    pub jobs: usize,
    /// Features the client is known not to have: scenarios that need one are left out.
    pub lacks: Vec<String>,
    /// A flaw of the client to feign.
    pub flaw: Option<&'static Flaw>,
}

/// What became of one scenario.
#[derive(Debug, Clone)]
pub struct Report {
    /// `file/id`.
    pub id: String,
    /// The claim.
    pub name: String,
    /// Where it is written.
    pub place: String,
    /// How it went.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
    /// How many requests came to the proxy.
    pub requests: usize,
    /// How many of them met a fault.
    pub faults: usize,
}

/// How a scenario went.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Everything held.
    Passed,
    /// Something did not.
    Failed {
        /// What, and where.
        why: String,
        /// What came to the proxy.
        wire: Vec<Exchange>,
        /// What came to the foreign origin.
        foreign: Vec<Exchange>,
    },
    /// Not run.
    Skipped(String),
}

/// Everything about one run.
#[derive(Debug)]
pub struct Run {
    /// The client, as its adapter calls it.
    pub client: String,
    /// The server.
    pub host: String,
    /// Whether nothing may be skipped.
    pub is_strict: bool,
    /// The scenarios, in the order of the files.
    pub reports: Vec<Report>,
    /// How long it took.
    pub took: Duration,
}

impl Run {
    /// Numbers of passed, failed and skipped scenarios.
    pub fn totals(&self) -> (usize, usize, usize) {
        let count = |test: fn(&Outcome) -> bool| self.reports.iter().filter(|report| test(&report.outcome)).count();
        (
            count(|outcome| matches!(outcome, Outcome::Passed)),
            count(|outcome| matches!(outcome, Outcome::Failed { .. })),
            count(|outcome| matches!(outcome, Outcome::Skipped(_))),
        )
    }

    /// Whether nothing failed, and nothing was skipped without an excuse.
    pub fn is_good(&self) -> bool {
        let (_, failed, skipped) = self.totals();
        failed == 0 && (skipped == 0 || !self.is_strict)
    }
}

/// Runs scenarios; `tell` hears of each as it ends.
/// Errors: no adapter starts, no server is there, the client has a feature it is said to lack.
pub async fn run(
    scenarios: Vec<Scenario>,
    host: &Host,
    options: &Options,
    tell: impl Fn(&Report) + Send + Sync + 'static,
) -> Result<Run, String> {
    let started = Instant::now();
    let queue: Vec<_> = scenarios
        .into_iter()
        .filter(|scenario| !scenario.requires.iter().any(|needed| is_in(&options.lacks, needed)))
        .collect();
    let jobs = options.jobs.clamp(1, queue.len().max(1));
    let shared = Arc::new(Shared {
        queue,
        next: AtomicUsize::new(0),
        reports: Mutex::default(),
        host: host.clone(),
        options: options.clone(),
        tell: Box::new(tell),
    });
    let mut workers = tokio::task::JoinSet::new();
    let mut client = String::new();
    for _ in 0..jobs {
        let worker = Worker::start(Arc::clone(&shared)).await?;
        client = format!("{} {}", worker.adapter.name, worker.adapter.version);
        if let Some(feature) = options.lacks.iter().find(|feature| worker.adapter.has(feature)) {
            return Err(format!("{client} has {feature:?}, which it is said to lack"));
        }
        workers.spawn(worker.work());
    }
    while let Some(ended) = workers.join_next().await {
        ended.map_err(|error| format!("a worker failed: {error}"))??;
    }
    let mut reports = std::mem::take(&mut *shared.reports.lock());
    reports.sort_by_key(|(index, _)| *index);
    Ok(Run {
        client,
        host: host.name().to_owned(),
        is_strict: matches!(host, Host::Own),
        reports: reports.into_iter().map(|(_, report)| report).collect(),
        took: started.elapsed(),
    })
}

/// Whether a feature is in a list, in whichever spelling.
fn is_in(features: &[String], wanted: &str) -> bool {
    let plain = |feature: &str| feature.replace('-', "").to_ascii_lowercase();
    features.iter().any(|feature| plain(feature) == plain(wanted))
}

struct Shared {
    queue: Vec<Scenario>,
    next: AtomicUsize,
    reports: Mutex<Vec<(usize, Report)>>,
    host: Host,
    options: Options,
    tell: Box<dyn Fn(&Report) + Send + Sync>,
}

struct Worker {
    shared: Arc<Shared>,
    adapter: Adapter,
    server: Place,
}

impl Worker {
    async fn start(shared: Arc<Shared>) -> Result<Self, String> {
        let server = shared.host.place(false).await?;
        let adapter = adapter(&shared, &server).await?;
        Ok(Self { shared, adapter, server })
    }

    async fn work(mut self) -> Result<(), String> {
        let shared = Arc::clone(&self.shared);
        loop {
            let index = shared.next.fetch_add(1, Ordering::Relaxed);
            let Some(scenario) = shared.queue.get(index) else { break };
            let report = self.scenario(scenario).await?;
            (shared.tell)(&report);
            shared.reports.lock().push((index, report));
        }
        self.adapter.stop().await.map_err(|error| format!("at the end of the run: {error}"))
    }

    async fn scenario(&mut self, scenario: &Scenario) -> Result<Report, String> {
        let started = Instant::now();
        let mut report = Report {
            id: scenario.id.clone(),
            name: scenario.name.clone(),
            place: format!("{}:{}", scenario.place.file, scenario.place.line),
            outcome: Outcome::Passed,
            took: Duration::ZERO,
            requests: 0,
            faults: 0,
        };
        if let Some(needed) = scenario.requires.iter().find(|needed| !self.adapter.has(needed)) {
            report.outcome = Outcome::Skipped(format!("the adapter does not declare {needed}"));
            return Ok(report);
        }
        let own = if scenario.is_durable { Some(self.shared.host.place(true).await?) } else { None };
        let server = own.as_ref().unwrap_or(&self.server);
        if scenario.is_durable && server.restart.is_none() {
            report.outcome = Outcome::Skipped("this server cannot be restarted".to_owned());
            return Ok(report);
        }
        let timeout = self.shared.options.adapter.timeout;
        let flaw = self.shared.options.flaw.map(|flaw| flaw.kind);
        let mut world = World::new(scenario, &mut self.adapter, server, timeout, flaw).await?;
        let outcome = world.play().await;
        let (wire, foreign) = world.requests();
        report.took = started.elapsed();
        report.requests = wire.len();
        report.faults = wire.iter().chain(&foreign).filter(|exchange| exchange.fault.is_some()).count();
        if let Err(why) = outcome {
            drop(world);
            // It may be in the middle of something.
            let fresh = adapter(&self.shared, &self.server).await?;
            std::mem::replace(&mut self.adapter, fresh).kill().await;
            report.outcome = Outcome::Failed { why, wire, foreign };
        }
        Ok(report)
    }
}

async fn adapter(shared: &Shared, server: &Place) -> Result<Adapter, String> {
    let url = format!("http://{}{}", server.address, server.prefix);
    shared.options.adapter.start(&url).await.map_err(|error: AdapterError| error.to_string())
}
