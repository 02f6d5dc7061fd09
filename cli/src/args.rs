//! The command line as users type it: every command, option and help text.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use durable_streams::protocol::expiry::Deadline;

use crate::units::{parse_count, parse_duration, parse_time_limit};

/// Create, write, read and tail durable streams.
#[derive(Debug, Parser)]
#[command(name = "durable-stream", version, after_help = ENVIRONMENT)]
pub struct Line {
    /// Options every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const ENVIRONMENT: &str = "\
Environment:
  STREAM_URL      server base URL [default: http://localhost:4437/v1/stream]
  STREAM_AUTH     complete Authorization value, sent as is
  STREAM_PREFIX   path appended to a URL without one [default: /v1/stream]
A flag beats its variable. Values of --auth show up in the process list: prefer STREAM_AUTH or --auth-file.";

/// Options accepted anywhere on the line.
#[derive(Debug, Clone, Default, Args)]
pub struct Global {
    /// Server base URL, http or https (overrides STREAM_URL)
    #[arg(long, global = true, value_name = "url", help_heading = "Global options")]
    pub url: Option<String>,
    /// Complete Authorization value; visible in the process list, so prefer STREAM_AUTH
    #[arg(long, global = true, value_name = "value", help_heading = "Global options", conflicts_with = "auth_file")]
    pub auth: Option<String>,
    /// File that holds the Authorization value; read again for every request
    #[arg(long, global = true, value_name = "file", help_heading = "Global options")]
    pub auth_file: Option<PathBuf>,
    /// Path appended to a URL that has none (overrides STREAM_PREFIX; `/` for nothing)
    #[arg(long, global = true, value_name = "path", help_heading = "Global options")]
    pub prefix: Option<String>,
    /// Form of results and errors
    #[arg(long, global = true, value_name = "form", value_enum, default_value_t, help_heading = "Global options")]
    pub output: OutputForm,
    /// `simple`: 1 for every failure; `detailed`: one code per kind of failure
    #[arg(long, global = true, value_name = "style", value_enum, default_value_t, help_heading = "Global options")]
    pub exit_codes: ExitCodes,
}

/// Form of results and errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum OutputForm {
    /// Sentences for people.
    #[default]
    Text,
    /// One JSON object per result or error.
    Json,
}

/// How much an exit code tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ExitCodes {
    /// 1 for every failure.
    #[default]
    Simple,
    /// One code per kind of failure.
    Detailed,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a stream; repeating with the same settings succeeds
    Create(CreateArgs),
    /// Append to a stream, from arguments or standard input
    #[command(allow_negative_numbers = true)]
    Write(WriteArgs),
    /// Write the stream's data to standard output
    Read(ReadArgs),
    /// Show type, tail offset, expiry and closure
    Head(IdArgs),
    /// Close a stream for good, with an optional last message
    #[command(allow_negative_numbers = true)]
    Close(CloseArgs),
    /// Delete a stream
    Delete(IdArgs),
    /// Create a stream that continues another one
    Fork(ForkArgs),
    /// Run the bundled server; takes the options of durable-streams-server
    #[command(disable_help_flag = true)]
    Serve(ServeArgs),
    /// Show it at work: write a feed, read it back, tail it, kill and restart the server, compare
    Demo(DemoArgs),
    /// Print a completion script for a shell
    Completions {
        /// Shell to write for
        #[arg(value_enum)]
        shell: Shell,
    },
    /// The demo's own server; ends when standard input does
    #[command(hide = true)]
    DemoServer(DemoServerArgs),
}

/// A command that only needs a stream.
#[derive(Debug, Args)]
pub struct IdArgs {
    /// Stream id (letters, digits, `_ - . : /`) or a full http(s) URL
    #[arg(value_name = "id")]
    pub id: String,
}

/// Content type, spelled out or short.
#[derive(Debug, Clone, Args)]
pub struct TypeArgs {
    /// Content type
    #[arg(long, value_name = "type")]
    pub content_type: Option<String>,
    /// Short for --content-type application/json
    #[arg(long)]
    pub json: bool,
}

