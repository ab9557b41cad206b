//! Finds and reads the go.mod and go.work files below the folders that a person names.
//!
//! As the go command's `./...` does, it passes over `vendor`, `testdata` and names that begin
//! with a dot or an underscore, and follows no symlinked folder; `node_modules`, the caches
//! themselves and Go's own folder are passed over too. What cannot be read or parsed stops the
//! search: to guess would be to delete what somebody needs.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use larder_core::Meter;

use crate::goflags;
use crate::gomod_lexer::ParseError;
use crate::locate::{GoEnv, clean};

/// The needs of projects cannot be worked out at all.
#[derive(Debug, thiserror::Error)]
pub enum NeedsError {
    /// A folder that was named is not there.
    #[error("{} does not exist; name folders that hold Go projects", .0.display())]
    Missing(PathBuf),
    /// What was named is no folder.
    #[error("{} is not a folder; name folders that hold Go projects", .0.display())]
    NotAFolder(PathBuf),
    /// A folder or file cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A go.mod or go.work cannot be understood.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The person asked to stop.
    #[error("stopped")]
    Stopped,
}

/// A go.mod or a go.work and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProjectFile {
    /// The file.
    pub(crate) path: PathBuf,
    /// Its folder.
    pub(crate) dir: PathBuf,
    /// The whole file.
    pub(crate) text: String,
    /// How the go command uses it.
    pub(crate) role: Role,
}

/// How a go.mod is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// As its folder's go.mod.
    Own,
    /// Not at all, as `-modfile` names another one.
    Hidden,
    /// In place of the go.mod, by `-modfile`.
    Alternate,
}

impl ProjectFile {
    pub(crate) fn read(file: &Path) -> Result<Self, NeedsError> {
        let unreadable = |source| NeedsError::Unreadable { path: file.to_path_buf(), source };
        let bytes = std::fs::read(file).map_err(unreadable)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let dir = file.parent().unwrap_or(Path::new("/")).to_path_buf();
        Ok(Self { path: file.to_path_buf(), dir, text, role: Role::Own })
    }
}

/// What was found, sorted by folder.
#[derive(Debug, Default)]
pub(crate) struct ProjectFiles {
    pub(crate) mods: Vec<ProjectFile>,
    pub(crate) works: Vec<ProjectFile>,
    /// Folders that may not be looked into.
    pub(crate) unreadable: Vec<PathBuf>,
}

/// Finds all files below the folders, and those that hold for them from above.
pub(crate) fn find(
    folders: &[PathBuf],
    env: &GoEnv,
    meter: &Meter,
) -> Result<ProjectFiles, NeedsError> {
    let mut found = Found::default();
    for folder in folders {
        let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
        let root = clean(&absolute);
        match std::fs::metadata(&root) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => return Err(NeedsError::NotAFolder(root)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(NeedsError::Missing(root));
            }
            Err(source) => return Err(NeedsError::Unreadable { path: root, source }),
        }
        let below = search(&root, &Shunned::new(env), meter)?;
        // A folder inside a module stands for that module.
        if below.mods.is_empty() && below.works.is_empty() {
            found.mods.extend(enclosing(&root, "go.mod"));
        }
        if !below.works.contains(&root.join("go.work")) {
            found.works.extend(enclosing(&root, "go.work"));
        }
        found.mods.extend(below.mods);
        found.works.extend(below.works);
        found.unreadable.extend(below.unreadable);
    }
    let set = Path::new(&env.gowork.value);
    if set.is_absolute() && set.is_file() {
        found.works.push(set.to_path_buf());
    }
    let mut mods = read_each(found.mods)?;
    add_alternates(&mut mods, env)?;
    Ok(ProjectFiles { mods, works: read_each(found.works)?, unreadable: found.unreadable })
}

/// The files that `-modfile` puts in the place of go.mod, as if the go command ran in the module's
/// folder (`cmd/go/internal/modload/init.go`, `modFilePath`). In a workspace that makes no sense.
fn add_alternates(mods: &mut Vec<ProjectFile>, env: &GoEnv) -> Result<(), NeedsError> {
    let flag = goflags::value(&env.goflags.value, "modfile");
    // Go refuses other names, so nothing is built with them.
    let Some(name) = flag.filter(|name| name.strip_suffix(".mod").is_some()) else { return Ok(()) };
    let mut alternates = Vec::new();
    for own in mods.iter_mut() {
        let path = own.dir.join(name);
        if path == own.path || !path.is_file() || workspace_of(&own.dir, env).is_some() {
            continue;
        }
        own.role = Role::Hidden;
        let dir = own.dir.clone();
        alternates.push(ProjectFile { dir, role: Role::Alternate, ..ProjectFile::read(&path)? });
    }
    mods.extend(alternates);
    Ok(())
}

