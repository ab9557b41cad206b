//! How many keys each Redis had to let go lately, from its own counter at each measurement.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use larder_core::Time;

/// What counts as lately.
const LATELY: Duration = Duration::from_mins(10);
/// Readings of one server that are remembered at most.
const MOST: usize = 1000;

/// The counters of all of them.
#[derive(Debug, Default)]
pub(crate) struct Evictions(BTreeMap<String, VecDeque<(Time, u64)>>);

/// What went lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone {
    pub keys: u64,
    /// From the first reading to the last.
    pub over: Duration,
}

impl Evictions {
    /// Takes in what a server counts since it was started.
    pub(crate) fn take(&mut self, cache: &str, at: Time, counted: u64) {
        let readings = self.0.entry(cache.to_owned()).or_default();
        // A clock that was set back begins anew, and so does what lies too far back.
        readings.retain(|(then, _)| *then <= at && *then > at.minus(LATELY));
        if readings.len() == MOST {
            readings.pop_front();
        }
        readings.push_back((at, counted));
    }

    /// Forgets who is not looked after.
    pub(crate) fn forget(&mut self, known: impl Fn(&str) -> bool) {
        self.0.retain(|cache, _| known(cache));
    }

    /// What went lately; `None` where nothing did.
    pub(crate) fn lately(&self, cache: &str, now: Time) -> Option<Gone> {
        let readings = self.0.get(cache)?;
        let recent = || readings.iter().filter(|(at, _)| *at > now.minus(LATELY));
        let pairs = recent().zip(recent().skip(1));
        // A counter that fell is one of a server that was started anew.
        let keys = pairs.map(|((_, before), (_, after))| after.saturating_sub(*before)).sum();
        let over = recent().next_back()?.0.since(recent().next()?.0);
        (keys > 0).then_some(Gone { keys, over })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_lately_is_counted_over_restarts_and_forgotten_in_time() {
        let at = |seconds: i64| Time::from_unix(1_700_000_000 + seconds);
        let mut evictions = Evictions::default();
        let lately = |evictions: &Evictions, second| {
            evictions.lately("redis:a", at(second)).map(|gone| (gone.keys, gone.over.as_secs()))
        };
        for (second, counted) in [(0, 1000), (15, 1000)] {
            evictions.take("redis:a", at(second), counted);
            assert_eq!(lately(&evictions, second), None);
        }
        for (second, counted) in [(30, 1100), (45, 5), (60, 25)] {
            evictions.take("redis:a", at(second), counted);
        }
        assert_eq!(lately(&evictions, 60), Some((120, 60)));
        assert_eq!(lately(&evictions, 640), Some((20, 15)));
        assert_eq!(lately(&evictions, 1000), None);
        assert_eq!(evictions.lately("redis:b", at(60)), None);
        // The clock was set back: nothing of it is lately by the new one.
        evictions.take("redis:a", at(-9000), 400);
        evictions.take("redis:a", at(-8985), 401);
        assert_eq!(lately(&evictions, -8985), Some((1, 15)));
        evictions.forget(|cache| cache != "redis:a");
        assert_eq!(lately(&evictions, -8985), None);
    }
}
