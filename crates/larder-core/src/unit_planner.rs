//! What of a module cache, of toolchains, repositories or fuzz data goes under a policy. Pure.

use crate::cache::CacheKind;
use crate::plan::{Kept, PlanItem};
use crate::policy::Policy;
use crate::size::{Allocated, Size};
use crate::time::{Age, Time, Typed};
use crate::unit::{Need, Unit};

/// The planner's answer for one cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitSelection {
    /// What goes, least recently used first.
    pub items: Vec<PlanItem>,
    /// What stays though wanted gone.
    pub kept: Vec<Kept>,
}

/// What goes of one cache under `policy`. `total` is the whole cache, bookkeeping too.
pub fn plan_units(
    cache: CacheKind,
    units: &[Unit],
    total: Size,
    policy: &Policy,
    now: Time,
) -> UnitSelection {
    let mut order: Vec<&Unit> = units.iter().filter(|unit| unit.cache == cache).collect();
    order.sort_by(|a, b| a.by_last_use(b));
    let mut selection = UnitSelection::default();
    let mut left = total.allocated;
    let mut rest = Vec::new();
    for unit in order {
        let Some(reason) = wanted(unit, policy, now) else {
            rest.push(unit);
            continue;
        };
        match shield(unit, policy, now) {
            Some(shield) => selection.kept.push(kept(unit, shield)),
            None => {
                left = left - unit.size.allocated;
                selection.items.push(item(unit, &reason));
            }
        }
    }
    if let Some(cap) = policy.max_size {
        choose_down_to(cap, left, &rest, policy, now, &mut selection);
    }
    selection
}

/// Least recently used first, until the rest fits. What is shielded is passed over; what it
/// costs is said where the cap is not met.
fn choose_down_to(
    cap: Allocated,
    mut left: Allocated,
    rest: &[&Unit],
    policy: &Policy,
    now: Time,
    selection: &mut UnitSelection,
) {
    let mut passed = Vec::new();
    for unit in rest {
        if left <= cap {
            return;
        }
        match shield(unit, policy, now) {
            Some(shield) => passed.push((*unit, shield)),
            None => {
                left = left - unit.size.allocated;
                selection
                    .items
                    .push(item(unit, "least recently used, and the cache is over its size"));
            }
        }
    }
    if left > cap {
        selection.kept.extend(
            passed
                .into_iter()
                .map(|(unit, shield)| kept(unit, format!("over the size, but {shield}"))),
        );
    }
}

/// Why a policy wants this unit gone, if one does.
fn wanted(unit: &Unit, policy: &Policy, now: Time) -> Option<String> {
    if let Some(waste) = &unit.waste {
        return Some(waste.clone());
    }
    if policy.keep_used && unit.need == Need::Unneeded {
        return Some("not needed by any project".to_owned());
    }
    if let (Some(keep), Some(rank)) = (policy.keep_versions, unit.version_rank)
        && rank >= keep
    {
        return Some(match keep {
            1 => "older than the newest version".to_owned(),
            _ => format!("older than the newest {keep} versions"),
        });
    }
    let age = now.since(unit.last_used?);
    policy.max_age.is_some_and(|limit| age > limit).then(|| format!("not used for {}", Age(age)))
}

/// Why this unit must stay, if it must.
fn shield(unit: &Unit, policy: &Policy, now: Time) -> Option<String> {
    if let Some(hold) = &unit.hold {
        return Some(hold.clone());
    }
    if let Need::Needed(who) = &unit.need {
        return Some(format!("needed by {who}"));
    }
    if let (Some(keep), Some(rank), None) = (policy.keep_versions, unit.version_rank, &unit.waste)
        && rank < keep
    {
        return Some(match keep {
            1 => "the newest version".to_owned(),
            _ => format!("one of the newest {keep} versions"),
        });
    }
    let recent = unit.last_used.is_some_and(|used| now.since(used) < policy.protect);
    recent.then(|| format!("used within the last {}", Typed(policy.protect)))
}

fn item(unit: &Unit, reason: &str) -> PlanItem {
    PlanItem {
        cache: unit.cache,
        name: Some(unit.subject.as_str().into()),
        target: unit.target.clone(),
        size: Some(unit.size),
        last_used: unit.last_used,
        reason: reason.into(),
    }
}

fn kept(unit: &Unit, reason: String) -> Kept {
    Kept { cache: unit.cache, subject: unit.subject.clone(), reason, size: unit.size }
}
