//! Public cases that a strict runner has to read with care, by name. Each says what is
//! accepted instead, and why (adapter-protocol §9).

use crate::{
    case::{Operation, actions::EXPECTATIONS},
    yaml::{Node, Value},
};

/// One public case and what is accepted in it.
#[derive(Debug)]
pub struct Lenience {
    /// Suite and test.
    pub test: (&'static str, &'static str),
    /// Why.
    pub reason: &'static str,
    /// The action it is about.
    pub action: &'static str,
    /// Which of its expectations go, and what stands there instead.
    pub replace: &'static [(&'static str, Option<Stand>)],
}

/// What stands in place of an expectation.
#[derive(Debug, Clone, Copy)]
pub enum Stand {
    /// One of these statuses.
    StatusAnyOf(&'static [i64]),
}

/// All of them.
pub const LENIENT: &[Lenience] = &[];

/// What is accepted in a test beyond its words.
pub fn of(suite: &str, test: &str) -> Option<&'static Lenience> {
    LENIENT.iter().find(|lenience| lenience.test == (suite, test))
}

impl Lenience {
    /// The operation as it is checked.
    pub fn apply(&self, operation: &Operation) -> Operation {
        let mut operation = operation.clone();
        if operation.action.name != self.action {
            return operation;
        }
        for (key, stand) in self.replace {
            let Some(index) = operation.expect.iter().position(|(field, _)| field.name == *key) else { continue };
            operation.expect.remove(index);
            if let Some(Stand::StatusAnyOf(statuses)) = stand
                && let Some(field) = EXPECTATIONS.iter().find(|field| field.name == "statusAnyOf")
            {
                let line = operation.line;
                let statuses = statuses.iter().map(|status| Node { line, value: Value::Int(*status) });
                operation.expect.push((field, Node { line, value: Value::List(statuses.collect()) }));
            }
        }
        operation
    }
}
