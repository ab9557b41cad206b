//! Removing a whole module cache, or the whole of one kind in it.
//!
//! `mod` has the effect of `go clean -modcache`, which takes no lock and leaves nothing, not even
//! the root (`cmd/go/internal/modfetch/fetch.go`, `RemoveAll`), but for what is not Go's: that
//! stays, with the folders that lead to it. The finer ones go item by item, under Go's locks.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use larder_core::{CacheKind, PlanItem, Size, Skipped, Target};
use larder_fs::{
    Dir, Judge, Kind, Meta, Removal, Skip, Visitor, WalkOptions, remove_contents, walk,
};

use crate::mod_names::{
    DownloadName, TOOLCHAIN_MODULE, TreeName, VcsName, download_name, element_ok, tree_name,
    vcs_name,
};
use crate::mod_remove::{NotRemoved, Remover};
use crate::mod_units::{HeldToolchain, toolchain_name};

/// What cleaning did.
#[derive(Debug, Default)]
pub struct Cleaned {
    /// What is gone from the cache: freed, or moved to the trash.
    pub size: Size,
    /// How many things went, where they went one by one.
    pub items: u64,
    /// Left alone, each with its reason.
    pub skipped: Vec<Skipped>,
    /// What is not the cache's and stays; full paths.
    pub left: Vec<PathBuf>,
    /// What could not be removed.
    pub errors: Vec<(PathBuf, std::io::Error)>,
    /// Lock files that others held for as long as we waited.
    pub busy: Vec<PathBuf>,
    /// Whether the work was stopped before its end.
    pub stopped: bool,
}

impl Cleaned {
    fn take(&mut self, removal: Removal) {
        self.size += removal.freed;
        self.left.extend(removal.left);
        self.errors.extend(removal.errors);
    }
}

