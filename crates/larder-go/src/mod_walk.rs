//! What the walk of a module cache notes while it goes, folder by folder.
//!
//! The context of a folder is a few bytes: what kind of place it is and the index of what it
//! belongs to. Sizes are added up locally and handed over once a folder, so that nothing is kept
//! for a single file but the parts of a version's download.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use larder_core::{CacheKind, Size, Time};
use larder_fs::{Kind, Links, Meta, Skip, Visitor};

use crate::mod_names::{
    DownloadName, Part, TOOLCHAIN_MODULE, TreeName, VcsName, download_name, element_ok, tree_name,
    vcs_name,
};
use crate::mod_scan::Contents;

/// The node of the root, whose path is empty.
pub(crate) const TREE: u32 = 0;
/// The node of `cache/download`.
pub(crate) const DOWNLOAD: u32 = 1;
/// At most this many foreign things are named; the others only count.
const MOST_FOREIGN: usize = 5_000;

/// Where a folder stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The root, or a folder of a module path.
    Above(u32),
    /// `cache`.
    Cache,
    /// `cache/download`, or a folder of a module path in it.
    Download(u32),
    /// An `@v` folder, and whether it is the toolchain's.
    Versions(u32, CacheKind),
    /// `cache/vcs`.
    Repositories,
    /// `cache/download/sumdb` and all below.
    Sumdb,
    /// In something that counts as one: an extracted version, a repository, a foreign folder.
    Slot(u32, CacheKind),
}

/// An element of a module path.
pub(crate) struct Node {
    pub(crate) parent: u32,
    pub(crate) name: Box<str>,
}

/// Whose bytes a slot adds up.
pub(crate) enum Owner {
    /// An extracted version: the node above, the escaped last element, the version.
    Version(u32, String, String),
    /// A folder that Go before 1.16 left: its path, the module's node and so on as above.
    Temporary(u32, OsString),
    /// A repository, by its hash.
    Repository(String),
    /// A folder that is not Go's.
    Foreign(PathBuf),
}

/// Sizes and times of many files.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    pub(crate) size: Size,
    pub(crate) modified: Option<Time>,
    pub(crate) accessed: Option<Time>,
    /// Symlinks and the like, which Go never extracts.
    pub(crate) odd: u32,
}

impl Sum {
    pub(crate) fn join(&mut self, other: &Self) {
        self.size += other.size;
        self.modified = self.modified.max(other.modified);
        self.accessed = self.accessed.max(other.accessed);
        self.odd += other.odd;
    }
}

/// Nodes and slots, shared by all who walk.
#[derive(Default)]
pub(crate) struct Tables {
    pub(crate) nodes: Vec<Node>,
    pub(crate) slots: Vec<(Owner, Sum)>,
}

impl Tables {
    /// The path of a node, `/` between its elements; empty for a root.
    pub(crate) fn path(&self, node: u32) -> String {
        let mut names = Vec::new();
        let mut at = node;
        while at > DOWNLOAD {
            let node = &self.nodes[at as usize];
            names.push(&*node.name);
            at = node.parent;
        }
        names.reverse();
        names.join("/")
    }

    fn add_node(&mut self, parent: u32, name: &str) -> u32 {
        self.nodes.push(Node { parent, name: name.into() });
        index(self.nodes.len() - 1)
    }

    fn add_slot(&mut self, owner: Owner) -> u32 {
        self.slots.push((owner, Sum::default()));
        index(self.slots.len() - 1)
    }
}

/// What all who walk share.
pub(crate) struct Shared {
    tables: Mutex<Tables>,
    links: Links,
    contents: Contents,
    /// Inodes of files that somebody holds a lock on, where the system tells.
    locked: HashSet<u64>,
}

impl Shared {
    pub(crate) fn new(locked: HashSet<u64>, contents: Contents) -> Self {
        let root = || Node { parent: TREE, name: "".into() };
        let tables = Tables { nodes: vec![root(), root()], slots: Vec::new() };
        Self { tables: Mutex::new(tables), links: Links::default(), contents, locked }
    }

