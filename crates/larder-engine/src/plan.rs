//! Plan: from a request and a measurement to a list of what goes, each item with its reason.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;

use larder_core::{
    CacheKind, Kept, Meter, Need, OutputRef, Plan, PlanItem, RootKind, Target, Time,
};
use larder_go::build_origin::OwnerContext;
use larder_go::mod_names::extracted_path;
use larder_go::mod_scan::{ModScan, ModVersion};
use larder_go::needs::{self, Needs};
use larder_go::running::GoProcess;
use larder_go::{build_layout, build_names, build_orphans, build_owner, mod_layout};

use crate::config::Config;
use crate::error::EngineError;
use crate::present::Present;
use crate::request::{Request, Verb};
use crate::scan::{Snapshot, scan};
use crate::select::{Basis, Selection};
use crate::world::{Root, World};

/// A plan, and what it was made from.
#[derive(Debug)]
pub struct Planned {
    /// What goes.
    pub plan: Plan,
    /// The caches it is about.
    pub caches: Vec<CacheKind>,
    /// The measurement; `None` for a clean that measures as it removes.
    pub snapshot: Option<Snapshot>,
    /// What the given projects need; `None` where none was given.
    pub needs: Option<Needs>,
}

/// Makes a plan. `measure` is whether a clean is to be measured before anything goes, which a
/// preview needs and a clean that acts at once does not.
pub fn plan(
    world: &World,
    config: &Config,
    request: &Request,
    measure: bool,
    meter: &Meter,
) -> Result<Planned, EngineError> {
    let caches = request.settle()?;
    for &cache in &caches {
        world.root(cache).to_act_on()?;
    }
    let mut plan = blank(world, request, &caches);
    plan.protect = caches
        .iter()
        .map(|&cache| request.policy(cache, config).protect)
        .min()
        .unwrap_or(larder_core::Policy::PROTECT);
    match request.verb {
        Verb::Clean => clean(world, plan, caches, measure, meter),
        Verb::Prune => prune(world, config, request, plan, caches, meter),
    }
}

fn clean(
    world: &World,
    mut plan: Plan,
    caches: Vec<CacheKind>,
    measure: bool,
    meter: &Meter,
) -> Result<Planned, EngineError> {
    let snapshot = measure.then(|| scan(world, &CacheKind::ALL, meter)).transpose()?;
    for &cache in &caches {
        if world.root(cache).dir().is_none() {
            continue;
        }
        let target = if cache == CacheKind::Test { Target::TestResults } else { Target::All };
        let size = match (&snapshot, cache) {
            (_, CacheKind::Test) => Some(larder_core::Size::default()),
            (None, _) => None,
            // All of GOMODCACHE goes with `mod`.
            (Some(snapshot), CacheKind::Mod) => {
                Some(snapshot.modules.as_ref().map_or_else(Default::default, ModScan::size))
            }
            (Some(snapshot), cache) => Some(snapshot.size(cache)),
        };
        let reason = format!("clean {cache}").into();
        plan.items.push(PlanItem { cache, name: None, target, size, last_used: None, reason });
    }
    Ok(Planned { plan, caches, snapshot, needs: None })
}

fn prune(
    world: &World,
    config: &Config,
    request: &Request,
    mut plan: Plan,
    caches: Vec<CacheKind>,
    meter: &Meter,
) -> Result<Planned, EngineError> {
    let policies: HashMap<CacheKind, _> =
        caches.iter().map(|&cache| (cache, request.policy(cache, config))).collect();
    let orphans = policies.values().any(|policy| policy.orphans);
    let mut measured = caches.clone();
    if orphans {
        // Whether a module version is gone is told by the module cache.
        measured.extend([CacheKind::Mod, CacheKind::Toolchain]);
    }
    let builds = world.builds(RootKind::GoCache);
    let needs = needed(world, config, request, &caches, meter)?;
    let mut snapshot = scan(world, &measured, meter)?;
    if let Some(needs) = &needs {
        fill_needs(&mut snapshot, needs);
    }
    let mut basis = Basis::new(snapshot, live_since(&builds));
    if orphans {
        let found = find_orphans(world, &basis.snapshot, meter);
        basis = basis.with_orphans(found);
    }
    for &cache in &caches {
        match basis.select(cache, &policies[&cache]) {
            Selection::Units(units) => {
                plan.items.extend(units.items);
                plan.kept.extend(units.kept);
            }
            Selection::Build(build) => {
                let (Some(dir), Some(scan)) = (world.gocache.dir(), &basis.snapshot.build) else {
                    continue;
                };
                let named = build_names::items(dir, scan, &build, meter);
                plan.items.extend(named.items);
                plan.kept.extend(named.kept);
            }
        }
    }
    plan.kept.extend(needs.iter().flat_map(unclear));
    Ok(Planned { plan, caches, snapshot: Some(basis.snapshot), needs })
}

