//! larder's own metrics, written from [`Exposed`].
//!
//! Promises: what is not known is absent; at most [`MOST_CACHES`] caches get series, and what that
//! leaves out is counted. Leaves out the names, which stand in `names.rs`.

use std::collections::HashSet;

use larder_core::{RedisSample, Sample};

use crate::exposed::{Cleanups, Exposed, Notifications, Verified};
use crate::exposition::{Exposition, Format, Labels, Value};
use crate::kept::Kept;
use crate::names::{self, Family};
use crate::redis_metrics::{self, Server};

/// Caches that get series of their own.
pub const MOST_CACHES: usize = 250;

/// All metrics of `exposed` in `format`.
pub fn metrics(exposed: &Exposed, format: Format) -> String {
    write(exposed, format, &Kept::default())
}

/// The same, with what was kept of the last one.
pub(crate) fn write(exposed: &Exposed, format: Format, kept: &Kept) -> String {
    let mut page = Page { out: Exposition::new(format), caches: caches(exposed) };
    let version = vec![("version", exposed.version.as_str().into())];
    page.out.family(&names::BUILD_INFO, [(version, Some(true))]);
    page.sizes(&exposed.samples);
    page.trend(exposed);
    page.scores(&exposed.samples);
    page.sampling(exposed);
    page.cleanups(&exposed.cleanups);
    page.verifications(&exposed.verifications);
    page.alerts(exposed);
    page.notifications(&exposed.notifications);
    page.itself(exposed);
    page.redis_samples(exposed);
    page.redis_facts(exposed, format, kept);
    page.out.finish()
}

/// The names of the caches that get series: the first ones, wherever they are named.
fn caches(exposed: &Exposed) -> HashSet<&str> {
    let mut caches = HashSet::new();
    let all = (exposed.samples.iter().map(|one| &one.cache))
        .chain(exposed.sampled.iter().map(|one| &one.cache))
        .chain(exposed.growth.iter().map(|one| &one.cache))
        .chain(exposed.alerts.iter().map(|one| &one.cache))
        .chain(exposed.cleanups.iter().map(|one| &one.cache))
        .chain(exposed.verifications.iter().map(|one| &one.cache))
        .chain(exposed.forecast_errors.iter().map(|(cache, _)| cache))
        .chain(exposed.throttles.iter().map(|(cache, _)| cache))
        .chain(exposed.redis.iter().map(|one| &one.cache));
    for cache in all {
        if caches.len() == MOST_CACHES {
            break;
        }
        caches.insert(cache.as_str());
    }
    caches
}

/// A number of one receiver.
type Count = fn(&Notifications) -> u64;

struct Page<'a> {
    out: Exposition,
    caches: HashSet<&'a str>,
}

