//! The folders that a walk or a removal has open, and how few file descriptors it needs for that.
//!
//! A folder stays open while it has subfolders that nobody went into yet. Work goes depth first,
//! so that is a handful, but a tree can be built that makes it any number. Beyond a limit the
//! longest-held ones are closed, and opened again from above when their turn comes: name by name,
//! never through a symlink, and only if what is found is the same folder as before.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::sys::{self, Handle};

/// A folder that others hang below; `T` is what its walk knows about it.
pub(crate) struct Folder<T> {
    parent: Option<Arc<Self>>,
    name: Box<OsStr>,
    identity: (u64, u64),
    handle: Mutex<Option<Arc<Handle>>>,
    pub(crate) data: T,
}

impl<T> Folder<T> {
    /// The folder where everything begins; it stays open.
    pub(crate) fn root(handle: Handle, data: T) -> Arc<Self> {
        let handle = Mutex::new(Some(Arc::new(handle)));
        Arc::new(Self {
            parent: None,
            name: OsString::new().into_boxed_os_str(),
            identity: (0, 0),
            handle,
            data,
        })
    }

    /// A folder below another, open through `handle`.
    pub(crate) fn below(
        parent: &Arc<Self>,
        name: &OsStr,
        identity: (u64, u64),
        handle: Arc<Handle>,
        data: T,
    ) -> Arc<Self> {
        Arc::new(Self {
            parent: Some(Arc::clone(parent)),
            name: name.into(),
            identity,
            handle: Mutex::new(Some(handle)),
            data,
        })
    }

    pub(crate) fn parent(&self) -> Option<&Arc<Self>> {
        self.parent.as_ref()
    }

    pub(crate) fn name(&self) -> &OsStr {
        &self.name
    }

    /// Where it is, as far as names tell.
    pub(crate) fn path(&self, root: &Path) -> PathBuf {
        let mut names = Vec::new();
        let mut at = self;
        while let Some(parent) = &at.parent {
            names.push(&*at.name);
            at = parent;
        }
        let mut path = root.to_owned();
        path.extend(names.iter().rev());
        path
    }

    /// Closes it. Some platforms remove a folder only when nobody has it open.
    pub(crate) fn close(&self) {
        lock(&self.handle).take();
    }

    fn held(&self) -> Option<Arc<Handle>> {
        lock(&self.handle).clone()
    }
}

impl<T> Drop for Folder<T> {
    /// Lets go of the folders above one by one: a chain of any depth must not use up the stack.
    fn drop(&mut self) {
        let mut above = self.parent.take();
        while let Some(mut folder) = above.and_then(Arc::into_inner) {
            above = folder.parent.take();
        }
    }
}

/// The folders that are held open, at most so many.
pub(crate) struct Pool<T> {
    limit: usize,
    open: Mutex<VecDeque<Weak<Folder<T>>>>,
    /// Held by whoever opens closed folders again: the others mostly need the same ones.
    reopening: Mutex<()>,
}

impl<T> Pool<T> {
    /// Leaves three quarters of what the process may open to others, and uses 256 at most.
    pub(crate) fn new() -> Self {
        Self::with_limit((sys::open_limit() / 4).clamp(8, 256))
    }

    pub(crate) fn with_limit(limit: usize) -> Self {
        Self { limit, open: Mutex::default(), reopening: Mutex::default() }
    }

    /// Remembers that `folder` is open, and closes others where these are too many.
    pub(crate) fn keep(&self, folder: &Arc<Folder<T>>) {
        let mut open = lock(&self.open);
        open.push_back(Arc::downgrade(folder));
        if open.len() <= self.limit {
            return;
        }
        open.retain(|folder| folder.strong_count() > 0);
        // More than one at a time, so that the sweep above is rare.
        let closed = open.len().saturating_sub(self.limit * 3 / 4);
        let oldest: Vec<_> = open.drain(..closed).collect();
        drop(open);
        for folder in oldest.iter().filter_map(Weak::upgrade) {
            folder.close();
        }
    }

    /// The folder's handle, opened again from above where it was closed.
    pub(crate) fn handle(&self, folder: &Arc<Folder<T>>) -> io::Result<Arc<Handle>> {
        if let Some(handle) = folder.held() {
            return Ok(handle);
        }
        let _alone = lock(&self.reopening);
        let mut closed = Vec::new();
        let mut at = Arc::clone(folder);
        let mut handle = loop {
            if let Some(handle) = at.held() {
                break handle;
            }
            // The root is never put into the pool, so every closed folder has a parent.
            let Some(parent) = at.parent.clone() else {
                return Err(io::Error::other("the root was closed"));
            };
            closed.push(std::mem::replace(&mut at, parent));
        };
        // The way back up needs the nearest ones first, and then some to begin from further up.
        let step = (closed.len() / (self.limit / 4)).max(1);
        while let Some(folder) = closed.pop() {
            let next = handle.open_dir(&folder.name)?;
            if next.identity()? != folder.identity {
                return Err(io::Error::other("another folder took its place"));
            }
            handle = Arc::new(next);
            if closed.len() < self.limit / 2 || closed.len() % step == 0 {
                *lock(&folder.handle) = Some(Arc::clone(&handle));
                self.keep(&folder);
            }
        }
        Ok(handle)
    }
}

/// A lock whose holder panicked guards nothing that could be half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dir::Dir;

    /// A chain of `depth` nested folders, each held open.
    fn chain(top: &Path, depth: usize, pool: &Pool<()>) -> Vec<Arc<Folder<()>>> {
        let mut folders =
            vec![Folder::root(Dir::open_root(top).unwrap().handle().again().unwrap(), ())];
        let name = OsStr::new("d");
        for _ in 0..depth {
            let above = folders.last().unwrap();
            let handle = pool.handle(above).unwrap();
            handle.mkdir(name, 0o700).unwrap();
            let handle = Arc::new(handle.open_dir(name).unwrap());
            let identity = handle.identity().unwrap();
            let folder = Folder::below(above, name, identity, handle, ());
            pool.keep(&folder);
            folders.push(folder);
        }
        folders
    }

    #[test]
    fn few_stay_open_and_all_can_be_used() {
        let top = tempfile::tempdir().unwrap();
        let pool = Pool::with_limit(8);
        let folders = chain(top.path(), 100, &pool);
        for folder in folders.iter().rev() {
            assert!(pool.handle(folder).unwrap().meta().is_ok());
            let open = folders.iter().filter(|folder| folder.held().is_some()).count();
            assert!(open <= 9, "{open} folders are open");
        }
    }

    #[test]
    fn another_folder_of_the_same_name_is_refused() {
        let top = tempfile::tempdir().unwrap();
        let pool = Pool::with_limit(8);
        let folders = chain(top.path(), 100, &pool);
        let first = folders[1].path(top.path());
        assert!(folders[1].held().is_none());
        std::fs::rename(&first, top.path().join("aside")).unwrap();
        std::fs::create_dir(&first).unwrap();
        assert!(pool.handle(&folders[1]).is_err());
    }

    #[test]
    fn a_very_long_chain_is_dropped_without_recursion() {
        let top = tempfile::tempdir().unwrap();
        let root = Dir::open_root(top.path()).unwrap();
        let handle = Arc::new(root.handle().again().unwrap());
        let mut last = Folder::root(root.handle().again().unwrap(), ());
        for _ in 0..300_000 {
            last = Folder::below(&last, OsStr::new("d"), (0, 0), Arc::clone(&handle), ());
        }
        drop(last);
    }
}
