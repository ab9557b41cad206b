//! What a module cache holds: versions, toolchains, repositories, and what does not belong.
//!
//! One walk tells it all; nothing is opened but the small `.info` files of repositories. Sizes
//! by kind add up to the whole tree. Reading a cache does not touch modification times, so a last
//! use is the last read of a version's hash or zip: a build reads the hash of each module it uses
//! (`cmd/go/internal/modfetch/fetch.go`, `checkMod`). With relatime, as usual on Linux, such a
//! time is at most a day late; where a mount keeps none, the time of the download stands for it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use larder_core::{CacheKind, Meter, Size, Time};
use larder_fs::{Dir, Kind, WalkError, WalkOptions, walk};

use crate::leftovers::{self, Leftover};
use crate::mod_names::{FIPS_MODULE, Part, TOOLCHAIN_MODULE, extracted_path};
use crate::mod_walk::{Download, Notes, Owner, Place, Shared, Stranger, Sum, TREE, Tables};
use crate::vcs::{self, VcsRepo};
use crate::{module_path, semver};

/// Which parts of a version are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts(u8);

impl Parts {
    /// Whether this one is there.
    pub fn has(self, part: Part) -> bool {
        self.0 & part.bit() != 0
    }
}

/// One version of a module, or a toolchain.
#[derive(Clone, Debug)]
pub struct ModVersion {
    /// Module path, unescaped.
    pub module: Arc<str>,
    /// Version, unescaped.
    pub version: Box<str>,
    /// The extracted folder with all in it.
    pub extracted: Option<Size>,
    /// The zip.
    pub zip: Option<Size>,
    /// The zip's hash.
    pub ziphash: Size,
    /// The rest: `.info`, `.mod`, `.lock`, `.partial`; they stay when a version is removed.
    pub other: Size,
    /// Which files of the download are there.
    pub parts: Parts,
    /// Last use as far as it can be known.
    pub last_used: Option<Time>,
    /// When it was downloaded.
    pub downloaded: Option<Time>,
    /// The latest time at which any of its files was written.
    pub written: Option<Time>,
    /// Whether somebody held its lock during the scan; known on Linux only.
    pub locked: bool,
    /// Whether the extracted folder holds something that Go never extracts, such as a symlink.
    pub odd: bool,
}

impl ModVersion {
    /// What removing it gives back: `.info`, `.mod` and the lock stay.
    pub fn removable(&self) -> Size {
        self.extracted.unwrap_or_default() + self.zip.unwrap_or_default() + self.ziphash
    }

    /// All of it.
    pub fn size(&self) -> Size {
        self.removable() + self.other
    }

    /// Whether the go command takes the extracted folder as there and whole
    /// (`cmd/go/internal/modfetch/cache.go`, `DownloadDir`).
    pub fn is_complete(&self) -> bool {
        self.extracted.is_some()
            && !self.parts.has(Part::Partial)
            && (self.parts.has(Part::Ziphash) || &*self.module == FIPS_MODULE)
    }

    /// Relative to the root, those of its parts that go when it is removed.
    pub fn removable_paths(&self) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        if self.extracted.is_some() {
            paths.extend(extracted_path(&self.module, &self.version));
        }
        for part in [Part::Zip, Part::Ziphash, Part::Partial] {
            if self.parts.has(part) {
                paths.extend(part_path(&self.module, &self.version, part));
            }
        }
        paths
    }
}

/// A part's path relative to the root; `None` where the names are not valid ones.
pub fn part_path(module: &str, version: &str, part: Part) -> Option<PathBuf> {
    let folder = crate::mod_names::download_folder(module)?;
    Some(folder.join(crate::mod_names::part_name(version, part)?))
}

/// Why something is not the cache's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignKind {
    /// A file that Go does not write, or not there.
    File,
    /// A folder that Go does not make, or not there.
    Folder,
    /// A symlink: it is not followed.
    Symlink,
    /// Another file system is mounted there: it is not looked into.
    MountPoint,
    /// A socket, a device and the like.
    Other,
}

impl ForeignKind {
    /// A noun with its article.
    pub fn phrase(self) -> &'static str {
        match self {
            Self::File => "a file that the go command does not write",
            Self::Folder => "a folder that the go command does not make",
            Self::Symlink => "a symlink",
            Self::MountPoint => "a mount point",
            Self::Other => "neither a file nor a folder",
        }
    }
}

