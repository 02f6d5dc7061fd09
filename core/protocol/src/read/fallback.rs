//! When a read gives server-sent events up: proxies that buffer, or cut every answer off,
//! let connections end at once (protocol.md §25.3).

use std::time::Duration;

use crate::{
    numbers::{saturating_u32, span_of_ms},
    request::InvalidArgument,
};

/// When server-sent events give way to long-poll, and how long to wait until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SseFallback {
    /// An SSE answer that ends sooner, without progress, counts as short.
    pub min_connection: Duration,
    /// So many short ones in a row, and SSE is given up for the rest of the read. At least 1;
    /// [`SseFallback::NEVER`] keeps trying.
    pub max_short_connections: u32,
    /// Half the upper bound of the wait after the first short one; the bound doubles with
    /// each further one.
    pub base_delay: Duration,
    /// Upper bound of every wait.
    pub max_delay: Duration,
}

/// The same as host languages give it; absent numbers keep the default.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SseFallbackNumbers {
    /// `minConnectionDuration`: 0 or more; 0 never counts one as short.
    pub min_connection_ms: Option<f64>,
    /// `maxShortConnections`: whole, at least 1; infinity never gives up.
    pub max_short_connections: Option<f64>,
    /// `backoffBaseDelay`: 0 or more.
    pub base_delay_ms: Option<f64>,
    /// `backoffMaxDelay`: not below `backoffBaseDelay`.
    pub max_delay_ms: Option<f64>,
}

impl SseFallback {
    /// As [`SseFallback::max_short_connections`]: never gives up.
    pub const NEVER: u32 = u32::MAX;

    /// After three answers in a row of less than a second.
    pub const DEFAULT: Self = Self {
        min_connection: Duration::from_millis(1000),
        max_short_connections: 3,
        base_delay: Duration::from_millis(100),
        max_delay: Duration::from_secs(5),
    };
}

impl Default for SseFallback {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl SseFallbackNumbers {
    /// The rule of these numbers.
    /// Errors: names the number as languages spell it.
    pub fn check(&self) -> Result<SseFallback, InvalidArgument> {
        let base = SseFallback::DEFAULT;
        let span = |field, given: Option<f64>, default: Duration| match given {
            None => Ok(default),
            Some(ms) if ms >= 0.0 => Ok(span_of_ms(ms)),
            Some(ms) => Err(InvalidArgument::new(field, format!("must be 0 or more, got {ms}"))),
        };
        let max_short_connections = match self.max_short_connections {
            None => base.max_short_connections,
            Some(count) if count == f64::INFINITY => SseFallback::NEVER,
            Some(count) if count >= 1.0 && count.fract() == 0.0 => saturating_u32(count),
            Some(count) => {
                let reason = format!("must be a whole number, 1 or more, got {count}");
                return Err(InvalidArgument::new("maxShortConnections", reason));
            }
        };
        let base_delay = span("backoffBaseDelay", self.base_delay_ms, base.base_delay)?;
        let max_delay = span("backoffMaxDelay", self.max_delay_ms, base.max_delay.max(base_delay))?;
        if max_delay < base_delay {
            let reason = format!("must not be below backoffBaseDelay ({} ms)", base_delay.as_millis());
            return Err(InvalidArgument::new("backoffMaxDelay", reason));
        }
        let min_connection = span("minConnectionDuration", self.min_connection_ms, base.min_connection)?;
        Ok(SseFallback { min_connection, max_short_connections, base_delay, max_delay })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(min: Option<f64>, count: Option<f64>, base: Option<f64>, max: Option<f64>) -> SseFallbackNumbers {
        SseFallbackNumbers {
            min_connection_ms: min,
            max_short_connections: count,
            base_delay_ms: base,
            max_delay_ms: max,
        }
    }

    #[test]
    fn absent_numbers_are_the_rule_of_section_25_3() {
        let rule = SseFallbackNumbers::default().check().expect("valid");
        assert_eq!(rule.min_connection, Duration::from_millis(1000));
        assert_eq!(rule.max_short_connections, 3);
        assert_eq!((rule.base_delay, rule.max_delay), (Duration::from_millis(100), Duration::from_secs(5)));
    }

    #[test]
    fn numbers_are_refused_by_the_name_languages_use() {
        let refused = [
            ("minConnectionDuration", numbers(Some(-1.0), None, None, None)),
            ("minConnectionDuration", numbers(Some(f64::NAN), None, None, None)),
            ("maxShortConnections", numbers(None, Some(0.0), None, None)),
            ("maxShortConnections", numbers(None, Some(1.5), None, None)),
            ("maxShortConnections", numbers(None, Some(f64::NAN), None, None)),
            ("backoffBaseDelay", numbers(None, None, Some(-0.5), None)),
            ("backoffMaxDelay", numbers(None, None, Some(10.0), Some(9.0))),
        ];
        for (field, numbers) in refused {
            assert_eq!(numbers.check().expect_err(field).argument, field);
        }
        let rule = numbers(Some(0.0), Some(f64::INFINITY), Some(9_000.0), None).check().expect("valid");
        assert_eq!((rule.min_connection, rule.max_short_connections), (Duration::ZERO, SseFallback::NEVER));
        // A longer first wait raises the bound with it.
        assert_eq!(rule.max_delay, Duration::from_secs(9));
    }
}
