//! A folder held open, and what can be done to the entries in it.
//!
//! Every call is relative to the open folder and takes one name; the last component is never
//! followed. So a folder that is swapped for a symlink in the middle cannot lead outside. Only
//! [`Dir::open_root`] follows a symlink, once, for the root that the caller named.
//!
//! Off Unix a folder is held by its path and each step refuses reparse points; that is as near as
//! the safe part of std comes to folder-relative calls there.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use larder_core::Time;

use crate::sys::{self, Handle};

/// What an entry is, by itself: a symlink is a symlink wherever it points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link; on Windows any reparse point.
    Symlink,
    /// A device, pipe or socket.
    Other,
}

/// What the file system says about one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// What it is.
    pub kind: Kind,
    /// `st_size` in bytes.
    pub logical: u64,
    /// Bytes on the disk (`st_blocks` × 512); on Windows the size rounded up to 4 KiB.
    pub allocated: u64,
    /// How many names this file has.
    pub links: u64,
    /// The file system it is on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// Permission bits, without the type; on Windows 0444 or 0666.
    pub mode: u32,
    /// When its content changed.
    pub modified: Time,
    /// When it was read, as far as the file system records that.
    pub accessed: Time,
    /// When its content or attributes changed; on Windows when it was made.
    pub changed: Time,
    /// Whether it is known to be where a file system is mounted; `false` where nobody can tell.
    pub mount_point: bool,
}

impl Meta {
    /// Device and inode.
    pub fn identity(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// Whether the owner lacks the right to change this folder's entries, as in an extracted
    /// module.
    pub fn sealed(&self) -> bool {
        self.kind == Kind::Folder && self.mode & 0o200 == 0
    }
}

/// A folder held open.
#[derive(Debug)]
pub struct Dir {
    handle: Handle,
    path: PathBuf,
}

impl Dir {
    /// Opens a root by its path, following symlinks this once.
    pub fn open_root(path: &Path) -> io::Result<Self> {
        Ok(Self { handle: Handle::open_root(path)?, path: path.to_owned() })
    }

    /// Opens the folder `name` in this one; a symlink is an error.
    pub fn open_dir(&self, name: &OsStr) -> io::Result<Self> {
        let handle = self.handle.open_dir(one_name(name)?)?;
        Ok(Self { handle, path: self.path.join(name) })
    }

    /// Opens a folder below this one, no component of `rel` being followed; an empty path is this
    /// folder again. `..` and absolute paths are refused.
    pub fn open_path(&self, rel: &Path) -> io::Result<Self> {
        let mut at = Self { handle: self.handle.again()?, path: self.path.clone() };
        for component in rel.components() {
            match component {
                Component::Normal(name) => at = at.open_dir(name)?,
                Component::CurDir => {}
                _ => return Err(invalid(format!("{} leads out of its root", rel.display()))),
            }
        }
        Ok(at)
    }

    /// The path it was opened by, for messages and for other programs.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// About this folder itself.
    pub fn meta(&self) -> io::Result<Meta> {
        self.handle.meta()
    }

    /// Device and inode of this folder.
    pub fn identity(&self) -> io::Result<(u64, u64)> {
        self.handle.identity()
    }

    /// About an entry; `None` where there is none of this name.
    pub fn look(&self, name: &OsStr) -> io::Result<Option<Meta>> {
        self.handle.look(one_name(name)?)
    }

    /// The entries' names and kinds, sorted; `.` and `..` left out.
    pub fn entries(&self) -> io::Result<Vec<(OsString, Kind)>> {
        let mut found = Vec::new();
        self.each(|name, kind| {
            found.push((name.to_owned(), kind));
            true
        })?;
        found.sort_unstable();
        Ok(found)
    }

    /// How many entries there are, where `fits` says yes to each by its name and kind; `None` at the
    /// first that does not. No name is kept, so that a folder of many costs little more than its
    /// reading.
    pub fn count_all(&self, mut fits: impl FnMut(&OsStr, Kind) -> bool) -> io::Result<Option<u64>> {
        let (mut count, mut all) = (0, true);
        self.each(|name, kind| {
            all = fits(name, kind);
            count += 1;
            all
        })?;
        Ok(all.then_some(count))
    }

    /// Shows each entry until `go_on` says no.
    fn each(&self, mut go_on: impl FnMut(&OsStr, Kind) -> bool) -> io::Result<()> {
        let fresh = self.handle.again()?;
        fresh.scan(&mut sys::Buffer::default(), |entry| {
            let kind = match entry.kind() {
                Some(kind) => kind,
                None => match entry.look()? {
                    Some(meta) => meta.kind,
                    None => return Ok(true),
                },
            };
            Ok(go_on(entry.name(), kind))
        })
    }

    /// At most the first `limit` bytes of a regular file.
    pub fn read(&self, name: &OsStr, limit: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open_file(name)?.take(limit as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// A regular file for reading; its access time stays where the platform allows that.
    pub fn open_file(&self, name: &OsStr) -> io::Result<File> {
        self.handle.open_file(one_name(name)?)
    }

    /// A regular file for locking: read and write, made with mode 0666 (less the umask) where it
    /// is missing, never truncated (as `cmd/go/internal/lockedfile` opens its locks).
    pub fn open_lock(&self, name: &OsStr) -> io::Result<File> {
        self.handle.open_lock(one_name(name)?)
    }

    /// A new file for writing; an error where the name is taken.
    pub fn create(&self, name: &OsStr) -> io::Result<File> {
        self.handle.create(one_name(name)?, 0o666)
    }

    /// A new file for writing that nobody may write to once this handle is closed.
    pub fn create_read_only(&self, name: &OsStr) -> io::Result<File> {
        self.handle.create(one_name(name)?, 0o444)
    }

    /// A new folder.
    pub fn mkdir(&self, name: &OsStr) -> io::Result<()> {
        self.handle.mkdir(one_name(name)?, 0o777)
    }

    /// Removes a file or symlink.
    pub fn unlink(&self, name: &OsStr) -> io::Result<()> {
        self.handle.unlink(one_name(name)?)
    }

    /// Removes an empty folder.
    pub fn rmdir(&self, name: &OsStr) -> io::Result<()> {
        self.handle.rmdir(one_name(name)?)
    }

    /// Moves an entry to `to/new`; [`io::ErrorKind::AlreadyExists`] where that name is taken,
    /// [`io::ErrorKind::CrossesDevices`] where it is on another file system.
    pub fn rename(&self, name: &OsStr, to: &Self, new: &OsStr) -> io::Result<()> {
        self.handle.rename(one_name(name)?, &to.handle, one_name(new)?)
    }

    /// Sets an entry's permission bits; a symlink is an error. On Windows this is the read-only
    /// flag of a file, and nothing for a folder.
    pub fn set_mode(&self, name: &OsStr, mode: u32) -> io::Result<()> {
        self.handle.set_mode_at(one_name(name)?, mode)
    }

    /// A new folder that only its owner may enter.
    pub(crate) fn mkdir_private(&self, name: &OsStr) -> io::Result<()> {
        self.handle.mkdir(one_name(name)?, 0o700)
    }

    /// The platform's side of it.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// Refuses what is not the name of one entry.
fn one_name(name: &OsStr) -> io::Result<&OsStr> {
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(only)), None) if only == name => Ok(name),
        _ => Err(invalid(format!("{} is not the name of one entry", name.display()))),
    }
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
