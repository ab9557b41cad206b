//! What is handed over comes back.

use std::time::Duration;

use larder_core::Forecast;
use larder_history::{Entry, EventFilter, History, HistoryError, Limits, Metric, Series, Source};

use crate::{Place, at, entries, event, quick, range, redis, sample, wait_for};

#[test]
fn samples_come_back_whole_and_as_lines() {
    let place = Place::new();
    let history = place.open();
    for i in 0..20 {
        let pair = vec![sample("build", i * 15, 1000 + i as u64), redis("redis:s", i * 15, 500, 7)];
        history.record(pair);
    }
    history.flush().unwrap();
    let reader = history.reader();
    assert_eq!(reader.caches().unwrap(), ["build", "redis:s"]);
    let latest = [sample("build", 285, 1019), redis("redis:s", 285, 500, 7)];
    assert_eq!(reader.latest().unwrap(), latest);
    let line = reader.series(&Source::here("build"), Metric::Allocated, range(0, 100)).unwrap();
    assert_eq!(line.len(), 7);
    assert_eq!((line[6].at, line[6].value), (at(90), 1006.0));
    let latency = reader.series(&Source::here("redis:s"), Metric::Latency, range(0, 1000)).unwrap();
    assert!((latency[0].value - 0.0003).abs() < 1e-12);
    for metric in Metric::ALL {
        // Every one can be asked of every cache.
        reader.series(&Source::here("build"), metric, range(0, 1000)).unwrap();
        reader.last(&Source::here("redis:s"), metric, range(0, 1000)).unwrap();
    }
    let thinned = larder_history::Range { most: 5, ..range(0, 1000) };
    let thin = reader.series(&Source::here("build"), Metric::Allocated, thinned).unwrap();
    assert!(thin.len() <= 5 && thin[0].low == 1000.0 && thin[0].high > thin[0].low, "{thin:?}");
    assert_eq!(history.stats().dropped_samples, 0);
    assert_eq!(history.stats().written, 40);
}

#[test]
fn the_last_value_is_looked_for_among_the_newest() {
    let place = Place::new();
    let history = place.open();
    let with_budget = |i: i64| {
        let budget_bytes = (i == 0).then_some(77);
        vec![larder_core::Sample { budget_bytes, ..sample("build", i * 15, 1000) }]
    };
    let last = |history: &History| {
        history.flush().unwrap();
        let found = history.reader().last(&Source::here("build"), Metric::Budget, range(0, 90_000));
        found.unwrap().map(|point| point.value)
    };
    (0..300).for_each(|i| history.record(with_budget(i)));
    assert_eq!(last(&history), Some(77.0));
    // What none of hundreds has is not looked for in all of a year.
    (300..600).for_each(|i| history.record(with_budget(i)));
    assert_eq!(last(&history), None);
}

#[test]
fn the_disk_of_a_cache_is_the_one_that_it_is_on_now() {
    let place = Place::new();
    let history = place.open();
    let on = |disk: Option<&str>, i: i64| {
        let disk = disk.map(str::to_owned);
        history.record(vec![larder_core::Sample { disk, ..sample("build", i * 15, 1000) }]);
        history.flush().unwrap();
        history.reader().disk(&Source::here("build"), range(0, 90_000)).unwrap()
    };
    assert_eq!(on(None, 0), None);
    assert_eq!(on(Some("/"), 1).as_deref(), Some("/"));
    assert_eq!(on(Some("/srv/go"), 2).as_deref(), Some("/srv/go"));
    // A round that did not find out forgets nothing.
    assert_eq!(on(None, 3).as_deref(), Some("/srv/go"));
    assert_eq!(history.reader().disk(&Source::here("mod"), range(0, 90_000)).unwrap(), None);
    assert_eq!(on(Some("/"), 4).as_deref(), Some("/"));
    let latest = history.reader().latest().unwrap();
    assert_eq!(latest[0].disk.as_deref(), Some("/"));
}

