//! The flow in one page: lock → plan → check → apply → report.
//!
//! A preview is [`preview`]: a plan that is not applied. [`act`] does the whole flow at once, as
//! the dev profile does; [`apply_plan`] begins with a plan that was read from a file.

use std::time::{Duration, Instant};

use larder_core::check::Approval;
use larder_core::{
    CacheKind, CheckedPlan, Meter, Observed, Outcome, Plan, RootKind, Target, check,
};
use larder_fs::clock;
use larder_fs::lock::{FileLock, apply_lock};

use crate::apply::{Hands, apply};
use crate::config::{Config, Profile};
use crate::error::EngineError;
use crate::measure::measure;
use crate::plan::{Planned, plan};
use crate::present::Present;
use crate::request::Request;
use crate::world::{Root, World};

/// How to apply.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Into the trash instead of away.
    pub trash: bool,
    /// A running build does not refuse a clean.
    pub force: bool,
    /// How long to wait for locks.
    pub wait: Duration,
    /// What is known of the plan's approval.
    pub approval: Approval,
}

/// What [`act`] did.
#[derive(Debug)]
pub struct Acted {
    /// The plan that was made, its items included.
    pub planned: Planned,
    /// What applying it did.
    pub outcome: Outcome,
    /// Of the given projects, those that still have everything of theirs that was there before,
    /// looked at again afterwards; and how many projects there are.
    pub untouched: Option<(usize, usize)>,
}

/// A plan that is not applied.
pub fn preview(
    world: &World,
    config: &Config,
    request: &Request,
    meter: &Meter,
) -> Result<Planned, EngineError> {
    plan(world, config, request, true, meter)
}

/// Plans and applies at once. In the production profile a plan has to be approved first, so this
/// is refused there.
pub fn act(
    world: &World,
    config: &Config,
    request: &Request,
    options: &Options,
    meter: &Meter,
) -> Result<Acted, EngineError> {
    let started = Instant::now();
    let caches = request.settle()?;
    let _locks = lock(world, config, &caches, options, meter)?;
    let planned = plan(world, config, request, false, meter)?;
    let checked = checked(world, config, planned.plan.clone(), options)?;
    let before = planned.snapshot.as_ref().map(|snapshot| snapshot.sizes.clone());
    let mut outcome = apply(&checked, &hands(world, config, options, meter))?;
    report(world, &planned.caches, before, &mut outcome);
    outcome.duration = started.elapsed();
    let untouched = untouched(world, &planned);
    Ok(Acted { planned, outcome, untouched })
}

/// Looks whether what projects need is still there.
fn untouched(world: &World, planned: &Planned) -> Option<(usize, usize)> {
    let projects = &planned.needs.as_ref()?.projects;
    let before = Present::new(world, planned.snapshot.as_ref()?.modules.as_ref());
    let after = Present::scan(world, &Meter::default());
    let whole = projects.iter().filter(|project| after.holds_all_of(project, &before)).count();
    Some((whole, projects.len()))
}

/// Applies a plan that was made earlier.
pub fn apply_plan(
    world: &World,
    config: &Config,
    plan: Plan,
    options: &Options,
    meter: &Meter,
) -> Result<Outcome, EngineError> {
    let started = Instant::now();
    let held = Held::new(world, config, plan, options, meter)?;
    let before = measure(world, &held.caches, meter);
    let mut outcome = apply(&held.plan, &hands(world, config, options, meter))?;
    report(world, &held.caches, Some(before), &mut outcome);
    outcome.duration = started.elapsed();
    Ok(outcome)
}

/// Removes what a verification found bad. No entry is kept because it was used: a use of what is
/// bad is what is to end, and a running build that misses it makes it again.
pub fn mend(
    world: &World,
    config: &Config,
    plan: Plan,
    options: &Options,
    meter: &Meter,
) -> Result<Outcome, EngineError> {
    let started = Instant::now();
    let held = Held::new(world, config, plan, options, meter)?;
    let mends = Hands { mends: true, ..hands(world, config, options, meter) };
    let mut outcome = apply(&held.plan, &mends)?;
    outcome.duration = started.elapsed();
    Ok(outcome)
}

