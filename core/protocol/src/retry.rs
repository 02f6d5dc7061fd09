//! When to send a request again, and how long to wait (protocol.md §25.4).

use std::time::Duration;

use http::StatusCode;

use crate::{
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
        Duration::from_secs_f64(bound * fraction).max(floor.unwrap_or_default())
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
        let delay = |ms: f64| Duration::try_from_secs_f64(ms / 1000.0).unwrap_or(Duration::MAX);
        Ok(RetryPolicy {
            max_retries,
            initial_delay: delay(initial_ms),
            max_delay: delay(max_ms),
            multiplier,
            repeat_unconfirmed_appends: base.repeat_unconfirmed_appends,
        })
    }
}

/// Whether an answer says "not now" rather than "no": 408, 425, 429 and 5xx except 501
/// and 505. A received answer means the request was not carried out.
pub fn is_transient(status: StatusCode) -> bool {
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => false,
        status => status.is_server_error(),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
const fn saturating_u32(value: f64) -> u32 {
    // `as` saturates; one below the sentinel keeps a huge number finite.
    let value = value as u32;
    if value == u32::MAX { u32::MAX - 1 } else { value }
}
