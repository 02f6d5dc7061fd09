//! Which requests are met by which fault.

use std::time::Duration;

use super::http1::{First, Head};

/// Which requests a rule meets, and what it does to them.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Which requests.
    pub on: Match,
    /// Requests let through first.
    pub skip: u64,
    /// Requests met after that; `None` = all.
    pub count: Option<u64>,
    /// What happens to them.
    pub fault: Fault,
}

/// Which requests are meant. What is absent matches everything.
#[derive(Debug, Clone, Default)]
pub struct Match {
    /// The method.
    pub method: Option<String>,
    /// The end of the path.
    pub path: Option<String>,
    /// Parameters; `None` = absent.
    pub query: Vec<(String, Option<String>)>,
    /// Headers, names in lower case; `None` = absent.
    pub headers: Vec<(String, Option<String>)>,
}

/// What happens to a request or its answer.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The request ends at this point; the server never sees the rest.
    CutRequest(Point, How),
    /// The server answers; the client sees the answer up to this point.
    CutAnswer(Point, How),
    /// The answer stops at this point and goes on later, or never.
    Stall(Point, Option<Duration>),
    /// Nothing for a while, then everything.
    Delay(Way, Duration),
    /// Few bytes at a time.
    Trickle(Way, usize, Duration),
    /// The server gets the request twice, one after the other; one answer is thrown away.
    Twice(Keep),
    /// This request waits until the next one that is met has been answered by the server.
    Swap(Duration),
    /// The answer's body ends early, with a length that says so.
    Truncate(u64),
    /// The answer's length is wrong by so much; the connection ends behind it.
    WrongLength(i64),
    /// The answer does not come from the server.
    Answer(Canned),
    /// The client is sent elsewhere.
    Redirect(u16, To),
    /// All connections end and new ones are refused for a while.
    Outage(Outage),
}

/// A place in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Behind so many bytes of the head.
    Head(usize),
    /// Behind the head and so many bytes of the body, chunk sizes included.
    Body(usize),
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// In order (FIN).
    Close,
    /// With RST.
    Reset,
    /// Not at all: the peer is gone and nobody says so.
    Silence,
}

/// One direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To the server.
    Request,
    /// To the client.
    Answer,
}

/// Which of two answers the client gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// To the first request.
    First,
    /// To its copy.
    Second,
}

/// An answer that does not come from the server.
#[derive(Debug, Clone, Default)]
pub struct Canned {
    /// Its status.
    pub status: u16,
    /// `Retry-After`.
    pub retry_after: Option<RetryAfter>,
    /// More headers.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
    /// Whether the server got the request all the same.
    pub reached: bool,
}

/// How an answer asks for a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// Seconds.
    Seconds(u64),
    /// A date so many seconds ahead; it has whole seconds, so the wait is shorter.
    Date(u64),
    /// Something that is neither.
    Nonsense,
}

/// Where a redirect leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// To the other listener.
    Foreign,
    /// To the same URL.
    Same,
}

/// A time without a server.
#[derive(Debug, Clone, Copy)]
pub struct Outage {
    /// How long connections are refused.
    pub lasts: Duration,
    /// Whether the server is restarted meanwhile.
    pub restart: bool,
    /// Whether the server got the request that this began with.
    pub reached: bool,
}

impl Fault {
    /// Its name in scenarios.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::CutRequest(..) => "cutRequest",
            Self::CutAnswer(..) => "cutAnswer",
            Self::Stall(..) => "stall",
            Self::Delay(..) => "delay",
            Self::Trickle(..) => "trickle",
            Self::Twice(_) => "twice",
            Self::Swap(_) => "swap",
            Self::Truncate(_) => "truncate",
            Self::WrongLength(_) => "wrongLength",
            Self::Answer(_) => "answer",
            Self::Redirect(..) => "redirect",
            Self::Outage(_) => "outage",
        }
    }
}

impl Match {
    /// Whether a request is meant.
    pub fn takes(&self, head: &Head) -> bool {
        let First::Request(method, target) = &head.first else { return false };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        self.is_met(method, path, query, &head.headers)
    }

    /// The same, of the parts of a request.
    pub fn is_met(&self, method: &str, path: &str, query: &str, headers: &[(String, String)]) -> bool {
        let value_of = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let header = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        self.method.as_deref().is_none_or(|wanted| wanted == method)
            && self.path.as_deref().is_none_or(|end| path.ends_with(end))
            && self.query.iter().all(|(name, wanted)| value_of(name) == wanted.as_deref())
            && self.headers.iter().all(|(name, wanted)| header(name) == wanted.as_deref())
    }
}

/// A rule with its counts.
#[derive(Debug, Clone)]
pub(super) struct Armed {
    pub(super) id: u64,
    pub(super) rule: Rule,
    pub(super) skip: u64,
    pub(super) left: Option<u64>,
}

impl Armed {
    pub(super) fn new(id: u64, rule: Rule) -> Self {
        Self { id, skip: rule.skip, left: rule.count, rule }
    }

    /// Counts a request; whether the fault meets it.
    pub(super) fn meets(&mut self, head: &Head) -> bool {
        if self.left == Some(0) || !self.rule.on.takes(head) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.left = self.left.map(|left| left - 1);
        true
    }
}
