//! Runs tests: one adapter and one wire per job, tests handed out in order.

pub mod check;
pub mod requests;
mod server;
pub mod world;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use self::world::{StepError, World};
use crate::{
    adapter::{Adapter, AdapterCommand, AdapterError, plain},
    breaks::Break,
    case::{Suite, Test},
    host::{self, Host, Place},
    lenient,
    wire::{Wire, record::Exchange},
};

/// Which tests run.
#[derive(Debug, Default, Clone)]
pub struct Selection {
    /// Suites by id or category; empty = all.
    pub suites: Vec<String>,
    /// Tags of test or suite; empty = all.
    pub tags: Vec<String>,
    /// Tests by id, or `suite/test`; empty = all.
    pub tests: Vec<String>,
    /// Rules; empty = all.
    pub rules: Vec<String>,
    /// Features the client is known not to have: tests that need one are left out.
    pub lacks: Vec<String>,
}

/// How tests run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The adapter.
    pub adapter: AdapterCommand,
    /// Adapters at work at once.
    pub jobs: usize,
    /// Stop at the first failure.
    pub fail_fast: bool,
    /// A break of the client to feign.
    pub broken: Option<&'static Break>,
}

/// What became of one test.
#[derive(Debug, Clone)]
pub struct Report {
    /// Its suite's id.
    pub suite: String,
    /// Its id.
    pub test: String,
    /// Its name.
    pub name: String,
    /// Where it is.
    pub place: String,
    /// How it went.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// How a test went.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// As expected.
    Passed,
    /// Not as expected.
    Failed {
        /// Where the step is that failed.
        place: String,
        /// What differs.
        why: String,
        /// What went over the wire.
        wire: Vec<Exchange>,
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
    /// The tests, in the order of the files.
    pub reports: Vec<Report>,
    /// How long it took.
    pub took: Duration,
}

impl Run {
    /// Numbers of passed, failed and skipped tests.
    pub fn totals(&self) -> (usize, usize, usize) {
        let count = |test: fn(&Outcome) -> bool| self.reports.iter().filter(|report| test(&report.outcome)).count();
        (
            count(|outcome| matches!(outcome, Outcome::Passed)),
            count(|outcome| matches!(outcome, Outcome::Failed { .. })),
            count(|outcome| matches!(outcome, Outcome::Skipped(_))),
        )
    }

    /// Whether nothing failed, and nothing was skipped for which there is no excuse: a server
    /// may be known to be wrong, our own may not.
    pub fn is_good(&self) -> bool {
        let (_, failed, skipped) = self.totals();
        failed == 0 && (skipped == 0 || !self.host_is_own())
    }

    /// Whether it was against this project's server inside the process.
    pub fn host_is_own(&self) -> bool {
        self.host == host::OWN
    }
}

impl Selection {
    fn takes(&self, suite: &Suite, test: &Test) -> bool {
        let any = |wanted: &[String], has: &dyn Fn(&String) -> bool| wanted.is_empty() || wanted.iter().any(has);
        any(&self.suites, &|wanted| *wanted == suite.id || *wanted == suite.category)
            && any(&self.tags, &|wanted| suite.tags.contains(wanted) || test.tags.contains(wanted))
            && any(&self.rules, &|wanted| suite.rules.contains(wanted) || test.rules.contains(wanted))
            && any(&self.tests, &|wanted| *wanted == test.id || *wanted == format!("{}/{}", suite.id, test.id))
            && !suite.requires.iter().chain(&test.requires).any(|needed| self.lacks(needed))
    }

    fn lacks(&self, feature: &str) -> bool {
        self.lacks.iter().any(|lacking| plain(lacking) == plain(feature))
    }
}

/// Runs the selected tests; `tell` hears of each as it ends.
/// Errors: no adapter starts, or the server does not answer.
pub async fn run(
    suites: Arc<Vec<Suite>>,
    selection: &Selection,
    host: &Host,
    options: &Options,
    tell: impl Fn(&Report) + Send + Sync + 'static,
) -> Result<Run, String> {
    let started = Instant::now();
    let mut queue = Vec::new();
    for (index, suite) in suites.iter().enumerate() {
        queue.extend(
            (0..suite.tests.len()).filter(|test| selection.takes(suite, &suite.tests[*test])).map(|t| (index, t)),
        );
    }
    let shared = Arc::new(Shared {
        suites,
        queue,
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        reports: Mutex::default(),
        host: host.name.clone(),
        options: options.clone(),
        tell: Box::new(tell),
    });
    let mut workers = tokio::task::JoinSet::new();
    let mut client = String::new();
    for _ in 0..options.jobs.clamp(1, shared.queue.len().max(1)) {
        let worker = Worker::start(Arc::clone(&shared), host).await?;
        client = format!("{} {}", worker.adapter.name, worker.adapter.version);
        if let Some(feature) = selection.lacks.iter().find(|feature| worker.adapter.has(feature)) {
            return Err(format!("{client} has {feature:?}, which it is said to lack"));
        }
        workers.spawn(worker.work());
    }
    while let Some(ended) = workers.join_next().await {
        ended.map_err(|error| format!("a worker failed: {error}"))??;
        if shared.stop.load(Ordering::Relaxed) {
            // The tests of the others are given up with their workers.
            workers.shutdown().await;
        }
    }
    let mut reports = std::mem::take(&mut *shared.reports.lock());
    reports.sort_by_key(|(index, _)| *index);
    Ok(Run {
        client,
        host: host.name.clone(),
        reports: reports.into_iter().map(|(_, report)| report).collect(),
        took: started.elapsed(),
    })
}

struct Shared {
    suites: Arc<Vec<Suite>>,
    queue: Vec<(usize, usize)>,
    next: AtomicUsize,
    stop: AtomicBool,
    reports: Mutex<Vec<(usize, Report)>>,
    host: String,
    options: Options,
    tell: Box<dyn Fn(&Report) + Send + Sync>,
}

struct Worker {
    shared: Arc<Shared>,
    wire: Wire,
    adapter: Adapter,
    server_injects: bool,
    _server: Place,
}

impl Worker {
    async fn start(shared: Arc<Shared>, host: &Host) -> Result<Self, String> {
        let server = host.place().await?;
        let wire = Wire::start(&server.url, shared.options.broken).await?;
        // Clearing the faults of a server clears those of all who use it.
        let is_alone = server.is_own() || shared.options.jobs == 1;
        let probe = wire.ask("DELETE", "/_test/inject-error", http::HeaderMap::new(), bytes::Bytes::new()).await?;
        let server_injects = is_alone && probe.status == 200;
        let adapter = shared.options.adapter.start(&wire.url()).await.map_err(|error| error.to_string())?;
        Ok(Self { shared, wire, adapter, server_injects, _server: server })
    }

