//! Crash test: the real server on its file store, idempotent writers and live readers,
//! SIGKILL at random moments, many generations; with `--power-loss` each kill also takes
//! what was not synced. Ends with status 1 when anything acknowledged is lost or doubled.
//!
//! Read `history.rs` for what is checked, `power.rs` for how a power loss is played.

#![allow(clippy::print_stdout, reason = "a command line tool reports on standard output")]

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use clap::Parser;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

mod history;
mod lane;
mod power;
mod random;
mod server;

use history::Verdict;
use lane::Context;
use power::Power;
use random::Random;
use server::{Launch, Server};

/// Lanes of streams side by side.
const LANES: u64 = 3;
/// How long clients may take to finish once the server stays.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Parser)]
#[command(about = "Kills a server at random moments and checks that nothing acknowledged is lost or doubled")]
struct Args {
    /// Program of the server.
    #[arg(long)]
    server: PathBuf,
    /// How often it is killed.
    #[arg(long, default_value_t = 200)]
    generations: u64,
    /// Seed of kill moments, workload and power losses; the clock's when absent.
    #[arg(long)]
    seed: Option<u64>,
    /// Each kill also takes what was not synced.
    #[arg(long)]
    power_loss: bool,
    /// Acknowledge before the sync: with `--power-loss` the test must then fail.
    #[arg(long)]
    unsynced: bool,
    /// Leave the data directory and the log where they are.
    #[arg(long)]
    keep: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = args.seed.unwrap_or_else(|| clock.map_or(1, |now| u64::from(now.subsec_nanos())));
    match run(&args, seed).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("crash: seed {seed}: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Runs everything and prints the summary; `false` when a check failed.
async fn run(args: &Args, seed: u64) -> Result<bool, String> {
    let mut folder = tempfile::Builder::new()
        .prefix("durable-streams-crash-")
        .tempdir()
        .map_err(|error| format!("no temporary folder: {error}"))?;
    folder.disable_cleanup(args.keep);
    let data = folder.path().join("data");
    std::fs::create_dir(&data).map_err(|error| format!("{}: {error}", data.display()))?;
    let power = if args.power_loss { Some(Power::new(folder.path(), &data)?) } else { None };
    let durability = if args.unsynced { &["--durability", "memory"][..] } else { &[] };
    let launch = Launch {
        program: args.server.clone(),
        data,
        port: server::free_port()?,
        log: folder.path().join("server.log"),
        flags: durability.iter().map(|flag| (*flag).to_owned()).collect(),
        environment: power.as_ref().map(Power::environment).unwrap_or_default(),
    };
    let mut test = Test {
        generations: args.generations,
        random: Random::new(seed, 0),
        launch,
        power,
        early_kills: 0,
        sync_kills: 0,
    };
    let outcome = test.run(seed).await;
    if args.keep {
        println!("kept in {}", folder.path().display());
    }
    outcome.map_err(|failure| format!("{failure}\n--- end of the server's log\n{}", test.launch.last_words()))
}

struct Test {
    generations: u64,
    random: Random,
    launch: Launch,
    power: Option<Power>,
    early_kills: u64,
    sync_kills: u64,
}

impl Test {
    async fn run(&mut self, seed: u64) -> Result<bool, String> {
        let started = Instant::now();
        let context = Arc::new(Context::new(seed, self.launch.port)?);
        let mut lanes = JoinSet::new();
        for lane in 0..LANES {
            lanes.spawn(lane::run(Arc::clone(&context), lane));
        }
        for generation in 1..=self.generations {
            self.generation().await.map_err(|failure| format!("generation {generation}: {failure}"))?;
            // No lane ends by itself before it is told to.
            if let Some(ended) = lanes.try_join_next() {
                return Err(format!("generation {generation}: {}", told(ended).err().unwrap_or_default()));
            }
        }
        let server = self.start_and_wait().await?;
        context.is_stopping.store(true, Ordering::Release);
        let finish = async {
            let mut reports = Vec::new();
            while let Some(ended) = lanes.join_next().await {
                reports.push(told(ended)?);
            }
            Ok::<_, String>(reports)
        };
        let reports = timeout(PATIENCE, finish).await.map_err(|_| "clients do not finish; no progress")??;
        let (mut verdict, mut read, mut streams) = (Verdict::default(), 0, 0);
        for report in reports {
            verdict += report.verdict;
            read += report.read;
            streams += report.finished.len();
            for finished in &report.finished {
                lane::look_again(&context, finished, &mut verdict).await?;
            }
        }
        server.kill().await?;
        self.print(&context, &verdict, read, streams, seed, started);
        Ok(verdict.findings.is_empty() && verdict.lost == 0 && verdict.doubled == 0)
    }

    /// One life of the server.
    async fn generation(&mut self) -> Result<(), String> {
        if self.power.is_some() && self.random.once_in(2) {
            // Between a write and its sync, where a power loss takes the most; low numbers
            // hit the start, and the creation of the directory.
            self.sync_kills += 1;
            let sync = 1 + self.random.below(60);
            self.start(Some(sync))?.killed_itself(self.random.millis(400, 600)).await?;
        } else if self.random.once_in(6) {
            // While it starts: recovery must survive being killed, too.
            self.early_kills += 1;
            let server = self.start(None)?;
            sleep(self.random.millis(1, 120)).await;
            server.kill().await?;
        } else {
            let server = self.start_and_wait().await?;
            sleep(self.random.millis(10, 400)).await;
            server.kill().await?;
        }
        match &mut self.power {
            Some(power) => power.cut(&mut self.random),
            None => Ok(()),
        }
    }

    fn start(&mut self, kill_at: Option<u64>) -> Result<Server, String> {
        if let Some(power) = &mut self.power {
            power.arm()?;
        }
        self.launch.start(kill_at)
    }

    async fn start_and_wait(&mut self) -> Result<Server, String> {
        let mut server = self.start(None)?;
        server.ready().await?;
        Ok(server)
    }

    fn print(&self, context: &Context, verdict: &Verdict, read: u64, streams: usize, seed: u64, started: Instant) {
        const SHOWN: usize = 20;
        for finding in verdict.findings.iter().take(SHOWN) {
            println!("FAILED {finding}");
        }
        if verdict.findings.len() > SHOWN {
            println!("and {} more", verdict.findings.len() - SHOWN);
        }
        println!(
            "{} generations ({} killed while starting, {} at a sync), {streams} streams, {} writers; readers saw {read} messages \
             and resumed {} times, {} s",
            self.generations,
            self.early_kills,
            self.sync_kills,
            context.lives.load(Ordering::Relaxed),
            context.resumed.load(Ordering::Relaxed),
            started.elapsed().as_secs(),
        );
        if let Some(power) = &self.power {
            let taken = power.taken;
            println!(
                "power losses took {} blocks of {} files, {} files torn with {} blocks kept, and {} directory listings",
                taken.blocks, taken.files, taken.torn_files, taken.torn_blocks, taken.listings
            );
        }
        println!(
            "seed {seed}: {} acknowledged, {} stored without an acknowledgement, lost {}, doubled {}, findings {}",
            verdict.acknowledged,
            verdict.unacknowledged,
            verdict.lost,
            verdict.doubled,
            verdict.findings.len()
        );
    }
}

fn told<T>(ended: Result<Result<T, String>, tokio::task::JoinError>) -> Result<T, String> {
    ended.map_err(|error| error.to_string())?
}
