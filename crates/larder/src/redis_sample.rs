//! What a Redis answered as a sample.

use std::time::Duration;

use larder_core::{RedisSample, Sample, Time};
use larder_redis::Vitals;

use crate::redis_status::RedisRow;

/// A row of the status as a sample.
pub(crate) fn sample(row: &RedisRow, at: Time, took: Duration) -> Sample {
    match &row.vitals {
        Ok(vitals) => {
            let score = row.score();
            let dimensions = score.iter().flat_map(|score| &score.dimensions);
            let points = dimensions.filter_map(|part| Some((part.name.to_owned(), part.points?)));
            let budget_bytes = match (vitals.max_memory, row.budget) {
                (Some(max), Some(budget)) => Some(max.min(budget)),
                (max, budget) => max.or(budget),
            };
            Sample {
                points: points.collect(),
                score: score.as_ref().and_then(|score| score.value),
                budget_bytes,
                ..of_vitals(&row.cache, vitals, at, took)
            }
        }
        Err(why) => {
            Sample { error: Some(why.clone()), ..Sample::empty(row.cache.as_str(), at, took) }
        }
    }
}

/// What was measured, without a score. A server that does not tell its counters has none here.
pub(crate) fn of_vitals(cache: &str, vitals: &Vitals, at: Time, took: Duration) -> Sample {
    Sample {
        allocated_bytes: vitals.used_memory,
        redis: counters(vitals),
        ..Sample::empty(cache, at, took)
    }
}

fn counters(vitals: &Vitals) -> Option<RedisSample> {
    Some(RedisSample {
        keys: vitals.keys?,
        persistent_keys: vitals.persistent_keys?,
        used_memory_bytes: vitals.used_memory?,
        resident_bytes: vitals.resident?,
        max_memory_bytes: vitals.max_memory,
        hits: vitals.hits?,
        misses: vitals.misses?,
        // Over its own window; what is since the server started is no rate of now.
        hit_rate: vitals.window.as_ref().and_then(larder_redis::Window::hit_rate),
        evicted: vitals.evicted?,
        connections: vitals.connections?,
        max_connections: vitals.max_connections,
        fragmentation: vitals.fragmentation,
        latency: (vitals.latency.samples > 0).then_some(vitals.latency.p50),
    })
}
