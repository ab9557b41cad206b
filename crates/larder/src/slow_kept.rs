//! Slow-log entries that were seen, kept past the server's own ring, with the clients that were
//! seen, whose users the log does not tell: a file in the state folder for each server, bounded.

use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_redis::clients::{Connected, Known, Roster};
use larder_redis::slowlog::{SlowEntry, SlowLook};
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
    /// Clients of the same run.
    #[serde(default)]
    clients: Vec<KeptClient>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct KeptClient {
    id: u64,
    address: String,
    name: String,
    user: Option<String>,
    library: Option<String>,
    since: u64,
    seen: u64,
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
    #[serde(default)]
    library: Option<String>,
    #[serde(default)]
    client: Option<u64>,
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

    /// The clients that were seen in this run of the server.
    pub(crate) fn roster(&self, run_id: &str) -> Roster {
        let known = |kept: &KeptClient| Known {
            client: Connected {
                id: kept.id,
                address: kept.address.clone(),
                name: kept.name.clone(),
                user: kept.user.clone(),
                library: kept.library.clone(),
                ..Connected::default()
            },
            since: kept.since,
            seen: kept.seen,
        };
        let same = self.run_id == run_id;
        Roster::new(self.clients.iter().filter(|_| same).map(known).collect())
    }

    /// Takes in what a look found, and the clients that are known after it.
    pub(crate) fn add(&mut self, run_id: &str, look: &SlowLook, roster: &Roster) {
        run_id.clone_into(&mut self.run_id);
        self.next = look.next;
        self.entries.extend(look.entries.iter().map(KeptEntry::from));
        self.clients = roster.known().iter().map(KeptClient::from).collect();
        let over = self.entries.len().saturating_sub(MOST);
        self.entries.drain(..over);
    }

    /// All entries of the server at this address, the oldest first.
    pub(crate) fn entries(&self, node: &str) -> Vec<SlowEntry> {
        self.entries
            .iter()
            .map(|entry| SlowEntry {
                node: node.to_owned(),
                id: entry.id,
                at: entry.at,
                took: Duration::from_micros(entry.micros),
                pattern: entry.pattern.clone(),
                address: entry.address.clone(),
                name: entry.name.clone(),
                user: entry.user.clone(),
                library: entry.library.clone(),
                client: entry.client,
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

impl From<&SlowEntry> for KeptEntry {
    fn from(entry: &SlowEntry) -> Self {
        Self {
            id: entry.id,
            at: entry.at,
            micros: u64::try_from(entry.took.as_micros()).unwrap_or(u64::MAX),
            pattern: entry.pattern.clone(),
            address: entry.address.clone(),
            name: entry.name.clone(),
            user: entry.user.clone(),
            library: entry.library.clone(),
            client: entry.client,
        }
    }
}

impl From<&Known> for KeptClient {
    fn from(known: &Known) -> Self {
        let Known { client, since, seen } = known;
        Self {
            id: client.id,
            address: client.address.clone(),
            name: client.name.clone(),
            user: client.user.clone(),
            library: client.library.clone(),
            since: *since,
            seen: *seen,
        }
    }
}
