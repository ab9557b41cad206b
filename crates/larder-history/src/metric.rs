//! What can be asked of the history, and what it is called where.

/// One value of a sample over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// What the disk gives back; of a Redis `used_memory`. Bytes.
    Allocated,
    /// That, with what drops and cleanups took since the beginning added back. Bytes.
    Grown,
    /// What the files say. Bytes.
    Logical,
    /// Regular files.
    Files,
    /// What the default policy would free. Bytes.
    Reclaimable,
    /// What it may take. Bytes.
    Budget,
    /// Free on its disk. Bytes.
    DiskFree,
    /// Size of its disk. Bytes.
    DiskSize,
    /// 0 to 100.
    Score,
    /// How long the measurement took. Seconds.
    Took,
    /// `used_memory_rss`. Bytes.
    Resident,
    /// That, with what drops took added back. Bytes.
    ResidentGrown,
    /// `maxmemory`. Bytes.
    MaxMemory,
    /// Keys of the database.
    Keys,
    /// Those without a time to live.
    PersistentKeys,
    /// Look-ups that found a key since the history began, over restarts of the server.
    Hits,
    /// Those that did not.
    Misses,
    /// Keys that eviction took since the history began.
    Evicted,
    /// Hits of all look-ups, 0 to 1.
    HitRate,
    /// What a client waits. Seconds.
    Latency,
    /// Clients, replicas and cluster links.
    Connections,
    /// The allocator's own ratio.
    Fragmentation,
}

impl Metric {
    /// Every one.
    pub const ALL: [Self; 22] = [
        Self::Allocated,
        Self::Grown,
        Self::Logical,
        Self::Files,
        Self::Reclaimable,
        Self::Budget,
        Self::DiskFree,
        Self::DiskSize,
        Self::Score,
        Self::Took,
        Self::Resident,
        Self::ResidentGrown,
        Self::MaxMemory,
        Self::Keys,
        Self::PersistentKeys,
        Self::Hits,
        Self::Misses,
        Self::Evicted,
        Self::HitRate,
        Self::Latency,
        Self::Connections,
        Self::Fragmentation,
    ];

    /// The name in URLs and documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allocated => "allocated_bytes",
            Self::Grown => "grown_bytes",
            Self::Logical => "logical_bytes",
            Self::Files => "files",
            Self::Reclaimable => "reclaimable_bytes",
            Self::Budget => "budget_bytes",
            Self::DiskFree => "disk_free_bytes",
            Self::DiskSize => "disk_size_bytes",
            Self::Score => "score",
            Self::Took => "sample_seconds",
            Self::Resident => "resident_bytes",
            Self::ResidentGrown => "resident_grown_bytes",
            Self::MaxMemory => "max_memory_bytes",
            Self::Keys => "keys",
            Self::PersistentKeys => "persistent_keys",
            Self::Hits => "hits",
            Self::Misses => "misses",
            Self::Evicted => "evicted",
            Self::HitRate => "hit_rate",
            Self::Latency => "latency_seconds",
            Self::Connections => "connections",
            Self::Fragmentation => "fragmentation",
        }
    }

    /// The metric of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }

    /// What the value, the least and the greatest are in SQL.
    pub(crate) fn sql(self) -> (&'static str, &'static str, &'static str) {
        let same = |sql| (sql, sql, sql);
        match self {
            Self::Allocated => (
                "allocated",
                "coalesce(allocated_low, allocated)",
                "coalesce(allocated_high, allocated)",
            ),
            Self::Grown => same("allocated + coalesce(fallen, 0)"),
            Self::Logical => same("logical"),
            Self::Files => same("files"),
            Self::Reclaimable => same("reclaimable"),
            Self::Budget => same("budget"),
            Self::DiskFree => same("disk_free"),
            Self::DiskSize => same("disk_size"),
            Self::Score => ("score / 100.0", "coalesce(score_low, score) / 100.0", "score / 100.0"),
            Self::Took => same("took / 1e6"),
            Self::Resident => same("resident"),
            Self::ResidentGrown => same("resident + coalesce(resident_fallen, 0)"),
            Self::MaxMemory => same("max_memory"),
            Self::Keys => same("keys"),
            Self::PersistentKeys => same("persistent_keys"),
            Self::Hits => same("hits + coalesce(hits_base, 0)"),
            Self::Misses => same("misses + coalesce(misses_base, 0)"),
            Self::Evicted => same("evicted + coalesce(evicted_base, 0)"),
            Self::HitRate => same("hit_rate / 1e6"),
            Self::Latency => {
                ("latency / 1e6", "latency / 1e6", "coalesce(latency_high, latency) / 1e6")
            }
            Self::Connections => same("connections"),
            Self::Fragmentation => same("fragmentation / 1e6"),
        }
    }

    /// What it is in a query of Prometheus, with `{}` where the label matchers belong; `None` for
    /// what is not exported. The names are those that larder exports.
    pub(crate) fn promql(self) -> Option<&'static str> {
        Some(match self {
            Self::Allocated => "larder_cache_allocated_bytes{}",
            Self::Logical => "larder_cache_logical_bytes{}",
            Self::Files => "larder_cache_files{}",
            Self::Reclaimable => "larder_cache_reclaimable_bytes{}",
            Self::Budget => "larder_cache_budget_bytes{}",
            Self::DiskFree => "min without (mountpoint) (larder_disk_free_bytes{})",
            Self::DiskSize => "min without (mountpoint) (larder_disk_size_bytes{})",
            Self::Score => "larder_cache_score{}",
            Self::Took => "larder_cache_sample_duration_seconds{}",
            Self::Resident => "redis_memory_used_rss_bytes{}",
            Self::MaxMemory => "redis_memory_max_bytes{}",
            Self::Keys => "sum without (db) (redis_db_keys{})",
            Self::PersistentKeys => "larder_redis_persistent_keys{}",
            Self::Hits => "redis_keyspace_hits_total{}",
            Self::Misses => "redis_keyspace_misses_total{}",
            Self::Evicted => "redis_evicted_keys_total{}",
            Self::HitRate => "larder_redis_hit_ratio{}",
            Self::Latency => "larder_redis_latency_seconds{}",
            Self::Connections => "redis_connected_clients{}",
            Self::Fragmentation => "larder_redis_fragmentation_ratio{}",
            Self::Grown | Self::ResidentGrown => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_lead_back() {
        for metric in Metric::ALL {
            assert_eq!(Metric::named(metric.name()), Some(metric));
        }
        assert_eq!(Metric::named("size"), None);
    }
}
