//! When a failed delivery is tried again (protocol.md §23.7).

/// First delay. Units: ms.
const FIRST_MS: u64 = 1_000;
/// Longest delay before jitter. Units: ms.
const LONGEST_MS: u64 = 60_000;
/// Jitter, in percent of the delay, to either side.
const JITTER_PERCENT: u64 = 20;

/// The wait after the `failures`-th failure in a row (1 = the first): 1 s doubling to
/// 60 s, each stretched or shrunk by up to 20 %. Units: ms.
pub(crate) fn retry_delay_ms(failures: u32, entropy: u64) -> u64 {
    let doublings = failures.saturating_sub(1).min(16);
    let delay = (FIRST_MS << doublings).min(LONGEST_MS);
    let spread = delay * JITTER_PERCENT / 100;
    delay - spread + entropy % (2 * spread + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn delays_double_to_a_minute_within_a_fifth(failures in 1_u32..200, entropy: u64) {
            let exact: u64 = match failures { 1 => 1, 2 => 2, 3 => 4, 4 => 8, 5 => 16, 6 => 32, _ => 60 } * 1000;
            let delay = retry_delay_ms(failures, entropy);
            prop_assert!((exact * 8 / 10..=exact * 12 / 10).contains(&delay), "{delay} after {failures}");
        }
    }

    #[test]
    fn both_ends_of_the_jitter_are_reached() {
        assert_eq!(retry_delay_ms(1, 0), 800);
        assert_eq!(retry_delay_ms(1, 400), 1200);
    }
}
