//! Files of the module cache that get their name only when they are written whole.

use std::ffi::OsStr;
use std::fs::File;
use std::io;

use larder_fs::Dir;

use crate::fetch::{VersionError, failed};

/// A file under a temporary name, such as Go uses and cleans up (`tempFile`).
pub(crate) struct Staged<'a> {
    folder: &'a Dir,
    name: String,
    file: Option<File>,
    kept: bool,
}

impl<'a> Staged<'a> {
    pub(crate) fn new(folder: &'a Dir, name: &str) -> Result<Self, VersionError> {
        let name = format!("{name}{}.tmp", unique());
        let file = folder.open_lock(OsStr::new(&name)).map_err(failed(folder, &name))?;
        Ok(Self { folder, name, file: Some(file), kept: false })
    }

    pub(crate) fn file(&mut self) -> Result<&mut File, VersionError> {
        let (folder, name) = (self.folder, &self.name);
        self.file.as_mut().ok_or_else(|| failed(folder, name)(io::ErrorKind::NotFound.into()))
    }

    /// The same file for reading alone.
    pub(crate) fn reopen(&mut self) -> Result<File, VersionError> {
        self.file = None;
        self.folder.open_file(OsStr::new(&self.name)).map_err(failed(self.folder, &self.name))
    }

    pub(crate) fn keep(mut self, name: &str) -> Result<(), VersionError> {
        self.file = None;
        let renamed = self.folder.rename(OsStr::new(&self.name), self.folder, OsStr::new(name));
        match renamed {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(failed(self.folder, name)(error)),
            Ok(()) => {
                self.kept = true;
                Ok(())
            }
        }
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.file = None;
            // A temporary file that stays is cleaned up by the next try.
            let _ = self.folder.unlink(OsStr::new(&self.name));
        }
    }
}

/// Digits, as Go has them in the names of its temporary files, that no other thread or process
/// uses at the same time.
fn unique() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}{:06}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed) % 1_000_000)
}
