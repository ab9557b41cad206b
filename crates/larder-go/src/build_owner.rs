//! Whose the bytes of a build cache are: package, module version or project, Go version and
//! platform of each output.
//!
//! An archive and an executable say it themselves. Of what says nothing, much is known by its
//! action ID: Go derives the IDs of a package's lists and generated files from that of its
//! archive (`cmd/go/internal/cache/hash.go`, `Subkey`), and that of a module's index from the
//! module's folder (`cmd/go/internal/modindex/read.go`, `moduleHash`). So those are looked up,
//! not guessed.
//!
//! Promises: at most 256 KiB of an output are read; what is not told is [`Origin::Unknown`], a
//! row of its own. Leaves out: indexes of single packages, test logs and vet results, whose IDs
//! hash what is not known here; they are some thousandths of the bytes.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use larder_core::build_inventory::Names;
use larder_core::{ActionRef, BuildInventory, EntryId, Meter, OutputRef};
use larder_fs::{Dir, Kind};
use sha2::{Digest, Sha256};

use crate::build_archive::ArchiveFacts;
use crate::build_binary::BinaryFacts;
use crate::build_kind::{self, OutputKind, Told};
use crate::build_layout::{EntryName, entry_of_kind, shard_name};
use crate::build_origin::{Origin, Origins, OwnerContext};
use crate::build_peek::Peek;
use crate::build_scan::key_of;

/// Threads: more than cores, since a cold disk is waited for.
const THREADS: usize = 8;

/// Who an output belongs to, as far as it is told. What is not told is empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Import path.
    pub package: Box<str>,
    /// Whose package it is.
    pub origin: Origin,
    /// The Go version that made it, as in `go1.26.8`.
    pub go: Box<str>,
    /// As in `linux/amd64`.
    pub platform: Box<str>,
}

impl Owner {
    fn unknown() -> Self {
        let none = Box::<str>::default;
        Self { package: none(), origin: Origin::Unknown, go: none(), platform: none() }
    }
}

/// The owners of all outputs of an inventory.
#[derive(Debug)]
pub struct Owners {
    /// Each owner once; the first two are [`Origin::Unknown`] and [`Origin::Shared`].
    table: Vec<Owner>,
    /// By shard and index: kind and place in `table`.
    places: Vec<Vec<(OutputKind, u32)>>,
    /// What could not be read.
    pub errors: Vec<(PathBuf, io::Error)>,
    /// Whether all was seen: not asked to stop in the middle.
    pub complete: bool,
}

const UNKNOWN: u32 = 0;
const SHARED: u32 = 1;

impl Owners {
    /// What an output is.
    pub fn kind(&self, output: OutputRef) -> OutputKind {
        self.places[output.shard()][output.index()].0
    }

    /// Whose it is.
    pub fn owner(&self, output: OutputRef) -> &Owner {
        &self.table[self.places[output.shard()][output.index()].1 as usize]
    }

    /// Every owner once.
    pub fn all(&self) -> &[Owner] {
        &self.table
    }

    /// An output's owner by its number in [`Self::all`].
    pub fn number(&self, output: OutputRef) -> usize {
        self.places[output.shard()][output.index()].1 as usize
    }

    fn set(&mut self, output: OutputRef, owner: u32) {
        let place = &mut self.places[output.shard()][output.index()].1;
        *place = if *place == UNKNOWN || *place == owner { owner } else { SHARED };
    }
}

/// Tells the owners of all outputs.
pub fn attribute(
    root: &Dir,
    inventory: &BuildInventory,
    context: &OwnerContext,
    meter: &Meter,
) -> Owners {
    let work = Work {
        root,
        inventory,
        meter,
        origins: Origins::new(context),
        table: Mutex::new(Table::new()),
    };
    let mut seen = work.each_shard(|shard| work.outputs(shard));
    seen.sort_by_key(|seen| seen.shard);
    let mut owners = Owners {
        table: Vec::new(),
        places: inventory
            .shards
            .iter()
            .map(|shard| vec![(OutputKind::Other, UNKNOWN); shard.outputs.len()])
            .collect(),
        errors: Vec::new(),
        complete: true,
    };
    let mut pending = Vec::new();
    for shard in seen {
        for (index, kind, owner) in shard.found {
            owners.places[usize::from(shard.shard)][index] = (kind, owner);
        }
        pending.extend(shard.pending);
        owners.errors.extend(shard.errors);
    }
    work.resolve(&mut owners, pending);
    for (output, owner) in work.derived(&owners).into_iter().chain(work.indexes(context)) {
        owners.set(output, owner);
    }
    owners.table = work.table.into_inner().unwrap_or_else(PoisonError::into_inner).rows;
    owners.complete = !meter.stopped();
    owners
}

