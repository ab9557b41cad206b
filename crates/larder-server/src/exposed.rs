//! What there is to show at one moment: the plain value that metrics and the status page are
//! written from.
//!
//! Promises: no number in here is guessed. What is not known is `None` or missing from its list,
//! and then absent from what is written, never zero. Leaves out how any of it was measured.

use std::sync::Arc;
use std::time::Duration;

use larder_core::{Sample, Severity, Time};

/// Everything that larder shows of itself and its caches.
#[derive(Clone, Debug, Default)]
pub struct Exposed {
    /// larder's version.
    pub version: String,
    /// The last sample of each cache.
    pub samples: Vec<Sample>,
    /// How often each cache was sampled.
    pub sampled: Vec<Sampled>,
    /// How caches grow.
    pub growth: Vec<Growth>,
    /// Alerts that fire.
    pub alerts: Vec<Firing>,
    /// What runs on this machine, by kind; `None` where nobody looked.
    pub tasks: Option<Tasks>,
    /// What cleaning did, by cache.
    pub cleanups: Vec<Cleanups>,
    /// The last verification of each cache.
    pub verifications: Vec<Verified>,
    /// What became of notifications, by receiver.
    pub notifications: Vec<Notifications>,
    /// Plans that wait for somebody to approve them.
    pub plans_waiting: Option<u64>,
    /// Events since this process started.
    pub events_total: Option<u64>,
    /// The history on disk.
    pub history: Option<HistoryState>,
    /// By cache: how far off the last forecast was, as a share of what then came; 0 is exact.
    pub forecast_errors: Vec<(String, f64)>,
    /// Limits on offenders that are in force, by cache.
    pub throttles: Vec<(String, u64)>,
    /// What each Redis said of itself in its last sample.
    pub redis: Vec<RedisExposed>,
    /// When the last full scan was.
    pub scanned_at: Option<Time>,
    /// When growth and forecasts were last worked out.
    pub foreseen_at: Option<Time>,
    /// When running go commands were last counted.
    pub counted_at: Option<Time>,
}

/// How often a cache was sampled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sampled {
    /// Its name.
    pub cache: String,
    /// Samples since this process started, failed ones too.
    pub total: u64,
    /// Those that failed.
    pub failures: u64,
    /// When the last one ended.
    pub last: Option<Time>,
}

/// How a cache grows.
#[derive(Clone, Debug, PartialEq)]
pub struct Growth {
    /// Its name.
    pub cache: String,
    /// Bytes in a second.
    pub per_second: f64,
    /// The low end of the interval, bytes in a second.
    pub low: Option<f64>,
    /// Its high end.
    pub high: Option<f64>,
    /// When the budget is full, if it goes on like this.
    pub full_at: Option<Time>,
}

/// An alert that fires.
#[derive(Clone, Debug, PartialEq)]
pub struct Firing {
    /// `RedisCacheUnhealthy`.
    pub name: String,
    /// The cache it is about.
    pub cache: String,
    /// How bad it is.
    pub severity: Severity,
    /// When it was raised; on the status page only.
    pub since: Option<Time>,
    /// What to type; on the status page only.
    pub command: Option<String>,
}

/// What runs on this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tasks {
    /// Go commands.
    pub go: u64,
    /// larder's own jobs: cleanups, verifications, downloads, heals.
    pub larder: u64,
}

/// What cleaning one cache did since this process started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleanups {
    /// Its name.
    pub cache: String,
    /// Cleanups, failed ones too.
    pub total: u64,
    /// Those in which something could not be removed.
    pub failures: u64,
    /// Measured as removed, bytes.
    pub freed_bytes_total: u64,
    /// When the last one ended.
    pub last_at: Option<Time>,
    /// How long the last one took.
    pub last_duration: Option<Duration>,
}

/// The last verification of a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Its name.
    pub cache: String,
    /// When it ended.
    pub at: Time,
    /// Entries that were looked at.
    pub checked: u64,
    /// Those that are bad.
    pub bad: u64,
    /// Those that nothing could be held against.
    pub unverifiable: u64,
}

/// What became of the notifications to one receiver since this process started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notifications {
    /// Its name in the settings.
    pub receiver: String,
    /// Taken by the receiver.
    pub sent: u64,
    /// Given up.
    pub failed: u64,
    /// Never tried, since the queue was full.
    pub dropped: u64,
    /// Waiting now.
    pub queue: u64,
}

/// The history on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryState {
    /// What its files take, bytes.
    pub bytes: u64,
    /// Rows that were not kept, since writing lagged behind.
    pub dropped: u64,
}

/// One server of a Redis on `/metrics`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisExposed {
    /// `redis:NAME`.
    pub cache: String,
    /// Which of several it is, as `host:port`; `None` where it stands alone.
    pub node: Option<String>,
    /// What it said; `None` where it did not answer.
    pub facts: Option<Arc<RedisFacts>>,
}

/// What a Redis says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisFacts {
    /// The fields of `INFO`, with `commandstats` for what is known of commands.
    pub info: Vec<(String, String)>,
    /// How many databases it has. `INFO` leaves out those without keys; with this they are zero.
    pub databases: Option<u16>,
    /// Entries of its slow log.
    pub slowlog_length: Option<u64>,
    /// The number of the newest entry.
    pub slowlog_last_id: Option<u64>,
    /// How long the newest entry took.
    pub slowlog_last_took: Option<Duration>,
}
