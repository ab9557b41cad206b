//! Which caches there are, and under which root each of them lives.

use std::fmt;
use std::str::FromStr;

/// A cache by its name on the command line, in JSON and in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CacheKind {
    /// Compiled packages and other action results in GOCACHE.
    Build,
    /// Test results in GOCACHE; Go expires them by a time stamp, they own no files of their own.
    Test,
    /// Fuzzing corpora below `GOCACHE/fuzz`.
    Fuzz,
    /// Downloaded and extracted module versions in GOMODCACHE.
    Mod,
    /// Go toolchains in GOMODCACHE, as the module `golang.org/toolchain`.
    Toolchain,
    /// Version-control clones below `GOMODCACHE/cache/vcs`.
    Vcs,
    /// The checksum database's tiles and look-ups below `GOMODCACHE/cache/download/sumdb`.
    Sumdb,
}

impl CacheKind {
    /// Every cache, in the order in which screens show them.
    pub const ALL: [Self; 7] =
        [Self::Build, Self::Test, Self::Fuzz, Self::Mod, Self::Toolchain, Self::Vcs, Self::Sumdb];

    /// What `go` means on the command line: every Go cache but `sumdb`.
    pub const GO: [Self; 6] =
        [Self::Build, Self::Test, Self::Fuzz, Self::Mod, Self::Toolchain, Self::Vcs];

    /// The name a person types.
    pub fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Test => "test",
            Self::Fuzz => "fuzz",
            Self::Mod => "mod",
            Self::Toolchain => "toolchain",
            Self::Vcs => "vcs",
            Self::Sumdb => "sumdb",
        }
    }

    /// The root below which this cache lives.
    pub fn root(self) -> RootKind {
        match self {
            Self::Build | Self::Test | Self::Fuzz => RootKind::GoCache,
            Self::Mod | Self::Toolchain | Self::Vcs | Self::Sumdb => RootKind::GoModCache,
        }
    }
}

impl fmt::Display for CacheKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The name is not one of a cache.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no cache is named {0:?}")]
pub struct UnknownCache(pub String);

impl FromStr for CacheKind {
    type Err = UnknownCache;

    fn from_str(name: &str) -> Result<Self, UnknownCache> {
        Self::ALL.into_iter().find(|k| k.name() == name).ok_or_else(|| UnknownCache(name.into()))
    }
}

/// One of the two folders that hold all of Go's caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RootKind {
    /// The build cache's folder.
    GoCache,
    /// The module cache's folder.
    GoModCache,
}

impl RootKind {
    /// The variable that names this folder.
    pub fn variable(self) -> &'static str {
        match self {
            Self::GoCache => "GOCACHE",
            Self::GoModCache => "GOMODCACHE",
        }
    }
}

impl fmt::Display for RootKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.variable())
    }
}
