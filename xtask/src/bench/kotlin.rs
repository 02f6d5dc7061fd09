//! The Kotlin client beside the Rust client it stands on.

use super::{
    Options,
    beside_rust::{self, Line, Work},
    table::Table,
};
use crate::{
    kotlin,
    process::{Outcome, command},
};

#[rustfmt::skip]
const LINES: [Line; 3] = [
    ("256 MiB of bytes; peer: our Rust client", Some(0.6), "read", Work::Read),
    ("1,000,000 JSON messages of 100 B, send; peer: our Rust client", Some(0.3), "produce", Work::Produce),
    ("the same, sendAll of 1,000; peer: our Rust client", Some(0.3), "produce-all", Work::Produce),
];

/// Measures both.
pub(super) fn run(options: &Options) -> Outcome<Table> {
    let (java, arguments) = kotlin::measured()?;
    beside_rust::run(options, &LINES, |told| {
        let mut start = command(java);
        start.args(&arguments).args(told);
        start
    })
}