    pub(crate) fn into_tables(self) -> Tables {
        self.tables.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Tables) -> T) -> T {
        act(&mut self.tables.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What an `@v` folder holds of one version.
#[derive(Clone, Debug, Default)]
pub(crate) struct Download {
    pub(crate) parts: u8,
    pub(crate) zip: Option<Size>,
    pub(crate) ziphash: Size,
    pub(crate) partial: Size,
    pub(crate) other: Size,
    pub(crate) modified: Option<Time>,
    /// Last read of the zip or its hash, or where there is neither of any part.
    pub(crate) content_read: Option<Time>,
    pub(crate) read: Option<Time>,
    pub(crate) downloaded: Option<Time>,
    pub(crate) locked: bool,
    pub(crate) temporary: Vec<(Box<str>, Size, Time)>,
}

/// Something that Go did not put there.
pub(crate) struct Stranger {
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
    pub(crate) size: Size,
    pub(crate) mount_point: bool,
}

/// A repository's `.info` or `.lock`.
pub(crate) struct RepositoryFile {
    pub(crate) hash: Box<str>,
    pub(crate) info: bool,
    pub(crate) size: Size,
    pub(crate) locked: bool,
}

/// One thread's notes.
pub(crate) struct Notes<'a> {
    shared: &'a Shared,
    slot: Option<(u32, Sum)>,
    folder: Option<(u32, HashMap<Box<str>, Download>)>,
    pub(crate) totals: [(CacheKind, Size); 4],
    pub(crate) downloads: Vec<(u32, Box<str>, Download)>,
    pub(crate) strangers: Vec<Stranger>,
    pub(crate) unnamed_strangers: u64,
    pub(crate) repository_files: Vec<RepositoryFile>,
}

impl<'a> Notes<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        let kinds = [CacheKind::Mod, CacheKind::Toolchain, CacheKind::Vcs, CacheKind::Sumdb];
        Self {
            shared,
            slot: None,
            folder: None,
            totals: kinds.map(|kind| (kind, Size::default())),
            downloads: Vec::new(),
            strangers: Vec::new(),
            unnamed_strangers: 0,
            repository_files: Vec::new(),
        }
    }

    /// Hands over what is still being added up.
    pub(crate) fn finish(&mut self) {
        self.hand_over_slot();
        self.hand_over_folder();
    }

    fn hand_over_slot(&mut self) {
        if let Some((slot, sum)) = self.slot.take() {
            self.shared.with(|tables| tables.slots[slot as usize].1.join(&sum));
        }
    }

    fn hand_over_folder(&mut self) {
        if let Some((node, versions)) = self.folder.take() {
            self.downloads.extend(versions.into_iter().map(|(v, download)| (node, v, download)));
        }
    }

    fn count(&mut self, kind: CacheKind, size: Size) {
        if let Some((_, total)) = self.totals.iter_mut().find(|(k, _)| *k == kind) {
            *total += size;
        }
    }

    fn add_to_slot(&mut self, slot: u32, meta: &Meta, size: Size) {
        if self.slot.as_ref().is_some_and(|(current, _)| *current != slot) {
            self.hand_over_slot();
        }
        let sum = &mut self.slot.get_or_insert((slot, Sum::default())).1;
        sum.size += size;
        sum.modified = sum.modified.max(Some(meta.modified));
        match meta.kind {
            Kind::File => sum.accessed = sum.accessed.max(Some(meta.accessed)),
            Kind::Folder => {}
            Kind::Symlink | Kind::Other => sum.odd += 1,
        }
    }

    /// Files count with both sizes, folders with what the disk gives for them, hard links once.
    fn size(&self, meta: &Meta) -> Size {
        match meta.kind {
            Kind::Folder => Size::new(0, 0, meta.allocated),
            _ if meta.links > 1 && !self.shared.links.first(meta) => Size::new(1, meta.logical, 0),
            _ => Size::new(1, meta.logical, meta.allocated),
        }
    }

    fn path_of(&self, place: Place, name: &OsStr) -> PathBuf {
        let node = |node| self.shared.with(|tables| tables.path(node));
        let folder = match place {
            Place::Above(at) => PathBuf::from(node(at)),
            Place::Cache => PathBuf::from("cache"),
            Place::Download(at) => PathBuf::from("cache/download").join(node(at)),
            Place::Versions(at, _) => PathBuf::from("cache/download").join(node(at)).join("@v"),
            Place::Repositories => PathBuf::from("cache/vcs"),
            Place::Sumdb => PathBuf::from("cache/download/sumdb"),
            Place::Slot(slot, _) => self.shared.with(|tables| slot_path(tables, slot)),
        };
        folder.join(name)
    }

    fn stranger(&mut self, place: Place, name: &OsStr, meta: &Meta, size: Size) {
        if self.strangers.len() < MOST_FOREIGN {
            let path = self.path_of(place, name);
            self.strangers.push(Stranger { path, kind: meta.kind, size, mount_point: false });
        } else {
            self.unnamed_strangers += 1;
        }
    }

    fn is_version(&self, place: Place) -> bool {
        let Place::Slot(slot, _) = place else { return false };
        let owner =
            |tables: &mut Tables| matches!(tables.slots[slot as usize].0, Owner::Version(..));
        self.shared.with(owner)
    }

    fn foreign_folder(&mut self, parent: Place, name: &OsStr) -> Place {
        let path = self.path_of(parent, name);
        let kind =
            if matches!(parent, Place::Repositories) { CacheKind::Vcs } else { CacheKind::Mod };
        Place::Slot(self.shared.with(|tables| tables.add_slot(Owner::Foreign(path))), kind)
    }

    fn enter(&mut self, parent: Place, name: &OsStr) -> Place {
        let Some(text) = name.to_str() else {
            return match parent {
                Place::Slot(..) | Place::Sumdb => parent,
                _ => self.foreign_folder(parent, name),
            };
        };
        let entered = match parent {
            Place::Slot(..) | Place::Sumdb => Some(parent),
            Place::Above(TREE) if text == "cache" => Some(Place::Cache),
            Place::Above(node) => self.enter_tree(node, text),
            Place::Cache => match text {
                "download" => Some(Place::Download(DOWNLOAD)),
                "vcs" => Some(Place::Repositories),
                _ => None,
            },
            Place::Download(DOWNLOAD) if text == "sumdb" => Some(Place::Sumdb),
            Place::Download(node) if text == "@v" && node != DOWNLOAD => {
                let path = self.shared.with(|tables| tables.path(node));
                Some(Place::Versions(node, kind_of(&path)))
            }
            Place::Download(node) => element_ok(text, node == DOWNLOAD)
                .then(|| Place::Download(self.shared.with(|t| t.add_node(node, text)))),
            Place::Versions(..) => None,
            Place::Repositories => match vcs_name(text) {
                VcsName::Repository(hash) => {
                    let owner = Owner::Repository(hash.to_owned());
                    Some(Place::Slot(self.shared.with(|t| t.add_slot(owner)), CacheKind::Vcs))
                }
                _ => None,
            },
        };
        entered.unwrap_or_else(|| self.foreign_folder(parent, name))
    }

    fn enter_tree(&mut self, node: u32, name: &str) -> Option<Place> {
        match tree_name(name, node == TREE) {
            TreeName::Element => Some(Place::Above(self.shared.with(|t| t.add_node(node, name)))),
            TreeName::Version { element, version } => Some(self.shared.with(|tables| {
                let above = tables.path(node);
                let kind = kind_of(&format!("{above}/{element}"));
                Place::Slot(tables.add_slot(Owner::Version(node, element, version)), kind)
            })),
            TreeName::Temporary { .. } => Some(self.shared.with(|tables| {
                let owner = Owner::Temporary(node, OsString::from(name));
                Place::Slot(tables.add_slot(owner), CacheKind::Mod)
            })),
            TreeName::Foreign => None,
        }
    }

    fn download_file(&mut self, node: u32, kind: CacheKind, name: &OsStr, meta: &Meta, size: Size) {
        let place = Place::Versions(node, kind);
        let meaning = name.to_str().filter(|_| meta.kind == Kind::File).map(download_name);
        let (version, part) = match meaning {
            Some(DownloadName::Part(version, part) | DownloadName::Temporary(version, part)) => {
                (version, part)
            }
            Some(DownloadName::List | DownloadName::Revision) => return,
            Some(DownloadName::Foreign) | None => return self.stranger(place, name, meta, size),
        };
        if self.folder.as_ref().is_some_and(|(current, _)| *current != node) {
            self.hand_over_folder();
        }
        let locked = part == Part::Lock && self.shared.locked.contains(&meta.inode);
        let versions = &mut self.folder.get_or_insert_with(|| (node, HashMap::new())).1;
        if !versions.contains_key(version) {
            versions.insert(version.into(), Download::default());
        }
        let Some(download) = versions.get_mut(version) else { return };
        if let (Some(DownloadName::Temporary(..)), Some(name)) = (meaning, name.to_str()) {
            download.temporary.push((name.into(), size, meta.modified));
            return;
        }
        download.add(part, meta, size);
        download.locked |= locked;
    }

    fn vcs_file(&mut self, name: &OsStr, meta: &Meta, size: Size) {
        let locked = self.shared.locked.contains(&meta.inode);
        let file = |hash: &str, info| RepositoryFile { hash: hash.into(), info, size, locked };
        match name.to_str().filter(|_| meta.kind == Kind::File).map(vcs_name) {
            Some(VcsName::Info(hash)) => self.repository_files.push(file(hash, true)),
            Some(VcsName::Lock(hash)) => self.repository_files.push(file(hash, false)),
            _ => self.stranger(Place::Repositories, name, meta, size),
        }
    }
}

