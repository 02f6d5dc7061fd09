//! Percentiles.

/// Returns the sample at a fraction of the sorted samples; 0 when there is none.
pub(crate) fn percentile(sorted: &[u64], fraction: f64) -> u64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0 };
    sorted[(last as f64 * fraction) as usize]
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_pick_a_sample() {
        let samples: Vec<u64> = (1..=101).collect();
        assert_eq!(percentile(&samples, 0.5), 51);
        assert_eq!(percentile(&samples, 0.99), 100);
        assert_eq!(percentile(&samples, 1.0), 101);
        assert_eq!(percentile(&[], 0.5), 0);
    }
}
