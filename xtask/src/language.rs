//! Languages with a client, and how the process that carries it is started.
//!
//! A new language is an arm in [`Language::adapter`] and a file of its own beside this one,
//! which builds what there is to build and returns an [`Adapter`]. Everything that drives
//! adapters takes it from here.

use std::{ffi::OsString, path::PathBuf, process::Command};

use clap::ValueEnum;

use crate::{
    cargo::{self, Profile},
    elixir, kotlin, node,
    process::Outcome,
    python, ruby, swift,
};

/// A language with an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// `tests/adapters/rust`.
    Rust,
    /// `python/adapter`, awaiting.
    Python,
    /// `python/adapter`, blocking.
    PythonSync,
    /// `node/adapter` in Node.
    Node,
    /// The same in Bun.
    Bun,
    /// The same in Deno.
    Deno,
    /// `bindings/kotlin/adapter`.
    Kotlin,
    /// `swift/Adapter`.
    Swift,
    /// `bindings/ruby/adapter`.
    Ruby,
    /// `bindings/elixir/adapter`.
    Elixir,
}

impl Language {
    /// Builds the language's adapter and says how it is started.
    pub(crate) fn adapter(self) -> Outcome<Adapter> {
        match self {
            Self::Rust => {
                cargo::build("durable-streams-adapter", "durable-streams-adapter-rust", Profile::Dev).map(Adapter::new)
            }
            Self::Python => python::adapter("--async"),
            Self::PythonSync => python::adapter("--sync"),
            Self::Node => node::adapter(node::Runtime::Node),
            Self::Bun => node::adapter(node::Runtime::Bun),
            Self::Deno => node::adapter(node::Runtime::Deno),
            Self::Kotlin => kotlin::adapter(),
            Self::Swift => swift::adapter(),
            Self::Ruby => ruby::adapter(),
            Self::Elixir => elixir::adapter(),
        }
    }
}

/// How an adapter is started, and what is to be expected of it.
#[derive(Debug)]
pub(crate) struct Adapter {
    /// What is run.
    pub(crate) program: PathBuf,
    /// With what.
    pub(crate) arguments: Vec<OsString>,
    /// Variables it needs, such as a search path.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// How many of it at once: fewer for one that is heavy to start.
    pub(crate) jobs: usize,
    /// Features that the language cannot have. Tests that need one are left out; a test
    /// that is skipped for any other reason has failed.
    pub(crate) lacks: &'static [&'static str],
}

impl Adapter {
    /// A program without arguments, eight at a time, with every feature.
    pub(crate) fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), arguments: Vec::new(), environment: Vec::new(), jobs: 8, lacks: &[] }
    }

    /// Adds it to the command line of a runner that knows `--adapter` and `--adapter-arg`.
    pub(crate) fn hand_to(&self, runner: &mut Command) {
        runner.arg("--adapter").arg(&self.program);
        for argument in &self.arguments {
            let mut flag = OsString::from("--adapter-arg=");
            flag.push(argument);
            runner.arg(flag);
        }
        runner.envs(self.environment.iter().map(|(name, value)| (name, value)));
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::Adapter;

    #[test]
    fn arguments_reach_the_adapter_as_they_are() {
        let adapter = Adapter { arguments: vec!["-m".into(), "a b".into()], ..Adapter::new("python3") };
        let mut runner = Command::new("kit");
        adapter.hand_to(&mut runner);
        let arguments: Vec<_> = runner.get_args().collect();
        assert_eq!(arguments, ["--adapter", "python3", "--adapter-arg=-m", "--adapter-arg=a b"]);
    }
}
