//! What a Redis answered as a sample.

use std::time::Duration;

use larder_core::{RedisSample, Sample, Time};
use larder_redis::Vitals;

use crate::redis_status::RedisRow;

/// A row of the status as a sample. Its hit rate is not: it is over all the time that the server
/// runs, and a sample's is since the one before.
pub(crate) fn sample(row: &RedisRow, at: Time, took: Duration) -> Sample {
    match &row.vitals {
        Ok(vitals) => {
            let score = row.score();
            let dimensions = score.iter().flat_map(|score| &score.dimensions);
            let points = dimensions.filter_map(|part| Some((part.name.to_owned(), part.points?)));
            Sample {
                score: score.and_then(|score| score.value),
                points: points.collect(),
                budget_bytes: row.budget,
                ..of_vitals(&row.cache, vitals, at, took)
            }
        }
        Err(why) => {
            Sample { error: Some(why.clone()), ..Sample::empty(row.cache.as_str(), at, took) }
        }
    }
}

/// What was measured, without a score.
pub(crate) fn of_vitals(cache: &str, vitals: &Vitals, at: Time, took: Duration) -> Sample {
    let felt = (vitals.latency.samples > 0).then_some(vitals.latency.p50);
    let redis = RedisSample {
        keys: vitals.keys,
        persistent_keys: vitals.persistent_keys,
        used_memory_bytes: vitals.used_memory,
        resident_bytes: vitals.resident,
        max_memory_bytes: vitals.max_memory,
        hits: vitals.hits,
        misses: vitals.misses,
        hit_rate: None,
        evicted: vitals.evicted,
        connections: vitals.connections,
        max_connections: vitals.max_connections,
        fragmentation: vitals.fragmentation,
        latency: felt,
    };
    Sample {
        allocated_bytes: Some(vitals.used_memory),
        redis: Some(redis),
        ..Sample::empty(cache, at, took)
    }
}
