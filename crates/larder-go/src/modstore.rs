//! Module versions met in graphs, as numbers, and the requirements of those whose go.mod was read.
//!
//! Each go.mod is read once, whoever asks for it, and without touching its access time.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use larder_fs::Dir;

use crate::gomod::{self, Pair};
use crate::module_path::{ModuleVersion, escape, escape_version};
use crate::semver;

/// The largest go.mod that Go accepts (`golang.org/x/mod/zip`, `MaxGoMod`), in bytes.
const MAX_GO_MOD: usize = 16 << 20;

/// A module path that has been met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PathId(u32);

impl PathId {
    pub(crate) fn numbered(number: u32) -> Self {
        Self(number)
    }

    pub(crate) fn number(self) -> u32 {
        self.0
    }
}

/// A module version that has been met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NodeId(u32);

impl NodeId {
    pub(crate) fn numbered(number: u32) -> Self {
        Self(number)
    }

    pub(crate) fn number(self) -> u32 {
        self.0
    }
}

/// Where the go.mod of a module version is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    /// The module cache.
    Cache(NodeId),
    /// A folder that replaces it, by number.
    Folder(u32),
}

/// What a go.mod asks for.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) module: Option<PathId>,
    pub(crate) pruned: bool,
    pub(crate) require: Box<[NodeId]>,
}

/// As [`Summary`], before names have become numbers.
struct RawSummary {
    module: Option<Box<str>>,
    pruned: bool,
    require: Vec<(Box<str>, Box<str>)>,
}

/// All module versions met, and the requirements of those that were read.
#[derive(Debug, Default)]
pub(crate) struct Store {
    paths: Vec<Box<str>>,
    path_ids: HashMap<Box<str>, PathId>,
    nodes: Vec<(PathId, Box<str>)>,
    node_ids: HashMap<(PathId, Box<str>), NodeId>,
    folders: Vec<PathBuf>,
    folder_ids: HashMap<PathBuf, u32>,
    read: HashMap<Origin, Result<Summary, String>>,
}

/// Where the `.mod` of a version comes from.
pub trait FetchGoMod: Sync {
    /// Its text, proven and in the cache from now on; an error in one phrase.
    fn fetch(&self, module: &ModuleVersion) -> Result<Vec<u8>, String>;
}

/// Where requirements are read from.
#[derive(Clone, Copy)]
pub(crate) struct Library<'a> {
    /// `cache/download` of the module cache, where there is one.
    pub(crate) download: Option<&'a Dir>,
    /// Who is asked instead.
    pub(crate) fetch: Option<&'a dyn FetchGoMod>,
}

impl Store {
    pub(crate) fn path_id(&mut self, path: &str) -> PathId {
        if let Some(id) = self.path_ids.get(path) {
            return *id;
        }
        let id = PathId(number(self.paths.len()));
        self.paths.push(path.into());
        self.path_ids.insert(path.into(), id);
        id
    }

    pub(crate) fn node(&mut self, path: &str, version: &str) -> NodeId {
        let path = self.path_id(path);
        let key = (path, Box::from(version));
        if let Some(id) = self.node_ids.get(&key) {
            return *id;
        }
        let id = NodeId(number(self.nodes.len()));
        self.nodes.push(key.clone());
        self.node_ids.insert(key, id);
        id
    }

    pub(crate) fn pair(&mut self, pair: &Pair) -> NodeId {
        self.node(&pair.path, &pair.version)
    }

    pub(crate) fn folder(&mut self, path: PathBuf) -> u32 {
        let folders = &mut self.folders;
        *self.folder_ids.entry(path).or_insert_with_key(|path| {
            folders.push(path.clone());
            number(folders.len() - 1)
        })
    }

    pub(crate) fn path_name(&self, path: PathId) -> &str {
        &self.paths[path.0 as usize]
    }

    pub(crate) fn module_version(&self, node: NodeId) -> ModuleVersion {
        let (path, version) = &self.nodes[node.0 as usize];
        ModuleVersion::new(self.path_name(*path), &**version)
    }

    /// Each once, in the order of [`ModuleVersion`].
    pub(crate) fn sorted(&self, mut nodes: Vec<NodeId>) -> Vec<ModuleVersion> {
        nodes.sort_unstable();
        nodes.dedup();
        let mut versions: Vec<_> = nodes.into_iter().map(|id| self.module_version(id)).collect();
        versions.sort();
        versions
    }

    pub(crate) fn path_of(&self, node: NodeId) -> PathId {
        self.nodes[node.0 as usize].0
    }

    pub(crate) fn is_newer(&self, node: NodeId, than: NodeId) -> bool {
        let version = |node: NodeId| &self.nodes[node.0 as usize].1;
        semver::compare(version(node), version(than)).is_gt()
    }

    /// What was read, or why it could not be; `None` where it was not asked for yet.
    pub(crate) fn get(&self, origin: Origin) -> Option<Result<&Summary, &str>> {
        self.read.get(&origin).map(|result| result.as_ref().map_err(String::as_str))
    }

    /// Of each path the newest version, in no order.
    pub(crate) fn newest(&self, nodes: &[NodeId]) -> Vec<NodeId> {
        let mut newest: HashMap<PathId, NodeId> = HashMap::new();
        for node in nodes {
            let have = newest.entry(self.path_of(*node)).or_insert(*node);
            if self.is_newer(*node, *have) {
                *have = *node;
            }
        }
        newest.into_values().collect()
    }

