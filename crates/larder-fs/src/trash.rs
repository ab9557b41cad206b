//! The trash: what was removed, kept for undo until it expires.
//!
//! Moving into it is a rename, so it takes no time whatever the size, and frees nothing until the
//! entry is emptied. It lies beside the cache root, in `.larder-trash`; where that is another file
//! system or may not be written, in the state folder, and then moving is copying. What is moved is
//! written down and flushed before the first move, so a crash at any point leaves an entry that
//! can be listed, restored and emptied. Only folders that carry a manifest of ours are ever
//! touched. Nothing here decides what goes, or asks.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_core::{CacheKind, Meter, Size, Time};

use crate::dir::{Dir, Kind, Meta};
use crate::lock::{FileLock, LockError};
use crate::remove::{Everything, Removal, RemoveOptions, remove_contents};
pub use crate::trash_entry::Entry;
use crate::trash_entry::create_in;
use crate::trash_manifest::{BUSY, CONTENTS, Header, INCOMING, MANIFEST, ROOT, Stage, TREE};
pub use crate::trash_restore::Restored;
use crate::walk::{Links, Visitor, WalkOptions, walk};

/// The folder beside a cache root.
const HOME: &str = ".larder-trash";
/// An entry begins under a name of its own, and gets its right one when its manifest is flushed.
pub(crate) const NEW: &str = ".new-";
/// A child process that has been forked and not yet run its program holds our locks too.
pub(crate) const MOMENT: Duration = Duration::from_millis(100);

/// What a new entry is for.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// When it was made.
    pub created_at: Time,
    /// When [`Trash::expire`] may remove it; `None` for never.
    pub expires_at: Option<Time>,
    /// The plan whose application this undoes.
    pub plan_id: String,
    /// Whose things it holds.
    pub caches: Vec<CacheKind>,
    /// What will be moved, relative to the root; what is not known yet is written down when its
    /// turn comes, at the price of a flush each. A path that does not exist does no harm.
    pub paths: Vec<PathBuf>,
}

/// Why the trash could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum TrashError {
    /// No entry has this id.
    #[error("the trash holds no entry {id}")]
    NotFound {
        /// As asked for.
        id: String,
    },
    /// The id is not 4 to 8 hexadecimal digits.
    #[error("{id:?} is not the id of a trash entry")]
    BadId {
        /// As asked for.
        id: String,
    },
    /// The entry is being removed, or a removal of it was not finished: it is not whole.
    #[error("trash entry {id} has been emptied in part and cannot be restored")]
    Emptied {
        /// As asked for.
        id: String,
    },
    /// Another larder is at work on it.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// The file system said no.
    #[error("cannot use the trash at {}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

/// Where removed things of one cache root are kept.
#[derive(Clone, Debug)]
pub struct Trash {
    /// Where new entries go, and where entries may lie from another time.
    homes: Vec<PathBuf>,
    pub(crate) wait: Duration,
}

/// An entry as [`Trash::list`] tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What a person types to restore it. Two entries have the same where one plan was applied to
    /// two roots that share their trash; they are restored together.
    pub id: String,
    /// The entry's own folder; it names the entry where two share an id.
    pub folder: PathBuf,
    /// The cache root that its things came from.
    pub root: PathBuf,
    /// That root's device and inode at the time.
    pub root_identity: (u64, u64),
    /// Whose things it holds.
    pub caches: Vec<CacheKind>,
    /// The plan that was applied.
    pub plan_id: String,
    /// When.
    pub created_at: Time,
    /// When it may go.
    pub expires_at: Option<Time>,
    /// What it holds.
    pub size: Size,
    /// Whether the move came to its end; if not, it was cut short or is under way.
    pub complete: bool,
    /// Whether it can still be restored; not once emptying it has begun.
    pub restorable: bool,
}

/// An entry that was emptied.
#[derive(Debug)]
pub struct Emptied {
    /// Its id.
    pub id: String,
    /// The cache root that its things came from.
    pub root: PathBuf,
    /// What that gave back, and what went wrong.
    pub removal: Removal,
}