impl Download {
    fn add(&mut self, part: Part, meta: &Meta, size: Size) {
        self.parts |= part.bit();
        self.modified = self.modified.max(Some(meta.modified));
        self.read = self.read.max(Some(meta.accessed));
        match part {
            Part::Zip => self.zip = Some(size),
            Part::Ziphash => self.ziphash = size,
            Part::Partial => self.partial = size,
            Part::Info | Part::Mod | Part::Lock => self.other += size,
        }
        if matches!(part, Part::Zip | Part::Ziphash) {
            self.content_read = self.content_read.max(Some(meta.accessed));
            self.downloaded = self.downloaded.max(Some(meta.modified));
        }
    }
}

impl Visitor for Notes<'_> {
    type Ctx = Place;

    fn folder(&mut self, parent: &Place, name: &OsStr, meta: &Meta) -> Option<Place> {
        let place = self.enter(*parent, name);
        let size = self.size(meta);
        self.count(place.kind(), size);
        if let Place::Slot(slot, _) = place {
            self.add_to_slot(slot, meta, size);
        }
        let whole = self.shared.contents == Contents::All;
        (whole || !self.is_version(place)).then_some(place)
    }

    fn file(&mut self, parent: &Place, name: &OsStr, meta: &Meta) {
        let size = self.size(meta);
        self.count(parent.kind(), size);
        match *parent {
            Place::Slot(slot, _) => self.add_to_slot(slot, meta, size),
            Place::Versions(node, kind) => self.download_file(node, kind, name, meta, size),
            Place::Repositories => self.vcs_file(name, meta, size),
            Place::Sumdb => {}
            Place::Cache if name == "lock" && meta.kind == Kind::File => {}
            Place::Above(_) | Place::Cache | Place::Download(_) => {
                self.stranger(*parent, name, meta, size);
            }
        }
    }

    fn skipped(&mut self, parent: &Place, name: &OsStr, _why: Skip) {
        // In a thing that goes whole or not at all, it is that thing which is not as it should be.
        let path = if let Place::Slot(slot, _) = *parent {
            self.shared.with(|tables| {
                tables.slots[slot as usize].1.odd += 1;
                slot_path(tables, slot)
            })
        } else {
            self.path_of(*parent, name)
        };
        let size = Size::default();
        self.strangers.push(Stranger { path, kind: Kind::Folder, size, mount_point: true });
    }
}

impl Place {
    /// Whose total it counts in.
    fn kind(self) -> CacheKind {
        match self {
            Self::Above(_) | Self::Cache | Self::Download(_) => CacheKind::Mod,
            Self::Versions(_, kind) | Self::Slot(_, kind) => kind,
            Self::Repositories => CacheKind::Vcs,
            Self::Sumdb => CacheKind::Sumdb,
        }
    }
}

/// The path of what a slot stands for, relative to the root.
pub(crate) fn slot_path(tables: &Tables, slot: u32) -> PathBuf {
    match &tables.slots[slot as usize].0 {
        Owner::Version(node, element, version) => {
            let version = crate::module_path::escape_version(version).unwrap_or_default();
            PathBuf::from(tables.path(*node)).join(format!("{element}@{version}"))
        }
        Owner::Temporary(node, name) => PathBuf::from(tables.path(*node)).join(name),
        Owner::Repository(hash) => PathBuf::from("cache/vcs").join(hash),
        Owner::Foreign(path) => path.clone(),
    }
}

fn kind_of(escaped_module: &str) -> CacheKind {
    if escaped_module == TOOLCHAIN_MODULE { CacheKind::Toolchain } else { CacheKind::Mod }
}

fn index(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}
