//! What long work tells while it runs, and how it is asked to stop.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Counters that workers add to and a screen reads; and the wish to stop.
///
/// Cheap enough to touch once a folder; workers do not touch it once a file.
#[derive(Debug, Default)]
pub struct Meter {
    files: AtomicU64,
    bytes: AtomicU64,
    stop: AtomicBool,
}

impl Meter {
    /// Adds files and bytes that have been dealt with.
    pub fn add(&self, files: u64, bytes: u64) {
        self.files.fetch_add(files, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Files dealt with so far.
    pub fn files(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }

    /// Bytes dealt with so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Asks the workers to stop at the next safe point.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether the work has been asked to stop.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
