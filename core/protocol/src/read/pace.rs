//! How soon to ask again (protocol.md §25.3, §25.4).

use std::time::Duration;

use super::fallback::SseFallback;
use crate::{Time, retry::RetryPolicy};

/// A long-poll that waited so long shows a server that works.
const HEALTHY_POLL: Duration = Duration::from_millis(1000);
/// A long-poll that ends sooner, without progress, did not wait. Below any server's hold.
const QUICK_POLL: Duration = Duration::from_millis(100);
/// So many quick ones are free: closures and races answer at once, too.
const QUICK_POLLS_TOLERATED: u32 = 3;
/// Bounds of the wait after quick polls.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Counts what went wrong in a row. Progress of the offset clears it, a mere connection
/// does not: else a server that answers and hangs up would be hammered for ever.
#[derive(Debug)]
pub(super) struct Pace {
    entropy: u64,
    failed_attempts: u32,
    reported_failures: u32,
    short_connections: u32,
    quick_polls: u32,
}

/// What to do after an SSE answer ended without closure.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reconnect {
    /// Connect again at this moment.
    At(Time),
    /// Use long-poll from now on.
    GiveUp,
}

impl Pace {
    pub(super) const fn new(seed: u64) -> Self {
        Self { entropy: seed, failed_attempts: 0, reported_failures: 0, short_connections: 0, quick_polls: 0 }
    }

    /// The offset moved.
    pub(super) fn progressed(&mut self) {
        *self = Self::new(self.entropy);
    }

    /// An attempt failed and may be repeated: when, or `None` if the budget is used up.
    pub(super) fn retry_at(
        &mut self,
        now: Time,
        policy: &RetryPolicy,
        unlimited: bool,
        floor: Option<Duration>,
    ) -> Option<Time> {
        let retry = self.failed_attempts;
        let entropy = self.next_entropy();
        let delay =
            if unlimited { policy.backoff(retry, entropy, floor) } else { policy.delay(retry, entropy, floor)? };
        self.failed_attempts = retry.saturating_add(1);
        Some(now + delay)
    }

    /// How many attempts in a row have failed, counting the one that is failing now.
    pub(super) const fn attempts(&self) -> u32 {
        self.failed_attempts.saturating_add(1)
    }

    /// A failure goes to the caller, who may ask again: from when on that sends a request.
    /// The first time at once; a caller that ignores errors must not hammer the server.
    pub(super) fn reported(&mut self, now: Time, policy: &RetryPolicy) -> Time {
        self.failed_attempts = 0;
        let reported = self.reported_failures;
        self.reported_failures = reported.saturating_add(1);
        match reported.checked_sub(1) {
            None => now,
            Some(retry) => now + policy.backoff(retry, self.next_entropy(), None),
        }
    }

    /// An SSE answer ended `lived` after its head.
    pub(super) fn connection_ended(
        &mut self,
        now: Time,
        lived: Duration,
        moved: bool,
        fallback: &SseFallback,
    ) -> Reconnect {
        if moved || lived >= fallback.min_connection {
            self.short_connections = 0;
            self.failed_attempts = 0;
            return Reconnect::At(now);
        }
        self.short_connections = self.short_connections.saturating_add(1);
        let limit = fallback.max_short_connections;
        if limit != SseFallback::NEVER && self.short_connections >= limit {
            return Reconnect::GiveUp;
        }
        Reconnect::At(now + self.pause(self.short_connections, fallback.base_delay, fallback.max_delay))
    }

    /// A long-poll ended `waited` after its request, without data: when to ask again.
    pub(super) fn poll_ended(&mut self, now: Time, waited: Duration) -> Time {
        if waited >= QUICK_POLL {
            self.quick_polls = 0;
            if waited >= HEALTHY_POLL {
                self.failed_attempts = 0;
            }
            return now;
        }
        self.quick_polls = self.quick_polls.saturating_add(1);
        match self.quick_polls.checked_sub(QUICK_POLLS_TOLERATED + 1) {
            None => now,
            Some(exponent) => now + self.pause(exponent, FIRST_PAUSE, MAX_PAUSE),
        }
    }

