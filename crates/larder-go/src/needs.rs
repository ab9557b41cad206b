//! What projects need of the module cache, worked out from their own files.
//!
//! A project is a main module, or a workspace of several; a module in a workspace is both, as it
//! can be built either way. What it needs is its build list: every module version that its build,
//! its tests and `go mod verify` may look into. In doubt more is kept: where the need cannot be
//! worked out, that project's whole set stays and [`Project::missing`] says why. `.mod` and
//! `.info` files are needed by version selection and are no part of this: they are never pruned.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use larder_core::Meter;
use larder_fs::Dir;

use crate::goflags;
use crate::gomod::{self, GoMod};
use crate::gowork::{self, GoWork};
use crate::locate::GoEnv;
use crate::modgraph::{Graph, MainModule, Replacements, Roots, read_graphs};
pub use crate::modstore::FetchGoMod;
use crate::modstore::{Library, NodeId, Store};
use crate::module_path::ModuleVersion;
pub use crate::project_files::NeedsError;
use crate::project_files::{self, ProjectFile, ProjectFiles, Role};
use crate::toolchain::{self, Selector};
use crate::vendoring::{is_vendored_module, is_vendored_workspace};

/// A main module or a workspace, and what it needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Project {
    /// The folder of its go.mod or go.work.
    pub dir: PathBuf,
    /// What a person would call it: `~/src/api`, and `~/src/go.work` for a workspace or
    /// `~/src/api/alt.mod` where GOFLAGS has `-modfile`.
    pub display: String,
    /// The main module's path; none for a workspace.
    pub module: Option<String>,
    /// The `go` line, without the word.
    pub go: Option<String>,
    /// The `toolchain` line, as `go1.22.3`.
    pub toolchain: Option<String>,
    /// Whether it builds from its vendor folder, and so needs nothing of the module cache.
    pub vendored: bool,
    /// Why its need could not be worked out whole, one sentence each, without full stops.
    pub missing: Vec<String>,
    /// Module paths of which every version stays, because the need is not known; sorted.
    pub whole_modules: Vec<String>,
    /// What it needs, sorted.
    pub needed: Vec<ModuleVersion>,
    /// What `go mod download` fetches for it, sorted: from go 1.17 on the versions selected for
    /// what its go.mod requires, else the build list (`cmd/go/internal/modcmd/download.go`).
    pub downloads: Vec<ModuleVersion>,
    /// The versions whose go.mod its module graph reads, sorted.
    pub graph: Vec<ModuleVersion>,
    /// Its go.sum, or the go.work.sum and then the members' go.sum files, whether or not they are
    /// there.
    pub sums: Vec<PathBuf>,
    /// Which lines `go mod download` adds to the first of these.
    pub adds: Adds,
}

/// What `go mod download` without arguments adds to a go.sum where it is missing there
/// (`cmd/go/internal/modcmd/download.go`, the two calls of `WriteGoMod`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Adds {
    /// Nothing: here the go command works in the other mode, or wants to change go.mod first.
    #[default]
    Nothing,
    /// The hashes of the go.mod files that the graph reads, before anything else is fetched.
    GoMods,
    /// Those and the hashes of all that was downloaded, once all of it was.
    Everything,
}

/// A toolchain and who selects it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolchainNeed {
    /// As `go1.22.3`.
    pub name: String,
    /// As `~/src/api`, or the setting that asks for it.
    pub by: String,
}

/// What all projects need together.
#[derive(Debug, Default)]
pub struct Needs {
    /// Main modules and workspaces, by folder.
    pub projects: Vec<Project>,
    /// Toolchains other than the installed one that a project or a setting selects, by name.
    pub toolchains: Vec<ToolchainNeed>,
    /// Folders that could not be looked into for want of rights.
    pub unreadable: Vec<PathBuf>,
    versions: HashMap<String, HashMap<String, Users>>,
    whole: HashMap<String, Users>,
}

/// The first project that needs something, and how many more.
#[derive(Clone, Copy, Debug)]
struct Users {
    first: usize,
    more: usize,
}

