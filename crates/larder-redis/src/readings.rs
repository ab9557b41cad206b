//! What a server's counters said at a time, and what happened since.
//!
//! Counters begin anew with every start of a server and with `CONFIG RESETSTAT`, so a reading is
//! a baseline only for as long as none of them has fallen. What larder's own look-ups added is
//! known and taken out. Where and how long a reading is kept is up to whoever asks again.

use std::time::Duration;

use larder_core::Time;

use crate::info::Info;
use crate::select::Caused;

/// Look-ups that a rate takes: fewer say nothing.
pub(crate) const ENOUGH: u64 = 100;
/// A baseline without enough look-ups since is replaced after this long: what else it counts,
/// evictions say, should be of now.
const STALE: Duration = Duration::from_hours(1);

/// One server's counters at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The cluster's name for the node, or its address.
    pub node: String,
    /// The server's run.
    pub run_id: String,
    /// When, by our clock.
    pub at: Time,
    /// How long the server had been running, seconds.
    pub uptime: u64,
    /// `keyspace_hits`.
    pub hits: u64,
    /// `keyspace_misses`.
    pub misses: u64,
    /// `evicted_keys`.
    pub evicted: u64,
    /// `rejected_connections`.
    pub rejected: u64,
    /// `total_commands_processed`.
    pub commands: u64,
    /// `total_connections_received`.
    pub connections: u64,
}

/// The counters of all masters of one Redis, and what of them is our own doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readings {
    /// One of each master.
    pub nodes: Vec<Reading>,
    /// What our own look-ups added before these readings.
    pub own_before: Caused,
    /// What they added since.
    pub own_since: Caused,
    /// When they last did, by our clock.
    pub own_at: Option<Time>,
}

/// What happened on all masters between two readings, without our own look-ups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// How long it was.
    pub span: Duration,
    /// Look-ups that found a key.
    pub hits: u64,
    /// Those that did not.
    pub misses: u64,
    /// Keys that had to go because memory was full.
    pub evicted: u64,
    /// Connections that were refused because there were too many.
    pub rejected: u64,
    /// Commands, our own included.
    pub commands: u64,
}

impl Window {
    /// 0 to 1; `None` where there were too few look-ups to tell.
    pub fn hit_rate(&self) -> Option<f64> {
        rate(self.hits, self.misses)
    }

    /// Evicted keys a second.
    pub fn evicted_per_second(&self) -> f64 {
        self.per_second(self.evicted)
    }

    /// Refused connections a second.
    pub fn rejected_per_second(&self) -> f64 {
        self.per_second(self.rejected)
    }

    /// Commands a second.
    pub fn commands_per_second(&self) -> f64 {
        self.per_second(self.commands)
    }

    fn per_second(&self, count: u64) -> f64 {
        // A window is made only of time that passed.
        count as f64 / self.span.as_secs_f64().max(1e-3)
    }
}

/// Hits of all look-ups, where there were enough.
pub(crate) fn rate(hits: u64, misses: u64) -> Option<f64> {
    let all = hits + misses;
    (all >= ENOUGH).then(|| hits as f64 / all as f64)
}

impl Reading {
    /// From what a server says of itself; `None` where it tells no counters.
    pub(crate) fn of(node: &str, info: &Info, at: Time) -> Option<Self> {
        Some(Self {
            node: node.to_owned(),
            run_id: info.run_id().to_owned(),
            at,
            uptime: info.u64("uptime_in_seconds")?,
            hits: info.u64("keyspace_hits")?,
            misses: info.u64("keyspace_misses")?,
            evicted: info.u64("evicted_keys")?,
            rejected: info.u64("rejected_connections").unwrap_or(0),
            commands: info.u64("total_commands_processed").unwrap_or(0),
            connections: info.u64("total_connections_received").unwrap_or(0),
        })
    }

    /// What happened since `before`; `None` where the counters began anew.
    fn since(&self, before: &Self) -> Option<Window> {
        // What has not fallen since is still counted from the same beginning.
        let _ = self.connections.checked_sub(before.connections)?;
        let up = Duration::from_secs(self.uptime.checked_sub(before.uptime)?);
        if self.run_id != before.run_id {
            return None;
        }
        let span = self.at.since(before.at);
        // Our clock may have been set; the server's uptime cannot, but knows seconds only.
        let span = if span.abs_diff(up) > Duration::from_secs(2) { up } else { span };
        let window = Window {
            span,
            hits: self.hits.checked_sub(before.hits)?,
            misses: self.misses.checked_sub(before.misses)?,
            evicted: self.evicted.checked_sub(before.evicted)?,
            rejected: self.rejected.checked_sub(before.rejected)?,
            commands: self.commands.checked_sub(before.commands)?,
        };
        (!span.is_zero()).then_some(window)
    }
}

impl Readings {
    /// Takes note of what our own look-ups added until `now`.
    pub fn add_own(&mut self, caused: Caused, now: Time) {
        self.own_since = self.own_since + caused;
        self.own_at = Some(now);
    }

