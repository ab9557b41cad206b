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

use larder_core::{Meter, PlanItem, Size, Target, Time};
use larder_fs::{Dir, Disposal, Everything, FileLock, Kind, LockError, Meta, RemoveOptions};

use crate::extract::open_or_make;
use crate::mod_layout::{ModLayout, classify};
use crate::mod_list;
use crate::mod_names::{FIPS_MODULE, Part, download_folder, extracted_path, part_name};
use crate::mod_scan::part_path;
use crate::mod_times::access_times_kept;

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
        if let Target::Version { module, .. } = &item.target {
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
                let removal = VersionRemoval::new(self, module, version, paths, threads)?;
                removal.run(item.last_used)?
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
            Target::Version { module, version, .. } => (module.clone(), version.clone()),
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
        Target::Version { module, .. } => Some(module),
        _ => None,
    }
}

/// One version on its way out.
struct VersionRemoval<'a> {
    remover: &'a Remover<'a>,
    module: &'a str,
    version: &'a str,
    threads: usize,
    /// Whether the plan names its folder.
    extracted: bool,
    /// Which of its files the plan names, by [`Part::bit`].
    parts: u8,
}

/// What of a version is there at the moment.
struct Present {
    /// The folder above the extracted one, that one's name, and what it is.
    extracted: Option<(Dir, Meta)>,
    zip: Option<Meta>,
    ziphash: Option<Meta>,
    partial: Option<Meta>,
}

impl<'a> VersionRemoval<'a> {
    fn new(
        remover: &'a Remover<'a>,
        module: &'a str,
        version: &'a str,
        paths: &[PathBuf],
        threads: usize,
    ) -> Result<Self, NotRemoved> {
        let mut removal = Self { remover, module, version, threads, extracted: false, parts: 0 };
        let is = |path: &PathBuf, part| part_path(module, version, part).as_ref() == Some(path);
        for path in paths {
            let of_this = matches!(
                classify(path),
                Some(Target::Version { module: m, version: v, .. }) if m == module && v == version
            );
            if !of_this {
                let why = format!("{} is not a part of {module}@{version}", path.display());
                return Err(NotRemoved::Skipped(why));
            }
            match [Part::Zip, Part::Ziphash, Part::Partial].into_iter().find(|p| is(path, *p)) {
                Some(part) => removal.parts |= part.bit(),
                None => removal.extracted = true,
            }
        }
        Ok(removal)
    }

    fn run(&self, last_used: Option<Time>) -> Removed {
        let (folder, lock) = self.remover.lock_version(self.module, self.version)?;
        let present = self.look(&folder)?;
        self.check(&present, last_used)?;
        let mut done = Done::default();
        let partial = self.part(Part::Partial)?;
        let mut marked = present.partial.is_some();
        let mut gone = present.extracted.is_none();
        if let Some((above, _)) = present.extracted.as_ref().filter(|_| self.extracted) {
            if !marked {
                drop(folder.create(OsStr::new(&partial)).map_err(failed(&folder, &partial))?);
                marked = true;
            }
            gone = self.dispose_extracted(above, &mut done)?;
        }
        if gone || !self.extracted {
            for (there, part) in
                [(present.zip.is_some(), Part::Zip), (present.ziphash.is_some(), Part::Ziphash)]
            {
                if there && self.names(part) {
                    self.dispose_part(&folder, part, &mut done)?;
                }
            }
        }
        // Marked for as long as anything is left that could be taken for whole.
        if gone && marked {
            folder.unlink(OsStr::new(&partial)).map_err(failed(&folder, &partial))?;
        }
        drop(lock);
        if gone && let Some(path) = extracted_path(self.module, self.version) {
            self.remover.remove_empty_parents(&path);
        }
        Ok(done)
    }

    /// Whether the plan names this file.
    fn names(&self, part: Part) -> bool {
        self.parts & part.bit() != 0
    }

    fn part(&self, part: Part) -> Result<String, NotRemoved> {
        part_name(self.version, part)
            .ok_or_else(|| NotRemoved::skipped("not the name of a module version"))
    }

    /// What is there now; what is not of the kind that Go makes is a reason to stop.
    fn look(&self, folder: &Dir) -> Result<Present, NotRemoved> {
        let file = |part| {
            let name = self.part(part)?;
            let meta = folder.look(OsStr::new(&name)).map_err(failed(folder, &name))?;
            match meta {
                Some(meta) if meta.kind != Kind::File => {
                    Err(NotRemoved::Skipped(format!("its {} is {}", part.suffix(), phrase(&meta))))
                }
                other => Ok(other),
            }
        };
        Ok(Present {
            extracted: self.look_extracted()?,
            zip: file(Part::Zip)?,
            ziphash: file(Part::Ziphash)?,
            partial: file(Part::Partial)?,
        })
    }

