//! How much is kept, and how fine.

use std::time::Duration;

/// How much is kept, and how fine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Samples stay as they came for this long; then one of five minutes stays.
    pub raw_for: Duration,
    /// That for this long; then one of an hour stays.
    pub five_minutes_for: Duration,
    /// That, and events, for this long.
    pub keep_for: Duration,
    /// What the file may take, bytes; beyond it the oldest goes first.
    pub max_bytes: u64,
    /// What may wait to be written, in samples; what comes beyond is dropped and counted.
    pub queue: usize,
    /// What waits is written at least this often.
    pub commit_every: Duration,
}

impl Default for Limits {
    /// Two days as they came, a month by five minutes, 400 days by hours, 200 MB.
    fn default() -> Self {
        Self {
            raw_for: Duration::from_hours(48),
            five_minutes_for: Duration::from_hours(30 * 24),
            keep_for: Duration::from_hours(400 * 24),
            max_bytes: 200_000_000,
            queue: 4096,
            commit_every: Duration::from_secs(5),
        }
    }
}