impl Trash {
    /// The trash of a cache root, made when the first thing is moved into it. The root may be
    /// missing.
    pub fn beside(root: &Path, state_dir: &Path) -> Self {
        let fallback = state_dir.join("trash");
        let mut homes = Vec::new();
        if let Some((home, fit)) = home_beside(root) {
            homes.push(home);
            homes.insert(usize::from(fit), fallback);
        } else {
            homes.push(fallback);
        }
        Self { homes, wait: Duration::from_secs(10) }
    }

    /// How long to wait for another larder that changes the same trash; 10 s if not said.
    #[must_use]
    pub fn waiting(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// Where new entries go.
    pub fn home(&self) -> &Path {
        &self.homes[0]
    }

    /// An id that no entry has: 4 hexadecimal digits, or more where these are taken.
    pub fn fresh_id(&self) -> String {
        let taken: HashSet<String> = self
            .homes
            .iter()
            .flat_map(|home| folders(home))
            .map(|name| id_of(&name).to_owned())
            .collect();
        let mut digits = 4;
        loop {
            // Longer ones where many of the short ones are taken; of 8 there are enough.
            for _ in 0..64 {
                let id = format!("{:016x}", RandomState::new().hash_one(digits));
                if !taken.contains(&id[..digits]) {
                    return id[..digits].to_owned();
                }
            }
            digits = (digits + 1).min(8);
        }
    }

    /// Makes an entry for things of `cache_root` and writes down what will be moved. One id may be
    /// used for two roots, and again for what a run that was cut short has left.
    pub fn create(
        &self,
        id: &str,
        cache_root: &Path,
        what: &Manifest,
    ) -> Result<Entry, TrashError> {
        check_id(id)?;
        let home = self.make_home()?;
        let _changing = self.lock(&home)?;
        create_in(&home, id, cache_root, what)
    }

    /// Every entry, the newest first. What was not measured when it was moved is measured now.
    pub fn list(&self, meter: &Meter) -> Result<Vec<Listed>, TrashError> {
        let mut listed = Vec::new();
        for home in self.open_homes()? {
            for name in folders(home.path()) {
                let Ok(folder) = home.open_dir(&name) else { continue };
                // Without a manifest of ours it is not ours to tell.
                let Ok(header) = Header::read(&folder) else { continue };
                let Some(root) = header.root() else { continue };
                let size = header.size().unwrap_or_else(|| measure(&folder, meter));
                listed.push(Listed {
                    id: header.id.clone(),
                    folder: folder.path().to_owned(),
                    root,
                    root_identity: header.root_identity,
                    caches: header.caches(),
                    plan_id: header.plan_id.clone(),
                    created_at: header.created_at(),
                    expires_at: header.expires_at(),
                    size,
                    complete: header.stage == Stage::Complete,
                    restorable: header.stage != Stage::Emptying,
                });
            }
        }
        listed
            .sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.folder.cmp(&b.folder)));
        Ok(listed)
    }

    /// Removes entries made at least `older_than` ago, or all of them, for good. Entries that are
    /// being filled right now are left out.
    pub fn empty(
        &self,
        older_than: Option<Duration>,
        now: Time,
        meter: &Meter,
    ) -> Result<Vec<Emptied>, TrashError> {
        self.empty_where(meter, |header| {
            older_than.is_none_or(|age| now.since(header.created_at()) >= age)
        })
    }

    /// Removes entries whose time is over, for good.
    pub fn expire(&self, now: Time, meter: &Meter) -> Result<Vec<Emptied>, TrashError> {
        self.empty_where(meter, |header| header.expires_at().is_some_and(|end| end <= now))
    }

    fn empty_where(
        &self,
        meter: &Meter,
        goes: impl Fn(&Header) -> bool,
    ) -> Result<Vec<Emptied>, TrashError> {
        let mut emptied = Vec::new();
        for home in self.open_homes()? {
            let _changing = self.lock(&home)?;
            for name in folders(home.path()) {
                if meter.stopped() {
                    return Ok(emptied);
                }
                let Ok(folder) = home.open_dir(&name) else { continue };
                let Ok(mut header) = Header::read(&folder) else { continue };
                if header.stage != Stage::Emptying && !goes(&header) {
                    continue;
                }
                let Ok(_idle) = busy(&folder, MOMENT) else { continue };
                let failed = |source| TrashError::Io { path: folder.path().to_owned(), source };
                header.stage = Stage::Emptying;
                header.forget_size();
                header.write(&folder).map_err(failed)?;
                let removal = discard(&home, &name, &folder, meter);
                let root = header.root().unwrap_or_default();
                emptied.push(Emptied { id: header.id, root, removal });
            }
        }
        Ok(emptied)
    }

    /// The homes that exist and may be trusted.
    pub(crate) fn open_homes(&self) -> Result<Vec<Dir>, TrashError> {
        let mut homes = Vec::new();
        for path in &self.homes {
            match open_home(path) {
                Ok(home) => homes.push(home),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(TrashError::Io { path: path.clone(), source }),
            }
        }
        Ok(homes)
    }

    /// Held while the entries of a home change, and puts away what a crash left of making one.
    pub(crate) fn lock(&self, home: &Dir) -> Result<FileLock, TrashError> {
        let path = home.path().join("lock");
        let file = home
            .open_lock(OsStr::new("lock"))
            .map_err(|source| TrashError::Io { path: path.clone(), source })?;
        let held = FileLock::exclusive(file, &path, self.wait, &Meter::default())?;
        tidy(home);
        Ok(held)
    }

    fn make_home(&self) -> Result<Dir, TrashError> {
        let path = self.home();
        let failed = |source| TrashError::Io { path: path.to_owned(), source };
        let above = path.parent().unwrap_or(path);
        std::fs::create_dir_all(above).map_err(failed)?;
        let made = Dir::open_root(above).and_then(|above| {
            match above.mkdir_private(path.file_name().unwrap_or_default()) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => open_home(path),
            }
        });
        made.map_err(failed)
    }
}