    /// What happened since `before` on every master, without our own look-ups; `None` where the
    /// counters of one of them began anew or it was not there before.
    pub(crate) fn since(&self, before: &Self) -> Option<Window> {
        let mut sum: Option<Window> = None;
        for now in &self.nodes {
            let then = before.nodes.iter().find(|then| then.node == now.node)?;
            let window = now.since(then)?;
            sum = Some(match sum {
                None => window,
                Some(sum) => Window {
                    span: sum.span.max(window.span),
                    hits: sum.hits + window.hits,
                    misses: sum.misses + window.misses,
                    evicted: sum.evicted + window.evicted,
                    rejected: sum.rejected + window.rejected,
                    commands: sum.commands + window.commands,
                },
            });
        }
        let mut sum = sum?;
        sum.hits = sum.hits.saturating_sub(before.own_since.hits);
        sum.misses = sum.misses.saturating_sub(before.own_since.misses);
        Some(sum)
    }

    /// What our own look-ups added to counters that read as `now`, as far as that is known.
    pub(crate) fn own(&self, now: &Self, window: Option<&Window>) -> Caused {
        // Nobody read the counters before, but they were already running when we looked keys up.
        let running = |node: &Reading, at: Time| node.at.since(at).as_secs() <= node.uptime;
        let first = self.nodes.is_empty()
            && self.own_at.is_some_and(|at| now.nodes.iter().all(|node| running(node, at)));
        // Counters that began anew hold nothing of what was done before.
        if window.is_some() || first { self.own_before + self.own_since } else { Caused::default() }
    }

    /// What to keep for the next time: `now`, or `self` for as long as too little happened since.
    pub(crate) fn next(&self, now: Self, window: Option<&Window>) -> Self {
        match window {
            Some(window) if window.hit_rate().is_none() && window.span < STALE => self.clone(),
            _ => Self { own_before: self.own(&now, window), own_at: self.own_at, ..now },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(at: i64, hits: u64, misses: u64) -> Readings {
        let node = Reading {
            node: "db:1".to_owned(),
            run_id: "a".to_owned(),
            at: Time::from_unix(1000 + at),
            uptime: u64::try_from(at).unwrap(),
            hits,
            misses,
            evicted: 0,
            rejected: 0,
            commands: hits + misses,
            connections: 1,
        };
        Readings { nodes: vec![node], ..Readings::default() }
    }

    #[test]
    fn a_window_is_what_lies_between_without_our_own_doing() {
        let mut before = reading(100, 1000, 1000);
        before.add_own(Caused { hits: 50, misses: 5 }, Time::from_unix(1120));
        let now = reading(160, 1000 + 350, 1000 + 105);
        let window = now.since(&before).unwrap();
        assert_eq!(window.span, Duration::from_mins(1));
        assert_eq!((window.hits, window.misses), (300, 100));
        assert_eq!(window.hit_rate(), Some(0.75));
        let kept = before.next(now, Some(&window));
        assert_eq!(kept.own_before, Caused { hits: 50, misses: 5 });
        assert_eq!(kept.own_since, Caused::default());
    }

    #[test]
    fn a_counter_that_fell_or_another_run_is_no_window() {
        let before = reading(100, 1000, 1000);
        assert_eq!(reading(160, 999, 1000).since(&before), None);
        assert_eq!(reading(90, 2000, 2000).since(&before), None);
        let mut other = reading(160, 2000, 2000);
        other.nodes[0].run_id = "b".to_owned();
        assert_eq!(other.since(&before), None);
        assert_eq!(reading(160, 2000, 2000).since(&Readings::default()), None);
        // Everything that was known of our own doing is gone with the counters.
        let mut mine = before;
        let seven = Caused { hits: 7, misses: 0 };
        mine.add_own(seven, Time::from_unix(1120));
        assert_eq!(mine.next(other, None).own_before, Caused::default());
        // What was done before anybody read the counters is in them, unless they are younger.
        let mut first = Readings::default();
        first.add_own(seven, Time::from_unix(1120));
        assert_eq!(first.next(reading(160, 2000, 2000), None).own_before, seven);
        let mut young = reading(160, 2000, 2000);
        young.nodes[0].uptime = 20;
        assert_eq!(first.next(young, None).own_before, Caused::default());
    }

    #[test]
    fn a_quiet_window_grows_until_it_tells_something_or_is_stale() {
        let before = reading(100, 1000, 1000);
        let quiet = reading(160, 1010, 1000);
        let window = quiet.since(&before).unwrap();
        assert_eq!(window.hit_rate(), None);
        assert_eq!(before.next(quiet, Some(&window)), before);
        let later = reading(100 + 3700, 1010, 1000);
        let window = later.since(&before).unwrap();
        assert_eq!(before.next(later.clone(), Some(&window)), later);
    }

    #[test]
    fn a_clock_that_was_set_does_not_stretch_a_window() {
        let before = reading(100, 1000, 1000);
        let mut now = reading(160, 2000, 1000);
        now.nodes[0].at = Time::from_unix(999_999);
        assert_eq!(now.since(&before).unwrap().span, Duration::from_mins(1));
    }
}
