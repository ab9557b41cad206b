//! What is usual at this hour, learned from the history once an hour, and what is far from it.
//!
//! Promises: a server that has the history is asked a bounded number of questions, each for one
//! value an hour of the last four weeks, and no more of them once one found nobody; while nothing
//! can be learned, what was learned holds for a day, and then nothing is unusual. That it cannot be
//! learned is told once, and so is that it can again. Leaves out who asks when (`ticker.rs`).

use std::collections::BTreeMap;
use std::time::Duration;

use larder_core::baseline::{Baseline, Cycle, Deviation};
use larder_core::size::Units;
use larder_core::{Sample, Severity, Time};
use larder_history::{Metric, Range, SeriesError};

use super::base::Base;
use super::judging;
use super::record::{Recorder, Step, new_trace};
use crate::history_open;
use crate::key_removal::whole;
use crate::text::counted;

/// The past that says what is usual: whole hours of it.
const PAST: Duration = Duration::from_hours(28 * 24);
const HOUR: i64 = 3600;
/// What was learned holds for so long while nothing new can be learned.
const HOLDS: Duration = Duration::from_hours(24);
/// Values that may be unusual, and what each is called.
const WATCHED: [(Metric, &str); 3] = [
    (Metric::Allocated, "its size"),
    (Metric::HitRate, "its hit rate"),
    (Metric::Latency, "its latency"),
];

/// What is usual of one cache.
type OfCache = Vec<(Metric, Baseline)>;

/// What was learned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usual {
    caches: BTreeMap<String, OfCache>,
    /// When it was last learned.
    learned: Option<Time>,
    /// Why it could not be learned the last time.
    trouble: Option<String>,
}

impl Usual {
    /// Whether it could not be learned the last time.
    pub(crate) fn is_in_trouble(&self) -> bool {
        self.trouble.is_some()
    }

    /// What of a sample is far from usual at this hour, a sentence each.
    pub(crate) fn far(&self, sample: &Sample, now: Time, units: Units) -> Vec<String> {
        let Some(known) = self.caches.get(&sample.cache) else { return Vec::new() };
        let of = |(metric, what): (Metric, &str)| {
            let value = value(sample, metric)?;
            let (_, baseline) = known.iter().find(|(of, _)| *of == metric)?;
            let (word, usual, far) = match baseline.judge(now, value) {
                Deviation::Above(usual, far) => ("above", usual, far),
                // That there is less of it, or that it is faster, hurts nobody.
                Deviation::Below(usual, far) if metric == Metric::HitRate => ("below", usual, far),
                Deviation::Below(..) | Deviation::Unknown | Deviation::Usual(_) => return None,
            };
            let shown = |value| shown(metric, value, units);
            Some(format!(
                "{what} is far {word} what is usual at this hour: {} against {}, {far:.0} times the \
                 usual spread, from {} days",
                shown(value),
                shown(usual.middle),
                usual.days
            ))
        };
        WATCHED.into_iter().filter_map(of).collect()
    }
}

fn value(sample: &Sample, metric: Metric) -> Option<f64> {
    let redis = sample.redis.as_ref();
    match metric {
        Metric::Allocated => sample.allocated_bytes.map(|bytes| bytes as f64),
        Metric::HitRate => redis?.hit_rate,
        Metric::Latency => redis?.latency.map(|latency| latency.as_secs_f64()),
        _ => None,
    }
}

fn shown(metric: Metric, value: f64, units: Units) -> String {
    match metric {
        Metric::Allocated => units.show(whole(value)).to_string(),
        Metric::HitRate => format!("{:.1} %", value * 100.0),
        _ => format!("{:.2} ms", value * 1000.0),
    }
}

