//! Properties of the planner for module versions and such.

use std::path::PathBuf;
use std::time::Duration;

use larder_core::unit_planner::plan_units;
use larder_core::{Allocated, CacheKind, Need, Policy, Size, Target, Time, Unit};
use proptest::prelude::*;

const NOW: i64 = 2_000_000_000;

fn units() -> impl Strategy<Value = Vec<Unit>> {
    let unit = (
        0_i64..10_000_000,
        1_u64..1_000_000,
        0_u8..3,
        0_u32..5,
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
    );
    prop::collection::vec(unit, 0..50).prop_map(|list| {
        list.into_iter()
            .enumerate()
            .map(|(i, (age, bytes, need, rank, hold, waste))| Unit {
                cache: CacheKind::Mod,
                subject: format!("example.com/m{i}@v1.0.0"),
                target: Target::Path(PathBuf::from(format!("m{i}"))),
                size: Size::new(1, bytes, bytes),
                last_used: Some(Time::from_unix(NOW - age)),
                need: match need {
                    0 => Need::Unasked,
                    1 => Need::Unneeded,
                    _ => Need::Needed("a project".into()),
                },
                version_rank: Some(rank),
                hold: hold.then(|| "locked".into()),
                waste: waste.then(|| "leftover".into()),
            })
            .collect()
    })
}

fn policies() -> impl Strategy<Value = Policy> {
    (
        prop::option::of(0_u64..20_000_000),
        prop::option::of(0_u64..12_000_000),
        any::<bool>(),
        prop::option::of(0_u32..4),
        prop_oneof![Just(0_u64), 0_u64..5_000_000],
    )
        .prop_map(|(size, age, keep_used, keep_versions, protect)| Policy {
            max_size: size.map(Allocated),
            max_age: age.map(Duration::from_secs),
            keep_used,
            keep_versions,
            protect: Duration::from_secs(protect),
            ..Policy::waste_only()
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_needed_held_or_recent_stays(units in units(), policy in policies()) {
        let total = units.iter().map(|u| u.size).sum();
        let selection = plan_units(CacheKind::Mod, &units, total, &policy, Time::from_unix(NOW));
        for item in &selection.items {
            let unit = units.iter().find(|u| u.subject == item.subject()).unwrap();
            prop_assert!(unit.hold.is_none());
            prop_assert!(!matches!(unit.need, Need::Needed(_)));
            let age = Time::from_unix(NOW).since(unit.last_used.unwrap());
            prop_assert!(age >= policy.protect);
            prop_assert!(!item.reason.is_empty());
        }
    }

    #[test]
    fn everything_wanted_either_goes_or_is_listed_as_kept(units in units(), policy in policies()) {
        let total = units.iter().map(|u| u.size).sum();
        let selection = plan_units(CacheKind::Mod, &units, total, &policy, Time::from_unix(NOW));
        for unit in &units {
            let age = Time::from_unix(NOW).since(unit.last_used.unwrap());
            let wanted = unit.waste.is_some()
                || (policy.keep_used && unit.need == Need::Unneeded)
                || policy.max_age.is_some_and(|limit| age > limit)
                || policy.keep_versions.is_some_and(|n| unit.version_rank.unwrap() >= n);
            let goes = selection.items.iter().any(|i| i.subject() == unit.subject);
            let kept = selection.kept.iter().any(|k| k.subject == unit.subject);
            prop_assert!(!(goes && kept));
            prop_assert!(!wanted || goes || kept, "{} is in neither list", unit.subject);
        }
    }

    #[test]
    fn a_cap_is_met_unless_something_is_kept_and_never_overshot(units in units(), policy in policies()) {
        let Some(cap) = policy.max_size else { return Ok(()) };
        let total: Size = units.iter().map(|u| u.size).sum();
        let selection = plan_units(CacheKind::Mod, &units, total, &policy, Time::from_unix(NOW));
        let gone: Allocated = selection.items.iter().map(|i| i.size.unwrap().allocated).sum();
        let left = total.allocated - gone;
        prop_assert!(left <= cap || !selection.kept.is_empty(), "the cap is not met, without a word");
        let by_cap: Vec<_> = selection.items.iter().filter(|i| i.reason.contains("least recently")).collect();
        let largest = by_cap.iter().map(|i| i.size.unwrap().allocated).max().unwrap_or_default();
        prop_assert!(by_cap.is_empty() || left + largest > cap);
    }
}
