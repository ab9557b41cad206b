//! What should stay and what should go, as settled from settings and arguments.

use std::time::Duration;

use crate::size::Allocated;

/// Policies add up: what any one of them wants gone, and none protects, goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Allocated bytes that the cache may keep, least recently used out first.
    pub max_size: Option<Allocated>,
    /// What was not used for this long goes.
    pub max_age: Option<Duration>,
    /// What no given project needs goes; what one needs stays.
    pub keep_used: bool,
    /// Of each module, the newest so many versions stay and the others go.
    pub keep_versions: Option<u32>,
    /// Build outputs of module versions, Go versions or project folders that are gone go.
    pub orphans: bool,
    /// What was used this recently stays, whatever else is wanted.
    pub protect: Duration,
}

impl Policy {
    /// `--protect`'s default, from the cache interface's own rule of thumb
    /// (`cmd/go/internal/cache/cache.go`: do not trim what was used in the last day).
    pub const PROTECT: Duration = Duration::from_hours(24);

    /// Wants nothing gone but waste, and protects the last day.
    pub fn waste_only() -> Self {
        Self {
            max_size: None,
            max_age: None,
            keep_used: false,
            keep_versions: None,
            orphans: false,
            protect: Self::PROTECT,
        }
    }
}