/// What an output says of a package that other outputs tell the origin of.
struct Pending {
    output: OutputRef,
    package: String,
    module: Option<(String, String)>,
    go: String,
    platform: String,
}

/// A folder of entries and the names in it.
type Listed = (Dir, Vec<(OsString, Kind)>);

/// What one folder of entries gave.
struct Seen {
    shard: u8,
    found: Vec<(usize, OutputKind, u32)>,
    pending: Vec<Pending>,
    errors: Vec<(PathBuf, io::Error)>,
}

/// Each owner once.
struct Table {
    rows: Vec<Owner>,
    numbers: HashMap<Owner, u32>,
}

impl Table {
    fn new() -> Self {
        let mut table = Self { rows: Vec::new(), numbers: HashMap::new() };
        table.number(Owner::unknown());
        table.number(Owner { origin: Origin::Shared, ..Owner::unknown() });
        table
    }

    fn number(&mut self, owner: Owner) -> u32 {
        if let Some(number) = self.numbers.get(&owner) {
            return *number;
        }
        // There are fewer owners than outputs, and those fit.
        let number = u32::try_from(self.rows.len()).unwrap_or(UNKNOWN);
        self.rows.push(owner.clone());
        self.numbers.insert(owner, number);
        number
    }
}

struct Work<'a> {
    root: &'a Dir,
    inventory: &'a BuildInventory,
    meter: &'a Meter,
    origins: Origins<'a>,
    table: Mutex<Table>,
}

