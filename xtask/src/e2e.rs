//! The two programs from outside, as a person would use them: `tests/e2e/programs.sh`.

use crate::{
    cargo::{self, Profile},
    checks,
    process::{Outcome, command, root},
    tally::Tally,
};

/// Builds the programs and runs the script.
pub(crate) fn run() -> Outcome<Tally> {
    let cli = cargo::build("durable-streams-cli", "durable-stream", Profile::Dev)?;
    let server = cargo::build("durable-streams-serve", "durable-streams-server", Profile::Dev)?;
    let mut script = command("bash");
    script.arg(root().join("tests/e2e/programs.sh")).env("CLI", cli).env("SERVER", server);
    checks::run("e2e", &mut script, || Err("the script starts servers itself".into()))
}
