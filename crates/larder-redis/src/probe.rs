//! A client beside the others that does nothing but feel: a `PING` every other millisecond.
//!
//! What it feels is what every other client of this server feels, its network included.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::endpoint::Endpoint;
use crate::error::RedisError;
use crate::link::Link;
use crate::pace::Felt;

const EVERY: Duration = Duration::from_millis(2);
/// What counts as now.
pub(crate) const WINDOW: Duration = Duration::from_millis(300);

/// A probe at work, until it is dropped.
#[derive(Debug)]
pub struct Probe {
    idle: Felt,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    recent: Mutex<VecDeque<(Instant, Duration)>>,
    /// Everything since the work began, in steps of an eighth of a power of two.
    whole: Mutex<Whole>,
}

#[derive(Debug)]
struct Whole {
    counts: [u64; BUCKETS],
    max: Duration,
    total: u64,
}

const BUCKETS: usize = 512;

impl Default for Whole {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], max: Duration::ZERO, total: 0 }
    }
}

impl Whole {
    fn add(&mut self, sample: Duration) {
        self.counts[bucket(sample)] += 1;
        self.max = self.max.max(sample);
        self.total += 1;
    }

    fn felt(&self) -> Felt {
        let at = |share: u64| {
            let rank = (self.total * share).div_ceil(100).max(1);
            let mut seen = 0;
            let index = self.counts.iter().position(|count| {
                seen += count;
                seen >= rank
            });
            index.map_or(self.max, |index| upper(index).min(self.max))
        };
        let samples = usize::try_from(self.total).unwrap_or(usize::MAX);
        Felt { p50: at(50), p99: at(99), max: self.max, samples }
    }
}

/// Eight steps to each power of two of nanoseconds: within 13 %.
fn bucket(sample: Duration) -> usize {
    let nanos = u64::try_from(sample.as_nanos()).unwrap_or(u64::MAX).max(8);
    let power = nanos.ilog2();
    let step = (nanos >> (power - 3)) & 7;
    (power as usize * 8 + usize::try_from(step).unwrap_or(0)).min(BUCKETS - 1)
}

/// The longest that a step stands for.
fn upper(index: usize) -> Duration {
    let (power, step) = (index / 8, index as u64 % 8);
    Duration::from_nanos((8 + step + 1) << (power.max(3) - 3))
}

impl Probe {
    /// Connects, feels for `idle_for` how it is before the work, and goes on beside it.
    pub fn start(endpoint: &Endpoint, idle_for: Duration) -> Result<Self, RedisError> {
        let mut link = Link::open(&endpoint.with_database(0), "probe")?;
        let begun = Instant::now();
        let mut samples = Vec::new();
        while begun.elapsed() < idle_for || samples.len() < 3 {
            samples.push(link.ping()?);
            std::thread::sleep(EVERY);
        }
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("larder-probe".to_owned())
            .spawn(move || theirs.feel(&mut link))
            .map_err(|error| RedisError::Setup {
                address: endpoint.address().to_owned(),
                why: format!("no thread for the probe: {error}"),
            })?;
        Ok(Self { idle: Felt::of(samples), shared, thread: Some(thread) })
    }

    /// Before the work.
    pub fn idle(&self) -> Felt {
        self.idle
    }

    /// Now.
    pub fn now(&self) -> Felt {
        let recent = self.shared.recent.lock().unwrap_or_else(PoisonError::into_inner);
        Felt::of(recent.iter().map(|(_, took)| *took).collect())
    }

    /// Since the work began.
    pub fn whole(&self) -> Felt {
        self.shared.whole.lock().unwrap_or_else(PoisonError::into_inner).felt()
    }
}

impl Shared {
    fn feel(&self, link: &mut Link) {
        while !self.stop.load(Ordering::Relaxed) {
            let begun = Instant::now();
            // A server that is gone is the work's own error to tell; to others it is this slow.
            let took = link.ping().unwrap_or_else(|_| begun.elapsed().max(WINDOW));
            {
                let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
                let now = Instant::now();
                recent.push_back((now, took));
                while recent.front().is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) {
                    recent.pop_front();
                }
            }
            self.whole.lock().unwrap_or_else(PoisonError::into_inner).add(took);
            std::thread::sleep(EVERY);
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has nothing to tell.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_close_to_what_it_stands_for() {
        for nanos in [9_u64, 100, 12_345, 1_000_000, 123_456_789, 60_000_000_000] {
            let sample = Duration::from_nanos(nanos);
            let shown = upper(bucket(sample));
            assert!(shown >= sample, "{sample:?} shown as {shown:?}");
            assert!(shown.as_secs_f64() < sample.as_secs_f64() * 1.14, "{sample:?} as {shown:?}");
        }
    }

    #[test]
    fn the_whole_of_many() {
        let mut whole = Whole::default();
        (1..=1000).for_each(|n| whole.add(Duration::from_micros(n)));
        let felt = whole.felt();
        assert_eq!((felt.samples, felt.max), (1000, Duration::from_millis(1)));
        assert!((500..570).contains(&felt.p50.as_micros()), "{felt:?}");
        assert!(felt.p99.as_micros() >= 990, "{felt:?}");
    }
}