/// Holds an entry against others while it is filled, restored or emptied.
pub(crate) fn busy(folder: &Dir, wait: Duration) -> Result<FileLock, LockError> {
    let path = folder.path().join(BUSY);
    let file = folder
        .open_lock(OsStr::new(BUSY))
        .map_err(|source| LockError::Io { path: path.clone(), source })?;
    FileLock::exclusive(file, &path, wait, &Meter::default())
}

/// Removes an entry for good, its manifest last, so that what is left of it stays ours to remove.
pub(crate) fn discard(home: &Dir, name: &OsStr, folder: &Dir, meter: &Meter) -> Removal {
    let mut removal = Removal { complete: true, ..Removal::default() };
    for part in [TREE, ROOT, INCOMING] {
        // These folders are ours and no part of what was kept, so they do not count as freed.
        match folder.open_dir(OsStr::new(part)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => removal.errors.push((folder.path().join(part), error)),
            Ok(dir) => {
                let options = RemoveOptions { threads: 0, meter };
                removal.merge(remove_contents(&dir, &Everything, (), &options));
            }
        }
        if removal.complete
            && let Err(error) = folder.rmdir(OsStr::new(part))
        {
            removal.errors.push((folder.path().join(part), error));
        }
        removal.complete &= removal.errors.is_empty();
    }
    if !removal.complete {
        return removal;
    }
    for file in [CONTENTS, "manifest.json.tmp", BUSY, MANIFEST] {
        match folder.unlink(OsStr::new(file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                removal.errors.push((folder.path().join(file), error));
                removal.complete = false;
                return removal;
            }
            _ => {}
        }
    }
    if let Err(error) = home.rmdir(name) {
        removal.errors.push((folder.path().to_owned(), error));
        removal.complete = false;
    }
    removal
}

