//! Scan: what the caches hold now, measured once and used by every later stage.

use larder_core::{CacheKind, Meter, RootKind, Size, Time, Unit};
use larder_fs::clock;
use larder_go::build_scan::{self, BuildScan};
use larder_go::mod_scan::{self, Contents, ModScan, ScanOptions};
use larder_go::mod_units::HeldToolchain;
use larder_go::running::running;
use larder_go::{fuzz, mod_units};

use crate::error::EngineError;
use crate::world::World;

/// Everything that was measured.
#[derive(Debug)]
pub struct Snapshot {
    /// When.
    pub taken_at: Time,
    /// The build cache's entries.
    pub build: Option<BuildScan>,
    /// The module cache's tree.
    pub modules: Option<ModScan>,
    /// Fuzz targets, module versions, toolchains, repositories and leftovers; what projects need
    /// of them is filled in by the plan.
    pub units: Vec<Unit>,
    /// Each cache's size, in the order of [`CacheKind::ALL`].
    pub sizes: Vec<(CacheKind, Size)>,
}

impl Snapshot {
    /// A cache's size; nothing where it was not looked at.
    pub fn size(&self, cache: CacheKind) -> Size {
        self.sizes
            .iter()
            .find(|(kind, _)| *kind == cache)
            .map_or(Size::default(), |(_, size)| *size)
    }

    /// The units of one cache.
    pub fn units(&self, cache: CacheKind) -> impl Iterator<Item = &Unit> {
        self.units.iter().filter(move |unit| unit.cache == cache)
    }
}

/// Measures the given caches.
pub fn scan(world: &World, caches: &[CacheKind], meter: &Meter) -> Result<Snapshot, EngineError> {
    let mut snapshot = Snapshot {
        taken_at: clock::now(),
        build: None,
        modules: None,
        units: Vec::new(),
        sizes: Vec::new(),
    };
    if caches.contains(&CacheKind::Build)
        && let Some((dir, layout)) = world.gocache.build()
    {
        let scan = build_scan::inventory(dir, layout, meter);
        snapshot.sizes.push((CacheKind::Build, scan.inventory.size() + scan.foreign_size));
        snapshot.build = Some(scan);
    }
    if caches.contains(&CacheKind::Fuzz)
        && let Some((dir, _)) = world.gocache.build()
    {
        let scan = fuzz::scan(dir, meter);
        let units: Size = scan.units.iter().map(|unit| unit.size).sum();
        snapshot.sizes.push((CacheKind::Fuzz, scan.overhead + units));
        snapshot.units.extend(scan.units);
    }
    if caches.iter().any(|cache| cache.root() == RootKind::GoModCache)
        && let Some(dir) = world.gomodcache.dir()
    {
        let scan = mod_scan::scan(dir, ScanOptions { contents: Contents::All, threads: 0, meter });
        snapshot.sizes.extend(scan.totals.iter().filter(|(kind, _)| caches.contains(kind)));
        snapshot.units.extend(mod_units::units(&scan, &held_toolchains(world)));
        snapshot.modules = Some(scan);
    }
    snapshot.sizes.sort_by_key(|(kind, _)| *kind);
    if meter.stopped() { Err(EngineError::Interrupted) } else { Ok(snapshot) }
}

/// Toolchains that stay whatever a policy says: those that run now and the one that is set.
pub(crate) fn held_toolchains(world: &World) -> Vec<HeldToolchain> {
    let root = &world.gomodcache.path;
    let mut held: Vec<HeldToolchain> = running()
        .iter()
        .filter_map(|process| {
            let name = process.toolchain_in(root)?;
            Some(HeldToolchain { name, reason: format!("it is running (pid {})", process.pid) })
        })
        .collect();
    let set = world.go.gotoolchain.value.split('+').next().unwrap_or_default();
    if set.starts_with("go1") {
        held.push(HeldToolchain { name: set.to_owned(), reason: "GOTOOLCHAIN selects it".into() });
    }
    held
}
