//! Removing single things from a module cache, as safely as the go command's own rules allow.
//!
//! A version goes under its own lock and marked as partial from before the first file of it goes
//! until the last one went; so a go command never takes half a folder for a whole one, and after
//! a crash the next one, or the next larder, finishes the work. `.info`, `.mod` and the lock stay:
//! choosing versions needs them (`cmd/go/internal/modfetch/{cache,fetch}.go`). Each thing is
//! looked at again just before it goes; what changed since it was planned stays.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use larder_core::{Meter, PlanItem, Size, Target};
use larder_fs::{Dir, Disposal, FileLock, Kind, LockError, Meta, RemoveOptions};

use crate::extract::open_or_make;
use crate::mod_layout::ModLayout;
use crate::mod_list;
use crate::mod_names::{Part, download_folder, part_name};
use crate::mod_remove_version::VersionRemoval;

/// Threads where none are asked for: each waits for locks and for the disk.
const THREADS: usize = 16;

/// Removes from one proven module cache.
#[derive(Debug)]
pub struct Remover<'a> {
    /// The cache.
    pub root: &'a Dir,
    /// The proof that it is one.
    pub layout: ModLayout,
    /// Where things go.
    pub how: &'a Disposal<'a>,
    /// How long to wait for a lock.
    pub wait: Duration,
    /// At most so many threads; 0 for the default.
    pub threads: usize,
    /// Progress, and the wish to stop.
    pub meter: &'a Meter,
}

/// What a removal did.
#[derive(Debug, Default)]
pub struct Done {
    /// What is gone from the cache: freed, or moved to the trash.
    pub size: Size,
    /// What was left in place although it was below what went, relative to nothing: full paths.
    pub left: Vec<PathBuf>,
    /// What could not be removed.
    pub errors: Vec<(PathBuf, io::Error)>,
}

/// Why nothing, or not all, was removed.
#[derive(Debug, thiserror::Error)]
pub enum NotRemoved {
    /// It is not as it was when it was planned, or not something that larder removes.
    #[error("{0}")]
    Skipped(String),
    /// Somebody held its lock for as long as we waited.
    #[error("{} is locked by another process", .0.display())]
    Busy(PathBuf),
    /// The work was asked to stop.
    #[error("stopped")]
    Stopped,
    /// It could not be done.
    #[error("cannot remove {}", .path.display())]
    Io {
        /// What failed.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl NotRemoved {
    pub(crate) fn skipped(why: &str) -> Self {
        Self::Skipped(why.to_owned())
    }

    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |source| Self::Io { path, source }
    }
}

impl From<LockError> for NotRemoved {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Busy { path } => Self::Busy(path),
            LockError::Stopped => Self::Stopped,
            LockError::Io { path, source } => Self::Io { path, source },
        }
    }
}

/// How one removal ended.
pub type Removed = Result<Done, NotRemoved>;

