//! Clients that are wrong on purpose: a right client is made to look like one, and scenarios
//! must notice. A flaw that nobody notices is a promise that nobody checks.

use serde_json::{Value, json};

/// One way to be wrong.
#[derive(Debug, Clone, Copy)]
pub struct Flaw {
    /// Its name.
    pub name: &'static str,
    /// What such a client does.
    pub what: &'static str,
    /// Where it must be noticed: a part of the names of scenarios.
    pub noticed_in: &'static str,
    /// How it is feigned.
    pub kind: Kind,
}

/// How a flaw is feigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The proxy sends a plain append again whose answer it cuts.
    RepeatsAppends,
    /// The proxy makes a repeated batch look like another producer's.
    NewNumbers,
    /// The proxy tells the client a shorter wait than it keeps in mind.
    Impatient,
    /// The other origin is shown what only the first one was sent.
    Leaks,
    /// Commands that fail are given again and again.
    Endless,
    /// Reads that go on begin anew.
    Forgets,
    /// The last chunk of a read comes twice.
    Doubles,
    /// The last chunk of a read is missing.
    Loses,
    /// Failed writes are called successes.
    Lies,
    /// Failed reads are called empty.
    Hides,
    /// Every error is the same error.
    Untyped,
}

/// Every flaw.
pub const FLAWS: &[Flaw] = &[
    Flaw {
        name: "repeats-appends",
        what: "a plain append is repeated after a broken connection",
        noticed_in: "appends/",
        kind: Kind::RepeatsAppends,
    },
    Flaw {
        name: "new-numbers",
        what: "a repeated batch does not repeat its numbers",
        noticed_in: "producers/",
        kind: Kind::NewNumbers,
    },
    Flaw { name: "impatient", what: "`Retry-After` is not respected", noticed_in: "limits/", kind: Kind::Impatient },
    Flaw { name: "leaks", what: "credentials follow redirects", noticed_in: "credentials/", kind: Kind::Leaks },
    Flaw { name: "endless", what: "failures are tried again without end", noticed_in: "limits/", kind: Kind::Endless },
    Flaw { name: "forgets", what: "a read that goes on begins anew", noticed_in: "reads/", kind: Kind::Forgets },
    Flaw { name: "doubles", what: "data comes again after a break", noticed_in: "live/", kind: Kind::Doubles },
    Flaw { name: "loses", what: "data is missing after a break", noticed_in: "outages/", kind: Kind::Loses },
    Flaw { name: "lies", what: "a write that failed is a success", noticed_in: "appends/", kind: Kind::Lies },
    Flaw { name: "hides", what: "a spoilt answer is an empty one", noticed_in: "reads/", kind: Kind::Hides },
    Flaw { name: "untyped", what: "every error is the same error", noticed_in: "lifecycle/", kind: Kind::Untyped },
];

impl Kind {
    /// Changes what the client says.
    pub(crate) fn result(self, result: &mut Value) {
        let failed = result["success"] == false;
        let of = result["commandType"].as_str().unwrap_or_default().to_owned();
        match self {
            Self::Doubles | Self::Loses => {
                if let Some(chunks) = result["chunks"].as_array_mut()
                    && let Some(last) = chunks.pop()
                    && self == Self::Doubles
                {
                    chunks.extend([last.clone(), last]);
                }
            }
            Self::Lies if failed && of == "append" => {
                *result = json!({"type": of, "success": true, "status": 200});
            }
            Self::Hides if failed && of == "read" => {
                *result = json!({"type": of, "success": true, "status": 200, "chunks": [], "offset": "-1",
                    "upToDate": true, "streamClosed": false});
            }
            Self::Untyped if failed => result["errorCode"] = "INTERNAL_ERROR".into(),
            Self::Lies
            | Self::Hides
            | Self::Untyped
            | Self::RepeatsAppends
            | Self::NewNumbers
            | Self::Impatient
            | Self::Leaks
            | Self::Endless
            | Self::Forgets => {}
        }
    }
}
