//! Removed keys and earlier times to live in the trash: a file for each run over a Redis in the
//! state folder, since a Redis has no folder of its own to lie beside.

use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_core::{KeyChange, KeysItem, Size, Time};
use larder_redis::undo_file::UndoFileError;
use larder_redis::{
    Deployment, Info, KeysRestored, Link, RedisError, RestoreError, UndoHeader, UndoReader,
    UndoStore, restore_keys,
};

use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::key_plan::Prepared;
use crate::redis_target::{self, RedisTarget};
use crate::wire_trash::TrashLine;

/// A file of removed keys, or of earlier times to live.
#[derive(Clone, Debug)]
pub(crate) struct KeyEntry {
    pub header: UndoHeader,
    pub keys: u64,
    pub bytes: u64,
    pub path: PathBuf,
}

impl KeyEntry {
    /// When it was put there.
    pub(crate) fn created_at(&self) -> Time {
        Time::from_unix_nanos(self.header.created_at)
    }

    /// As a line of the list.
    pub(crate) fn line(&self, keep: Duration) -> TrashLine {
        TrashLine {
            id: self.header.id.clone(),
            cache: self.header.cache.clone(),
            created_at: self.created_at(),
            size: Size::new(1, self.bytes, self.bytes),
            keys: Some(self.keys),
            ttls: self.header.ttls,
            expires_at: self.created_at().plus(keep),
        }
    }
}

fn folder(state: &Path) -> PathBuf {
    state.join("redis").join("undo")
}

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct Keeping {
    pub store: UndoStore,
    pub id: String,
    path: PathBuf,
}

impl Keeping {
    /// Begins one for the items of one Redis, once it is sure that what they keep has its place.
    pub(crate) fn begin(
        state: &Path,
        items: &[&Prepared],
        plan_id: &str,
    ) -> Result<Self, CliError> {
        let first = items[0];
        let target = &first.target;
        let folder = folder(state);
        std::fs::create_dir_all(&folder)
            .map_err(|error| CliError::io("make the folder", &folder, &error))?;
        let estimated = items.iter().map(|one| takes(&one.item)).sum();
        fits(target, &folder, estimated)?;
        let node = first.deployment.nodes.first().ok_or_else(|| {
            CliError::new(Exit::Unreachable, format!("{} has no server", target.cache))
        })?;
        let info = Link::open(&node.endpoint, "backup")
            .and_then(|mut link| Info::ask(&mut link))
            .map_err(|error| redis_target::failed(&error))?;
        let id = larder_engine::keys::new_id();
        let header = UndoHeader {
            id: id.clone(),
            cache: target.cache.clone(),
            url: target.endpoint.url(),
            plan_id: plan_id.to_owned(),
            ttls: items.iter().all(|one| matches!(one.item.change, KeyChange::Expire(_))),
            created_at: larder_fs::now().unix_nanos(),
            larder: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let path = folder.join(format!("{id}.keys"));
        let store = UndoStore::create(&path, &header, &info)
            .map_err(|error| CliError::io("write", &path, &error))?;
        Ok(Self { store, id, path })
    }

    /// Ends it: its id and its length; nothing where nothing was kept.
    pub(crate) fn finish(self) -> Result<Option<(String, u64)>, CliError> {
        let failed = |error: &std::io::Error| CliError::io("write", &self.path, error);
        let (keys, bytes) = self.store.finish().map_err(|error| failed(&error))?;
        if keys == 0 {
            larder_fs::forget_file(&self.path).map_err(|error| failed(&error))?;
            return Ok(None);
        }
        // The name tells how many there are, so that a list need not read them all.
        let named = self.path.with_file_name(format!("{}-{keys}.keys", self.id));
        std::fs::rename(&self.path, named).map_err(|error| failed(&error))?;
        Ok(Some((self.id, bytes)))
    }
}

/// About how many bytes an item's undo takes: of a time to live, a short record.
fn takes(item: &KeysItem) -> u64 {
    const RECORD: u64 = 64;
    match item.change {
        KeyChange::Remove => item.estimated_bytes,
        KeyChange::Expire(_) => item.keys.saturating_mul(RECORD),
    }
}

/// Refuses before anything goes what would not find its place in the middle.
fn fits(target: &RedisTarget, folder: &Path, estimated: u64) -> Result<(), CliError> {
    let hint = "narrow the pattern, raise backup-limit, or remove for good: --no-backup";
    if let Some(limit) = target.settings.backup_limit.filter(|limit| estimated > *limit) {
        let what = format!(
            "the undo of {} would take about {estimated} bytes, and its limit is {limit}",
            target.cache
        );
        return Err(CliError::refused(what).hint(hint));
    }
    let free = larder_fs::disk(folder).map_or(u64::MAX, |disk| disk.free);
    if estimated > free / 10 * 9 {
        let what = format!(
            "the undo of {} would take about {estimated} bytes, and {} has {free} free",
            target.cache,
            folder.display()
        );
        return Err(CliError::refused(what).hint(hint));
    }
    Ok(())
}

/// Every file, the latest first. What is none of these files is left out.
pub(crate) fn list(state: &Path) -> Vec<KeyEntry> {
    let Ok(files) = std::fs::read_dir(folder(state)) else { return Vec::new() };
    let mut entries: Vec<KeyEntry> = files
        .flatten()
        .filter_map(|file| {
            let path = file.path();
            let stem = path.file_stem()?.to_str()?.to_owned();
            let reader = UndoReader::open(&path).ok()?;
            let header = reader.header().clone();
            Some(KeyEntry {
                header,
                // One that was not written to its end has its keys counted.
                keys: stem
                    .split_once('-')
                    .and_then(|(_, keys)| keys.parse().ok())
                    .unwrap_or_else(|| reader.count()),
                bytes: file.metadata().ok()?.len(),
                path,
            })
        })
        .collect();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.header.created_at));
    entries
}

