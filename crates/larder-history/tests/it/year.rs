//! What weeks of samples take, and what goes when it is too much or too old. A year of twenty caches, and
//! how long it takes, is a benchmark's.

use std::time::Duration;

use larder_core::Sample;
use larder_history::{
    Entry, EventFilter, Limits, Metric, Range, Reader, Series as _, Source, Store,
};

use crate::{Place, at, event, redis, sample};

const DAY: i64 = 86_400;

/// Samples as a daemon would have taken them, thinned on the way: of the part that ends as hours
/// four an hour, of the one that ends as five minutes two of them, and then every 15 seconds.
fn fill(store: &mut Store, caches: usize, days: i64) {
    let parts = [(0, days - 30, 900), (days - 30, days - 2, 150), (days - 2, days, 15)];
    for (from, until, every) in parts {
        for hour in from.max(0) * 24..until.max(0) * 24 {
            let mut batch = Vec::new();
            for step in 0..3600 / every {
                let second = hour * 3600 + step * every;
                for cache in 0..caches {
                    batch.push(Entry::Sample(Box::new(made(cache, second))));
                }
            }
            store.write(&batch).unwrap();
            if hour % 24 == 23 {
                let event = event("cleaned", "build", hour * 3600);
                store.write(&[Entry::Event(event)]).unwrap();
            }
            while store.tidy(at(hour * 3600), 20_000).unwrap().more {}
        }
    }
}

/// Two of three are a Redis, which has the larger rows.
fn made(cache: usize, second: i64) -> Sample {
    let grown = 5_000_000_000 + (second as u64 % 600_000) * 7919 + cache as u64 * 1_000_003;
    let one = if cache.is_multiple_of(3) {
        sample(&format!("build-{cache}"), second, grown)
    } else {
        redis(&format!("redis:cache-{cache}"), second, grown, second as u64 * 31)
    };
    Sample {
        logical_bytes: Some(grown - 100_000),
        reclaimable_bytes: Some(grown / 3),
        budget_bytes: Some(20_000_000_000),
        disk_free_bytes: Some(500_000_000_000 - grown),
        disk_size_bytes: Some(1_000_000_000_000),
        last_used: Some(one.at),
        oldest_use: Some(one.at.minus(Duration::from_secs(400_000))),
        score: Some(77.13),
        points: ["hit_rate", "memory", "latency"].map(|name| (name.to_owned(), 25.7)).to_vec(),
        ..one
    }
}

#[test]
fn forty_days_of_three_caches_are_small_and_each_has_its_trend() {
    let (caches, days) = (3, 40);
    let place = Place::new();
    let mut store = place.store();
    fill(&mut store, caches, days);
    drop(store);
    let reader = Reader::new(&place.path());
    // As much as a year of twenty may take, for these rows.
    assert!(reader.bytes() < 20_000_000, "{}", reader.bytes());
    let all = Range { since: at(0), until: at(days * DAY), most: 300 };
    let sources = reader.sources(all).unwrap();
    assert_eq!(sources.len(), caches);
    for source in &sources {
        let trend = reader.trend(source, Metric::Allocated, all).unwrap();
        assert!(trend.samples > 150, "{trend:?}");
    }
    assert_eq!(reader.events(&EventFilter::default()).unwrap().len() as i64, days);
}

#[test]
fn the_file_stays_within_its_limit_and_the_oldest_goes_first() {
    let place = Place::new();
    let limits = Limits { max_bytes: 1_500_000, ..Limits::default() };
    let mut store = Store::open(&place.path(), limits).unwrap().0;
    for hour in 0..240 {
        let batch: Vec<Entry> = (0..240)
            .map(|step| Entry::Sample(Box::new(made(1, hour * 3600 + step * 15))))
            .collect();
        store.write(&batch).unwrap();
        while store.tidy(at(hour * 3600), 2000).unwrap().more {}
    }
    let reader = Reader::new(&place.path());
    // The log is beside it until it is written into the file.
    assert!(reader.bytes() < 1_500_000 + 5_000_000, "{}", reader.bytes());
    let all = Range { since: at(0), until: at(240 * 3600), most: usize::MAX };
    let line = reader.series(&Source::here("redis:cache-1"), Metric::Allocated, all).unwrap();
    assert!(line[0].at > at(3600), "the oldest is still there");
    assert_eq!(line.last().unwrap().at, at(240 * 3600 - 15));
    // What is within two days is as it came, as far as there is room.
    assert!(line.len() > 5000, "{}", line.len());
}

#[test]
fn what_is_too_old_goes() {
    let place = Place::new();
    let limits = Limits { keep_for: Duration::from_secs(10 * 86_400), ..Limits::default() };
    let mut store = Store::open(&place.path(), limits).unwrap().0;
    for day in 0..20 {
        let batch: Vec<Entry> =
            (0..24).map(|hour| Entry::Sample(Box::new(made(0, day * DAY + hour * 3600)))).collect();
        store.write(&batch).unwrap();
        store.write(&[Entry::Event(event("cleaned", "build", day * DAY))]).unwrap();
        while store.tidy(at(day * DAY), 500).unwrap().more {}
    }
    let reader = Reader::new(&place.path());
    let all = Range { since: at(0), until: at(20 * DAY), most: usize::MAX };
    let line = reader.series(&Source::here("build-0"), Metric::Allocated, all).unwrap();
    assert!(line[0].at >= at(9 * DAY), "{:?}", line[0]);
    let events = reader.events(&EventFilter::default()).unwrap();
    assert!(events[0].event.at >= at(9 * DAY));
}
