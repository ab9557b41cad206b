//! Du: where the bytes are, by whatever they can be told apart by.

use std::collections::BTreeMap;

use larder_core::{CacheKind, Meter, Size, Time, Unit};
use larder_fs::clock;
use larder_go::build_age::{AgeStep, Ages};
use larder_go::build_owner;
use larder_go::build_rows::{self, RowsBy};
use larder_go::build_totals::{self, BuildTotals};
use larder_go::mod_units::{self, RowKey};

use crate::error::EngineError;
use crate::plan::owner_context;
use crate::report::{By, DuReport, DuRow};
use crate::scan::scan;
use crate::status::ROWS;
use crate::world::World;

/// This key says nothing about this cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cache} cannot be told apart by {}", by.name())]
pub struct DoesNotFit {
    /// The cache.
    pub cache: CacheKind,
    /// The key.
    pub by: By,
}

/// Which caches are shown: those named, else all that the key fits.
pub fn settle(caches: &[CacheKind], by: By) -> Result<Vec<CacheKind>, DoesNotFit> {
    if caches.is_empty() {
        return Ok(ROWS.into_iter().filter(|&cache| by.fits(cache)).collect());
    }
    if let Some(&cache) = caches.iter().find(|&&cache| !by.fits(cache)) {
        return Err(DoesNotFit { cache, by });
    }
    Ok(CacheKind::ALL.into_iter().filter(|cache| caches.contains(cache)).collect())
}

/// Measures the given caches and groups them; `top` rows at most.
pub fn du(
    world: &World,
    caches: &[CacheKind],
    by: By,
    top: Option<usize>,
    meter: &Meter,
) -> Result<DuReport, EngineError> {
    for &cache in caches {
        if caches.len() == 1 {
            world.root(cache).to_act_on()?;
        }
    }
    let mut rows = match by {
        By::Kind | By::Age => plain(world, caches, by, meter)?,
        By::Package | By::Go | By::Project | By::Module | By::Version | By::Repository => {
            attributed(world, caches, by, meter)?
        }
    };
    if meter.stopped() {
        return Err(EngineError::Interrupted);
    }
    rows.retain(|row| !row.size.is_empty());
    rows.sort_by(|a, b| {
        b.size
            .allocated
            .cmp(&a.size.allocated)
            .then_with(|| (a.cache, &a.key).cmp(&(b.cache, &b.key)))
    });
    let total = rows.iter().map(|row| row.size).sum();
    let shown = top.unwrap_or(rows.len()).min(rows.len());
    let omitted = rows.len() - shown;
    rows.truncate(shown);
    Ok(DuReport { rows, total, omitted })
}

/// Sizes that a plain walk tells.
fn plain(
    world: &World,
    caches: &[CacheKind],
    by: By,
    meter: &Meter,
) -> Result<Vec<DuRow>, EngineError> {
    let mut rows = Vec::new();
    let now = clock::now();
    let has = |cache| caches.contains(&cache);
    if (has(CacheKind::Build) || has(CacheKind::Fuzz))
        && let Some(dir) = world.gocache.dir()
    {
        let totals = build_totals::totals(dir, now, 0, meter);
        for cache in [CacheKind::Build, CacheKind::Fuzz] {
            if has(cache) {
                rows.extend(if by == By::Kind {
                    kinds(cache, &totals)
                } else {
                    ages(
                        cache,
                        if cache == CacheKind::Build { &totals.ages } else { &totals.fuzz_ages },
                    )
                });
            }
        }
    }
    let of_modules: Vec<CacheKind> =
        caches.iter().copied().filter(|c| c.root() == larder_core::RootKind::GoModCache).collect();
    if !of_modules.is_empty() {
        let snapshot = scan(world, &of_modules, meter)?;
        for &cache in &of_modules {
            rows.extend(match by {
                By::Kind => module_kinds(cache, &snapshot),
                _ => unit_ages(cache, snapshot.size(cache), snapshot.units(cache), now),
            });
        }
    }
    Ok(rows)
}

fn row(cache: CacheKind, key: &str, size: Size, last_used: Option<Time>) -> DuRow {
    DuRow { cache, key: key.to_owned(), size, last_used }
}

