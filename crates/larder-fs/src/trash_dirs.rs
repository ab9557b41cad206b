//! Folders below a root, held open between uses: moves come in any order over the same few
//! hundred folders.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::dir::Dir;
use crate::folder::lock;
use crate::sys;

/// A root and the folders below it that were used lately.
#[derive(Debug)]
pub(crate) struct Dirs {
    root: Arc<Dir>,
    limit: usize,
    open: Mutex<HashMap<PathBuf, Arc<Dir>>>,
}

impl Dirs {
    pub(crate) fn new(root: Dir) -> Self {
        // The 256 shards of a build cache fit, where the platform lets them.
        let limit = (sys::open_limit() / 3).clamp(16, 512);
        Self { root: Arc::new(root), limit, open: Mutex::default() }
    }

    /// The folder `rel`, which must be there.
    pub(crate) fn open(&self, rel: &Path) -> io::Result<Arc<Dir>> {
        self.get(rel, || self.root.open_path(rel))
    }

    /// The folder `rel`, made where it is missing, for its owner only.
    pub(crate) fn make(&self, rel: &Path) -> io::Result<Arc<Dir>> {
        self.get(rel, || {
            let mut at = self.root.open_path(Path::new(""))?;
            for name in rel.components() {
                at = open_or_make(&at, name.as_os_str())?;
            }
            Ok(at)
        })
    }

    fn get(&self, rel: &Path, open: impl FnOnce() -> io::Result<Dir>) -> io::Result<Arc<Dir>> {
        if rel == Path::new("") {
            return Ok(Arc::clone(&self.root));
        }
        if let Some(dir) = lock(&self.open).get(rel) {
            return Ok(Arc::clone(dir));
        }
        let dir = Arc::new(open()?);
        let mut held = lock(&self.open);
        if held.len() >= self.limit {
            held.clear();
        }
        held.insert(rel.to_owned(), Arc::clone(&dir));
        Ok(dir)
    }
}

fn open_or_make(above: &Dir, name: &OsStr) -> io::Result<Dir> {
    match above.open_dir(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match above.mkdir_private(name) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            above.open_dir(name)
        }
        other => other,
    }
}
