//! `durable-stream`, the command line of Durable Streams.
//!
//! What it is: create, write, read, tail, close, fork and delete streams from a shell or a
//! script; run the bundled server; show it all at work (`demo`).
//!
//! What it is not: HTTP and the rules of the protocol live in the client library.
//!
//! Read next: [`args`] for what can be typed, [`commands`] for what it does.

#![allow(unreachable_pub, reason = "a binary exports nothing; `pub` marks what other files use")]

use std::env;

use tokio::runtime::Runtime;

use crate::{
    args::{Command, Global, Line},
    failure::Failure,
    session::Session,
    usage::Early,
};

mod args;
mod auth;
mod checkpoint;
mod commands;
mod content;
mod demo;
mod escapes;
mod failure;
mod input;
mod interrupt;
mod kind;
mod messages;
mod printer;
mod progress;
mod report;
mod session;
mod target;
mod units;
mod usage;

/// `serve` and `demo` run the server: see its own binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let code = match usage::parse(arguments.clone()) {
        Ok(line) => run(line),
        Err(Early::Serve(arguments)) => commands::serve::run(arguments),
        Err(Early::Text(text)) => match report::print(text.trim_end()) {
            Ok(()) => 0,
            Err(failure) => failure.tell(&Global::default()),
        },
        Err(Early::Usage(text)) => Failure::Usage(text).tell(&usage::told_with(&arguments)),
    };
    // Without waiting for threads that block on standard input.
    std::process::exit(i32::from(code))
}

fn run(Line { global, command }: Line) -> u8 {
    let outcome = match command {
        Command::Completions { shell } => commands::completions::run(shell).map(|()| 0),
        Command::Serve(args) => Ok(commands::serve::run(args.arguments)),
        Command::DemoServer(args) => demo::server::run(&args).map(|()| 0),
        Command::Demo(args) => {
            runtime().and_then(|runtime| runtime.block_on(demo::run(&args, global.output)).map(|()| 0))
        }
        Command::Create(_)
        | Command::Write(_)
        | Command::Read(_)
        | Command::Head(_)
        | Command::Close(_)
        | Command::Delete(_)
        | Command::Fork(_) => request(&global, command).map(|()| 0),
    };
    outcome.unwrap_or_else(|failure| failure.tell(&global))
}

fn request(global: &Global, command: Command) -> Result<(), Failure> {
    let session = Session::new(global)?;
    let runtime = runtime()?;
    interrupt::exit_at_once(&runtime);
    runtime.block_on(perform(&session, command))
}

async fn perform(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create(args) => commands::create::run(session, args).await,
        Command::Write(args) => commands::write::run(session, args).await,
        Command::Read(args) => commands::read::run(session, args).await,
        Command::Head(args) => commands::head::run(session, args).await,
        Command::Close(args) => commands::close::run(session, args).await,
        Command::Delete(args) => commands::delete::run(session, args).await,
        Command::Fork(args) => commands::fork::run(session, args).await,
        Command::Completions { .. } | Command::Serve(_) | Command::Demo(_) | Command::DemoServer(_) => Ok(()),
    }
}

fn runtime() -> Result<Runtime, Failure> {
    // The main thread may block on standard input or output; a worker keeps the rest going.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|error| Failure::Local(format!("cannot start: {error}")))
}
