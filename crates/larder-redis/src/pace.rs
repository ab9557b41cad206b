//! How fast work may go on, decided by what other clients feel.
//!
//! A page of work takes the server at most one slice of time, so that whoever comes while it is
//! served waits that long at most. Where the latency that others feel passes the budget all the
//! same, slices get shorter and pauses longer, down to a floor at which the work waits. The budget
//! is what the work may add: what others feel while it waits is not its doing.

use std::time::Duration;

/// What other clients feel, as a probe beside them measured it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Felt {
    /// The middle.
    pub p50: Duration,
    /// What one in a hundred exceeds.
    pub p99: Duration,
    /// The slowest.
    pub max: Duration,
    /// How many were measured.
    pub samples: usize,
}

impl Felt {
    /// Of single measurements, in any order.
    pub fn of(mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        let Some(&max) = samples.last() else { return Self::default() };
        let at = |share: usize| samples[(samples.len() * share / 100).min(samples.len() - 1)];
        Self { p50: at(50), p99: at(99), max, samples: samples.len() }
    }
}

/// Limits on the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How far the 99th percentile that others feel may rise over the level before the work.
    pub p99_budget: Duration,
    /// Keys a second at most, over all servers.
    pub keys_per_second: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { p99_budget: Duration::from_millis(2), keys_per_second: None }
    }
}

/// What to do before the next page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Rest this long, then go on.
    Rest(Duration),
    /// Too busy: others feel more than the budget even while the work hardly runs.
    Wait,
}

/// The pace of the work on one server.
#[derive(Clone, Debug)]
pub struct Pace {
    budget: Duration,
    idle: Felt,
    ceiling: Option<f64>,
    /// The share of time in which the server works for us, up to 1.
    share: f64,
    slice: Duration,
}

/// Below this share the work waits for better times.
const FLOOR: f64 = 0.02;
/// After so long a rest what others feel has been measured anew: what a page took says no more.
const LONGEST_REST: Duration = Duration::from_millis(250);
/// No page is worth its round trip below this.
const SHORTEST: Duration = Duration::from_micros(100);

impl Pace {
    /// Begins at full speed. `servers` share the ceiling.
    pub fn new(limits: Limits, idle: Felt, servers: usize) -> Self {
        let per_server = |keys: u64| keys as f64 / servers.max(1) as f64;
        Self {
            budget: limits.p99_budget,
            idle,
            ceiling: limits.keys_per_second.map(per_server),
            share: 1.0,
            slice: Self::longest(limits.p99_budget),
        }
    }

    /// A page takes half of the budget at most: the other half is for what else goes on.
    fn longest(budget: Duration) -> Duration {
        (budget / 2).max(SHORTEST)
    }

    /// How long a page may keep the server busy.
    pub fn slice(&self) -> Duration {
        self.slice
    }

    /// What others feel without the work, as far as is known.
    pub fn idle(&self) -> Felt {
        self.idle
    }

    /// Others feel this while the work has been waiting for a while.
    pub fn without_us(&mut self, now: Felt) {
        if now.samples > 0 {
            self.idle = now;
        }
    }

    /// Learns from a fresh look at what others feel.
    pub fn felt(&mut self, now: Felt) {
        if now.samples == 0 {
            return;
        }
        // Without the work they would feel no more than with it; a lucky moment proves little.
        let less = self.idle.p99.saturating_sub(now.p99);
        self.idle.p99 -= less / 20;
        let limit = self.idle.p99 + self.budget;
        if now.p99 > limit {
            self.share = (self.share * 0.6).max(FLOOR);
            self.slice = (self.slice * 3 / 4).max(SHORTEST);
        } else if now.p99 < self.idle.p99 + self.budget * 3 / 4 {
            self.share = (self.share * 1.25).min(1.0);
            self.slice = (self.slice * 5 / 4).min(Self::longest(self.budget));
        }
    }

    /// What to do after a page of `keys` that kept the server busy for `busy` and took `took` in
    /// all.
    pub fn after(&self, keys: usize, busy: Duration, took: Duration) -> Advice {
        if self.share <= FLOOR {
            return Advice::Wait;
        }
        let for_others = busy.mul_f64(1.0 / self.share - 1.0).min(LONGEST_REST);
        let for_ceiling = self.ceiling.map_or(Duration::ZERO, |ceiling| {
            Duration::from_secs_f64(keys as f64 / ceiling.max(1.0)).saturating_sub(took)
        });
        Advice::Rest(for_others.max(for_ceiling))
    }

