//! Properties of the build cache's planner over random caches, policies and clocks.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use larder_core::build_inventory::Names;
use larder_core::build_planner::{BuildContext, BuildSelection, Shield, Why, plan_build};
use larder_core::{
    Action, ActionRef, Allocated, BuildInventory, EntryKey, Output, OutputRef, Policy, Time,
};
use proptest::prelude::*;

const NOW: u32 = 2_000_000_000;

/// An action as generated: its age, and which output it names (beyond the end: missing).
#[derive(Clone, Debug)]
struct Sketch {
    actions: Vec<(u32, usize)>,
    outputs: Vec<(u32, u64)>,
}

fn key(seed: usize, salt: u64) -> EntryKey {
    let mixed = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt;
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9).to_be_bytes());
    bytes[8..].copy_from_slice(&(seed as u64).to_be_bytes());
    EntryKey(bytes)
}

fn inventory(sketch: &Sketch) -> BuildInventory {
    let mut inventory = BuildInventory::empty();
    let mut outputs: Vec<Vec<Output>> = vec![Vec::new(); 256];
    for (i, &(age, blocks)) in sketch.outputs.iter().enumerate() {
        let key = key(i, 7);
        let output = Output::new(key, NOW.saturating_sub(age), blocks * 500, blocks * 512, false);
        outputs[usize::from(key.shard())].push(output);
    }
    for (shard, mut list) in outputs.into_iter().enumerate() {
        list.sort_by_key(|o| o.key);
        inventory.shards[shard].outputs = list.into();
    }
    let mut actions: Vec<Vec<Action>> = vec![Vec::new(); 256];
    for (i, &(age, names)) in sketch.actions.iter().enumerate() {
        let key = key(i, 99);
        let mut action = Action::new(key, NOW.saturating_sub(age), 175, 4096);
        if names < sketch.outputs.len() {
            let place = inventory.find_output(self::key(names, 7)).unwrap();
            action.set_names(Names::Output(place));
        } else if names % 2 == 0 {
            action.set_names(Names::Missing);
        }
        actions[usize::from(key.shard())].push(action);
    }
    for (shard, mut list) in actions.into_iter().enumerate() {
        list.sort_by_key(|a| a.key);
        inventory.shards[shard].actions = list.into();
    }
    inventory
}

fn sketches() -> impl Strategy<Value = Sketch> {
    (1_usize..40).prop_flat_map(|outputs| {
        (
            prop::collection::vec((0_u32..10_000_000, 0..outputs + 3), 0..60),
            prop::collection::vec((0_u32..10_000_000, 1_u64..500), outputs),
        )
            .prop_map(|(actions, outputs)| Sketch { actions, outputs })
    })
}

fn policies() -> impl Strategy<Value = Policy> {
    (
        prop::option::of(0_u64..8_000_000),
        prop::option::of(0_u64..12_000_000),
        prop_oneof![Just(0_u64), Just(86_400), 0_u64..5_000_000],
        any::<bool>(),
    )
        .prop_map(|(size, age, protect, orphans)| Policy {
            max_size: size.map(Allocated),
            max_age: age.map(Duration::from_secs),
            orphans,
            protect: Duration::from_secs(protect),
            ..Policy::waste_only()
        })
}

/// The last use that counts: of the action, its output, and all that share the output.
fn uses(inventory: &BuildInventory) -> (HashMap<ActionRef, u32>, HashMap<OutputRef, u32>) {
    let mut by_output: HashMap<OutputRef, u32> =
        inventory.outputs().map(|(place, o)| (place, o.used)).collect();
    for (_, action) in inventory.actions() {
        if let Names::Output(o) = action.names() {
            let used = by_output.get_mut(&o).unwrap();
            *used = (*used).max(action.used);
        }
    }
    let by_action = inventory
        .actions()
        .map(|(place, action)| match action.names() {
            Names::Output(o) => (place, by_output[&o]),
            _ => (place, action.used),
        })
        .collect();
    (by_action, by_output)
}

