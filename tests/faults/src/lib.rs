//! A bad network between a client of Durable Streams and a server: a proxy that carries out
//! faults, scenarios as data that say which faults meet which requests, and a judge that
//! looks past the proxy at what the server has.
//!
//! What it is not: a test of protocol rules one by one; that is `tests/conformance`, whose
//! adapter processes this crate talks to.
//!
//! Read next: `docs/faults.md` for the formats, [`proxy`] for the faults, [`scenario`] for how
//! scenarios are read, [`run`] for what is done and what must hold.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "the kinds of YAML and JSON values are a closed list; code names the ones that are right at a place"
)]

pub mod flaws;
pub mod host;
pub mod proxy;
pub mod report;
pub mod run;
pub mod scenario;
