//! Damaged files are set aside, a new one is begun, and nobody is left without knowing.

use std::fs;

use larder_history::{EventFilter, History};

use crate::{Place, entries, quick, sample, wait_for};

/// A file with something in it.
fn filled(place: &Place) -> Vec<u8> {
    let mut store = place.store();
    for i in 0..50 {
        let samples = (0..20).map(|c| sample(&format!("cache-{c}"), i * 15, i as u64));
        store.write(&entries(samples)).unwrap();
    }
    drop(store);
    fs::read(place.path()).unwrap()
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
    drop(connection);
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