/// Learns what is usual, where the settings ask for it.
pub(crate) fn learn(base: &Base<'_>, recorder: &Recorder<'_>) {
    if !base.settings().daemon.alert.unusual {
        base.live.know().usual = Usual::default();
        return;
    }
    let now = larder_fs::now();
    let learned = ask(base, now);
    let mut known = base.live.know();
    let before = known.usual.trouble.clone();
    let first = known.usual.learned.is_none();
    let step = match learned {
        Ok(caches) => {
            let count = counted(caches.len() as u64, "cache", "caches");
            known.usual = Usual { caches, learned: Some(now), trouble: None };
            let message = format!("what is usual was learned of {count}");
            (first || before.is_some()).then(|| Step::new("usual-learned", "", message))
        }
        Err(why) => {
            let usual = &mut known.usual;
            let had = !usual.caches.is_empty();
            if usual.learned.is_none_or(|at| now.since(at) >= HOLDS) {
                usual.caches.clear();
            }
            let has = !usual.caches.is_empty();
            let off = if has { "what was learned says what is" } else { "nothing is" };
            let message =
                format!("what is usual cannot be learned: {why}; {off} unusual meanwhile");
            usual.trouble = Some(why);
            let step = Step::new("usual-unknown", "", message).bad(Severity::Warning);
            (before.is_none() || had != has).then_some(step)
        }
    };
    drop(known);
    let trace = new_trace();
    if let Some(step) = step {
        recorder.say(Step { trace: &trace, ..step });
    }
}

/// What is usual of each cache of this machine, or why nobody knows.
fn ask(base: &Base<'_>, now: Time) -> Result<BTreeMap<String, OfCache>, String> {
    let context = base.context(&["watch"]);
    let series = history_open::series(&context).map_err(|error| error.what)?;
    let stamp = jiff::Timestamp::from_nanosecond(i128::from(now.unix_nanos())).unwrap_or_default();
    let offset = jiff::tz::TimeZone::system().to_offset(stamp).seconds();
    let until = hour_begins(now, offset);
    let range = Range { since: until.minus(PAST), until, most: 4000 };
    let failed = |error: SeriesError| error.to_string();
    let settings = base.settings();
    let mut caches = BTreeMap::new();
    for source in series.sources(range).map_err(failed)? {
        if !judging::is_here(&source, &settings) {
            continue;
        }
        let mut of_cache = OfCache::new();
        for (metric, _) in WATCHED {
            if metric != Metric::Allocated && !source.cache.starts_with("redis:") {
                continue;
            }
            let points = series.by_hour(&source, metric, range).map_err(failed)?;
            of_cache.push((metric, Baseline::of(&points, Cycle::Day, offset)));
        }
        caches.insert(source.cache, of_cache);
    }
    Ok(caches)
}

/// When the hour of local time begins that this is in.
fn hour_begins(now: Time, offset: i32) -> Time {
    let local = now.unix().saturating_add(i64::from(offset));
    Time::from_unix(now.unix() - local.rem_euclid(HOUR))
}

#[cfg(test)]
mod tests {
    use larder_core::Point;

    use super::*;

    #[test]
    fn an_hour_begins_where_the_local_clock_says_so() {
        let half_past = Time::from_unix(10 * HOUR + 1800);
        assert_eq!(hour_begins(half_past, 0), Time::from_unix(10 * HOUR));
        assert_eq!(hour_begins(half_past, 1800), half_past);
        assert_eq!(hour_begins(Time::from_unix(-1), 0), Time::from_unix(-HOUR));
    }

    #[test]
    fn what_is_far_from_usual_is_said_in_its_own_unit() {
        let points = |value: f64| -> Vec<Point> {
            (0..10 * 24).map(|hour| Point::new(Time::from_unix(hour * HOUR), value)).collect()
        };
        let of = |metric, value| (metric, Baseline::of(&points(value), Cycle::Day, 0));
        let known = vec![of(Metric::Allocated, 1e9), of(Metric::HitRate, 0.9)];
        let caches = BTreeMap::from([("redis:a".to_owned(), known)]);
        let usual = Usual { caches, ..Usual::default() };
        let now = Time::from_unix(10 * 24 * HOUR);
        let mut sample = Sample::empty("redis:a", now, Duration::ZERO);
        sample.allocated_bytes = Some(3_000_000_000);
        sample.redis = Some(larder_core::RedisSample { hit_rate: Some(0.5), ..Default::default() });
        let said = usual.far(&sample, now, Units::default());
        assert!(
            said[0].starts_with(
                "its size is far above what is usual at this hour: 3.0 GB against 1.0 GB"
            ),
            "{said:?}"
        );
        assert!(
            said[1].contains("below what is usual at this hour: 50.0 % against 90.0 %"),
            "{said:?}"
        );
        sample.allocated_bytes = Some(1);
        assert_eq!(usual.far(&sample, now, Units::default()).len(), 1);
        assert!(
            usual
                .far(&Sample::empty("build", now, Duration::ZERO), now, Units::default())
                .is_empty()
        );
    }
}
