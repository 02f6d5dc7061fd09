//! Clients broken on purpose: each break makes a right client behind the wire look as if it
//! broke one rule, so that the cases of that rule can show that they notice.

use bytes::Bytes;
use serde_json::Value;

use crate::wire::body::Flow;

/// One way to be wrong.
#[derive(Debug)]
pub struct Break {
    /// The rule of protocol.md §28 that is broken.
    pub rule: &'static str,
    /// What such a client does.
    pub what: &'static str,
}

/// A break at work.
#[derive(Debug)]
pub struct Mutant {
    _broken: &'static Break,
}

impl Mutant {
    /// Puts a break to work.
    pub const fn new(broken: &'static Break) -> Self {
        Self { _broken: broken }
    }

    /// Changes what the client sends.
    pub fn request(&self, _parts: &mut http::request::Parts, _body: &mut Bytes) {}

    /// Changes what the client gets to see.
    pub fn reply(&self, _asked: &http::request::Parts, _head: &mut http::response::Parts, _flow: &mut Flow) {}

    /// Changes what the client says.
    pub fn result(&self, _result: &mut Value) {}
}

/// Every break.
pub static BREAKS: &[Break] = &[];

/// The break of a rule.
pub fn find(rule: &str) -> Result<&'static Break, String> {
    BREAKS.iter().find(|broken| broken.rule == rule).ok_or_else(|| format!("nothing breaks {rule:?}"))
}