/// Reads each file once, however it was reached.
fn read_each(mut files: Vec<PathBuf>) -> Result<Vec<ProjectFile>, NeedsError> {
    files.sort();
    let mut seen = HashSet::new();
    files.retain(|file| seen.insert(std::fs::canonicalize(file).unwrap_or_else(|_| file.clone())));
    files.iter().map(|file| ProjectFile::read(file)).collect()
}

/// The nearest file of this name above a folder, itself included (`modload.findModuleRoot`).
fn enclosing(folder: &Path, name: &str) -> Option<PathBuf> {
    folder.ancestors().map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// The go.work that a go command in this folder works with
/// (`cmd/go/internal/modload/init.go`, `FindGoWork`).
pub(crate) fn workspace_of(folder: &Path, env: &GoEnv) -> Option<PathBuf> {
    match env.gowork.value.as_str() {
        "" | "auto" => enclosing(folder, "go.work"),
        "off" => None,
        path => Some(PathBuf::from(path)),
    }
}

/// Folders that hold Go files but no projects of anybody.
struct Shunned(Vec<PathBuf>);

impl Shunned {
    fn new(env: &GoEnv) -> Self {
        let known = [env.gocache.path(), env.gomodcache.path(), env.goroot.as_deref()];
        let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.into());
        Self(known.into_iter().flatten().map(real).collect())
    }

    /// Whether the folder is one of them. Only the names are compared first, as that is cheap.
    fn holds(&self, folder: &Path) -> bool {
        self.0.iter().any(|shunned| {
            shunned.file_name() == folder.file_name()
                && std::fs::canonicalize(folder).is_ok_and(|real| real == *shunned)
        })
    }
}

#[derive(Debug, Default)]
struct Found {
    mods: Vec<PathBuf>,
    works: Vec<PathBuf>,
    unreadable: Vec<PathBuf>,
    /// Folders one level further down.
    folders: Vec<PathBuf>,
}

impl Found {
    fn join(&mut self, other: Self) {
        self.mods.extend(other.mods);
        self.works.extend(other.works);
        self.unreadable.extend(other.unreadable);
        self.folders.extend(other.folders);
    }
}

/// Looks through a tree level by level, wide levels on several threads.
fn search(root: &Path, shunned: &Shunned, meter: &Meter) -> Result<Found, NeedsError> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(8);
    let mut found = Found::default();
    let mut level = vec![root.to_path_buf()];
    while !level.is_empty() {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut found = Found::default();
            while let Some(folder) = level.get(next.fetch_add(1, Ordering::Relaxed)) {
                if meter.stopped() {
                    break;
                }
                if let Err(source) = look_into(folder, shunned, &mut found) {
                    found.problem(folder, source)?;
                }
            }
            Ok::<_, NeedsError>(found)
        };
        if level.len() < 32 {
            found.join(work()?);
        } else {
            std::thread::scope(|scope| {
                let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
                handles.into_iter().try_for_each(|handle| {
                    // A panic goes on to whoever asked.
                    let part = handle.join().unwrap_or_else(|e| std::panic::resume_unwind(e))?;
                    found.join(part);
                    Ok::<_, NeedsError>(())
                })
            })?;
        }
        if meter.stopped() {
            return Err(NeedsError::Stopped);
        }
        level = std::mem::take(&mut found.folders);
    }
    if found.unreadable.iter().any(|path| path == root) {
        let source = io::Error::from(io::ErrorKind::PermissionDenied);
        return Err(NeedsError::Unreadable { path: root.to_path_buf(), source });
    }
    found.unreadable.sort();
    Ok(found)
}

impl Found {
    /// A folder that may not be looked into is noted: whoever cannot read it cannot build in it.
    /// One that vanished in the meantime is nothing. Any other trouble ends the search.
    fn problem(&mut self, folder: &Path, source: io::Error) -> Result<(), NeedsError> {
        match source.kind() {
            io::ErrorKind::PermissionDenied => self.unreadable.push(folder.to_path_buf()),
            io::ErrorKind::NotFound => {}
            _ => return Err(NeedsError::Unreadable { path: folder.to_path_buf(), source }),
        }
        Ok(())
    }
}

fn look_into(folder: &Path, shunned: &Shunned, found: &mut Found) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_dir() {
            let path = entry.path();
            if !is_passed_over(&name) && !shunned.holds(&path) {
                found.folders.push(path);
            }
        } else if name == "go.mod" && entry.path().is_file() {
            found.mods.push(entry.path());
        } else if name == "go.work" && entry.path().is_file() {
            found.works.push(entry.path());
        }
    }
    Ok(())
}

fn is_passed_over(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    matches!(bytes, b"vendor" | b"testdata" | b"node_modules")
        || bytes.starts_with(b".")
        || bytes.starts_with(b"_")
}
