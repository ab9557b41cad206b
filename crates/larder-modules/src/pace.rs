//! How long a peer is waited for, and how long nobody who wishes to stop is kept.

use std::thread;
use std::time::{Duration, Instant};

use larder_core::Meter;

/// Waits, but not past the wish to stop; whether there was none.
pub(crate) fn wait_unless_stopped(time: Duration, meter: &Meter) -> bool {
    let until = Instant::now() + time;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if meter.stopped() || left.is_zero() {
            return !meter.stopped();
        }
        thread::sleep(left.min(Duration::from_millis(50)));
    }
}

/// Whether an answer moves at all.
pub(crate) struct Pace {
    stall: Duration,
    since: Instant,
    moved: usize,
}

/// An answer that moves fewer bytes than this while a peer may be silent has stalled.
const CRAWL: usize = 1 << 10;

impl Pace {
    pub(crate) fn new(stall: Duration) -> Self {
        Self { stall, since: Instant::now(), moved: 0 }
    }

    /// After so many bytes more: whether there were too few of them lately.
    pub(crate) fn is_crawling(&mut self, read: usize) -> bool {
        self.moved += read;
        if self.since.elapsed() < self.stall {
            return false;
        }
        let crawls = self.moved < CRAWL;
        (self.since, self.moved) = (Instant::now(), 0);
        crawls
    }
}
