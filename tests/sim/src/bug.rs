//! Faults planted on purpose: each breaks one promise, and the checker must see it.

/// A planted fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// The server ignores producer headers: repeats are stored again.
    ServerForgetsProducers,
    /// The server accepts an epoch older than the one in force.
    ServerForgetsEpochs,
    /// The server accepts a sequence number that skips ahead, and what was skipped later.
    ServerForgetsGaps,
    /// The server refuses offsets that it issued before it restarted.
    ServerForgetsOffsets,
    /// The store says a commit is durable before it is; power loss takes it away.
    StoreAnswersEarly,
    /// The store drops a unit now and then.
    StoreDropsUnit,
    /// The store forgets on restart that a stream was closed.
    StoreForgetsClosure,
    /// Power loss during a commit leaves half a unit behind.
    StoreTearsUnit,
    /// The client gives a repeated batch the next sequence number.
    ClientRenumbersRetries,
    /// The client waits for an answer without a limit.
    ClientWaitsForever,
    /// The reader goes on behind an answer whose body broke off.
    ReaderSkips,
    /// The reader resumes from the offset before the last one.
    ReaderRepeats,
    /// The reader stops when it is up to date and takes that for the end.
    ReaderStopsEarly,
}

impl Bug {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::ServerForgetsProducers,
        Self::ServerForgetsEpochs,
        Self::ServerForgetsGaps,
        Self::ServerForgetsOffsets,
        Self::StoreAnswersEarly,
        Self::StoreDropsUnit,
        Self::StoreForgetsClosure,
        Self::StoreTearsUnit,
        Self::ClientRenumbersRetries,
        Self::ClientWaitsForever,
        Self::ReaderSkips,
        Self::ReaderRepeats,
        Self::ReaderStopsEarly,
    ];
}
