//! The Ruby gem beside the plain way: Net::HTTP on one connection, and JSON.

use super::{
    Options,
    beside_plain::{self, Line, MIB, PER_SECOND},
    table::Table,
};
use crate::{
    process::{Outcome, command, root},
    ruby,
};

const OURS: &str = "ours.rb";
const PLAIN: &str = "plain.rb";

#[rustfmt::skip]
const LINES: [Line; 9] = [
    ("1,000,000 JSON messages of 100 B, read_json; peer: Net::HTTP and JSON.parse", "messages/s", Some(3.0),
        (OURS, "read-json", PER_SECOND), (PLAIN, "read-json", PER_SECOND)),
    ("the same; peer: Net::HTTP told not to ask for compression, and JSON.parse", "messages/s", None,
        (OURS, "read-json", PER_SECOND), (PLAIN, "read-json-uncompressed", PER_SECOND)),
    ("the same in batches, all items of a batch at once; the same peer", "messages/s", None,
        (OURS, "read-batches", PER_SECOND), (PLAIN, "read-json", PER_SECOND)),
    ("256 MiB of bytes; peer: Net::HTTP", "MiB/s", None,
        (OURS, "read-bytes", MIB), (PLAIN, "read-bytes", MIB)),
    ("producing JSON from hashes; peer: JSON.generate and Net::HTTP, 1,000 a request", "messages/s", Some(3.0),
        (OURS, "produce-json", PER_SECOND), (PLAIN, "produce-json", PER_SECOND)),
    ("the same, append_all of 1,000; the same peer", "messages/s", Some(3.0),
        (OURS, "produce-json-all", PER_SECOND), (PLAIN, "produce-json", PER_SECOND)),
    ("producing 100 B; peer: Net::HTTP, 1,000 joined by hand a request", "messages/s", None,
        (OURS, "produce-bytes", PER_SECOND), (PLAIN, "produce-bytes", PER_SECOND)),
    ("producing 100 B; peer: Net::HTTP, one request each", "messages/s", Some(3.0),
        (OURS, "produce-bytes", PER_SECOND), (PLAIN, "produce-bytes-singly", PER_SECOND)),
    ("a thread that computes beside ten that read live; peer: the same alone", "additions/s", Some(0.9),
        (OURS, "live", "beside"), (OURS, "live", "alone")),
];

/// Measures both sides; `beside_plain` says how.
pub(super) fn run(options: &Options) -> Outcome<Table> {
    ruby::measured()?;
    beside_plain::run(options, &LINES, OURS, |name, told| {
        let mut ruby = command("ruby");
        ruby.arg(root().join("bindings/ruby/bench").join(name)).args(told);
        ruby
    })
}
