//! How much there is in each cache, asked again and again: folders that did not change are not
//! read (`larder_fs::index`). No ages and no versions: for these a scan is needed.

use std::ffi::OsStr;
use std::io;

use larder_core::{CacheKind, Meter, RootKind, Size, Time};
use larder_fs::Dir;
use larder_fs::index::{Index, Place};

/// The sizes of the caches under one root.
#[derive(Debug)]
pub struct Sizes {
    root: RootKind,
    index: Index,
}

/// What was found, and at what cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Each cache that owns files there, with its size.
    pub sizes: Vec<(CacheKind, Size)>,
    /// Folders looked at.
    pub folders: u64,
    /// Those that were read.
    pub read: u64,
}

const BUILD: [CacheKind; 2] = [CacheKind::Build, CacheKind::Fuzz];
const MODULES: [CacheKind; 4] =
    [CacheKind::Mod, CacheKind::Toolchain, CacheKind::Vcs, CacheKind::Sumdb];

impl Sizes {
    /// Of this root, nothing known yet.
    pub fn new(root: RootKind) -> Self {
        Self { root, index: Index::default() }
    }

    /// Forgets what is known, so that all is read again: what was written in place and is older
    /// than anybody thought.
    pub fn forget(&mut self) {
        self.index = Index::default();
    }

    /// The sizes now.
    pub fn refresh(&mut self, root: &Dir, now: Time, meter: &Meter) -> io::Result<Found> {
        let kinds: &[CacheKind] = match self.root {
            RootKind::GoCache => &BUILD,
            RootKind::GoModCache => &MODULES,
        };
        let root_kind = self.root;
        let place_of = move |parent: Place, name: &OsStr| match root_kind {
            RootKind::GoCache => in_build(parent, name),
            RootKind::GoModCache => in_modules(parent, name),
        };
        // The root of a build cache holds files that go rewrites in place.
        let top = Place { at: TOP, sum: 0, volatile: true };
        let found = self.index.refresh(root, (kinds.len(), top, &place_of), now, meter)?;
        let sizes = kinds.iter().copied().zip(found.sums).collect();
        Ok(Found { sizes, folders: found.folders, read: found.read })
    }
}

// Where a folder is.
const TOP: u8 = 0;
const CACHE: u8 = 1;
const DOWNLOAD: u8 = 2;
const GOLANG: u8 = 3;
const DOWNLOAD_GOLANG: u8 = 4;
const DOWNLOAD_TOOLCHAIN: u8 = 5;
const REPOSITORIES: u8 = 6;
const WITHIN: u8 = 7;

fn in_build(parent: Place, name: &OsStr) -> Place {
    let sum = match parent.at {
        TOP => u8::from(name == "fuzz"),
        _ => parent.sum,
    };
    Place { at: WITHIN, sum, volatile: false }
}

fn in_modules(parent: Place, name: &OsStr) -> Place {
    const MOD: u8 = 0;
    const TOOLCHAIN: u8 = 1;
    const VCS: u8 = 2;
    const SUMDB: u8 = 3;
    let is_toolchain = || name.as_encoded_bytes().starts_with(b"toolchain@");
    let (at, sum) = match (parent.at, name.to_str()) {
        (TOP, Some("cache")) => (CACHE, MOD),
        (TOP, Some("golang.org")) => (GOLANG, MOD),
        (GOLANG, _) if is_toolchain() => (WITHIN, TOOLCHAIN),
        (CACHE, Some("download")) => (DOWNLOAD, MOD),
        (CACHE, Some("vcs")) => (REPOSITORIES, VCS),
        (DOWNLOAD, Some("sumdb")) => (WITHIN, SUMDB),
        (DOWNLOAD, Some("golang.org")) => (DOWNLOAD_GOLANG, MOD),
        (DOWNLOAD_GOLANG, Some("toolchain")) => (DOWNLOAD_TOOLCHAIN, MOD),
        (DOWNLOAD_TOOLCHAIN, Some("@v")) => (WITHIN, TOOLCHAIN),
        _ => (WITHIN, parent.sum),
    };
    // Git rewrites some of a clone's files in place.
    Place { at, sum, volatile: sum == VCS }
}