/// Something that is not the cache's: listed, never removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// Relative to the root.
    pub path: PathBuf,
    /// What it is.
    pub kind: ForeignKind,
    /// What it takes up; nothing for what is not looked into.
    pub size: Size,
}

/// A module cache as one walk found it.
#[derive(Debug, Default)]
pub struct ModScan {
    /// Module versions, toolchains not among them; by module path, then by version.
    pub versions: Vec<ModVersion>,
    /// Toolchains, by version.
    pub toolchains: Vec<ModVersion>,
    /// Repositories, by hash.
    pub vcs: Vec<VcsRepo>,
    /// The cached part of the checksum database.
    pub sumdb: Size,
    /// What of the module cache's size is no version's: folders, lists, locks, foreign things.
    pub bookkeeping: Size,
    /// Sizes by kind (`mod`, `toolchain`, `vcs`, `sumdb`); their sum is the whole tree.
    pub totals: Vec<(CacheKind, Size)>,
    /// What is not the cache's.
    pub foreign: Vec<Foreign>,
    /// Foreign things beyond those named, where there are very many.
    pub more_foreign: u64,
    /// What interrupted work left.
    pub leftovers: Vec<Leftover>,
    /// What could not be looked at.
    pub errors: Vec<WalkError>,
    /// Whether last uses are known; else they are times of download.
    pub uses_known: bool,
}

impl ModScan {
    /// The size of one kind's part.
    pub fn total(&self, kind: CacheKind) -> Size {
        self.totals.iter().find(|(k, _)| *k == kind).map_or(Size::default(), |(_, size)| *size)
    }

    /// All under the root.
    pub fn size(&self) -> Size {
        self.totals.iter().map(|(_, size)| *size).sum()
    }

    /// Versions and toolchains.
    pub fn all_versions(&self) -> impl Iterator<Item = &ModVersion> {
        self.versions.iter().chain(&self.toolchains)
    }
}

/// What of an extracted version is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Every file: sizes and times are those of all of them.
    All,
    /// Only whether anything is in it, which then counts as one file of no size: for who reads the
    /// files afterwards anyway.
    Whether,
}

/// What a walk is given.
#[derive(Clone, Copy, Debug)]
pub struct ScanOptions<'a> {
    /// How far extracted versions are looked into.
    pub contents: Contents,
    /// Threads; 0 lets the file system's crate choose.
    pub threads: usize,
    /// Progress, and the wish to stop.
    pub meter: &'a Meter,
}

/// Walks the whole cache below `root`. Stopped early, it tells what it saw until then.
pub fn scan(root: &Dir, options: ScanOptions<'_>) -> ModScan {
    let shared = Shared::new(locked_inodes(), options.contents);
    let walked = walk(
        root,
        Place::Above(TREE),
        || Notes::new(&shared),
        &WalkOptions { threads: options.threads, meter: options.meter },
    );
    let mut all = Gathered::default();
    for mut notes in walked.visitors {
        notes.finish();
        all.take(notes);
    }
    let mut scan = ModScan {
        errors: walked.errors,
        uses_known: crate::mod_times::access_times_kept(root.path()),
        ..ModScan::default()
    };
    if let Ok(meta) = root.meta() {
        all.count(CacheKind::Mod, Size::new(0, 0, meta.allocated));
    }
    let mut tables = shared.into_tables();
    if options.contents == Contents::Whether {
        mark_filled(root, &mut tables);
    }
    all.settle(root, &tables, &mut scan);
    scan
}

/// Has an extracted version count one file where it has anything.
fn mark_filled(root: &Dir, tables: &mut Tables) {
    for slot in 0..tables.slots.len() {
        let (Owner::Version(node, element, version), _) = &tables.slots[slot] else { continue };
        let path = join(&tables.path(*node), &format!("{element}@{version}"));
        let folder = root.open_path(Path::new(&path));
        let filled = folder.and_then(|folder| folder.entries()).is_ok_and(|all| !all.is_empty());
        tables.slots[slot].1.size.files = u64::from(filled);
    }
}

/// The notes of all threads together.
#[derive(Default)]
struct Gathered {
    totals: HashMap<CacheKind, Size>,
    downloads: Vec<(u32, Box<str>, Download)>,
    strangers: Vec<Stranger>,
    more_strangers: u64,
    repository_files: Vec<crate::mod_walk::RepositoryFile>,
}

