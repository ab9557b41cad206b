//! The `list` file of a module's downloads, written as the go command writes it.
//!
//! It names the canonical versions that have a `.mod` file, in the order of versions, one a line
//! (`cmd/go/internal/modfetch/cache.go`, `rewriteVersionList`). Names are taken as they stand on
//! the disk, so an escaped one is no version here, as it is none for Go.

use std::ffi::OsStr;
use std::io::{self, Read, Seek, Write};
use std::time::Duration;

use larder_core::Meter;
use larder_fs::{Dir, FileLock, Kind, LockError};

use crate::semver;

/// Why a list could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// Somebody holds its lock.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It could not be read or written.
    #[error("cannot rewrite {}", .path.display())]
    Io {
        /// The list.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Brings the list of an `@v` folder up to date under its lock, and says whether it had to be
/// changed. Where there is no list, none is made.
pub fn rewrite(folder: &Dir, wait: Duration, meter: &Meter) -> Result<bool, ListError> {
    let name = OsStr::new("list");
    let path = folder.path().join(name);
    let io_error = |source| ListError::Io { path: path.clone(), source };
    if folder.look(name).map_err(io_error)?.is_none_or(|meta| meta.kind != Kind::File) {
        return Ok(false);
    }
    create(folder, wait, meter)
}

/// As [`rewrite`]; where there is no list, it is made.
pub fn create(folder: &Dir, wait: Duration, meter: &Meter) -> Result<bool, ListError> {
    let name = OsStr::new("list");
    let path = folder.path().join(name);
    let io_error = |source| ListError::Io { path: path.clone(), source };
    let file = folder.open_lock(name).map_err(io_error)?;
    let mut lock = FileLock::exclusive(file, &path, wait, meter)?;
    let names = folder.entries().map_err(io_error)?;
    let wanted = listed(names.iter().filter_map(|(name, _)| name.to_str()));
    let file = lock.file();
    let mut present = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut present));
    if read.is_ok() && present == wanted {
        return Ok(false);
    }
    write(file, &wanted).map_err(io_error)?;
    Ok(true)
}

/// What the list of an `@v` folder should say and what it says, where these differ; nothing where
/// they agree or there is no list. Looked at again under its lock, for a go command that is
/// writing it writes in place.
pub fn compare(folder: &Dir, meter: &Meter) -> io::Result<Option<(String, String)>> {
    let name = OsStr::new("list");
    let look = || -> io::Result<Option<(String, String)>> {
        let is = match folder.read(name, MOST) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => String::from_utf8_lossy(&other?).into_owned(),
        };
        let names = folder.entries()?;
        let wanted = listed(names.iter().filter_map(|(name, _)| name.to_str()));
        Ok((wanted != is).then_some((wanted, is)))
    };
    if look()?.is_none() {
        return Ok(None);
    }
    // Without the right to lock it the second look still counts.
    let held = folder
        .open_file(name)
        .ok()
        .and_then(|file| FileLock::shared(file, &folder.path().join(name), LOCK_WAIT, meter).ok());
    let second = look();
    drop(held);
    second
}

/// The longest list that is read, in bytes.
const MOST: usize = 64 << 20;

/// A list is written in no time.
const LOCK_WAIT: Duration = Duration::from_secs(2);

/// What a list says where these files are.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut versions: Vec<&str> = names
        .filter_map(|name| name.strip_suffix(".mod"))
        .filter(|version| semver::is_canonical(version))
        .collect();
    versions.sort_by(|a, b| semver::compare_total(a, b));
    versions.iter().flat_map(|version| [version, "\n"]).collect()
}

/// Emptied first and then given its size, so that a write that is cut off leaves zeros at the
/// end, by which readers know it.
fn write(file: &mut std::fs::File, text: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.set_len(text.len() as u64)?;
    file.rewind()?;
    file.write_all(text.as_bytes()).inspect_err(|_| {
        // An empty list is better than half of one; the error itself is what counts.
        let _ = file.set_len(0);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_versions_with_a_mod_file_are_listed_in_order() {
        let names = [
            "v1.10.0.mod",
            "v1.9.0.mod",
            "v1.9.0.info",
            "v2.0.0+incompatible.mod",
            "v1.0.0.zip",
            "list",
            "v1.mod",
            "master.mod",
            "v1.9.0-!r!c1.mod",
            ".mod",
            "v0.0.0-20191109021931-daa7c04131f5.mod",
        ];
        assert_eq!(
            listed(names.into_iter()),
            "v0.0.0-20191109021931-daa7c04131f5\nv1.9.0\nv1.10.0\nv2.0.0+incompatible\n"
        );
    }
}
