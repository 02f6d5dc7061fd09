//! Counting what passed and what failed.

use std::ops::AddAssign;

use crate::process::{Failure, Outcome};

/// How many checks passed, and what the others said.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Checks that passed.
    pub(crate) passed: usize,
    /// What failed, one line each.
    pub(crate) failures: Vec<String>,
}

impl Tally {
    /// Counts one check.
    pub(crate) fn of(name: &str, outcome: Outcome<()>) -> Self {
        match outcome {
            Ok(()) => Self { passed: 1, failures: Vec::new() },
            Err(failure) => Self { passed: 0, failures: vec![format!("{name}: {failure}")] },
        }
    }

    /// Turns failures into an error, after printing them.
    pub(crate) fn verdict(self) -> Outcome<()> {
        self.print();
        if self.failures.is_empty() { Ok(()) } else { Err(Failure::from("not everything passed")) }
    }

    /// Prints the failures, then the totals alone on a line.
    pub(crate) fn print(&self) {
        for failure in &self.failures {
            println!("FAILED {failure}");
        }
        println!("{} passed, {} failed", self.passed, self.failures.len());
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failures.extend(other.failures);
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn tallies_add_up() {
        let mut all = Tally::of("fmt", Ok(()));
        all += Tally::of("clippy", Err("2 warnings".into()));
        all += Tally { passed: 2, failures: vec!["a".to_owned()] };
        assert_eq!(all.passed, 3);
        assert_eq!(all.failures, ["clippy: 2 warnings", "a"]);
    }
}
