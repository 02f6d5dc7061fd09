//! The command line.

use std::{ffi::OsString, path::Path};

use clap::{Arg, ArgAction, ArgMatches, Command, builder::StyledStr};

use super::{
    ConfigError, Mode,
    layer::{Layer, SETTINGS},
};

/// What the command line asks for.
#[derive(Debug)]
pub(super) enum Request {
    /// Serve until told to stop.
    Serve { mode: Mode, config: Option<ConfigFile>, flags: Layer },
    /// Show the effective settings.
    Validate { config: ConfigFile, flags: Layer },
    /// Print name and version.
    Version,
    /// Print this text: help.
    Print(StyledStr),
}

/// A configuration file.
#[derive(Debug, Clone)]
pub(super) struct ConfigFile {
    /// Where it is.
    pub(super) path: String,
    /// Its language, when named; else the file's name tells.
    pub(super) adapter: Option<String>,
}

const ABOUT: &str = "Serves durable streams over HTTP. Flags without a command serve, too.";
const AFTER: &str = "Each flag can also be given as DS_<FLAG> in the environment (DS_LONG_POLL_TIMEOUT=20s); PORT, HOST and \
STREAMS_DIR are known, too. Flags win over the environment, the environment over the configuration file.";

/// Parses the arguments that follow the program's name.
pub(super) fn parse(
    args: impl IntoIterator<Item = OsString>,
    warnings: &mut Vec<String>,
) -> Result<Request, ConfigError> {
    let args = std::iter::once(OsString::from(NAME)).chain(args);
    let matches = match command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) if !error.use_stderr() => return Ok(Request::Print(error.render())),
        Err(error) => return Err(ConfigError::usage(error.render().to_string().trim_end())),
    };
    if matches.get_flag("version") {
        return Ok(Request::Version);
    }
    Ok(match matches.subcommand() {
        Some(("version", _)) => Request::Version,
        Some(("dev", matches)) => Request::Serve { mode: Mode::Dev, config: None, flags: flags(matches, warnings)? },
        Some(("validate", matches)) => Request::Validate {
            config: config(matches).ok_or_else(|| ConfigError::usage("validate needs --config <file>"))?,
            flags: flags(matches, warnings)?,
        },
        Some((_, matches)) => Request::Serve {
            mode: Mode::Serve,
            config: config(matches).or_else(found_config),
            flags: flags(matches, warnings)?,
        },
        None => Request::Serve { mode: Mode::Serve, config: None, flags: flags(&matches, warnings)? },
    })
}

const NAME: &str = "durable-streams-server";

fn command() -> Command {
    let config = || {
        Arg::new("config")
            .short('c')
            .long("config")
            .value_name("file")
            .help("Configuration: a Caddyfile, or TOML (*.toml)")
    };
    let adapter = || {
        Arg::new("adapter")
            .long("adapter")
            .value_name("language")
            .value_parser(["caddyfile", "toml"])
            .help("Language of the file")
    };
    let dev = "Serve on localhost, in memory unless a directory is given";
    let run = "Serve as configured: --config, else ./Caddyfile, else flags and environment";
    Command::new(NAME)
        .about(ABOUT)
        .after_help(AFTER)
        .disable_help_subcommand(true)
        .args(setting_args())
        .arg(Arg::new("version").short('V').long("version").action(ArgAction::SetTrue).help("Print name and version"))
        .subcommand(Command::new("dev").about(dev).args(setting_args()))
        .subcommand(Command::new("run").about(run).arg(config()).arg(adapter()).args(setting_args()))
        .subcommand(
            Command::new("validate")
                .about("Check a configuration file and print the effective settings")
                .arg(config().required(true))
                .arg(adapter())
                .args(setting_args()),
        )
        .subcommand(Command::new("version").about("Print name and version"))
}

fn setting_args() -> impl Iterator<Item = Arg> {
    SETTINGS.iter().map(|setting| {
        let arg = Arg::new(setting.name)
            .long(setting.name)
            .value_name(setting.value)
            .help(setting.help)
            .overrides_with(setting.name)
            .hide(matches!(setting.effect, super::layer::Effect::Ignored) || setting.name.starts_with("tier-"));
        if setting.is_switch {
            arg.num_args(0..=1).require_equals(true).default_missing_value("true")
        } else {
            arg.allow_hyphen_values(true)
        }
    })
}

fn flags(matches: &ArgMatches, warnings: &mut Vec<String>) -> Result<Layer, ConfigError> {
    let mut layer = Layer::default();
    for setting in SETTINGS {
        if let Some(value) = matches.get_one::<String>(setting.name) {
            let given_as = format!("--{}", setting.name);
            warnings.extend(setting.apply(&mut layer, &given_as, value).map_err(ConfigError::usage)?);
        }
    }
    Ok(layer)
}

/// `run` without `--config` takes the Caddyfile of the directory it was started in.
fn found_config() -> Option<ConfigFile> {
    Path::new("Caddyfile").is_file().then(|| ConfigFile { path: "Caddyfile".to_owned(), adapter: None })
}

fn config(matches: &ArgMatches) -> Option<ConfigFile> {
    Some(ConfigFile {
        path: matches.get_one::<String>("config")?.clone(),
        adapter: matches.get_one::<String>("adapter").cloned(),
    })
}
