//! Where things go that are removed: nowhere, or into a trash entry.
//!
//! Whoever knows a cache decides what goes, and in which order; this decides only where to.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use larder_core::Size;

use crate::dir::{Dir, Kind};
use crate::remove::{Judge, Removal, RemoveOptions, remove};
use crate::trash::Entry;

/// What becomes of what is removed.
#[derive(Clone, Copy, Debug)]
pub enum Disposal<'a> {
    /// Gone for good.
    Delete,
    /// Moved into this entry of the trash.
    Trash(&'a Entry),
}

impl Disposal<'_> {
    /// Whether what goes can be had back.
    pub fn is_trash(&self) -> bool {
        matches!(self, Self::Trash(_))
    }

    /// Removes the entry `name` of `dir`, whose path below its cache's root is `rel`; empty for
    /// the root itself. What the removal counts as freed is what is gone from the cache.
    ///
    /// Into the trash a folder goes whole and unmeasured, so the judge is asked for `name` alone,
    /// and for a root not at all.
    pub fn dispose<J: Judge>(
        &self,
        dir: &Dir,
        name: &OsStr,
        rel: &Path,
        judge: &J,
        ctx: J::Ctx,
        options: &RemoveOptions<'_>,
    ) -> Removal {
        let Self::Trash(entry) = self else { return remove(dir, name, judge, ctx, options) };
        let mut done = Removal { complete: true, ..Removal::default() };
        match take(entry, dir, name, rel, judge, &ctx, options) {
            Ok(Some(size)) => {
                options.meter.add(size.files, size.allocated.0);
                done.freed = size;
            }
            Ok(None) => done.left.push(dir.path().join(name)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => done.errors.push((dir.path().join(name), error)),
        }
        done.complete = done.left.is_empty() && done.errors.is_empty();
        done
    }
}

/// `None` where it is to be left.
fn take<J: Judge>(
    entry: &Entry,
    dir: &Dir,
    name: &OsStr,
    rel: &Path,
    judge: &J,
    ctx: &J::Ctx,
    options: &RemoveOptions<'_>,
) -> io::Result<Option<Size>> {
    let Some(meta) = dir.look(name)? else { return Ok(Some(Size::default())) };
    let asked = rel != Path::new("");
    let goes = match meta.kind {
        _ if !asked => true,
        Kind::Folder => judge.folder(ctx, name).is_some(),
        _ => judge.file(ctx, name),
    };
    if !goes || meta.mount_point {
        return Ok(None);
    }
    entry.take(dir, name, rel, options.meter).map(|size| Some(size.unwrap_or_default()))
}
