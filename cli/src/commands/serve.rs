//! `serve`: the bundled server, with the arguments of durable-streams-server.

use crate::{args::ServeArgs, failure::Failure};

/// Runs the server until it is told to stop; gives its exit code.
pub fn run(args: ServeArgs) -> Result<u8, Failure> {
    let _ = args;
    Err(Failure::Local("not wired yet".to_owned()))
}
