//! Putting a trash entry back where it came from, byte for byte, with modes and times.
//!
//! What is to be put back is told by what lies in the entry's tree, so a restore that was cut
//! short is finished by the next one. A name that is taken again is a conflict and stays in the
//! trash, unless it is to be replaced: then what is there now goes into a new entry first. Two
//! folders of the same name are merged entry by entry, except where one of them is closed against
//! writing (an extracted module): such a folder is one thing.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use larder_core::{Meter, Time};

use crate::dir::{Dir, Kind, Meta};
use crate::remove::{Everything, RemoveOptions, remove};
use crate::trash::{Manifest, Trash, TrashError, busy, check_id, discard, folders, id_of};
use crate::trash_copy;
use crate::trash_entry::{Entry, create_in};
use crate::trash_manifest::{Contents, Header, ROOT, Stage, TREE, contents};

/// What a restore did.
#[derive(Debug, Default)]
pub struct Restored {
    /// Entries put back; a folder that was moved whole counts once.
    pub restored: u64,
    /// Names that are taken again, as paths below the root; their things are still in the trash.
    pub conflicts: Vec<PathBuf>,
    /// What could not be put back; it is still in the trash.
    pub errors: Vec<(PathBuf, io::Error)>,
    /// The entry that holds what stood in the way, where it was to be replaced.
    pub replaced: Option<String>,
    /// Whether everything is back and the entry is gone.
    pub complete: bool,
}

impl Trash {
    /// Puts back what the entries of this id hold; see [`Restored`] for what could not be.
    pub fn restore(
        &self,
        id: &str,
        replace: bool,
        now: Time,
        meter: &Meter,
    ) -> Result<Restored, TrashError> {
        check_id(id)?;
        let mut all = Restored { complete: true, ..Restored::default() };
        let mut found = false;
        for home in self.open_homes()? {
            let _changing = self.lock(&home)?;
            let mut names = folders(home.path());
            names.retain(|name| id_of(name) == id);
            // The first one has seen the times of folders before any of them changed those.
            names.sort_by_key(|name| std::cmp::Reverse((name.len(), name.clone())));
            for name in names {
                let Ok(folder) = home.open_dir(&name) else { continue };
                let Ok(mut header) = Header::read(&folder) else { continue };
                if header.stage == Stage::Emptying {
                    return Err(TrashError::Emptied { id: id.to_owned() });
                }
                let _busy = busy(&folder, self.wait)?;
                found = true;
                let failed = |source| TrashError::Io { path: folder.path().to_owned(), source };
                // From now on only we change what is in the way of things coming back.
                let stage = std::mem::replace(&mut header.stage, Stage::Restoring);
                header.write(&folder).map_err(failed)?;
                header.stage = stage;
                let aside =
                    replace.then_some(Replace { trash: self, home: &home, header: &header, now });
                let mut done = restore_tree(&folder, &header, aside, meter).map_err(failed)?;
                if done.complete {
                    let removal = discard(&home, &name, &folder, &Meter::default());
                    done.complete = removal.complete;
                    done.errors.extend(removal.errors);
                } else {
                    if stage == Stage::Restoring {
                        header.stage = Stage::Complete;
                    }
                    header.write(&folder).map_err(failed)?;
                }
                all.merge(done);
            }
        }
        if found { Ok(all) } else { Err(TrashError::NotFound { id: id.to_owned() }) }
    }
}

impl Restored {
    /// Adds what another restore did.
    pub fn merge(&mut self, other: Self) {
        self.restored += other.restored;
        self.conflicts.extend(other.conflicts);
        self.errors.extend(other.errors);
        self.replaced = self.replaced.take().or(other.replaced);
        self.complete &= other.complete;
    }
}

/// What is needed to make an entry for things that stand in the way.
struct Replace<'a> {
    trash: &'a Trash,
    home: &'a Dir,
    header: &'a Header,
    now: Time,
}

