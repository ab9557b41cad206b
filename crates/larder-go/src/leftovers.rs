//! What interrupted work left in a module cache: half extracted folders, temporary files.
//!
//! A leftover is what the go command does not use and would make again by itself, from what
//! stays; so removing one never costs a download that was not needed anyway. A zip whose hash is
//! missing is therefore none: Go hashes it again without fetching it
//! (`cmd/go/internal/modfetch/fetch.go`, `downloadZip`).

use std::path::{Path, PathBuf};

use larder_core::unit::Need;
use larder_core::{CacheKind, Size, Target, Time, Unit};

use crate::mod_names::{FIPS_MODULE, Part, TOOLCHAIN_MODULE, extracted_path};
use crate::mod_scan::{ModVersion, part_path};
use crate::mod_walk::Sum;
use crate::vcs::VcsRepo;

/// One leftover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Its cache.
    pub cache: CacheKind,
    /// What a person would call it.
    pub subject: String,
    /// What is to be removed.
    pub target: Target,
    /// What that gives back.
    pub size: Size,
    /// When it was last written.
    pub modified: Option<Time>,
    /// Why it is of no use.
    pub why: &'static str,
    /// Whether somebody held its lock during the scan.
    pub locked: bool,
}

impl Leftover {
    /// As something that goes with every prune.
    pub fn unit(&self) -> Unit {
        Unit {
            cache: self.cache,
            subject: self.subject.clone(),
            target: self.target.clone(),
            size: self.size,
            last_used: self.modified,
            need: Need::Unasked,
            version_rank: None,
            hold: self.locked.then(|| HELD.to_owned()),
            waste: Some(self.why.to_owned()),
        }
    }
}

/// Why something stays whose lock somebody holds.
pub(crate) const HELD: &str = "a go command holds its lock";

/// Why the extracted folder of a version is of no use, if so.
pub(crate) fn unusable(version: &ModVersion) -> Option<&'static str> {
    let partial = version.parts.has(Part::Partial);
    match version.extracted {
        _ if partial => Some("its extraction was interrupted"),
        Some(size) if size.files == 0 => Some("its folder is empty"),
        Some(_) if !version.parts.has(Part::Ziphash) && &*version.module != FIPS_MODULE => {
            Some("it was extracted from a zip whose hash is gone, so Go does not use it")
        }
        _ => None,
    }
}

/// The half extracted versions among these.
pub(crate) fn of_versions(versions: &[ModVersion]) -> impl Iterator<Item = Leftover> {
    versions.iter().filter_map(|version| {
        let why = unusable(version)?;
        let (module, name) = (version.module.to_string(), version.version.to_string());
        let extracted = version.extracted.and_then(|_| extracted_path(&module, &name));
        let partial = version.parts.has(Part::Partial);
        let partial = partial.then(|| part_path(&module, &name, Part::Partial)).flatten();
        let cache = if module == TOOLCHAIN_MODULE { CacheKind::Toolchain } else { CacheKind::Mod };
        Some(Leftover {
            cache,
            subject: format!("{module}@{name}"),
            target: Target::Version {
                module,
                version: name,
                paths: extracted.into_iter().chain(partial).collect(),
            },
            size: version.extracted.unwrap_or_default(),
            modified: version.written,
            why,
            locked: version.locked,
        })
    })
}

pub(crate) fn temporary_file(path: PathBuf, size: Size, modified: Time, locked: bool) -> Leftover {
    let why = "a temporary file of a download that was interrupted";
    of_path(path, size, Some(modified), why, locked)
}

pub(crate) fn temporary_folder(path: PathBuf, sum: &Sum) -> Leftover {
    let why = "a temporary folder of an extraction that was interrupted";
    of_path(path, sum.size, sum.modified, why, false)
}

pub(crate) fn unfinished_repository(repo: &VcsRepo) -> Leftover {
    let why = "a clone that was interrupted before its origin was noted";
    let path = Path::new("cache/vcs").join(&repo.hash);
    let cache = CacheKind::Vcs;
    let locked = repo.locked;
    Leftover { cache, ..of_path(path, repo.size, repo.last_used, why, locked) }
}

fn of_path(
    path: PathBuf,
    size: Size,
    modified: Option<Time>,
    why: &'static str,
    locked: bool,
) -> Leftover {
    let toolchain = path.starts_with("cache/download/golang.org/toolchain/@v");
    Leftover {
        cache: if toolchain { CacheKind::Toolchain } else { CacheKind::Mod },
        subject: path.display().to_string(),
        target: Target::Path(path),
        size,
        modified,
        why,
        locked,
    }
}
