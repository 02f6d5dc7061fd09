//! Clients broken on purpose. Each break makes a right client behind the wire look as if it
//! broke one rule: by changing what it is told to do, what it sends, what it gets to see, or
//! what it says. The cases of that rule must notice.

mod edit;
mod list;

use bytes::Bytes;
use serde_json::Value;

pub use self::list::BREAKS;
use crate::wire::body::Flow;

/// One way to be wrong.
#[derive(Debug)]
pub struct Break {
    /// The rule of protocol.md §28 that is broken.
    pub rule: &'static str,
    /// What such a client does.
    pub what: &'static str,
    act: Act,
}

/// Where a break interferes.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// Changes a command before the client gets it.
    Command(fn(&mut Value)),
    /// Changes a request before the wire sees it.
    Request(fn(&mut http::request::Parts, &mut Bytes)),
    /// Changes an answer behind the record.
    Reply(fn(&http::request::Parts, &mut http::response::Parts, &mut Flow)),
    /// Changes a result.
    Result(fn(&mut Value)),
}

/// The break of a rule.
pub fn find(rule: &str) -> Result<&'static Break, String> {
    BREAKS.iter().find(|broken| broken.rule == rule).ok_or_else(|| format!("nothing breaks {rule:?}"))
}

/// A break at work.
#[derive(Debug)]
pub struct Mutant(Act);

impl Mutant {
    /// Puts a break to work.
    pub const fn new(broken: &'static Break) -> Self {
        Self(broken.act)
    }

    /// Changes what the client is told.
    pub fn command(&self, command: &mut Value) {
        if let Act::Command(change) = self.0 {
            change(command);
        }
    }

    /// Changes what the client sends.
    pub fn request(&self, parts: &mut http::request::Parts, body: &mut Bytes) {
        if let Act::Request(change) = self.0 {
            change(parts, body);
        }
    }

    /// Changes what the client gets to see.
    pub fn reply(&self, asked: &http::request::Parts, head: &mut http::response::Parts, flow: &mut Flow) {
        if let Act::Reply(change) = self.0 {
            change(asked, head, flow);
        }
    }

    /// Changes what the client says.
    pub fn result(&self, result: &mut Value) {
        if let Act::Result(change) = self.0 {
            change(result);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{ELSEWHERE, RULES};

    #[test]
    fn every_rule_that_an_adapter_can_show_has_a_break() {
        for (rule, _) in RULES {
            let is_exempt = ELSEWHERE.iter().any(|elsewhere| elsewhere.rule == *rule);
            assert_ne!(find(rule).is_ok(), is_exempt, "{rule}");
        }
    }
}
