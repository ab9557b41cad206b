//! Bytes by how long they have gone unused, in the five steps that Go's own rules suggest.

use std::time::Duration;

use larder_core::{Size, Time};

/// A step of the histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AgeStep {
    /// Used within the last day.
    Today,
    /// 1 to 5 days: Go keeps these.
    Days5,
    /// 5 to 30 days: past what Go's trim keeps.
    Days30,
    /// 30 to 90 days.
    Days90,
    /// Older.
    Older,
}

impl AgeStep {
    /// All of them, the youngest first.
    pub const ALL: [Self; 5] = [Self::Today, Self::Days5, Self::Days30, Self::Days90, Self::Older];

    /// The step of what was last used at `used`.
    pub fn of(used: Time, now: Time) -> Self {
        const DAY: Duration = Duration::from_hours(24);
        let age = now.since(used);
        Self::ALL
            .into_iter()
            .zip([DAY, 5 * DAY, 30 * DAY, 90 * DAY])
            .find(|(_, limit)| age < *limit)
            .map_or(Self::Older, |(step, _)| step)
    }

    /// The key of `du --by age`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Today => "today",
            Self::Days5 => "1-5 days",
            Self::Days30 => "5-30 days",
            Self::Days90 => "30-90 days",
            Self::Older => "older than 90 days",
        }
    }
}

/// A size for each step, in the order of [`AgeStep::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ages(pub [Size; 5]);

impl Ages {
    /// Adds what was last used at `used`.
    pub fn add(&mut self, used: Time, now: Time, size: Size) {
        self.0[AgeStep::of(used, now) as usize] += size;
    }

    /// Adds those of another part.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_age_has_its_step() {
        let now = Time::from_unix(1_800_000_000);
        let days = |d: u32| AgeStep::of(now.minus(Duration::from_hours(24) * d), now);
        assert_eq!(AgeStep::of(now.plus(Duration::from_hours(9)), now), AgeStep::Today);
        assert_eq!([0, 1, 4, 5, 29, 30, 89, 90].map(days), {
            use AgeStep::{Days5, Days30, Days90, Older, Today};
            [Today, Days5, Days5, Days30, Days30, Days90, Days90, Older]
        });
    }
}
