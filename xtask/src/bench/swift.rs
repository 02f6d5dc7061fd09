//! The Swift client beside the Rust client it stands on.

use super::{
    Options,
    beside_rust::{self, Line, Work},
    table::Table,
};
use crate::{process::Outcome, swift};

#[rustfmt::skip]
const LINES: [Line; 4] = [
    ("256 MiB of bytes; peer: our Rust client", Some(0.6), "read", Work::Read),
    ("1,000,000 JSON messages of 100 B, appendData; peer: our Rust client", Some(0.3), "produce", Work::Produce),
    ("the same, appendBatch of 1,000; peer: our Rust client", Some(0.3), "produce-batches", Work::Produce),
    ("the same, values that JSONEncoder encodes; peer: our Rust client", None, "produce-values", Work::Produce),
];

/// Measures both.
pub(super) fn run(options: &Options) -> Outcome<Table> {
    let program = swift::Measured::built()?;
    beside_rust::run(options, &LINES, |arguments| program.start(&arguments))
}
