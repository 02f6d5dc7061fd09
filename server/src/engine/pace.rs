//! How long the committer waits for a group to grow.
//!
//! A sync costs the same for one append as for sixty. When many callers wait for
//! their answers, those just answered come back soon; waiting for them, never longer
//! than a commit takes, makes groups larger and syncs fewer. A caller that is alone, or
//! one of a few, never waits.

use std::time::Duration;

/// What the last commits looked like.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last: usize,
    /// Callers of two groups in a row, the most of late.
    about: usize,
    /// Moving average of the time a commit takes.
    commit: Duration,
}

/// Groups are gathered when at least so many callers are about.
const CROWD: usize = 8;
/// Longest wait, however slow the disk.
const MAX_WAIT: Duration = Duration::from_millis(1);

impl Pace {
    /// Takes note of a commit.
    pub(super) fn record(&mut self, operations: usize, took: Duration) {
        self.about = (self.last + operations).max(self.about - self.about.div_ceil(64));
        self.last = operations;
        self.commit = (self.commit * 7 + took) / 8;
    }

    /// The size to wait for, and for how long at most; `None` = commit what is there.
    pub(super) fn gather(&self) -> Option<(usize, Duration)> {
        // While one group is committed, the others queue up, so two groups in a row are all
        // callers. A quarter of them measured best: waiting for more leaves processors idle.
        (self.about >= CROWD).then(|| (self.about / 4, self.commit.min(MAX_WAIT)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_callers_never_wait() {
        let mut pace = Pace::default();
        assert_eq!(pace.gather(), None);
        for _ in 0..10 {
            pace.record(3, Duration::from_millis(5));
        }
        assert_eq!(pace.gather(), None);
    }

    #[test]
    fn a_crowd_is_waited_for_no_longer_than_a_commit_takes() {
        let mut pace = Pace::default();
        for _ in 0..100 {
            pace.record(32, Duration::from_micros(200));
        }
        let (size, wait) = pace.gather().expect("a crowd");
        assert_eq!(size, 16);
        assert!(wait <= Duration::from_micros(200), "{wait:?}");
        for _ in 0..100 {
            pace.record(32, Duration::from_millis(20));
        }
        assert_eq!(pace.gather().expect("a crowd").1, MAX_WAIT);
    }
}
