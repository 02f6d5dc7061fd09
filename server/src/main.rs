//! The standalone server. Everything is in the library: see `durable_streams_server::config`.

use std::process::ExitCode;

/// Appends are many small allocations freed by other threads than made them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    durable_streams_server::config::run_from_args(std::env::args_os().skip(1))
}
