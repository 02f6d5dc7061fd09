//! From raw arguments to a parsed line, or to the text that ends the run.

use std::ffi::OsString;

use clap::{CommandFactory, Parser, error::ErrorKind};

use crate::args::{ExitCodes, Global, Line, OutputForm};

/// Why a line does not lead to a command.
#[derive(Debug)]
pub enum Early {
    /// `--help` or `--version`: a text for standard output, exit 0.
    Text(String),
    /// Bad usage: what is wrong and the usage, for standard error.
    Usage(String),
    /// `serve`: what follows belongs to the server, options of the same name included.
    Serve(Vec<OsString>),
}

/// The options that decide how bad usage is told, from a line that could not be parsed.
pub fn told_with(arguments: &[OsString]) -> Global {
    let given = |name: &str, value: &str| {
        let joined = format!("{name}={value}");
        arguments.iter().any(|argument| *argument == *joined)
            || arguments.windows(2).any(|pair| *pair[0] == *name && *pair[1] == *value)
    };
    Global {
        output: if given("--output", "json") { OutputForm::Json } else { OutputForm::Text },
        exit_codes: if given("--exit-codes", "detailed") { ExitCodes::Detailed } else { ExitCodes::Simple },
        ..Global::default()
    }
}

/// Parses the arguments after the program's name.
pub fn parse(arguments: Vec<OsString>) -> Result<Line, Early> {
    if arguments.first().is_some_and(|first| first == "serve") {
        return Err(Early::Serve(arguments.into_iter().skip(1).collect()));
    }
    if let Some(help) = help_asked(&arguments) {
        return Err(Early::Text(help));
    }
    let program = OsString::from("durable-stream");
    Line::try_parse_from(std::iter::once(program).chain(command_first(arguments))).map_err(|error| early(&error))
}

fn early(error: &clap::Error) -> Early {
    let kind = error.kind();
    if matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Early::Text(error.to_string());
    }
    if matches!(kind, ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand) {
        return Early::Usage(format!("no command given\n\n{}", Line::command().render_help()));
    }
    let text = error.to_string();
    Early::Usage(text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned())
}

/// Moves what stands before the command behind it: options may stand anywhere.
fn command_first(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let top = Line::command();
    let definitions: Vec<_> =
        std::iter::once(&top).chain(top.get_subcommands()).flat_map(clap::Command::get_arguments).collect();
    let takes_value = |text: &str| {
        let known = definitions
            .iter()
            .filter(|option| option.get_long().is_some_and(|long| text.strip_prefix("--") == Some(long)));
        known.into_iter().any(|option| option.get_action().takes_values())
    };
    let mut place = 0;
    while let Some(text) = arguments.get(place).and_then(|argument| argument.to_str()) {
        if !text.starts_with('-') {
            break;
        }
        place += if takes_value(text) { 2 } else { 1 };
    }
    let is_command = arguments
        .get(place)
        .and_then(|argument| argument.to_str())
        .is_some_and(|text| top.find_subcommand(text).is_some());
    if is_command {
        // What follows `serve` belongs to the server.
        let own = if arguments[place] == *"serve" { 0 } else { place };
        arguments[..=place].rotate_right(usize::from(own > 0));
    }
    arguments
}

