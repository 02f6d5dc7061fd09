//! `write`: POST, from arguments or standard input, as one message or many.

use std::io::{self, IsTerminal as _, Read};

use durable_streams::DurableStream;

use crate::{args::WriteArgs, escapes::unescape, failure::Failure, session::Session, target::Target};

mod batch;
mod lines;
mod message;
mod pieces;
mod resume;

/// Most bytes of one request. A write that fits is one message.
pub const PIECE_BYTES: usize = 1 << 20;

/// What a write needs to know wherever it is done.
struct Write<'s> {
    session: &'s Session,
    target: Target,
    stream: DurableStream,
    args: WriteArgs,
}

/// Writes what the user gave.
pub async fn run(session: &Session, args: WriteArgs) -> Result<(), Failure> {
    let target = session.target(&args.id)?;
    let content = match args.content.is_empty() {
        true if io::stdin().is_terminal() => return Err(nothing_to_write(&target)),
        true => None,
        false => Some(args.content.join(" ")),
    };
    let stream = session.stream(&target);
    let write = Write { session, target, stream, args };
    match content {
        Some(text) if write.by_line() => lines::run(&write, io::Cursor::new(unescape(&text).into_owned())).await,
        None if write.by_line() => lines::run(&write, io::stdin()).await,
        Some(text) if write.args.batch_json => batch::run(&write, text.into_bytes()).await,
        None if write.args.batch_json => {
            let bytes = all_of_standard_input(Vec::new())?;
            batch::run(&write, bytes).await
        }
        Some(text) => message::from_argument(&write, &text).await,
        None => message::from_standard_input(&write).await,
    }
}

impl Write<'_> {
    const fn by_line(&self) -> bool {
        self.args.ndjson || self.args.producer_id.is_some()
    }

    fn failed(&self, failure: &durable_streams::Failure) -> Failure {
        Failure::request("write to", &self.target, failure)
    }
}

/// Reads standard input to its end, after what was read already.
/// Errors: an empty input.
fn all_of_standard_input(mut begun: Vec<u8>) -> Result<Vec<u8>, Failure> {
    io::stdin().lock().read_to_end(&mut begun).map_err(unreadable)?;
    if begun.is_empty() { Err(empty_input()) } else { Ok(begun) }
}

fn nothing_to_write(target: &Target) -> Failure {
    Failure::Input(format!(
        "no content to write; give it as an argument or pipe it in:\n  durable-stream write {0} \"text\"\n  echo text | durable-stream write {0}",
        target.id
    ))
}

fn empty_input() -> Failure {
    Failure::Input("no content to write: standard input is empty".to_owned())
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreadable(error: io::Error) -> Failure {
    Failure::Local(format!("cannot read standard input: {error}"))
}

/// A producer id nobody else uses.
fn random_producer_id() -> Result<String, Failure> {
    use ring::rand::SecureRandom as _;
    let mut bytes = [0; 16];
    ring::rand::SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Failure::Local("the system gives no random numbers".to_owned()))?;
    Ok(format!("cli-{:032x}", u128::from_be_bytes(bytes)))
}
