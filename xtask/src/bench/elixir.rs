//! The Elixir package beside the plain way: `:httpc`, and JSON in Elixir.

use super::{
    Options,
    beside_plain::{self, Line, MIB, PER_SECOND},
    table::Table,
};
use crate::{
    elixir,
    process::{Outcome, root},
};

const OURS: &str = "ours.exs";
const PLAIN: &str = "plain.exs";

#[rustfmt::skip]
const LINES: [Line; 6] = [
    ("1,000,000 JSON messages of 100 B read as maps; peer: :httpc and JSON in Elixir", "messages/s", Some(3.0),
        (OURS, "read-json", PER_SECOND), (PLAIN, "read-json", PER_SECOND)),
    ("256 MiB of bytes read; peer: :httpc", "MiB/s", None,
        (OURS, "read-bytes", MIB), (PLAIN, "read-bytes", MIB)),
    ("producing JSON from maps; peer: JSON in Elixir and :httpc, 1,000 a request", "messages/s", Some(3.0),
        (OURS, "produce-json", PER_SECOND), (PLAIN, "produce-json", PER_SECOND)),
    ("the same by append_all; the same peer", "messages/s", Some(3.0),
        (OURS, "produce-json-all", PER_SECOND), (PLAIN, "produce-json", PER_SECOND)),
    ("producing 100 B; peer: :httpc, 1,000 joined by hand a request", "messages/s", None,
        (OURS, "produce-bytes", PER_SECOND), (PLAIN, "produce-bytes", PER_SECOND)),
    ("producing 100 B; peer: :httpc, one request each", "messages/s", Some(3.0),
        (OURS, "produce-bytes", PER_SECOND), (PLAIN, "produce-bytes-singly", PER_SECOND)),
];

/// Measures both sides; `beside_plain` says how.
pub(super) fn run(options: &Options) -> Outcome<Table> {
    let modules = elixir::measured()?;
    beside_plain::run(options, &LINES, OURS, |name, told| {
        let mut elixir = elixir::program("elixir");
        elixir.arg("-pa").arg(&modules).arg(root().join("bindings/elixir/bench").join(name)).args(told);
        elixir
    })
}
