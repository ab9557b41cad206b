//! Decide: what of one cache a policy wants gone. Previews, plans, findings and the reclaimable
//! column all come through here, so that they never disagree.

use std::collections::HashMap;

use larder_core::build_planner::{BuildContext, BuildSelection, plan_build};
use larder_core::unit_planner::{UnitSelection, plan_units};
use larder_core::{CacheKind, OutputRef, Policy, Size, Time};

use crate::scan::Snapshot;

/// What is decided upon.
#[derive(Debug)]
pub struct Basis {
    /// What was measured, with the needs filled in.
    pub snapshot: Snapshot,
    /// What planning a build cache takes into account beside its entries.
    pub context: BuildContext,
}

/// What goes, by the shape of its cache.
#[derive(Debug)]
pub enum Selection {
    /// Of a build cache, entries.
    Build(BuildSelection),
    /// Of any other, units.
    Units(UnitSelection),
}

impl Selection {
    /// What goes, added up.
    pub fn total(&self) -> Size {
        match self {
            Self::Build(build) => build.chosen.iter().map(|chosen| chosen.size).sum(),
            Self::Units(units) => units.items.iter().filter_map(|item| item.size).sum(),
        }
    }

    /// How many things go.
    pub fn len(&self) -> usize {
        match self {
            Self::Build(build) => build.chosen.len(),
            Self::Units(units) => units.items.len(),
        }
    }

    /// Whether nothing goes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Basis {
    /// With no orphans known.
    pub fn new(snapshot: Snapshot, live_since: Option<Time>) -> Self {
        let context = BuildContext { orphans: HashMap::new(), live_since };
        Self { snapshot, context }
    }

    /// Adds outputs whose origin is gone.
    #[must_use]
    pub fn with_orphans(mut self, orphans: HashMap<OutputRef, Box<str>>) -> Self {
        self.context.orphans = orphans;
        self
    }

    /// What of `cache` goes under `policy`.
    pub fn select(&self, cache: CacheKind, policy: &Policy) -> Selection {
        let now = self.snapshot.taken_at;
        match (cache, &self.snapshot.build) {
            (CacheKind::Build, Some(build)) => {
                Selection::Build(plan_build(&build.inventory, &self.context, policy, now))
            }
            (CacheKind::Build, None) => Selection::Build(BuildSelection::default()),
            _ => {
                let total = self.snapshot.size(cache);
                Selection::Units(plan_units(cache, &self.snapshot.units, total, policy, now))
            }
        }
    }
}
