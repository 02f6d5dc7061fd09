//! Time and entropy, supplied from outside so that tests decide both.

use std::{
    fmt::Debug,
    time::{SystemTime, UNIX_EPOCH},
};

use ring::rand::{SecureRandom, SystemRandom};

use super::machine::Moment;

/// The clock and the random source of subscriptions.
pub trait Host: Debug + Send + Sync + 'static {
    /// Wall-clock time; leases and retries are kept in it across restarts.
    /// Units: Unix milliseconds.
    fn now_ms(&self) -> u64;

    /// Unpredictable bytes; wake ids are made of them.
    fn entropy(&self) -> [u8; 16];
}

/// The system's clock and random source.
#[derive(Debug)]
pub struct SystemHost {
    random: SystemRandom,
}

impl SystemHost {
    /// The system's clock and random source.
    pub fn new() -> Self {
        Self { random: SystemRandom::new() }
    }
}

impl Default for SystemHost {
    fn default() -> Self {
        Self::new()
    }
}

impl Host for SystemHost {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn entropy(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        // The system's generator fails only while the machine starts; a wake id need not be
        // secret, so the clock stands in.
        if self.random.fill(&mut bytes).is_err() {
            bytes[..8].copy_from_slice(&self.now_ms().to_le_bytes());
        }
        bytes
    }
}

impl Moment {
    /// Now, with fresh entropy.
    pub(crate) fn of(host: &dyn Host) -> Self {
        Self { now: host.now_ms(), entropy: u128::from_le_bytes(host.entropy()) }
    }
}
