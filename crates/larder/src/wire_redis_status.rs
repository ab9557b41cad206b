//! The row of a Redis in `larder/status/1`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::redis_status::RedisRow;

/// A Redis.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct WireRedisStatus {
    /// `redis:NAME`.
    cache: String,
    /// Where it is, without a password.
    url: String,
    /// `ok`, `loading`, `read-only`, `replica lagging` or `unreachable`.
    state: &'static str,
    /// Why it cannot be asked, or what of it could not be.
    note: Option<String>,
    /// Everything that could not be asked, each with the grant that it takes.
    missing: Vec<String>,
    /// `redis 7.0.15`.
    product: Option<String>,
    /// Masters that answered.
    masters: usize,
    /// Keys of its database.
    keys: Option<u64>,
    /// Those without a time to live.
    persistent_keys: Option<u64>,
    /// `used_memory` without what eviction does not count.
    used_memory_bytes: Option<u64>,
    /// `used_memory_rss`.
    used_memory_rss_bytes: Option<u64>,
    /// `maxmemory`; null where there is no limit.
    max_memory_bytes: Option<u64>,
    /// The settings' budget.
    budget_bytes: Option<u64>,
    /// The allocator's own, from 1.
    fragmentation_ratio: Option<f64>,
    /// What the allocator holds over what it gave.
    fragmentation_bytes: Option<u64>,
    /// Keys that had to go because memory was full, since the server started.
    evicted_keys: Option<u64>,
    /// The same in each second since the status before this one; null without one.
    evicted_per_second: Option<f64>,
    /// 0 to 1, without larder's own look-ups; null before there was enough to tell.
    hit_ratio: Option<f64>,
    /// How long `hit_ratio` is over: since the status before this one, where enough happened since.
    /// Null: since the server started or its statistics were reset.
    hit_ratio_window_seconds: Option<f64>,
    /// Clients, replicas and cluster links.
    connections: Option<u64>,
    /// `maxclients`.
    max_connections: Option<u64>,
    /// Connections refused because there were too many, in each second since the status before.
    rejected_per_second: Option<f64>,
    /// Clients that wait in a blocking command.
    blocked_clients: Option<u64>,
    /// Whether the last snapshot was written.
    last_save_ok: Option<bool>,
    /// Whether the last write to the append-only file was; null where there is none.
    last_append_ok: Option<bool>,
    /// Replicas that are connected.
    replicas: Option<u64>,
    /// The longest that a replica has not been heard of, or a replica not of its master.
    replica_lag_seconds: Option<f64>,
    /// Since the server started.
    uptime_seconds: Option<f64>,
    /// What a client beside the others waits, in the middle.
    latency_seconds: Option<f64>,
    /// 0 to 100; null where nothing is known.
    score: Option<f64>,
    /// `healthy`, `warning`, `critical` or `unknown`.
    level: &'static str,
    /// Whether a part of the score is not known.
    partial: bool,
}

impl From<&RedisRow> for WireRedisStatus {
    fn from(row: &RedisRow) -> Self {
        let vitals = row.vitals.as_ref().ok();
        let missing: Vec<String> = vitals.map_or_else(Vec::new, |vitals| {
            let each = vitals.missing.iter();
            each.map(|missing| format!("without {}: {}", missing.what, missing.why)).collect()
        });
        let window = vitals.and_then(|vitals| vitals.window);
        let seconds = |duration: std::time::Duration| duration.as_secs_f64();
        let score = row.score();
        Self {
            cache: row.cache.clone(),
            url: row.url.clone(),
            state: vitals.map_or("unreachable", |vitals| vitals.state.name()),
            note: row.vitals.as_ref().err().cloned().or(missing.first().cloned()),
            missing,
            product: vitals.map(|vitals| vitals.product.clone()),
            masters: vitals.map_or(0, |vitals| vitals.masters),
            keys: vitals.and_then(|vitals| vitals.keys),
            persistent_keys: vitals.and_then(|vitals| vitals.persistent_keys),
            used_memory_bytes: vitals.and_then(|vitals| vitals.used_memory),
            used_memory_rss_bytes: vitals.and_then(|vitals| vitals.resident),
            max_memory_bytes: vitals.and_then(|vitals| vitals.max_memory),
            budget_bytes: row.budget,
            fragmentation_ratio: vitals.and_then(|vitals| vitals.fragmentation),
            fragmentation_bytes: vitals.and_then(|vitals| vitals.fragmented),
            evicted_keys: vitals.and_then(|vitals| vitals.evicted),
            evicted_per_second: window.map(|window| window.evicted_per_second()),
            hit_ratio: vitals.and_then(larder_redis::Vitals::hit_rate),
            hit_ratio_window_seconds: vitals
                .and_then(larder_redis::Vitals::hit_window)
                .map(seconds),
            connections: vitals.and_then(|vitals| vitals.connections),
            max_connections: vitals.and_then(|vitals| vitals.max_connections),
            rejected_per_second: window.map(|window| window.rejected_per_second()),
            blocked_clients: vitals.and_then(|vitals| vitals.blocked_clients),
            last_save_ok: vitals.and_then(|vitals| vitals.persistence.last_save_ok),
            last_append_ok: vitals.and_then(|vitals| vitals.persistence.last_append_ok),
            replicas: vitals.and_then(|vitals| vitals.replication.replicas),
            replica_lag_seconds: vitals.and_then(|vitals| vitals.replication.lag).map(seconds),
            uptime_seconds: vitals.and_then(|vitals| vitals.uptime).map(seconds),
            latency_seconds: vitals
                .filter(|vitals| vitals.latency.samples > 0)
                .map(|vitals| vitals.latency.p50.as_secs_f64()),
            score: score.as_ref().and_then(|score| score.value),
            level: score.as_ref().map_or("unknown", |score| score.level().name()),
            partial: score.is_some_and(|score| score.partial),
        }
    }
}