    fn look_extracted(&self) -> Result<Option<(Dir, Meta)>, NotRemoved> {
        let unnamed = || NotRemoved::skipped("not the name of a module version");
        let path = extracted_path(self.module, self.version).ok_or_else(unnamed)?;
        let (above, name) = (path.parent().ok_or_else(unnamed)?, path.file_name());
        let name = name.ok_or_else(unnamed)?;
        let above = match self.remover.root.open_path(above) {
            Ok(above) => above,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                // A symlink on the way is refused; that is a change, not a failure.
                let why = format!("a folder above it cannot be entered: {source}");
                return Err(NotRemoved::Skipped(why));
            }
        };
        let meta = above.look(name).map_err(NotRemoved::io(above.path().join(name)))?;
        match meta {
            None => Ok(None),
            Some(meta) if meta.kind != Kind::Folder => {
                Err(NotRemoved::Skipped(format!("its folder is {} now", phrase(&meta))))
            }
            Some(meta) if meta.mount_point => {
                Err(NotRemoved::skipped("its folder is a mount point now"))
            }
            Some(meta) => Ok(Some((above, meta))),
        }
    }

    /// Holds what is there against what was planned.
    fn check(&self, present: &Present, last_used: Option<Time>) -> Result<(), NotRemoved> {
        let content = [&present.zip, &present.ziphash];
        let any = present.extracted.is_some()
            || present.partial.is_some()
            || content.iter().any(|meta| meta.is_some());
        if !any {
            return Err(NotRemoved::skipped("it is gone already"));
        }
        let of_no_use = self.extracted && !self.names(Part::Ziphash) && self.module != FIPS_MODULE;
        if of_no_use && !self.is_unusable(present) {
            return Err(NotRemoved::skipped("it is whole by now"));
        }
        // A go command may have written the rest while we waited for its lock; a part left behind
        // would be half a version.
        if self.leaves_half(present) {
            return Err(NotRemoved::skipped("it has been written to since it was planned"));
        }
        // To the second, for plans may be written in seconds.
        let Some(planned) = last_used.map(Time::unix) else { return Ok(()) };
        let reads = access_times_kept(self.remover.root.path());
        let written = present.extracted.iter().map(|(_, meta)| meta.modified);
        let read = content.into_iter().flatten().flat_map(|meta| {
            let read = reads && (self.names(Part::Zip) || self.names(Part::Ziphash));
            [Some(meta.modified), read.then_some(meta.accessed)].into_iter().flatten()
        });
        if written.chain(read).any(|time| time.unix() > planned) {
            return Err(NotRemoved::skipped("it has been used since it was planned"));
        }
        Ok(())
    }

    /// Whether something of a version stands there that the plan for its content does not name.
    fn leaves_half(&self, present: &Present) -> bool {
        let (zip, ziphash) = (self.names(Part::Zip), self.names(Part::Ziphash));
        let unnamed = (present.extracted.is_some() && !self.extracted)
            || (present.zip.is_some() && !zip)
            || (present.ziphash.is_some() && !ziphash);
        (zip || ziphash) && unnamed
    }

    fn is_unusable(&self, present: &Present) -> bool {
        let Some((above, _)) = &present.extracted else { return present.partial.is_some() };
        let empty = || {
            let path = extracted_path(self.module, self.version);
            let name = path.as_deref().and_then(Path::file_name);
            name.and_then(|name| above.open_dir(name).ok())
                .and_then(|dir| dir.entries().ok())
                .is_some_and(|entries| entries.is_empty())
        };
        present.partial.is_some() || present.ziphash.is_none() || empty()
    }

    /// Whether the folder is gone altogether.
    fn dispose_extracted(&self, above: &Dir, done: &mut Done) -> Result<bool, NotRemoved> {
        let unnamed = || NotRemoved::skipped("not the name of a module version");
        let path = extracted_path(self.module, self.version).ok_or_else(unnamed)?;
        let name = path.file_name().ok_or_else(unnamed)?;
        let options = self.remover.options(self.threads);
        let removal = self.remover.how.dispose(above, name, &path, &Everything, (), &options);
        done.add(removal);
        Ok(above.look(name).is_ok_and(|meta| meta.is_none()))
    }

    fn dispose_part(&self, folder: &Dir, part: Part, done: &mut Done) -> Result<(), NotRemoved> {
        let name = self.part(part)?;
        let unnamed = || NotRemoved::skipped("not the name of a module version");
        let path = part_path(self.module, self.version, part).ok_or_else(unnamed)?;
        let options = self.remover.options(1);
        let how = self.remover.how;
        done.add(how.dispose(folder, OsStr::new(&name), &path, &Everything, (), &options));
        Ok(())
    }
}

fn failed(folder: &Dir, name: &str) -> impl FnOnce(io::Error) -> NotRemoved + use<> {
    NotRemoved::io(folder.path().join(name))
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
