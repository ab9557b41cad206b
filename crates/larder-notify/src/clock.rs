//! The time, so that a test need not wait for it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use larder_core::Time;

/// Tells the time to the threads of the receivers.
pub trait Clock: Send + Sync {
    /// The time of day.
    fn now(&self) -> Time;

    /// Time passed since a point that stays; it never goes back.
    fn elapsed(&self) -> Duration;

    /// How long such a span really lasts. A clock that runs faster says less.
    fn real(&self, span: Duration) -> Duration {
        span
    }
}

/// The system's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Time {
        let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time::from_unix(0).plus(passed)
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
