//! Verify in one page: which caches → look at every byte → mend what is bad → say what is left.
//!
//! Looking takes no lock and changes nothing. Mending goes through the one door: a plan with
//! exactly the bad items' own removals, checked, each looked at again just before it goes.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use larder_core::{
    Bad, CacheKind, Check, Meter, Outcome, PlanItem, RootKind, Target, Time, Verification,
};
use larder_fs::{Dir, clock};
use larder_go::build_layout;
use larder_go::build_verify::{self, SETTLE};
use larder_go::mod_layout;
use larder_go::module_path::ModuleVersion;

use crate::config::Config;
use crate::cycle::{self, Options};
use crate::error::EngineError;
use crate::plan::blank_for;
use crate::refetch::refetch;
use crate::verify_mod;
use crate::world::World;

/// The caches that can be verified; `mod` stands for all of GOMODCACHE.
pub const CACHES: [CacheKind; 2] = [CacheKind::Build, CacheKind::Mod];

/// What is to be verified, and against what.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Of [`CACHES`]; none means both.
    pub caches: Vec<CacheKind>,
    /// Folders with projects whose go.sum files the module cache is held against.
    pub roots: Vec<PathBuf>,
    /// Folders of single projects whose go.sum files it is held against too.
    pub projects: Vec<PathBuf>,
    /// Whether the checksum database is asked.
    pub sumdb: bool,
    /// Only these module versions.
    pub only: Option<Vec<ModuleVersion>>,
}

/// One cache, verified.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Which.
    pub cache: CacheKind,
    /// Its root.
    pub path: PathBuf,
    /// Device and inode of its root.
    pub identity: (u64, u64),
    /// When it was begun.
    pub at: Time,
    /// What was found.
    pub found: Verification,
    /// Actions whose output is gone, which go takes for plain misses.
    pub dangling: u64,
    /// Outputs that no action names.
    pub orphans: u64,
    /// How long it took.
    pub took: Duration,
    /// Whether all was seen.
    pub complete: bool,
}

/// The bytes that a verification will read, about; for progress.
pub fn expected_bytes(world: &World, wanted: &Wanted, meter: &Meter) -> u64 {
    let mut kinds = wanted.caches().to_vec();
    if kinds.contains(&CacheKind::Mod) {
        kinds.push(CacheKind::Toolchain);
    }
    let sizes = crate::measure::measure(world, &kinds, meter);
    sizes.iter().map(|(_, size)| size.logical.0).sum()
}

/// Verifies what is wanted. A cache that is not there yet is left out.
pub fn verify(
    world: &World,
    config: &Config,
    wanted: &Wanted,
    meter: &Meter,
) -> Result<Vec<Verified>, EngineError> {
    let mut all = Vec::new();
    for &cache in wanted.caches() {
        let root = world.root(cache);
        let Some(dir) = root.to_act_on()? else { continue };
        let identity = dir
            .identity()
            .map_err(|source| EngineError::Read { path: root.path.clone(), source })?;
        let (at, started) = (clock::now(), Instant::now());
        let mut verified = Verified {
            cache,
            path: root.path.clone(),
            identity,
            at,
            found: Verification::default(),
            dangling: 0,
            orphans: 0,
            took: Duration::ZERO,
            complete: true,
        };
        if let Some((dir, layout)) = root.build() {
            let options = build_verify::Options { threads: 0, settle: SETTLE, meter };
            let found = build_verify::verify(dir, layout, &options);
            verified.found = found.found;
            (verified.dangling, verified.orphans) = (found.dangling, found.orphans);
        } else {
            verified.found = verify_mod::verify(world, config, wanted, dir, meter)?;
        }
        verified.complete = !meter.stopped();
        verified.took = started.elapsed();
        all.push(verified);
    }
    Ok(all)
}

impl Wanted {
    fn caches(&self) -> &[CacheKind] {
        if self.caches.is_empty() { &CACHES } else { &self.caches }
    }
}

