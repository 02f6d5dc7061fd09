//! What a subscription consists of (protocol.md §23.4, §23.5). The rules that move
//! it are in `machine`.

use std::collections::{BTreeMap, BTreeSet};

use durable_streams_protocol::offset::{BEGINNING, Position};

use super::config::Config;
use crate::path::StreamPath;

/// Wall-clock time, supplied by the host. Units: Unix milliseconds.
pub(crate) type UnixMs = u64;

/// A durable set of cursors and the wake in progress, if there is one.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// Chosen by the client.
    pub(crate) id: Box<str>,
    /// What it was asked to be.
    pub(crate) config: Config,
    /// When it was created.
    pub(crate) created_at: UnixMs,
    /// Scheme and authority under which the creator reached this server; callbacks go there.
    pub(crate) public_base: String,
    /// Streams it follows.
    pub(crate) links: BTreeMap<StreamPath, Link>,
    /// The links with unprocessed data; kept in step with `links`.
    pub(crate) pending: BTreeSet<StreamPath>,
    /// Number of wakes so far.
    pub(crate) generation: u64,
    /// The wake in progress; `None` = Idle.
    pub(crate) wake: Option<Wake>,
    /// Failed deliveries in a row.
    pub(crate) failures: u32,
    /// What changed since it was last stored.
    pub(crate) unsaved: Unsaved,
}

/// One followed stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// The pattern covers it.
    pub(crate) by_glob: bool,
    /// It was named one by one.
    pub(crate) by_name: bool,
    /// Last processed position, inclusive; `None` = nothing of it (`-1`).
    pub(crate) acked: Option<Position>,
    /// Last known tail; `None` while the stream does not exist.
    pub(crate) tail: Option<Position>,
}

/// Which kind a link shows (protocol.md §23.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkType {
    Glob,
    Explicit,
}

/// A wake: one generation, from the notification until the worker is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wake {
    /// Unique: `w_` and 24 hex digits.
    pub(crate) id: Box<str>,
    /// The stream whose data caused it.
    pub(crate) trigger: StreamPath,
    /// Worker holding the lease; `None` = Waking.
    pub(crate) holder: Option<String>,
    /// When the lease ends; `None` = no lease runs.
    pub(crate) lease_until: Option<UnixMs>,
    /// How far telling the outside world has come.
    pub(crate) notice: Notice,
    /// Tails shown to the webhook in the running attempt.
    pub(crate) snapshot: Vec<(StreamPath, Position)>,
}

/// How far the notification of a wake has come: the webhook POST or the wake event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    /// To be sent now.
    Due,
    /// Being sent; its outcome is not known.
    InFlight,
    /// Failed; to be sent again at this time.
    Retry(UnixMs),
    /// Arrived.
    Told,
}

/// What must be written before anything is answered.
#[derive(Debug, Default)]
pub(crate) struct Unsaved {
    /// The record of the subscription itself.
    pub(crate) record: bool,
    /// Links that changed, came or went.
    pub(crate) links: BTreeSet<StreamPath>,
}

impl Link {
    /// Whether data lies behind the cursor.
    pub(crate) fn is_pending(&self) -> bool {
        // `None` (`-1`) sorts before every position, as the tokens do.
        self.tail.is_some_and(|tail| Some(tail) > self.acked)
    }

    /// The kind shown: naming a stream wins over the pattern.
    pub(crate) const fn link_type(&self) -> LinkType {
        if self.by_name { LinkType::Explicit } else { LinkType::Glob }
    }

    /// The cursor as a token.
    pub(crate) fn acked_offset(&self) -> String {
        self.acked.map_or_else(|| BEGINNING.to_owned(), |position| position.to_string())
    }
}

impl LinkType {
    /// The value of `link_type`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Glob => "glob",
            Self::Explicit => "explicit",
        }
    }
}

impl Unsaved {
    /// Whether everything is stored.
    pub(crate) fn is_empty(&self) -> bool {
        !self.record && self.links.is_empty()
    }

    /// Adds what a failed write left unsaved.
    pub(crate) fn merge(&mut self, mut other: Self) {
        self.record |= other.record;
        self.links.append(&mut other.links);
    }
}

impl Subscription {
    /// A new subscription without links, Idle.
    pub(crate) fn new(id: &str, config: Config, public_base: &str, now: UnixMs) -> Self {
        Self {
            id: id.into(),
            config,
            created_at: now,
            public_base: public_base.to_owned(),
            links: BTreeMap::new(),
            pending: BTreeSet::new(),
            generation: 0,
            wake: None,
            failures: 0,
            unsaved: Unsaved { record: true, links: BTreeSet::new() },
        }
    }

    /// The value of `status` (protocol.md §23.2).
    pub(crate) fn status(&self) -> &'static str {
        match &self.wake {
            Some(Wake { notice: Notice::Retry(_), .. }) => "failed",
            Some(_) | None => "active",
        }
    }
}
