//! What a run came to: for people, for pipelines.

pub mod console;
pub mod files;
