//! Moving things: a rename where that is possible, a copy where it is not.
//!
//! A rename keeps everything. A copy keeps bytes, permission bits, access and modification times
//! and symlinks, and is checked against its source before that goes; owners, extended attributes
//! and hard links are not kept. Where a folder denies its owner what a move needs, the right is
//! given for the move and taken back after it.

use std::ffi::{OsStr, OsString};
use std::fs::{File, FileTimes};
use std::io::{self, Read as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use larder_core::{Meter, Time};

use crate::dir::{Dir, Kind, Meta};
use crate::remove::{Everything, RemoveOptions, remove};

/// Renames `from/name` to `to/new`, which must be free. `meta` is what was seen at `from/name`.
pub(crate) fn rename(
    from: &Dir,
    name: &OsStr,
    meta: &Meta,
    to: &Dir,
    new: &OsStr,
) -> io::Result<()> {
    match from.rename(name, to, new) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        other => {
            other?;
            return keep_time(meta, to, new);
        }
    }
    // Whoever moves a folder to another place must be allowed to write in it, since its `..`
    // changes; and in both places.
    let _from = Lifted::dir(from)?;
    let _to = Lifted::dir(to)?;
    let lifted = meta.sealed();
    if lifted {
        from.set_mode(name, meta.mode | 0o200)?;
    }
    let moved = from.rename(name, to, new);
    if lifted {
        match &moved {
            Ok(()) => to.set_mode(new, meta.mode)?,
            Err(_) => from.set_mode(name, meta.mode)?,
        }
    }
    moved?;
    keep_time(meta, to, new)
}

/// Some file systems count the change of `..` as a change of the folder.
fn keep_time(meta: &Meta, to: &Dir, new: &OsStr) -> io::Result<()> {
    if meta.kind != Kind::Folder {
        return Ok(());
    }
    match to.look(new)? {
        Some(now) if now.modified != meta.modified => {
            to.handle().set_times_at(new, now.accessed, meta.modified)
        }
        _ => Ok(()),
    }
}

/// A folder that its owner may write in until this is dropped.
struct Lifted<'a> {
    dir: &'a Dir,
    mode: Option<u32>,
}

impl<'a> Lifted<'a> {
    fn dir(dir: &'a Dir) -> io::Result<Self> {
        let meta = dir.meta()?;
        let mode = meta.sealed().then_some(meta.mode);
        if let Some(mode) = mode {
            dir.handle().set_mode(mode | 0o200)?;
        }
        Ok(Self { dir, mode })
    }
}

impl Drop for Lifted<'_> {
    fn drop(&mut self) {
        if let Some(mode) = self.mode {
            // The move has its own result; a restore sets recorded modes once more.
            let _ = self.dir.handle().set_mode(mode);
        }
    }
}

/// A folder whose entries are being copied.
struct Level {
    from: Dir,
    to: Dir,
    meta: Meta,
    entries: std::vec::IntoIter<(OsString, Kind)>,
}

/// Copies `from/name` with all that is in it to `to/new`, which must be free, and flushes it.
/// On an error what was copied is removed again. The source stays in any case.
pub(crate) fn copy(
    from: &Dir,
    name: &OsStr,
    to: &Dir,
    new: &OsStr,
    meter: &Meter,
) -> io::Result<()> {
    let copied = copy_entry(from, name, to, new, meter).and_then(|()| to.handle().sync_all());
    if copied.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::AlreadyExists) {
        let patient = Meter::default();
        remove(to, new, &Everything, (), &RemoveOptions { threads: 1, meter: &patient });
    }
    copied
}

fn copy_entry(from: &Dir, name: &OsStr, to: &Dir, new: &OsStr, meter: &Meter) -> io::Result<()> {
    let Some(first) = copy_one(from, name, to, new, meter)? else { return Ok(()) };
    let mut levels = vec![first];
    while let Some(level) = levels.last_mut() {
        if let Some((name, _)) = level.entries.next() {
            if let Some(below) = copy_one(&level.from, &name, &level.to, &name, meter)? {
                levels.push(below);
            }
            continue;
        }
        // Full now, so its own mode and time can be set; its parent's come later.
        let Some(done) = levels.pop() else { break };
        if done.from.meta()?.modified != done.meta.modified {
            return Err(changed());
        }
        done.to.handle().set_modified(done.meta.modified)?;
        done.to.handle().set_mode(done.meta.mode)?;
    }
    Ok(())
}