impl Remover<'_> {
    /// Removes what `item` names, of which nothing is taken on trust.
    pub fn remove(&self, item: &PlanItem) -> Removed {
        let done = self.remove_with(item, self.threads)?;
        if let Some(module) = module_of(&item) {
            self.refresh_list(module);
        }
        Ok(done)
    }

    /// Removes many, several at a time; the answers stand in the order of the items.
    pub fn remove_all(&self, items: &[&PlanItem]) -> Vec<Removed> {
        let groups = by_version(items);
        let threads = if self.threads == 0 { THREADS } else { self.threads };
        // Few large things share the threads, many small ones have one each.
        let inner = (threads / groups.len().max(1)).max(1);
        let next = AtomicUsize::new(0);
        let answers: Mutex<Vec<Option<Removed>>> = Mutex::new(items.iter().map(|_| None).collect());
        std::thread::scope(|scope| {
            for _ in 0..threads.min(groups.len()) {
                scope.spawn(|| {
                    while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
                        for &at in group {
                            let answer = if self.meter.stopped() {
                                Err(NotRemoved::Stopped)
                            } else {
                                self.remove_with(items[at], inner)
                            };
                            let mut all = answers.lock().unwrap_or_else(PoisonError::into_inner);
                            all[at] = Some(answer);
                        }
                    }
                });
            }
        });
        let mut modules: Vec<&str> = items.iter().filter_map(|item| module_of(item)).collect();
        modules.sort_unstable();
        modules.dedup();
        for module in modules {
            self.refresh_list(module);
        }
        let answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
        answers.into_iter().map(|answer| answer.unwrap_or(Err(NotRemoved::Stopped))).collect()
    }

    fn remove_with(&self, item: &PlanItem, threads: usize) -> Removed {
        if self.root.identity().ok() != Some(self.layout.identity()) {
            return Err(NotRemoved::skipped("another folder has taken the cache's place"));
        }
        let mut done = match &item.target {
            Target::Version { module, version, paths } => {
                let removal = VersionRemoval::new(self, module, version, threads);
                removal.of(paths)?.run(item.last_used)?
            }
            Target::Damaged { module, version, paths } => {
                let removal = VersionRemoval::new(self, module, version, threads);
                removal.damaged(paths)?.run(None)?
            }
            Target::Path(path) => self.remove_path(path, item.last_used, threads)?,
            _ => return Err(NotRemoved::skipped("not a part of a module cache")),
        };
        // A rename measures nothing; what was planned is what went.
        if let Some(size) = item.size.filter(|_| self.how.is_trash() && done.errors.is_empty()) {
            done.size = size;
        }
        Ok(done)
    }

    /// `.mod` files stay, so a list changes only if it was wrong before. Who holds its lock
    /// writes it himself, so nothing is reported.
    fn refresh_list(&self, module: &str) {
        if let Some(folder) = download_folder(module)
            && let Ok(folder) = self.root.open_path(&folder)
        {
            let _ = mod_list::rewrite(&folder, Duration::ZERO, self.meter);
        }
    }

    pub(crate) fn options(&self, threads: usize) -> RemoveOptions<'_> {
        RemoveOptions { threads, meter: self.meter }
    }

    /// Takes the lock of a version, whose folder is made where it is missing, as Go does.
    pub(crate) fn lock_version(
        &self,
        module: &str,
        version: &str,
    ) -> Result<(Dir, FileLock), NotRemoved> {
        let unnamed = || NotRemoved::skipped("not the name of a module version");
        let path = download_folder(module).ok_or_else(unnamed)?;
        let name = part_name(version, Part::Lock).ok_or_else(unnamed)?;
        let folder = open_or_make(self.root, &path).map_err(NotRemoved::io(&path))?;
        let full = folder.path().join(&name);
        let file = folder.open_lock(OsStr::new(&name)).map_err(NotRemoved::io(&full))?;
        let lock = FileLock::exclusive(file, &full, self.wait, self.meter)?;
        Ok((folder, lock))
    }

    /// Removes the folders above `path` as far as they are empty now; never the root.
    pub(crate) fn remove_empty_parents(&self, path: &Path) {
        for folder in path.ancestors().skip(1).take_while(|f| !f.as_os_str().is_empty()) {
            let Some(name) = folder.file_name() else { return };
            let above = folder.parent().unwrap_or(Path::new(""));
            if self.root.open_path(above).and_then(|dir| dir.rmdir(name)).is_err() {
                return;
            }
        }
    }
}

/// Indices of the items; those of one version together, for they share a lock.
fn by_version(items: &[&PlanItem]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::with_capacity(items.len());
    let mut known: HashMap<(String, String), usize> = HashMap::new();
    for (at, item) in items.iter().enumerate() {
        let key = match &item.target {
            Target::Version { module, version, .. } | Target::Damaged { module, version, .. } => {
                (module.clone(), version.clone())
            }
            Target::Path(path) => match crate::mod_layout::version_of_path(path) {
                Some(key) => key,
                None => {
                    groups.push(vec![at]);
                    continue;
                }
            },
            _ => {
                groups.push(vec![at]);
                continue;
            }
        };
        let group = *known.entry(key).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[group].push(at);
    }
    groups
}

fn module_of<'a>(item: &'a &PlanItem) -> Option<&'a str> {
    match &item.target {
        Target::Version { module, .. } | Target::Damaged { module, .. } => Some(module),
        _ => None,
    }
}

impl Done {
    pub(crate) fn add(&mut self, removal: larder_fs::Removal) {
        self.size += removal.freed;
        self.left.extend(removal.left);
        self.errors.extend(removal.errors);
    }
}

pub(crate) fn phrase(meta: &Meta) -> &'static str {
    match meta.kind {
        Kind::File => "a file",
        Kind::Folder => "a folder",
        Kind::Symlink => "a symlink",
        Kind::Other => "neither a file nor a folder",
    }
}
