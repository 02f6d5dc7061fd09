//! Fuzz targets as plain functions of bytes: whatever the bytes, a target returns. One that
//! panics has found a fault. `tests/replay.rs` runs each over its corpus as an ordinary
//! test; `engine/` hands them to libFuzzer (`cargo xtask fuzz`, docs/fuzzing.md).
//!
//! Each target holds what is tested against a second opinion that shares no code with it:
//! a naive parser, `serde_json`, a table or a list in memory.

mod answers;
mod config;
mod engine;
mod headers;
mod http;
mod input;
mod json;
mod read;
mod sse;
mod store;
mod window;

pub use self::{
    answers::answers, config::config, engine::engine, headers::headers, http::http, json::json, read::read, sse::sse,
    store::store, window::window,
};

/// A target.
pub type Target = fn(&[u8]);

/// All targets by name, as `cargo xtask fuzz` and the corpus folders spell them.
pub const TARGETS: &[(&str, Target)] = &[
    ("answers", answers),
    ("config", config),
    ("engine", engine),
    ("headers", headers),
    ("http", http),
    ("json", json),
    ("read", read),
    ("sse", sse),
    ("store", store),
    ("window", window),
];