impl<'a> Page<'a> {
    /// A family with the label `cache` alone.
    fn by_cache<V: Into<Value>>(
        &mut self,
        family: &Family,
        series: impl IntoIterator<Item = (&'a str, Option<V>)>,
    ) {
        let series = series.into_iter();
        let labelled = series.map(|(cache, value)| (cache, vec![("cache", cache.into())], value));
        self.bounded(family, labelled);
    }

    /// A family whose series belong to caches.
    fn bounded<V: Into<Value>>(
        &mut self,
        family: &Family,
        series: impl IntoIterator<Item = (&'a str, Labels<'a>, Option<V>)>,
    ) {
        let mut left_out = 0;
        let caches = &self.caches;
        let kept = series.into_iter().filter_map(|(cache, labels, value)| {
            let kept = caches.contains(cache);
            left_out += u64::from(!kept && value.is_some());
            kept.then_some((labels, value))
        });
        self.out.family(family, kept);
        self.out.leave_out(left_out);
    }

    /// A value of each sample.
    fn of_samples<V: Into<Value>>(
        &mut self,
        family: &Family,
        samples: &'a [Sample],
        value: impl Fn(&Sample) -> Option<V>,
    ) {
        self.by_cache(family, samples.iter().map(|one| (one.cache.as_str(), value(one))));
    }

    fn sizes(&mut self, samples: &'a [Sample]) {
        self.of_samples(&names::CACHE_UP, samples, |one| Some(one.error.is_none()));
        self.of_samples(&names::CACHE_FILES, samples, |one| one.files);
        self.of_samples(&names::CACHE_LOGICAL, samples, |one| one.logical_bytes);
        self.of_samples(&names::CACHE_ALLOCATED, samples, |one| one.allocated_bytes);
        self.of_samples(&names::CACHE_RECLAIMABLE, samples, |one| one.reclaimable_bytes);
        self.of_samples(&names::CACHE_BUDGET, samples, |one| one.budget_bytes);
        self.of_samples(&names::CACHE_LAST_USED, samples, |one| one.last_used);
        self.of_samples(&names::CACHE_OLDEST_USE, samples, |one| one.oldest_use);
        self.of_disks(&names::DISK_FREE, samples, |one| one.disk_free_bytes);
        self.of_disks(&names::DISK_SIZE, samples, |one| one.disk_size_bytes);
    }

    /// A value of the disk of each sample: one series a cache, which says what disk it is.
    fn of_disks(
        &mut self,
        family: &Family,
        samples: &'a [Sample],
        value: fn(&Sample) -> Option<u64>,
    ) {
        let series = samples.iter().map(|one| {
            let mut labels: Labels<'a> = vec![("cache", one.cache.as_str().into())];
            labels.extend(one.disk.as_deref().map(|disk| ("mountpoint", disk.into())));
            (one.cache.as_str(), labels, value(one))
        });
        self.bounded(family, series);
    }

    fn trend(&mut self, exposed: &'a Exposed) {
        let growth = &exposed.growth;
        let rate = growth.iter().map(|one| (one.cache.as_str(), Some(one.per_second)));
        self.by_cache(&names::CACHE_GROWTH, rate);
        let low = growth.iter().map(|one| (one.cache.as_str(), one.low));
        self.by_cache(&names::CACHE_GROWTH_LOW, low);
        let high = growth.iter().map(|one| (one.cache.as_str(), one.high));
        self.by_cache(&names::CACHE_GROWTH_HIGH, high);
        let full = growth.iter().map(|one| (one.cache.as_str(), one.full_at));
        self.by_cache(&names::CACHE_FULL, full);
        let errors = exposed.forecast_errors.iter();
        let errors = errors.map(|(cache, error)| (cache.as_str(), Some(*error)));
        self.by_cache(&names::FORECAST_ERROR, errors);
    }

    fn scores(&mut self, samples: &'a [Sample]) {
        self.of_samples(&names::CACHE_SCORE, samples, |one| one.score);
        let points = samples.iter().flat_map(|one| {
            one.points.iter().map(|(dimension, points)| {
                let cache = one.cache.as_str();
                let labels =
                    vec![("cache", cache.into()), ("dimension", dimension.as_str().into())];
                (cache, labels, Some(*points))
            })
        });
        self.bounded(&names::CACHE_POINTS, points);
    }

    fn sampling(&mut self, exposed: &'a Exposed) {
        for (family, at) in [
            (&names::LAST_SCAN, exposed.scanned_at),
            (&names::LAST_TREND, exposed.foreseen_at),
            (&names::TASKS_LAST_COUNT, exposed.counted_at),
        ] {
            self.out.family(family, [(Labels::new(), at)]);
        }
        let sampled = &exposed.sampled;
        let last = sampled.iter().map(|one| (one.cache.as_str(), one.last));
        self.by_cache(&names::CACHE_LAST_SAMPLE, last);
        self.of_samples(&names::CACHE_SAMPLE_DURATION, &exposed.samples, |one| Some(one.took));
        let total = sampled.iter().map(|one| (one.cache.as_str(), Some(one.total)));
        self.by_cache(&names::CACHE_SAMPLES, total);
        let failures = sampled.iter().map(|one| (one.cache.as_str(), Some(one.failures)));
        self.by_cache(&names::CACHE_SAMPLE_FAILURES, failures);
    }

    fn cleanups(&mut self, cleanups: &'a [Cleanups]) {
        let name = |one: &'a Cleanups| one.cache.as_str();
        let of = |one: &'a Cleanups, value: u64| (name(one), Some(value));
        self.by_cache(&names::CLEANUPS, cleanups.iter().map(|one| of(one, one.total)));
        self.by_cache(&names::CLEANUP_FAILURES, cleanups.iter().map(|one| of(one, one.failures)));
        let freed = cleanups.iter().map(|one| of(one, one.freed_bytes_total));
        self.by_cache(&names::CLEANUP_FREED, freed);
        self.by_cache(&names::CLEANUP_LAST, cleanups.iter().map(|one| (name(one), one.last_at)));
        let took = cleanups.iter().map(|one| (name(one), one.last_duration));
        self.by_cache(&names::CLEANUP_DURATION, took);
    }

    fn verifications(&mut self, verified: &'a [Verified]) {
        let of = |one: &'a Verified, value: u64| (one.cache.as_str(), Some(value));
        self.by_cache(
            &names::VERIFICATION_CHECKED,
            verified.iter().map(|one| of(one, one.checked)),
        );
        self.by_cache(&names::VERIFICATION_BAD, verified.iter().map(|one| of(one, one.bad)));
        self.by_cache(
            &names::VERIFICATION_UNVERIFIABLE,
            verified.iter().map(|one| of(one, one.unverifiable)),
        );
        let last = verified.iter().map(|one| (one.cache.as_str(), Some(one.at)));
        self.by_cache(&names::VERIFICATION_LAST, last);
    }

    fn alerts(&mut self, exposed: &'a Exposed) {
        let firing = exposed.alerts.iter().map(|one| {
            let labels: Labels<'a> = vec![
                ("alert", one.name.as_str().into()),
                ("cache", one.cache.as_str().into()),
                ("severity", one.severity.name().into()),
            ];
            (one.cache.as_str(), labels, Some(true))
        });
        self.bounded(&names::ALERT_FIRING, firing);
        let throttles = exposed.throttles.iter();
        let throttles = throttles.map(|(cache, count)| (cache.as_str(), Some(*count)));
        self.by_cache(&names::THROTTLES, throttles);
    }

