//! Status: every cache on this machine on one screen.

use std::path::PathBuf;

use larder_core::{Allocated, CacheKind, Meter, RootKind, Size, Time};
use larder_fs::disk;
use larder_go::mod_units;
use larder_go::needs::{self, Needs};

use crate::config::Config;
use crate::error::EngineError;
use crate::findings;
use crate::plan::{fill_needs, live_since};
use crate::report::{DiskLine, State, StatusReport, StatusRow};
use crate::scan::scan;
use crate::select::Basis;
use crate::world::{Standing, World};

/// The caches that have a row: those that own files.
pub const ROWS: [CacheKind; 6] = [
    CacheKind::Build,
    CacheKind::Fuzz,
    CacheKind::Mod,
    CacheKind::Toolchain,
    CacheKind::Vcs,
    CacheKind::Sumdb,
];

/// What status is worked out from.
pub(crate) struct Examined<'a> {
    pub(crate) world: &'a World,
    pub(crate) config: &'a Config,
    pub(crate) basis: Basis,
    pub(crate) needs: Option<Needs>,
    /// Why the needs of the roots are not known, although there are roots.
    pub(crate) needs_error: Option<String>,
}

/// Measures everything and says what is worth doing.
pub fn status(world: &World, config: &Config, meter: &Meter) -> Result<StatusReport, EngineError> {
    let builds = world.builds(RootKind::GoCache);
    let mut snapshot = scan(world, &ROWS, meter)?;
    // A root that is missing or a go.mod that cannot be parsed is no reason to show nothing.
    let asked = world
        .gomodcache
        .dir()
        .filter(|_| !config.roots.is_empty())
        .map(|dir| needs::needs(&config.roots, dir, &world.go, meter));
    let (needs, needs_error) = match asked {
        Some(Ok(needs)) => (Some(needs), None),
        Some(Err(error)) => (None, Some(error.to_string())),
        None => (None, None),
    };
    if let Some(needs) = &needs {
        fill_needs(&mut snapshot, needs);
    }
    let basis = Basis::new(snapshot, live_since(&builds));
    let examined = Examined { world, config, basis, needs, needs_error };
    let mut findings = findings::find(&examined);
    let rows = ROWS
        .into_iter()
        .map(|cache| {
            let mut row = row(&examined, cache);
            let (own, rest) = findings.drain(..).partition(|finding| finding.cache == cache);
            findings = rest;
            row.findings = own;
            row
        })
        .collect();
    Ok(StatusReport {
        taken_at: examined.basis.snapshot.taken_at,
        profile: config.profile.name().to_owned(),
        rows,
        disks: disks(world),
    })
}

fn row(examined: &Examined<'_>, cache: CacheKind) -> StatusRow {
    let root = examined.world.root(cache);
    let policy = examined.config.policy(cache);
    let blank = |state, note, link_target| StatusRow {
        cache,
        path: path(examined.world, cache),
        link_target,
        state,
        note,
        size: Size::default(),
        reclaimable: Allocated::default(),
        budget: policy.max_size,
        items: 0,
        last_used: None,
        oldest_use: None,
        last_verified: None,
        findings: Vec::new(),
    };
    let link = match &root.standing {
        Standing::Not { state, sentence } => return blank(*state, Some(sentence.clone()), None),
        Standing::Foreign { sentence } => {
            return blank(State::Unreachable, Some(sentence.clone()), None);
        }
        Standing::Proved { link_target, .. } => link_target.clone(),
    };
    let snapshot = &examined.basis.snapshot;
    let size = snapshot.size(cache);
    let (items, last_used, oldest_use) = uses(examined, cache);
    StatusRow {
        size,
        reclaimable: examined.basis.select(cache, &policy).total().allocated,
        items,
        last_used,
        oldest_use,
        ..blank(State::Ok, None, link)
    }
}

/// How many things, and their latest and earliest use.
fn uses(examined: &Examined<'_>, cache: CacheKind) -> (u64, Option<Time>, Option<Time>) {
    let snapshot = &examined.basis.snapshot;
    if cache == CacheKind::Build {
        let Some(build) = &snapshot.build else { return (0, None, None) };
        let uses = build.inventory.uses();
        let items = build.inventory.actions().count() as u64;
        return (items, uses.map(|(latest, _)| latest), uses.map(|(_, earliest)| earliest));
    }
    let mut items = 0;
    let (mut latest, mut earliest) = (None, None);
    for unit in snapshot.units(cache) {
        items += 1;
        if let Some(used) = unit.last_used {
            latest = latest.max(Some(used));
            earliest = Some(earliest.map_or(used, |e: Time| e.min(used)));
        }
    }
    // Not all that is used can go: a version's `.mod` stays, and reading it is a use of the cache.
    let modules = snapshot.modules.as_ref().filter(|_| cache.root() == RootKind::GoModCache);
    let any = modules.map(|modules| mod_units::last_use(modules, cache).any());
    (items, any.unwrap_or(latest), earliest)
}

/// Where a cache lies: its root, or its own folder in it.
fn path(world: &World, cache: CacheKind) -> PathBuf {
    let root = &world.root(cache).path;
    match cache {
        CacheKind::Build | CacheKind::Test | CacheKind::Mod => root.clone(),
        CacheKind::Fuzz => root.join("fuzz"),
        CacheKind::Toolchain => root.join("golang.org"),
        CacheKind::Vcs => root.join("cache").join("vcs"),
        CacheKind::Sumdb => root.join("cache").join("download").join("sumdb"),
    }
}

/// The disks under the two roots, each once.
pub fn disks(world: &World) -> Vec<DiskLine> {
    let mut lines: Vec<DiskLine> = Vec::new();
    for root in [&world.gocache, &world.gomodcache] {
        if root.dir().is_none() {
            continue;
        }
        let Ok(disk) = disk::disk(&root.path) else { continue };
        let line = DiskLine { mount: disk.mount_point, free: disk.free, total: disk.total };
        if !lines.iter().any(|other| other.mount == line.mount) {
            lines.push(line);
        }
    }
    lines
}
