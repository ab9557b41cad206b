//! A module cache as units that a policy may choose from, and as rows for a screen.

use std::collections::HashMap;
use std::path::Path;

use larder_core::unit::Need;
use larder_core::{CacheKind, Size, Target, Time, Unit};

use crate::leftovers::{HELD, Leftover, unusable};
use crate::mod_scan::{ModScan, ModVersion};
use crate::semver;

/// A toolchain that must stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldToolchain {
    /// Its name, as in `go1.22.0`, whatever the platform.
    pub name: String,
    /// Why it stays, in one phrase.
    pub reason: String,
}

/// Everything that a prune of `mod`, `toolchain` or `vcs` may choose. Who needs a version is for
/// the caller to fill in.
pub fn units(scan: &ModScan, held: &[HeldToolchain]) -> Vec<Unit> {
    let mut units = Vec::with_capacity(scan.versions.len());
    let mut ranks = Ranks::default();
    // Newest first, so that the rank is the number of those seen before.
    for version in scan.versions.iter().rev() {
        units.extend(version_unit(CacheKind::Mod, version).map(|mut unit| {
            unit.version_rank = Some(ranks.next(&version.module));
            unit
        }));
    }
    let mut toolchains: Vec<&ModVersion> = scan.toolchains.iter().collect();
    toolchains.sort_by(|a, b| {
        let go = |v: &ModVersion| toolchain_go(&v.version).unwrap_or_default().to_owned();
        semver::compare_go(&go(b), &go(a)).then_with(|| b.version.cmp(&a.version))
    });
    for version in toolchains {
        units.extend(version_unit(CacheKind::Toolchain, version).map(|mut unit| {
            unit.version_rank = Some(ranks.next(toolchain_platform(&version.version)));
            let name = toolchain_name(&version.version);
            let holder = held.iter().find(|h| Some(h.name.as_str()) == name);
            unit.hold = unit.hold.or_else(|| holder.map(|h| h.reason.clone()));
            unit
        }));
    }
    units.extend(scan.vcs.iter().filter(|repo| repo.has_info && repo.has_folder).map(|repo| {
        Unit {
            cache: CacheKind::Vcs,
            subject: repo.subject().to_owned(),
            target: Target::Path(Path::new("cache/vcs").join(&repo.hash)),
            size: repo.size,
            last_used: repo.last_used,
            need: Need::Unasked,
            version_rank: None,
            hold: repo.locked.then(|| HELD.to_owned()),
            waste: None,
        }
    }));
    units.extend(scan.leftovers.iter().map(Leftover::unit));
    units
}

fn version_unit(cache: CacheKind, version: &ModVersion) -> Option<Unit> {
    // An extracted folder that is of no use is a unit of its own, among the leftovers.
    let leftover = unusable(version).is_some();
    let mut paths = version.removable_paths();
    let mut size = version.removable();
    if leftover {
        paths.retain(|path| path.extension().is_some_and(|e| e == "zip" || e == "ziphash"));
        size = size - version.extracted.unwrap_or_default();
    }
    if paths.is_empty() {
        return None;
    }
    let odd = "its folder holds a symlink, a device or a mount point, which Go never extracts";
    Some(Unit {
        cache,
        subject: format!("{}@{}", version.module, version.version),
        target: Target::Version {
            module: version.module.to_string(),
            version: version.version.to_string(),
            paths,
        },
        size,
        last_used: version.last_used,
        need: Need::Unasked,
        version_rank: None,
        hold: match (version.locked, version.odd) {
            (true, _) => Some(HELD.to_owned()),
            (_, true) => Some(odd.to_owned()),
            _ => None,
        },
        waste: None,
    })
}

/// Counts up for each name.
#[derive(Default)]
struct Ranks(HashMap<String, u32>);

impl Ranks {
    fn next(&mut self, name: &str) -> u32 {
        if let Some(count) = self.0.get_mut(name) {
            *count += 1;
            return *count;
        }
        self.0.insert(name.to_owned(), 0);
        0
    }
}

