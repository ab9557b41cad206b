//! What is in a build cache: the fast sums for every screen, and the inventory that plans need.
//!
//! Promises: no symlink followed, no mount point entered, no access time touched, and memory that
//! does not grow with the cache ([`totals`]) or grows by some 30 bytes an entry ([`inventory`]).
//! What is not Go's is counted apart and named. Leaves out: whose the bytes are (`build_owner`).

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use larder_core::build_inventory::{Names, entry_seconds};
use larder_core::{Action, BuildInventory, EntryId, EntryKey, Meter, Output, Size};
use larder_fs::{Dir, Kind, Meta};

use crate::build_entry;
use crate::build_layout::{BuildLayout, EntryName, entry_of_kind, shard_name};

/// Threads for an inventory: more than cores, since a cold disk is waited for.
const THREADS: usize = 8;

/// Names of foreign files that are kept for the report; beyond that they are only counted.
const MAX_NAMED: usize = 1000;

/// Every entry of a build cache, and what stands between them.
#[derive(Debug)]
pub struct BuildScan {
    /// The entries.
    pub inventory: BuildInventory,
    /// What is not Go's, relative to the root, at most a thousand of them: reported, left alone.
    pub foreign: Vec<PathBuf>,
    /// All that is not Go's, without what foreign folders hold; not in the inventory's size.
    pub foreign_size: Size,
    /// Outputs whose removal was begun and did not end, relative to the root.
    pub leftovers: Vec<(PathBuf, Size)>,
    /// Actions that are there and could not be read: what they name is not known.
    pub unread_actions: u64,
    /// What could not be looked at.
    pub errors: Vec<(PathBuf, io::Error)>,
    /// Whether all was seen: not asked to stop in the middle.
    pub complete: bool,
}

/// Looks at every entry of the cache and reads every action.
///
/// Two passes over the folders: outputs first, then the actions, each resolved as it is read. So
/// no list of unresolved names is ever held, and the peak is the inventory itself.
pub fn inventory(root: &Dir, layout: &BuildLayout, meter: &Meter) -> BuildScan {
    let mut scan = BuildScan {
        inventory: BuildInventory::empty(),
        foreign: layout.foreign.clone(),
        foreign_size: Size::default(),
        leftovers: Vec::new(),
        unread_actions: 0,
        errors: Vec::new(),
        complete: true,
    };
    let mut overhead = Size::default();
    at_root(root, layout, &mut overhead, &mut scan);
    for (shard, seen) in each_shard(root, layout, meter, outputs) {
        scan.inventory.shards[usize::from(shard)].outputs = seen.entries;
        overhead += seen.overhead;
        scan.take_notes(seen.notes);
    }
    let known = &scan.inventory;
    let found = each_shard(root, layout, meter, |dir, shard| actions(dir, shard, known));
    for (shard, seen) in found {
        scan.inventory.shards[usize::from(shard)].actions = seen.entries;
        scan.take_notes(seen.notes);
    }
    scan.inventory.overhead = overhead;
    scan.complete = !meter.stopped();
    scan.foreign.sort_unstable();
    scan.leftovers.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    scan
}

impl BuildScan {
    fn take_notes(&mut self, notes: Notes) {
        let room = MAX_NAMED.saturating_sub(self.foreign.len());
        self.foreign.extend(notes.foreign.into_iter().take(room));
        self.foreign_size += notes.foreign_size;
        self.leftovers.extend(notes.leftovers);
        self.unread_actions += notes.unread_actions;
        self.errors.extend(notes.errors);
    }
}

/// What one folder of entries gave.
struct Seen<T> {
    entries: Box<[T]>,
    overhead: Size,
    notes: Notes,
}

#[derive(Default)]
struct Notes {
    foreign: Vec<PathBuf>,
    foreign_size: Size,
    leftovers: Vec<(PathBuf, Size)>,
    unread_actions: u64,
    errors: Vec<(PathBuf, io::Error)>,
}

/// Root, README and time stamps.
fn at_root(root: &Dir, layout: &BuildLayout, overhead: &mut Size, scan: &mut BuildScan) {
    match root.meta() {
        Ok(meta) => *overhead += Size::new(0, 0, meta.allocated),
        Err(error) => scan.errors.push((root.path().to_owned(), error)),
    }
    for name in crate::build_layout::ROOT_FILES {
        if let Ok(Some(meta)) = root.look(OsStr::new(name))
            && meta.kind == Kind::File
        {
            *overhead += size_of(&meta);
        }
    }
    for name in &layout.foreign {
        if let Ok(Some(meta)) = root.look(name.as_os_str()) {
            scan.foreign_size += size_of(&meta);
        }
    }
}

/// What a file counts; a folder only what the disk gives back for it.
pub(crate) fn size_of(meta: &Meta) -> Size {
    match meta.kind {
        Kind::Folder => Size::new(0, 0, meta.allocated),
        _ => Size::new(1, meta.logical, meta.allocated),
    }
}

