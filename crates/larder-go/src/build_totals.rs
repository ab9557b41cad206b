//! The sums of a build cache for every screen: one plain walk, no file opened, flat memory.
//!
//! Promises: the speed of the walk itself; a hard link counts once; the build part, the fuzz part
//! and what is foreign are kept apart. Leaves out: which action names which output.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;

use larder_core::build_inventory::entry_seconds;
use larder_core::{Meter, Size, Time};
use larder_fs::{Dir, Kind, Links, Meta, Skip, Visitor, WalkOptions, walk};

use crate::build_age::Ages;
use crate::build_layout::{ROOT_FILES, STAGED, shard_of};
use crate::hex;

/// One part of a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// All of it, folders and bookkeeping too.
    pub size: Size,
    /// The latest use of an entry.
    pub last_used: Option<Time>,
    /// The earliest use of an entry.
    pub oldest_use: Option<Time>,
}

impl Part {
    fn used(&mut self, at: Time) {
        self.last_used = self.last_used.max(Some(at));
        self.oldest_use = Some(self.oldest_use.map_or(at, |oldest| oldest.min(at)));
    }

    fn merge(&mut self, other: &Self) {
        self.size += other.size;
        for used in [other.last_used, other.oldest_use].into_iter().flatten() {
            self.used(used);
        }
    }
}

/// The sums of a build cache.
#[derive(Debug, Default)]
pub struct BuildTotals {
    /// Compiled packages and other results, with the folders, `README` and time stamps.
    pub build: Part,
    /// Fuzzing data.
    pub fuzz: Part,
    /// Of the build part, the `-a` files.
    pub actions: Size,
    /// Of the build part, outputs that are files.
    pub outputs: Size,
    /// Of the build part, executables: folders with one file.
    pub executables: Size,
    /// Of the build part, removals that did not end.
    pub leftovers: Size,
    /// What is not Go's; in no other sum.
    pub foreign: Size,
    /// The build part's entries by age.
    pub ages: Ages,
    /// The fuzz part's files by age.
    pub fuzz_ages: Ages,
    /// Mount points, which are not entered.
    pub mount_points: Vec<PathBuf>,
    /// What could not be looked at.
    pub errors: Vec<(PathBuf, io::Error)>,
}

/// Walks the cache once. `threads` 0 is the walk's own default.
pub fn totals(root: &Dir, now: Time, threads: usize, meter: &Meter) -> BuildTotals {
    let links = Links::default();
    let make = || Sums { totals: BuildTotals::default(), links: &links, now };
    let walked = walk(root, At::Root, make, &WalkOptions { threads, meter });
    let mut sum = BuildTotals::default();
    for visitor in walked.visitors {
        sum.merge(visitor.totals);
    }
    sum.errors.extend(walked.errors.into_iter().map(|error| (error.path, error.source)));
    match root.meta() {
        Ok(meta) => sum.build.size += Size::new(0, 0, meta.allocated),
        Err(error) => sum.errors.push((root.path().to_owned(), error)),
    }
    sum
}

impl BuildTotals {
    fn merge(&mut self, other: Self) {
        self.build.merge(&other.build);
        self.fuzz.merge(&other.fuzz);
        self.actions += other.actions;
        self.outputs += other.outputs;
        self.executables += other.executables;
        self.leftovers += other.leftovers;
        self.foreign += other.foreign;
        self.ages.merge(&other.ages);
        self.fuzz_ages.merge(&other.fuzz_ages);
        self.mount_points.extend(other.mount_points);
    }
}

/// Where the walk is.
#[derive(Clone, Copy)]
enum At {
    Root,
    Shard(u8),
    /// In an executable's folder, which was last used then.
    Executable(Time),
    Staged,
    Fuzz,
    Foreign,
}

struct Sums<'a> {
    totals: BuildTotals,
    links: &'a Links,
    now: Time,
}

/// What a name in a folder of entries is, told by its shape.
enum Shape {
    Action,
    Output,
    Staged,
    Foreign,
}

