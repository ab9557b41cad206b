//! Where things go that are removed: nowhere, or into a trash entry.
//!
//! Whoever knows a cache decides what goes, and in which order; this decides only where to.

use std::ffi::OsStr;
use std::marker::PhantomData;
use std::path::Path;

use crate::dir::Dir;
use crate::remove::{Judge, Removal, RemoveOptions, remove};

/// What becomes of what is removed.
#[derive(Clone, Copy, Debug)]
pub struct Disposal<'a>(PhantomData<&'a ()>);

#[expect(non_upper_case_globals, reason = "becomes a variant")]
impl Disposal<'_> {
    /// Gone for good.
    pub const Delete: Self = Self(PhantomData);

    /// Whether what goes can be had back.
    pub fn is_trash(&self) -> bool {
        false
    }

    /// Removes the entry `name` of `dir`, whose path below its cache's root is `rel`. What the
    /// removal counts as freed is what is gone from the cache.
    pub fn dispose<J: Judge>(
        &self,
        dir: &Dir,
        name: &OsStr,
        _rel: &Path,
        judge: &J,
        ctx: J::Ctx,
        options: &RemoveOptions<'_>,
    ) -> Removal {
        remove(dir, name, judge, ctx, options)
    }
}
