//! `demo`: the whole thing at work on real input, and a verdict computed from the data.
//!
//! A server process of its own; a feed written through the idempotent producer; read back
//! from the start; tailed live while the rest is written and the server is killed and
//! restarted in the middle; read once more from the start. What came back is held against
//! the input, message by message.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    args::{DemoArgs, OutputForm, Storage},
    failure::Failure,
    interrupt,
    report::print,
};

mod compare;
mod feed;
mod phases;
pub mod server;
mod summary;

/// The feed when no input is given: one week of earthquakes (examples/data/README.md).
const EARTHQUAKES: &[u8] = include_bytes!("../../../examples/data/earthquakes.ndjson");

/// Runs the demo. An interrupt kills the server and removes the directory first.
pub async fn run(args: &DemoArgs, form: OutputForm) -> Result<(), Failure> {
    let outcome = tokio::select! {
        outcome = perform(args, form) => Ok(outcome),
        code = interrupt::interrupted() => Err(code),
    };
    outcome.unwrap_or_else(|code| std::process::exit(code))
}

async fn perform(args: &DemoArgs, form: OutputForm) -> Result<(), Failure> {
    let place = Place::new(args)?;
    let (input, input_name) = place.input(args).await?;
    let kills = match args.storage {
        Storage::File => args.kills,
        // What memory holds dies with the process: killing it would only show that.
        Storage::Memory => 0,
    };
    let run = phases::Run { input, input_name, storage: args.storage, kills, data_dir: place.data_dir.clone(), form };
    let summary = run.all().await?;
    match form {
        OutputForm::Text => print(&summary.text())?,
        OutputForm::Json => print(&summary.json(&place.data_dir, args.keep).to_string())?,
    }
    if args.keep {
        place.keep(args.storage, form)?;
    }
    if summary.is_faithful() { Ok(()) } else { Err(Failure::Unfaithful) }
}

/// The demo's directory, removed at the end.
struct Place {
    temporary: TempDir,
    data_dir: PathBuf,
}

impl Place {
    fn new(args: &DemoArgs) -> Result<Self, Failure> {
        if let Some(input) = args.input.as_deref().filter(|input| *input != Path::new("-")) {
            File::open(input)
                .and_then(|file| file.metadata())
                .and_then(|facts| if facts.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(()) })
                .map_err(|error| {
                    Failure::Usage(format!("--input \"{}\": {error}; give an NDJSON file", input.display()))
                })?;
        }
        let temporary = tempfile::Builder::new().prefix("durable-stream-demo-").tempdir().map_err(no_place)?;
        let data_dir = temporary.path().join("data");
        Ok(Self { temporary, data_dir })
    }

    /// A file that can be read more than once, and what to call it.
    async fn input(&self, args: &DemoArgs) -> Result<(PathBuf, String), Failure> {
        let copy = self.temporary.path().join("input.ndjson");
        let Some(input) = args.input.clone() else {
            fs::write(&copy, EARTHQUAKES).map_err(no_place)?;
            return Ok((copy, "one week of earthquakes (USGS)".to_owned()));
        };
        let name = if input == Path::new("-") { "standard input".to_owned() } else { input.display().to_string() };
        if input != Path::new("-") && fs::metadata(&input).is_ok_and(|facts| facts.is_file()) {
            return Ok((input, name));
        }
        // A pipe can be read once only.
        let to = copy.clone();
        let spooled = tokio::task::spawn_blocking(move || {
            let mut to = File::create(to)?;
            if input == Path::new("-") {
                io::copy(&mut io::stdin().lock(), &mut to)
            } else {
                io::copy(&mut File::open(input)?, &mut to)
            }
        });
        let spooled = spooled.await.map_err(io::Error::other).and_then(|copied| copied);
        spooled.map_err(|error| Failure::Local(format!("cannot copy {name}: {error}")))?;
        Ok((copy, name))
    }

    fn keep(self, storage: Storage, form: OutputForm) -> Result<(), Failure> {
        let Self { temporary, data_dir } = self;
        let kept = temporary.keep();
        match (form, storage) {
            (OutputForm::Json, _) => Ok(()),
            (OutputForm::Text, Storage::File) => print(&format!(
                "\nkept {}; to look at it:\n  durable-stream serve --host 127.0.0.1 --data-dir {} &\n  durable-stream read {} --format ndjson",
                kept.display(),
                data_dir.display(),
                phases::STREAM,
            )),
            (OutputForm::Text, Storage::Memory) => {
                print(&format!("\nkept {} (the streams were in memory only)", kept.display()))
            }
        }
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn no_place(error: io::Error) -> Failure {
    Failure::Local(format!("cannot make a temporary directory: {error}"))
}
