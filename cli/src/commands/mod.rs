//! The commands, one file each.

pub mod close;
pub mod completions;
pub mod create;
pub mod delete;
pub mod fork;
pub mod head;
pub mod read;
pub mod serve;
pub mod write;
