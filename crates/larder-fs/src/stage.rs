//! Files that are replaced whole or not at all.
//!
//! A reader sees the old bytes or the new ones, also after a power cut. Two writers at once do not
//! mix: the last one wins. Locking is left to the caller.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes `bytes` beside `path`, flushes them to the disk, renames them over it and flushes the
/// folder. An existing file's permissions are kept, and its owner where that is allowed.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_staged(path, bytes, false)
}

/// The same, and nobody but the owner may ever read it, where the platform knows such a thing.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_staged(path, bytes, true)
}

fn write_staged(path: &Path, bytes: &[u8], private: bool) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let (staged, mut file) = stage(path, private)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| match fs::metadata(path) {
            Ok(old) if old.is_file() && !private => {
                keep_owner(&file, &old);
                file.set_permissions(old.permissions())
            }
            _ => Ok(()),
        })
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&staged, path));
    if let Err(error) = written {
        // The error that matters is the first one; the staged file is only litter.
        let _ = fs::remove_file(&staged);
        return Err(error);
    }
    sync_folder(folder)
}

#[cfg(unix)]
fn keep_owner(file: &File, old: &fs::Metadata) {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    if file.metadata().is_ok_and(|new| (new.uid(), new.gid()) != (old.uid(), old.gid())) {
        // Only root may give a file away; whoever may replace it owns it otherwise.
        let _ = fchown(file, Some(old.uid()), Some(old.gid()));
    }
}

#[cfg(not(unix))]
fn keep_owner(_: &File, _: &fs::Metadata) {}

/// Removes what [`write_atomic`] had staged beside `path` for a process that was killed. Off Unix,
/// where it cannot be told who still runs, nothing.
pub fn forget_staged(path: &Path) -> io::Result<()> {
    let (Some(name), Some(folder)) = (path.file_name(), path.parent()) else { return Ok(()) };
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    for entry in fs::read_dir(folder)? {
        let staged = entry?.file_name();
        let rest = staged.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes());
        let rest = rest.and_then(|rest| rest.strip_suffix(b".tmp"));
        let Some(rest) = rest.and_then(|rest| std::str::from_utf8(rest).ok()) else { continue };
        let [pid, nanos, number] = rest.split('-').collect::<Vec<_>>()[..] else { continue };
        let ours = u64::from_str_radix(nanos, 16).is_ok() && number.parse::<u64>().is_ok();
        if ours && pid.parse().is_ok_and(is_gone) {
            forget_file(&folder.join(staged))?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn is_gone(pid: i32) -> bool {
    let Some(pid) = rustix::process::Pid::from_raw(pid).filter(|_| pid > 0) else { return false };
    rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
}

#[cfg(not(unix))]
fn is_gone(_: i32) -> bool {
    false
}

/// Removes one of larder's own files, which nobody needs any more; that it is gone already is fine.
pub fn forget_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Flushes a folder's entries to the disk, where the platform can.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(windows) {
        // NTFS journals its names, and a folder cannot be opened for flushing.
        return Ok(());
    }
    match File::open(folder)?.sync_all() {
        // Some file systems (9p, some FUSE) cannot flush a folder.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        other => other,
    }
}

/// A new file beside `path`, under a name that nobody else uses.
fn stage(path: &Path, private: bool) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{} names no file", path.display()))
    })?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, if private { 0o600 } else { 0o666 });
    #[cfg(not(unix))]
    let _ = private;
    loop {
        let mut staged = OsString::from(".");
        staged.push(name);
        staged.push(format!(".{}.tmp", unique()));
        let staged = path.with_file_name(staged);
        match options.open(&staged) {
            Ok(file) => return Ok((staged, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// A number that no other call in this process gets, and hardly any other process.
pub(crate) fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let nanos = crate::clock::now().unix_nanos();
    format!("{}-{nanos:x}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.toml");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_no_litter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("x"), b"").unwrap();
        assert!(write_atomic(&path, b"one").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn what_a_killed_writer_staged_goes_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("go.sum");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let dead = format!(".go.sum.{}-18eb4a5a42eb6646-0.tmp", child.id());
        let stay = [
            format!(".go.sum.{}-18eb4a5a42eb6646-0.tmp", std::process::id()),
            format!(".go.sum.{}-mine-0.tmp", child.id()),
            format!(".go.mod.{}-18eb4a5a42eb6646-0.tmp", child.id()),
            ".go.sum.tmp".to_owned(),
            ".go.sum.0-1-1.tmp".to_owned(),
            ".go.sum.-1-1-1.tmp".to_owned(),
        ];
        for name in stay.iter().chain([&dead]) {
            fs::write(folder.path().join(name), b"").unwrap();
        }
        forget_staged(&path).unwrap();
        assert!(!folder.path().join(&dead).exists());
        assert!(stay.iter().all(|name| folder.path().join(name).exists()));
    }

    #[cfg(unix)]
    #[test]
    fn permissions_survive() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("private");
        write_atomic(&path, b"one").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        // Whoever runs as root on somebody else's project leaves it his.
        let root = std::os::unix::fs::chown(&path, Some(12_345), Some(12_345)).is_ok();
        write_atomic(&path, b"two").unwrap();
        let meta = fs::metadata(&path).unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, 0o600);
        assert!(!root || std::os::unix::fs::MetadataExt::uid(&meta) == 12_345);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_private_is_nobody_elses_to_read() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("private");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        write_private(&path, b"one").unwrap();
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        write_private(&path, b"two").unwrap();
        assert_eq!(mode(), 0o600);
    }
}
