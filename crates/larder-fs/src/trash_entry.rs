//! A trash entry while it is being filled.
//!
//! It begins under a name of its own and gets its right one when what will be moved is written
//! down and flushed, so an entry without a manifest holds nothing. A move is a rename; where that
//! cannot be, a copy that is put in its place when it is whole.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use larder_core::{Meter, Size};

use crate::dir::{Dir, Kind, Meta};
use crate::folder::lock;
use crate::lock::FileLock;
use crate::remove::{Everything, RemoveOptions, remove};
use crate::trash::{MOMENT, Manifest, NEW, TrashError, busy, discard, open_home};
use crate::trash_dirs::Dirs;
use crate::trash_manifest::{Contents, Header, INCOMING, ROOT, Stage, TREE, announce, note_left};
use crate::{stage, trash_copy};

/// An entry that is being filled. Dropped without [`Entry::finish`] it stays as incomplete.
#[derive(Debug)]
pub struct Entry {
    folder: Dir,
    header: Header,
    tree: Dirs,
    incoming: Dir,
    /// The cache root, for looking at what was not announced.
    root: Dir,
    /// What has been written down.
    known: Mutex<Contents>,
    taken: AtomicU64,
    next: AtomicU64,
    /// Set where a move crossed file systems.
    copied: AtomicBool,
    _busy: FileLock,
}