#[test]
fn events_are_found_by_time_kind_cache_and_number() {
    let place = Place::new();
    let history = place.open();
    for i in 0..10 {
        let kind = if i % 2 == 0 { "cleaned" } else { "alert-raised" };
        history.event(event(kind, if i < 5 { "build" } else { "mod" }, i * 60));
    }
    history.flush().unwrap();
    let reader = history.reader();
    let find = |filter: EventFilter| -> Vec<i64> {
        reader.events(&filter).unwrap().into_iter().map(|kept| kept.id).collect()
    };
    let all = EventFilter::default();
    assert_eq!(find(all.clone()), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(find(EventFilter { limit: Some(2), ..all.clone() }), [9, 10]);
    assert_eq!(find(EventFilter { after_id: Some(3), limit: Some(2), ..all.clone() }), [4, 5]);
    assert_eq!(find(EventFilter { since: Some(at(480)), ..all.clone() }), [9, 10]);
    let kinds = vec!["alert-raised".to_owned()];
    let cache = Some("mod".to_owned());
    assert_eq!(find(EventFilter { kinds, cache, ..all.clone() }), [6, 8, 10]);
    assert_eq!(find(EventFilter { trace_id: Some("t2".to_owned()), ..all.clone() }), [0; 0]);
    assert_eq!(reader.events(&all).unwrap()[0].event, event("cleaned", "build", 0));
    assert_eq!(reader.last_event_id().unwrap(), 10);
}

#[test]
fn state_is_read_at_once_and_survives() {
    let place = Place::new();
    {
        let history = History::open(
            &place.path(),
            Limits { commit_every: Duration::from_secs(600), ..Limits::default() },
        );
        let history = history.unwrap().history;
        history.put_state("alert.build", "raised");
        history.put_state("alert.build", "cleared");
        history.put_state("silence.1", "x");
        assert_eq!(history.state("alert.build").unwrap().as_deref(), Some("cleared"));
        // Dropping it writes what waits.
    }
    let history = place.open();
    assert_eq!(history.state("alert.build").unwrap().as_deref(), Some("cleared"));
    assert_eq!(history.state("alert.mod").unwrap(), None);
    assert_eq!(history.reader().states("alert.").unwrap().len(), 1);
    // What another process writes is seen, also after this one wrote the same.
    history.put_state("silence.1", "mine");
    history.flush().unwrap();
    let theirs = Entry::State { key: "silence.1".to_owned(), text: "theirs".to_owned() };
    place.store().write(&[theirs]).unwrap();
    assert_eq!(history.state("silence.1").unwrap().as_deref(), Some("theirs"));
}

#[test]
fn forecasts_are_held_against_what_came_with_what_fell_added_back() {
    let place = Place::new();
    let mut store = place.store();
    let hours = |hour: i64| hour * 3600;
    store
        .write(&entries((0..48).map(|i| sample("build", hours(i), 1000 + 10 * i as u64))))
        .unwrap();
    let made = Forecast {
        made_at: at(hours(47)),
        cache: "build".to_owned(),
        for_time: at(hours(57)),
        level: 1470.0,
        predicted: 1570.0,
        interval: Some((1550.0, 1590.0)),
        actual: None,
    };
    let none_came = Forecast { cache: "mod".to_owned(), ..made.clone() };
    store.write(&[Entry::Forecast(made.clone()), Entry::Forecast(none_came)]).unwrap();
    // It goes on, and then most of it is removed.
    store
        .write(&entries((48..56).map(|i| sample("build", hours(i), 1000 + 10 * i as u64))))
        .unwrap();
    store.write(&entries([sample("build", hours(56), 160)])).unwrap();
    store.tidy(at(hours(58)), 1000).unwrap();
    let history = place.open();
    let kept = history.reader().forecasts("build", at(0)).unwrap();
    let actual = kept[0].actual.unwrap();
    assert!((actual - 1560.0).abs() < 2.0, "{actual}");
    assert_eq!(kept[0].accuracy().unwrap().inside, Some(true));
    assert!(history.reader().forecasts("mod", at(0)).unwrap().is_empty());
}

#[test]
fn handing_over_never_waits_and_what_is_dropped_is_counted() {
    let place = Place::new();
    let limits = Limits { queue: 10, ..quick() };
    let history = History::open(&place.path(), limits).unwrap().history;
    // Somebody holds the lock, so that nothing can be written.
    let blocker = rusqlite_lock(&place);
    let begun = std::time::Instant::now();
    for i in 0..5000 {
        history.record(vec![sample("build", i, 1)]);
    }
    for i in 0..3000 {
        history.event(event("cleaned", "build", i));
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "handing over waited");
    drop(blocker);
    wait_for("what waited is written", || history.flush().is_ok());
    let stats = history.stats();
    assert!(stats.dropped_samples > 4000, "{stats:?}");
    assert_eq!(stats.written + stats.dropped_samples + stats.dropped_others, 8000, "{stats:?}");
    assert_eq!(stats.last_error, None);
    // It works again.
    history.record(vec![sample("build", 9000, 1)]);
    history.flush().unwrap();
    assert_eq!(history.reader().latest().unwrap(), [sample("build", 9000, 1)]);
}

/// Holds the lock of writers until it is dropped.
fn rusqlite_lock(place: &Place) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(place.path()).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    connection
}

#[test]
fn a_file_of_a_newer_larder_is_left_alone_and_said_so() {
    let place = Place::new();
    drop(place.store());
    let connection = rusqlite::Connection::open(place.path()).unwrap();
    connection.pragma_update(None, "user_version", 999).unwrap();
    drop(connection);
    let error = History::open(&place.path(), quick()).unwrap_err();
    assert!(matches!(error, HistoryError::Newer { found: 999, .. }), "{error}");
    let reader = larder_history::Reader::new(&place.path());
    assert!(matches!(reader.caches(), Err(HistoryError::Newer { .. })));
    let names = std::fs::read_dir(place.folder()).unwrap().map(|file| file.unwrap().file_name());
    let aside = names.filter(|name| name.to_str().unwrap().contains("corrupt")).count();
    assert_eq!(aside, 0, "something was set aside");
}

#[test]
fn where_there_is_no_file_there_is_nothing_and_none_is_made() {
    let place = Place::new();
    let reader = larder_history::Reader::new(&place.path());
    assert!(reader.caches().unwrap().is_empty() && reader.latest().unwrap().is_empty());
    assert!(reader.events(&EventFilter::default()).unwrap().is_empty());
    assert!(!place.path().exists());
    // And once there is one, the same reader sees it.
    place.store().write(&entries([sample("build", 0, 5)])).unwrap();
    assert_eq!(reader.caches().unwrap(), ["build"]);
}

#[test]
#[cfg(unix)]
fn only_its_owner_may_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    std::fs::write(place.path(), "").unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let history = place.open();
    history.record(vec![sample("build", 0, 1)]);
    history.flush().unwrap();
    for file in std::fs::read_dir(place.folder()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.path().display());
    }
}