/// Removes what is bad, and only that; [`Bad::fixed`] then says what is mended. `None` where
/// there was nothing that larder may remove.
pub fn mend(
    world: &World,
    config: &Config,
    wanted: &Wanted,
    verified: &mut [Verified],
    options: &Options,
    arguments: &[String],
    meter: &Meter,
) -> Result<Option<Outcome>, EngineError> {
    let caches: Vec<CacheKind> = verified.iter().map(|one| one.cache).collect();
    let mut plan = blank_for(world, arguments, &caches);
    for one in verified.iter() {
        let Some(dir) = world.root(one.cache).dir() else { continue };
        for bad in &one.found.bad {
            items(dir, bad, &mut plan.items);
        }
    }
    // Lists, go.mod files and missing hashes are mended in place, so nothing has to go first.
    let in_place = |one: &Verified| {
        one.cache == CacheKind::Mod
            && one
                .found
                .bad
                .iter()
                .any(|bad| matches!(bad.check, Check::List | Check::GoSum | Check::Ziphash))
    };
    if plan.items.is_empty() && !verified.iter().any(in_place) {
        return Ok(None);
    }
    let mut outcome = cycle::mend(world, config, plan, options, meter)?;
    for one in verified {
        let Some(dir) = world.root(one.cache).dir() else { continue };
        for bad in &mut one.found.bad {
            bad.fixed = !bad.removes.is_empty() && is_mended(dir, bad);
        }
        if one.cache == CacheKind::Mod {
            let sums = verify_mod::sums(world, config, wanted, dir)?;
            refetch(world, config, &mut one.found.bad, sums, &mut outcome, meter);
        }
    }
    Ok(Some(outcome))
}

/// The removals of one bad item, in their order.
fn items(dir: &Dir, bad: &Bad, items: &mut Vec<PlanItem>) {
    let reason: Box<str> = format!("verify: {}", bad.check.name()).into();
    let item = |target, last_used| PlanItem {
        cache: bad.cache,
        name: Some(bad.subject.as_str().into()),
        target,
        size: None,
        last_used,
        reason: reason.clone(),
    };
    if bad.cache.root() == RootKind::GoModCache {
        for target in module_targets(bad) {
            if !joined(items, &target) {
                items.push(item(target, None));
            }
        }
        return;
    }
    if !build_verify::still_bad(dir, bad) {
        return;
    }
    for rel in &bad.removes {
        let Some(changed) = build_verify::last_change(dir, rel) else { continue };
        let target = match build_layout::classify(rel) {
            Some(target @ Target::Entry { .. }) => {
                PlanItem { name: None, ..item(target, Some(changed)) }
            }
            _ if build_verify::is_stamp(rel) => item(Target::Path(rel.clone()), Some(changed)),
            _ => continue,
        };
        // One action may name several bad things only by name; each file goes once.
        if !items.iter().any(|other| other.target == target.target) {
            items.push(target);
        }
    }
    if bad.removes.iter().any(|rel| rel == std::path::Path::new("testexpire.txt")) {
        // What was expired stays expired.
        let stamp = item(Target::TestResults, None);
        items.push(PlanItem { cache: CacheKind::Test, name: None, ..stamp });
    }
}

/// Whether there is an item for this already, or one of the same version that it could be added to.
fn joined(items: &mut [PlanItem], target: &Target) -> bool {
    let Target::Damaged { module, version, paths } = target else {
        return items.iter().any(|other| other.target == *target);
    };
    items.iter_mut().any(|other| match &mut other.target {
        Target::Damaged { module: m, version: v, paths: all } if m == module && v == version => {
            let new: Vec<PathBuf> =
                paths.iter().filter(|path| !all.contains(path)).cloned().collect();
            all.extend(new);
            true
        }
        _ => false,
    })
}

/// What goes for a bad thing of the module cache: the bad parts of a version together, leftovers
/// and other things as the layout names them.
fn module_targets(bad: &Bad) -> Vec<Target> {
    let mut damaged: Vec<PathBuf> = Vec::new();
    let mut named = bad.subject.rsplit_once('@').map(|(m, v)| (m.to_owned(), v.to_owned()));
    let mut targets: Vec<Target> = Vec::new();
    for rel in &bad.removes {
        match mod_layout::classify(rel) {
            Some(Target::Version { module, version, .. }) if bad.check != Check::Leftover => {
                named = Some((module, version));
                damaged.push(rel.clone());
            }
            Some(other) => targets.push(other),
            None => damaged.push(rel.clone()),
        }
    }
    if let (Some((module, version)), false) = (named, damaged.is_empty()) {
        targets.push(Target::Damaged { module, version, paths: damaged });
    }
    targets
}

fn is_mended(dir: &Dir, bad: &Bad) -> bool {
    if bad.cache.root() == RootKind::GoCache {
        return !build_verify::still_bad(dir, bad);
    }
    let gone = |rel: &PathBuf| build_verify::last_change(dir, rel).is_none();
    bad.removes.iter().all(gone)
}
