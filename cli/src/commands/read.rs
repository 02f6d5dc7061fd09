//! `read`: GET to standard output, once or for ever.

use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
    time::Duration,
};

use durable_streams::{
    DurableStream, HeadOptions, LiveMode, Offset,
    protocol::content_type,
    reader::{Batch, Reader},
};
use tokio::time::{Instant, timeout_at};

use crate::{
    args::{LiveTransport, ReadArgs, ReadFormat},
    checkpoint::Checkpoint,
    failure::Failure,
    interrupt::output_gone,
    printer::{Printer, Shape},
    session::Session,
    target::Target,
};

/// Prints the stream from the offset on; follows it with `--live` until it is closed.
pub async fn run(session: &Session, args: ReadArgs) -> Result<(), Failure> {
    let target = session.target(&args.id)?;
    let stream = session.stream(&target);
    let resumed = match &args.checkpoint {
        Some(path) => Checkpoint::load(path, &target.url).map_err(Failure::Usage)?,
        None => None,
    };
    let facts = match needs_facts(&args) {
        true => Some(facts(&stream, &target).await?),
        false => None,
    };
    if let Some(facts) = &facts
        && matches!(args.format, ReadFormat::Ndjson | ReadFormat::Pretty)
        && !content_type::is_json(&facts.content_type)
    {
        return Err(Failure::Usage(format!(
            "--format ndjson and pretty need a JSON stream, and \"{}\" is {}; use raw or hex",
            target.id, facts.content_type
        )));
    }
    let begin = match (&resumed, args.offset.as_deref(), &facts) {
        (Some(checkpoint), ..) => Offset::new(checkpoint.offset.as_str()),
        // A place to come back to must be a real offset.
        (None, Some("now"), Some(facts)) if args.checkpoint.is_some() => Offset::new(facts.next_offset.as_str()),
        (None, given, _) => Offset::new(given.unwrap_or_default()),
    };
    let mode = live_mode(&args, facts.as_ref().map(|facts| facts.content_type.as_str()));
    let mut builder = stream.read().offset(begin.clone()).live_mode(mode);
    if let Some(limit) = args.timeout.filter(|_| !args.live) {
        builder = builder.timeout(limit);
    }
    let reader = builder.reader().map_err(|failure| Failure::request("read", &target, &failure))?;
    let shape = Shape { format: args.format, is_live: args.live };
    let mut reading = Reading {
        printer: Printer::new(io::stdout().lock(), shape),
        mark: args.checkpoint.map(|path| (path, target.url.clone())),
        at: begin,
        printed: 0,
        to_skip: resumed.map_or(0, |checkpoint| checkpoint.skip),
        left: args.limit,
        quiet_limit: args.timeout.filter(|_| args.live),
        is_live: args.live,
    };
    tokio::select! {
        read = reading.all(reader, &target) => read?,
        () = output_gone() => return Err(Failure::OutputGone),
    }
    reading.printer.end(io::stdout().is_terminal()).map_err(Failure::of_stdout)
}

/// A read under way.
struct Reading<'o> {
    printer: Printer<io::StdoutLock<'o>>,
    mark: Option<(PathBuf, String)>,
    at: Offset,
    /// Messages or bytes after `at` that are printed already.
    printed: u64,
    /// Messages or bytes to come that an earlier run printed.
    to_skip: u64,
    /// Messages or bytes still to print.
    left: Option<u64>,
    quiet_limit: Option<Duration>,
    is_live: bool,
}

impl Reading<'_> {
    async fn all(&mut self, mut reader: Reader, target: &Target) -> Result<(), Failure> {
        let mut quiet_since = Instant::now();
        loop {
            let batch = match self.quiet_limit {
                Some(limit) => match timeout_at(quiet_since + limit, reader.next_batch()).await {
                    Ok(batch) => batch,
                    Err(_) => return Ok(()),
                },
                None => reader.next_batch().await,
            };
            let Some(batch) = batch.map_err(|failure| Failure::request("read", target, &failure))? else {
                return Ok(());
            };
            if !batch.is_empty {
                quiet_since = Instant::now();
            }
            let is_enough = self.take(batch)?;
            if is_enough {
                return Ok(());
            }
        }
    }

    /// Prints a batch; true when the limit is reached.
    fn take(&mut self, batch: Batch) -> Result<bool, Failure> {
        let printed = self.printer.print(&batch.data, batch.is_json, self.to_skip, self.left);
        let printed = printed.map_err(|error| {
            if error.kind() == io::ErrorKind::InvalidData {
                return Failure::Local(format!("the server sent no valid JSON: {error}"));
            }
            Failure::of_stdout(error)
        })?;
        if self.is_live || self.mark.is_some() {
            self.printer.flush().map_err(Failure::of_stdout)?;
        }
        if let Some(left) = &mut self.left {
            *left -= printed.units;
        }
        if !printed.is_cut && batch.next_offset != self.at {
            self.printed = 0;
            self.at = batch.next_offset;
        } else if printed.is_cut || !batch.is_json {
            // The pieces of one long answer of bytes keep the offset before it, but the last.
            self.printed += printed.units + (self.to_skip - printed.unskipped);
        }
        self.to_skip = printed.unskipped;
        self.store()?;
        Ok(self.left == Some(0))
    }

    fn store(&self) -> Result<(), Failure> {
        let Some((path, url)) = &self.mark else { return Ok(()) };
        let checkpoint = Checkpoint { offset: self.at.as_str().to_owned(), url: url.clone(), skip: self.printed };
        checkpoint.store(path).map_err(Failure::Local)
    }
}

/// What a HEAD told.
struct Facts {
    content_type: String,
    next_offset: String,
}

/// A plain read needs no HEAD; how to follow and whether messages can be told apart depends
/// on the content type, and a progress file needs a real offset to begin with.
fn needs_facts(args: &ReadArgs) -> bool {
    let wants_messages = matches!(args.format, ReadFormat::Ndjson | ReadFormat::Pretty);
    let marks_now = args.checkpoint.is_some() && args.offset.as_deref() == Some("now");
    args.live || wants_messages || marks_now
}

async fn facts(stream: &DurableStream, target: &Target) -> Result<Facts, Failure> {
    let head = stream.detailed().head(HeadOptions::new()).await;
    let head = head.map_err(|failure| Failure::request("read", target, &failure))?.value;
    let content_type = head.content_type.unwrap_or_else(|| content_type::DEFAULT.to_owned());
    Ok(Facts { content_type, next_offset: head.next_offset })
}

fn live_mode(args: &ReadArgs, content_type: Option<&str>) -> LiveMode {
    match (args.live, args.transport) {
        (false, _) => LiveMode::Off,
        (true, Some(LiveTransport::LongPoll)) => LiveMode::LongPoll,
        (true, Some(LiveTransport::Sse)) => LiveMode::Sse,
        // protocol.md §13.4: server-sent events lose carriage returns of texts; we print bytes as they are.
        (true, None) if content_type.is_some_and(|kind| !content_type::is_json(kind)) => LiveMode::LongPoll,
        (true, None) => LiveMode::Auto,
    }
}
