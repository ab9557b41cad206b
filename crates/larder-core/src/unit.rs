//! A unit: the smallest thing of a cache that is removed whole or not at all.

use std::cmp::Ordering;

use crate::cache::CacheKind;
use crate::plan::Target;
use crate::size::Size;
use crate::time::Time;

/// Whether a project needs a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nobody was asked: no project was given, or projects do not need this kind of thing.
    Unasked,
    /// Projects were asked and none needs it.
    Unneeded,
    /// Needed; who needs it, in one phrase (`~/src/api and 3 more projects`).
    Needed(String),
}

/// A module version, a toolchain, a repository, a fuzz target's corpus, or a leftover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its cache.
    pub cache: CacheKind,
    /// What a person would call it, as in `golang.org/x/text@v0.14.0`.
    pub subject: String,
    /// What apply removes.
    pub target: Target,
    /// What removing it gives back: `.info` and `.mod` stay and are not in it.
    pub size: Size,
    /// Last use, where it can be known.
    pub last_used: Option<Time>,
    /// Whether a project needs it.
    pub need: Need,
    /// The module path and this version's place in it, 0 the newest; for `--keep-versions`.
    pub version_rank: Option<u32>,
    /// Why it must stay whatever the policy says (a lock, the running toolchain).
    pub hold: Option<String>,
    /// Why it goes with every prune (a leftover of an interrupted download).
    pub waste: Option<String>,
}

impl Unit {
    /// Least recently used first, an unknown use before all; ties by subject, so that the same
    /// inventory always gives the same plan.
    pub fn by_last_use(&self, other: &Self) -> Ordering {
        self.last_used.cmp(&other.last_used).then_with(|| self.subject.cmp(&other.subject))
    }
}