    /// Reads what is asked for, each once, on several threads.
    pub(crate) fn read_all(&mut self, mut wanted: Vec<Origin>, library: Library<'_>) {
        wanted.retain(|origin| !self.read.contains_key(origin));
        let cores = std::thread::available_parallelism().map_or(2, usize::from).min(8);
        let (threads, at_once) =
            if library.fetch.is_some() { (FETCHES, 1) } else { (cores, READ_AT_ONCE) };
        // Neighbours lie in the same folders, which then are opened once.
        wanted.sort_by_key(|origin| self.order(*origin));
        let next = AtomicUsize::new(0);
        let store = &*self;
        let work = || {
            let mut done = Vec::new();
            let mut folders = library.download.map(Folders::new);
            loop {
                let from = next.fetch_add(at_once, Ordering::Relaxed);
                let Some(part) = wanted.get(from..) else { return done };
                for origin in part.iter().take(at_once) {
                    done.push((*origin, store.read_one(*origin, folders.as_mut(), library.fetch)));
                }
            }
        };
        // Few files are read sooner than threads are started.
        let results: Vec<_> = if (wanted.len() < 32 && library.fetch.is_none()) || threads < 2 {
            work()
        } else {
            std::thread::scope(|scope| {
                let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
                handles.into_iter().flat_map(|handle| handle.join().unwrap_or_default()).collect()
            })
        };
        for (origin, result) in results {
            let summary = result.map(|raw| self.settle(&raw));
            self.read.insert(origin, summary);
        }
        // A thread that panicked leaves a gap, which must not be asked for for ever.
        for origin in wanted {
            self.read.entry(origin).or_insert_with(|| Err("it could not be read".into()));
        }
    }

    fn order(&self, origin: Origin) -> (&str, u32) {
        match origin {
            Origin::Cache(node) => (self.path_name(self.path_of(node)), node.0),
            Origin::Folder(folder) => ("", folder),
        }
    }

    fn settle(&mut self, raw: &RawSummary) -> Summary {
        Summary {
            module: raw.module.as_deref().map(|path| self.path_id(path)),
            pruned: raw.pruned,
            require: raw.require.iter().map(|(path, version)| self.node(path, version)).collect(),
        }
    }

    fn read_one(
        &self,
        origin: Origin,
        folders: Option<&mut Folders>,
        fetch: Option<&dyn FetchGoMod>,
    ) -> Result<RawSummary, String> {
        match origin {
            Origin::Cache(node) => {
                let (path, version) = &self.nodes[node.0 as usize];
                let path = self.path_name(*path);
                if let Some(fetch) = fetch {
                    let text = fetch.fetch(&ModuleVersion::new(path, &**version))?;
                    return parse_summary(&Path::new(path).join(format!("{version}.mod")), &text);
                }
                read_cached(path, version, folders)?.ok_or_else(|| {
                    format!("the go.mod of {path}@{version} is not in the module cache")
                })
            }
            Origin::Folder(folder) => {
                let file = self.folders[folder as usize].join("go.mod");
                let text = std::fs::read(&file)
                    .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
                parse_summary(&file, &text)
            }
        }
    }
}

/// More than four thousand million module versions do not fit in memory to begin with.
fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// How many files a thread takes at a time.
const READ_AT_ONCE: usize = 16;

/// How many files are fetched at a time; connections are limited by whoever fetches.
const FETCHES: usize = 16;

/// Folders below `cache/download`, those on the way to the last one held open.
struct Folders<'a> {
    root: &'a Dir,
    open: Vec<(String, Dir)>,
}

impl<'a> Folders<'a> {
    fn new(root: &'a Dir) -> Self {
        Self { root, open: Vec::new() }
    }

    fn enter(&mut self, path: &str) -> io::Result<&Dir> {
        let parts = || path.split('/');
        let shared = self.open.iter().zip(parts()).take_while(|(have, part)| have.0 == *part);
        self.open.truncate(shared.count());
        for part in parts().skip(self.open.len()) {
            let above = self.open.last().map_or(self.root, |(_, dir)| dir);
            let dir = above.open_dir(part.as_ref())?;
            self.open.push((part.to_owned(), dir));
        }
        Ok(self.open.last().map_or(self.root, |(_, dir)| dir))
    }
}

/// Reads `cache/download/PATH/@v/VERSION.mod` without touching its access time; nothing where it
/// is not there.
fn read_cached(
    path: &str,
    version: &str,
    folders: Option<&mut Folders>,
) -> Result<Option<RawSummary>, String> {
    let (Some(folder), Some(file)) = (escape(path), escape_version(version)) else {
        return Err(format!("{path}@{version} cannot be in a module cache"));
    };
    let (folder, name) = (format!("{folder}/@v"), format!("{file}.mod"));
    let Some(folders) = folders else { return Ok(None) };
    let read = folders.enter(&folder).and_then(|dir| dir.read(name.as_ref(), MAX_GO_MOD));
    match read {
        Ok(text) => parse_summary(&Path::new(&folder).join(name), &text).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("the go.mod of {path}@{version} cannot be read: {error}")),
    }
}

fn parse_summary(file: &Path, text: &[u8]) -> Result<RawSummary, String> {
    let text = String::from_utf8_lossy(text);
    let parsed = gomod::parse_dependency(file, &text).map_err(|error| error.to_string())?;
    let owned = |pair: &Pair| (Box::from(&*pair.path), Box::from(&*pair.version));
    Ok(RawSummary {
        pruned: parsed.is_pruned(),
        require: parsed.require.iter().map(|r| owned(&r.module)).collect(),
        module: parsed.module.as_deref().map(Box::from),
    })
}
