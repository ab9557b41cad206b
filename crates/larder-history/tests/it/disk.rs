//! A disk that is full, for real: a small file system in memory, where one may be mounted.

use std::path::Path;
use std::process::Command;

use larder_core::Sample;

use crate::{Place, quick, sample, wait_for};

/// A file system of two megabytes for as long as this lives.
struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    fn new(at: &'a Path) -> Option<Self> {
        let mounted = cfg!(target_os = "linux")
            && Command::new("mount")
                .args(["-t", "tmpfs", "-o", "size=2m", "larder-test"])
                .arg(at)
                .status()
                .is_ok_and(|status| status.success());
        if !mounted {
            eprintln!("NOT TESTED: a full disk, since nothing can be mounted here");
        }
        mounted.then_some(Self(at))
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_drops_and_counts_and_works_again_once_there_is_room() {
    let place = Place::new();
    let Some(_mount) = Mount::new(place.folder()) else { return };
    let path = place.path();
    let limits = larder_history::Limits { queue: 100, ..quick() };
    let history = larder_history::History::open(&path, limits).unwrap().history;
    history.record(vec![sample("build", 0, 1)]);
    history.flush().unwrap();
    // Until not a byte is left.
    let _ = std::fs::write(place.folder().join("ballast"), vec![0; 4 << 20]);
    let mut second = 15;
    let mut hand_over = || {
        let failed = Sample { error: Some("x".repeat(2000)), ..sample("build", second, 2) };
        history.record(vec![failed]);
        second += 15;
    };
    wait_for("the disk is full", || {
        (0..50).for_each(|_| hand_over());
        let _ = history.flush();
        history.stats().dropped_samples > 0
    });
    let stats = history.stats();
    let why = stats.last_error.clone().unwrap();
    assert!(why.contains("full") || why.contains("I/O"), "{why}");
    std::fs::write(place.folder().join("ballast"), "").unwrap();
    wait_for("there is room", || history.flush().is_ok());
    history.record(vec![sample("build", 1_000_000, 3)]);
    history.flush().unwrap();
    assert_eq!(history.stats().last_error, None);
    assert_eq!(history.reader().latest().unwrap(), [sample("build", 1_000_000, 3)]);
}
