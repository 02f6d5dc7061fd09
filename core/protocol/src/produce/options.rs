//! A producer's numbers: defaults, and checks that name the field as every language
//! spells it (protocol.md §20, §25.6).

use std::time::Duration;

use crate::{MAX_SAFE_INTEGER, request::InvalidArgument};

/// How batches are filled and sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchOptions {
    /// First epoch.
    pub epoch: u64,
    /// A batch is sealed before its body would outgrow this. A single larger message
    /// travels alone.
    pub max_batch_bytes: usize,
    /// A batch is sealed at so many messages; `None` = no limit.
    pub max_batch_items: Option<u64>,
    /// Unacknowledged batches under way at once.
    pub max_in_flight: usize,
    /// How long a batch may wait for more messages.
    pub linger: Duration,
}

/// The same numbers as host languages give them; absent ones keep the default.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct BatchNumbers {
    /// `epoch`: whole, 0 to 2^53 - 1.
    pub epoch: Option<f64>,
    /// `maxBatchBytes`: whole, more than 0.
    pub max_batch_bytes: Option<f64>,
    /// `maxBatchItems`: whole, more than 0.
    pub max_batch_items: Option<f64>,
    /// `maxInFlight`: whole, more than 0.
    pub max_in_flight: Option<f64>,
    /// `lingerMs`: 0 or more.
    pub linger_ms: Option<f64>,
}

impl BatchOptions {
    /// Epoch 0, 1 MiB, any number of messages, 5 under way, 5 ms.
    pub const DEFAULT: Self = Self {
        epoch: 0,
        max_batch_bytes: 1024 * 1024,
        max_batch_items: None,
        max_in_flight: 5,
        linger: Duration::from_millis(5),
    };

    /// Checks the numbers.
    /// Errors: names the field in the spelling of protocol.md §25.6.
    pub fn validate(&self) -> Result<(), InvalidArgument> {
        if self.epoch > MAX_SAFE_INTEGER {
            return Err(not_whole("epoch", 0, self.epoch));
        }
        if self.max_batch_bytes == 0 {
            return Err(not_whole("maxBatchBytes", 1, 0));
        }
        if self.max_batch_items == Some(0) {
            return Err(not_whole("maxBatchItems", 1, 0));
        }
        if self.max_in_flight == 0 {
            return Err(not_whole("maxInFlight", 1, 0));
        }
        Ok(())
    }
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl BatchNumbers {
    /// The options of these numbers, with those of `base` for absent ones.
    /// Errors: names the field in the spelling of protocol.md §25.6.
    pub fn check(&self, base: &BatchOptions) -> Result<BatchOptions, InvalidArgument> {
        let size = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        let linger = match self.linger_ms {
            None => base.linger,
            Some(ms) if ms >= 0.0 => Duration::try_from_secs_f64(ms / 1000.0).unwrap_or(Duration::MAX),
            Some(ms) => return Err(InvalidArgument::new("lingerMs", format!("must be 0 or more, got {ms}"))),
        };
        Ok(BatchOptions {
            epoch: whole("epoch", 0, self.epoch)?.unwrap_or(base.epoch),
            max_batch_bytes: whole("maxBatchBytes", 1, self.max_batch_bytes)?.map_or(base.max_batch_bytes, size),
            max_batch_items: whole("maxBatchItems", 1, self.max_batch_items)?.or(base.max_batch_items),
            max_in_flight: whole("maxInFlight", 1, self.max_in_flight)?.map_or(base.max_in_flight, size),
            linger,
        })
    }
}

fn whole(argument: &'static str, least: u64, value: Option<f64>) -> Result<Option<u64>, InvalidArgument> {
    #[expect(clippy::cast_precision_loss, reason = "2^53 - 1 and small numbers are exact")]
    let (least_f, most_f) = (least as f64, MAX_SAFE_INTEGER as f64);
    match value {
        None => Ok(None),
        Some(value) if value >= least_f && value <= most_f && value.fract() == 0.0 => {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked: whole and in range")]
            let value = value as u64;
            Ok(Some(value))
        }
        Some(value) => Err(not_whole(argument, least, value)),
    }
}

fn not_whole(argument: &'static str, least: u64, value: impl std::fmt::Display) -> InvalidArgument {
    InvalidArgument::new(argument, format!("must be a whole number from {least} to {MAX_SAFE_INTEGER}, got {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_names_its_field() {
        let none = BatchNumbers::default();
        let cases = [
            (BatchNumbers { epoch: Some(-1.0), ..none }, "epoch"),
            (BatchNumbers { epoch: Some(9_007_199_254_740_992.0), ..none }, "epoch"),
            (BatchNumbers { epoch: Some(0.5), ..none }, "epoch"),
            (BatchNumbers { max_batch_bytes: Some(0.0), ..none }, "maxBatchBytes"),
            (BatchNumbers { max_batch_items: Some(-5.0), ..none }, "maxBatchItems"),
            (BatchNumbers { max_in_flight: Some(f64::NAN), ..none }, "maxInFlight"),
            (BatchNumbers { linger_ms: Some(-1.0), ..none }, "lingerMs"),
        ];
        for (numbers, field) in cases {
            assert_eq!(numbers.check(&BatchOptions::DEFAULT).expect_err(field).argument, field);
        }
        assert_eq!(none.check(&BatchOptions::DEFAULT), Ok(BatchOptions::DEFAULT));
        let given = BatchNumbers { linger_ms: Some(0.0), max_batch_items: Some(1.0), ..none };
        let options = given.check(&BatchOptions::DEFAULT).expect("valid");
        assert_eq!((options.linger, options.max_batch_items), (Duration::ZERO, Some(1)));
    }
}