fn kinds(cache: CacheKind, totals: &BuildTotals) -> Vec<DuRow> {
    if cache == CacheKind::Fuzz {
        return vec![row(cache, "fuzz", totals.fuzz.size, totals.fuzz.last_used)];
    }
    let used = totals.build.last_used;
    let named = totals.actions + totals.outputs + totals.executables + totals.leftovers;
    vec![
        row(cache, "actions", totals.actions, used),
        row(cache, "outputs", totals.outputs, used),
        row(cache, "executables", totals.executables, used),
        row(cache, "leftovers", totals.leftovers, None),
        row(cache, "folders and bookkeeping", totals.build.size - named, None),
        row(cache, "not Go's", totals.foreign, None),
    ]
}

fn ages(cache: CacheKind, ages: &Ages) -> Vec<DuRow> {
    AgeStep::ALL
        .iter()
        .zip(ages.0)
        .map(|(step, size)| row(cache, step.name(), size, None))
        .collect()
}

fn module_kinds(cache: CacheKind, snapshot: &crate::scan::Snapshot) -> Vec<DuRow> {
    let total = snapshot.size(cache);
    let Some(modules) = &snapshot.modules else { return Vec::new() };
    let used = mod_units::last_use(modules, cache);
    let versions = match cache {
        CacheKind::Mod => &modules.versions,
        CacheKind::Toolchain => &modules.toolchains,
        _ => return vec![row(cache, cache.name(), total, used.any())],
    };
    let extracted: Size = versions.iter().filter_map(|version| version.extracted).sum();
    let zips: Size = versions.iter().filter_map(|version| version.zip).sum();
    vec![
        row(cache, "extracted folders", extracted, used.content),
        row(cache, "zips", zips, used.content),
        row(cache, "folders and bookkeeping", total - extracted - zips, used.rest),
    ]
}

fn unit_ages<'a>(
    cache: CacheKind,
    total: Size,
    units: impl Iterator<Item = &'a Unit>,
    now: Time,
) -> Vec<DuRow> {
    let mut ages = Ages::default();
    let mut counted = Size::default();
    for unit in units {
        if let Some(used) = unit.last_used {
            ages.add(used, now, unit.size);
            counted += unit.size;
        }
    }
    let mut rows = self::ages(cache, &ages);
    rows.push(row(cache, "bookkeeping and unknown", total - counted, None));
    rows
}

/// Sizes that have to be read out of the outputs, or out of the module cache's names.
fn attributed(
    world: &World,
    caches: &[CacheKind],
    by: By,
    meter: &Meter,
) -> Result<Vec<DuRow>, EngineError> {
    let snapshot = scan(world, caches, meter)?;
    let mut rows = Vec::new();
    if let (Some(dir), Some(build)) = (world.gocache.dir(), &snapshot.build) {
        let context = owner_context(world, snapshot.modules.as_ref());
        let owners = build_owner::attribute(dir, &build.inventory, &context, meter);
        let by = match by {
            By::Package => RowsBy::Package,
            By::Go => RowsBy::Go,
            By::Project => RowsBy::Project,
            By::Module => RowsBy::Module,
            _ => RowsBy::Version,
        };
        let home = world.go.home.as_deref();
        rows.extend(
            build_rows::rows(&build.inventory, &owners, by, home, snapshot.taken_at)
                .into_iter()
                .map(|r| row(CacheKind::Build, &r.key, r.size, r.last_used)),
        );
    }
    if let Some(modules) = &snapshot.modules {
        for &cache in caches {
            let key = match (cache, by) {
                (CacheKind::Mod, By::Module) => RowKey::Module,
                (CacheKind::Mod, By::Version) => RowKey::Version,
                (CacheKind::Toolchain, By::Version | By::Go) => RowKey::Toolchain,
                (CacheKind::Vcs, By::Repository) => RowKey::Repository,
                _ => continue,
            };
            rows.extend(
                mod_units::rows(modules, key)
                    .into_iter()
                    .map(|r| row(cache, &r.key, r.size, r.last_used)),
            );
        }
    }
    if by == By::Package && caches.contains(&CacheKind::Fuzz) {
        rows.extend(fuzz_packages(&snapshot));
    }
    Ok(rows)
}

fn fuzz_packages(snapshot: &crate::scan::Snapshot) -> Vec<DuRow> {
    let mut packages: BTreeMap<String, (Size, Option<Time>)> = BTreeMap::new();
    for unit in snapshot.units(CacheKind::Fuzz) {
        let package = unit.subject.rsplit_once('/').map_or(unit.subject.as_str(), |(p, _)| p);
        let sum = packages.entry(package.to_owned()).or_default();
        sum.0 += unit.size;
        sum.1 = sum.1.max(unit.last_used);
    }
    packages.into_iter().map(|(key, (size, used))| row(CacheKind::Fuzz, &key, size, used)).collect()
}
