//! Cursors: cache-collapsing tokens of live reads (protocol.md §15).

/// 2024-10-09T00:00:00Z, where interval counting starts. Units: Unix seconds.
pub const EPOCH_UNIX_SECONDS: u64 = 1_728_432_000;
/// Default interval length. Units: seconds.
pub const INTERVAL_SECONDS: u64 = 20;
/// Upper bound of the random advance. Units: seconds.
const MAX_JITTER_SECONDS: u64 = 3600;

/// How a server numbers cursor intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CursorClock {
    /// Unix seconds at which interval 0 starts.
    pub epoch_unix_seconds: u64,
    /// Interval length in seconds, at least 1.
    pub interval_seconds: u64,
}

impl Default for CursorClock {
    fn default() -> Self {
        Self { epoch_unix_seconds: EPOCH_UNIX_SECONDS, interval_seconds: INTERVAL_SECONDS }
    }
}

impl CursorClock {
    /// The interval of a moment. Units: `now` in Unix seconds.
    pub const fn current(&self, now_unix_seconds: u64) -> u64 {
        let interval = if self.interval_seconds == 0 { 1 } else { self.interval_seconds };
        now_unix_seconds.saturating_sub(self.epoch_unix_seconds) / interval
    }

    /// The cursor to answer with: the current interval, or strictly more than a
    /// client's cursor that has caught up with it. `entropy` is any uniform value.
    pub fn respond(&self, client: Option<u64>, now_unix_seconds: u64, entropy: u64) -> u64 {
        let current = self.current(now_unix_seconds);
        match client {
            Some(cursor) if cursor >= current => {
                let seconds = entropy % MAX_JITTER_SECONDS + 1;
                let advance = seconds.div_ceil(self.interval_seconds.max(1)).max(1);
                cursor.saturating_add(advance)
            }
            _ => current,
        }
    }
}

/// Parses a client's cursor; anything but digits up to 2^53 - 1 counts as absent.
pub fn parse(value: &str) -> Option<u64> {
    crate::headers::parse_integer(value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collision_moves_strictly_forward() {
        let clock = CursorClock::default();
        let now = EPOCH_UNIX_SECONDS + 20 * 1000;
        assert_eq!(clock.respond(None, now, 7), 1000);
        assert_eq!(clock.respond(Some(999), now, 7), 1000);
        for entropy in [0, 1, 19, 20, 3599, u64::MAX] {
            let next = clock.respond(Some(1000), now, entropy);
            assert!(next > 1000 && next <= 1180, "{next}");
        }
        assert_eq!(clock.respond(Some(u64::MAX), now, 3), u64::MAX);
    }

    #[test]
    fn odd_cursors_count_as_absent() {
        for odd in ["", "abc", "-1", "9007199254740992", "1.5"] {
            assert_eq!(parse(odd), None, "{odd:?}");
        }
    }
}
