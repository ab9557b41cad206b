//! Sizes alone, as fast as the disk tells them: for before and after, and for two samples.

use larder_core::{CacheKind, Meter, RootKind, Size};
use larder_fs::clock;
use larder_go::build_totals;
use larder_go::mod_scan::{self, Contents, ScanOptions};

use crate::world::{Root, World};

/// The sizes of the given caches now; what is gone altogether is nothing.
pub fn measure(world: &World, caches: &[CacheKind], meter: &Meter) -> Vec<(CacheKind, Size)> {
    let mut sizes = Vec::new();
    if caches.iter().any(|cache| matches!(cache, CacheKind::Build | CacheKind::Fuzz)) {
        let totals = standing(&world.gocache)
            .map(|dir| build_totals::totals(&dir, clock::now(), 0, meter))
            .unwrap_or_default();
        sizes.push((CacheKind::Build, totals.build.size + totals.foreign));
        sizes.push((CacheKind::Fuzz, totals.fuzz.size));
    }
    if caches.iter().any(|cache| cache.root() == RootKind::GoModCache) {
        let scan = standing(&world.gomodcache)
            .map(|dir| {
                mod_scan::scan(&dir, ScanOptions { contents: Contents::All, threads: 0, meter })
            })
            .unwrap_or_default();
        let kinds = CacheKind::ALL.into_iter().filter(|kind| kind.root() == RootKind::GoModCache);
        sizes.extend(kinds.map(|kind| (kind, scan.total(kind))));
    }
    sizes.retain(|(cache, _)| caches.contains(cache));
    sizes
}

/// The root as it is at its path now: a clean may have removed the folder that was held open.
fn standing(root: &Root) -> Option<larder_fs::Dir> {
    root.dir().and_then(|_| larder_fs::Dir::open_root(&root.path).ok())
}
