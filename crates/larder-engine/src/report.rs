//! What the reading commands answer, before anything is rendered: values only, no text layout.

use std::path::PathBuf;

use larder_core::{Allocated, CacheKind, Finding, Size, Time};

/// Whether a cache can be examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// There and readable.
    Ok,
    /// Its folder does not exist: nothing has been cached yet.
    Absent,
    /// Switched off (`GOCACHE=off`).
    Disabled,
    /// Named, but not to be read: relative, not a folder, no right to it.
    Unreachable,
}

impl State {
    /// The word in JSON and on screens.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Absent => "absent",
            Self::Disabled => "disabled",
            Self::Unreachable => "unreachable",
        }
    }
}

/// `larder status`: every cache on this machine.
#[derive(Clone, Debug)]
pub struct StatusReport {
    /// When it was measured.
    pub taken_at: Time,
    /// The profile's name, `dev` or `production`.
    pub profile: String,
    /// One row a cache, in the order of the screen.
    pub rows: Vec<StatusRow>,
    /// The disks that the caches stand on, each once.
    pub disks: Vec<DiskLine>,
}

/// One cache.
#[derive(Clone, Debug)]
pub struct StatusRow {
    /// Which.
    pub cache: CacheKind,
    /// Where it is, or would be.
    pub path: PathBuf,
    /// Where the root leads, when it is a symlink.
    pub link_target: Option<PathBuf>,
    /// Whether it can be examined.
    pub state: State,
    /// A sentence about the state, no full stop.
    pub note: Option<String>,
    /// All that is in it.
    pub size: Size,
    /// What the default policy would free.
    pub reclaimable: Allocated,
    /// `max-size` of the settings.
    pub budget: Option<Allocated>,
    /// What a person would count: entries, module versions, toolchains, repositories.
    pub items: u64,
    /// Last use of anything in it.
    pub last_used: Option<Time>,
    /// The longest unused thing's last use.
    pub oldest_use: Option<Time>,
    /// The last verification that went to its end, where one is remembered.
    pub last_verified: Option<LastVerified>,
    /// What is worth acting on.
    pub findings: Vec<Finding>,
}

/// How a verification ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastVerified {
    /// When it was begun.
    pub at: Time,
    /// Things examined.
    pub checked: u64,
    /// Those that it left bad.
    pub bad: u64,
    /// Those that could not be checked.
    pub unverifiable: u64,
}

/// A disk's free space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskLine {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// Bytes that this user may still write.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
}

/// `larder du`: where the bytes are, largest first.
#[derive(Clone, Debug)]
pub struct DuReport {
    /// The largest first, as many as were asked for.
    pub rows: Vec<DuRow>,
    /// All of it, left-out rows too.
    pub total: Size,
    /// Rows beyond `--top`.
    pub omitted: usize,
}

/// What shares a key.
#[derive(Clone, Debug)]
pub struct DuRow {
    /// Its cache.
    pub cache: CacheKind,
    /// The package, module, version, age, … that was asked for.
    pub key: String,
    /// What is there.
    pub size: Size,
    /// Last use of any of it.
    pub last_used: Option<Time>,
}

/// What `larder du` groups by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum By {
    /// The kind of thing: archives, indexes, zips, extracted folders, …
    Kind,
    /// How long ago it was used.
    Age,
    /// The package that a build output holds.
    Package,
    /// The Go version that made it, or that it is.
    Go,
    /// The project folder that a build output was made from.
    Project,
    /// The module.
    Module,
    /// The module and its version.
    Version,
    /// The repository.
    Repository,
}

impl By {
    /// Every key, in the order of the help text.
    pub const ALL: [Self; 8] = [
        Self::Kind,
        Self::Age,
        Self::Package,
        Self::Go,
        Self::Project,
        Self::Module,
        Self::Version,
        Self::Repository,
    ];

    /// The name a person types.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Age => "age",
            Self::Package => "package",
            Self::Go => "go",
            Self::Project => "project",
            Self::Module => "module",
            Self::Version => "version",
            Self::Repository => "repository",
        }
    }

    /// Whether this cache can be told apart by it.
    pub fn fits(self, cache: CacheKind) -> bool {
        match self {
            Self::Kind | Self::Age => cache != CacheKind::Test,
            Self::Package => matches!(cache, CacheKind::Build | CacheKind::Fuzz),
            Self::Project => cache == CacheKind::Build,
            Self::Go => matches!(cache, CacheKind::Build | CacheKind::Toolchain),
            Self::Module => matches!(cache, CacheKind::Build | CacheKind::Mod),
            Self::Version => {
                matches!(cache, CacheKind::Build | CacheKind::Mod | CacheKind::Toolchain)
            }
            Self::Repository => cache == CacheKind::Vcs,
        }
    }
}
