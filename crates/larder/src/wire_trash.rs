//! `larder/trash/1`, `larder/restored/1`, `larder/emptied/1`.

use std::io;
use std::path::PathBuf;

use larder_core::{Size, Time};
use larder_fs::Restored;
use larder_fs::trash::Emptied;
use larder_redis::KeysRestored;
use schemars::JsonSchema;
use serde::Serialize;

use crate::wire::{Document, WireSize, WireTime, path_text};

/// An entry of the trash, for the document and for the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrashLine {
    /// What `trash restore` takes.
    pub id: String,
    /// The caches that it came from, `build` or `mod,toolchain`.
    pub cache: String,
    /// When it was put there.
    pub created_at: Time,
    /// What emptying would give back.
    pub size: Size,
    /// Keys of a Redis; `None` for files.
    pub keys: Option<u64>,
    /// Whether only their times to live are kept.
    pub ttls: bool,
    /// When it will be emptied by itself.
    pub expires_at: Time,
}

/// What is in the trash.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TrashDoc {
    schema: &'static str,
    /// The latest first.
    entries: Vec<WireEntry>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireEntry {
    /// What `trash restore` takes.
    id: String,
    /// The caches that it came from.
    cache: String,
    /// When it was put there.
    created_at: WireTime,
    #[serde(flatten)]
    size: WireSize,
    /// Keys of a Redis; null for files.
    keys: Option<u64>,
    /// Whether only their times to live are kept.
    ttls: bool,
    /// When it will be emptied by itself.
    expires_at: WireTime,
}

impl Document for TrashDoc {
    const SCHEMA: &'static str = "larder/trash/1";
}

impl From<&[TrashLine]> for TrashDoc {
    fn from(lines: &[TrashLine]) -> Self {
        Self { schema: Self::SCHEMA, entries: lines.iter().map(WireEntry::from).collect() }
    }
}

impl From<&TrashLine> for WireEntry {
    fn from(line: &TrashLine) -> Self {
        Self {
            id: line.id.clone(),
            cache: line.cache.clone(),
            created_at: WireTime(line.created_at),
            size: line.size.into(),
            keys: line.keys,
            ttls: line.ttls,
            expires_at: WireTime(line.expires_at),
        }
    }
}

/// What restoring an entry did.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RestoredDoc {
    schema: &'static str,
    /// The entry.
    id: String,
    /// What was put back; a folder that was moved whole counts once.
    restored: u64,
    /// Keys of a Redis whose time had ended meanwhile; null for files.
    expired: Option<u64>,
    /// Keys of a Redis whose time to live was changed and that are gone; null for files.
    gone: Option<u64>,
    /// Names that are taken again, relative to the cache's root, and keys that are others, or have
    /// another time to live, than were left; they are still in the trash.
    conflicts: Vec<String>,
    /// What could not be put back; it is still in the trash.
    failed: Vec<WireFailure>,
    /// The entry that holds what stood in the way.
    replaced: Option<String>,
    /// Whether all of it is back.
    complete: bool,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireFailure {
    path: String,
    error: String,
}

impl Document for RestoredDoc {
    const SCHEMA: &'static str = "larder/restored/1";
}

impl RestoredDoc {
    /// What was done with the keys of the entry of this id.
    pub fn of_keys(id: &str, restored: &KeysRestored) -> Self {
        let text = |key: &[u8]| crate::wire_keys::text_and_base64(key).0;
        let failed = restored.failed.iter();
        Self {
            schema: Self::SCHEMA,
            id: id.to_owned(),
            restored: restored.restored,
            expired: Some(restored.expired),
            gone: Some(restored.gone),
            conflicts: restored.conflicts.iter().map(|key| text(key)).collect(),
            failed: failed
                .map(|(key, error)| WireFailure { path: text(key), error: error.clone() })
                .chain(restored.stopped.iter().map(|error| WireFailure {
                    path: "all that was left".to_owned(),
                    error: error.to_string(),
                }))
                .collect(),
            replaced: None,
            complete: restored.complete(),
        }
    }

    /// What was done with the entry of this id.
    pub fn new(id: &str, restored: &Restored) -> Self {
        Self {
            schema: Self::SCHEMA,
            id: id.to_owned(),
            restored: restored.restored,
            expired: None,
            gone: None,
            conflicts: restored.conflicts.iter().map(|path| path_text(path)).collect(),
            failed: restored.errors.iter().map(WireFailure::from).collect(),
            replaced: restored.replaced.clone(),
            complete: restored.complete,
        }
    }
}

/// What emptying the trash did.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EmptiedDoc {
    schema: &'static str,
    /// The entries that are gone, or partly so.
    ids: Vec<String>,
    /// Allocated bytes, measured as removed.
    freed_bytes: u64,
    /// What could not be removed.
    failed: Vec<WireFailure>,
}

impl Document for EmptiedDoc {
    const SCHEMA: &'static str = "larder/emptied/1";
}

impl EmptiedDoc {
    /// What was done with these entries.
    pub fn new(emptied: &[Emptied]) -> Self {
        Self {
            schema: Self::SCHEMA,
            ids: emptied.iter().map(|entry| entry.id.clone()).collect(),
            freed_bytes: emptied.iter().map(|entry| entry.removal.freed.allocated.0).sum(),
            failed: emptied
                .iter()
                .flat_map(|entry| &entry.removal.errors)
                .map(WireFailure::from)
                .collect(),
        }
    }

    /// Whether something could not be removed.
    pub fn is_partial(&self) -> bool {
        !self.failed.is_empty()
    }
}

impl From<&(PathBuf, io::Error)> for WireFailure {
    fn from((path, error): &(PathBuf, io::Error)) -> Self {
        Self { path: path_text(path), error: error.to_string() }
    }
}