    /// After a wait that ended because others feel no more than they should: slowly again.
    pub fn recovered(&mut self) {
        self.share = self.share.max(FLOOR * 4.0);
    }

    /// Whether others feel less than the budget allows.
    pub fn allows(&self, now: Felt) -> bool {
        now.samples > 0 && now.p99 <= self.idle.p99 + self.budget
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn felt(p99: Duration) -> Felt {
        Felt { p50: p99 / 2, p99, max: p99, samples: 100 }
    }

    #[test]
    fn alone_it_never_rests() {
        let mut pace = Pace::new(Limits::default(), felt(MS / 4), 1);
        for _ in 0..100 {
            pace.felt(felt(MS));
            assert_eq!(pace.after(1000, MS, MS), Advice::Rest(Duration::ZERO));
        }
        assert_eq!(pace.slice(), MS);
    }

    #[test]
    fn what_others_feel_slows_it_down_to_a_stop_and_up_again() {
        let mut pace = Pace::new(Limits::default(), felt(MS / 4), 1);
        pace.felt(felt(5 * MS));
        let Advice::Rest(first) = pace.after(1000, MS, MS) else { panic!("it waits at once") };
        assert!(first > Duration::ZERO && pace.slice() < MS);
        (0..20).for_each(|_| pace.felt(felt(5 * MS)));
        assert_eq!(pace.after(1000, MS, MS), Advice::Wait);
        assert!(!pace.allows(felt(5 * MS)) && pace.allows(felt(2 * MS)));
        pace.recovered();
        assert!(matches!(pace.after(1000, MS, MS), Advice::Rest(rest) if rest > 5 * MS));
        (0..40).for_each(|_| pace.felt(felt(MS)));
        assert_eq!(pace.after(1000, MS, MS), Advice::Rest(Duration::ZERO));
    }

    /// A neighbour that makes everybody slow stays, and goes: neither stops the work for good, and
    /// the budget is what it adds to what others feel at the time.
    #[test]
    fn what_others_do_to_each_other_is_not_held_against_it() {
        let mut pace = Pace::new(Limits::default(), felt(MS / 4), 1);
        (0..20).for_each(|_| pace.felt(felt(50 * MS)));
        assert_eq!(pace.after(1000, MS, MS), Advice::Wait);
        pace.without_us(felt(50 * MS));
        assert!(pace.allows(felt(51 * MS)) && !pace.allows(felt(53 * MS)));
        pace.recovered();
        (0..40).for_each(|_| pace.felt(felt(50 * MS)));
        assert_eq!(pace.after(1000, MS, MS), Advice::Rest(Duration::ZERO));
        (0..200).for_each(|_| pace.felt(felt(MS / 4)));
        assert!(!pace.allows(felt(3 * MS)));
    }

    /// A server that needs as long as the share that it is asked for: the felt latency settles
    /// under the budget and the work goes on.
    #[test]
    fn it_settles_where_the_budget_is() {
        let mut pace = Pace::new(Limits::default(), felt(MS / 4), 1);
        let mut worst_late = Duration::ZERO;
        for round in 0..200 {
            let p99 = MS / 4 + (4 * MS).mul_f64(pace.share);
            pace.felt(felt(p99));
            if round > 50 {
                worst_late = worst_late.max(p99);
            }
        }
        assert!(pace.share > 0.2, "it starves: {}", pace.share);
        assert!(worst_late < 3 * MS, "others feel {worst_late:?}");
    }

    #[test]
    fn a_ceiling_holds() {
        let limits = Limits { keys_per_second: Some(1000), ..Limits::default() };
        let pace = Pace::new(limits, felt(MS), 2);
        assert_eq!(pace.after(500, MS, 100 * MS), Advice::Rest(900 * MS));
    }

    #[test]
    fn percentiles() {
        let all = Felt::of((1..=100).rev().map(|n| MS * n).collect());
        assert_eq!((all.p50, all.p99, all.max), (51 * MS, 100 * MS, 100 * MS));
        assert_eq!(Felt::of(Vec::new()), Felt::default());
    }
}
