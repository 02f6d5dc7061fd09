//! Rules of the Durable Streams protocol, as pure functions and state machines.
//!
//! What it is: everything that client and server must agree on, spelled once —
//! header names, offsets, cursors, content types, JSON mode, SSE framing, the
//! read machine, the producer machines, retry policy and error codes.
//!
//! What it is not: there is no socket, clock, random source, runtime, thread or
//! log here. Time and entropy are arguments; the same inputs in the same order
//! give the same outputs.
//!
//! Read next: [`headers`] for the names on the wire, [`produce`] for
//! exactly-once writes, [`read`] for the read machine. Sections cited as
//! `protocol.md §n` refer to `docs/protocol.md`.

pub mod content_type;
pub mod cursor;
pub mod error;
pub mod expiry;
pub mod headers;
pub mod json_mode;
mod numbers;
pub mod offset;
pub mod produce;
pub mod query;
pub mod read;
pub mod request;
pub mod response;
pub mod retry;
pub mod sse;
pub mod subscription;

/// Largest epoch and sequence number: 2^53 - 1, so that every host language can
/// hold them exactly (protocol.md §19).
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Monotonic time as the host measures it: the span since an origin the host
/// chooses once. Machines only compare and add, never read a clock.
pub type Time = std::time::Duration;