impl Work<'_> {
    fn each_shard<T: Send>(&self, work: impl Fn(u8) -> T + Sync) -> Vec<T> {
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::new());
        let run = || {
            while let Ok(shard) = u8::try_from(next.fetch_add(1, Ordering::Relaxed)) {
                if self.meter.stopped() {
                    return;
                }
                let answer = work(shard);
                done.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..THREADS {
                scope.spawn(run);
            }
            run();
        });
        done.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names in a folder of entries, where the inventory has any there.
    fn names(&self, shard: u8) -> io::Result<Option<Listed>> {
        let known = &self.inventory.shards[usize::from(shard)];
        if known.outputs.is_empty() && known.actions.is_empty() {
            return Ok(None);
        }
        let dir = self.root.open_dir(OsStr::new(&shard_name(shard)))?;
        let names = dir.entries()?;
        Ok(Some((dir, names)))
    }

    fn number(&self, owner: Owner) -> u32 {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).number(owner)
    }

    /// Reads the outputs of one folder.
    fn outputs(&self, shard: u8) -> Seen {
        let mut seen = Seen { shard, found: Vec::new(), pending: Vec::new(), errors: Vec::new() };
        let (dir, names) = match self.names(shard) {
            Ok(Some(opened)) => opened,
            Ok(None) => return seen,
            Err(error) => {
                seen.errors.push((self.root.path().join(shard_name(shard)), error));
                return seen;
            }
        };
        let mut window = Vec::new();
        for (name, kind) in &names {
            let Some(EntryName::Output(id)) = entry_of_kind(shard, name, *kind) else { continue };
            let Some(output) = self.inventory.find_output(key_of(&id)) else { continue };
            let len = self.inventory.output(output).size().logical.0;
            let told = if len == 0 && *kind == Kind::File {
                Ok(Told::Kind(OutputKind::Empty))
            } else {
                tell(&dir, name, *kind, len, &mut window)
            };
            match told {
                Ok(told) => self.note(&mut seen, output, told),
                Err(error) => seen.errors.push((dir.path().join(name), error)),
            }
        }
        self.meter.add(seen.found.len() as u64, 0);
        seen
    }

    fn note(&self, seen: &mut Seen, output: OutputRef, told: Told) {
        let kind = told.kind();
        let owner = match told {
            Told::Kind(_) => UNKNOWN,
            Told::Archive(facts) => self.note_archive(seen, output, facts),
            Told::Binary(BinaryFacts { go, platform, package, module }) => {
                seen.pending.push(Pending { output, package, module, go, platform });
                UNKNOWN
            }
            Told::Test(package) => {
                let none = String::new;
                let pending =
                    Pending { output, package, module: None, go: none(), platform: none() };
                seen.pending.push(pending);
                UNKNOWN
            }
        };
        seen.found.push((output.index(), kind, owner));
    }

    fn note_archive(&self, seen: &mut Seen, output: OutputRef, facts: ArchiveFacts) -> u32 {
        let ArchiveFacts { go, platform, package, file, imports } = facts;
        if file.is_empty() && package == "main" {
            // The main package of a test imports the package that it tests, and what tests use.
            let tested = imports.iter().find(|path| !self.origins.is_std(path));
            let tested = tested
                .or_else(|| imports.iter().find(|path| !TEST_IMPORTS.contains(&path.as_str())));
            if let Some(tested) = tested {
                let package = tested.strip_suffix("_test").unwrap_or(tested).to_owned() + ".test";
                seen.pending.push(Pending { output, package, module: None, go, platform });
                return UNKNOWN;
            }
        }
        let (origin, package) = self.origins.of(&package, &file);
        self.number(Owner {
            package: package.into(),
            origin,
            go: go.into(),
            platform: platform.into(),
        })
    }

    /// Gives what only names its package the origin that archives tell for that package; where
    /// they tell several, none.
    fn resolve(&self, owners: &mut Owners, pending: Vec<Pending>) {
        let mut known: HashMap<Box<str>, Option<Origin>> = HashMap::new();
        for owner in &self.table.lock().unwrap_or_else(PoisonError::into_inner).rows {
            let origin =
                known.entry(owner.package.clone()).or_insert_with(|| Some(owner.origin.clone()));
            if origin.as_ref() != Some(&owner.origin) {
                *origin = None;
            }
        }
        for Pending { output, package, module, go, platform } in pending {
            let tested = package.strip_suffix(".test").unwrap_or(&package);
            let told = module.filter(|(path, version)| self.origins.is_cached(path, version));
            let origin = match told {
                Some((path, version)) => {
                    let (path, version) = (path.into(), version.into());
                    Origin::Module { path, version, elsewhere: None }
                }
                None => known
                    .get(tested)
                    .cloned()
                    .flatten()
                    .or_else(|| self.origins.is_std(tested).then_some(Origin::Std))
                    .unwrap_or(Origin::Unknown),
            };
            let (go, platform) = (go.into(), platform.into());
            let owner = self.number(Owner { package: package.into(), origin, go, platform });
            owners.places[output.shard()][output.index()].1 = owner;
        }
    }

    /// The outputs whose action IDs Go derives from that of an archive.
    fn derived(&self, owners: &Owners) -> Vec<(OutputRef, u32)> {
        let found = self.each_shard(|shard| {
            let mut found = Vec::new();
            let Ok(Some((_, names))) = self.names(shard) else { return found };
            for (name, kind) in &names {
                let Some(EntryName::Action(id)) = entry_of_kind(shard, name, *kind) else {
                    continue;
                };
                let Some(output) = self.output_of(&id) else { continue };
                if owners.kind(output) == OutputKind::Archive {
                    let owner = owners.places[output.shard()][output.index()].1;
                    found.extend(self.subkeys(owners, &id).into_iter().map(|o| (o, owner)));
                }
            }
            found
        });
        found.into_iter().flatten().collect()
    }

    fn subkeys(&self, owners: &Owners, archive: &EntryId) -> Vec<OutputRef> {
        let of = |name: &str| self.output_of(&subkey(archive, name));
        let mut found: Vec<OutputRef> =
            ["_cgo_install.h", "stdout", "link-stdout"].into_iter().filter_map(of).collect();
        if let Some(list) = of("srcfiles") {
            found.push(list);
            // Files that a tool made are named without a folder, and are outputs themselves.
            if owners.kind(list) == OutputKind::SourceList {
                let text = self.text(list).unwrap_or_default();
                let made = text.lines().filter(|line| !line.starts_with("./"));
                found.extend(made.filter_map(of));
            }
        }
        // One output can be nobody's in particular: an empty one.
        found.retain(|output| owners.kind(*output) != OutputKind::Empty);
        found
    }

    /// The text of a small output.
    fn text(&self, output: OutputRef) -> Option<String> {
        let key = self.inventory.output(output).key;
        let shard = key.shard();
        let dir = self.root.open_dir(OsStr::new(&shard_name(shard))).ok()?;
        // The name is known by half; a list with made files in it is rare enough to look for it.
        let names = dir.entries().ok()?;
        let name = names.iter().find(|(name, kind)| {
            matches!(entry_of_kind(shard, name, *kind), Some(EntryName::Output(id)) if key_of(&id) == key)
        });
        String::from_utf8(dir.read(&name?.0, 64 * 1024).ok()?).ok()
    }

    /// The indexes of modules in GOMODCACHE, for every Go version that is met.
    fn indexes(&self, context: &OwnerContext) -> Vec<(OutputRef, u32)> {
        let mut modules: Vec<(Box<str>, Box<str>)> =
            context.modules.iter().map(|(p, v)| (p.as_str().into(), v.as_str().into())).collect();
        let mut versions: Vec<Box<str>> = Vec::new();
        for owner in &self.table.lock().unwrap_or_else(PoisonError::into_inner).rows {
            if let Origin::Module { path, version, elsewhere: None } = &owner.origin {
                modules.push((path.clone(), version.clone()));
            }
            if !owner.go.is_empty() {
                versions.push(owner.go.clone());
            }
        }
        modules.sort_unstable();
        modules.dedup();
        versions.sort_unstable();
        versions.dedup();
        let mut found = Vec::new();
        for (path, version) in modules {
            let Some(folder) = self.origins.module_folder(&path, &version) else { continue };
            for go in &versions {
                let id = index_id(go, &folder.to_string_lossy());
                let Some(output) = self.output_of(&id) else { continue };
                let (path, version) = (path.clone(), version.clone());
                let owner = Owner {
                    package: path.clone(),
                    origin: Origin::Module { path, version, elsewhere: None },
                    go: go.clone(),
                    platform: Box::default(),
                };
                found.push((output, self.number(owner)));
            }
        }
        found
    }

    /// What an action names, where both are there.
    fn output_of(&self, id: &EntryId) -> Option<OutputRef> {
        let actions = &self.inventory.shards[usize::from(id.0[0])].actions;
        let index = actions.binary_search_by_key(&key_of(id), |action| action.key).ok()?;
        let place = ActionRef::new(id.0[0], index)?;
        match self.inventory.action(place).names() {
            Names::Output(output) => Some(output),
            Names::Missing | Names::Damaged => None,
        }
    }
}

