//! Numbers as host languages give them, which have one kind of number only.

use std::time::Duration;

/// A count that is whole and not negative; a huge one stays below `u32::MAX`, which means
/// that there is no limit.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(crate) const fn saturating_u32(value: f64) -> u32 {
    // `as` saturates.
    let value = value as u32;
    if value == u32::MAX { u32::MAX - 1 } else { value }
}

/// A span that is not negative; more than fits is the longest there is. Units: ms.
pub(crate) fn span_of_ms(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1000.0).unwrap_or(Duration::MAX)
}
