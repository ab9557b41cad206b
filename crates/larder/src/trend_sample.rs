//! `larder trend --sample`: two samples now, so far apart, and no history.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use larder_core::trend::of_two;
use larder_core::{CacheKind, Meter, Point, Sample};
use larder_engine::{World, measure, status};
use larder_history::{Metric, Source};

use crate::context::Context;
use crate::exit::CliError;
use crate::redis_target::{self, RedisTarget};
use crate::trend_rows::{TrendRow, budget_of};
use crate::{bridge, caches, redis_sample};

/// What is sampled.
struct Wanted {
    go: Vec<CacheKind>,
    redis: Vec<RedisTarget>,
}

/// The rows, and whether the second sample was taken at its time.
pub(crate) fn rows(
    context: &Context<'_>,
    names: &[String],
    apart: Duration,
) -> Result<(Vec<TrendRow>, bool), CliError> {
    if apart.is_zero() {
        return Err(CliError::usage("--sample 0s leaves no time between two samples"));
    }
    let wanted = wanted(context, names)?;
    let begun = Instant::now();
    let first = {
        let _progress = context.progress("Measuring", None);
        take(context, &wanted, &context.meter)?
    };
    let whole = wait(context, apart.saturating_sub(begun.elapsed()), apart);
    // Who stopped the wait wants to see what there is; a second Ctrl-C ends at once.
    let second = {
        let _progress = context.progress("Measuring again", None);
        take(context, &wanted, &Meter::default())?
    };
    let world = bridge::world(context)?;
    let rows = second.iter().flat_map(|(cache, sample)| {
        let before = first.get(cache);
        of_cache(context, &world, before, sample)
    });
    Ok((rows.collect(), whole))
}

fn wanted(context: &Context<'_>, names: &[String]) -> Result<Wanted, CliError> {
    if names.is_empty() {
        let redis = redis_target::configured(context).into_iter().filter_map(Result::ok);
        return Ok(Wanted { go: status::ROWS.to_vec(), redis: redis.collect() });
    }
    let (redis, go): (Vec<String>, Vec<String>) =
        names.iter().cloned().partition(|name| redis_target::is_redis(name));
    let mut go = caches::parse(&go)?;
    go.retain(|kind| *kind != CacheKind::Test);
    let redis = redis.iter().map(|name| redis_target::find(context, name));
    Ok(Wanted { go, redis: redis.collect::<Result<_, _>>()? })
}

/// A sample of each, by name; a Redis that does not answer is said and left out.
fn take(
    context: &Context<'_>,
    wanted: &Wanted,
    meter: &Meter,
) -> Result<BTreeMap<String, Sample>, CliError> {
    let mut samples = BTreeMap::new();
    let begun = Instant::now();
    let sizes = measure::measure(&bridge::world(context)?, &wanted.go, meter);
    for (cache, size) in sizes {
        let sample = Sample {
            allocated_bytes: Some(size.allocated.0),
            files: Some(size.files),
            ..Sample::empty(cache.name(), larder_fs::now(), begun.elapsed())
        };
        samples.insert(sample.cache.clone(), sample);
    }
    for target in &wanted.redis {
        let begun = Instant::now();
        match larder_redis::measure(&target.endpoint) {
            Ok(vitals) => {
                let (now, took) = (larder_fs::now(), begun.elapsed());
                let mut sample = redis_sample::of_vitals(&target.cache, &vitals, now, took);
                sample.budget_bytes = target.settings.budget;
                samples.insert(target.cache.clone(), sample);
            }
            Err(error) if wanted.go.is_empty() && wanted.redis.len() == 1 => {
                return Err(redis_target::failed(&error));
            }
            Err(error) => context.printer.warning(&format!("{}: {error}", target.cache)),
        }
    }
    Ok(samples)
}

/// Whether the time went by without anybody asking to stop.
fn wait(context: &Context<'_>, left: Duration, apart: Duration) -> bool {
    let again = larder_core::time::Typed(apart);
    let doing = format!("Measured once, again {again} later; Ctrl-C measures now");
    let _progress = context.progress(&doing, None);
    let until = Instant::now() + left;
    while !context.meter.stopped() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
    false
}

fn of_cache(
    context: &Context<'_>,
    world: &World,
    before: Option<&Sample>,
    now: &Sample,
) -> Vec<TrendRow> {
    let row = |metric, level: fn(&Sample) -> Option<u64>| {
        let point = |sample: &Sample| Some(Point::new(sample.at, level(sample)? as f64));
        let second = point(now)?;
        let first = before.and_then(point).unwrap_or(second);
        Some(TrendRow::new(Source::here(now.cache.as_str()), metric, of_two(first, second)))
    };
    let budget = match &now.redis {
        Some(redis) => [redis.max_memory_bytes, now.budget_bytes].into_iter().flatten().min(),
        None => budget_of(context, &now.cache),
    };
    let free = now.cache.parse().ok().and_then(|kind: CacheKind| {
        let disk = larder_fs::disk(&world.root(kind).path).ok()?;
        Some(disk.free)
    });
    let first = row(Metric::Allocated, |sample| sample.allocated_bytes);
    let first = first.map(|row| row.within(budget, free, now.at));
    let second = row(Metric::Resident, |sample| Some(sample.redis.as_ref()?.resident_bytes));
    first.into_iter().chain(second).collect()
}
