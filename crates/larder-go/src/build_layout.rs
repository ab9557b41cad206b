//! The proof that a folder is a Go build cache, given before anything in it is removed.
//!
//! Promises: what is not recognised is named and never removed; a folder that could be something
//! else (a home folder, a checkout, a module cache, another store that also has folders `00` to
//! `ff`) is refused with a sentence. Leaves out: what stands inside the 256 folders; the scan
//! and the removal judge each name there with [`entry_name`].

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

use larder_core::{EntryId, Target};
use larder_fs::{Dir, Kind};

/// The first line of the file that the go command leaves in its cache
/// (`cmd/go/internal/cache/default.go`).
const README_MARK: &[u8] = b"This directory holds cached build artifacts from the Go build system.";

/// What an output is called while it is being removed: `<output ID>-d` and this. It ends neither
/// in `-a` nor in `-d`, so the go command neither reads nor trims it.
pub const STAGED: &str = ".larder-removed";

/// Files at the root that belong to the cache; `log.txt` is of old Go versions.
pub(crate) const ROOT_FILES: [&str; 4] = ["README", "trim.txt", "testexpire.txt", "log.txt"];

/// A folder that is proven to be a Go build cache.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BuildLayout {
    /// The folders of entries that are there and may be worked in, `00` to `ff`.
    pub shards: Vec<u8>,
    /// Whether `fuzz` is there, as a folder.
    pub fuzz: bool,
    /// What is not Go's at the root, relative to it: reported, never removed.
    pub foreign: Vec<PathBuf>,
    /// A folder of entries or `fuzz` that is a symlink, a mount point or no folder at all, with
    /// what it is: reported, left alone.
    pub blocked: Vec<(PathBuf, &'static str)>,
}

/// Why a folder is not worked in as a build cache. Nothing was touched.
#[derive(Debug, thiserror::Error)]
pub enum NotACache {
    /// It is known to be something else.
    #[error("{} is not taken for a Go build cache: it is {what}; check GOCACHE", path.display())]
    Other {
        /// The folder.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// It has none of the marks.
    #[error(
        "{} is not taken for a Go build cache: {missing}; check GOCACHE, or let the go command use \
         it once",
        path.display()
    )]
    NoMarks {
        /// The folder.
        path: PathBuf,
        /// Which marks it lacks.
        missing: &'static str,
    },
    /// It cannot be looked at.
    #[error("cannot look at {}: {source}", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Proves that `root` is a Go build cache, or says why it is not taken for one.
///
/// Enough is: Go's `README`; or a readable `trim.txt` or `testexpire.txt` with nothing foreign
/// beside them; or folders `00` to `ff` in which an entry of Go's naming is found (a cache that
/// was restored without its `README`). An empty folder is a cache that has not been used yet.
pub fn prove(root: &Dir) -> Result<BuildLayout, NotACache> {
    let io = |source| NotACache::Io { path: root.path().to_owned(), source };
    let entries = root.entries().map_err(io)?;
    refuse_others(root, &entries)?;
    let layout = survey(root, &entries).map_err(io)?;
    let proven = entries.is_empty()
        || has_readme(root)
        || (layout.foreign.is_empty() && has_stamp(root))
        || shard_with_entry(root, &layout.shards);
    if proven {
        return Ok(layout);
    }
    let missing = if layout.shards.is_empty() {
        "it has neither Go's README nor folders 00 to ff with entries"
    } else {
        "it has no README of Go's, and what its folders hold are not Go's entries"
    };
    Err(NotACache::NoMarks { path: root.path().to_owned(), missing })
}

/// An entry's name in a folder `00` to `ff`, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryName {
    /// `<action ID>-a`.
    Action(EntryId),
    /// `<output ID>-d`.
    Output(EntryId),
    /// An output whose removal was begun and did not end.
    Staged(EntryId),
}

/// Takes apart a name in the folder of `shard`; `None` where it is not one of Go's or ours.
pub fn entry_name(shard: u8, name: &OsStr) -> Option<EntryName> {
    let name = name.as_encoded_bytes();
    let (hex, rest) = name.split_at_checked(64)?;
    let make: fn(EntryId) -> EntryName = match rest {
        b"-a" => EntryName::Action,
        b"-d" => EntryName::Output,
        _ if rest.strip_prefix(b"-d")? == STAGED.as_bytes() => EntryName::Staged,
        _ => return None,
    };
    EntryId::parse(hex).filter(|id| id.0[0] == shard).map(make)
}

/// Whether an entry of this name and kind is what the go command would have made. An action is a
/// file; an output is a file, or a folder with an executable.
pub fn entry_of_kind(shard: u8, name: &OsStr, kind: Kind) -> Option<EntryName> {
    let entry = entry_name(shard, name)?;
    let fits = match entry {
        EntryName::Action(_) => kind == Kind::File,
        EntryName::Output(_) | EntryName::Staged(_) => matches!(kind, Kind::File | Kind::Folder),
    };
    fits.then_some(entry)
}

/// The name of a folder of entries, as in `0a`.
pub fn shard_name(shard: u8) -> String {
    format!("{shard:02x}")
}

