//! What a verification found: every byte of a cache held against what it should be.
//!
//! Three outcomes, never mixed: good, bad, and what could not be checked, which is never counted
//! as good.

use std::path::PathBuf;

use crate::cache::CacheKind;

/// What was held against what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// A module zip against the rules of module zips (`golang.org/x/mod/zip`).
    ZipRules,
    /// A module zip against its `.ziphash`.
    Ziphash,
    /// A module zip, a folder or a `.mod` against a go.sum.
    GoSum,
    /// A module zip or a `.mod` against the checksum database.
    ChecksumDatabase,
    /// An extracted folder against its zip's hash.
    Folder,
    /// A `.mod`: that it can be read at all.
    GoMod,
    /// An `.info`: that it is well formed and names its own version.
    Info,
    /// A `list` against the versions whose `.mod` is there.
    List,
    /// What interrupted work left behind.
    Leftover,
    /// A version-control clone, by `git fsck`.
    Repository,
    /// A build output's content against the SHA-256 that is its name.
    OutputHash,
    /// A build action's entry against its format and its own name.
    ActionEntry,
    /// A build output's size against what its action says.
    OutputSize,
    /// A build action against the output it names, which is gone.
    Dangling,
    /// A build output that no action names.
    Orphan,
    /// A cached executable: a folder with one executable file.
    Executable,
    /// `trim.txt` or `testexpire.txt`: a time that makes sense.
    Stamp,
}

impl Check {
    /// Every check.
    pub const ALL: [Self; 17] = [
        Self::ZipRules,
        Self::Ziphash,
        Self::GoSum,
        Self::ChecksumDatabase,
        Self::Folder,
        Self::GoMod,
        Self::Info,
        Self::List,
        Self::Leftover,
        Self::Repository,
        Self::OutputHash,
        Self::ActionEntry,
        Self::OutputSize,
        Self::Dangling,
        Self::Orphan,
        Self::Executable,
        Self::Stamp,
    ];

    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::ZipRules => "zip-rules",
            Self::Ziphash => "ziphash",
            Self::GoSum => "go.sum",
            Self::ChecksumDatabase => "checksum-database",
            Self::Folder => "folder",
            Self::GoMod => "go.mod",
            Self::Info => "info",
            Self::List => "list",
            Self::Leftover => "leftover",
            Self::Repository => "repository",
            Self::OutputHash => "output-hash",
            Self::ActionEntry => "action-entry",
            Self::OutputSize => "output-size",
            Self::Dangling => "dangling",
            Self::Orphan => "orphan",
            Self::Executable => "executable",
            Self::Stamp => "stamp",
        }
    }
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// The cache it is in.
    pub cache: CacheKind,
    /// What a person would call it: `module@version`, `build output HEX`, `go.sum of DIR`.
    pub subject: String,
    /// What found it.
    pub check: Check,
    /// What it should be.
    pub expected: String,
    /// What it is: a hash, a size or a sentence without full stop.
    pub found: String,
    /// More for a person, one line each: `changed: context.go`.
    pub details: Vec<String>,
    /// Where it is, in full.
    pub path: PathBuf,
    /// The projects that use it.
    pub used_by: Vec<String>,
    /// What `--fix` removes to mend it, relative to the cache's root, in the order of removal;
    /// empty where larder must not or cannot mend it.
    pub removes: Vec<PathBuf>,
    /// Whether it has been mended since.
    pub fixed: bool,
}

/// One thing that could not be checked, which is not to say that it is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unverifiable {
    /// The cache it is in.
    pub cache: CacheKind,
    /// What a person would call it.
    pub subject: String,
    /// Why, without full stop.
    pub reason: String,
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Things examined: module versions, build entries, repositories.
    pub checked: u64,
    /// Those with nothing bad and nothing unverifiable.
    pub good: u64,
    /// What is wrong, by subject.
    pub bad: Vec<Bad>,
    /// What could not be checked.
    pub unverifiable: Vec<Unverifiable>,
    /// Bytes read to find out.
    pub bytes_read: u64,
}

impl Verification {
    /// Adds what another found.
    pub fn extend(&mut self, other: Self) {
        self.checked += other.checked;
        self.good += other.good;
        self.bad.extend(other.bad);
        self.unverifiable.extend(other.unverifiable);
        self.bytes_read += other.bytes_read;
    }

    /// Whether something bad is left.
    pub fn is_bad(&self) -> bool {
        self.bad.iter().any(|bad| !bad.fixed)
    }
}
