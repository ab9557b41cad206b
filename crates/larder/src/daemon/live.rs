//! What is known at this moment, for HTTP and for whoever works: the last samples, scores, alerts.
//!
//! One lock around plain values; it is held for no longer than it takes to copy them.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use larder_core::count::counted;
use larder_core::size::Units;
use larder_core::{Board, Sample, Time};
use larder_engine::report::{DuReport, StatusReport};
use larder_server::{Cleanups, Growth, RedisExposed};

use super::evictions::Evictions;
use super::usual::Usual;
use crate::health::Health;
use crate::redis_status::RedisRow;

/// The shared knowledge.
#[derive(Default)]
pub(crate) struct Live {
    known: Mutex<Known>,
    wake: Condvar,
}

/// What is known.
#[derive(Default)]
pub(crate) struct Known {
    /// The last sample of each cache.
    pub samples: BTreeMap<String, Sample>,
    /// Samples and failed ones since the start.
    pub sampled: BTreeMap<String, (u64, u64)>,
    /// How each cache grows, once there is enough history.
    pub growth: BTreeMap<String, Growth>,
    /// What is usual of each cache, once there is enough history.
    pub usual: Usual,
    /// The document of all trends.
    pub trend: Option<serde_json::Value>,
    /// How far off the last forecast of each was.
    pub forecast_errors: BTreeMap<String, f64>,
    /// The last full scan.
    pub report: Option<Arc<StatusReport>>,
    /// The last answer of each Redis.
    pub redis: Vec<Arc<RedisRow>>,
    /// What each Redis said of itself, for its own metrics.
    pub facts: Vec<RedisExposed>,
    /// How well each cache is.
    pub health: Vec<Health>,
    /// The score of each cache when it was last good.
    pub good_scores: BTreeMap<String, f64>,
    /// The alerts.
    pub board: Board,
    /// What cleaning did since the start.
    pub cleanups: BTreeMap<String, Cleanups>,
    /// What is being worked at.
    pub jobs: Vec<String>,
    /// Go commands that run, when that was last looked at.
    pub go_commands: Option<u64>,
    /// When that was.
    pub counted_at: Option<Time>,
    /// When growth and forecasts were last worked out.
    pub foreseen_at: Option<Time>,
    /// What each Redis had to let go lately.
    pub evictions: Evictions,
    /// Limits in force.
    pub throttles: BTreeMap<String, u64>,
    /// What became of notices, by receiver.
    pub notified: Vec<larder_notify::ReceiverCounts>,
    /// Plans that nobody approved yet.
    pub plans_waiting: Option<u64>,
    /// Where the bytes of Go's caches are, by what they are and by age.
    pub du: BTreeMap<&'static str, Arc<DuReport>>,
    /// What was asked for over HTTP.
    pub wishes: Vec<Wish>,
    /// When the first round of measuring was done.
    pub ready: Option<Time>,
}

/// Wishes that wait at most: they are taken at the next tick.
const MOST_WISHES: usize = 64;

/// What somebody asked for over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Go through the cycle, for this reason.
    Run(String),
    /// A plan was approved.
    Plans,
}

impl Known {
    /// How things are, in a line: `6 caches, 3.1 GB; 1 alert; prune`.
    pub(crate) fn in_a_line(&self, units: Units) -> String {
        let bytes = self.samples.values().filter_map(|sample| sample.allocated_bytes).sum();
        let caches = counted(self.samples.len() as u64, "cache", "caches");
        let mut parts = vec![format!("{caches}, {}", units.show(bytes))];
        let alerts = self.board.firing().count() as u64;
        parts.extend((alerts > 0).then(|| counted(alerts, "alert", "alerts")));
        let plans = self.plans_waiting.filter(|plans| *plans > 0);
        parts.extend(plans.map(|plans| format!("{} to approve", counted(plans, "plan", "plans"))));
        parts.extend(self.jobs.iter().cloned());
        parts.join("; ")
    }
}

impl Live {
    /// The knowledge, held.
    pub(crate) fn know(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for something, and whoever ticks wakes up; `false` where too much is asked for already.
    pub(crate) fn wish(&self, wish: Wish) -> bool {
        let mut known = self.know();
        let new = !known.wishes.contains(&wish);
        let taken = !new || known.wishes.len() < MOST_WISHES;
        if new && taken {
            known.wishes.push(wish);
        }
        self.wake.notify_all();
        taken
    }

    /// Waits for a wish, at most so long.
    pub(crate) fn wait(&self, most: Duration) {
        let known = self.know();
        if known.wishes.is_empty() {
            let _ = self.wake.wait_timeout(known, most);
        }
    }

    /// Wakes whoever ticks.
    pub(crate) fn nudge(&self) {
        self.wake.notify_all();
    }
}

impl Known {
    /// Counts a sample.
    pub(crate) fn take(&mut self, sample: Sample) {
        let (all, failed) = self.sampled.entry(sample.cache.clone()).or_default();
        *all += 1;
        *failed += u64::from(sample.error.is_some());
        self.samples.insert(sample.cache.clone(), sample);
    }

    /// Forgets what is known of caches that are no longer looked after. What was counted of one of
    /// Go's stays, since it may be back at the next build.
    pub(crate) fn forget(&mut self, here: impl Fn(&str) -> bool) {
        let counted = |cache: &str| !cache.starts_with("redis:") || here(cache);
        self.samples.retain(|cache, _| here(cache));
        self.growth.retain(|cache, _| here(cache));
        self.forecast_errors.retain(|cache, _| here(cache));
        self.good_scores.retain(|cache, _| here(cache));
        self.facts.retain(|one| here(&one.cache));
        self.sampled.retain(|cache, _| counted(cache));
        self.cleanups.retain(|cache, _| counted(cache));
    }

    /// Counts a cleanup.
    pub(crate) fn cleaned(
        &mut self,
        cache: &str,
        freed: u64,
        failed: bool,
        at: Time,
        took: Duration,
    ) {
        let new = || Cleanups { cache: cache.to_owned(), ..Cleanups::default() };
        let sum = self.cleanups.entry(cache.to_owned()).or_insert_with(new);
        sum.total += 1;
        sum.failures += u64::from(failed);
        sum.freed_bytes_total += freed;
        (sum.last_at, sum.last_duration) = (Some(at), Some(took));
    }
}