/// Removes what has been there for `keep`, for good.
pub(crate) fn expire(state: &Path, keep: Duration, now: Time) {
    for entry in list(state).iter().filter(|entry| entry.created_at().plus(keep) < now) {
        // The next run tries again.
        let _ = larder_fs::forget_file(&entry.path);
    }
}

/// Brings the keys of an entry back; once all of them are, the entry goes.
pub(crate) fn restore(
    context: &Context<'_>,
    entry: &KeyEntry,
    replace: bool,
) -> Result<KeysRestored, CliError> {
    let target = redis_target::find(context, &entry.header.cache)?;
    if target.endpoint.url() != entry.header.url {
        let what = format!(
            "{} was at {} when these keys were removed and is now at {}",
            entry.header.cache,
            entry.header.url,
            target.endpoint.url()
        );
        return Err(
            CliError::refused(what).hint("set its url back, or name a Redis at the old one")
        );
    }
    let damaged = |error: &UndoFileError| {
        CliError::new(Exit::Partly, format!("{}: {error}", entry.path.display()))
    };
    let deployment =
        Deployment::discover(&target.endpoint).map_err(|error| redis_target::failed(&error))?;
    let mut reader = UndoReader::open(&entry.path).map_err(|error| damaged(&error))?;
    let stopped = || context.meter.stopped();
    let restored = restore_keys(&deployment, &mut reader, replace, &stopped);
    let restored = restored.map_err(|error| match &error {
        RestoreError::Redis(error) => redis_target::failed(error),
        RestoreError::File(error) => damaged(error),
    })?;
    if let Some(error) = &restored.stopped
        && restored.restored + restored.expired + restored.gone == 0
    {
        return Err(broke_off(error));
    }
    if restored.complete() {
        larder_fs::forget_file(&entry.path)
            .map_err(|error| CliError::io("remove", &entry.path, &error))?;
    }
    Ok(restored)
}

/// Why nothing came back.
fn broke_off(error: &RedisError) -> CliError {
    let failed = redis_target::failed(error);
    match error {
        RedisError::OutOfMemory { .. } => failed.with_exit(Exit::Partly).hint(FULL),
        _ => failed,
    }
}

/// What to do about a server that is out of memory.
pub(crate) const FULL: &str = "free memory there or raise its maxmemory, then run this again: what is kept stays in the trash";
