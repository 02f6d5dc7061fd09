//! The HTTP service over real sockets: what docs/protocol.md asks of a server (its
//! checklist S1-S56), seen byte by byte.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod append;
mod caching;
mod client;
mod common;
mod create;
mod embedded;
mod live;
mod reading;
mod service;
mod sse;
