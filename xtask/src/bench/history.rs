//! A history as long as it is kept: what it takes on disk, and how long `larder trend` takes over it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use larder_core::{RedisSample, Sample, Time};
use larder_history::{Entry, Limits, Reader, Store};

use super::Bench;
use super::measure::{Contestant, in_turns};
use super::report::{Goal, Row};

/// Caches with a history.
const CACHES: usize = 20;
const DAY: i64 = 86_400;
/// What a year of them may take, bytes, and `larder trend` over it, seconds.
const SIZE: f64 = 200e6;
const TREND: f64 = 0.05;

/// A year of twenty caches.
pub(super) fn year(bench: &Bench) -> Result<Vec<Row>> {
    let days = if bench.quick { 40 } else { 365 };
    let state = bench.dir.join("state");
    fill(&state, days, larder_fs::now())?;
    let bytes = Reader::new(&state.join("history.db")).bytes() as f64;
    let none = bench.none();
    let since = format!("{days}d");
    let trend = |_: usize| {
        let mut command = bench.larder(&["trend", "--since", &since], &none, &none);
        command.env("LARDER_STATE", &state);
        command
    };
    let runs = in_turns(bench.rounds(), &mut [Contestant::new("larder", trend)])?;
    let what = format!("a history of {CACHES} caches over {days} days");
    Ok(vec![
        Row::told(
            &what,
            &format!("{:.1} MB", bytes / 1e6),
            Some((format!("≤ {:.0} MB", SIZE / 1e6), bytes <= SIZE)),
        ),
        Row::alone(&format!("larder trend --since {since}, {what}"), &runs[0], Goal::Wall(TREND)),
    ])
}

/// A day of the same, as a daemon would have written it.
pub(super) fn day(state: &Path) -> Result<()> {
    fill(state, 1, larder_fs::now())
}

/// Samples as a daemon would have taken them, thinned on the way: of the part that ends as hours
/// four an hour, of the one that ends as five minutes two of them, and then every 15 seconds.
fn fill(state: &Path, days: i64, now: Time) -> Result<()> {
    fs::create_dir_all(state).context("make the state folder")?;
    let path = state.join("history.db");
    let (mut store, _) = Store::open(&path, Limits::default()).context("open the history")?;
    let begun = now.unix() - days * DAY;
    let parts = [(0, days - 30, 900), (days - 30, days - 2, 150), (days - 2, days, 15)];
    for (from, until, every) in parts {
        for hour in from.max(0) * 24..until.max(0) * 24 {
            let steps = (0..3600 / every).map(|step| begun + hour * 3600 + step * every);
            let batch: Vec<Entry> = steps
                .flat_map(|second| (0..CACHES).map(move |cache| made(cache, second)))
                .map(|sample| Entry::Sample(Box::new(sample)))
                .collect();
            store.write(&batch).context("write samples")?;
            let at = Time::from_unix(begun + hour * 3600);
            while store.tidy(at, 20_000).context("tidy")?.more {}
        }
    }
    Ok(())
}

/// Two of three are a Redis, which has the larger rows.
fn made(cache: usize, second: i64) -> Sample {
    let since = u64::try_from(second).unwrap_or(0) % 600_000;
    let level = 5_000_000_000 + since * 7919 + cache as u64 * 1_000_003;
    let redis = (!cache.is_multiple_of(3)).then(|| RedisSample {
        keys: level / 900,
        persistent_keys: level / 9000,
        used_memory_bytes: level,
        resident_bytes: level + 1_000_000,
        hits: since * 31,
        misses: since,
        hit_rate: Some(0.97),
        connections: 48,
        fragmentation: Some(1.06),
        latency: Some(Duration::from_micros(180 + since % 90)),
        ..RedisSample::default()
    });
    let name = if redis.is_some() { format!("redis:cache-{cache}") } else { format!("go-{cache}") };
    Sample {
        files: Some(since),
        logical_bytes: Some(level - 100_000),
        allocated_bytes: Some(level),
        reclaimable_bytes: Some(level / 3),
        budget_bytes: Some(20_000_000_000),
        disk_free_bytes: Some(500_000_000_000 - level),
        disk_size_bytes: Some(1_000_000_000_000),
        score: Some(77.13),
        points: ["hit_rate", "memory", "latency"].map(|name| (name.to_owned(), 25.7)).to_vec(),
        redis,
        ..Sample::empty(name, Time::from_unix(second), Duration::from_millis(3))
    }
}
