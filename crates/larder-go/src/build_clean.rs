//! All of a build cache's entries, or all of its fuzzing data, at once: the effect of
//! `go clean -cache` and `go clean -fuzzcache` (`cmd/go/internal/clean/clean.go`).
//!
//! Promises: only what bears an entry's name and is of its kind goes; foreign files, symlinks and
//! mount points stay, and with them the folder that they are in. Nothing is scanned before: what
//! goes is measured as it goes. Leaves out: `go clean -testcache`, which is a time stamp
//! (`trim`), and the care for running builds, for which the caller has asked.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use larder_core::{Meter, Size};
use larder_fs::{Dir, Disposal, Everything, Kind, Removal, RemoveOptions};

use crate::build_layout::{BuildLayout, entry_of_kind, shard_name};
use crate::build_remove::unlink_file;

/// Threads where none are asked for: where each unlink waits for the disk they wait together.
const THREADS: usize = 16;

/// Removes all entries with the folders `00` to `ff`, and `log.txt`.
///
/// `README`, the time stamps and `fuzz` stay, as with the go command. Into the trash a folder
/// goes whole where nothing foreign is in it.
pub fn clean_build(
    root: &Dir,
    layout: &BuildLayout,
    how: &Disposal<'_>,
    options: &RemoveOptions<'_>,
) -> Removal {
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Removal { complete: true, ..Removal::default() });
    let run = || {
        let mut mine = Removal { complete: true, ..Removal::default() };
        while let Some(&shard) = layout.shards.get(next.fetch_add(1, Ordering::Relaxed)) {
            if options.meter.stopped() {
                mine.complete = false;
                break;
            }
            let removal = clean_shard(root, shard, *how, options.meter);
            options.meter.add(removal.freed.files, removal.freed.allocated.0);
            mine.merge(removal);
        }
        all.lock().unwrap_or_else(PoisonError::into_inner).merge(mine);
    };
    let threads = if options.threads == 0 { THREADS } else { options.threads };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(layout.shards.len()) {
            scope.spawn(run);
        }
        run();
    });
    let mut removal = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Ok(Some(meta)) = root.look(OsStr::new("log.txt"))
        && meta.kind == Kind::File
    {
        removal.merge(dispose(*how, root, OsStr::new("log.txt"), Path::new("log.txt")));
    }
    removal.left.extend(
        layout
            .blocked
            .iter()
            .filter(|(name, _)| name != Path::new("fuzz"))
            .map(|(name, _)| root.path().join(name)),
    );
    removal.complete &= removal.left.is_empty();
    removal
}

/// Removes `fuzz` with all corpora in it, as the go command does.
pub fn clean_fuzz(
    root: &Dir,
    layout: &BuildLayout,
    how: &Disposal<'_>,
    options: &RemoveOptions<'_>,
) -> Removal {
    if layout.fuzz {
        return how.dispose(root, OsStr::new("fuzz"), Path::new("fuzz"), &Everything, (), options);
    }
    let blocked = layout.blocked.iter().filter(|(name, _)| name == Path::new("fuzz"));
    let left: Vec<PathBuf> = blocked.map(|(name, _)| root.path().join(name)).collect();
    Removal { complete: left.is_empty(), left, ..Removal::default() }
}

fn clean_shard(root: &Dir, shard: u8, how: Disposal<'_>, meter: &Meter) -> Removal {
    let name = shard_name(shard);
    let mut removal = Removal { complete: true, ..Removal::default() };
    let dir = match root.open_dir(OsStr::new(&name)) {
        Ok(dir) => dir,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return removal,
        Err(error) => return failed(removal, root.path().join(name), error),
    };
    let ours = |entry: &OsStr, kind: Kind| entry_of_kind(shard, entry, kind).is_some();
    if how.is_trash()
        && let Ok(Some(entries)) = dir.count_all(ours)
        && let Some(moved) = move_whole(root, &name, how, entries)
    {
        return moved;
    }
    let entries = match dir.entries() {
        Ok(entries) => entries,
        Err(error) => return failed(removal, root.path().join(name), error),
    };
    for (entry, kind) in &entries {
        if meter.stopped() {
            removal.complete = false;
            return removal;
        }
        if !ours(entry, *kind) {
            removal.left.push(dir.path().join(entry));
            continue;
        }
        if *kind == Kind::File && !how.is_trash() {
            match unlink_file(&dir, entry) {
                Ok(size) => removal.freed += size.unwrap_or_default(),
                Err(error) => removal = failed(removal, dir.path().join(entry), error),
            }
        } else {
            removal.merge(dispose(how, &dir, entry, &Path::new(&name).join(entry)));
        }
    }
    removal.complete &= removal.left.is_empty();
    if removal.complete { remove_folder(root, &name, &dir, removal) } else { removal }
}

/// A folder of entries into the trash by one rename; `None` where the trash has one of this name,
/// so that single entries must be put beside those that are in it.
fn move_whole(root: &Dir, name: &str, how: Disposal<'_>, entries: u64) -> Option<Removal> {
    let mut moved = dispose(how, root, OsStr::new(name), Path::new(name));
    if moved.errors.iter().any(|(_, error)| error.kind() == io::ErrorKind::AlreadyExists) {
        return None;
    }
    if moved.complete && moved.freed.files == 0 {
        // A rename measures nothing; the names have just been counted.
        moved.freed.files = entries;
    }
    Some(moved)
}

/// The emptied folder itself. Where a go command has put something into it again, it stays.
fn remove_folder(root: &Dir, name: &str, dir: &Dir, mut removal: Removal) -> Removal {
    let allocated = dir.meta().map_or(0, |meta| meta.allocated);
    match root.rmdir(OsStr::new(name)) {
        Ok(()) => removal.freed += Size::new(0, 0, allocated),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound
            ) => {}
        Err(error) => return failed(removal, root.path().join(name), error),
    }
    removal
}

fn dispose(how: Disposal<'_>, dir: &Dir, name: &OsStr, rel: &Path) -> Removal {
    let quiet = Meter::default();
    how.dispose(dir, name, rel, &Everything, (), &RemoveOptions { threads: 1, meter: &quiet })
}

fn failed(mut removal: Removal, path: PathBuf, error: io::Error) -> Removal {
    removal.errors.push((path, error));
    removal.complete = false;
    removal
}
