//! Clocks that jump, and counters that begin anew.

use larder_core::Time;
use larder_history::{Metric, Series as _, Source};

use crate::{Place, START, at, entries, range, redis, sample};

#[test]
fn what_arrives_with_an_earlier_time_is_kept_there_and_is_the_latest() {
    let place = Place::new();
    let mut store = place.store();
    // The clock was ten years ahead for two samples, and then set right.
    let ahead = 10 * 365 * 86_400;
    let times = [0, 15, ahead, ahead + 15, 30, 45];
    for (i, time) in times.into_iter().enumerate() {
        store.write(&entries([sample("build", time, 100 + i as u64)])).unwrap();
    }
    let reader = larder_history::Reader::new(&place.path());
    assert_eq!(reader.latest().unwrap(), [sample("build", 45, 105)]);
    let values = |range| -> Vec<f64> {
        let line = reader.series(&Source::here("build"), Metric::Allocated, range).unwrap();
        line.into_iter().map(|point| point.value).collect()
    };
    assert_eq!(values(range(0, 60)), [100.0, 101.0, 104.0, 105.0]);
    assert_eq!(values(range(ahead, ahead + 60)), [102.0, 103.0]);
}

#[test]
fn a_second_sample_of_the_same_time_takes_the_place_of_the_first() {
    let place = Place::new();
    let mut store = place.store();
    store.write(&entries([sample("build", 0, 1), sample("build", 0, 2)])).unwrap();
    let reader = larder_history::Reader::new(&place.path());
    let line = reader.series(&Source::here("build"), Metric::Allocated, range(0, 60)).unwrap();
    assert_eq!(line.iter().map(|point| point.value).collect::<Vec<_>>(), [2.0]);
}

#[test]
fn a_clock_far_ahead_removes_nothing() {
    let place = Place::new();
    let mut store = place.store();
    store.write(&entries((0..100).map(|i| sample("build", i * 15, 1)))).unwrap();
    store.tidy(at(1500), 1000).unwrap();
    let years = Time::from_unix(START + 20 * 365 * 86_400);
    for _ in 0..5 {
        let tidied = store.tidy(years, 1000).unwrap();
        assert_eq!(tidied.expired + tidied.merged, 0);
    }
    let reader = larder_history::Reader::new(&place.path());
    let line = reader.series(&Source::here("build"), Metric::Allocated, range(0, 1500)).unwrap();
    assert_eq!(line.len(), 100);
}

#[test]
fn a_total_goes_on_over_restarts_of_the_server_and_over_thinning() {
    let place = Place::new();
    let mut store = place.store();
    // Each server counts up by 3 a minute and is started anew every 100 minutes.
    let count = |minute: i64| (minute % 100 * 3) as u64;
    let minutes = 60 * 24 * 4;
    for hour in 0..minutes / 60 {
        let samples = (hour * 60..(hour + 1) * 60)
            .map(|minute| redis("redis:s", minute * 60, 1000, count(minute)));
        store.write(&entries(samples)).unwrap();
    }
    let reader = larder_history::Reader::new(&place.path());
    let totals = || -> Vec<f64> {
        let range = range(0, minutes * 60);
        let line = reader.series(&Source::here("redis:s"), Metric::Hits, range).unwrap();
        line.into_iter().map(|point| point.value).collect()
    };
    let before = totals();
    assert!(before.is_sorted());
    let now = at(minutes * 60);
    while store.tidy(now, 1000).unwrap().more {}
    let after = totals();
    assert!(after.len() < before.len() * 3 / 4, "{} of {}", after.len(), before.len());
    assert!(after.is_sorted() && after.last() == before.last());
    // What was counted by a time is what was counted before that was thinned.
    assert!(after.iter().all(|total| before.contains(total)));
}
