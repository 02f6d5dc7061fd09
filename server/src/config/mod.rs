//! The standalone server's settings: command line, environment, TOML and Caddyfile, and
//! the program that serves with them.

mod args;
mod caddyfile;
mod environment;
mod layer;
mod plan;
mod toml_file;
mod values;

use std::{
    ffi::OsString,
    fmt,
    io::{self, IsTerminal, Write},
    path::Path,
    process::ExitCode,
};

use self::{
    args::{ConfigFile, Request},
    layer::{Layer, LogFormat},
    plan::Plan,
};
use crate::{
    launch::{Launched, launch},
    server::StartError,
};

/// Runs the server as the arguments after the program's name say, until it is told to stop.
/// Exit codes: 0 done, 1 the configuration file or the start failed, 2 the arguments or the
/// environment are wrong.
pub fn run_from_args<I, T>(args: I) -> ExitCode
where
    I: IntoIterator<Item = T>,
    T: Into<OsString>,
{
    ExitCode::from(exit_code_from_args(args))
}

/// The same as [`run_from_args`], with the exit code as a number.
pub fn exit_code_from_args<I, T>(args: I) -> u8
where
    I: IntoIterator<Item = T>,
    T: Into<OsString>,
{
    let args = args.into_iter().map(Into::into);
    let mut warnings = Vec::new();
    let outcome = match args::parse(args, &mut warnings) {
        Ok(Request::Version) => {
            say(&format!("durable-streams-server {}", env!("CARGO_PKG_VERSION")));
            Ok(())
        }
        Ok(Request::Print(text)) => {
            say(text.to_string().trim_end());
            Ok(())
        }
        Ok(Request::Validate { config, flags }) => validate(&config, &flags, warnings),
        Ok(Request::Serve { mode, config, flags }) => serve(mode, config, &flags, warnings),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            error.exit_code
        }
    }
}

/// What a default depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// `dev`: this machine only, nothing kept.
    Dev,
    /// Everything else.
    Serve,
}

impl Mode {
    const fn default_host(self) -> &'static str {
        match self {
            Self::Dev => "localhost",
            Self::Serve => "0.0.0.0",
        }
    }
}

/// Why the program does not start.
#[derive(Debug)]
struct ConfigError {
    text: String,
    exit_code: u8,
}

impl ConfigError {
    /// A problem in a configuration file.
    fn at(file: &str, line: usize, reason: impl fmt::Display) -> Self {
        Self { text: format!("{file}:{line}: {reason}"), exit_code: 1 }
    }

