//! Streamkeeper: the package of that name, and the public server suite against the engine inside
//! the Erlang VM, through the plug behind a web server in Elixir, and through a listener.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
};

use crate::{
    conformance, elixir,
    process::{Outcome, cannot_start, root, run as run_command},
    tally::Tally,
};

/// Tests the package and runs the suite twice. What the package depends on is built already.
pub(crate) fn run() -> Outcome<Tally> {
    let mut tests = elixir::mix("test");
    tests.current_dir(root().join("bindings/elixir/streamkeeper")).env("DURABLE_STREAMS_PROFILE", "debug");
    let mut tally = Tally::of("tests of the package streamkeeper", run_command(tests.arg("test")));
    tally += suite()?;
    Ok(tally)
}

fn suite() -> Outcome<Tally> {
    let mut vm = elixir::mix("test");
    vm.args(["run", "test/streamkeeper/serve.exs"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut vm = Vm(vm.spawn().map_err(|error| cannot_start(&vm, &error))?);
    let output = vm.0.stdout.take().ok_or("the VM has no standard output")?;
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let mut tally = Tally::default();
    for name in ["the plug", "the listener"] {
        let Some(url) = lines.find(|line| line.starts_with("http://")) else {
            return Err(format!("the VM ended before {name} had a URL").into());
        };
        println!("{name}:");
        tally += conformance::run(None, Some(&url), None)?;
    }
    Ok(tally)
}

/// Ended when dropped.
struct Vm(Child);

impl Drop for Vm {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
