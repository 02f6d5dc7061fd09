//! What is judged of the server's memory and descriptors.

/// One look at the server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Since writing began. Units: seconds.
    pub(crate) at: f64,
    /// Resident memory. Units: bytes.
    pub(crate) resident: f64,
    /// Open descriptors.
    pub(crate) descriptors: f64,
}

/// Part of the time that counts as warm-up.
const WARM_UP: f64 = 1.0 / 3.0;
/// Growth that is nobody's fault: buffers that a first burst needs, the allocator's pages.
/// Units: bytes.
const NOISE: f64 = 8.0 * 1024.0 * 1024.0;
/// New data stays in memory on purpose, in the storage engine's memory tables and the hot
/// tails, up to fixed sizes. Until they are reached each stored byte may so cost up to this
/// many, row overhead included.
const KEPT_PER_STORED: f64 = 6.0;
/// With so much stored the tables (64 MiB) and the hot tails (256 MiB) are full: from then on
/// nothing may grow. Units: bytes.
const FULL: f64 = 512.0 * 1024.0 * 1024.0;

/// Growth from the warm-up to the end along the line that fits best, and what is allowed.
#[derive(Debug, PartialEq)]
pub(crate) struct Growth {
    /// How long it was looked at. Units: seconds.
    pub(crate) seconds: f64,
    /// Units: bytes.
    pub(crate) resident: f64,
    /// Units: bytes.
    pub(crate) resident_allowed: f64,
    pub(crate) descriptors: f64,
    pub(crate) descriptors_allowed: f64,
}

impl Growth {
    /// What the samples after the warm-up say; `None` when they are too few. `stored` is what
    /// is appended, in bytes per second; `readers` hold a descriptor each.
    pub(crate) fn of(samples: &[Sample], stored: f64, readers: usize, producers: usize) -> Option<Self> {
        let end = samples.last()?.at;
        let warm = end * WARM_UP;
        let points = |value: fn(&Sample) -> f64| {
            samples.iter().filter(|sample| sample.at >= warm).map(|sample| (sample.at, value(sample))).collect()
        };
        let seconds = end - warm;
        let kept = if stored * warm < FULL { KEPT_PER_STORED * stored * seconds } else { 0.0 };
        Some(Self {
            seconds,
            resident: slope(points(|sample| sample.resident))? * seconds,
            resident_allowed: NOISE + kept,
            descriptors: slope(points(|sample| sample.descriptors))? * seconds,
            // Producers keep a few connections each, opened as they need them. Every reader
            // renews its answer each minute, so a leak there is far beyond one in a hundred.
            descriptors_allowed: readers as f64 / 100.0 + 2.0 * producers as f64,
        })
    }

    pub(crate) fn is_flat(&self) -> bool {
        self.resident <= self.resident_allowed && self.descriptors <= self.descriptors_allowed
    }
}

/// Least squares.
fn slope(points: Vec<(f64, f64)>) -> Option<f64> {
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let above: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let below: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    (below > 0.0).then(|| above / below)
}

#[cfg(test)]
mod tests {
    use super::{Growth, Sample};

    /// A minute of samples with growth per second, after ten seconds of steep growth.
    fn samples(resident: f64, descriptors: f64) -> Vec<Sample> {
        (0..60)
            .map(|at| {
                let at = f64::from(at);
                let warm_up = at.min(10.0) * 1e7;
                Sample { at, resident: 1e8 + warm_up + at * resident, descriptors: 1000.0 + at * descriptors }
            })
            .collect()
    }

    #[test]
    fn a_level_server_is_flat() {
        let growth = Growth::of(&samples(0.0, 0.0), 0.0, 1000, 5).expect("enough samples");
        assert!(growth.is_flat() && growth.resident.abs() < 1.0, "{growth:?}");
        assert!(Growth::of(&samples(3.0 * 50_000.0, 0.0), 50_000.0, 1000, 5).expect("enough samples").is_flat());
    }

    #[test]
    fn leaks_are_found() {
        // A kilobyte per message delivered at 5,000 a second; a descriptor every second.
        for (resident, descriptors) in [(5e6, 0.0), (0.0, 1.0)] {
            let growth = Growth::of(&samples(resident, descriptors), 50_000.0, 1000, 5).expect("enough samples");
            assert!(!growth.is_flat(), "{growth:?}");
        }
    }

    #[test]
    fn nothing_may_grow_once_all_that_keeps_data_is_full() {
        // Half a megabyte a second, while 3 MB and 30 MB are stored in it.
        let growing = samples(5e5, 0.0);
        assert!(Growth::of(&growing, 3e6, 1000, 5).expect("enough samples").is_flat());
        assert!(!Growth::of(&growing, 3e7, 1000, 5).expect("enough samples").is_flat());
    }

    #[test]
    fn one_sample_has_no_slope() {
        assert_eq!(Growth::of(&samples(0.0, 0.0)[..1], 0.0, 1, 1), None);
    }
}