/// Puts away what a crash left: an entry that never got its manifest, so nothing was moved yet,
/// and the empty folder of one that was on its way out.
fn tidy(home: &Dir) {
    let Ok(entries) = home.entries() else { return };
    for (name, kind) in entries {
        if kind != Kind::Folder {
            continue;
        }
        let begun = name.as_encoded_bytes().starts_with(NEW.as_bytes());
        if begun {
            let Ok(folder) = home.open_dir(&name) else { continue };
            // All of these fail on anything that is not what we left there.
            let _ = folder.rmdir(OsStr::new(TREE));
            let _ = folder.rmdir(OsStr::new(INCOMING));
            for file in [CONTENTS, "manifest.json.tmp", BUSY, MANIFEST] {
                let _ = folder.unlink(OsStr::new(file));
            }
        }
        if begun || check_id(id_of(&name)).is_ok() {
            // Succeeds only where nothing is in it.
            let _ = home.rmdir(&name);
        }
    }
}

/// Where the trash beside a root would be, and whether it can be used for it.
fn home_beside(root: &Path) -> Option<(PathBuf, bool)> {
    let real = std::fs::canonicalize(root).or_else(|_| std::path::absolute(root)).ok()?;
    let above = real.parent()?;
    let parent = Dir::open_root(above).ok()?;
    let device = parent.identity().ok()?.0;
    let there = Dir::open_root(&real).and_then(|root| root.meta());
    let same = match &there {
        Ok(meta) => meta.device == device && !meta.mount_point,
        Err(_) => true,
    };
    let home = above.join(HOME);
    let fit = match parent.look(OsStr::new(HOME)) {
        Ok(None) => parent.handle().writable(),
        Ok(Some(meta)) => {
            meta.device == device && open_home(&home).is_ok_and(|home| home.handle().writable())
        }
        Err(_) => false,
    };
    Some((home, same && fit))
}

/// Opens a home that is a folder of this user's own: in a place where others may write, anybody
/// could have put it there.
pub(crate) fn open_home(path: &Path) -> io::Result<Dir> {
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let home = Dir::open_root(above)?.open_dir(name)?;
    if home.handle().is_ours()? {
        return Ok(home);
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user"))
}

/// The names of entries, as far as names tell.
pub(crate) fn folders(home: &Path) -> Vec<OsString> {
    let entries = open_home(home).and_then(|home| home.entries()).unwrap_or_default();
    entries
        .into_iter()
        .filter(|(name, kind)| *kind == Kind::Folder && check_id(id_of(name)).is_ok())
        .map(|(name, _)| name)
        .collect()
}

/// The id in the name of an entry's folder.
pub(crate) fn id_of(name: &OsStr) -> &str {
    let name = name.to_str().unwrap_or_default();
    name.split_once('-').map_or(name, |(id, _)| id)
}

pub(crate) fn check_id(id: &str) -> Result<(), TrashError> {
    let hex = id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if hex && (4..=8).contains(&id.len()) {
        return Ok(());
    }
    Err(TrashError::BadId { id: id.to_owned() })
}

/// Adds up what a walk meets.
struct Sum<'a> {
    size: Size,
    links: &'a Links,
}

impl Visitor for Sum<'_> {
    type Ctx = ();

    fn folder(&mut self, (): &(), _: &OsStr, meta: &Meta) -> Option<()> {
        self.size += Size::new(0, 0, meta.allocated);
        Some(())
    }

    fn file(&mut self, (): &(), _: &OsStr, meta: &Meta) {
        let allocated = if self.links.first(meta) { meta.allocated } else { 0 };
        self.size += Size::new(1, meta.logical, allocated);
    }
}

/// What an entry holds; our own folders above it count as nothing.
fn measure(folder: &Dir, meter: &Meter) -> Size {
    let links = Links::default();
    let new = || Sum { size: Size::default(), links: &links };
    let mut size = Size::default();
    for part in [TREE, ROOT] {
        let Ok(tree) = folder.open_dir(OsStr::new(part)) else { continue };
        let walked = walk(&tree, (), new, &WalkOptions { threads: 0, meter });
        size += walked.visitors.into_iter().map(|visitor| visitor.size).sum();
    }
    size
}
