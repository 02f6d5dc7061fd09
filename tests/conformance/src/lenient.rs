//! Public cases that a strict runner has to read with care, by name: what is accepted in
//! them beside their words, and why (adapter-protocol §9).

use serde_json::Value;

/// One public case and what is accepted in it.
#[derive(Debug)]
pub struct Lenience {
    /// Suite and test.
    pub test: (&'static str, &'static str),
    /// The action whose result may differ.
    pub action: &'static str,
    /// The error that is accepted.
    pub error_code: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// All of them.
pub const LENIENT: &[Lenience] = &[Lenience {
    test: ("consumer-errors", "read-future-offset"),
    action: "read",
    error_code: "INVALID_OFFSET",
    reason: "the offset is made up; a server may refuse what it cannot have issued (protocol.md §10), \
                 and the public runner does not notice the 400",
}];

/// What is accepted in a test beyond its words.
pub fn of(suite: &str, test: &str) -> Option<&'static Lenience> {
    LENIENT.iter().find(|lenience| lenience.test == (suite, test))
}

impl Lenience {
    /// Whether a result is accepted as it is.
    pub fn accepts(&self, action: &str, result: &Value) -> bool {
        action == self.action && result["errorCode"] == self.error_code
    }
}
