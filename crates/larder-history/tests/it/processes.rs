//! Several processes, and one that is killed.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use larder_core::Sample;
use larder_history::{Entry, EventFilter, History, Limits, Metric, Series as _, Source};

use crate::{Place, entries, event, quick, range, sample, wait_for};

/// Says to a copy of this test which file to write to.
const FILE: &str = "LARDER_TEST_HISTORY";

/// Runs one of the tests below as a process of its own.
fn copy_of_this(test: &str, place: &Place) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(FILE, place.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Does nothing but in a copy: then it samples until it is killed, with the time as the value.
#[test]
fn samples_until_it_is_killed() {
    let Some(path) = std::env::var_os(FILE) else { return };
    let limits = Limits { commit_every: Duration::from_secs(1), ..Limits::default() };
    let history = History::open(path.as_ref(), limits).unwrap().history;
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until {
        let now = larder_fs::now();
        history.record(vec![Sample {
            allocated_bytes: Some(1),
            ..Sample::empty("build", now, Duration::ZERO)
        }]);
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_is_older_than_a_commit_survives_a_kill() {
    let place = Place::new();
    let mut child = copy_of_this("processes::samples_until_it_is_killed", &place);
    let reader = larder_history::Reader::new(&place.path());
    wait_for("it has sampled for a while", || {
        let all = larder_history::Range {
            since: larder_core::Time::from_unix(0),
            until: larder_fs::now(),
            most: 100_000,
        };
        reader
            .series(&Source::here("build"), Metric::Allocated, all)
            .is_ok_and(|line| line.len() > 150)
    });
    let killed = larder_fs::now();
    child.kill().unwrap();
    child.wait().unwrap();
    let history = place.open();
    let last = &history.reader().latest().unwrap()[0];
    let lost = killed.since(last.at);
    assert!(lost < Duration::from_secs(3), "{lost:?} are lost");
    history.record(vec![sample("mod", 0, 1)]);
    history.flush().unwrap();
}

#[test]
fn a_command_adds_events_while_a_daemon_samples() {
    let place = Place::new();
    let history = place.open();
    let path = place.path();
    let commands: Vec<_> = (0..4)
        .map(|command| {
            let path = path.clone();
            std::thread::spawn(move || {
                for i in 0..25 {
                    // Each opens the file anew, as a process of its own would.
                    let mut store = larder_history::Store::open(&path, quick()).unwrap().0;
                    let event = event("cleaned", "build", command * 100 + i);
                    store.write(&[Entry::Event(event)]).unwrap();
                }
            })
        })
        .collect();
    for i in 0..200 {
        history.record(vec![sample("build", i, 1)]);
        std::thread::sleep(Duration::from_millis(2));
    }
    commands.into_iter().for_each(|command| command.join().unwrap());
    history.flush().unwrap();
    let events = history.reader().events(&EventFilter::default()).unwrap();
    assert_eq!(events.len(), 100);
    let line = history.reader().series(&Source::here("build"), Metric::Allocated, range(0, 1000));
    assert_eq!(line.unwrap().len(), 200);
    assert_eq!(history.stats().dropped_samples + history.stats().dropped_others, 0);
}

#[test]
fn two_writers_in_turns_have_one_memory() {
    let place = Place::new();
    let (mut one, mut other) = (place.store(), place.store());
    for i in 0..20 {
        let writer = if i % 2 == 0 { &mut one } else { &mut other };
        writer.write(&entries([sample("build", i * 60, 1000 + i as u64)])).unwrap();
    }
    // The drop is seen by the one that did not write the level before it.
    one.write(&entries([sample("build", 1200, 100)])).unwrap();
    let reader = larder_history::Reader::new(&place.path());
    let grown =
        reader.last(&Source::here("build"), Metric::Grown, range(0, 2000)).unwrap().unwrap();
    assert!((grown.value - 1020.0).abs() < 1.5, "{grown:?}");
}