/// Runs `work` over all folders of entries in parallel.
fn each_shard<T: Send>(
    root: &Dir,
    layout: &BuildLayout,
    meter: &Meter,
    work: impl Fn(&Dir, u8) -> Seen<T> + Sync,
) -> Vec<(u8, Seen<T>)> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(layout.shards.len()));
    let run = || {
        while let Some(&shard) = layout.shards.get(next.fetch_add(1, Ordering::Relaxed)) {
            if meter.stopped() {
                return;
            }
            let name = shard_name(shard);
            let seen = match root.open_dir(OsStr::new(&name)) {
                Ok(dir) => work(&dir, shard),
                Err(error) => Seen::failed(root.path().join(&name), error),
            };
            meter.add(seen.entries.len() as u64, seen.overhead.allocated.0);
            done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((shard, seen));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..THREADS {
            scope.spawn(run);
        }
        run();
    });
    done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl<T> Seen<T> {
    fn new() -> Self {
        Self { entries: Box::default(), overhead: Size::default(), notes: Notes::default() }
    }

    fn failed(path: PathBuf, error: io::Error) -> Self {
        let mut seen = Self::new();
        seen.notes.errors.push((path, error));
        seen
    }
}

/// First pass: the outputs of one folder, and all that is no entry.
fn outputs(dir: &Dir, shard: u8) -> Seen<Output> {
    let mut seen = Seen::new();
    let entries = match dir.entries() {
        Ok(entries) => entries,
        Err(error) => return Seen::failed(dir.path().to_owned(), error),
    };
    if let Ok(meta) = dir.meta() {
        seen.overhead += Size::new(0, 0, meta.allocated);
    }
    let is_output = |name: &OsStr| name.as_encoded_bytes().ends_with(b"-d");
    let mut found = Vec::with_capacity(entries.iter().filter(|(n, _)| is_output(n)).count());
    for (name, kind) in &entries {
        let entry = entry_of_kind(shard, name, *kind);
        if matches!(entry, Some(EntryName::Action(_))) {
            continue;
        }
        let meta = match dir.look(name) {
            Ok(Some(meta)) => meta,
            Ok(None) => continue,
            Err(error) => {
                seen.notes.errors.push((dir.path().join(name), error));
                continue;
            }
        };
        let rel = || PathBuf::from(shard_name(shard)).join(name);
        match entry {
            Some(EntryName::Output(id)) if !meta.mount_point => {
                let size = size_of(&meta) + inside(dir, name, &meta, &mut seen.notes);
                let folder = meta.kind == Kind::Folder;
                let used = entry_seconds(meta.modified);
                found.push(Output::new(
                    key_of(&id),
                    used,
                    size.logical.0,
                    size.allocated.0,
                    folder,
                ));
            }
            Some(EntryName::Staged(_)) if !meta.mount_point => {
                let size = size_of(&meta) + inside(dir, name, &meta, &mut seen.notes);
                seen.overhead += size;
                seen.notes.leftovers.push((rel(), size));
            }
            _ => {
                if seen.notes.foreign.len() < MAX_NAMED {
                    seen.notes.foreign.push(rel());
                }
                seen.notes.foreign_size += size_of(&meta);
            }
        }
    }
    seen.entries = found.into_boxed_slice();
    seen
}

/// What the folder of an executable holds: one file, for Go. Nothing for a file.
fn inside(dir: &Dir, name: &OsStr, meta: &Meta, notes: &mut Notes) -> Size {
    if meta.kind != Kind::Folder {
        return Size::default();
    }
    folder_size(dir, name).unwrap_or_else(|error| {
        notes.errors.push((dir.path().join(name), error));
        Size::default()
    })
}

pub(crate) fn folder_size(dir: &Dir, name: &OsStr) -> io::Result<Size> {
    let folder = dir.open_dir(name)?;
    let mut size = Size::default();
    for (name, _) in folder.entries()? {
        if let Some(meta) = folder.look(&name)? {
            size += size_of(&meta);
        }
    }
    Ok(size)
}

/// Second pass: the actions of one folder, each with what it names.
fn actions(dir: &Dir, shard: u8, known: &BuildInventory) -> Seen<Action> {
    let mut seen = Seen::new();
    let entries = match dir.entries() {
        Ok(entries) => entries,
        Err(error) => return Seen::failed(dir.path().to_owned(), error),
    };
    let is_action = |name: &OsStr| name.as_encoded_bytes().ends_with(b"-a");
    let mut found = Vec::with_capacity(entries.iter().filter(|(n, _)| is_action(n)).count());
    for (name, kind) in &entries {
        let Some(EntryName::Action(id)) = entry_of_kind(shard, name, *kind) else { continue };
        let meta = match dir.look(name) {
            Ok(Some(meta)) => meta,
            Ok(None) => continue,
            Err(error) => {
                seen.notes.unread_actions += 1;
                seen.notes.errors.push((dir.path().join(name), error));
                continue;
            }
        };
        let used = entry_seconds(meta.modified);
        let mut action = Action::new(key_of(&id), used, meta.logical, meta.allocated);
        let text = if meta.logical == build_entry::ENTRY_LEN as u64 {
            build_entry::read(dir, name, &id)
        } else {
            Ok(None)
        };
        match text {
            Ok(Some(text)) => action.set_names(
                known.find_output(key_of(&text.output)).map_or(Names::Missing, Names::Output),
            ),
            Ok(None) => action.set_names(Names::Damaged),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            // What cannot be read is not taken for damaged: nothing is known of it.
            Err(error) => {
                seen.notes.unread_actions += 1;
                seen.notes.errors.push((dir.path().join(name), error));
                continue;
            }
        }
        found.push(action);
    }
    seen.entries = found.into_boxed_slice();
    seen
}

/// An entry's short name in the inventory.
pub fn key_of(id: &EntryId) -> EntryKey {
    let mut half = [0; 16];
    half.copy_from_slice(&id.0[..16]);
    EntryKey(half)
}