/// Help wins over everything else on the line, mistakes included; after `--` it is content.
/// `serve` hands its own arguments on.
fn help_asked(arguments: &[OsString]) -> Option<String> {
    let own = arguments.iter().take_while(|argument| *argument != "--");
    let texts: Vec<_> = own.filter_map(|argument| argument.to_str()).collect();
    let mut top = Line::command();
    // Sub-commands learn the global options only when built.
    top.build();
    let command = texts.iter().find(|text| top.find_subcommand(text).is_some());
    if command == Some(&"serve") || !texts.iter().any(|text| matches!(*text, "--help" | "-h")) {
        return None;
    }
    let shown = command.and_then(|name| top.find_subcommand(name)).cloned();
    let mut shown = shown.unwrap_or(top);
    let is_long = texts.contains(&"--help");
    Some(if is_long { shown.render_long_help() } else { shown.render_help() }.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Command;

    fn line(text: &str) -> Result<Line, Early> {
        parse(text.split_whitespace().map(OsString::from).collect())
    }

    fn refusal(text: &str) -> String {
        match line(text) {
            Err(Early::Usage(text)) => text,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Line::command().debug_assert();
    }

    #[test]
    fn global_options_may_stand_anywhere() {
        for text in ["--auth x read s", "read --auth x s", "read s --auth x", "read s --auth=x"] {
            let line = line(text).expect(text);
            assert_eq!(line.global.auth.as_deref(), Some("x"), "{text}");
            assert!(matches!(line.command, Command::Read(_)));
        }
    }

    #[test]
    fn options_of_a_command_may_stand_before_it() {
        for text in ["--content-type text/plain write s x", "--url http://h --content-type=text/plain write s x"] {
            let Ok(Line { command: Command::Write(args), .. }) = line(text) else { panic!("{text}") };
            assert_eq!(args.kind.content_type.as_deref(), Some("text/plain"), "{text}");
            assert_eq!(args.content, ["x"]);
        }
        let Ok(Line { global, command: Command::Read(args) }) = line("--live --auth create read s") else {
            panic!("read")
        };
        assert_eq!((global.auth.as_deref(), args.live), (Some("create"), true));
    }

    #[test]
    fn options_may_stand_before_or_after_the_id() {
        for text in ["write --json s a b", "write s --json a b", "write s a b --json", "write s a --json b"] {
            let Ok(Line { command: Command::Write(args), .. }) = line(text) else { panic!("{text}") };
            assert_eq!((args.id.as_str(), args.kind.json), ("s", true));
            assert_eq!(args.content, ["a", "b"], "{text}");
        }
    }

    #[test]
    fn numbers_below_zero_and_text_after_two_dashes_are_content() {
        for (text, content) in [("write s -5", "-5"), ("write s -- --json", "--json"), ("write s -- -h", "-h")] {
            let Ok(Line { command: Command::Write(args), .. }) = line(text) else { panic!("{text}") };
            assert_eq!(args.content, [content]);
            assert!(!args.kind.json);
        }
    }

    #[test]
    fn a_value_with_two_dashes_is_a_missing_value() {
        for text in [
            "--auth --json write s",
            "--url --auth x read s",
            "create s --content-type --json",
            "read s --offset --live",
        ] {
            assert!(refusal(text).contains("value"), "{text}");
        }
    }

    #[test]
    fn unknown_words_name_themselves() {
        assert!(refusal("frobnicate s").contains("frobnicate"));
        assert!(refusal("read s --wat").contains("--wat"));
        assert!(refusal("read s --format xml").contains("xml"));
        assert!(refusal("read s --limit 0").contains("--limit"));
        assert!(refusal("create s --ttl 1w").contains("1w"));
        assert!(refusal("read").contains("<id>"));
        assert!(refusal("read s --offset a,b").contains("a,b"));
        assert!(refusal("").contains("no command"));
    }

    #[test]
    fn what_follows_serve_belongs_to_the_server() {
        let Err(Early::Serve(rest)) = line("serve --prefix /x --help") else { panic!("serve") };
        assert_eq!(rest, ["--prefix", "/x", "--help"]);
    }

    #[test]
    fn help_wins_over_mistakes() {
        for text in ["--help", "-h", "--wat --help", "read --wat -h", "read s --limit 0 --help"] {
            assert!(matches!(line(text), Err(Early::Text(_))), "{text}");
        }
        let Err(Early::Text(help)) = line("--wat read --help") else { panic!("no help") };
        assert!(help.contains("--checkpoint"), "{help}");
    }

    #[test]
    fn minus_one_and_now_are_offsets() {
        for offset in ["-1", "now", "0000000000000000_0000000000000012"] {
            let Ok(Line { command: Command::Read(args), .. }) = line(&format!("read s --offset {offset}")) else {
                panic!("{offset}")
            };
            assert_eq!(args.offset.as_deref(), Some(offset));
        }
    }

    #[test]
    fn follow_has_three_spellings() {
        for flag in ["--live", "-f", "--follow"] {
            let Ok(Line { command: Command::Read(args), .. }) = line(&format!("read s {flag}")) else {
                panic!("{flag}")
            };
            assert!(args.live);
        }
    }
}
