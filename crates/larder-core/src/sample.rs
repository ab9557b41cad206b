//! What a cache measured at one moment: what history keeps, trends are made of and metrics show.

use std::time::Duration;

use crate::time::Time;

/// One cache at one moment. What is not known or does not apply is `None`, never zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// When the measurement ended.
    pub at: Time,
    /// `build`, `mod`, `redis:NAME`, as on the command line.
    pub cache: String,
    /// How long the measurement took.
    pub took: Duration,
    /// Why there is no value; everything else is then `None`.
    pub error: Option<String>,
    /// Regular files.
    pub files: Option<u64>,
    /// What the files say, bytes.
    pub logical_bytes: Option<u64>,
    /// What the disk would give back, bytes; for a Redis `used_memory`.
    pub allocated_bytes: Option<u64>,
    /// What the default policy would free, bytes.
    pub reclaimable_bytes: Option<u64>,
    /// What it may take, bytes.
    pub budget_bytes: Option<u64>,
    /// Where its disk is mounted, which tells the disks of a machine apart.
    pub disk: Option<String>,
    /// Free on its disk, bytes.
    pub disk_free_bytes: Option<u64>,
    /// Size of its disk, bytes.
    pub disk_size_bytes: Option<u64>,
    /// When something in it was last used.
    pub last_used: Option<Time>,
    /// The oldest last use of anything in it.
    pub oldest_use: Option<Time>,
    /// 0 to 100.
    pub score: Option<f64>,
    /// The points of each part of the score, by its name (`hit_rate`, `memory`, `latency`, `budget`).
    pub points: Vec<(String, f64)>,
    /// What only a Redis has.
    pub redis: Option<RedisSample>,
}

impl Sample {
    /// A measurement that gave nothing yet; the known values are then filled in.
    pub fn empty(cache: impl Into<String>, at: Time, took: Duration) -> Self {
        Self {
            at,
            cache: cache.into(),
            took,
            error: None,
            files: None,
            logical_bytes: None,
            allocated_bytes: None,
            reclaimable_bytes: None,
            budget_bytes: None,
            disk: None,
            disk_free_bytes: None,
            disk_size_bytes: None,
            last_used: None,
            oldest_use: None,
            score: None,
            points: Vec::new(),
            redis: None,
        }
    }
}

/// What only a Redis has. Counts are since its server started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RedisSample {
    /// Keys of the database.
    pub keys: u64,
    /// Those without a time to live.
    pub persistent_keys: u64,
    /// `used_memory`, bytes.
    pub used_memory_bytes: u64,
    /// `used_memory_rss`, bytes.
    pub resident_bytes: u64,
    /// `maxmemory`, bytes; `None` where there is no limit.
    pub max_memory_bytes: Option<u64>,
    /// Look-ups that found a key.
    pub hits: u64,
    /// Those that did not.
    pub misses: u64,
    /// Hits of all look-ups since the sample before, 0 to 1; `None` without enough of them.
    pub hit_rate: Option<f64>,
    /// Keys that eviction took.
    pub evicted: u64,
    /// Clients, replicas and cluster links.
    pub connections: u64,
    /// `maxclients`.
    pub max_connections: Option<u64>,
    /// The allocator's own ratio; 1 is none at all.
    pub fragmentation: Option<f64>,
    /// The median of what a client beside the others waits.
    pub latency: Option<Duration>,
}
