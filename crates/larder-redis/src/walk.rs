//! Going over the keys of one server at the pace that others bear: the loop that whatever looks
//! at many keys has in common.

use std::time::{Duration, Instant};

use crate::endpoint::Endpoint;
use crate::error::RedisError;
use crate::link::Waited;
use crate::pace::{Advice, Felt, Limits, Pace};
use crate::probe::{Probe, WINDOW};
use crate::scan::Scan;

/// How often the pace is set anew.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// After so long a wait what others feel is no more of our doing: longer than the probe looks
/// back, and than what is freed in the background takes.
const OURS_IS_OVER: Duration = Duration::from_secs(1);
/// How often the work stops to hear whether it is the reason of what others feel.
const LISTEN_EVERY: Duration = Duration::from_secs(3);
/// And for how long: all that the probe then looks back on is without the work.
const LISTEN_FOR: Duration = WINDOW.saturating_add(Duration::from_millis(50));

/// Who follows the work, and says when to stop.
pub(crate) trait Watcher {
    /// Whether somebody asked to.
    fn stopped(&self) -> bool;

    /// What others feel now.
    fn felt(&self, now: Felt);

    /// Whether the work waits for better times.
    fn waits(&self, waits: bool);
}

/// Nobody follows; a function says when to stop.
impl Watcher for &dyn Fn() -> bool {
    fn stopped(&self) -> bool {
        self()
    }

    fn felt(&self, _: Felt) {}

    fn waits(&self, _: bool) {}
}

/// A pass, what others feel beside it, and the pace that follows from that.
#[derive(Debug)]
pub(crate) struct Walk {
    pub scan: Scan,
    pub probe: Probe,
    pub pace: Pace,
    looked: Instant,
    listened: Option<Instant>,
}

/// How fast, over how many servers at once, and how long each is felt before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gait {
    pub limits: Limits,
    pub servers: usize,
    pub idle_for: Duration,
}

impl Walk {
    /// Feels the server, then is ready for the first page.
    pub(crate) fn begin(endpoint: &Endpoint, scan: Scan, gait: Gait) -> Result<Self, RedisError> {
        let probe = Probe::start(endpoint, gait.idle_for)?;
        let pace = Pace::new(gait.limits, probe.idle(), gait.servers);
        Ok(Self { scan, probe, pace, looked: Instant::now(), listened: None })
    }

    /// How long the server was busy with what a link waited for: not on the way there and back.
    pub(crate) fn busy(&self, waited: Waited) -> Duration {
        waited.time.saturating_sub(self.probe.idle().p50 * waited.trips)
    }

    /// After a page of `keys` that took `took` and kept the server `busy`: fits the next one and
    /// lets others have their turn.
    pub(crate) fn rest(&mut self, keys: usize, busy: Duration, took: Duration, who: &dyn Watcher) {
        self.scan.fit(busy, self.pace.slice());
        if self.looked.elapsed() > LOOK_EVERY {
            let now = self.probe.now();
            who.felt(now);
            if self.pace.allows(now) || !self.is_others_doing(who) {
                self.pace.felt(now);
            }
            self.looked = Instant::now();
        }
        match self.pace.after(keys, busy, took) {
            Advice::Rest(rest) => sleep(rest, who),
            Advice::Wait => {
                who.waits(true);
                let since = Instant::now();
                while !who.stopped() && !self.pace.allows(self.probe.now()) {
                    sleep(LOOK_EVERY, who);
                    who.felt(self.probe.now());
                    if since.elapsed() > OURS_IS_OVER {
                        self.pace.without_us(self.probe.now());
                    }
                }
                self.pace.recovered();
                who.waits(false);
            }
        }
    }

    /// Others feel more than they should: stops the work for a moment, now and then, to hear
    /// whether they do without it.
    fn is_others_doing(&mut self, who: &dyn Watcher) -> bool {
        if self.listened.is_some_and(|at| at.elapsed() < LISTEN_EVERY) {
            return false;
        }
        sleep(LISTEN_FOR, who);
        self.listened = Some(Instant::now());
        let without_us = self.probe.now();
        let theirs = !self.pace.allows(without_us);
        if theirs {
            self.pace.without_us(without_us);
        }
        theirs
    }
}

/// Sleeps in pieces, so that a stop is heard.
pub(crate) fn sleep(rest: Duration, who: &dyn Watcher) {
    let until = Instant::now() + rest;
    while !who.stopped() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(LOOK_EVERY));
    }
}
