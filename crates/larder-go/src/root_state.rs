//! What stands where GOCACHE or GOMODCACHE should be, with a sentence for each case.
//!
//! Whether the folder really is a cache is for the layout modules to prove.

use std::fmt;
use std::io;
use std::path::PathBuf;

use larder_core::RootKind;
use larder_fs::Dir;

use crate::locate::{Setting, SettingValue};

/// What stands where a root should be.
#[derive(Debug)]
pub enum RootState {
    /// A folder, held open.
    Ready {
        /// Which root.
        kind: RootKind,
        /// The folder.
        dir: Dir,
        /// Where the root leads when it is itself a symlink.
        link_target: Option<PathBuf>,
    },
    /// Nothing has been cached yet.
    Absent(RootKind, PathBuf),
    /// Switched off.
    Off(RootKind),
    /// Not an absolute path, which Go refuses.
    Relative(RootKind, String),
    /// A file, or a link to nothing.
    NotAFolder(RootKind, PathBuf),
    /// It cannot be opened.
    Unreadable(RootKind, PathBuf, io::Error),
    /// Nothing names it, and why.
    Unset(RootKind, String),
}

impl RootState {
    /// The open folder, where there is one.
    pub fn dir(&self) -> Option<&Dir> {
        match self {
            Self::Ready { dir, .. } => Some(dir),
            _ => None,
        }
    }
}

impl fmt::Display for RootState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready { kind, dir, link_target: None } => {
                write!(f, "{kind} is {}", dir.path().display())
            }
            Self::Ready { kind, dir, link_target: Some(target) } => {
                write!(f, "{kind} is {}, a link to {}", dir.path().display(), target.display())
            }
            Self::Absent(kind, path) => write!(
                f,
                "{kind} {} does not exist; the next go build or go mod download makes it",
                path.display()
            ),
            Self::Off(kind) => write!(
                f,
                "{kind} is off, so there is nothing to look at; go env -u {kind} switches it on again"
            ),
            Self::Relative(kind, value) => write!(
                f,
                "{kind} comes from {value:?}, which is not an absolute path, so Go refuses it; set it with go env -w {kind}=/a/path"
            ),
            Self::NotAFolder(kind, path) => write!(
                f,
                "{kind} {} is not a folder, so Go cannot use it; move it away or set {kind} to another path",
                path.display()
            ),
            Self::Unreadable(kind, path, error) => write!(
                f,
                "{kind} {} cannot be read: {error}; run as its owner or set {kind} to another path",
                path.display()
            ),
            Self::Unset(kind, why) => {
                write!(f, "{why}, so there is no place for {kind}; set {kind} to an absolute path")
            }
        }
    }
}

/// Looks at a root and opens it where it is a folder. A root that is itself a symlink is followed
/// once.
pub fn open_root(kind: RootKind, setting: &Setting) -> RootState {
    let path = match &setting.value {
        SettingValue::Path(path) => path.clone(),
        SettingValue::Off => return RootState::Off(kind),
        SettingValue::Relative(value) => return RootState::Relative(kind, value.clone()),
        SettingValue::Unset(why) => return RootState::Unset(kind, why.clone()),
    };
    let link = match std::fs::symlink_metadata(&path) {
        Ok(meta) => meta.file_type().is_symlink(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return RootState::Absent(kind, path);
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return RootState::NotAFolder(kind, path);
        }
        Err(error) => return RootState::Unreadable(kind, path, error),
    };
    match std::fs::metadata(&path) {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => return RootState::NotAFolder(kind, path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return RootState::NotAFolder(kind, path);
        }
        Err(error) => return RootState::Unreadable(kind, path, error),
    }
    let link_target = link.then(|| std::fs::canonicalize(&path).ok()).flatten();
    match Dir::open_root(&path).and_then(|dir| dir.entries().map(|_| dir)) {
        Ok(dir) => RootState::Ready { kind, dir, link_target },
        Err(error) => RootState::Unreadable(kind, path, error),
    }
}