impl Remover<'_> {
    /// Removes all of `mod` (with everything else in the root), `toolchain`, `vcs` or `sumdb`;
    /// other caches are not in a module cache. `held` are toolchains that stay, which is asked
    /// only when they are cleaned by themselves.
    pub fn clean(&self, kind: CacheKind, held: &[HeldToolchain]) -> Cleaned {
        if self.root.identity().ok() != Some(self.layout.identity()) {
            let reason = "another folder has taken the cache's place".to_owned();
            let subject = self.root.path().display().to_string();
            return Cleaned { skipped: vec![Skipped { subject, reason }], ..Cleaned::default() };
        }
        match kind {
            CacheKind::Mod => self.clean_mod(),
            CacheKind::Toolchain => self.clean_toolchains(held),
            CacheKind::Vcs => self.clean_vcs(),
            CacheKind::Sumdb => self.clean_sumdb(),
            CacheKind::Build | CacheKind::Test | CacheKind::Fuzz => Cleaned::default(),
        }
    }

    fn clean_mod(&self) -> Cleaned {
        let mut cleaned = Cleaned::default();
        if self.how.is_trash() {
            self.trash_mod(&mut cleaned);
        } else {
            let top = Spot::Above { top: true };
            let removal = remove_contents(self.root, &Layout, top, &self.options(self.threads));
            let whole = removal.complete;
            cleaned.take(removal);
            if whole && let Some((above, name)) = self.own_entry() {
                let allocated = self.root.meta().map_or(0, |meta| meta.allocated);
                match above.rmdir(&name) {
                    Ok(()) => cleaned.size += Size::new(0, 0, allocated),
                    Err(error) => cleaned.errors.push((self.root.path().to_owned(), error)),
                }
            }
        }
        cleaned.stopped = self.meter.stopped();
        cleaned
    }

    /// The root's entry in the folder above; `None` where its path is a symlink, which stays with
    /// the folder that it leads to.
    fn own_entry(&self) -> Option<(Dir, OsString)> {
        let path = std::path::absolute(self.root.path()).ok()?;
        let name = path.file_name()?.to_owned();
        let above = Dir::open_root(path.parent()?).ok()?;
        let meta = above.look(&name).ok()??;
        (meta.kind == Kind::Folder && meta.identity() == self.layout.identity())
            .then_some((above, name))
    }

    /// One rename where nothing in the root is foreign; else one for each tree that is all Go's.
    fn trash_mod(&self, cleaned: &mut Cleaned) {
        let foreign = self.shallow_foreign();
        if foreign.is_empty()
            && let Some((above, name)) = self.own_entry()
        {
            let (rel, options) = (Path::new(""), self.options(self.threads));
            let top = Spot::Above { top: true };
            cleaned.take(self.how.dispose(&above, &name, rel, &Layout, top, &options));
            return;
        }
        self.trash_around(self.root, Path::new(""), &foreign, cleaned);
        cleaned.left = foreign.into_iter().map(|rel| self.root.path().join(rel)).collect();
    }

    fn trash_around(&self, dir: &Dir, rel: &Path, foreign: &[PathBuf], cleaned: &mut Cleaned) {
        let entries = match dir.entries() {
            Ok(entries) => entries,
            Err(error) => return cleaned.errors.push((dir.path().to_owned(), error)),
        };
        for (name, kind) in entries {
            let path = rel.join(&name);
            if self.meter.stopped() || foreign.contains(&path) {
                continue;
            }
            if !foreign.iter().any(|stranger| stranger.starts_with(&path)) {
                let (judge, options) = (larder_fs::Everything, self.options(self.threads));
                cleaned.take(self.how.dispose(dir, &name, &path, &judge, (), &options));
            } else if kind == Kind::Folder {
                match dir.open_dir(&name) {
                    Ok(inner) => self.trash_around(&inner, &path, foreign, cleaned),
                    Err(error) => cleaned.errors.push((dir.path().join(&name), error)),
                }
            }
        }
    }

    /// What is not Go's above the folders of versions and in `cache`, without a look into those:
    /// few folders, however much they hold.
    fn shallow_foreign(&self) -> Vec<PathBuf> {
        let options = WalkOptions { threads: self.threads, meter: self.meter };
        let top = (Spot::Above { top: true }, PathBuf::new());
        let walked = walk(self.root, top, Shallow::default, &options);
        let mut strangers: Vec<_> = walked.visitors.into_iter().flat_map(|v| v.0).collect();
        // What cannot be looked at may hold anything.
        for error in walked.errors {
            if let Ok(rel) = error.path.strip_prefix(self.root.path()) {
                strangers.push(rel.to_owned());
            }
        }
        strangers.sort();
        strangers
    }

    fn clean_toolchains(&self, held: &[HeldToolchain]) -> Cleaned {
        let mut cleaned = Cleaned::default();
        let mut items = Vec::new();
        for (version, paths) in self.toolchains() {
            let name = toolchain_name(&version);
            if let Some(hold) = held.iter().find(|hold| Some(hold.name.as_str()) == name) {
                let subject = format!("{TOOLCHAIN_MODULE}@{version}");
                cleaned.skipped.push(Skipped { subject, reason: hold.reason.clone() });
                continue;
            }
            let module = TOOLCHAIN_MODULE.to_owned();
            let target = Target::Version { module, version, paths };
            items.push(plan_item(CacheKind::Toolchain, target));
        }
        self.clean_items(&items, &mut cleaned);
        cleaned
    }

    /// Every toolchain of which something is there, with its paths.
    fn toolchains(&self) -> Vec<(String, Vec<PathBuf>)> {
        let mut found: Vec<(String, Vec<PathBuf>)> = Vec::new();
        let mut add = |version: String, path: PathBuf| match found
            .iter_mut()
            .find(|(known, _)| *known == version)
        {
            Some((_, paths)) => paths.push(path),
            None => found.push((version, vec![path])),
        };
        for (name, path) in self.names(Path::new("golang.org"), Kind::Folder) {
            if let TreeName::Version { element, version } = tree_name(&name, false)
                && element == "toolchain"
            {
                add(version, path);
            }
        }
        let folder = Path::new("cache/download/golang.org/toolchain/@v");
        for (name, path) in self.names(folder, Kind::File) {
            if let DownloadName::Part(version, _) = download_name(&name)
                && let Some(Target::Version { version, .. }) =
                    crate::mod_layout::classify(&folder.join(format!("{version}.zip")))
                && crate::mod_layout::classify(&path).is_some()
            {
                add(version, path);
            }
        }
        found.sort();
        found
    }

    fn clean_vcs(&self) -> Cleaned {
        let mut cleaned = Cleaned::default();
        let folder = Path::new("cache/vcs");
        let mut items: Vec<PlanItem> = Vec::new();
        let infos = self.names(folder, Kind::File);
        for (name, _) in infos.into_iter().chain(self.names(folder, Kind::Folder)) {
            if let VcsName::Repository(hash) | VcsName::Info(hash) = vcs_name(&name) {
                let target = Target::Path(folder.join(hash));
                if items.iter().all(|item| item.target != target) {
                    items.push(plan_item(CacheKind::Vcs, target));
                }
            }
        }
        self.clean_items(&items, &mut cleaned);
        cleaned
    }

    fn clean_sumdb(&self) -> Cleaned {
        let mut cleaned = Cleaned::default();
        let target = Target::Path("cache/download/sumdb".into());
        if self.names(Path::new("cache/download"), Kind::Folder).iter().any(|(n, _)| n == "sumdb") {
            self.clean_items(&[plan_item(CacheKind::Sumdb, target)], &mut cleaned);
        }
        cleaned
    }

    fn clean_items(&self, items: &[PlanItem], cleaned: &mut Cleaned) {
        let all: Vec<&PlanItem> = items.iter().collect();
        for (item, removed) in items.iter().zip(self.remove_all(&all)) {
            let subject = item.subject().into_owned();
            match removed {
                Ok(done) => {
                    cleaned.items += 1;
                    cleaned.size += done.size;
                    cleaned.left.extend(done.left);
                    cleaned.errors.extend(done.errors);
                }
                Err(NotRemoved::Skipped(reason)) => {
                    cleaned.skipped.push(Skipped { subject, reason });
                }
                Err(NotRemoved::Busy(path)) => cleaned.busy.push(path),
                Err(NotRemoved::Stopped) => cleaned.stopped = true,
                Err(NotRemoved::Io { path, source }) => cleaned.errors.push((path, source)),
            }
        }
    }

    fn names(&self, rel: &Path, kind: Kind) -> Vec<(String, PathBuf)> {
        let entries = self.root.open_path(rel).and_then(|dir| dir.entries()).unwrap_or_default();
        entries
            .into_iter()
            .filter(|(_, k)| *k == kind)
            .filter_map(|(name, _)| Some((name.to_str()?.to_owned(), rel.join(name))))
            .collect()
    }
}

