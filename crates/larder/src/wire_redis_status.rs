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
    /// Since the server started.
    evicted_keys: Option<u64>,
    /// Since the server started, 0 to 1; null before there was enough to tell.
    hit_ratio: Option<f64>,
    /// Clients, replicas and cluster links.
    connections: Option<u64>,
    /// `maxclients`.
    max_connections: Option<u64>,
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
        let missing = vitals.and_then(|vitals| vitals.missing.first());
        let missing = missing.map(|missing| format!("without {}: {}", missing.what, missing.why));
        let score = row.score();
        Self {
            cache: row.cache.clone(),
            url: row.url.clone(),
            state: vitals.map_or("unreachable", |vitals| vitals.state.name()),
            note: row.vitals.as_ref().err().cloned().or(missing),
            product: vitals.map(|vitals| vitals.product.clone()),
            masters: vitals.map_or(0, |vitals| vitals.masters),
            keys: vitals.map(|vitals| vitals.keys),
            persistent_keys: vitals.map(|vitals| vitals.persistent_keys),
            used_memory_bytes: vitals.map(|vitals| vitals.used_memory),
            used_memory_rss_bytes: vitals.map(|vitals| vitals.resident),
            max_memory_bytes: vitals.and_then(|vitals| vitals.max_memory),
            budget_bytes: row.budget,
            fragmentation_ratio: vitals.and_then(|vitals| vitals.fragmentation),
            evicted_keys: vitals.map(|vitals| vitals.evicted),
            hit_ratio: vitals.and_then(larder_redis::Vitals::hit_rate),
            connections: vitals.map(|vitals| vitals.connections),
            max_connections: vitals.and_then(|vitals| vitals.max_connections),
            latency_seconds: vitals
                .filter(|vitals| vitals.latency.samples > 0)
                .map(|vitals| vitals.latency.p50.as_secs_f64()),
            score: score.as_ref().and_then(|score| score.value),
            level: score.as_ref().map_or("unknown", |score| score.level().name()),
            partial: score.is_some_and(|score| score.partial),
        }
    }
}