impl Needs {
    /// Who needs a module version, in one phrase: `~/src/api and 3 more projects`. Toolchains are
    /// asked for as versions of the module `golang.org/toolchain`.
    pub fn who_needs(&self, module: &str, version: &str) -> Option<String> {
        if module == toolchain::MODULE {
            let need = self.toolchains.iter().find(|t| toolchain::provides(version, &t.name))?;
            return Some(need.by.clone());
        }
        let exact = self.versions.get(module).and_then(|versions| versions.get(version));
        let users = exact.or_else(|| self.whole.get(module))?;
        let first = &self.projects[users.first].display;
        Some(match users.more {
            0 => first.clone(),
            1 => format!("{first} and 1 more project"),
            more => format!("{first} and {more} more projects"),
        })
    }

    /// The projects whose need could not be worked out whole.
    pub fn incomplete(&self) -> impl Iterator<Item = &Project> {
        self.projects.iter().filter(|project| !project.missing.is_empty())
    }

    fn index(&mut self) {
        for (number, project) in self.projects.iter().enumerate() {
            for module in &project.needed {
                let versions = self.versions.entry(module.path.clone()).or_default();
                count(versions, &module.version, number);
            }
            for path in &project.whole_modules {
                count(&mut self.whole, path, number);
            }
        }
    }
}

fn count(users: &mut HashMap<String, Users>, key: &str, project: usize) {
    match users.get_mut(key) {
        Some(users) => users.more += 1,
        None => {
            users.insert(key.to_owned(), Users { first: project, more: 0 });
        }
    }
}

/// Works out what the projects below the folders need. `modcache` is GOMODCACHE.
pub fn needs(
    folders: &[PathBuf],
    modcache: &Dir,
    env: &GoEnv,
    meter: &Meter,
) -> Result<Needs, NeedsError> {
    work_out(folders, modcache, env, (Purpose::Keeping, None), meter)
}

/// As [`needs`], as `go mod download` sees it: a vendor folder does not count. With `fetch` every
/// `.mod` comes from there, those in the cache too, since they have to be proven.
pub fn needs_of_download(
    folders: &[PathBuf],
    modcache: &Dir,
    env: &GoEnv,
    fetch: Option<&dyn FetchGoMod>,
    meter: &Meter,
) -> Result<Needs, NeedsError> {
    work_out(folders, modcache, env, (Purpose::Downloading, fetch), meter)
}

/// What the needs are worked out for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Keeping,
    Downloading,
}

fn work_out(
    folders: &[PathBuf],
    modcache: &Dir,
    env: &GoEnv,
    (purpose, fetch): (Purpose, Option<&dyn FetchGoMod>),
    meter: &Meter,
) -> Result<Needs, NeedsError> {
    let files = project_files::find(folders, env, meter)?;
    let mut work = Work { env, purpose, store: Store::default(), plans: Vec::new() };
    for file in &files.mods {
        let parsed = gomod::parse_main(&file.path, &file.text);
        match (file.role, purpose) {
            // Go does not look at it, but a build without that flag does.
            (Role::Hidden, Purpose::Downloading) => {}
            (Role::Hidden, Purpose::Keeping) if parsed.is_err() => {}
            _ => work.add_module(file, &parsed?),
        }
    }
    for file in &files.works {
        let parsed = gowork::parse(&file.path, &file.text)?;
        work.add_workspace(file, &parsed)?;
    }
    let download = modcache.open_path(Path::new("cache/download")).ok();
    work.read(Library { download: download.as_ref(), fetch }, meter)?;
    Ok(work.finish(files))
}

/// A project and the graph that tells what it needs; none where nothing is to be worked out.
struct Plan {
    project: Project,
    graph: Option<usize>,
    /// The requirements as they are written, whatever is selected.
    written: Vec<NodeId>,
    /// Whether those alone are enough to build with (go 1.17 or later).
    pruned: bool,
    /// In no order, and some more than once.
    found: Vec<NodeId>,
    /// In no order.
    downloads: Vec<NodeId>,
    /// In no order.
    read: Vec<NodeId>,
    whole: BTreeSet<String>,
}

struct Work<'a> {
    env: &'a GoEnv,
    purpose: Purpose,
    store: Store,
    plans: Vec<(Plan, Option<Roots>)>,
}