/// `create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Stream id (letters, digits, `_ - . : /`) or a full http(s) URL
    #[arg(value_name = "id")]
    pub id: String,
    /// Content type and --json
    #[command(flatten)]
    pub content: TypeArgs,
    /// Delete the stream after this long without use, e.g. 90s, 15m, 1h
    #[arg(long, value_name = "duration", value_parser = parse_duration, conflicts_with = "expires_at")]
    pub ttl: Option<Duration>,
    /// Delete the stream at this time (RFC 3339), e.g. 2030-01-31T12:00:00Z
    #[arg(long, value_name = "time", value_parser = parse_instant)]
    pub expires_at: Option<String>,
    /// Create it closed
    #[arg(long)]
    pub closed: bool,
}

/// `write`.
#[derive(Debug, Args)]
pub struct WriteArgs {
    /// Stream id (letters, digits, `_ - . : /`) or a full http(s) URL
    #[arg(value_name = "id")]
    pub id: String,
    /// Words, joined with one space; without them standard input is read to its end
    #[arg(value_name = "content")]
    pub content: Vec<String>,
    /// Content type and --json; the stream's own type when neither is given
    #[command(flatten)]
    pub kind: TypeArgs,
    /// Store each element of a top-level JSON array as its own message
    #[arg(long, conflicts_with = "ndjson")]
    pub batch_json: bool,
    /// Store each line of standard input as its own JSON message, in pieces, at any length
    #[arg(long)]
    pub ndjson: bool,
    /// Write lines exactly once under this producer id: a repeated run adds only what is missing
    #[arg(long, value_name = "id", value_parser = parse_producer_id)]
    pub producer_id: Option<String>,
    /// With --producer-id: progress file; big batches, and a crashed run resumes where it stopped
    #[arg(long, value_name = "file", requires = "producer_id")]
    pub checkpoint: Option<PathBuf>,
    /// Wait this long for more lines before sending a batch
    #[arg(long, value_name = "duration", value_parser = parse_duration, default_value = "5ms")]
    pub linger: Duration,
}

/// `read`.
#[derive(Debug, Args)]
pub struct ReadArgs {
    /// Stream id (letters, digits, `_ - . : /`) or a full http(s) URL
    #[arg(value_name = "id")]
    pub id: String,
    /// Follow the stream until it is closed (like tail -f)
    #[arg(long, short = 'f', visible_alias = "follow")]
    pub live: bool,
    /// Where to start: an offset, -1 for the beginning, now for the tail
    #[arg(long, value_name = "offset", allow_hyphen_values = true, value_parser = parse_offset)]
    pub offset: Option<String>,
    /// Form of the data
    #[arg(long, value_name = "form", value_enum, default_value_t)]
    pub format: ReadFormat,
    /// Stop after this many messages (JSON streams) or bytes (all others)
    #[arg(long, value_name = "n", value_parser = parse_count)]
    pub limit: Option<u64>,
    /// With --live: stop when nothing new came for this long; else the limit of each request
    #[arg(long, value_name = "duration", value_parser = parse_time_limit)]
    pub timeout: Option<Duration>,
    /// How to follow [default: chosen by content type]
    #[arg(long, value_name = "kind", value_enum, requires = "live")]
    pub transport: Option<LiveTransport>,
    /// File that keeps the offset after each printed batch; a later read resumes from it
    #[arg(long, value_name = "file")]
    pub checkpoint: Option<PathBuf>,
}

/// Form of the data `read` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ReadFormat {
    /// Response bodies as they came; JSON streams print one array per response
    #[default]
    Raw,
    /// One JSON message per line
    Ndjson,
    /// JSON messages, indented
    Pretty,
    /// Position, bytes in hex, and text
    Hex,
}

/// How `read --live` follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LiveTransport {
    /// Long-poll requests
    LongPoll,
    /// Server-sent events
    Sse,
}