/// Copies one entry; a folder is only begun.
fn copy_one(
    from: &Dir,
    name: &OsStr,
    to: &Dir,
    new: &OsStr,
    meter: &Meter,
) -> io::Result<Option<Level>> {
    if meter.stopped() {
        return Err(io::ErrorKind::Interrupted.into());
    }
    let Some(meta) = from.look(name)? else { return Err(io::ErrorKind::NotFound.into()) };
    match meta.kind {
        Kind::Folder => {
            to.mkdir_private(new)?;
            let (from, to) = (from.open_dir(name)?, to.open_dir(new)?);
            let entries = from.entries()?.into_iter();
            return Ok(Some(Level { from, to, meta, entries }));
        }
        Kind::File => copy_file(from, name, to, new, &meta)?,
        Kind::Symlink => {
            to.handle().symlink(&from.handle().read_link(name)?, new)?;
            to.handle().set_times_at(new, meta.accessed, meta.modified)?;
        }
        Kind::Other => {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "not a file, folder or symlink",
            ));
        }
    }
    meter.add(1, meta.allocated);
    Ok(None)
}

fn copy_file(from: &Dir, name: &OsStr, to: &Dir, new: &OsStr, meta: &Meta) -> io::Result<()> {
    let mut source = from.open_file(name)?;
    let mut copy = to.handle().create(new, 0o600)?;
    let written = io::copy(&mut source, &mut copy)?;
    let after = from.look(name)?;
    let same = after.is_some_and(|after| {
        (after.identity(), after.modified, after.logical)
            == (meta.identity(), meta.modified, meta.logical)
    });
    if !same || written != meta.logical || copy.metadata()?.len() != meta.logical {
        return Err(changed());
    }
    let times = FileTimes::new()
        .set_accessed(system_time(meta.accessed))
        .set_modified(system_time(meta.modified));
    copy.set_times(times)?;
    if !cfg!(target_os = "linux") {
        // There one call flushes the whole file system in the end.
        copy.sync_all()?;
    }
    drop(copy);
    to.set_mode(new, meta.mode)
}

fn changed() -> io::Error {
    io::Error::other("it changed while it was copied")
}

fn system_time(time: Time) -> SystemTime {
    let nanos = time.unix_nanos();
    let distance = Duration::from_nanos(nanos.unsigned_abs());
    if nanos < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
}

/// Whether two files, or two symlinks, are the same but for where they are.
pub(crate) fn same(one: (&Dir, &OsStr, &Meta), two: (&Dir, &OsStr, &Meta)) -> io::Result<bool> {
    let (a, b) = (one.2, two.2);
    Ok((a.mode, a.modified) == (b.mode, b.modified) && same_content(one, two)?)
}

/// Whether two files, or two symlinks, hold the same.
pub(crate) fn same_content(
    one: (&Dir, &OsStr, &Meta),
    two: (&Dir, &OsStr, &Meta),
) -> io::Result<bool> {
    let (a, b) = (one.2, two.2);
    if (a.kind, a.logical) != (b.kind, b.logical) {
        return Ok(false);
    }
    match a.kind {
        Kind::File => same_bytes(&one.0.open_file(one.1)?, &two.0.open_file(two.1)?),
        Kind::Symlink => Ok(one.0.handle().read_link(one.1)? == two.0.handle().read_link(two.1)?),
        Kind::Folder | Kind::Other => Ok(false),
    }
}

fn same_bytes(mut one: &File, mut two: &File) -> io::Result<bool> {
    const STEP: u64 = 1 << 16;
    let (mut left, mut right) = (Vec::new(), Vec::new());
    loop {
        left.clear();
        right.clear();
        one.by_ref().take(STEP).read_to_end(&mut left)?;
        two.by_ref().take(STEP).read_to_end(&mut right)?;
        if left != right {
            return Ok(false);
        }
        if left.is_empty() {
            return Ok(true);
        }
    }
}
