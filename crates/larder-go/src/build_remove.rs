//! Taking entries out of a build cache that go commands may be using.
//!
//! Go looks an action up, sets the mtime of `-a` and then of `-d` to now where they are an hour
//! old or more, and only then looks whether `-d` is there (`cmd/go/internal/cache/cache.go`,
//! `Get`, `OutputFile`, `GetFile`). A `-d` that is gone by then is a plain miss; one that goes
//! later breaks a build, since tools open it long after. So here, for each entry:
//!
//! 1. `-a` and `-d` are looked at: used since the plan, changed in kind: they stay.
//! 2. `-d` is renamed within its folder, to a name that Go neither reads nor trims. From now on
//!    whoever looks it up misses.
//! 3. The renamed one is looked at again. A go command that found it before step 2 had set its
//!    mtime before that; then it is renamed back and stays. Until then it is gone for some
//!    microseconds, and a tool that is to open it has yet to be started.
//! 4. `-a` goes, then the renamed `-d`. In this order a crash leaves no action whose output is
//!    not there for longer than need be; a renamed output that is left is told by the scan and
//!    removed by the next prune, and by the same plan where that is applied again.
//!
//! What this cannot see: a use within the hour in which Go sets no mtime, which is why the caller
//! gives a cutoff for running builds that lies an hour earlier; and a go command that has just
//! made the same output again and is comparing it with the file, a few milliseconds in which
//! Go's own trim has the same gap. An action that came to name the output since the plan is not
//! looked for: Go looked at the output then, so step 1 or 3 sees it, or its use is a plain miss.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use larder_core::{EntryId, Meter, PlanItem, Size, Target, Time};
use larder_fs::{Dir, Disposal, Everything, Kind, Meta, RemoveOptions};

use crate::build_layout::{EntryName, STAGED, classify, entry_name, shard_name, shard_of};
use crate::build_scan::{folder_size, size_of};
use crate::build_verify::is_stamp;
use crate::fuzz;

/// Threads where none are asked for: where each unlink waits for the disk they wait together.
const THREADS: usize = 16;

/// Items are handed to threads in runs of this many neighbours.
const RUN: usize = 32;

/// What became of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is gone from the cache: so much was freed, or is in the trash now.
    Gone(Size),
    /// It was left alone, and why.
    Skipped(&'static str),
}

/// An item could not be removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot remove {}: {source}", path.display())]
pub struct RemoveError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

const GONE: &str = "is no longer there";
const USED: &str = "was used since it was planned";
const RECENT: &str = "was used too recently";
const SYMLINK: &str = "has become a symlink";
const KIND: &str = "has changed in kind";
const FOREIGN: &str = "is nothing that larder removes";
const STOPPED: &str = "was not reached before the work was stopped";

/// Removes entries from one build cache.
#[derive(Debug)]
pub struct Remover<'a> {
    root: &'a Dir,
    how: &'a Disposal<'a>,
    cutoff: Time,
    meter: &'a Meter,
    /// The folders `00` to `ff`, each opened when it is first needed.
    shards: Box<[OnceLock<Dir>; 256]>,
}

impl<'a> Remover<'a> {
    /// What was used at `cutoff` or later stays: the protected age, and where builds run an hour
    /// before the first of them began.
    pub fn new(root: &'a Dir, how: &'a Disposal<'a>, cutoff: Time, meter: &'a Meter) -> Self {
        let shards = Box::new([const { OnceLock::new() }; 256]);
        Self { root, how, cutoff, meter, shards }
    }

    /// Removes each of `items` unless it has been used since; the answers are in their order.
    /// Several threads work, each on neighbours in one folder; `threads` 0 is the default.
    pub fn remove_all(
        &self,
        items: &[&PlanItem],
        threads: usize,
    ) -> Vec<Result<Fate, RemoveError>> {
        let mut order: Vec<usize> = (0..items.len()).collect();
        order.sort_by_key(|&at| folder_of(&items[at].target));
        let answers: Vec<OnceLock<Result<Fate, RemoveError>>> =
            items.iter().map(|_| OnceLock::new()).collect();
        let next = AtomicUsize::new(0);
        let run = || {
            loop {
                let from = next.fetch_add(RUN, Ordering::Relaxed);
                let Some(rest) = order.get(from..) else { return };
                let mut sum = Size::default();
                for &at in rest.iter().take(RUN) {
                    let answer = self.remove(&items[at].target, items[at].last_used);
                    if let Ok(Fate::Gone(size)) = &answer {
                        sum += *size;
                    }
                    // Each place is in `order` once, so it is empty.
                    let _ = answers[at].set(answer);
                }
                self.meter.add(sum.files, sum.allocated.0);
            }
        };
        let threads = if threads == 0 { THREADS } else { threads };
        std::thread::scope(|scope| {
            for _ in 1..threads.min(items.len().div_ceil(RUN)) {
                scope.spawn(run);
            }
            run();
        });
        let stopped = || Ok(Fate::Skipped(STOPPED));
        answers.into_iter().map(|answer| answer.into_inner().unwrap_or_else(stopped)).collect()
    }