impl Entry {
    /// What a person types to restore it.
    pub fn id(&self) -> &str {
        &self.header.id
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Moves `from/name`, which is `rel` below the cache root; empty for the root itself. On the
    /// same file system this is a rename. Returns a file's size; `None` for a folder, which is
    /// not measured. Only where things must be copied can `meter` stop it.
    pub fn take(
        &self,
        from: &Dir,
        name: &OsStr,
        rel: &Path,
        meter: &Meter,
    ) -> io::Result<Option<Size>> {
        if !rel.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a path below the root"));
        }
        let Some(meta) = from.look(name)? else { return Err(io::ErrorKind::NotFound.into()) };
        let (Some(above), Some(new)) = (rel.parent(), rel.file_name()) else {
            self.shift(from, name, &meta, (&self.folder, OsStr::new(ROOT)), meter)?;
            return Ok(self.count(&meta));
        };
        let known = {
            let known = lock(&self.known);
            known.parents.contains_key(above) && (!meta.sealed() || known.sealed.contains_key(rel))
        };
        if !known {
            self.announce(&[rel.to_owned()])?;
        }
        let to = self.tree.make(above)?;
        match self.shift(from, name, &meta, (&to, new), meter) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // The same content once more needs no second place.
                let there = to.look(new)?;
                let same = there.is_some_and(|there| {
                    trash_copy::same_content((from, name, &meta), (&to, new, &there))
                        .unwrap_or(false)
                });
                if !same {
                    return Err(error);
                }
                from.unlink(name)?;
            }
            other => other?,
        }
        Ok(self.count(&meta))
    }

    /// A rename, or where that cannot be a copy.
    fn shift(
        &self,
        from: &Dir,
        name: &OsStr,
        meta: &Meta,
        (to, new): (&Dir, &OsStr),
        meter: &Meter,
    ) -> io::Result<()> {
        if !self.copied.load(Ordering::Relaxed) {
            match trash_copy::rename(from, name, meta, to, new) {
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                    self.note_copies()?;
                }
                other => return other,
            }
        }
        self.take_copy(from, name, meta, (to, new), meter)
    }

    /// Writes down that things are copied, before the first one is.
    fn note_copies(&self) -> io::Result<()> {
        let mut header = self.header.clone();
        header.copied = true;
        header.write(&self.folder)?;
        self.copied.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Copies, puts the finished copy in its place, and removes the source: at every moment one
    /// of them is whole.
    fn take_copy(
        &self,
        from: &Dir,
        name: &OsStr,
        meta: &Meta,
        (to, new): (&Dir, &OsStr),
        meter: &Meter,
    ) -> io::Result<()> {
        let staged = OsString::from(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        trash_copy::copy(from, name, &self.incoming, &staged, meter)?;
        let copy = self.incoming.look(&staged)?.unwrap_or(*meta);
        trash_copy::rename(&self.incoming, &staged, &copy, to, new)?;
        // From here on it must go to its end: a stop would leave a cache with half a folder.
        let patient = Meter::default();
        let options = RemoveOptions { threads: 0, meter: &patient };
        let removal = remove(from, name, &Everything, (), &options);
        match removal.errors.into_iter().next() {
            Some((_, error)) => Err(error),
            None if !removal.left.is_empty() => Err(io::Error::other("something is mounted in it")),
            None => Ok(()),
        }
    }

    fn count(&self, meta: &Meta) -> Option<Size> {
        self.taken.fetch_add(1, Ordering::Relaxed);
        let allocated = if meta.links > 1 { 0 } else { meta.allocated };
        (meta.kind != Kind::Folder).then(|| Size::new(1, meta.logical, allocated))
    }

    /// Writes down more paths that will be moved.
    pub(crate) fn announce(&self, paths: &[PathBuf]) -> io::Result<()> {
        announce(&self.folder, &self.root, paths, &mut lock(&self.known))
    }

    /// Marks the entry as complete, with its size where the caller knows it. An entry into which
    /// nothing was moved goes again; then this is `false`.
    pub fn finish(mut self, size: Option<Size>) -> Result<bool, TrashError> {
        let path = self.folder.path().to_owned();
        let failed = |source| TrashError::Io { path: path.clone(), source };
        if self.taken.load(Ordering::Relaxed) == 0 {
            self.header.stage = Stage::Emptying;
            self.header.write(&self.folder).map_err(failed)?;
            if let (Some(above), Some(name)) = (path.parent(), path.file_name()) {
                let home = open_home(above).map_err(failed)?;
                discard(&home, name, &self.folder, &Meter::default());
            }
            return Ok(false);
        }
        self.header.copied |= self.copied.load(Ordering::Relaxed);
        note_left(&self.folder, &self.root, &lock(&self.known)).map_err(failed)?;
        self.header.finish(size);
        self.header.write(&self.folder).map_err(failed)?;
        Ok(true)
    }
}

/// Makes an entry in a home that is locked.
pub(crate) fn create_in(
    home: &Dir,
    id: &str,
    cache_root: &Path,
    what: &Manifest,
) -> Result<Entry, TrashError> {
    let failed = |source| TrashError::Io { path: home.path().join(id), source };
    let root_path = std::fs::canonicalize(cache_root).map_err(failed)?;
    let root = Dir::open_root(&root_path).map_err(failed)?;
    let name = free_name(home, id).map_err(failed)?;
    begin(home, &name, id, root, what).map_err(failed)
}

fn begin(home: &Dir, name: &OsStr, id: &str, root: Dir, what: &Manifest) -> io::Result<Entry> {
    let identity = root.identity()?;
    let copied = identity.0 != home.identity()?.0;
    let mut new = OsString::from(NEW);
    new.push(name);
    home.mkdir_private(&new)?;
    let folder = home.open_dir(&new)?;
    folder.mkdir_private(OsStr::new(TREE))?;
    folder.mkdir_private(OsStr::new(INCOMING))?;
    let held = busy(&folder, MOMENT).map_err(io::Error::other)?;
    let mut known = Contents::default();
    announce(&folder, &root, &what.paths, &mut known)?;
    let header = Header::new(id, root.path(), identity, what, copied);
    header.write(&folder)?;
    home.rename(&new, home, name)?;
    stage::sync_folder(home.path())?;
    // Opened again under its right name, which is also where messages will say it is.
    let folder = home.open_dir(name)?;
    Ok(Entry {
        tree: Dirs::new(folder.open_dir(OsStr::new(TREE))?),
        incoming: folder.open_dir(OsStr::new(INCOMING))?,
        folder,
        header,
        root,
        known: Mutex::new(known),
        taken: AtomicU64::new(0),
        next: AtomicU64::new(0),
        copied: AtomicBool::new(copied),
        _busy: held,
    })
}

/// `ID`, or `ID-N` where there is such an entry: of another root, or of this one by a run that was
/// cut short and is finished now. All of them come back together.
fn free_name(home: &Dir, id: &str) -> io::Result<OsString> {
    for part in 1_u32.. {
        let name = if part == 1 { id.to_owned() } else { format!("{id}-{part}") };
        if home.look(name.as_ref())?.is_none() {
            return Ok(name.into());
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}