    async fn work(mut self) -> Result<(), String> {
        let shared = Arc::clone(&self.shared);
        loop {
            let index = shared.next.fetch_add(1, Ordering::Relaxed);
            let Some(&(suite, test)) = shared.queue.get(index).filter(|_| !shared.stop.load(Ordering::Relaxed)) else {
                break;
            };
            let suite = &shared.suites[suite];
            let report = self.test(suite, &suite.tests[test]).await?;
            if matches!(report.outcome, Outcome::Failed { .. }) && shared.options.fail_fast {
                shared.stop.store(true, Ordering::Relaxed);
            }
            (shared.tell)(&report);
            shared.reports.lock().push((index, report));
        }
        self.adapter.stop().await.map_err(|error| format!("at the end of the run: {error}"))
    }

    async fn test(&mut self, suite: &Suite, test: &Test) -> Result<Report, String> {
        let started = Instant::now();
        self.wire.record().clear();
        self.wire.clear_rules();
        let outcome = match self.obstacle(suite, test) {
            Some(reason) => Outcome::Skipped(reason),
            None => match self.steps(suite, test).await {
                Ok(()) => Outcome::Passed,
                Err((line, error)) => {
                    let wire = self.wire.record().exchanges();
                    let why = self.recover(error).await?;
                    Outcome::Failed { place: format!("{}:{line}", suite.file), why, wire }
                }
            },
        };
        let known = test.host_faults.iter().find(|(host, _)| *host == self.shared.host);
        let outcome = match (outcome, known) {
            (Outcome::Failed { why, .. }, Some((host, reason))) => {
                Outcome::Skipped(format!("{host} is known to be wrong here ({reason}): {why}"))
            }
            (outcome, _) => outcome,
        };
        Ok(Report {
            suite: suite.id.clone(),
            test: test.id.clone(),
            name: test.name.clone(),
            place: format!("{}:{}", suite.file, test.line),
            outcome,
            took: started.elapsed(),
        })
    }

    fn obstacle(&self, suite: &Suite, test: &Test) -> Option<String> {
        if let Some(reason) = &test.skip {
            return Some(reason.clone());
        }
        let mut needed = suite.requires.iter().chain(&test.requires);
        needed.find(|feature| !self.adapter.has(feature)).map(|feature| format!("the client has no {feature}"))
    }

    async fn steps(&mut self, suite: &Suite, test: &Test) -> Result<(), (usize, StepError)> {
        let mut world = World::new(&mut self.adapter, &self.wire, &self.shared.options.adapter, self.server_injects);
        world.lenience = lenient::of(&suite.id, &test.id);
        let mut outcome = Ok(());
        for operation in test.setup.iter().chain(&test.operations) {
            outcome = world.perform(operation).await.map_err(|error| (operation.line, error));
            if outcome.is_err() {
                break;
            }
        }
        if !matches!(outcome, Err((_, StepError::Adapter(_)))) {
            let settled = world.settle().await;
            for operation in &test.cleanup {
                // What a cleanup finds missing does not matter.
                if let Err(StepError::Adapter(error)) = world.perform(operation).await {
                    return outcome.and(Err((operation.line, error.into())));
                }
            }
            settled.map_err(|error| (test.line, StepError::Adapter(error)))?;
        }
        outcome
    }

    /// Says why a step failed; an adapter that is out of step is replaced.
    async fn recover(&mut self, error: StepError) -> Result<String, String> {
        let error = match error {
            StepError::Wrong(why) => return Ok(why),
            StepError::Adapter(error) => error,
        };
        if matches!(error, AdapterError::Shape(..)) {
            return Ok(error.to_string());
        }
        let url = self.wire.url();
        let fresh = self.shared.options.adapter.start(&url).await.map_err(|error| error.to_string())?;
        std::mem::replace(&mut self.adapter, fresh).kill().await;
        Ok(error.to_string())
    }
}