fn shape(shard: u8, name: &OsStr) -> Shape {
    let name = name.as_encoded_bytes();
    let Some((id, rest)) = name.split_at_checked(64) else { return Shape::Foreign };
    // All of them, without a stop at the first that is none: that is done many at once.
    let digits = id.iter().fold(true, |all, c| all & matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    if !digits || id[..2] != hex::PAIRS[usize::from(shard)] {
        return Shape::Foreign;
    }
    match rest {
        b"-a" => Shape::Action,
        b"-d" => Shape::Output,
        _ if rest.strip_prefix(b"-d") == Some(STAGED.as_bytes()) => Shape::Staged,
        _ => Shape::Foreign,
    }
}

impl Sums<'_> {
    fn size(&self, meta: &Meta) -> Size {
        let mut size = crate::build_scan::size_of(meta);
        if !self.links.first(meta) {
            size.allocated.0 = 0;
        }
        size
    }

    fn entry(&mut self, used: Time, size: Size) {
        // In whole seconds, as the inventory keeps them, so that each screen says the same.
        let used = Time::from_unix(entry_seconds(used).into());
        self.totals.build.size += size;
        self.totals.build.used(used);
        self.totals.ages.add(used, self.now, size);
    }

    fn in_shard(&mut self, shard: u8, name: &OsStr, meta: &Meta) {
        let size = self.size(meta);
        let totals = &mut self.totals;
        match (shape(shard, name), meta.kind) {
            (Shape::Action, Kind::File) => totals.actions += size,
            (Shape::Output, Kind::File) => totals.outputs += size,
            (Shape::Staged, Kind::File) => {
                totals.leftovers += size;
                totals.build.size += size;
                return;
            }
            _ => {
                totals.foreign += size;
                return;
            }
        }
        self.entry(meta.modified, size);
    }
}

impl Visitor for Sums<'_> {
    type Ctx = At;

    fn folder(&mut self, parent: &At, name: &OsStr, meta: &Meta) -> Option<At> {
        let size = Size::new(0, 0, meta.allocated);
        let totals = &mut self.totals;
        let at = match *parent {
            At::Root if name == "fuzz" => At::Fuzz,
            At::Root => shard_of(name).map_or(At::Foreign, At::Shard),
            At::Shard(shard) => match shape(shard, name) {
                Shape::Output => At::Executable(meta.modified),
                Shape::Staged => At::Staged,
                Shape::Action | Shape::Foreign => At::Foreign,
            },
            At::Executable(_) => At::Foreign,
            At::Staged => At::Staged,
            At::Fuzz => At::Fuzz,
            At::Foreign => At::Foreign,
        };
        match at {
            At::Root | At::Shard(_) => totals.build.size += size,
            At::Executable(used) => {
                totals.executables += size;
                self.entry(used, size);
            }
            At::Staged => {
                totals.leftovers += size;
                totals.build.size += size;
            }
            At::Fuzz => totals.fuzz.size += size,
            At::Foreign => totals.foreign += size,
        }
        Some(at)
    }

    fn file(&mut self, parent: &At, name: &OsStr, meta: &Meta) {
        if let At::Shard(shard) = *parent {
            return self.in_shard(shard, name, meta);
        }
        let size = self.size(meta);
        let totals = &mut self.totals;
        match *parent {
            At::Root if meta.kind == Kind::File && ROOT_FILES.iter().any(|f| name == *f) => {
                totals.build.size += size;
            }
            At::Executable(used) => {
                totals.executables += size;
                self.entry(used, size);
            }
            At::Staged => {
                totals.leftovers += size;
                totals.build.size += size;
            }
            At::Fuzz => {
                totals.fuzz.size += size;
                totals.fuzz.used(meta.modified);
                totals.fuzz_ages.add(meta.modified, self.now, size);
            }
            At::Root | At::Shard(_) | At::Foreign => totals.foreign += size,
        }
    }

    fn skipped(&mut self, parent: &At, name: &OsStr, why: Skip) {
        let Skip::MountPoint = why;
        let above = match *parent {
            At::Shard(shard) => crate::build_layout::shard_name(shard).into(),
            At::Fuzz => PathBuf::from("fuzz"),
            _ => PathBuf::new(),
        };
        self.totals.mount_points.push(above.join(name));
    }
}
