//! The module graph of a project and the build list that minimal version selection takes from it.
//!
//! Exactly the go command's way (`cmd/go/internal/modload/buildlist.go`, `readModGraph`, and
//! `modfile.go`, `goModSummary`): a main module of Go 1.17 or later looks no further than the
//! requirements of its own requirements, unless one of these is older; an earlier main module
//! looks at everything; a workspace joins its main modules. `exclude` and `replace` are applied on
//! the way.
//!
//! The `.mod` files of the cache are read once for all projects: graphs advance side by side, and
//! each round reads what any of them waits for, on several threads. Left out: the pseudo modules
//! `go` and `toolchain`, which are never downloaded as part of a build list.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use larder_core::Meter;

use crate::gomod::{Replace, Replacement};
use crate::modstore::{Library, NodeId, Origin, PathId, Store, Summary};

/// How far a graph is followed below a module (`modload.modPruning`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pruning {
    Pruned,
    Unpruned,
    Workspace,
}

/// A main module, as far as its graph goes.
#[derive(Clone, Debug)]
pub(crate) struct MainModule {
    pub(crate) path: PathId,
    pub(crate) require: Vec<NodeId>,
    pub(crate) pruned: bool,
}

/// What module versions are replaced by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replacements {
    exact: HashMap<NodeId, Origin>,
    whole: HashMap<PathId, Origin>,
}

impl Replacements {
    /// Takes over the lines of one file; what an earlier file says about the same stays.
    /// Relative folders are below `dir`.
    pub(crate) fn add(&mut self, store: &mut Store, lines: &[Replace], dir: &Path) {
        for line in lines {
            let origin = match &line.by {
                Replacement::Folder(folder) => {
                    let path = crate::locate::clean(&dir.join(&**folder));
                    Origin::Folder(store.folder(path))
                }
                Replacement::Module(pair) => Origin::Cache(store.pair(pair)),
            };
            if let Some(version) = &line.version {
                let node = store.node(&line.path, version);
                self.exact.entry(node).or_insert(origin);
            } else {
                let path = store.path_id(&line.path);
                self.whole.entry(path).or_insert(origin);
            }
        }
    }
}

/// What a graph starts from.
#[derive(Clone, Debug)]
pub(crate) struct Roots {
    pub(crate) mains: Vec<MainModule>,
    pub(crate) workspace: bool,
    pub(crate) exclude: HashSet<NodeId>,
    /// Those of go.work come first, and hide the others even where these are more exact.
    pub(crate) work_replace: Replacements,
    pub(crate) replace: Replacements,
}

/// A module graph being read.
#[derive(Debug)]
pub(crate) struct Graph {
    roots: Roots,
    /// The newest version met of each path.
    selected: Vec<Option<NodeId>>,
    met: Vec<bool>,
    /// Whose requirements are part of the graph.
    read: Vec<bool>,
    /// By pruning: what has been queued before.
    queued: [Vec<bool>; 3],
    queue: Vec<(NodeId, Pruning)>,
    waiting: Vec<(NodeId, Pruning)>,
    /// Module versions whose requirements could not be read, and why.
    problems: Vec<String>,
    /// In a workspace: paths that may provide packages to it, and versions looked at for it.
    provides: HashSet<PathId>,
    looked_at: HashSet<NodeId>,
    started: bool,
}

impl Graph {
    pub(crate) fn new(roots: Roots) -> Self {
        Self {
            roots,
            selected: Vec::new(),
            met: Vec::new(),
            read: Vec::new(),
            queued: [Vec::new(), Vec::new(), Vec::new()],
            queue: Vec::new(),
            waiting: Vec::new(),
            problems: Vec::new(),
            provides: HashSet::new(),
            looked_at: HashSet::new(),
            started: false,
        }
    }

    /// Follows the graph as far as what has been read allows.
    fn advance(&mut self, store: &Store) {
        if !self.started {
            self.started = true;
            self.enter_mains(store);
        }
        self.queue.append(&mut self.waiting);
        loop {
            while let Some((node, pruning)) = self.queue.pop() {
                self.visit(store, node, pruning);
            }
            // More can only be asked for when nothing is outstanding.
            if !self.waiting.is_empty() || !self.roots.workspace || !self.look_again(store) {
                return;
            }
        }
    }

