//! The settings' policy of each cache; what flags make of it is the engine's to say.

use larder_core::{CacheKind, Policy};

use crate::settings::{CacheSettings, Settings};

/// The default policy of a cache: what `status` calls reclaimable, and `prune` does unasked.
pub fn settled(settings: &Settings, cache: CacheKind) -> Policy {
    let from: &CacheSettings = match cache {
        CacheKind::Build | CacheKind::Test => &settings.build,
        CacheKind::Fuzz => &settings.fuzz,
        CacheKind::Mod => &settings.modules,
        CacheKind::Toolchain => &settings.toolchain,
        CacheKind::Vcs => &settings.vcs,
        CacheKind::Sumdb => return Policy::waste_only(),
    };
    Policy {
        max_size: from.max_size,
        max_age: from.max_age,
        keep_used: from.keep_used,
        keep_versions: from.keep_versions,
        orphans: from.orphans,
        protect: from.protect,
    }
}
