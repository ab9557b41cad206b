//! Slow-log entries that were seen, kept past the server's own ring: a file in the state folder
//! for each server, bounded.

use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_redis::slowlog::SlowEntry;
use serde::{Deserialize, Serialize};

use crate::key_resume::file_name;

/// Entries kept of a server.
const MOST: usize = 5000;

/// What is remembered of a server.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The server's run: ids of another begin anew.
    run_id: String,
    /// The first id that was not seen yet.
    next: u64,
    entries: Vec<KeptEntry>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct KeptEntry {
    id: u64,
    at: u64,
    micros: u64,
    pattern: String,
    address: String,
    name: String,
    user: Option<String>,
}

fn path(state: &Path, url: &str) -> PathBuf {
    state.join("redis").join(format!("slowlog-{}.json", file_name(url)))
}

impl Kept {
    /// What was kept of the server at this URL; nothing where that cannot be read.
    pub(crate) fn read(state: &Path, url: &str) -> Self {
        let text = std::fs::read(path(state, url)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Where the next look at this run of the server begins.
    pub(crate) fn next(&self, run_id: &str) -> Option<u64> {
        (self.run_id == run_id).then_some(self.next)
    }

    /// Takes in what a look found.
    pub(crate) fn add(&mut self, run_id: &str, next: u64, entries: &[SlowEntry]) {
        run_id.clone_into(&mut self.run_id);
        self.next = next;
        self.entries.extend(entries.iter().map(|entry| KeptEntry {
            id: entry.id,
            at: entry.at,
            micros: u64::try_from(entry.took.as_micros()).unwrap_or(u64::MAX),
            pattern: entry.pattern.clone(),
            address: entry.address.clone(),
            name: entry.name.clone(),
            user: entry.user.clone(),
        }));
        let over = self.entries.len().saturating_sub(MOST);
        self.entries.drain(..over);
    }

    /// All entries, the oldest first.
    pub(crate) fn entries(&self) -> Vec<SlowEntry> {
        self.entries
            .iter()
            .map(|entry| SlowEntry {
                id: entry.id,
                at: entry.at,
                took: Duration::from_micros(entry.micros),
                pattern: entry.pattern.clone(),
                address: entry.address.clone(),
                name: entry.name.clone(),
                user: entry.user.clone(),
            })
            .collect()
    }

    /// Writes it whole. Where it cannot be written, the ring is all there is the next time.
    pub(crate) fn write(&self, state: &Path, url: &str) {
        let path = path(state, url);
        let made = path.parent().map(std::fs::create_dir_all);
        if let (Some(Ok(())), Ok(text)) = (made, serde_json::to_vec(self)) {
            let _ = larder_fs::write_atomic(&path, &text);
        }
    }
}
