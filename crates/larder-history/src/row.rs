//! A sample as a row, and back.
//!
//! What a row cannot hold: parts of a millisecond of times, of a microsecond of durations, of a
//! millionth of ratios, of a hundredth of points.

use std::time::Duration;

use larder_core::{RedisSample, Sample, Time};

use crate::columns::Row;

const MILLION: f64 = 1e6;
const HUNDRED: f64 = 100.0;

/// Milliseconds since 1970.
pub(crate) fn millis(time: Time) -> i64 {
    time.unix_nanos().div_euclid(1_000_000)
}

/// From milliseconds since 1970.
pub(crate) fn time(millis: i64) -> Time {
    Time::from_unix_nanos(millis.saturating_mul(1_000_000))
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn natural(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// A figure in so many parts of one, as a whole number; what is no number is not known.
#[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates")]
pub(crate) fn parts(value: f64, of_one: f64) -> Option<i64> {
    value.is_finite().then(|| (value * of_one).round() as i64)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// A sample as a row; `names` gives the parts of its score by number.
pub(crate) fn of_sample(sample: &Sample, names: &[(String, u16)]) -> Row {
    let redis = sample.redis.as_ref();
    let of_redis = |get: fn(&RedisSample) -> u64| redis.map(|redis| number(get(redis)));
    // It is the same but for a server that counts some of it apart.
    let used = of_redis(|redis| redis.used_memory_bytes);
    let allocated = sample.allocated_bytes.map(number);
    Row {
        allocated,
        resident: of_redis(|redis| redis.resident_bytes),
        failed: sample.error.is_some().then_some(1),
        logical: sample.logical_bytes.map(number),
        files: sample.files.map(number),
        reclaimable: sample.reclaimable_bytes.map(number),
        budget: sample.budget_bytes.map(number),
        disk: sample.disk.as_ref().and_then(|disk| number_of(disk, names)),
        disk_free: sample.disk_free_bytes.map(number),
        disk_size: sample.disk_size_bytes.map(number),
        last_used: sample.last_used.map(millis),
        oldest_use: sample.oldest_use.map(millis),
        took: Some(micros(sample.took)),
        score: sample.score.and_then(|score| parts(score, HUNDRED)),
        keys: of_redis(|redis| redis.keys),
        persistent_keys: of_redis(|redis| redis.persistent_keys),
        used_memory: used.filter(|_| used != allocated),
        max_memory: redis.and_then(|redis| redis.max_memory_bytes).map(number),
        hits: of_redis(|redis| redis.hits),
        misses: of_redis(|redis| redis.misses),
        evicted: of_redis(|redis| redis.evicted),
        hit_rate: redis.and_then(|redis| redis.hit_rate).and_then(|rate| parts(rate, MILLION)),
        connections: of_redis(|redis| redis.connections),
        max_connections: redis.and_then(|redis| redis.max_connections).map(number),
        fragmentation: redis
            .and_then(|redis| redis.fragmentation)
            .and_then(|ratio| parts(ratio, MILLION)),
        latency: redis.and_then(|redis| redis.latency).map(micros),
        points: points(sample, names),
        error: sample.error.clone(),
        ..Row::default()
    }
}

/// The parts of the score: for each two bytes of its name's number and four of its hundredths.
fn points(sample: &Sample, names: &[(String, u16)]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(sample.points.len() * 6);
    for (name, value) in &sample.points {
        let (_, id) = names.iter().find(|(known, _)| known == name)?;
        let hundredths = parts(*value, HUNDRED)?;
        let hundredths = i32::try_from(hundredths).unwrap_or(i32::MAX);
        bytes.extend(id.to_le_bytes());
        bytes.extend(hundredths.to_le_bytes());
    }
    (!bytes.is_empty()).then_some(bytes)
}

/// The number of a name.
fn number_of(name: &str, names: &[(String, u16)]) -> Option<i64> {
    names.iter().find(|(known, _)| known == name).map(|(_, id)| i64::from(*id))
}

/// The name of a number.
fn name_of(id: i64, names: &[(String, u16)]) -> Option<String> {
    names.iter().find(|(_, known)| i64::from(*known) == id).map(|(name, _)| name.clone())
}

/// A row as a sample.
pub(crate) fn to_sample(cache: &str, at: i64, row: Row, names: &[(String, u16)]) -> Sample {
    let took = Duration::from_micros(natural(row.took.unwrap_or(0)));
    let redis = redis(&row);
    Sample {
        error: row.error,
        files: row.files.map(natural),
        logical_bytes: row.logical.map(natural),
        allocated_bytes: row.allocated.map(natural),
        reclaimable_bytes: row.reclaimable.map(natural),
        budget_bytes: row.budget.map(natural),
        disk: row.disk.and_then(|id| name_of(id, names)),
        disk_free_bytes: row.disk_free.map(natural),
        disk_size_bytes: row.disk_size.map(natural),
        last_used: row.last_used.map(time),
        oldest_use: row.oldest_use.map(time),
        score: row.score.map(|score| score as f64 / HUNDRED),
        points: row.points.map_or_else(Vec::new, |bytes| named(&bytes, names)),
        redis,
        ..Sample::empty(cache, time(at), took)
    }
}

fn redis(row: &Row) -> Option<RedisSample> {
    let known = |value: Option<i64>| value.map_or(0, natural);
    Some(RedisSample {
        keys: natural(row.keys?),
        persistent_keys: known(row.persistent_keys),
        used_memory_bytes: known(row.used_memory.or(row.allocated)),
        resident_bytes: known(row.resident),
        max_memory_bytes: row.max_memory.map(natural),
        hits: known(row.hits),
        misses: known(row.misses),
        hit_rate: row.hit_rate.map(|rate| rate as f64 / MILLION),
        evicted: known(row.evicted),
        connections: known(row.connections),
        max_connections: row.max_connections.map(natural),
        fragmentation: row.fragmentation.map(|ratio| ratio as f64 / MILLION),
        latency: row.latency.map(|micros| Duration::from_micros(natural(micros))),
    })
}

fn named(bytes: &[u8], names: &[(String, u16)]) -> Vec<(String, f64)> {
    bytes
        .chunks_exact(6)
        .filter_map(|part| {
            let id = u16::from_le_bytes([part[0], part[1]]);
            let hundredths = i32::from_le_bytes([part[2], part[3], part[4], part[5]]);
            let (name, _) = names.iter().find(|(_, known)| *known == id)?;
            Some((name.clone(), f64::from(hundredths) / HUNDRED))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_comes_back_as_it_went() {
        let names =
            [("memory".to_owned(), 1), ("hit_rate".to_owned(), 2), ("/mnt/a b".to_owned(), 3)];
        let redis = RedisSample {
            keys: 12,
            persistent_keys: 3,
            used_memory_bytes: 900,
            resident_bytes: 1200,
            max_memory_bytes: Some(5000),
            hits: 70,
            misses: 30,
            hit_rate: Some(0.7),
            evicted: 4,
            connections: 5,
            max_connections: Some(10_000),
            fragmentation: Some(1.25),
            latency: Some(Duration::from_micros(431)),
        };
        let sample = Sample {
            allocated_bytes: Some(1000),
            budget_bytes: Some(u64::MAX >> 1),
            disk: Some("/mnt/a b".to_owned()),
            last_used: Some(Time::from_unix(1_700_000_000)),
            score: Some(77.13),
            points: vec![("hit_rate".to_owned(), 45.5), ("memory".to_owned(), 4.0)],
            redis: Some(redis),
            ..Sample::empty("redis:s", Time::from_unix(1_700_000_001), Duration::from_millis(3))
        };
        let row = of_sample(&sample, &names);
        assert_eq!(to_sample("redis:s", millis(sample.at), row, &names), sample);

        let failed = Sample {
            error: Some("it hangs".to_owned()),
            ..Sample::empty("build", Time::from_unix(-5), Duration::ZERO)
        };
        let row = of_sample(&failed, &names);
        assert_eq!(to_sample("build", millis(failed.at), row, &names), failed);
    }
}