    /// Full jitter below a doubling bound.
    fn pause(&mut self, exponent: u32, first: Duration, most: Duration) -> Duration {
        let bound = first.saturating_mul(1 << exponent.min(16)).min(most);
        let bound_micros = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.next_entropy() % bound_micros.max(1))
    }

    /// SplitMix64: spreads the supplied seed over as many values as are needed.
    pub(super) fn next_entropy(&mut self) -> u64 {
        self.entropy = self.entropy.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.entropy;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Duration::from_secs(100);
    const RULE: SseFallback = SseFallback::DEFAULT;

    #[test]
    fn three_short_connections_without_progress_give_sse_up() {
        let mut pace = Pace::new(1);
        for bound_ms in [200, 400] {
            let Reconnect::At(at) = pace.connection_ended(NOW, Duration::from_millis(999), false, &RULE) else {
                panic!("given up too soon")
            };
            assert!(at >= NOW && at < NOW + Duration::from_millis(bound_ms));
        }
        assert_eq!(pace.connection_ended(NOW, Duration::ZERO, false, &RULE), Reconnect::GiveUp);
    }

    #[test]
    fn progress_or_age_makes_a_connection_healthy() {
        let mut pace = Pace::new(1);
        for _ in 0..10 {
            assert_eq!(pace.connection_ended(NOW, Duration::ZERO, true, &RULE), Reconnect::At(NOW));
            pace.connection_ended(NOW, Duration::ZERO, false, &RULE);
            assert_eq!(pace.connection_ended(NOW, RULE.min_connection, false, &RULE), Reconnect::At(NOW));
            pace.connection_ended(NOW, Duration::ZERO, false, &RULE);
        }
    }

    #[test]
    fn callers_may_move_the_limits() {
        let lived = Duration::from_millis(50);
        let sooner = SseFallback { max_short_connections: 1, ..RULE };
        assert_eq!(Pace::new(1).connection_ended(NOW, lived, false, &sooner), Reconnect::GiveUp);
        let patient = SseFallback { min_connection: lived, ..RULE };
        let mut pace = Pace::new(1);
        for _ in 0..10 {
            assert_eq!(pace.connection_ended(NOW, lived, false, &patient), Reconnect::At(NOW));
        }
        let delay = Duration::from_millis(3);
        let never =
            SseFallback { max_short_connections: SseFallback::NEVER, base_delay: delay, max_delay: delay, ..RULE };
        for round in 0..100 {
            let Reconnect::At(at) = pace.connection_ended(NOW, Duration::ZERO, false, &never) else {
                panic!("given up in round {round}")
            };
            assert!(at < NOW + delay, "round {round}");
        }
    }

    #[test]
    fn quick_polls_are_paused_after_a_few_and_never_long() {
        let mut pace = Pace::new(7);
        for _ in 0..QUICK_POLLS_TOLERATED {
            assert_eq!(pace.poll_ended(NOW, Duration::ZERO), NOW);
        }
        for round in 0..40 {
            let at = pace.poll_ended(NOW, Duration::ZERO);
            assert!(at <= NOW + MAX_PAUSE, "round {round}");
        }
        assert_eq!(pace.poll_ended(NOW, QUICK_POLL), NOW);
        assert_eq!(pace.poll_ended(NOW, Duration::ZERO), NOW);
    }

    #[test]
    fn only_the_first_reported_failure_may_be_repeated_at_once() {
        let mut pace = Pace::new(3);
        let policy = RetryPolicy::DEFAULT;
        assert_eq!(pace.reported(NOW, &policy), NOW);
        assert!(pace.reported(NOW, &policy) > NOW);
        pace.progressed();
        assert_eq!(pace.reported(NOW, &policy), NOW);
    }
}