impl Gathered {
    fn take(&mut self, notes: Notes<'_>) {
        for (kind, size) in notes.totals {
            self.count(kind, size);
        }
        self.downloads.extend(notes.downloads);
        self.strangers.extend(notes.strangers);
        self.more_strangers += notes.unnamed_strangers;
        self.repository_files.extend(notes.repository_files);
    }

    fn count(&mut self, kind: CacheKind, size: Size) {
        *self.totals.entry(kind).or_default() += size;
    }

    fn settle(self, root: &Dir, tables: &Tables, scan: &mut ModScan) {
        let mut foreign: Vec<Foreign> = self.strangers.iter().map(Foreign::of).collect();
        let mut versions = Versions::default();
        let mut repositories = Vec::new();
        for (owner, sum) in &tables.slots {
            match owner {
                Owner::Version(node, element, version) => {
                    let escaped = join(&tables.path(*node), element);
                    if !versions.extracted(&escaped, version, sum) {
                        let path = PathBuf::from(format!("{escaped}@{version}"));
                        foreign.push(Foreign { path, kind: ForeignKind::Folder, size: sum.size });
                    }
                }
                Owner::Temporary(node, name) => {
                    let path = PathBuf::from(tables.path(*node)).join(name);
                    scan.leftovers.push(leftovers::temporary_folder(path, sum));
                }
                Owner::Repository(hash) => repositories.push((hash.as_str(), *sum)),
                Owner::Foreign(path) => {
                    let (path, size) = (path.clone(), sum.size);
                    foreign.push(Foreign { path, kind: ForeignKind::Folder, size });
                }
            }
        }
        for (node, version, download) in self.downloads {
            versions.downloaded(&tables.path(node), &version, &download, &mut scan.leftovers);
        }
        let repositories = vcs::repositories(root, repositories, &self.repository_files, scan);
        scan.vcs = repositories;
        (scan.versions, scan.toolchains) = versions.settle(scan.uses_known);
        scan.leftovers.extend(leftovers::of_versions(&scan.versions));
        scan.leftovers.extend(leftovers::of_versions(&scan.toolchains));
        scan.leftovers.sort_by(|a, b| a.subject.cmp(&b.subject));
        scan.foreign = fold_foreign(foreign, &scan.versions, &scan.toolchains);
        scan.more_foreign = self.more_strangers;
        scan.totals = [CacheKind::Mod, CacheKind::Toolchain, CacheKind::Vcs, CacheKind::Sumdb]
            .map(|kind| (kind, self.totals.get(&kind).copied().unwrap_or_default()))
            .to_vec();
        scan.sumdb = scan.total(CacheKind::Sumdb);
        let in_versions: Size = scan.versions.iter().map(ModVersion::size).sum();
        scan.bookkeeping = scan.total(CacheKind::Mod) - in_versions;
    }
}

/// Versions as they are put together from both trees.
#[derive(Default)]
struct Versions {
    modules: HashMap<String, Option<Arc<str>>>,
    found: HashMap<(Arc<str>, Box<str>), ModVersion>,
    content_read: HashMap<(Arc<str>, Box<str>), Option<Time>>,
}

impl Versions {
    /// One allocation a module, however many versions it has.
    fn module(&mut self, escaped: &str) -> Option<Arc<str>> {
        if let Some(module) = self.modules.get(escaped) {
            return module.clone();
        }
        let module: Option<Arc<str>> = module_path::unescape(escaped).map(Into::into);
        self.modules.insert(escaped.to_owned(), module.clone());
        module
    }

    fn entry(&mut self, module: &Arc<str>, version: &str) -> &mut ModVersion {
        self.found.entry((module.clone(), version.into())).or_insert_with(|| ModVersion {
            module: module.clone(),
            version: version.into(),
            extracted: None,
            zip: None,
            ziphash: Size::default(),
            other: Size::default(),
            parts: Parts::default(),
            last_used: None,
            downloaded: None,
            written: None,
            locked: false,
            odd: false,
        })
    }

    fn extracted(&mut self, escaped: &str, version: &str, sum: &Sum) -> bool {
        let Some(module) = self.module(escaped) else { return false };
        let entry = self.entry(&module, version);
        entry.extracted = Some(sum.size);
        entry.odd = sum.odd > 0;
        entry.written = entry.written.max(sum.modified);
        entry.downloaded = entry.downloaded.max(sum.modified);
        true
    }

