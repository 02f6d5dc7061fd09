//! What a finished command says on standard output.

use std::io::{self, Write as _};

use serde_json::{Value, json};

use crate::{args::OutputForm, failure::Failure, target::Target};

/// Prints results in the form the user chose.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    form: OutputForm,
}

impl Report {
    /// A report in this form.
    pub const fn new(form: OutputForm) -> Self {
        Self { form }
    }

    /// Prints a result: the sentences, or an object of `command`, `stream`, `url` and the facts.
    pub fn done(self, command: &str, target: &Target, sentences: &str, facts: Value) -> Result<(), Failure> {
        match self.form {
            OutputForm::Text => print(sentences),
            OutputForm::Json => {
                let mut object = json!({ "ok": true, "command": command, "stream": target.id, "url": target.url });
                if let (Value::Object(object), Value::Object(facts)) = (&mut object, facts) {
                    object.extend(facts);
                }
                print(&object.to_string())
            }
        }
    }
}

/// Prints a line (or lines) on standard output.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(Failure::of_stdout)
}

/// Prints a warning on standard error; a closed one is nobody's loss.
pub fn warn(text: &str) {
    note(&format!("Warning: {text}"));
}

/// Prints a remark on standard error.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
