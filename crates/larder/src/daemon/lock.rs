//! Only one daemon a state folder: a lock that goes with the process.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_core::Meter;
use larder_fs::LockError;
use larder_fs::lock::FileLock;

use super::base::Mode;
use crate::exit::{CliError, Exit};

fn file(state: &Path) -> PathBuf {
    state.join("daemon.lock")
}

/// Takes the lock; `None` where another daemon has it.
pub(crate) fn take(state: &Path, mode: &Mode) -> Result<Option<FileLock>, CliError> {
    let path = file(state);
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let open = open.map_err(|error| CliError::io("open", &path, &error))?;
    // Two single runs at the same moment: the second waits for the first, as cron would want.
    let wait = match mode {
        Mode::Once { .. } => Duration::from_secs(1),
        Mode::Watch | Mode::Serve { .. } => Duration::ZERO,
    };
    match FileLock::exclusive(open, &path, wait, &Meter::default()) {
        Ok(lock) => Ok(Some(lock)),
        Err(LockError::Busy { .. }) => Ok(None),
        Err(error) => Err(CliError::because(Exit::Partly, &error)),
    }
}

/// Whether a daemon runs on this state folder.
pub(crate) fn running(state: &Path) -> bool {
    let path = file(state);
    let Ok(open) = File::open(&path) else { return false };
    let lock = FileLock::shared(open, &path, Duration::ZERO, &Meter::default());
    matches!(lock, Err(LockError::Busy { .. }))
}

/// The error that says so.
pub(crate) fn taken(state: &Path) -> CliError {
    let what = format!("another larder watch or serve runs with the state in {}", state.display());
    CliError::new(Exit::Busy, what).hint("stop it first, or name another state folder")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_seen_from_outside() {
        let state = tempfile::tempdir().unwrap();
        assert!(!running(state.path()));
        let lock = take(state.path(), &Mode::Watch).unwrap();
        assert!(lock.is_some() && running(state.path()));
        assert!(take(state.path(), &Mode::Watch).unwrap().is_none());
        drop(lock);
        assert!(!running(state.path()));
        assert!(take(state.path(), &Mode::Watch).unwrap().is_some());
    }
}