impl Work<'_> {
    fn add_module(&mut self, file: &ProjectFile, parsed: &GoMod) {
        let flag = goflags::value(&self.env.goflags.value, "mod");
        let owned = |text: &Option<std::borrow::Cow<str>>| text.as_deref().map(str::to_owned);
        let mut plan = Plan::new(Project {
            display: self.env.display(match file.role {
                Role::Alternate => &file.path,
                Role::Own | Role::Hidden => &file.dir,
            }),
            dir: file.dir.clone(),
            module: owned(&parsed.module),
            go: owned(&parsed.go),
            toolchain: owned(&parsed.toolchain),
            vendored: self.purpose == Purpose::Keeping
                && is_vendored_module(&file.dir, parsed.go.as_deref(), flag),
            sums: vec![file.path.with_extension("sum")],
            ..Project::default()
        });
        if plan.project.vendored {
            self.plans.push((plan, None));
            return;
        }
        let mut main = main_module(&mut self.store, parsed);
        plan.pruned = main.pruned;
        if parsed.go.is_some() && project_files::workspace_of(&file.dir, self.env).is_none() {
            plan.project.adds = Adds::GoMods;
        }
        plan.note_unresolved(parsed);
        plan.written.clone_from(&main.require);
        let exclude: HashSet<NodeId> =
            parsed.exclude.iter().map(|pair| self.store.pair(pair)).collect();
        main.require.retain(|node| !exclude.contains(node));
        if main.pruned {
            // Of a module required twice only the newer version is looked at (`updatePrunedRoots`).
            main.require = self.store.newest(&main.require);
        }
        let mut replace = Replacements::default();
        replace.add(&mut self.store, &parsed.replace, &file.dir);
        let roots = Roots {
            mains: vec![main],
            workspace: false,
            exclude,
            work_replace: Replacements::default(),
            replace,
        };
        self.plans.push((plan, Some(roots)));
    }

    fn add_workspace(&mut self, file: &ProjectFile, parsed: &GoWork) -> Result<(), NeedsError> {
        let flag = goflags::value(&self.env.goflags.value, "mod");
        let owned = |text: &Option<std::borrow::Cow<str>>| text.as_deref().map(str::to_owned);
        let mut plan = Plan::new(Project {
            display: self.env.display(&file.path),
            dir: file.dir.clone(),
            go: owned(&parsed.go),
            toolchain: owned(&parsed.toolchain),
            vendored: self.purpose == Purpose::Keeping
                && is_vendored_workspace(&file.dir, parsed.go.as_deref(), flag),
            sums: vec![file.path.with_extension("work.sum")],
            ..Project::default()
        });
        let members: Vec<PathBuf> = (parsed.uses.iter())
            .map(|used| crate::locate::clean(&file.dir.join(&**used)))
            .collect();
        plan.project.sums.extend(members.iter().map(|dir| dir.join("go.sum")));
        if plan.project.vendored {
            self.plans.push((plan, None));
            return Ok(());
        }
        if project_files::workspace_of(&file.dir, self.env).is_some_and(|path| path == file.path) {
            plan.project.adds = Adds::Everything;
        }
        let mut roots = Roots {
            mains: Vec::new(),
            workspace: true,
            exclude: HashSet::new(),
            work_replace: Replacements::default(),
            replace: Replacements::default(),
        };
        roots.work_replace.add(&mut self.store, &parsed.replace, &file.dir);
        for dir in &members {
            self.add_member(dir, &mut plan, &mut roots)?;
        }
        self.plans.push((plan, Some(roots)));
        Ok(())
    }

    fn add_member(
        &mut self,
        dir: &Path,
        plan: &mut Plan,
        roots: &mut Roots,
    ) -> Result<(), NeedsError> {
        let path = dir.join("go.mod");
        if !path.is_file() {
            plan.project.missing.push(format!("{} is not there", self.env.display(&path)));
            return Ok(());
        }
        let file = ProjectFile::read(&path)?;
        let parsed = gomod::parse_main(&path, &file.text)?;
        plan.note_unresolved(&parsed);
        roots.exclude.extend(parsed.exclude.iter().map(|pair| self.store.pair(pair)));
        roots.replace.add(&mut self.store, &parsed.replace, dir);
        roots.mains.push(main_module(&mut self.store, &parsed));
        Ok(())
    }

    /// Reads the graphs, and reads those again whose main module asks for less than is selected.
    fn read(&mut self, library: Library<'_>, meter: &Meter) -> Result<(), NeedsError> {
        let mut graphs = Vec::new();
        for (plan, roots) in &mut self.plans {
            if let Some(roots) = roots.take() {
                plan.graph = Some(graphs.len());
                graphs.push(Graph::new(roots));
            }
        }
        // Each time something rises, so this ends; the bound is for what cannot be.
        for _ in 0..100 {
            if !read_graphs(&mut graphs, &mut self.store, library, meter) {
                return Err(NeedsError::Stopped);
            }
            let mut again = Vec::new();
            for (plan, _) in &mut self.plans {
                let Some(graph) = plan.graph.take().map(|number| &graphs[number]) else { continue };
                plan.take_over(graph, &self.store);
                if let Some(roots) = graph.raised(&self.store) {
                    plan.graph = Some(again.len());
                    again.push(Graph::new(roots));
                }
            }
            if again.is_empty() {
                break;
            }
            graphs = again;
        }
        Ok(())
    }

    fn finish(self, files: ProjectFiles) -> Needs {
        let mut needs = Needs { unreadable: files.unreadable, ..Needs::default() };
        let selector = Selector::new(self.env);
        let mut toolchains: Vec<ToolchainNeed> = selector.by_setting().into_iter().collect();
        for (mut plan, _) in self.plans {
            let project = &mut plan.project;
            let by = project.display.clone();
            let names = selector.select(project.go.as_deref(), project.toolchain.as_deref());
            toolchains.extend(names.into_iter().map(|name| ToolchainNeed { name, by: by.clone() }));
            project.needed = self.store.sorted(plan.found);
            project.downloads = self.store.sorted(plan.downloads);
            project.graph = self.store.sorted(plan.read);
            project.whole_modules = plan.whole.into_iter().collect();
            needs.projects.push(plan.project);
        }
        needs.projects.sort_by(|a, b| (&a.dir, &a.display).cmp(&(&b.dir, &b.display)));
        toolchains.sort_by(|a, b| (&a.name, &a.by).cmp(&(&b.name, &b.by)));
        needs.toolchains = toolchain::merge(toolchains);
        needs.index();
        needs
    }
}