fn plan_item(cache: CacheKind, target: Target) -> PlanItem {
    PlanItem { cache, name: None, target, size: None, last_used: None, reason: "clean".into() }
}

/// Where in a module cache a folder stands, as far as what may be in it depends on that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spot {
    /// The root, or a folder of a module path.
    Above { top: bool },
    /// `cache`.
    Cache,
    /// `cache/download`, or a folder of a module path in it.
    Download { top: bool },
    /// An `@v` folder.
    Versions,
    /// `cache/vcs`.
    Repositories,
    /// In a version, a repository or the checksum database's part: all of it is one thing.
    Inside,
}

/// Where the folder `name` leads; `None` where it is not Go's.
fn enter(spot: Spot, name: &OsStr) -> Option<Spot> {
    if spot == Spot::Inside {
        return Some(Spot::Inside);
    }
    let name = name.to_str()?;
    match spot {
        Spot::Above { top: true } if name == "cache" => Some(Spot::Cache),
        Spot::Above { top } => match tree_name(name, top) {
            TreeName::Element => Some(Spot::Above { top: false }),
            TreeName::Version { .. } | TreeName::Temporary { .. } => Some(Spot::Inside),
            TreeName::Foreign => None,
        },
        Spot::Cache => match name {
            "download" => Some(Spot::Download { top: true }),
            "vcs" => Some(Spot::Repositories),
            _ => None,
        },
        Spot::Download { top: true } if name == "sumdb" => Some(Spot::Inside),
        Spot::Download { top: false } if name == "@v" => Some(Spot::Versions),
        Spot::Download { top } => element_ok(name, top).then_some(Spot::Download { top: false }),
        Spot::Repositories => {
            matches!(vcs_name(name), VcsName::Repository(_)).then_some(Spot::Inside)
        }
        Spot::Versions | Spot::Inside => None,
    }
}

/// Whether the file `name` is Go's.
fn is_own(spot: Spot, name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return spot == Spot::Inside };
    match spot {
        Spot::Inside => true,
        Spot::Versions => download_name(name) != DownloadName::Foreign,
        Spot::Repositories => matches!(vcs_name(name), VcsName::Info(_) | VcsName::Lock(_)),
        Spot::Cache => name == "lock",
        Spot::Above { .. } | Spot::Download { .. } => false,
    }
}

/// Lets go what the layout of a module cache explains.
struct Layout;

impl Judge for Layout {
    type Ctx = Spot;

    fn folder(&self, parent: &Spot, name: &OsStr) -> Option<Spot> {
        enter(*parent, name)
    }

    fn file(&self, parent: &Spot, name: &OsStr) -> bool {
        is_own(*parent, name)
    }
}

/// Notes what is foreign and goes no deeper than it must.
#[derive(Default)]
struct Shallow(Vec<PathBuf>);

impl Visitor for Shallow {
    type Ctx = (Spot, PathBuf);

    fn folder(&mut self, parent: &Self::Ctx, name: &OsStr, _: &Meta) -> Option<Self::Ctx> {
        let path = parent.1.join(name);
        match enter(parent.0, name) {
            None => {
                self.0.push(path);
                None
            }
            Some(Spot::Inside | Spot::Versions) => None,
            Some(spot) => Some((spot, path)),
        }
    }

    fn file(&mut self, parent: &Self::Ctx, name: &OsStr, meta: &Meta) {
        if meta.kind != Kind::File || !is_own(parent.0, name) {
            self.0.push(parent.1.join(name));
        }
    }

    fn skipped(&mut self, parent: &Self::Ctx, name: &OsStr, _: Skip) {
        self.0.push(parent.1.join(name));
    }
}