/// The folder of entries of this name.
pub fn shard_of(name: &OsStr) -> Option<u8> {
    let name = name.to_str().filter(|n| n.len() == 2)?;
    let lower = name.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
    lower.then(|| u8::from_str_radix(name, 16).ok()).flatten()
}

/// What may be removed under a path that a plan names, relative to GOCACHE; `None` for every
/// shape that larder itself would not plan.
pub fn classify(rel: &Path) -> Option<Target> {
    let parts: Vec<&OsStr> = rel
        .components()
        .map(|part| match part {
            Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect::<Option<_>>()?;
    match parts.as_slice() {
        [name] if *name == "testexpire.txt" => Some(Target::TestResults),
        // Go makes it again, and trims then.
        [name] if *name == "trim.txt" => Some(Target::Path(rel.to_owned())),
        [shard, name] if *shard != "fuzz" => match entry_name(shard_of(shard)?, name)? {
            EntryName::Action(id) => Some(Target::Entry { action: Some(id), output: None }),
            EntryName::Output(id) => Some(Target::Entry { action: None, output: Some(id) }),
            EntryName::Staged(_) => Some(Target::Path(rel.to_owned())),
        },
        [first, package @ .., target] if *first == "fuzz" && !package.is_empty() => {
            let target = target.to_str()?;
            target.starts_with("Fuzz").then(|| Target::Path(rel.to_owned()))
        }
        _ => None,
    }
}

fn refuse_others(root: &Dir, entries: &[(std::ffi::OsString, Kind)]) -> Result<(), NotACache> {
    let path = root.path();
    let has =
        |name: &str| entries.binary_search_by(|(n, _)| n.as_os_str().cmp(OsStr::new(name))).is_ok();
    let other = |what| Err(NotACache::Other { path: path.to_owned(), what });
    if same_folder(root, Path::new("/")) || path.parent().is_none() {
        return other("the root of a file system");
    }
    if std::env::home_dir().is_some_and(|home| same_folder(root, &home))
        || [".ssh", ".bashrc", ".profile", ".zshrc"].iter().any(|name| has(name))
    {
        return other("a home folder");
    }
    if [".git", ".hg", "go.mod", "go.work"].iter().any(|name| has(name)) {
        return other("a source checkout");
    }
    if has("bin") && has("src") && has("pkg") {
        return other("a GOROOT or GOPATH");
    }
    let module_cache = root.open_path(&Path::new("cache").join("download")).is_ok()
        || entries.iter().any(|(name, kind)| {
            *kind == Kind::Folder && name.as_encoded_bytes().windows(2).any(|w| w == b"@v")
        });
    if module_cache {
        return other("a module cache");
    }
    Ok(())
}

fn same_folder(root: &Dir, path: &Path) -> bool {
    let there = Dir::open_root(path).and_then(|dir| dir.identity());
    matches!((root.identity(), there), (Ok(ours), Ok(theirs)) if ours == theirs)
}

fn survey(root: &Dir, entries: &[(std::ffi::OsString, Kind)]) -> io::Result<BuildLayout> {
    let device = root.meta()?.device;
    let mut layout =
        BuildLayout { shards: Vec::new(), fuzz: false, foreign: Vec::new(), blocked: Vec::new() };
    for (name, kind) in entries {
        let shard = shard_of(name);
        if shard.is_none() && name != "fuzz" {
            let known = ROOT_FILES.iter().any(|file| name == file) && *kind == Kind::File;
            if !known {
                layout.foreign.push(name.into());
            }
            continue;
        }
        let blocked = match kind {
            Kind::Folder => match root.look(name)? {
                None => continue,
                Some(meta) if meta.mount_point || meta.device != device => Some("a mount point"),
                Some(_) => None,
            },
            Kind::Symlink => Some("a symlink"),
            Kind::File | Kind::Other => Some("not a folder"),
        };
        match (blocked, shard) {
            (Some(what), _) => layout.blocked.push((name.into(), what)),
            (None, Some(shard)) => layout.shards.push(shard),
            (None, None) => layout.fuzz = true,
        }
    }
    Ok(layout)
}

fn has_readme(root: &Dir) -> bool {
    root.read(OsStr::new("README"), README_MARK.len())
        .is_ok_and(|text| text.starts_with(README_MARK))
}

fn has_stamp(root: &Dir) -> bool {
    ["trim.txt", "testexpire.txt"].iter().any(|name| {
        root.read(OsStr::new(name), 64).is_ok_and(|text| {
            let digits = text.trim_ascii();
            !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
        })
    })
}

/// Whether the first entries that are met in the folders are Go's.
fn shard_with_entry(root: &Dir, shards: &[u8]) -> bool {
    for &shard in shards {
        let Ok(dir) = root.open_dir(OsStr::new(&shard_name(shard))) else { continue };
        let Ok(entries) = dir.entries() else { continue };
        if !entries.is_empty() {
            return entries.iter().any(|(name, kind)| entry_of_kind(shard, name, *kind).is_some());
        }
    }
    false
}