impl Plan {
    fn new(project: Project) -> Self {
        Self {
            project,
            graph: None,
            written: Vec::new(),
            pruned: false,
            found: Vec::new(),
            downloads: Vec::new(),
            read: Vec::new(),
            whole: BTreeSet::new(),
        }
    }

    /// Versions that are names of branches yet, and directives of a later Go.
    fn note_unresolved(&mut self, parsed: &GoMod) {
        for pair in &parsed.unresolved {
            let why = format!("{} asks for {:?}, which is no version yet", pair.path, pair.version);
            self.project.missing.push(why);
            self.whole.insert(pair.path.clone().into_owned());
        }
        for verb in &parsed.unknown {
            self.project.missing.push(format!("its go.mod says {verb:?}, which is not known here"));
        }
    }

    /// Notes what a graph that was read to its end says.
    fn take_over(&mut self, graph: &Graph, store: &Store) {
        let missing = &mut self.project.missing;
        for why in graph.problems() {
            if !missing.contains(why) {
                missing.push(why.clone());
            }
        }
        missing.sort();
        self.downloads = if self.pruned {
            graph.selected_for(store, &self.written)
        } else {
            graph.build_list(store)
        };
        self.read = graph.read(store);
        self.found.extend(graph.build_list(store));
        self.found.extend(graph.actual(store, &self.written));
        if missing.is_empty() {
            return;
        }
        // Every version that was met may be the one that is selected in the end.
        self.found.extend(graph.all_met(store));
        // From go 1.17 on the requirements as written are all that a build looks at, so with
        // them the project is safe. Otherwise the part that is missing may ask for anything.
        let only_graph = missing.len() == graph.problems().len();
        if self.pruned && only_graph {
            return;
        }
        self.whole.extend(graph.paths().map(|path| store.path_name(path).to_owned()));
        // go.sum files name everything that the project ever met.
        for sum in &self.project.sums {
            let text = std::fs::read_to_string(sum).unwrap_or_default();
            let paths = text.lines().filter_map(|line| line.split(' ').next());
            self.whole.extend(paths.filter(|path| !path.is_empty()).map(str::to_owned));
        }
    }
}

fn main_module(store: &mut Store, parsed: &GoMod) -> MainModule {
    MainModule {
        path: store.path_id(parsed.module.as_deref().unwrap_or_default()),
        require: parsed.require.iter().map(|require| store.pair(&require.module)).collect(),
        pruned: parsed.is_pruned(),
    }
}
