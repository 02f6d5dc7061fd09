//! `serve`: the bundled server, with the arguments of durable-streams-server.

use std::ffi::OsString;

/// Runs the server until it is told to stop; gives its exit code.
pub fn run(arguments: Vec<OsString>) -> u8 {
    durable_streams_server::config::exit_code_from_args(arguments)
}