    /// Removes one item unless it has been used after `planned`, whole seconds being compared.
    pub fn remove(&self, target: &Target, planned: Option<Time>) -> Result<Fate, RemoveError> {
        if self.meter.stopped() {
            return Ok(Fate::Skipped(STOPPED));
        }
        match target {
            Target::Entry { action, output } => {
                self.remove_entry(action.as_ref(), output.as_ref(), planned)
            }
            Target::Path(rel) if is_stamp(rel) => self.remove_stamp(rel, planned),
            Target::Path(rel) if classify(rel).as_ref() == Some(target) => {
                if rel.starts_with("fuzz") {
                    self.remove_fuzz_target(rel, planned)
                } else {
                    self.finish(rel)
                }
            }
            _ => Ok(Fate::Skipped(FOREIGN)),
        }
    }

    fn remove_entry(
        &self,
        action: Option<&EntryId>,
        output: Option<&EntryId>,
        planned: Option<Time>,
    ) -> Result<Fate, RemoveError> {
        let action = action.map(|id| self.file(id, id.action_path())).transpose()?;
        let output = output.map(|id| self.file(id, id.output_path())).transpose()?;
        let rules = Rules { planned, cutoff: self.cutoff };
        let action_there = match &action {
            Some(file) => match rules.judge(file.look()?.as_ref(), false) {
                Verdict::Goes => true,
                Verdict::Absent => false,
                Verdict::Stays(why) => return Ok(Fate::Skipped(why)),
            },
            None => false,
        };
        let action = action.filter(|_| action_there);
        let Some(output) = output else {
            return match action {
                Some(action) => self.dispose(&action, action.name()).map(Fate::Gone),
                None => Ok(Fate::Skipped(GONE)),
            };
        };
        match rules.judge(output.look()?.as_ref(), true) {
            Verdict::Goes => self.remove_output(action.as_ref(), &output, &rules),
            Verdict::Stays(why) => Ok(Fate::Skipped(why)),
            Verdict::Absent => self.finish_entry(action.as_ref(), &output, &rules),
        }
    }

    /// An entry whose output is not there, or has been renamed by a removal that was cut short.
    fn finish_entry(
        &self,
        action: Option<&EntryFile<'_>>,
        output: &EntryFile<'_>,
        rules: &Rules,
    ) -> Result<Fate, RemoveError> {
        let staged = output.staged();
        let begun = output.dir.look(&staged).map_err(|source| output.error(source))?;
        let begun = matches!(rules.judge(begun.as_ref(), true), Verdict::Goes);
        if action.is_none() && !begun {
            return Ok(Fate::Skipped(GONE));
        }
        let mut size = Size::default();
        if let Some(action) = action {
            size += self.dispose(action, action.name())?;
        }
        if begun {
            size += self.dispose(output, &staged)?;
        }
        Ok(Fate::Gone(size))
    }