/// One entry on its way back.
struct Restore<'a> {
    tree: Dir,
    root: Dir,
    contents: Contents,
    /// Whether the moves, or a restore before this one, did not come to their end.
    cut_short: bool,
    means: Means<'a>,
    replace: Option<Replace<'a>>,
    /// Where what stands in the way goes, once there is something.
    aside: Option<Entry>,
    /// Folders that wait to be gone through.
    waiting: Vec<PathBuf>,
    /// Folders that have been, in order, to be put right from the last to the first.
    visited: Vec<Visited>,
    done: Restored,
}

/// How things are moved back.
struct Means<'a> {
    /// By copying.
    copied: bool,
    /// The name under which a copy is made, in the folder where it will be.
    staged: OsString,
    meter: &'a Meter,
}

impl Means<'_> {
    /// Moves `from` to a name that must be free; a copy stays in the trash.
    fn shift(
        &self,
        from: (&Dir, &OsStr),
        (to, name): (&Dir, &OsStr),
        meta: &Meta,
    ) -> io::Result<()> {
        if !self.copied {
            return trash_copy::rename(from.0, from.1, meta, to, name);
        }
        if to.look(name)?.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.clear_staged(to);
        trash_copy::copy(from.0, from.1, to, &self.staged, self.meter)?;
        let copy = to.look(&self.staged)?.unwrap_or(*meta);
        trash_copy::rename(to, &self.staged, &copy, to, name)
    }

    /// Removes what a restore that was cut short left; its original is in the trash.
    fn clear_staged(&self, to: &Dir) {
        let patient = Meter::default();
        let options = RemoveOptions { threads: 1, meter: &patient };
        remove(to, &self.staged, &Everything, (), &options);
    }
}

/// A folder that was gone through.
struct Visited {
    rel: PathBuf,
    /// Whether the restore made it.
    made: bool,
    /// When it was changed last, before the restore.
    before: Time,
    /// A folder whose copy in the trash tells its mode and time.
    like: Option<Meta>,
}

/// Puts back what an entry holds; `complete` tells whether that was all.
fn restore_tree(
    folder: &Dir,
    header: &Header,
    replace: Option<Replace<'_>>,
    meter: &Meter,
) -> io::Result<Restored> {
    if folder.look(OsStr::new(TREE))?.is_none() {
        // Everything was back, and the entry was on its way out when that was cut short.
        return Ok(Restored { complete: true, ..Restored::default() });
    }
    let root = header.root().ok_or_else(|| io::Error::other("its root is not a path here"))?;
    let staged: OsString = format!(".larder-restore-{}", header.id).into();
    let means = Means { copied: header.copied, staged, meter };
    let mut done = Restored::default();
    let mut parts = vec![TREE];
    match restore_root(folder, &root, &means)? {
        Some(true) => done.restored += 1,
        Some(false) => parts.insert(0, ROOT),
        None => {}
    }
    let made = make_root(&root)?;
    let mut restore = Restore {
        tree: folder.open_dir(OsStr::new(TREE))?,
        root: Dir::open_root(&root)?,
        contents: contents(folder)?,
        cut_short: header.stage != Stage::Complete,
        means,
        replace,
        aside: None,
        waiting: Vec::new(),
        visited: Vec::new(),
        done,
    };
    let before = restore.root.meta()?.modified;
    let mut nothing_left = true;
    for part in parts {
        restore.tree = folder.open_dir(OsStr::new(part))?;
        restore.visited.push(Visited { rel: PathBuf::new(), made, before, like: None });
        restore.run();
        // Copies stay in the trash until all of them are back.
        nothing_left &= header.copied || restore.tree.entries()?.is_empty();
    }
    if let Some(entry) = restore.aside.take() {
        entry.finish(None).map_err(io::Error::other)?;
    }
    let mut done = restore.done;
    done.complete =
        nothing_left && done.conflicts.is_empty() && done.errors.is_empty() && !meter.stopped();
    Ok(done)
}

/// Puts back a root that was moved whole; `Some(false)` where there is one again, to be filled up
/// with what it had.
fn restore_root(folder: &Dir, root: &Path, means: &Means<'_>) -> io::Result<Option<bool>> {
    let Some(meta) = folder.look(OsStr::new(ROOT))? else { return Ok(None) };
    let (Some(above), Some(name)) = (root.parent(), root.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    std::fs::create_dir_all(above)?;
    let above = Dir::open_root(above)?;
    match means.shift((folder, OsStr::new(ROOT)), (&above, name), &meta) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Some(false)),
        other => other.map(|()| Some(true)),
    }
}