fn plan(inventory: &BuildInventory, policy: &Policy) -> BuildSelection {
    plan_build(inventory, &BuildContext::default(), policy, Time::from_unix(NOW.into()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn nothing_goes_twice_and_an_output_only_without_its_actions(
        sketch in sketches(), policy in policies(),
    ) {
        let inventory = inventory(&sketch);
        let selection = plan(&inventory, &policy);
        let mut actions = HashSet::new();
        let mut outputs = HashSet::new();
        for chosen in &selection.chosen {
            prop_assert!(chosen.action.is_some() || chosen.output.is_some());
            prop_assert!(chosen.action.is_none_or(|a| actions.insert(a)), "an action twice");
            prop_assert!(chosen.output.is_none_or(|o| outputs.insert(o)), "an output twice");
        }
        for (place, action) in inventory.actions() {
            if let Names::Output(o) = action.names() {
                prop_assert!(
                    !outputs.contains(&o) || actions.contains(&place),
                    "an output went while an action that names it stays"
                );
            }
        }
        // And the other way: no output is left that only actions which went had named.
        for (place, output) in inventory.outputs() {
            let named = inventory.actions().any(|(a, action)|
                action.names() == Names::Output(place) && !actions.contains(&a));
            let protected = policy.protect.as_secs() > 0
                && u64::from(NOW - output.used) <= policy.protect.as_secs();
            prop_assert!(named || outputs.contains(&place) || protected, "waste was left");
        }
    }

    #[test]
    fn nothing_protected_goes(sketch in sketches(), policy in policies()) {
        let inventory = inventory(&sketch);
        let (by_action, by_output) = uses(&inventory);
        for chosen in plan(&inventory, &policy).chosen {
            let used = chosen.action.map_or_else(|| by_output[&chosen.output.unwrap()], |a| by_action[&a]);
            prop_assert_eq!(used, chosen.used);
            if !policy.protect.is_zero() {
                prop_assert!(u64::from(NOW - used) > policy.protect.as_secs());
            }
        }
    }

    #[test]
    fn a_cap_is_met_or_the_reason_said_and_never_overshot(sketch in sketches(), policy in policies()) {
        let Some(cap) = policy.max_size else { return Ok(()) };
        let inventory = inventory(&sketch);
        let selection = plan(&inventory, &policy);
        let going: Allocated = selection.chosen.iter().map(|c| c.size.allocated).sum();
        let left = inventory.size().allocated - going;
        let said = selection.kept.iter().find_map(|k| match k.shield {
            Shield::CapNotMet(over) | Shield::CapTooSmall(over) => Some(over),
            _ => None,
        });
        let too_small = selection.kept.iter().any(|k| matches!(k.shield, Shield::CapTooSmall(_)));
        prop_assert_eq!(too_small, inventory.overhead.allocated > cap);
        prop_assert_eq!(said, (left > cap).then(|| left - cap));
        // The cap alone would have stopped before its last item.
        let by_cap: Vec<_> = selection.chosen.iter().filter(|c| c.why == Why::Cap).collect();
        let largest = by_cap.iter().map(|c| c.size.allocated).max().unwrap_or_default();
        prop_assert!(by_cap.is_empty() || left + largest > cap, "more went than the cap asked for");
    }

    #[test]
    fn the_cap_takes_the_least_recently_used(sketch in sketches(), cap in 0_u64..3_000_000) {
        let inventory = inventory(&sketch);
        let policy = Policy { max_size: Some(Allocated(cap)), protect: Duration::ZERO, ..Policy::waste_only() };
        let (by_action, _) = uses(&inventory);
        let selection = plan(&inventory, &policy);
        let gone: HashSet<_> = selection.chosen.iter().filter_map(|c| c.action).collect();
        let newest_gone = selection.chosen.iter().filter(|c| c.why == Why::Cap).map(|c| c.used).max();
        let oldest_left =
            by_action.iter().filter(|(a, _)| !gone.contains(a)).map(|(_, used)| *used).min();
        if let (Some(gone), Some(left)) = (newest_gone, oldest_left) {
            prop_assert!(gone <= left);
        }
    }

    #[test]
    fn age_takes_all_that_is_older_and_nothing_else(sketch in sketches(), age in 0_u64..12_000_000) {
        let inventory = inventory(&sketch);
        let policy = Policy {
            max_age: Some(Duration::from_secs(age)), protect: Duration::ZERO, ..Policy::waste_only()
        };
        let (by_action, _) = uses(&inventory);
        let gone: HashSet<_> =
            plan(&inventory, &policy).chosen.iter().filter_map(|c| c.action).collect();
        for (place, action) in inventory.actions() {
            let old = u64::from(NOW - by_action[&place]) > age;
            let whole = matches!(action.names(), Names::Output(_));
            prop_assert_eq!(gone.contains(&place), old || !whole);
        }
    }

    #[test]
    fn the_same_input_gives_the_same_plan(sketch in sketches(), policy in policies()) {
        let inventory = inventory(&sketch);
        prop_assert_eq!(plan(&inventory, &policy), plan(&inventory, &policy));
    }

    #[test]
    fn no_clock_makes_the_planner_fail(
        sketch in sketches(), policy in policies(), now in any::<i64>(), live in any::<Option<i64>>(),
    ) {
        let context = BuildContext { live_since: live.map(Time::from_unix_nanos), ..BuildContext::default() };
        let inventory = inventory(&sketch);
        let selection = plan_build(&inventory, &context, &policy, Time::from_unix_nanos(now));
        prop_assert!(selection.chosen.len() <= sketch.actions.len() + sketch.outputs.len());
    }

    #[test]
    fn what_a_running_build_may_use_stays(sketch in sketches(), policy in policies(), began in 0_u32..5_000_000) {
        let inventory = inventory(&sketch);
        let began = NOW - began;
        let context = BuildContext {
            live_since: Some(Time::from_unix(began.into())), ..BuildContext::default()
        };
        let selection = plan_build(&inventory, &context, &policy, Time::from_unix(NOW.into()));
        for chosen in selection.chosen {
            prop_assert!(chosen.used < began - 3600);
        }
    }
}
