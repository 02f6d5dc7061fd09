//! `completions`: a script that teaches a shell our commands and options.

use std::io::{self, Write as _};

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use crate::{args::Line, failure::Failure};

/// Prints the script.
pub fn run(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    generate(shell, &mut Line::command(), "durable-stream", &mut script);
    io::stdout().write_all(&script).map_err(Failure::of_stdout)
}
