//! The wall clock and a source of chance, where the HTTP layer needs them.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::{SystemTime, UNIX_EPOCH},
};

/// Now. Units: Unix seconds.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A uniform value, good enough to spread load; not for secrets.
pub(crate) fn entropy() -> u64 {
    // Every RandomState carries fresh keys.
    RandomState::new().build_hasher().finish()
}