    /// Steps 2 to 4.
    fn remove_output(
        &self,
        action: Option<&EntryFile<'_>>,
        output: &EntryFile<'_>,
        rules: &Rules,
    ) -> Result<Fate, RemoveError> {
        let staged = output.staged();
        match output.dir.rename(output.name(), output.dir, &staged) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Fate::Skipped(GONE));
            }
            // What an earlier removal left behind under this name is the same output.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.dispose(output, &staged)?;
                output
                    .dir
                    .rename(output.name(), output.dir, &staged)
                    .map_err(|source| output.error(source))?;
            }
            renamed => renamed.map_err(|source| output.error(source))?,
        }
        let back = |why| {
            self.put_back(output, &staged)?;
            Ok(Fate::Skipped(why))
        };
        let moved = output.dir.look(&staged).map_err(|source| output.error(source))?;
        if let Verdict::Stays(why) = rules.judge(moved.as_ref(), true) {
            return back(why);
        }
        let mut size = Size::default();
        if let Some(action) = action {
            if let Verdict::Stays(why) = rules.judge(action.look()?.as_ref(), false) {
                return back(why);
            }
            match self.dispose(action, action.name()) {
                Ok(freed) => size += freed,
                Err(error) => {
                    self.put_back(output, &staged)?;
                    return Err(error);
                }
            }
        }
        Ok(Fate::Gone(size + self.dispose(output, &staged)?))
    }

    /// Undoes step 2. Where Go has made the same output again meanwhile, that one stays.
    fn put_back(&self, output: &EntryFile<'_>, staged: &OsStr) -> Result<(), RemoveError> {
        match output.dir.rename(staged, output.dir, output.name()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.dispose(output, staged).map(drop)
            }
            renamed => renamed.map_err(|source| output.error(source)),
        }
    }

    /// Finishes a removal that was begun.
    fn finish(&self, rel: &Path) -> Result<Fate, RemoveError> {
        let parts = (rel.parent().and_then(Path::file_name), rel.file_name());
        let (Some(folder), Some(name)) = parts else { return Ok(Fate::Skipped(FOREIGN)) };
        let entry = shard_of(folder).and_then(|shard| entry_name(shard, name));
        let Some(EntryName::Staged(id)) = entry else { return Ok(Fate::Skipped(FOREIGN)) };
        let file = self.file(&id, id.output_path())?;
        match file.dir.look(name).map_err(|source| file.error(source))? {
            None => Ok(Fate::Skipped(GONE)),
            Some(meta) if meta.kind == Kind::Symlink => Ok(Fate::Skipped(SYMLINK)),
            Some(_) => self.dispose(&file, name).map(Fate::Gone),
        }
    }

    fn remove_fuzz_target(&self, rel: &Path, planned: Option<Time>) -> Result<Fate, RemoveError> {
        let error = |source| RemoveError { path: self.root.path().join(rel), source };
        let (Some(above), Some(name)) = (rel.parent(), rel.file_name()) else {
            return Ok(Fate::Skipped(FOREIGN));
        };
        let above = match self.root.open_path(above) {
            Ok(above) => above,
            Err(found) if found.kind() == io::ErrorKind::NotFound => {
                return Ok(Fate::Skipped(GONE));
            }
            Err(found) => return Err(error(found)),
        };
        match above.look(name).map_err(error)? {
            None => return Ok(Fate::Skipped(GONE)),
            Some(meta) if meta.kind == Kind::Symlink => return Ok(Fate::Skipped(SYMLINK)),
            Some(meta) if meta.kind != Kind::Folder => return Ok(Fate::Skipped(KIND)),
            Some(_) => {}
        }
        let used = above.open_dir(name).and_then(|dir| fuzz::last_use(&dir)).map_err(error)?;
        let rules = Rules { planned, cutoff: self.cutoff };
        if let Some(why) = used.and_then(|used| rules.used(used)) {
            return Ok(Fate::Skipped(why));
        }
        self.dispose_at(&above, name, rel).map(Fate::Gone)
    }

    /// A stamp that makes no sense; go makes it again when it needs one.
    fn remove_stamp(&self, rel: &Path, planned: Option<Time>) -> Result<Fate, RemoveError> {
        let name = rel.as_os_str();
        let error = |source| RemoveError { path: self.root.path().join(rel), source };
        let rules = Rules { planned, cutoff: self.cutoff };
        match rules.judge(self.root.look(name).map_err(error)?.as_ref(), false) {
            Verdict::Absent => Ok(Fate::Skipped(GONE)),
            Verdict::Stays(why) => Ok(Fate::Skipped(why)),
            Verdict::Goes => self.dispose_at(self.root, name, rel).map(Fate::Gone),
        }
    }

    fn file(&self, id: &EntryId, rel: PathBuf) -> Result<EntryFile<'_>, RemoveError> {
        let slot = &self.shards[usize::from(id.0[0])];
        if let Some(dir) = slot.get() {
            return Ok(EntryFile { dir, rel });
        }
        let opened = self.root.open_dir(OsStr::new(&shard_name(id.0[0])));
        let dir =
            opened.map_err(|source| RemoveError { path: self.root.path().join(&rel), source })?;
        Ok(EntryFile { dir: slot.get_or_init(|| dir), rel })
    }

    /// Lets go of `name`, which is, or was before it was renamed, `file`.
    fn dispose(&self, file: &EntryFile<'_>, name: &OsStr) -> Result<Size, RemoveError> {
        self.dispose_at(file.dir, name, &file.rel)
    }

    fn dispose_at(&self, dir: &Dir, name: &OsStr, rel: &Path) -> Result<Size, RemoveError> {
        // The rule by far, without a walk's machinery around one file.
        if !self.how.is_trash()
            && let Some(size) = unlink_file(dir, name)
                .map_err(|source| RemoveError { path: dir.path().join(name), source })?
        {
            return Ok(size);
        }
        // Into the trash a folder goes unmeasured, so it is measured here: it has one file.
        let unmeasured = match dir.look(name) {
            Ok(Some(meta)) if self.how.is_trash() && meta.kind == Kind::Folder => {
                size_of(&meta) + folder_size(dir, name).unwrap_or_default()
            }
            _ => Size::default(),
        };
        let quiet = Meter::default();
        let options = RemoveOptions { threads: 1, meter: &quiet };
        let removal = self.how.dispose(dir, name, rel, &Everything, (), &options);
        match removal.errors.into_iter().next() {
            Some((path, source)) => Err(RemoveError { path, source }),
            None if !removal.left.is_empty() => Err(RemoveError {
                path: dir.path().join(name),
                source: io::Error::other("a file system is mounted below it"),
            }),
            None => Ok(removal.freed + unmeasured),
        }
    }
}

