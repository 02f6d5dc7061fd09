//! The Rust client behind the conformance kit's adapter protocol: one JSON command per line
//! on standard input, one JSON result per line on standard output.
//!
//! Adapters of other languages follow the same parts: `command.rs` is the vocabulary,
//! `session.rs` what is kept between commands, `oneshot.rs`, `read.rs` and `produce.rs` one
//! function per command, `outcome.rs` the shape of results and errors.

mod benchmark;
mod command;
mod oneshot;
mod outcome;
mod produce;
mod read;
mod session;
mod validate;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::{command::Command, session::Session};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut session = Session::default();
    while let Some(line) = lines.next_line().await? {
        if line.trim().is_empty() {
            continue;
        }
        let (result, is_last) = match serde_json::from_str::<Command>(&line) {
            Ok(command) => (perform(&mut session, &command).await, command.kind == "shutdown"),
            Err(error) => (outcome::error("init", "PARSE_ERROR", &error.to_string(), None), false),
        };
        write(&result).await?;
        if is_last {
            break;
        }
    }
    Ok(())
}

async fn perform(session: &mut Session, command: &Command) -> Value {
    let performed = match command.kind.as_str() {
        "init" => session.init(command),
        "configure" => session.configure(command),
        "shutdown" => Ok(outcome::success("shutdown")),
        "set-dynamic-header" => session.set_dynamic_header(command),
        "set-dynamic-param" => session.set_dynamic_param(command),
        "clear-dynamic" => session.clear_dynamic(),
        "validate" => validate::validate(command),
        "benchmark" => benchmark::run(session, command).await,
        "create" => oneshot::create(session, command).await,
        "connect" => oneshot::connect(session, command).await,
        "append" => oneshot::append(session, command).await,
        "head" => oneshot::head(session, command).await,
        "delete" => oneshot::delete(session, command).await,
        "close" => oneshot::close(session, command).await,
        "read" => read::read(session, command).await,
        "idempotent-append" => produce::append(session, command).await,
        "idempotent-append-batch" => produce::append_batch(session, command).await,
        "idempotent-close" => produce::close(session, command).await,
        "idempotent-detach" => produce::detach(session, command).await,
        "idempotent-restart" => produce::restart(session, command).await,
        other => Err(outcome::Problem::not_supported(format!("there is no command {other:?}"))),
    };
    performed.unwrap_or_else(|problem| problem.into_result(&command.kind))
}

async fn write(result: &Value) -> std::io::Result<()> {
    // Some readers take these for the end of a line.
    let line = result.to_string().replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029") + "\n";
    let mut stdout = tokio::io::stdout();
    stdout.write_all(line.as_bytes()).await?;
    stdout.flush().await
}