    fn downloaded(
        &mut self,
        escaped: &str,
        version: &str,
        download: &Download,
        leftovers: &mut Vec<Leftover>,
    ) {
        let Some(module) = self.module(escaped) else { return };
        let Some(version) = crate::mod_names::version_of(version) else { return };
        for (name, size, modified) in &download.temporary {
            let folder = Path::new("cache/download").join(escaped).join("@v");
            leftovers.push(leftovers::temporary_file(
                folder.join(&**name),
                *size,
                *modified,
                download.locked,
            ));
        }
        if download.parts == 0 {
            return;
        }
        let has_content = download.content_read.is_some();
        let read = if has_content { download.content_read } else { download.read };
        let entry = self.entry(&module, &version);
        entry.zip = download.zip;
        entry.ziphash = download.ziphash;
        entry.other = download.other + download.partial;
        entry.parts = Parts(download.parts);
        entry.locked = download.locked;
        entry.written = entry.written.max(download.modified);
        entry.downloaded = download.downloaded.or(entry.downloaded).or(download.modified);
        self.content_read.insert((module, version.into()), read);
    }

    fn settle(mut self, uses_known: bool) -> (Vec<ModVersion>, Vec<ModVersion>) {
        for (key, version) in &mut self.found {
            let read = self.content_read.get(key).copied().flatten().filter(|_| uses_known);
            version.last_used = version.written.max(read);
        }
        let mut all: Vec<ModVersion> = self.found.into_values().collect();
        all.sort_by(|a, b| {
            a.module.cmp(&b.module).then_with(|| semver::compare_total(&a.version, &b.version))
        });
        all.into_iter().partition(|version| &*version.module != TOOLCHAIN_MODULE)
    }
}

impl Foreign {
    fn of(stranger: &Stranger) -> Self {
        let kind = match stranger.kind {
            _ if stranger.mount_point => ForeignKind::MountPoint,
            Kind::File => ForeignKind::File,
            Kind::Folder => ForeignKind::Folder,
            Kind::Symlink => ForeignKind::Symlink,
            Kind::Other => ForeignKind::Other,
        };
        Self { path: stranger.path.clone(), kind, size: stranger.size }
    }
}

/// A tree that holds foreign things and no version is one foreign folder, however much is in it.
fn fold_foreign(
    foreign: Vec<Foreign>,
    versions: &[ModVersion],
    toolchains: &[ModVersion],
) -> Vec<Foreign> {
    let mut homes: HashSet<PathBuf> = HashSet::from([PathBuf::new(), "cache".into()]);
    if !foreign.is_empty() {
        for version in versions.iter().chain(toolchains).filter(|v| v.extracted.is_some()) {
            if let Some(path) = extracted_path(&version.module, &version.version) {
                homes.extend(path.ancestors().skip(1).map(Path::to_owned));
            }
        }
    }
    let mut folded: Vec<Foreign> = Vec::new();
    let mut folders: HashMap<PathBuf, usize> = HashMap::new();
    for thing in foreign {
        let outermost = thing
            .path
            .ancestors()
            .skip(1)
            .take_while(|folder| !homes.contains(*folder) && !folder.starts_with("cache"))
            .last()
            .map(Path::to_owned);
        let Some(top) = outermost else {
            folded.push(thing);
            continue;
        };
        let at = *folders.entry(top.clone()).or_insert_with(|| {
            folded.push(Foreign { path: top, kind: ForeignKind::Folder, size: Size::default() });
            folded.len() - 1
        });
        folded[at].size += thing.size;
    }
    folded.sort_by(|a, b| a.path.cmp(&b.path));
    folded
}

fn join(above: &str, element: &str) -> String {
    if above.is_empty() { element.to_owned() } else { format!("{above}/{element}") }
}

/// Inodes that carry a lock of the kind the go command takes, as Linux tells them. A lock that
/// is not seen here is met again when it is taken.
fn locked_inodes() -> HashSet<u64> {
    let text = if cfg!(target_os = "linux") {
        std::fs::read_to_string("/proc/locks").unwrap_or_default()
    } else {
        String::new()
    };
    text.lines()
        .filter(|line| line.contains("FLOCK") && !line.contains("->"))
        .filter_map(|line| line.split_whitespace().nth(5)?.rsplit(':').next()?.parse().ok())
        .collect()
}
