//! How patient a receiver's thread is.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::time::Duration;

/// When to try again, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The pause after the first failure in a row; it doubles with each further one.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
    /// How often one notice is tried at all, at least once.
    pub tries: u32,
}

impl Default for Patience {
    /// About an hour in all: as long as a server takes to come back, and as long as old news
    /// are of use.
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_mins(5), tries: 20 }
    }
}

impl Patience {
    /// The pause after so many failures in a row: between half of the full one and all of it, so
    /// that many senders do not come back at once. `random` is any number.
    pub(crate) fn pause(&self, failures: u32, random: u64) -> Duration {
        let full = self.first.saturating_mul(1 << failures.saturating_sub(1).min(20));
        let full = full.min(self.longest);
        let share = (random % 1001) as f64 / 2000.0;
        full.mul_f64(0.5 + share)
    }
}

/// A number that differs from call to call; not for secrets.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_vary() {
        let patience = Patience::default();
        let full = |failures| patience.pause(failures, 1000).as_secs();
        assert_eq!([full(1), full(2), full(5), full(9), full(99)], [1, 2, 16, 256, 300]);
        assert_eq!(patience.pause(2, 0), Duration::from_secs(1));
        let several: std::collections::HashSet<u64> = (0..8).map(|_| random()).collect();
        assert!(several.len() > 1);
    }

    #[test]
    fn the_usual_patience_is_about_an_hour() {
        let patience = Patience::default();
        let all: Duration = (1..patience.tries).map(|failures| patience.pause(failures, 500)).sum();
        assert!((2400..4800).contains(&all.as_secs()), "{all:?}");
    }
}
