//! Decides whether a client of Durable Streams is right: test cases as data, any client
//! behind an adapter process, any server behind a recording wire.
//!
//! What it is not: a test of servers; those have a suite of their own.
//!
//! Read next: `docs/conformance.md` for the formats, [`case`] for how cases are read,
//! [`run`] for how they are run, [`wire`] for what the runner sees and does in between.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "the kinds of YAML and JSON values are a closed list; code names the ones that are right at a place"
)]

pub mod adapter;
pub mod breaks;
pub mod case;
pub mod host;
pub mod lenient;
pub mod report;
pub mod rules;
pub mod run;
pub mod table;
pub mod vars;
pub mod wire;
pub mod yaml;

/// Any uniform value.
pub(crate) fn entropy() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    // Each state is keyed anew from the system's randomness.
    RandomState::new().build_hasher().finish()
}

/// Any uniform number from 0 to 1, 1 excluded.
#[allow(clippy::cast_precision_loss, reason = "53 bits are all a double keeps apart")]
pub(crate) fn random() -> f64 {
    (entropy() >> 11) as f64 / (1_u64 << 53) as f64
}