/// What the made main package of a test imports beside the package under test
/// (`cmd/go/internal/load/test.go`).
const TEST_IMPORTS: [&str; 6] =
    ["os", "reflect", "runtime", "testing", "testing/internal/testdeps", "internal/coverage/cfile"];

fn subkey(archive: &EntryId, name: &str) -> EntryId {
    let mut hash = Sha256::new();
    hash.update(b"subkey:");
    hash.update(archive.0);
    hash.update(name.as_bytes());
    EntryId(hash.finalize().into())
}

/// The action of the index of the module in `folder`. Every hash of an action begins with the Go
/// version, without experiments.
fn index_id(go: &str, folder: &str) -> EntryId {
    let salt = go.split([' ']).next().unwrap_or(go);
    let salt = salt.split("-X:").next().unwrap_or(salt);
    let text = format!("{salt}module index {go} go index v2 {folder}\n");
    EntryId(Sha256::digest(text.as_bytes()).into())
}

fn tell(dir: &Dir, name: &OsStr, kind: Kind, len: u64, window: &mut Vec<u8>) -> io::Result<Told> {
    if kind == Kind::Folder {
        let folder = dir.open_dir(name)?;
        let inside = folder.entries()?;
        let Some((name, Kind::File)) = inside.first() else {
            return Ok(Told::Kind(OutputKind::Executable));
        };
        let mut file = folder.open_file(name)?;
        return Ok(build_kind::read_executable(&mut Peek::new(&mut file, window)));
    }
    let mut file = dir.open_file(name)?;
    Ok(build_kind::read(&mut Peek::new(&mut file, window), len))
}