/// Projects whose need is not known, with why: everything they may need stays.
fn unclear(needs: &Needs) -> impl Iterator<Item = Kept> {
    needs.projects.iter().filter_map(|project| {
        let why = project.missing.first()?;
        Some(Kept {
            cache: CacheKind::Mod,
            subject: project.display.clone(),
            reason: format!("what it needs cannot be worked out, so all it may need stays: {why}"),
            size: larder_core::Size::default(),
        })
    })
}

/// When the oldest build that runs now began.
pub fn live_since(builds: &[GoProcess]) -> Option<Time> {
    builds.iter().map(|process| process.started).min()
}

/// What the given projects and the roots of the settings need, where a cache asks for it.
fn needed(
    world: &World,
    config: &Config,
    request: &Request,
    caches: &[CacheKind],
    meter: &Meter,
) -> Result<Option<Needs>, EngineError> {
    let roots = request.roots(config);
    let asked = caches.iter().any(|cache| matches!(cache, CacheKind::Mod | CacheKind::Toolchain));
    match world.gomodcache.dir() {
        Some(dir) if asked && !roots.is_empty() => {
            Ok(Some(needs::needs(&roots, dir, &world.go, meter)?))
        }
        _ => Ok(None),
    }
}

/// Writes into each module version and toolchain whether a project needs it.
pub fn fill_needs(snapshot: &mut Snapshot, needs: &Needs) {
    for unit in &mut snapshot.units {
        let Target::Version { module, version, .. } = &unit.target else { continue };
        if !matches!(unit.cache, CacheKind::Mod | CacheKind::Toolchain) {
            continue;
        }
        let who = needs.who_needs(module, version);
        unit.need = who.map_or(Need::Unneeded, Need::Needed);
    }
}

/// Build outputs whose module version, Go version or project folder is gone.
pub fn find_orphans(
    world: &World,
    snapshot: &Snapshot,
    meter: &Meter,
) -> HashMap<OutputRef, Box<str>> {
    let (Some(dir), Some(build)) = (world.gocache.dir(), &snapshot.build) else {
        return HashMap::new();
    };
    let context = owner_context(world, snapshot.modules.as_ref());
    let owners = build_owner::attribute(dir, &build.inventory, &context, meter);
    let here = Present::new(world, snapshot.modules.as_ref());
    build_orphans::orphans(
        &build.inventory,
        &owners,
        &build_orphans::Present {
            module: &|module, version| here.has_version(module, version),
            go: &|version| here.has_go(version),
            gone: &build_orphans::surely_gone,
        },
    )
}

/// What build outputs are attributed by.
pub fn owner_context(world: &World, modules: Option<&ModScan>) -> OwnerContext {
    let named = |version: &ModVersion| (version.module.to_string(), version.version.to_string());
    let toolchains = modules.into_iter().flat_map(|scan| &scan.toolchains);
    let below = toolchains.filter_map(|t| extracted_path(&t.module, &t.version));
    OwnerContext {
        gomodcache: Some(world.gomodcache.path.clone()),
        goroots: world
            .go
            .goroot
            .iter()
            .cloned()
            .chain(below.map(|rel| world.gomodcache.path.join(rel)))
            .collect(),
        modules: modules.into_iter().flat_map(|scan| &scan.versions).map(named).collect(),
    }
}

fn blank(world: &World, request: &Request, caches: &[CacheKind]) -> Plan {
    blank_for(world, &request.arguments, caches)
}

/// A plan without items, for these caches.
pub(crate) fn blank_for(world: &World, arguments: &[String], caches: &[CacheKind]) -> Plan {
    let mut kinds: Vec<RootKind> = caches.iter().map(|cache| cache.root()).collect();
    kinds.dedup();
    let roots = [&world.gocache, &world.gomodcache]
        .into_iter()
        .filter(|root| kinds.contains(&root.kind))
        .filter_map(Root::as_planned)
        .collect();
    Plan {
        keys: Vec::new(),
        id: new_id(),
        created_at: larder_fs::clock::now(),
        host: crate::host::name(),
        request: arguments.to_vec(),
        roots,
        protect: larder_core::Policy::PROTECT,
        items: Vec::new(),
        kept: Vec::new(),
    }
}

/// Eight hexadecimal digits that nobody else draws at the same time.
pub(crate) fn new_id() -> String {
    // RandomState is seeded by the system, afresh for each process and counted up in it.
    let hash = RandomState::new().build_hasher().finish();
    format!("{:08x}", hash >> 32)
}

/// What of a cache a path relative to its root is: `None` for what no plan may name.
pub fn classify(cache: CacheKind, rel: &Path) -> Option<Target> {
    if cache == CacheKind::Test {
        return (rel == Path::new("testexpire.txt")).then_some(Target::TestResults);
    }
    if rel == Path::new("") {
        return Some(Target::All);
    }
    match cache.root() {
        RootKind::GoCache => build_layout::classify(rel),
        RootKind::GoModCache => mod_layout::classify(rel),
    }
}
