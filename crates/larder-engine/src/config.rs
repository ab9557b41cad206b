//! What the engine is told by the settings: resolved values, no text, no sources.

use std::path::PathBuf;
use std::time::Duration;

use larder_core::{CacheKind, Policy};

/// How free larder is to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Caches can be made again: `clean` and `prune` act at once.
    Dev,
    /// Nothing is removed but by `apply` of an approved plan, and the trash is on.
    Production,
}

impl Profile {
    /// The name in settings and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Production => "production",
        }
    }
}

/// The settings as the engine sees them.
#[derive(Clone, Debug)]
pub struct Config {
    /// How free it is to act.
    pub profile: Profile,
    /// Where the projects are whose needs are kept.
    pub roots: Vec<PathBuf>,
    /// The state folder: locks, waiting plans, a trash that could not lie beside its cache.
    pub state: PathBuf,
    /// `prune build` without flags.
    pub build: Policy,
    /// `prune fuzz` without flags.
    pub fuzz: Policy,
    /// `prune mod` without flags.
    pub modules: Policy,
    /// `prune toolchain` without flags.
    pub toolchain: Policy,
    /// `prune vcs` without flags.
    pub vcs: Policy,
    /// Whether what is removed goes to the trash.
    pub trash: bool,
    /// How long the trash keeps it.
    pub trash_keep: Duration,
    /// Plans older than this are stale.
    pub plan_max_age: Duration,
    /// How long to wait for a lock.
    pub wait: Duration,
}

impl Config {
    /// The policy of the settings for a cache; for those without one, waste only.
    pub fn policy(&self, cache: CacheKind) -> Policy {
        match cache {
            CacheKind::Build => self.build.clone(),
            CacheKind::Fuzz => self.fuzz.clone(),
            CacheKind::Mod => self.modules.clone(),
            CacheKind::Toolchain => self.toolchain.clone(),
            CacheKind::Vcs => self.vcs.clone(),
            CacheKind::Test | CacheKind::Sumdb => Policy::waste_only(),
        }
    }
}
