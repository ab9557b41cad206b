//! Damaged files are set aside, a new one is begun, and nobody is left without knowing.

use std::fs;

use larder_history::{EventFilter, History, Metric, Series as _, SeriesError, Source};

use crate::{Place, entries, quick, range, sample, wait_for};

/// A file with something in it.
fn filled(place: &Place) -> Vec<u8> {
    let mut store = place.store();
    for i in 0..50 {
        let samples = (0..20).map(|c| sample(&format!("cache-{c}"), i * 15, i as u64));
        store.write(&entries(samples)).unwrap();
    }
    drop(store);
    into_one_file(place);
    fs::read(place.path()).unwrap()
}

/// Writes the log into the file, so that nothing lies beside it.
fn into_one_file(place: &Place) {
    let connection = rusqlite::Connection::open(place.path()).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(connection);
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{end}", place.path().display()));
    }
}

#[test]
fn a_damaged_file_is_set_aside_and_a_new_one_begun() {
    let garbage = |bytes: &mut Vec<u8>| bytes[..4096].fill(0xa5);
    let pages = |bytes: &mut Vec<u8>| bytes[4096..].fill(0xa5);
    let cut_off = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 3);
    let no_database = |bytes: &mut Vec<u8>| *bytes = b"this is a letter, not a database".repeat(99);
    type Damage<'a> = (&'a str, &'a dyn Fn(&mut Vec<u8>));
    let damages: [Damage<'_>; 4] = [
        ("garbage at its head", &garbage),
        ("garbage in its pages", &pages),
        ("cut off", &cut_off),
        ("no database", &no_database),
    ];
    for (name, damage) in damages {
        let place = Place::new();
        let mut bytes = filled(&place);
        damage(&mut bytes);
        fs::write(place.path(), &bytes).unwrap();
        let opened = History::open(&place.path(), quick()).unwrap();
        let aside = opened.set_aside.unwrap_or_else(|| panic!("{name} was not noticed"));
        let as_text = aside.path.file_name().unwrap().to_str().unwrap();
        assert!(as_text.starts_with("history.db.corrupt-"), "{as_text}");
        assert_eq!(fs::read(&aside.path).unwrap(), bytes, "{name}: not kept as it was");
        let history = opened.history;
        history.record(vec![sample("build", 0, 1)]);
        history.flush().unwrap();
        assert_eq!(history.reader().latest().unwrap().len(), 1);
        let events = history.reader().events(&EventFilter::default()).unwrap();
        assert_eq!(events[0].event.kind, "history-set-aside", "{name}");
    }
}

#[test]
fn damage_while_it_is_open_is_noticed_and_goes_on_in_a_new_file() {
    let place = Place::new();
    filled(&place);
    let history = place.open();
    history.record(vec![sample("build", 0, 1)]);
    history.flush().unwrap();
    // What belongs to the file goes into it, and all of it is overwritten in place.
    let connection = rusqlite::Connection::open(place.path()).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let length = fs::metadata(place.path()).unwrap().len() as usize;
    fs::write(place.path(), vec![0xa5; length]).unwrap();
    wait_for("the damage is noticed", || {
        history.record(vec![sample("build", 15, 2)]);
        let _ = history.flush();
        !history.stats().set_aside.is_empty()
    });
    wait_for("samples are kept again", || {
        history.reader().latest().is_ok_and(|latest| latest == [sample("build", 15, 2)])
    });
    assert_eq!(history.stats().last_error, None);
}

#[test]
fn damage_deep_inside_is_found_when_it_is_met() {
    let place = Place::new();
    let all = |from: i64| (0..2000).map(move |i| sample("build", from + i * 15, i as u64));
    place.store().write(&entries(all(0))).unwrap();
    into_one_file(&place);
    let connection = rusqlite::Connection::open(place.path()).unwrap();
    // The newest is looked at when it is opened, the second page of many is not.
    let page: i64 = connection
        .query_row(
            "SELECT pageno FROM dbstat WHERE name = 'sample' AND pagetype = 'leaf' \
             ORDER BY path LIMIT 1 OFFSET 1",
            [],
            |row| row.get(0),
        )
        .unwrap_or(0);
    drop(connection);
    if page == 0 {
        eprintln!("NOT TESTED: damage deep inside, since this SQLite tells no pages");
        return;
    }
    let mut bytes = fs::read(place.path()).unwrap();
    let at = (page as usize - 1) * 4096;
    bytes[at..at + 4096].fill(0xa5);
    fs::write(place.path(), &bytes).unwrap();
    let history = place.open();
    // It is met by whoever writes there.
    history.record(all(7).collect());
    wait_for("the damage is met", || {
        let _ = history.flush();
        !history.stats().set_aside.is_empty()
    });
    history.record(vec![sample("build", 15, 2)]);
    history.flush().unwrap();
    assert_eq!(history.stats().last_error, None);
    assert!(history.reader().latest().unwrap().contains(&sample("build", 15, 2)));
    // A reader that meets it can do the same.
    let place = Place::new();
    fs::write(place.path(), &bytes).unwrap();
    let reader = larder_history::Reader::new(&place.path());
    let line = reader.series(&Source::here("build"), Metric::Allocated, range(0, 1_000_000));
    let Err(SeriesError::History(met)) = line else { panic!("{line:?}") };
    assert!(met.is_damage());
    assert!(larder_history::Store::set_aside(&place.path(), &met).unwrap().is_some());
    assert_eq!(larder_history::Store::set_aside(&place.path(), &met).unwrap(), None);
}

#[test]
fn a_file_that_another_process_set_aside_is_not_written_to_any_more() {
    let place = Place::new();
    let history = place.open();
    history.record(vec![sample("build", 0, 1)]);
    history.flush().unwrap();
    fs::rename(place.path(), place.folder().join("elsewhere")).unwrap();
    history.record(vec![sample("build", 15, 2)]);
    history.flush().unwrap();
    assert_eq!(history.reader().latest().unwrap(), [sample("build", 15, 2)]);
    assert!(place.path().exists());
}