/// `go1.22.0` out of `v0.0.1-go1.22.0.linux-amd64`.
pub fn toolchain_name(version: &str) -> Option<&str> {
    Some(version.strip_prefix("v0.0.1-")?.rsplit_once('.')?.0)
}

/// `linux-amd64` out of `v0.0.1-go1.22.0.linux-amd64`.
fn toolchain_platform(version: &str) -> &str {
    version.rsplit_once('.').map_or("", |(_, platform)| platform)
}

fn toolchain_go(version: &str) -> Option<&str> {
    semver::go_of_toolchain(toolchain_name(version)?)
}

/// When something of a part of the module cache was last used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastUse {
    /// Of what a removal would take: extracted folders, zips, repositories.
    pub content: Option<Time>,
    /// Of the rest: `.mod` files of versions that are there with nothing else, which version
    /// selection reads, and what was left over.
    pub rest: Option<Time>,
}

impl LastUse {
    /// Of anything.
    pub fn any(self) -> Option<Time> {
        self.content.max(self.rest)
    }
}

/// The last use of a part of the module cache: where every screen has it from.
pub fn last_use(scan: &ModScan, kind: CacheKind) -> LastUse {
    let mut last = LastUse::default();
    let versions = match kind {
        CacheKind::Mod => &scan.versions[..],
        CacheKind::Toolchain => &scan.toolchains[..],
        _ => &[],
    };
    for version in versions {
        let has_content = version.extracted.is_some() || version.zip.is_some();
        let part = if has_content { &mut last.content } else { &mut last.rest };
        *part = (*part).max(version.last_used);
    }
    if kind == CacheKind::Vcs {
        last.content = scan.vcs.iter().filter_map(|repo| repo.last_used).max();
    }
    last.rest = last.rest.max(left_over(scan, kind));
    last
}

fn left_over(scan: &ModScan, kind: CacheKind) -> Option<Time> {
    let own = scan.leftovers.iter().filter(|leftover| leftover.cache == kind);
    own.filter_map(|leftover| leftover.modified).max()
}

/// What a screen's rows stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKey {
    /// A module with all its versions.
    Module,
    /// A version of a module.
    Version,
    /// A toolchain.
    Toolchain,
    /// A repository.
    Repository,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it stands for.
    pub key: String,
    /// What it takes up.
    pub size: Size,
    /// Its last use.
    pub last_used: Option<Time>,
}

/// The key of the row that makes up the sum: what belongs to none of the others.
pub const REST: &str = "(folders, lists and locks)";

/// Largest first; together they are the whole of that kind.
pub fn rows(scan: &ModScan, by: RowKey) -> Vec<Row> {
    let of = |versions: &[ModVersion], key: fn(&ModVersion) -> String| {
        let mut rows: Vec<Row> = Vec::new();
        for version in versions {
            let key = key(version);
            match rows.last_mut().filter(|row| row.key == key) {
                Some(row) => {
                    row.size += version.size();
                    row.last_used = row.last_used.max(version.last_used);
                }
                None => {
                    rows.push(Row { key, size: version.size(), last_used: version.last_used });
                }
            }
        }
        rows
    };
    let full = |version: &ModVersion| format!("{}@{}", version.module, version.version);
    let (kind, mut rows) = match by {
        RowKey::Module => (CacheKind::Mod, of(&scan.versions, |v| v.module.to_string())),
        RowKey::Version => (CacheKind::Mod, of(&scan.versions, full)),
        RowKey::Toolchain => (CacheKind::Toolchain, of(&scan.toolchains, full)),
        RowKey::Repository => (
            CacheKind::Vcs,
            scan.vcs
                .iter()
                .map(|repo| Row {
                    key: repo.subject().to_owned(),
                    size: repo.size,
                    last_used: repo.last_used,
                })
                .collect(),
        ),
    };
    let named: Size = rows.iter().map(|row| row.size).sum();
    let rest = scan.total(kind) - named;
    if !rest.is_empty() {
        rows.push(Row { key: REST.to_owned(), size: rest, last_used: left_over(scan, kind) });
    }
    rows.sort_by(|a, b| b.size.allocated.cmp(&a.size.allocated).then_with(|| a.key.cmp(&b.key)));
    rows
}
