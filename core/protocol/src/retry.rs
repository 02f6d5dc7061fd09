//! When to send a request again, and how long to wait (protocol.md §25.4).

use std::time::Duration;

use http::StatusCode;

use crate::{
    numbers::{saturating_u32, span_of_ms},
    request::{Idempotency, InvalidArgument},
    response::TransportFailureKind,
};

/// How often and how fast failed requests are repeated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// Attempts after the first; [`RetryPolicy::UNLIMITED`] never gives up.
    pub max_retries: u32,
    /// Upper bound of the first delay.
    pub initial_delay: Duration,
    /// Upper bound of every delay, except one the server asks for.
    pub max_delay: Duration,
    /// Growth of the upper bound per attempt, at least 1.
    pub multiplier: f64,
    /// Whether an append without producer headers is repeated after a broken connection,
    /// when it may already be stored. Off by default: a repeat can duplicate.
    pub repeat_unconfirmed_appends: bool,
}

/// How one attempt ended, as far as a repeat is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptEnd {
    /// An answer arrived.
    Answered(StatusCode),
    /// No whole answer arrived.
    Failed(TransportFailureKind),
}

/// Policy numbers as host languages give them; absent ones keep the default.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RetryNumbers {
    /// `maxRetries`: whole and not negative; infinity never gives up.
    pub max_retries: Option<f64>,
    /// `initialDelayMs`: more than 0.
    pub initial_delay_ms: Option<f64>,
    /// `maxDelayMs`: not below `initialDelayMs`.
    pub max_delay_ms: Option<f64>,
    /// `multiplier`: at least 1.
    pub multiplier: Option<f64>,
}

impl RetryPolicy {
    /// Never gives up.
    pub const UNLIMITED: u32 = u32::MAX;

    /// Sends every request once.
    pub const NEVER: Self = Self { max_retries: 0, ..Self::DEFAULT };

    /// Three retries, 100 ms doubling up to 30 s.
    pub const DEFAULT: Self = Self {
        max_retries: 3,
        initial_delay: Duration::from_millis(100),
        max_delay: Duration::from_secs(30),
        multiplier: 2.0,
        repeat_unconfirmed_appends: false,
    };

    /// Whether a request that ended so may be sent again at all.
    pub fn allows(&self, idempotency: Idempotency, end: AttemptEnd) -> bool {
        match end {
            AttemptEnd::Answered(status) => is_transient(status),
            AttemptEnd::Failed(TransportFailureKind::Connect) => true,
            AttemptEnd::Failed(TransportFailureKind::Local) => false,
            AttemptEnd::Failed(TransportFailureKind::Timeout | TransportFailureKind::Broken) => {
                idempotency == Idempotency::Repeatable || self.repeat_unconfirmed_appends
            }
        }
    }

    /// How long to wait before retry number `retry` (0 for the first), or `None` when the
    /// retries are used up: full jitter below a growing bound, and never less than what
    /// the server asked for. `entropy` is any uniform value.
    pub fn delay(&self, retry: u32, entropy: u64, floor: Option<Duration>) -> Option<Duration> {
        let has_budget = self.max_retries == Self::UNLIMITED || retry < self.max_retries;
        has_budget.then(|| self.backoff(retry, entropy, floor))
    }

    /// The wait of retry number `retry`, whatever the budget.
    pub fn backoff(&self, retry: u32, entropy: u64, floor: Option<Duration>) -> Duration {
        let growth = self.multiplier.max(1.0).powi(i32::try_from(retry).unwrap_or(i32::MAX));
        let bound = (self.initial_delay.as_secs_f64() * growth).min(self.max_delay.as_secs_f64());
        // 53 bits are all a double keeps apart; the quotient lies in 0..1.
        #[expect(clippy::cast_precision_loss)]
        let fraction = (entropy >> 11) as f64 / (1_u64 << 53) as f64;
        Duration::try_from_secs_f64(bound * fraction).unwrap_or(Duration::MAX).max(floor.unwrap_or_default())
    }

