//! When each cache was last verified, and how that ended: a small file in the state folder.
//!
//! A record is of one root, by its path and its identity, so that another folder that takes its
//! place does not inherit it. A file that cannot be read is as good as none: it is only a memory.

use std::path::{Path, PathBuf};

use larder_core::CacheKind;
use larder_engine::World;
use larder_engine::report::{LastVerified, StatusReport};
use larder_engine::verify::Verified;
use serde::{Deserialize, Serialize};

use crate::wire::{WireTime, path_text};

const SCHEMA: &str = "larder/verified/1";
const NAME: &str = "verified.json";
/// Records of roots that were used once and never again are forgotten beyond this.
const MOST: usize = 64;

#[derive(Debug, Serialize, Deserialize)]
struct File {
    schema: String,
    records: Vec<Record>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    cache: String,
    path: String,
    device: u64,
    inode: u64,
    at: WireTime,
    checked: u64,
    bad: u64,
    unverifiable: u64,
    bytes_read: u64,
    duration_seconds: f64,
}

/// Remembers what was verified to its end.
pub(crate) fn remember(state: &Path, verified: &[Verified]) -> std::io::Result<()> {
    let path = file(state);
    let mut records = read(&path);
    for one in verified.iter().filter(|one| one.complete) {
        let record = Record::from(one);
        records.retain(|other| !(other.cache == record.cache && other.path == record.path));
        records.insert(0, record);
    }
    records.truncate(MOST);
    let text = serde_json::to_vec_pretty(&File { schema: SCHEMA.to_owned(), records })?;
    std::fs::create_dir_all(state)?;
    larder_fs::write_atomic(&path, &text)
}

/// Adds to a status what is remembered of its caches.
pub(crate) fn recall(state: Option<&Path>, world: &World, report: &mut StatusReport) {
    let records = state.map(|state| read(&file(state))).unwrap_or_default();
    for row in &mut report.rows {
        let verified_with = match row.cache {
            CacheKind::Build => CacheKind::Build,
            CacheKind::Mod | CacheKind::Toolchain | CacheKind::Vcs => CacheKind::Mod,
            CacheKind::Test | CacheKind::Fuzz | CacheKind::Sumdb => continue,
        };
        let root = world.root(row.cache);
        let Some(identity) = root.dir().and_then(|dir| dir.identity().ok()) else { continue };
        let path = path_text(&root.path);
        let ours = |record: &&Record| {
            record.cache == verified_with.name()
                && record.path == path
                && (record.device, record.inode) == identity
        };
        row.last_verified = records.iter().find(ours).map(LastVerified::from);
    }
}

fn file(state: &Path) -> PathBuf {
    state.join(NAME)
}

fn read(path: &Path) -> Vec<Record> {
    let Ok(text) = std::fs::read(path) else { return Vec::new() };
    match serde_json::from_slice::<File>(&text) {
        Ok(file) if file.schema == SCHEMA => file.records,
        _ => Vec::new(),
    }
}

impl From<&Verified> for Record {
    fn from(one: &Verified) -> Self {
        let left = one.found.bad.iter().filter(|bad| !bad.fixed).count();
        Self {
            cache: one.cache.name().to_owned(),
            path: path_text(&one.path),
            device: one.identity.0,
            inode: one.identity.1,
            at: WireTime(one.at),
            checked: one.found.checked,
            bad: left as u64,
            unverifiable: one.found.unverifiable.len() as u64,
            bytes_read: one.found.bytes_read,
            duration_seconds: one.took.as_secs_f64(),
        }
    }
}

impl From<&Record> for LastVerified {
    fn from(record: &Record) -> Self {
        Self {
            at: record.at.0,
            checked: record.checked,
            bad: record.bad,
            unverifiable: record.unverifiable,
        }
    }
}
