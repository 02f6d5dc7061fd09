//! The native library of the Elixir package: converts arguments, starts work on the runtime that
//! all bindings share, sends results as messages.
//!
//! What it is not: the surface that programs see, which is Elixir in `bindings/elixir/lib`, or
//! a place for rules of the protocol.
//!
//! No function here waits: it starts an operation and returns, and `reply` sends what came of
//! it. Read next: `reply`; then `handle`, `error` and `options` for what crosses the border.

mod body;
mod embedded;
mod error;
mod handle;
mod json;
mod options;
mod producer;
mod provider;
mod reader;
mod reply;
mod server;
mod stream;

rustler::init!("Elixir.DurableStreams.Native");
