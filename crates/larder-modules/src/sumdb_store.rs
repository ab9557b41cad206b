//! What is kept of a checksum database: records and tiles below GOMODCACHE, the last tree head
//! below GOPATH (`dbClient` in `cmd/go/internal/modfetch/sumdb.go`).
//!
//! Promises: files are read and written under the go command's own locks, in its own places. What
//! cannot be read or written in the cache is only not cached; the tree head is another matter.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_core::Meter;
use larder_fs::{Dir, FileLock, LockError};

use crate::tile::Tile;

/// The files of one database.
#[derive(Debug)]
pub(crate) struct Store {
    cache: Dir,
    /// The database's name, which may have slashes.
    name: String,
    heads: PathBuf,
}

/// Whose tree head is on the disk now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// The one that was to be written.
    Ours,
    /// One that somebody else has put there in the meantime.
    Theirs,
}

/// Nobody holds these locks longer than it takes to copy a few kilobytes.
const WAIT: Duration = Duration::from_secs(30);
/// No file here is larger.
const MAX_FILE: u64 = 4 << 20;

impl Store {
    pub(crate) fn new(gomodcache: &Dir, gopath: &Path, name: &str) -> io::Result<Self> {
        let cache = gomodcache.open_path(Path::new(""))?;
        let heads = gopath.join("pkg").join("sumdb").join(name);
        Ok(Self { cache, name: name.to_owned(), heads })
    }