/// `close`.
#[derive(Debug, Args)]
pub struct CloseArgs {
    /// Stream id (letters, digits, `_ - . : /`) or a full http(s) URL
    #[arg(value_name = "id")]
    pub id: String,
    /// Last message: words, joined with one space
    #[arg(value_name = "content")]
    pub content: Vec<String>,
    /// Content type and --json; the stream's own type when neither is given
    #[command(flatten)]
    pub kind: TypeArgs,
}

/// `fork`.
#[derive(Debug, Args)]
pub struct ForkArgs {
    /// Stream to continue
    #[arg(value_name = "source")]
    pub source: String,
    /// Stream to create
    #[arg(value_name = "new")]
    pub new: String,
    /// Where to leave the source [default: its tail]
    #[arg(long, value_name = "offset", allow_hyphen_values = true, value_parser = parse_fork_offset)]
    pub offset: Option<String>,
    /// How far into the append that begins at --offset: messages (JSON streams) or bytes
    #[arg(long, value_name = "n", requires = "offset")]
    pub sub_offset: Option<u64>,
    /// Delete the fork after this long without use
    #[arg(long, value_name = "duration", value_parser = parse_duration, conflicts_with = "expires_at")]
    pub ttl: Option<Duration>,
    /// Delete the fork at this time (RFC 3339)
    #[arg(long, value_name = "time", value_parser = parse_instant)]
    pub expires_at: Option<String>,
}

/// `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Arguments of durable-streams-server; `serve --help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "argument")]
    pub arguments: Vec<OsString>,
}

/// `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// NDJSON file of any size, `-` for standard input [default: a week of earthquakes]
    #[arg(long, value_name = "file")]
    pub input: Option<PathBuf>,
    /// Where the server keeps data; memory does not survive a kill, so nothing is killed then
    #[arg(long, value_name = "kind", value_enum, default_value_t)]
    pub storage: Storage,
    /// How often to kill and restart the server (file storage)
    #[arg(long, value_name = "n", default_value_t = 1)]
    pub kills: u32,
    /// Keep the data directory and print where it is
    #[arg(long)]
    pub keep: bool,
}

/// Where the demo's server keeps data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Storage {
    /// In a directory
    #[default]
    File,
    /// In memory
    Memory,
}

impl Storage {
    /// The value as it is typed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Memory => "memory",
        }
    }
}

/// The demo's own server.
#[derive(Debug, Args)]
pub struct DemoServerArgs {
    /// Port on 127.0.0.1; 0 = any
    #[arg(long)]
    pub port: u16,
    /// Where to keep data
    #[arg(long, value_enum)]
    pub storage: Storage,
    /// Data directory
    #[arg(long)]
    pub data_dir: PathBuf,
}

fn parse_offset(value: &str) -> Result<String, String> {
    // protocol.md §14: these characters never occur in an offset; the server judges the rest.
    if value.is_empty() || value.starts_with("--") {
        return Err(
            "an offset is -1, now, or a value the server gave; leave --offset away to start at the beginning".into()
        );
    }
    if value.chars().any(|c| matches!(c, ',' | '&' | '=' | '?' | '/') || c.is_whitespace() || c.is_control()) {
        return Err("an offset holds no blanks and none of , & = ? /; pass it exactly as the server gave it".into());
    }
    Ok(value.to_owned())
}

fn parse_fork_offset(value: &str) -> Result<String, String> {
    // protocol.md §5: a sentinel is no fork offset.
    match value {
        "-1" | "now" => Err("give an offset the server gave; leave --offset away for the tail".to_owned()),
        _ => parse_offset(value),
    }
}

fn parse_producer_id(value: &str) -> Result<String, String> {
    if value.is_empty() || !value.chars().all(|c| c.is_ascii_graphic()) {
        return Err("give a name of ASCII letters, digits and signs, without blanks".to_owned());
    }
    Ok(value.to_owned())
}

fn parse_instant(value: &str) -> Result<String, String> {
    match Deadline::parse(value) {
        Some(_) => Ok(value.to_owned()),
        None => Err("write an RFC 3339 time such as 2030-01-31T12:00:00Z".to_owned()),
    }
}