    /// A problem in the arguments or the environment.
    fn usage(reason: impl fmt::Display) -> Self {
        Self { text: reason.to_string(), exit_code: 2 }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<StartError> for ConfigError {
    fn from(error: StartError) -> Self {
        let exit_code = if matches!(error, StartError::WalShards { .. }) { 2 } else { 1 };
        Self { text: error.to_string(), exit_code }
    }
}

fn validate(config: &ConfigFile, flags: &Layer, mut warnings: Vec<String>) -> Result<(), ConfigError> {
    let plan = plan(Mode::Serve, Some(config), flags, &mut warnings);
    for warning in warnings {
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
    match plan {
        Ok(plan) => {
            say(plan.describe().trim_end());
            Ok(())
        }
        Err(error) => Err(ConfigError { exit_code: 2, ..error }),
    }
}

fn serve(mode: Mode, config: Option<ConfigFile>, flags: &Layer, mut warnings: Vec<String>) -> Result<(), ConfigError> {
    let plan = plan(mode, config.as_ref(), flags, &mut warnings)?;
    start_log(plan.log_format);
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    allow_many_connections();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = plan.worker_threads {
        builder.worker_threads(threads);
    }
    let runtime = builder
        .enable_all()
        .build()
        .map_err(|error| ConfigError { text: format!("cannot start threads: {error}"), exit_code: 1 })?;
    let served = runtime.block_on(serve_plan(&plan));
    // Threads that still read from disk must not hold up the exit.
    runtime.shutdown_background();
    served
}

/// Lifts the limit of open files as far as the system lets a program: the usual one, 1024,
/// is meant for programs that look through descriptor sets, and would end at as many readers.
#[cfg(unix)]
fn allow_many_connections() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

#[cfg(not(unix))]
fn allow_many_connections() {}

/// The plan of file, environment and flags.
fn plan(
    mode: Mode,
    config: Option<&ConfigFile>,
    flags: &Layer,
    warnings: &mut Vec<String>,
) -> Result<Plan, ConfigError> {
    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let upper = environment::layer(variables, warnings)?.under(flags);
    let Some(config) = config else { return plan::of_layers(mode, Layer::default(), &upper, warnings) };
    let text = std::fs::read_to_string(&config.path).map_err(|error| ConfigError {
        text: format!("cannot read the configuration {}: {error}", config.path),
        exit_code: 1,
    })?;
    let is_toml = match config.adapter.as_deref() {
        Some(adapter) => adapter == "toml",
        None => Path::new(&config.path).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml")),
    };
    let variable = |name: &str| std::env::var(name).ok();
    plan_of_text(mode, &config.path, &text, is_toml, variable, &upper, warnings)
}

/// The plan of a configuration file's text; `file` is its name for messages.
fn plan_of_text(
    mode: Mode,
    file: &str,
    text: &str,
    is_toml: bool,
    variable: impl Fn(&str) -> Option<String>,
    upper: &Layer,
    warnings: &mut Vec<String>,
) -> Result<Plan, ConfigError> {
    if is_toml {
        let layer = toml_file::parse(file, text, warnings)?;
        plan::of_layers(mode, layer, upper, warnings)
    } else {
        let sites = caddyfile::parse(file, text, variable, warnings)?;
        plan::of_caddyfile(file, sites, upper, warnings)
    }
}

/// What `validate` says about a configuration's text, without flags and environment; for
/// the fuzz targets.
#[cfg(feature = "fuzz")]
pub(crate) fn described(text: &str, is_toml: bool) -> Result<String, String> {
    let variable = |name: &str| (name == "PORT").then(|| "8080".to_owned());
    plan_of_text(Mode::Serve, "file", text, is_toml, variable, &Layer::default(), &mut Vec::new())
        .map(|plan| plan.describe())
        .map_err(|error| error.to_string())
}

async fn serve_plan(plan: &Plan) -> Result<(), ConfigError> {
    let launched = launch(&plan.sites, plan.max_connections).await?;
    // Listening for signals first: whoever reads the line may send one at once.
    let mut signals = Signals::new()
        .map_err(|error| ConfigError { text: format!("cannot listen for signals: {error}"), exit_code: 1 })?;
    for (url, _) in &launched.addresses {
        say(&format!("listening on {url}"));
    }
    signals.next().await;
    tracing::info!("stopping; a second signal ends at once");
    stop(launched, &mut signals).await;
    Ok(())
}

async fn stop(launched: Launched, signals: &mut Signals) {
    tokio::select! {
        () = launched.stop() => tracing::info!("stopped"),
        code = signals.next() => {
            tracing::warn!("ended by a second signal");
            std::process::exit(code);
        }
    }
}

/// Signals that ask the program to end.
struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    #[cfg(not(unix))]
    #[allow(clippy::unnecessary_wraps, reason = "the Unix form can fail")]
    fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Waits for a signal; gives the exit code of a program ended by it.
    #[cfg(unix)]
    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
        }
    }

    #[cfg(not(unix))]
    async fn next(&mut self) -> i32 {
        let _ = tokio::signal::ctrl_c().await;
        130
    }
}

fn start_log(format: LogFormat) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(io::stderr().is_terminal()).with_writer(io::stderr);
    // A second server in one process keeps the first one's log.
    let _ = match format {
        LogFormat::Text => log.with_target(false).try_init(),
        LogFormat::Json => log.json().try_init(),
    };
}

/// One line on standard output, for people and scripts.
fn say(text: &str) {
    let mut out = io::stdout();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