/// A plan that is checked, with its caches locked until this is dropped.
struct Held {
    plan: CheckedPlan,
    caches: Vec<CacheKind>,
    _locks: Vec<FileLock>,
}

impl Held {
    fn new(
        world: &World,
        config: &Config,
        plan: Plan,
        options: &Options,
        meter: &Meter,
    ) -> Result<Self, EngineError> {
        let mut caches: Vec<CacheKind> = plan.items.iter().map(|item| item.cache).collect();
        caches.sort_unstable();
        caches.dedup();
        let locks = lock(world, config, &caches, options, meter)?;
        Ok(Self { plan: checked(world, config, plan, options)?, caches, _locks: locks })
    }
}

/// The check alone: whether a plan could be applied now.
pub fn checked(
    world: &World,
    config: &Config,
    plan: Plan,
    options: &Options,
) -> Result<CheckedPlan, EngineError> {
    let observed = observe(world, config, &plan, options);
    Ok(check(plan, &observed)?)
}

fn hands<'a>(
    world: &'a World,
    config: &'a Config,
    options: &Options,
    meter: &'a Meter,
) -> Hands<'a> {
    Hands { world, config, trash: options.trash, wait: options.wait, meter, mends: false }
}

/// One larder at a time in a root; a second one waits.
fn lock(
    world: &World,
    config: &Config,
    caches: &[CacheKind],
    options: &Options,
    meter: &Meter,
) -> Result<Vec<FileLock>, EngineError> {
    // Always in the same order, so that two larders never wait for each other.
    [RootKind::GoCache, RootKind::GoModCache]
        .into_iter()
        .filter_map(|kind| caches.iter().find(|cache| cache.root() == kind))
        .filter(|&&cache| world.root(cache).dir().is_some())
        .map(|&cache| {
            let root = &world.root(cache).path;
            Ok(apply_lock(&config.state, root, options.wait, meter)?)
        })
        .collect()
}

/// What the check is told of the world.
fn observe(world: &World, config: &Config, plan: &Plan, options: &Options) -> Observed {
    let mut live_builds: Vec<String> = plan
        .items
        .iter()
        .filter(|item| item.target == Target::All)
        .map(|item| item.cache.root())
        .flat_map(|kind| world.builds(kind))
        .map(|process| format!("{} (pid {})", process.command, process.pid))
        .collect();
    live_builds.sort();
    live_builds.dedup();
    let approval = match (config.profile, options.approval) {
        (Profile::Production, Approval::NotAsked) => Approval::Missing,
        (Profile::Dev, Approval::Missing) => Approval::NotAsked,
        (_, approval) => approval,
    };
    Observed {
        host: crate::host::name(),
        roots: [&world.gocache, &world.gomodcache]
            .into_iter()
            .filter_map(Root::as_planned)
            .collect(),
        now: clock::now(),
        max_plan_age: config.plan_max_age,
        approval,
        live_builds,
        force: options.force,
    }
}

/// Fills in the sizes before and after. What a clean did not measure before is what went and what
/// is left; what went into the trash unmeasured stays unknown.
fn report(
    world: &World,
    caches: &[CacheKind],
    before: Option<Vec<(CacheKind, larder_core::Size)>>,
    outcome: &mut Outcome,
) {
    if before.is_none() && outcome.trash_id.is_some() {
        return;
    }
    let after = measure(world, caches, &Meter::default());
    outcome.before = before.unwrap_or_else(|| {
        after
            .iter()
            .map(|&(cache, left)| {
                let gone = outcome.gone.iter().find(|(kind, _)| *kind == cache);
                (cache, left + gone.map_or_else(Default::default, |(_, size)| *size))
            })
            .collect()
    });
    outcome.before.retain(|(cache, _)| caches.contains(cache));
    outcome.after = after;
}
