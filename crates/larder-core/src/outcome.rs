//! What applying a plan did. Errors of single items are inside; bytes count after the removal.

use std::time::Duration;

use crate::cache::CacheKind;
use crate::size::Size;

/// Something that was left alone, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// What was left.
    pub subject: String,
    /// Why.
    pub reason: String,
}

/// Something that could not be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What failed.
    pub subject: String,
    /// What went wrong, with the path.
    pub error: String,
}

/// What is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Plan items.
    pub items: u64,
    /// Files, folders not counted.
    pub files: u64,
}

/// The result of one apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The plan's id.
    pub plan_id: String,
    /// Each cache's size before.
    pub before: Vec<(CacheKind, Size)>,
    /// Each cache's size after, measured again.
    pub after: Vec<(CacheKind, Size)>,
    /// Measured as removed, not as planned; in the trash it is not freed, and this stays empty.
    pub freed: Size,
    /// What went from each cache, freed or into the trash, as far as it was measured.
    pub gone: Vec<(CacheKind, Size)>,
    /// Moved to the trash.
    pub trashed: Size,
    /// What is gone from the cache.
    pub removed: Removed,
    /// Caches that were cleaned whole, where the number of plan items says nothing.
    pub whole: Vec<CacheKind>,
    /// Left alone: used since, changed, foreign.
    pub skipped: Vec<Skipped>,
    /// Could not be removed.
    pub failed: Vec<Failed>,
    /// The trash entry that undoes this.
    pub trash_id: Option<String>,
    /// Whether the person stopped it before the end.
    pub interrupted: bool,
    /// From the first look to the last removal.
    pub duration: Duration,
}