    fn notifications(&mut self, all: &'a [Notifications]) {
        let families: [(&Family, Count); 4] = [
            (&names::NOTIFICATIONS_SENT, |one| one.sent),
            (&names::NOTIFICATIONS_FAILED, |one| one.failed),
            (&names::NOTIFICATIONS_DROPPED, |one| one.dropped),
            (&names::NOTIFICATION_QUEUE, |one| one.queue),
        ];
        for (family, value) in families {
            let series = all
                .iter()
                .map(|one| (vec![("receiver", one.receiver.as_str().into())], value(one)));
            self.out.family(family, series.map(|(labels, value)| (labels, Some(value))));
        }
    }

    fn itself(&mut self, exposed: &Exposed) {
        self.bare(&names::PLANS_WAITING, exposed.plans_waiting);
        self.bare(&names::EVENTS, exposed.events_total);
        self.bare(&names::HISTORY_BYTES, exposed.history.map(|history| history.bytes));
        self.bare(&names::HISTORY_DROPPED, exposed.history.map(|history| history.dropped));
        let tasks = exposed.tasks;
        let sum = tasks.map(|tasks| tasks.go.saturating_add(tasks.larder));
        self.bare(&names::DEV_ACTIVE_TASKS, sum);
        let kinds = tasks.map(|tasks| [("go", tasks.go), ("larder", tasks.larder)]);
        let series = kinds.into_iter().flatten();
        let series = series.map(|(kind, count)| (vec![("task", kind.into())], Some(count)));
        self.out.family(&names::ACTIVE_TASKS, series);
    }

    /// A family of one series without labels.
    fn bare(&mut self, family: &Family, value: Option<u64>) {
        self.out.family(family, [(Labels::new(), value)]);
    }

    fn redis_samples(&mut self, exposed: &'a Exposed) {
        let samples = &exposed.samples;
        let of = |one: &Sample, value: fn(&RedisSample) -> Option<f64>| {
            one.redis.as_ref().and_then(value)
        };
        self.of_samples(&names::REDIS_HIT_RATIO, samples, |one| of(one, |redis| redis.hit_rate));
        self.of_samples(&names::REDIS_LATENCY, samples, |one| one.redis.as_ref()?.latency);
        self.of_samples(&names::REDIS_FRAGMENTATION, samples, |one| {
            of(one, |redis| redis.fragmentation)
        });
        self.of_samples(&names::REDIS_PERSISTENT, samples, |one| {
            one.redis.as_ref().map(|redis| redis.persistent_keys)
        });
    }

    /// What each Redis says of itself, under the names that others' dashboards know.
    fn redis_facts(&mut self, exposed: &'a Exposed, format: Format, kept: &Kept) {
        let (named, beyond): (Vec<_>, Vec<_>) =
            exposed.redis.iter().partition(|one| self.caches.contains(one.cache.as_str()));
        self.out.leave_out(beyond.len() as u64);
        let written = kept.of(format, &named, || {
            let servers: Vec<Server<'_>> = named
                .iter()
                .map(|one| Server {
                    cache: Some(&one.cache),
                    node: one.node.as_deref(),
                    facts: one.facts.as_deref(),
                })
                .collect();
            let mut out = Exposition::new(format);
            out.all_sampled();
            redis_metrics::write(&mut out, &servers);
            out.part()
        });
        self.out.append(&written.0, written.1);
    }
}