    fn enter_mains(&mut self, store: &Store) {
        for main in self.roots.mains.clone() {
            let below = if main.pruned { Pruning::Pruned } else { Pruning::Unpruned };
            for node in main.require {
                if !self.roots.exclude.contains(&node) {
                    self.meet(store, node);
                    self.enqueue(node, below);
                }
            }
        }
    }

    fn visit(&mut self, store: &Store, node: NodeId, pruning: Pruning) {
        let origin = self.origin(store, node);
        let summary = match store.get(origin) {
            None => {
                self.waiting.push((node, pruning));
                return;
            }
            Some(Err(why)) => {
                self.problem(why.to_owned());
                return;
            }
            Some(Ok(summary)) => summary,
        };
        if let Some(why) = wrong_path(store, node, origin, summary) {
            self.problem(why);
            return;
        }
        *slot(&mut self.read, node.number()) = true;
        let next = if pruning == Pruning::Unpruned || !summary.pruned {
            Pruning::Unpruned
        } else {
            Pruning::Pruned
        };
        let follow = pruning != Pruning::Pruned || !summary.pruned;
        for required in &summary.require {
            if !self.roots.exclude.is_empty() && self.roots.exclude.contains(required) {
                continue;
            }
            self.meet(store, *required);
            if follow {
                self.enqueue(*required, next);
            }
        }
    }

    fn problem(&mut self, why: String) {
        if !self.problems.contains(&why) {
            self.problems.push(why);
        }
    }

    fn meet(&mut self, store: &Store, node: NodeId) {
        if std::mem::replace(slot(&mut self.met, node.number()), true) {
            return;
        }
        let path = store.path_of(node);
        let selected = slot(&mut self.selected, path.number());
        if selected.is_none_or(|have| store.is_newer(node, have)) {
            *selected = Some(node);
        }
    }

    fn enqueue(&mut self, node: NodeId, pruning: Pruning) {
        if !std::mem::replace(slot(&mut self.queued[pruning as usize], node.number()), true) {
            self.queue.push((node, pruning));
        }
    }

    /// In a workspace, a requirement that is not selected says nothing of what the selected
    /// version imports, so the selected ones are followed too. Whether there was any.
    fn look_again(&mut self, store: &Store) -> bool {
        let mains: HashSet<PathId> = self.roots.mains.iter().map(|main| main.path).collect();
        let mut again = HashSet::new();
        let required = self.roots.mains.iter().map(|main| &main.require[..]);
        let further = self.provides.iter().filter_map(|path| {
            let node = self.selected_of(*path).filter(|_| !mains.contains(path))?;
            match store.get(self.origin(store, node)) {
                Some(Ok(summary)) => Some(&summary.require[..]),
                _ => None,
            }
        });
        for node in required.chain(further).flatten() {
            let path = store.path_of(*node);
            let Some(selected) = self.selected_of(path) else { continue };
            if self.roots.exclude.contains(node) || mains.contains(&path) {
                continue;
            }
            if store.is_newer(selected, *node) && !self.looked_at.contains(&selected) {
                again.insert(selected);
            }
        }
        // A path whose selected version rose since is looked at once more.
        again.extend(self.provides.iter().filter(|path| !mains.contains(path)).filter_map(
            |path| self.selected_of(*path).filter(|node| !self.looked_at.contains(node)),
        ));
        for node in &again {
            self.looked_at.insert(*node);
            self.provides.insert(store.path_of(*node));
            self.enqueue(*node, Pruning::Workspace);
        }
        !again.is_empty()
    }

    fn selected_of(&self, path: PathId) -> Option<NodeId> {
        self.selected.get(path.number() as usize).copied().flatten()
    }

    fn origin(&self, store: &Store, node: NodeId) -> Origin {
        let path = store.path_of(node);
        [&self.roots.work_replace, &self.roots.replace]
            .into_iter()
            .find_map(|r| r.exact.get(&node).or_else(|| r.whole.get(&path)))
            .copied()
            .unwrap_or(Origin::Cache(node))
    }

    /// What could not be read.
    pub(crate) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Every path that the graph mentions.
    pub(crate) fn paths(&self) -> impl Iterator<Item = PathId> {
        (0_u32..)
            .zip(&self.selected)
            .filter(|(_, node)| node.is_some())
            .map(|(id, _)| PathId::numbered(id))
    }

    /// Every version that the graph mentions, after replacement.
    pub(crate) fn all_met(&self, store: &Store) -> Vec<NodeId> {
        let met =
            (0_u32..).zip(&self.met).filter(|(_, met)| **met).map(|(id, _)| NodeId::numbered(id));
        self.downloads(store, met)
    }

