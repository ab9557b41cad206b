//! The history from outside: real files, a real full disk, a real second process, a real
//! Prometheus.
#![allow(clippy::pedantic, reason = "a test is read for what it holds")]

mod clock;
mod damage;
mod disk;
mod keep;
mod processes;
#[cfg(unix)]
mod prometheus;
mod trend;
mod year;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use larder_core::{Event, RedisSample, Sample, Time};
use larder_history::{Entry, History, Limits, Range, Store};
use tempfile::TempDir;

/// 2023-11-14, in seconds.
pub(crate) const START: i64 = 1_700_000_000;

/// A folder with a place for a history.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.0.path()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("history.db")
    }

    pub(crate) fn open(&self) -> History {
        let opened = History::open(&self.path(), quick()).unwrap();
        assert_eq!(opened.set_aside, None);
        opened.history
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.path(), Limits::default()).unwrap().0
    }
}

/// Commits soon, so that tests need not wait.
pub(crate) fn quick() -> Limits {
    Limits { commit_every: Duration::from_millis(50), ..Limits::default() }
}

pub(crate) fn at(seconds: i64) -> Time {
    Time::from_unix(START + seconds)
}

pub(crate) fn sample(cache: &str, seconds: i64, bytes: u64) -> Sample {
    Sample {
        allocated_bytes: Some(bytes),
        files: Some(bytes / 1000),
        ..Sample::empty(cache, at(seconds), Duration::from_millis(7))
    }
}

pub(crate) fn redis(cache: &str, seconds: i64, bytes: u64, hits: u64) -> Sample {
    let redis = RedisSample {
        keys: 10,
        used_memory_bytes: bytes,
        resident_bytes: bytes * 2,
        hits,
        misses: hits / 2,
        latency: Some(Duration::from_micros(300)),
        ..RedisSample::default()
    };
    Sample { redis: Some(redis), ..sample(cache, seconds, bytes) }
}

pub(crate) fn entries(samples: impl IntoIterator<Item = Sample>) -> Vec<Entry> {
    samples.into_iter().map(|sample| Entry::Sample(Box::new(sample))).collect()
}

pub(crate) fn event(kind: &str, cache: &str, seconds: i64) -> Event {
    Event {
        at: at(seconds),
        kind: kind.to_owned(),
        cache: Some(cache.to_owned()),
        plan_id: None,
        trace_id: "t1".to_owned(),
        message: format!("{kind} of {cache}"),
        data: vec![("why".to_owned(), "a test".to_owned())],
    }
}

pub(crate) fn range(since: i64, until: i64) -> Range {
    Range { since: at(since), until: at(until), most: 100_000 }
}

/// Waits until it is so, ten seconds at most.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    while !so() {
        assert!(Instant::now() < until, "{what} does not come about");
        std::thread::sleep(Duration::from_millis(10));
    }
}
