//! Trends out of the file: cleanups counted once, whoever tells of them first.

use larder_core::event::{CLEANED, FREED_BYTES, TOOK_MILLIS};
use larder_core::trend::Verdict;
use larder_core::{Event, Trend};
use larder_history::{Entry, Metric, Range, Reader, Series as _, Source};

use crate::{Place, at, entries, event, range, redis, sample};

fn cleaned(cache: &str, seconds: i64, bytes: u64) -> Event {
    let data = |name: &str, value: String| (name.to_owned(), value);
    Event {
        data: vec![data(FREED_BYTES, bytes.to_string()), data(TOOK_MILLIS, "2000".to_owned())],
        ..event(CLEANED, cache, seconds)
    }
}

fn trend(place: &Place, cache: &str, metric: Metric, range: Range) -> Trend {
    Reader::new(&place.path()).trend(&Source::here(cache), metric, range).unwrap()
}

#[test]
fn a_sawtooth_grows_as_it_does_between_cleanups() {
    // 1000 bytes a second; a cleanup every two hours takes most of it, told before the next
    // sample, after it, or not at all.
    for told in ["before", "after", "never"] {
        let place = Place::new();
        let mut store = place.store();
        let mut level = 50_000_000_u64;
        for minute in 0..60 * 24_i64 {
            level += 60_000;
            let took = level / 10 * 8;
            let cleans = minute % 120 == 119;
            if cleans && told == "before" {
                store.write(&[Entry::Event(cleaned("build", minute * 60 - 20, took))]).unwrap();
            }
            if cleans {
                level -= took;
            }
            store.write(&entries([sample("build", minute * 60, level)])).unwrap();
            if cleans && told == "after" {
                store.write(&[Entry::Event(cleaned("build", minute * 60 - 20, took))]).unwrap();
            }
        }
        let trend = trend(&place, "build", Metric::Allocated, range(0, 86_400));
        let rate = trend.rate.unwrap();
        assert!((rate.per_second / 1000.0 - 1.0).abs() < 0.02, "{told}: {trend:?}");
        assert_eq!(trend.verdict, Verdict::Growing, "{told}: {trend:?}");
        assert_eq!(trend.level, level as f64);
        assert!(trend.fallen > 50e6, "{told}: {trend:?}");
    }
}

#[test]
fn a_sample_a_day_from_cron_and_a_cleanup_between_are_enough() {
    let place = Place::new();
    let mut store = place.store();
    let day = 86_400;
    // Every day 8 GB come and 10 GB are cleaned at night, but for one day in four.
    let mut level = 20_000_000_000_u64;
    for i in 0..20 {
        if i % 4 != 3 {
            store.write(&[Entry::Event(cleaned("build", i * day - 3600, 10_000_000_000))]).unwrap();
            level -= 10_000_000_000;
        }
        level += 8_000_000_000;
        store.write(&entries([sample("build", i * day, level)])).unwrap();
    }
    let trend = trend(&place, "build", Metric::Allocated, range(0, 20 * day));
    let a_day = trend.rate.unwrap().per_second * 86_400.0;
    assert!((a_day / 8e9 - 1.0).abs() < 0.05, "{trend:?}");
}

#[test]
fn thinned_rows_give_the_trend_that_the_samples_gave() {
    let place = Place::new();
    let mut store = place.store();
    let days = 10 * 86_400;
    let mut level = 10_000_000_u64;
    let mut batch = Vec::new();
    for minute in 0..days / 60 {
        level += 60_000;
        // Far more often than thinned rows could show.
        if minute % 20 == 19 {
            level /= 10;
        }
        batch.push(redis("redis:s", minute * 60, level, 0));
    }
    store.write(&entries(batch)).unwrap();
    let before = trend(&place, "redis:s", Metric::Allocated, range(0, days));
    while store.tidy(at(days), 10_000).unwrap().more {}
    let hours = larder_history::Limits {
        five_minutes_for: std::time::Duration::from_secs(3 * 86_400),
        ..larder_history::Limits::default()
    };
    let mut store = larder_history::Store::open(&place.path(), hours).unwrap().0;
    while store.tidy(at(days), 10_000).unwrap().more {}
    for metric in [Metric::Allocated, Metric::Resident] {
        let after = trend(&place, "redis:s", metric, range(0, days));
        let times = if metric == Metric::Resident { 2.0 } else { 1.0 };
        let (before, after) = (before.rate.unwrap(), after.rate.unwrap());
        assert!((before.per_second / 1000.0 - 1.0).abs() < 0.1, "{before:?}");
        assert!((after.per_second / before.per_second / times - 1.0).abs() < 0.02, "{after:?}");
    }
}

#[test]
fn little_history_and_none_say_so() {
    let place = Place::new();
    assert_eq!(trend(&place, "build", Metric::Allocated, range(0, 60)).verdict, Verdict::NotEnough);
    let mut store = place.store();
    store.write(&entries((0..4).map(|i| sample("build", i * 3600, 5)))).unwrap();
    let few = trend(&place, "build", Metric::Allocated, range(0, 86_400));
    assert_eq!((few.verdict, few.samples), (Verdict::NotEnough, 4));
}