    /// Every version whose requirements are part of the graph, after replacement.
    pub(crate) fn read(&self, store: &Store) -> Vec<NodeId> {
        let read = (0_u32..).zip(&self.read).filter(|(_, read)| **read);
        read.filter_map(|(id, _)| match self.origin(store, NodeId::numbered(id)) {
            Origin::Cache(actual) => Some(actual),
            Origin::Folder(_) => None,
        })
        .collect()
    }

    /// The build list without the main modules, after replacement: what is downloaded.
    pub(crate) fn build_list(&self, store: &Store) -> Vec<NodeId> {
        self.downloads(store, self.selected.iter().copied().flatten())
    }

    /// As [`Self::build_list`], only those whose path is one of these modules'.
    pub(crate) fn selected_for(&self, store: &Store, nodes: &[NodeId]) -> Vec<NodeId> {
        let selected = nodes.iter().filter_map(|node| self.selected_of(store.path_of(*node)));
        self.downloads(store, selected)
    }

    /// What stands for these module versions, after replacement and without what is excluded.
    pub(crate) fn actual(&self, store: &Store, nodes: &[NodeId]) -> Vec<NodeId> {
        let kept = nodes.iter().copied().filter(|node| !self.roots.exclude.contains(node));
        self.downloads(store, kept)
    }

    fn downloads(&self, store: &Store, nodes: impl Iterator<Item = NodeId>) -> Vec<NodeId> {
        nodes
            .filter(|node| {
                let path = store.path_of(*node);
                self.roots.mains.iter().all(|main| main.path != path)
            })
            .filter_map(|node| match self.origin(store, node) {
                Origin::Cache(actual) => Some(actual),
                Origin::Folder(_) => None,
            })
            .collect()
    }

    /// Where a main module's own requirements are not what is selected, the go command raises
    /// them, and that may bring in more. The roots with which to look again.
    pub(crate) fn raised(&self, store: &Store) -> Option<Roots> {
        let [main] = &self.roots.mains[..] else { return None };
        let raise = |node: &NodeId| {
            let selected = self.selected_of(store.path_of(*node));
            selected.filter(|_| !self.roots.exclude.contains(node)).unwrap_or(*node)
        };
        let require: Vec<NodeId> = main.require.iter().map(raise).collect();
        if self.roots.workspace || require == main.require {
            return None;
        }
        let mains = vec![MainModule { require, ..main.clone() }];
        Some(Roots { mains, ..self.roots.clone() })
    }
}

fn slot<T: Default + Clone>(list: &mut Vec<T>, id: u32) -> &mut T {
    let at = id as usize;
    if list.len() <= at {
        list.resize(at + 1, T::default());
    }
    &mut list[at]
}

/// Whether a cached go.mod is one of another module (`modload.goModSummary`).
fn wrong_path(store: &Store, node: NodeId, origin: Origin, summary: &Summary) -> Option<String> {
    let Origin::Cache(actual) = origin else { return None };
    let names = [store.path_of(node), store.path_of(actual)];
    if summary.module.is_some_and(|module| names.contains(&module)) {
        return None;
    }
    Some(match summary.module {
        Some(module) => format!(
            "the go.mod of {} says it is {}",
            store.module_version(node),
            store.path_name(module)
        ),
        None => format!("the go.mod of {} has no module line", store.module_version(node)),
    })
}

/// Reads all graphs to their ends. Stops early when asked to, and says so by `false`.
pub(crate) fn read_graphs(
    graphs: &mut [Graph],
    store: &mut Store,
    library: Library<'_>,
    meter: &Meter,
) -> bool {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = graphs.len().div_ceil(threads).max(1);
    loop {
        if meter.stopped() {
            return false;
        }
        let known = &*store;
        std::thread::scope(|scope| {
            let mut parts = graphs.chunks_mut(share);
            let own = parts.next();
            for part in parts {
                scope.spawn(move || part.iter_mut().for_each(|graph| graph.advance(known)));
            }
            own.into_iter().flatten().for_each(|graph| graph.advance(known));
        });
        let mut wanted: HashSet<Origin> = HashSet::new();
        for graph in &*graphs {
            wanted.extend(graph.waiting.iter().map(|(node, _)| graph.origin(store, *node)));
        }
        if wanted.is_empty() {
            return true;
        }
        store.read_all(wanted.into_iter().collect(), library);
    }
}