/// Unlinks a file and says what that gave back; `None` where it is a folder. What somebody else
/// has removed gives back nothing.
pub(crate) fn unlink_file(dir: &Dir, name: &OsStr) -> io::Result<Option<Size>> {
    let Some(meta) = dir.look(name)? else { return Ok(Some(Size::default())) };
    if meta.kind == Kind::Folder {
        return Ok(None);
    }
    match dir.unlink(name) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(Size::default())),
        Err(error) => return Err(error),
    }
    let allocated = if meta.links > 1 { 0 } else { meta.allocated };
    Ok(Some(Size::new(1, meta.logical, allocated)))
}

/// A file of an entry, in its open folder.
struct EntryFile<'a> {
    dir: &'a Dir,
    rel: PathBuf,
}

impl EntryFile<'_> {
    fn name(&self) -> &OsStr {
        // It is made from an ID, so there is a name.
        self.rel.file_name().unwrap_or_default()
    }

    /// Its name from step 2 on.
    fn staged(&self) -> OsString {
        let mut staged = self.name().to_owned();
        staged.push(STAGED);
        staged
    }

    fn look(&self) -> Result<Option<Meta>, RemoveError> {
        self.dir.look(self.name()).map_err(|source| self.error(source))
    }

    fn error(&self, source: io::Error) -> RemoveError {
        RemoveError { path: self.dir.path().join(self.name()), source }
    }
}

/// When an entry counts as used since.
struct Rules {
    planned: Option<Time>,
    cutoff: Time,
}

enum Verdict {
    Goes,
    Absent,
    Stays(&'static str),
}

impl Rules {
    fn judge(&self, meta: Option<&Meta>, folder_too: bool) -> Verdict {
        let Some(meta) = meta else { return Verdict::Absent };
        match meta.kind {
            Kind::File => {}
            Kind::Folder if folder_too && !meta.mount_point => {}
            Kind::Symlink => return Verdict::Stays(SYMLINK),
            Kind::Folder | Kind::Other => return Verdict::Stays(KIND),
        }
        self.used(meta.modified).map_or(Verdict::Goes, Verdict::Stays)
    }

    fn used(&self, modified: Time) -> Option<&'static str> {
        if self.planned.is_some_and(|planned| modified.unix() > planned.unix()) {
            Some(USED)
        } else if modified >= self.cutoff {
            Some(RECENT)
        } else {
            None
        }
    }
}

/// The folder that an item's work is mostly in, for handing out neighbours together.
fn folder_of(target: &Target) -> Option<u8> {
    match target {
        Target::Entry { output: Some(id), .. } | Target::Entry { action: Some(id), .. } => {
            Some(id.0[0])
        }
        _ => None,
    }
}