/// Makes the root again where it is gone.
fn make_root(root: &Path) -> io::Result<bool> {
    match std::fs::metadata(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::create_dir_all(root)?;
            Ok(true)
        }
        other => other.map(|_| false),
    }
}

impl Restore<'_> {
    /// Goes through one tree, from the folders that were visited already.
    fn run(&mut self) {
        self.visit(Path::new(""));
        while let Some(rel) = self.waiting.pop() {
            if !self.means.meter.stopped() {
                self.visit(&rel);
            }
        }
        self.put_right();
    }

    /// Puts back what the tree holds in `rel`.
    fn visit(&mut self, rel: &Path) {
        if let Err(error) = self.try_visit(rel) {
            self.done.errors.push((self.root.path().join(rel), error));
        }
    }

    fn try_visit(&mut self, rel: &Path) -> io::Result<()> {
        let from = self.tree.open_path(rel)?;
        let to = self.root.open_path(rel)?;
        if self.means.copied {
            self.means.clear_staged(&to);
        }
        let mut in_the_way = Vec::new();
        for (name, _) in from.entries()? {
            if self.means.meter.stopped() {
                return Ok(());
            }
            let path = rel.join(&name);
            match self.put_back(&from, &to, &name, &path) {
                Ok(true) => {}
                Ok(false) => in_the_way.push(path),
                Err(error) => self.done.errors.push((self.root.path().join(path), error)),
            }
        }
        self.replace(&from, &to, in_the_way)
    }

    /// Puts one entry back; `false` where its name is taken.
    fn put_back(&mut self, from: &Dir, to: &Dir, name: &OsStr, rel: &Path) -> io::Result<bool> {
        let Some(meta) = from.look(name)? else { return Ok(true) };
        if meta.kind == Kind::Folder && self.contents.parents.contains_key(rel) {
            return self.enter(to, name, rel);
        }
        match self.means.shift((from, name), (to, name), &meta) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => {
                other?;
                self.set_sealed(to, name, rel)?;
                self.done.restored += 1;
                return Ok(true);
            }
        }
        let Some(there) = to.look(name)? else { return Err(io::ErrorKind::AlreadyExists.into()) };
        let both_folders = meta.kind == Kind::Folder && there.kind == Kind::Folder;
        if both_folders && (self.means.copied || !(self.sealed(&meta, rel) || there.sealed())) {
            let like = self.means.copied.then_some(meta);
            let rel = rel.to_owned();
            self.waiting.push(rel.clone());
            self.visited.push(Visited { rel, made: false, before: there.modified, like });
            return Ok(true);
        }
        // A copy whose source had not gone yet, or that an earlier restore put back.
        let back = self.means.copied && trash_copy::same((from, name, &meta), (to, name, &there))?;
        self.done.restored += u64::from(back);
        Ok(back)
    }

    fn sealed(&self, meta: &Meta, rel: &Path) -> bool {
        meta.sealed() || self.contents.sealed.contains_key(rel)
    }

    /// Goes on in a folder that stood above moved things, made again where it is gone.
    fn enter(&mut self, to: &Dir, name: &OsStr, rel: &Path) -> io::Result<bool> {
        let there = match to.look(name)? {
            Some(meta) if meta.kind == Kind::Folder => Some(meta),
            Some(_) => return Ok(false),
            None => None,
        };
        if there.is_none() {
            to.mkdir_private(name)?;
        }
        let made = there.is_none();
        let before = there.map_or(Time::from_unix(0), |meta| meta.modified);
        self.visited.push(Visited { rel: rel.to_owned(), made, before, like: None });
        self.waiting.push(rel.to_owned());
        Ok(true)
    }

    /// A move that was cut short may have left a closed folder open.
    fn set_sealed(&self, to: &Dir, name: &OsStr, rel: &Path) -> io::Result<()> {
        let Some(&mode) = self.contents.sealed.get(rel) else { return Ok(()) };
        match to.look(name)? {
            Some(meta) if meta.kind == Kind::Folder && meta.mode == mode | 0o200 => {
                to.set_mode(name, mode)
            }
            _ => Ok(()),
        }
    }

    /// Moves what stands in the way aside and tries again; or tells the conflicts.
    fn replace(&mut self, from: &Dir, to: &Dir, paths: Vec<PathBuf>) -> io::Result<()> {
        if paths.is_empty() {
            return Ok(());
        }
        if !self.open_aside(&paths)? {
            self.done.conflicts.extend(paths);
            return Ok(());
        }
        for path in paths {
            match self.replace_one(from, to, &path) {
                Ok(true) => {}
                Ok(false) => self.done.conflicts.push(path),
                Err(error) => self.done.errors.push((self.root.path().join(path), error)),
            }
        }
        Ok(())
    }

    fn replace_one(&mut self, from: &Dir, to: &Dir, path: &Path) -> io::Result<bool> {
        let (Some(entry), Some(name)) = (&self.aside, path.file_name()) else { return Ok(false) };
        match entry.take(to, name, path, self.means.meter) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.put_back(from, to, name, path)
    }

    /// Makes the entry for what stands in the way where there is none yet, and writes `paths` down
    /// in it; `false` where nothing is to be replaced.
    fn open_aside(&mut self, paths: &[PathBuf]) -> io::Result<bool> {
        if let Some(entry) = &self.aside {
            return entry.announce(paths).map(|()| true);
        }
        let Some(Replace { trash, home, header, now }) = &self.replace else { return Ok(false) };
        let what = Manifest {
            created_at: *now,
            expires_at: header.expires_at(),
            plan_id: header.plan_id.clone(),
            caches: header.caches(),
            paths: paths.to_vec(),
        };
        let id = trash.fresh_id();
        let entry = create_in(home, &id, self.root.path(), &what).map_err(io::Error::other)?;
        self.done.replaced = Some(id);
        self.aside = Some(entry);
        Ok(true)
    }

    /// Takes away what is empty in the trash, and gives folders the modes and times that they
    /// had, from the deepest up.
    fn put_right(&mut self) {
        while let Some(visited) = self.visited.pop() {
            if let Err(error) = self.put_right_one(&visited) {
                self.done.errors.push((self.root.path().join(&visited.rel), error));
            }
            // In this order: what is gone from the tree is not gone through again after a crash.
            if let (false, Some(above), Some(name)) =
                (self.means.copied, visited.rel.parent(), visited.rel.file_name())
            {
                // Fails where something is left in it, and should.
                let _ = self.tree.open_path(above).and_then(|above| above.rmdir(name));
            }
        }
        for rel in self.contents.sealed.keys() {
            // What was opened for a move that never came.
            let (Some(above), Some(name)) = (rel.parent(), rel.file_name()) else { continue };
            let closed =
                self.root.open_path(above).and_then(|above| self.set_sealed(&above, name, rel));
            match closed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    self.done.errors.push((self.root.path().join(rel), error));
                }
                _ => {}
            }
        }
    }

    fn put_right_one(&self, visited: &Visited) -> io::Result<()> {
        let folder = self.root.open_path(&visited.rel)?;
        if let Some(like) = visited.like {
            folder.handle().set_modified(like.modified)?;
            return folder.handle().set_mode(like.mode);
        }
        let Some(parent) = self.contents.parents.get(&visited.rel) else { return Ok(()) };
        // Where only our own moves changed it since it was written down, its time is as it was.
        let left = self.contents.left.get(&visited.rel);
        let untouched = self.cut_short
            || left.is_none_or(|left| [*left, parent.modified].contains(&visited.before));
        if visited.made || untouched {
            folder.handle().set_modified(parent.modified)?;
        }
        // Modes that only we can have given: to a folder made again, or to one lifted for a move.
        let mode = folder.meta()?.mode;
        let ours = visited.made || mode == 0o700 || mode == parent.mode | 0o200;
        if ours && mode != parent.mode {
            folder.handle().set_mode(parent.mode)?;
        }
        Ok(())
    }
}