    /// Checks the policy; the message names the field as every language spells it.
    pub fn validate(&self) -> Result<(), InvalidArgument> {
        let numbers = RetryNumbers {
            max_retries: None,
            initial_delay_ms: Some(self.initial_delay.as_secs_f64() * 1000.0),
            max_delay_ms: Some(self.max_delay.as_secs_f64() * 1000.0),
            multiplier: Some(self.multiplier),
        };
        numbers.check(self).map(|_| ())
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl RetryNumbers {
    /// The policy of these numbers, with the defaults of `base` for absent ones.
    /// Errors: names the field in the spelling of protocol.md §25.6.
    pub fn check(&self, base: &RetryPolicy) -> Result<RetryPolicy, InvalidArgument> {
        let refuse = |field, value: f64, rule: &str| Err(InvalidArgument::new(field, format!("{rule}, got {value}")));
        let max_retries = match self.max_retries {
            None => base.max_retries,
            Some(value) if value == f64::INFINITY => RetryPolicy::UNLIMITED,
            Some(value) if value >= 0.0 && value.fract() == 0.0 => saturating_u32(value),
            Some(value) => return refuse("maxRetries", value, "must be a whole number, 0 or more"),
        };
        let initial_ms = self.initial_delay_ms.unwrap_or(base.initial_delay.as_secs_f64() * 1000.0);
        if initial_ms.is_nan() || initial_ms <= 0.0 {
            return refuse("initialDelayMs", initial_ms, "must be more than 0");
        }
        let max_ms = self.max_delay_ms.unwrap_or_else(|| (base.max_delay.as_secs_f64() * 1000.0).max(initial_ms));
        if max_ms.is_nan() || max_ms < initial_ms {
            return refuse("maxDelayMs", max_ms, &format!("must not be below initialDelayMs ({initial_ms})"));
        }
        let multiplier = self.multiplier.unwrap_or(base.multiplier);
        if multiplier.is_nan() || multiplier < 1.0 {
            return refuse("multiplier", multiplier, "must be at least 1");
        }
        Ok(RetryPolicy {
            max_retries,
            initial_delay: span_of_ms(initial_ms),
            max_delay: span_of_ms(max_ms),
            multiplier,
            repeat_unconfirmed_appends: base.repeat_unconfirmed_appends,
        })
    }
}

/// Whether an answer says "not now" rather than "no": 408, 425, 429 and 5xx except 501
/// and 505. Every operation is repeated after these, plain appends too (protocol.md C21).
pub fn is_transient(status: StatusCode) -> bool {
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => false,
        status => status.is_server_error(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_section_25_4() {
        use Idempotency::{OnceOnly, Repeatable};
        let policy = RetryPolicy::DEFAULT;
        for status in [408, 425, 429, 500, 502, 503, 504, 507, 599] {
            let end = AttemptEnd::Answered(StatusCode::from_u16(status).expect("a status"));
            assert!(policy.allows(Repeatable, end) && policy.allows(OnceOnly, end), "{status}");
        }
        for status in [200, 304, 400, 401, 403, 404, 405, 409, 410, 413, 501, 505] {
            let end = AttemptEnd::Answered(StatusCode::from_u16(status).expect("a status"));
            assert!(!policy.allows(Repeatable, end) && !policy.allows(OnceOnly, end), "{status}");
        }
        let failures = [
            (TransportFailureKind::Connect, true, true),
            (TransportFailureKind::Timeout, true, false),
            (TransportFailureKind::Broken, true, false),
            (TransportFailureKind::Local, false, false),
        ];
        for (kind, repeatable, once_only) in failures {
            assert_eq!(policy.allows(Repeatable, AttemptEnd::Failed(kind)), repeatable, "{kind:?}");
            assert_eq!(policy.allows(OnceOnly, AttemptEnd::Failed(kind)), once_only, "{kind:?}");
        }
        let opted_in = RetryPolicy { repeat_unconfirmed_appends: true, ..policy };
        assert!(opted_in.allows(OnceOnly, AttemptEnd::Failed(TransportFailureKind::Broken)));
    }

    #[test]
    fn delays_spread_below_a_growing_bound_and_above_the_floor() {
        let policy = RetryPolicy { max_retries: 9, max_delay: Duration::from_secs(1), ..RetryPolicy::DEFAULT };
        let bounds_ms = [100, 200, 400, 800, 1000, 1000, 1000];
        for (retry, bound) in (0..).zip(bounds_ms) {
            let most = policy.delay(retry, u64::MAX, None).expect("has budget");
            assert!(
                most <= Duration::from_millis(bound) && most > Duration::from_millis(bound - 1),
                "{retry}: {most:?}"
            );
            assert_eq!(policy.delay(retry, 0, None), Some(Duration::ZERO));
            assert_eq!(policy.delay(retry, 1 << 63, None), Some(Duration::from_millis(bound / 2)));
            let floor = Duration::from_secs(5);
            assert_eq!(policy.delay(retry, u64::MAX, Some(floor)), Some(floor));
        }
        assert_eq!(policy.delay(9, 0, None), None);
    }

    #[test]
    fn an_unlimited_policy_survives_any_count() {
        let policy = RetryPolicy { max_retries: RetryPolicy::UNLIMITED, ..RetryPolicy::DEFAULT };
        assert!(policy.delay(u32::MAX, u64::MAX, None).expect("has budget") <= Duration::from_secs(30));
        assert_eq!(RetryPolicy::NEVER.delay(0, 0, None), None);
    }

    #[test]
    fn twenty_failures_end_well_within_thirty_seconds() {
        let policy = RetryPolicy::DEFAULT;
        let total: Duration = (0..20).map_while(|retry| policy.delay(retry, u64::MAX, None)).sum();
        assert!(total < Duration::from_secs(1), "{total:?}");
    }

    #[test]
    fn numbers_are_refused_by_the_name_every_language_uses() {
        let numbers = |max_retries, initial_delay_ms, max_delay_ms, multiplier| RetryNumbers {
            max_retries,
            initial_delay_ms,
            max_delay_ms,
            multiplier,
        };
        let refused = [
            ("maxRetries", numbers(Some(-1.0), None, None, None)),
            ("maxRetries", numbers(Some(1.5), None, None, None)),
            ("maxRetries", numbers(Some(f64::NAN), None, None, None)),
            ("initialDelayMs", numbers(None, Some(0.0), None, None)),
            ("initialDelayMs", numbers(None, Some(f64::NAN), None, None)),
            ("maxDelayMs", numbers(None, Some(100.0), Some(99.0), None)),
            ("multiplier", numbers(None, None, None, Some(0.99))),
            ("multiplier", numbers(None, None, None, Some(f64::NAN))),
        ];
        for (field, numbers) in refused {
            let invalid = numbers.check(&RetryPolicy::DEFAULT).expect_err(field);
            assert_eq!(invalid.argument, field);
            assert!(invalid.to_string().starts_with(field), "{invalid}");
        }
        let policy = numbers(Some(f64::INFINITY), Some(50.0), Some(f64::INFINITY), Some(1.3));
        let policy = policy.check(&RetryPolicy::DEFAULT).expect("valid");
        assert_eq!((policy.max_retries, policy.max_delay), (RetryPolicy::UNLIMITED, Duration::MAX));
        assert!(policy.delay(5000, u64::MAX, None).is_some());
    }
}
