//! Idempotent producers: the server's decision table and the client's window
//! (protocol.md §19, §20).

pub mod decide;
pub mod options;
pub mod window;
