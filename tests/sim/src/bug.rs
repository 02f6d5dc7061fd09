//! Faults planted on purpose: each breaks one promise, and the checker must see it.

/// A planted fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// The server ignores producer headers: repeats are stored again.
    ServerForgetsProducers,
    /// The server accepts an epoch older than the one in force.
    ServerForgetsEpochs,
    /// The store says a commit is durable before it is; power loss takes it away.
    StoreAnswersEarly,
    /// The store drops a unit now and then.
    StoreDropsUnit,
    /// The store forgets on restart that a stream was closed.
    StoreForgetsClosure,
    /// The client gives a repeated batch the next sequence number.
    ClientRenumbersRetries,
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
        Self::StoreAnswersEarly,
        Self::StoreDropsUnit,
        Self::StoreForgetsClosure,
        Self::ClientRenumbersRetries,
        Self::ReaderSkips,
        Self::ReaderRepeats,
        Self::ReaderStopsEarly,
    ];
}