    /// The folder of a cached file, and its name: `lookup/…` or `tile/…`.
    fn place<'a>(&self, file: &'a str) -> (PathBuf, &'a OsStr) {
        let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
        let base = Path::new("cache").join("download").join("sumdb").join(&self.name);
        (base.join(folder), OsStr::new(name))
    }

    /// A cached file. An empty one is one that is just being written.
    pub(crate) fn read(&self, file: &str) -> Option<Vec<u8>> {
        let (folder, name) = self.place(file);
        let dir = self.cache.open_path(&folder).ok()?;
        let bytes = read_locked(dir.open_file(name).ok()?, &dir.path().join(name)).ok()?;
        (!bytes.is_empty()).then_some(bytes)
    }

    /// Keeps a file, as well as that goes.
    pub(crate) fn write(&self, file: &str, bytes: &[u8]) {
        let (folder, name) = self.place(file);
        let written = make_path(&self.cache, &folder).and_then(|dir| {
            let mut lock = lock(dir.open_lock(name)?, &dir.path().join(name))?;
            overwrite(lock.file(), bytes)
        });
        // The go command does not care either: what is not cached is fetched again.
        let _ = written;
    }

    /// The narrowest partial tile in the cache that begins with this one.
    pub(crate) fn read_wider(&self, tile: &Tile) -> Option<Vec<u8>> {
        let (folder, _) = self.place(&format!("{}.p/x", tile.full_path()));
        let dir = self.cache.open_path(&folder).ok()?;
        let widths = dir.entries().ok()?.into_iter().filter_map(|(name, _)| {
            name.to_str()?.parse::<u64>().ok().filter(|width| *width > tile.width)
        });
        let width = widths.min()?;
        let wider = Tile { width, ..*tile };
        let mut bytes = self.read(&wider.path()).filter(|bytes| bytes.len() == wider.bytes())?;
        bytes.truncate(tile.bytes());
        Some(bytes)
    }

    /// Where the last tree head is.
    pub(crate) fn head_path(&self) -> PathBuf {
        self.heads.join("latest")
    }

    /// The last tree head; empty where there is none yet.
    pub(crate) fn read_head(&self) -> io::Result<Vec<u8>> {
        let path = self.head_path();
        match File::open(&path) {
            Ok(file) => read_locked(file, &path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Puts `new` in the place of `old`, unless somebody else has put something else there.
    pub(crate) fn write_head(&self, old: &[u8], new: &[u8]) -> io::Result<Written> {
        fs::create_dir_all(&self.heads)?;
        let dir = Dir::open_root(&self.heads)?;
        let path = self.head_path();
        let mut lock = lock(dir.open_lock(OsStr::new("latest"))?, &path)?;
        let mut found = Vec::new();
        lock.file().take(MAX_FILE).read_to_end(&mut found)?;
        if !found.is_empty() && found != old {
            return Ok(Written::Theirs);
        }
        overwrite(lock.file(), new)?;
        Ok(Written::Ours)
    }
}

fn read_locked(file: File, path: &Path) -> io::Result<Vec<u8>> {
    let lock = FileLock::shared(file, path, WAIT, &Meter::default());
    let mut lock = lock.map_err(io_error)?;
    let mut bytes = Vec::new();
    lock.file().take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn lock(file: File, path: &Path) -> io::Result<FileLock> {
    FileLock::exclusive(file, path, WAIT, &Meter::default()).map_err(io_error)
}

fn io_error(error: LockError) -> io::Error {
    match error {
        LockError::Io { source, .. } => source,
        other => io::Error::new(io::ErrorKind::WouldBlock, other),
    }
}

fn overwrite(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    file.set_len(0)?;
    file.write_all(bytes)
}

/// A folder below another, made where it is missing.
fn make_path(root: &Dir, rel: &Path) -> io::Result<Dir> {
    let mut at = root.open_path(Path::new(""))?;
    for name in rel {
        at = match at.open_dir(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => match at.mkdir(name) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(error);
                }
                _ => at.open_dir(name)?,
            },
            opened => opened?,
        };
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tile::FULL;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("mod")).unwrap();
        let cache = Dir::open_root(&folder.path().join("mod")).unwrap();
        let store = Store::new(&cache, &folder.path().join("gopath"), "sum.test/db").unwrap();
        (folder, store)
    }

    #[test]
    fn a_head_that_changed_in_the_meantime_stays() {
        let (folder, store) = store();
        assert_eq!(store.read_head().unwrap(), b"");
        assert_eq!(store.write_head(b"", b"one").unwrap(), Written::Ours);
        let path = folder.path().join("gopath/pkg/sumdb/sum.test/db/latest");
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(store.write_head(b"zero", b"two").unwrap(), Written::Theirs);
        assert_eq!(store.read_head().unwrap(), b"one");
        assert_eq!(store.write_head(b"one", b"longer").unwrap(), Written::Ours);
        assert_eq!(store.write_head(b"longer", b"x").unwrap(), Written::Ours);
        assert_eq!(store.read_head().unwrap(), b"x", "cut to its length");
    }

    #[test]
    fn files_are_where_go_has_them_and_an_empty_one_is_none() {
        let (folder, store) = store();
        assert_eq!(store.read("lookup/a.test/m@v1.0.0"), None);
        store.write("lookup/a.test/m@v1.0.0", b"record");
        assert_eq!(store.read("lookup/a.test/m@v1.0.0").unwrap(), b"record");
        let path =
            folder.path().join("mod/cache/download/sumdb/sum.test/db/lookup/a.test/m@v1.0.0");
        assert_eq!(fs::read(&path).unwrap(), b"record");
        fs::write(&path, b"").unwrap();
        assert_eq!(store.read("lookup/a.test/m@v1.0.0"), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_symlink_in_the_cache_is_not_followed() {
        let (folder, store) = store();
        let outside = folder.path().join("outside");
        fs::create_dir(&outside).unwrap();
        let sumdb = folder.path().join("mod/cache/download/sumdb");
        fs::create_dir_all(&sumdb).unwrap();
        std::os::unix::fs::symlink(&outside, sumdb.join("sum.test")).unwrap();
        store.write("lookup/m@v1.0.0", b"record");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }

    #[test]
    fn the_narrowest_wider_tile_is_cut() {
        let (_folder, store) = store();
        let tile = |width| Tile { level: 0, n: 1, width };
        for width in [9, 5, FULL] {
            store.write(&tile(width).path(), &vec![1; tile(width).bytes()]);
        }
        assert_eq!(store.read_wider(&tile(4)).unwrap().len(), 4 * 32);
        assert_eq!(store.read_wider(&tile(9)), None);
    }
}
