//! What makes a cache be pruned by itself, and what holds that back: decisions only.

use std::collections::BTreeMap;
use std::time::Duration;

use larder_core::{Sample, Time};

/// Why something is done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Its time came.
    Schedule,
    /// The cache passed its budget.
    OverBudget {
        /// Its size, bytes.
        bytes: u64,
        /// What it may take, bytes.
        budget: u64,
    },
    /// Its disk has little left.
    LowDisk {
        /// Free, bytes.
        free: u64,
        /// What should be free, bytes.
        below: u64,
    },
    /// Another program asked, under this name.
    Hook(String),
    /// A single run was asked for.
    Once,
}

impl Trigger {
    /// Its word in events: `schedule`, `over-budget`, `low-disk`, `once`, or the hook's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Schedule => "schedule",
            Self::OverBudget { .. } => "over-budget",
            Self::LowDisk { .. } => "low-disk",
            Self::Hook(name) => name,
            Self::Once => "once",
        }
    }

    /// Its figures, by name.
    pub fn evidence(&self) -> Vec<(String, String)> {
        let figures: &[(&str, u64)] = match self {
            Self::OverBudget { bytes, budget } => {
                &[("allocated_bytes", *bytes), ("budget_bytes", *budget)]
            }
            Self::LowDisk { free, below } => {
                &[("disk_free_bytes", *free), ("free_below_bytes", *below)]
            }
            Self::Schedule | Self::Hook(_) | Self::Once => &[],
        };
        figures.iter().map(|(name, value)| ((*name).to_owned(), value.to_string())).collect()
    }
}

/// What of a sample triggers a prune of its cache, if anything does.
pub fn of_sample(sample: &Sample, on_budget: bool, free_below: Option<u64>) -> Option<Trigger> {
    let bytes = sample.allocated_bytes?;
    if let Some(budget) = sample.budget_bytes.filter(|budget| on_budget && bytes > *budget) {
        return Some(Trigger::OverBudget { bytes, budget });
    }
    let (free, below) = (sample.disk_free_bytes?, free_below?);
    (free < below).then_some(Trigger::LowDisk { free, below })
}

/// How often something may be done by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restraint {
    /// Not again so soon.
    pub cool_down: Duration,
    /// Not more often in a day.
    pub per_day: u32,
}

/// Why it is not done although something triggers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// It was done a moment ago.
    CoolsDown {
        /// When it may be done again.
        until: Time,
    },
    /// It was done as often as it may be in a day.
    TooOften {
        /// How often.
        times: u32,
    },
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CoolsDown { .. } => f.write_str("it was done a moment ago and cools down"),
            Self::TooOften { times } => write!(f, "it was done {times} times in a day already"),
        }
    }
}

/// What was done by itself in the last day, by what it was done to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs(BTreeMap<String, Vec<Time>>);

const DAY: Duration = Duration::from_hours(24);

impl Runs {
    /// Whether it may be done now.
    pub fn may(&self, what: &str, restraint: Restraint, now: Time) -> Result<(), Held> {
        let day = now.minus(DAY);
        // What lies ahead was written before the clock was set back, and counts as now.
        let recent: Vec<Time> = self
            .0
            .get(what)
            .into_iter()
            .flatten()
            .map(|at| (*at).min(now))
            .filter(|at| *at > day)
            .collect();
        if let Some(last) =
            recent.iter().max().filter(|last| now.since(**last) < restraint.cool_down)
        {
            return Err(Held::CoolsDown { until: last.plus(restraint.cool_down) });
        }
        let times = u32::try_from(recent.len()).unwrap_or(u32::MAX);
        if times >= restraint.per_day { Err(Held::TooOften { times }) } else { Ok(()) }
    }

    /// It is done now.
    pub fn note(&mut self, what: &str, now: Time) {
        let runs = self.0.entry(what.to_owned()).or_default();
        runs.retain(|at| *at > now.minus(DAY));
        runs.push(now);
    }

    /// All of them, to be kept over a restart.
    pub fn all(&self) -> impl Iterator<Item = (&str, Time)> {
        self.0.iter().flat_map(|(what, runs)| runs.iter().map(move |at| (what.as_str(), *at)))
    }
}

impl FromIterator<(String, Time)> for Runs {
    fn from_iter<I: IntoIterator<Item = (String, Time)>>(all: I) -> Self {
        let mut runs = Self::default();
        for (what, at) in all {
            runs.0.entry(what).or_default().push(at);
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(bytes: u64, free: u64) -> Sample {
        Sample {
            allocated_bytes: Some(bytes),
            budget_bytes: Some(100),
            disk_free_bytes: Some(free),
            ..Sample::empty("build", Time::from_unix(0), Duration::ZERO)
        }
    }

    #[test]
    fn a_budget_and_a_disk_trigger_and_neither_without_its_setting() {
        let over = Trigger::OverBudget { bytes: 101, budget: 100 };
        assert_eq!(of_sample(&sample(101, 5), true, Some(10)), Some(over));
        let low = Trigger::LowDisk { free: 5, below: 10 };
        assert_eq!(of_sample(&sample(100, 5), true, Some(10)), Some(low));
        assert_eq!(of_sample(&sample(101, 5), false, None), None);
        assert_eq!(of_sample(&sample(100, 10), true, Some(10)), None);
    }

    #[test]
    fn it_cools_down_and_is_counted_by_the_day_whatever_the_clock_does() {
        let restraint = Restraint { cool_down: Duration::from_mins(10), per_day: 3 };
        let at = |minutes: u64| Time::from_unix(1_700_000_000).plus(Duration::from_mins(minutes));
        let mut runs = Runs::default();
        runs.note("build", at(0));
        assert_eq!(runs.may("build", restraint, at(5)), Err(Held::CoolsDown { until: at(10) }));
        assert_eq!(runs.may("mod", restraint, at(5)), Ok(()));
        runs.note("build", at(20));
        runs.note("build", at(40));
        assert_eq!(runs.may("build", restraint, at(60)), Err(Held::TooOften { times: 3 }));
        assert_eq!(runs.may("build", restraint, at(24 * 60 + 30)), Ok(()));
        // The clock was set back by two days: it is not held for two days.
        let back = at(0).minus(Duration::from_hours(48));
        let held = Held::CoolsDown { until: back.plus(restraint.cool_down) };
        assert_eq!(runs.may("build", restraint, back), Err(held));
        let kept: Runs = runs.all().map(|(what, at)| (what.to_owned(), at)).collect();
        assert_eq!(kept, runs);
    }
}
