//! Advisory locks that exclude the go command's, and the lock that makes one of two larders wait.
//!
//! On Unix this is `flock(2)`, on Windows `LockFileEx`: what
//! `cmd/go/internal/lockedfile/internal/filelock` uses. A lock goes with the value that holds it,
//! also when the process dies. Lock files are never removed: somebody may be waiting on one.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use larder_core::Meter;

use crate::dir::Dir;

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else held it for as long as the caller would wait.
    #[error("{} is locked by another process", path.display())]
    Busy {
        /// The lock file.
        path: PathBuf,
    },
    /// The meter asked to stop while waiting.
    #[error("stopped while waiting for a lock")]
    Stopped,
    /// The lock file could not be used.
    #[error("cannot lock {}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub struct FileLock {
    file: File,
}

impl FileLock {
    /// Takes the lock for this process alone, waiting at most `wait`. `path` is for messages.
    pub fn exclusive(
        file: File,
        path: &Path,
        wait: Duration,
        meter: &Meter,
    ) -> Result<Self, LockError> {
        acquire(file, path, wait, meter, File::try_lock)
    }

    /// Takes the lock together with other readers, waiting at most `wait`.
    pub fn shared(
        file: File,
        path: &Path,
        wait: Duration,
        meter: &Meter,
    ) -> Result<Self, LockError> {
        acquire(file, path, wait, meter, File::try_lock_shared)
    }

    /// The locked file, for reading and writing what the lock guards.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // By hand, as Go does: a child that another thread is just starting has a copy of the
        // descriptor until its exec, and would hold the lock that long. What fails here ends with
        // the descriptor.
        let _ = self.file.unlock();
    }
}

/// Holds `root` against another larder that would apply to it, waiting at most `wait`.
///
/// The lock file lies in `state_dir/locks`, named by a hash of the root's real path and identity,
/// so that the lock never stands inside what is being removed.
pub fn apply_lock(
    state_dir: &Path,
    root: &Path,
    wait: Duration,
    meter: &Meter,
) -> Result<FileLock, LockError> {
    let folder = state_dir.join("locks");
    let failed = |path: &Path, source| LockError::Io { path: path.to_owned(), source };
    fs::create_dir_all(&folder).map_err(|error| failed(&folder, error))?;
    let name = format!("{:016x}.lock", root_hash(root));
    let path = folder.join(&name);
    let file = Dir::open_root(&folder)
        .and_then(|folder| folder.open_lock(name.as_ref()))
        .map_err(|error| failed(&path, error))?;
    FileLock::exclusive(file, &path, wait, meter)
}

fn acquire(
    file: File,
    path: &Path,
    wait: Duration,
    meter: &Meter,
    attempt: impl Fn(&File) -> Result<(), TryLockError>,
) -> Result<FileLock, LockError> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        match attempt(&file) {
            Ok(()) => return Ok(FileLock { file }),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(TryLockError::Error(source)) => {
                return Err(LockError::Io { path: path.to_owned(), source });
            }
        }
        if meter.stopped() {
            return Err(LockError::Stopped);
        }
        let left = wait.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Err(LockError::Busy { path: path.to_owned() });
        }
        // A blocking lock could be neither timed nor stopped, so it is asked for again.
        thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// FNV-1a over the root's real path and identity; std's hashes may change between releases.
fn root_hash(root: &Path) -> u64 {
    let real = fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
    let identity = Dir::open_root(root).and_then(|dir| dir.identity()).unwrap_or_default();
    let numbers = identity.0.to_le_bytes().into_iter().chain(identity.1.to_le_bytes());
    let bytes = real.as_os_str().as_encoded_bytes().iter().copied().chain([0]).chain(numbers);
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(path: &Path) -> Result<FileLock, LockError> {
        let file = File::options().create(true).append(true).open(path).unwrap();
        FileLock::exclusive(file, path, Duration::ZERO, &Meter::default())
    }

    #[test]
    fn the_second_is_busy_until_the_first_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = lock(&path).unwrap();
        assert!(matches!(lock(&path), Err(LockError::Busy { path: busy }) if busy == path));
        drop(first);
        lock(&path).unwrap();
    }

    #[test]
    fn readers_share_and_exclude_a_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let open = || File::options().create(true).append(true).open(&path).unwrap();
        let meter = Meter::default();
        let one = FileLock::shared(open(), &path, Duration::ZERO, &meter).unwrap();
        let two = FileLock::shared(open(), &path, Duration::ZERO, &meter).unwrap();
        assert!(lock(&path).is_err());
        drop((one, two));
        lock(&path).unwrap();
    }

    #[test]
    fn waiting_ends_when_the_meter_stops() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let _held = lock(&path).unwrap();
        let meter = Meter::default();
        meter.stop();
        let file = File::options().append(true).open(&path).unwrap();
        let waited = FileLock::exclusive(file, &path, Duration::from_hours(1), &meter);
        assert!(matches!(waited, Err(LockError::Stopped)));
    }

    #[test]
    fn each_root_has_its_own_lock_and_a_symlink_to_it_shares_it() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        fs::create_dir(&one).unwrap();
        fs::create_dir(&two).unwrap();
        let meter = Meter::default();
        let take = |root: &Path| apply_lock(&state, root, Duration::ZERO, &meter);
        let _one = take(&one).unwrap();
        let _two = take(&two).unwrap();
        assert!(matches!(take(&one), Err(LockError::Busy { .. })));
        #[cfg(unix)]
        {
            let alias = folder.path().join("alias");
            std::os::unix::fs::symlink(&one, &alias).unwrap();
            assert!(matches!(take(&alias), Err(LockError::Busy { .. })));
        }
    }
}
