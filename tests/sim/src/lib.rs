//! Seeded simulation of the whole: the client's machines and the real server engine over
//! a network that loses, delays, doubles and reorders, with restarts and power loss. One
//! thread, virtual time, one source of chance: a seed is a run, always the same.
//!
//! Not here: sockets, HTTP parsing, the file store. Read [`history`] for what is promised
//! and how it is judged, `world` for what can happen, [`Bug`] for how the judge is judged.

mod bug;
pub mod history;
mod reader;
mod rng;
mod server;
mod store;
mod trace;
mod wire;
mod world;
mod writer;

pub use bug::Bug;
pub use history::{Promise, Violation};

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Hash of everything that happened.
    pub hash: u64,
    /// Lines of the trace.
    pub events: u64,
    /// Messages that were sent.
    pub messages: usize,
    /// Those that were acknowledged.
    pub acknowledged: usize,
    /// How often the server went down.
    pub crashes: u64,
    /// Broken promises; none in a good run.
    pub violations: Vec<Violation>,
}

/// Runs one seed.
pub fn run(seed: u64) -> Report {
    world::run(seed, None, false)
}

/// Runs one seed and writes every event to standard error.
pub fn run_traced(seed: u64) -> Report {
    world::run(seed, None, true)
}

/// Runs one seed with a planted fault.
pub fn run_with_bug(seed: u64, bug: Bug) -> Report {
    world::run(seed, Some(bug), false)
}
