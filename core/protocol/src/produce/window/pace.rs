//! How many requests travel side by side.
//!
//! Requests on several connections overtake each other, and a batch that arrives early is
//! uploaded for nothing. So the window narrows when that happens and widens again after a
//! run of batches that arrived in order. Little is lost by a narrow window: batches grow
//! while they wait.

/// Acknowledgements without an overtaking after which the window widens by one.
const CALM: u32 = 16;

/// The width of the window.
#[derive(Debug)]
pub(super) struct Pace {
    pub(super) limit: usize,
    most: usize,
    calm: u32,
}

impl Pace {
    /// As wide as allowed.
    pub(super) fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { limit: most, most, calm: 0 }
    }

    /// A batch arrived before a lower one.
    pub(super) fn overtaken(&mut self) {
        self.limit = (self.limit / 2).max(1);
        self.calm = 0;
    }

    /// A batch was accepted.
    pub(super) const fn acknowledged(&mut self) {
        if self.limit == self.most {
            return;
        }
        self.calm += 1;
        if self.calm == CALM {
            self.limit += 1;
            self.calm = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overtaking_narrows_at_once_and_calm_widens_step_by_step() {
        let mut pace = Pace::new(5);
        pace.overtaken();
        assert_eq!(pace.limit, 2);
        pace.overtaken();
        pace.overtaken();
        assert_eq!(pace.limit, 1);
        for limit in [1, 2, 3, 4, 5, 5] {
            assert_eq!(pace.limit, limit);
            (0..CALM).for_each(|_| pace.acknowledged());
        }
    }
}
