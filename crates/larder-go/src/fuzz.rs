//! What fuzzing left in a build cache: `fuzz/<package>/<target>/`, one corpus a target.
//!
//! Promises: each target is a unit of its own, with the newest input's time as its last use.
//! Where a given folder holds the package's source, a corpus older than the file that defines
//! its target is told, since the inputs were found for code that has changed. Leaves out: what
//! is no target's folder; that is foreign here.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use larder_core::{CacheKind, Meter, Need, Size, Target, Time, Unit};
use larder_fs::{Dir, Kind, Meta, Visitor, WalkOptions, walk};

/// The corpora of a cache.
#[derive(Debug, Default)]
pub struct FuzzScan {
    /// One for each target, by subject.
    pub units: Vec<Unit>,
    /// The folders between, and what is foreign, for the sum of all.
    pub overhead: Size,
    /// What is no target's, relative to the root: reported, left alone.
    pub foreign: Vec<PathBuf>,
    /// What could not be looked at.
    pub errors: Vec<(PathBuf, io::Error)>,
}

/// A corpus that is older than the code it was found for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outdated {
    /// The unit's subject, `<package> <target>`.
    pub subject: String,
    /// What removing it gives back.
    pub size: Size,
    /// The newest input.
    pub last_used: Time,
    /// The file that defines the target.
    pub source: PathBuf,
    /// When that was last changed.
    pub changed: Time,
}

/// Lists the corpora below `fuzz`; none where there is no such folder.
pub fn scan(root: &Dir, meter: &Meter) -> FuzzScan {
    let mut scan = FuzzScan::default();
    let dir = match root.open_dir("fuzz".as_ref()) {
        Ok(dir) => dir,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return scan,
        Err(error) => {
            scan.errors.push((root.path().join("fuzz"), error));
            return scan;
        }
    };
    let top = At { rel: "fuzz".into(), target: None };
    let walked = walk(&dir, top, Corpora::default, &WalkOptions { threads: 0, meter });
    scan.errors.extend(walked.errors.into_iter().map(|error| (error.path, error.source)));
    match dir.meta() {
        Ok(meta) => scan.overhead += Size::new(0, 0, meta.allocated),
        Err(error) => scan.errors.push((dir.path().to_owned(), error)),
    }
    let mut found: HashMap<PathBuf, Corpus> = HashMap::new();
    for visitor in walked.visitors {
        scan.overhead += visitor.overhead;
        scan.foreign.extend(visitor.foreign);
        for (rel, corpus) in visitor.found {
            let sum = found.entry(rel).or_default();
            sum.size += corpus.size;
            sum.newest = sum.newest.max(corpus.newest);
        }
    }
    for (rel, corpus) in found {
        // Without a file of its own it is a package's folder, or a target that found nothing.
        if corpus.newest.is_some() {
            scan.units.push(unit(rel, &corpus));
        } else {
            scan.overhead += corpus.size;
        }
    }
    scan.units.sort_by(|a, b| a.subject.cmp(&b.subject));
    scan.foreign.sort_unstable();
    scan
}

/// The newest input of one target's folder.
pub fn last_use(target: &Dir) -> io::Result<Option<Time>> {
    let mut newest = None;
    for (name, _) in target.entries()? {
        if let Some(meta) = target.look(&name)? {
            newest = newest.max(Some(meta.modified));
        }
    }
    Ok(newest)
}

/// Those of `units` whose target's source was changed after the newest input was found.
/// `package_dir` says where a package's source is, where that is known.
pub fn outdated(units: &[Unit], package_dir: &dyn Fn(&str) -> Option<PathBuf>) -> Vec<Outdated> {
    let mut found = Vec::new();
    for unit in units.iter().filter(|unit| unit.cache == CacheKind::Fuzz) {
        let (Target::Path(rel), Some(last_used)) = (&unit.target, unit.last_used) else { continue };
        let Some((package, target)) = package_and_target(rel) else { continue };
        let Some((source, changed)) = package_dir(&package).and_then(|d| defined_in(&d, &target))
        else {
            continue;
        };
        if changed > last_used {
            let (subject, size) = (unit.subject.clone(), unit.size);
            found.push(Outdated { subject, size, last_used, source, changed });
        }
    }
    found
}

/// The `_test.go` file of a package's folder that defines the fuzz target, and its mtime.
fn defined_in(folder: &Path, target: &str) -> Option<(PathBuf, Time)> {
    let definition = format!("func {target}(");
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        let test = path.to_str().is_some_and(|path| path.ends_with("_test.go"));
        if !test || !fs::read_to_string(&path).is_ok_and(|text| defines(&text, &definition)) {
            continue;
        }
        let changed = entry.metadata().and_then(|meta| meta.modified()).ok()?;
        let since = changed.duration_since(std::time::UNIX_EPOCH).ok()?;
        return Some((path, Time::from_unix_nanos(i64::try_from(since.as_nanos()).ok()?)));
    }
    None
}

/// A function stands at the beginning of a line, as gofmt writes it.
fn defines(text: &str, definition: &str) -> bool {
    text.lines().any(|line| line.starts_with(definition))
}

/// Taken apart from `fuzz/<package>/<target>`.
fn package_and_target(rel: &Path) -> Option<(String, String)> {
    let text = rel.to_str()?.replace('\\', "/");
    let (package, target) = text.strip_prefix("fuzz/")?.rsplit_once('/')?;
    Some((package.to_owned(), target.to_owned()))
}

fn unit(rel: PathBuf, corpus: &Corpus) -> Unit {
    let subject = package_and_target(&rel).map_or_else(
        || rel.display().to_string(),
        |(package, target)| format!("{package} {target}"),
    );
    Unit {
        cache: CacheKind::Fuzz,
        subject,
        target: Target::Path(rel),
        size: corpus.size,
        last_used: corpus.newest,
        need: Need::Unasked,
        version_rank: None,
        hold: None,
        waste: None,
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Corpus {
    size: Size,
    newest: Option<Time>,
}

/// A folder below `fuzz`: its path relative to the root, and the target that it belongs to.
#[derive(Clone)]
struct At {
    rel: PathBuf,
    target: Option<PathBuf>,
}

#[derive(Default)]
struct Corpora {
    found: HashMap<PathBuf, Corpus>,
    overhead: Size,
    foreign: Vec<PathBuf>,
}

impl Visitor for Corpora {
    type Ctx = At;

    fn folder(&mut self, parent: &At, name: &std::ffi::OsStr, meta: &Meta) -> Option<At> {
        let rel = parent.rel.join(name);
        let size = Size::new(0, 0, meta.allocated);
        // A package may be called FuzzX too: the innermost such folder is the target's.
        let target = if is_target(&rel, name) { Some(rel.clone()) } else { parent.target.clone() };
        match &target {
            Some(target) => self.found.entry(target.clone()).or_default().size += size,
            None => self.overhead += size,
        }
        Some(At { rel, target })
    }

    fn file(&mut self, parent: &At, name: &std::ffi::OsStr, meta: &Meta) {
        let size = crate::build_scan::size_of(meta);
        match &parent.target {
            Some(target) if meta.kind == Kind::File => {
                let corpus = self.found.entry(target.clone()).or_default();
                corpus.size += size;
                corpus.newest = corpus.newest.max(Some(meta.modified));
            }
            _ => {
                self.overhead += size;
                self.foreign.push(parent.rel.join(OsString::from(name)));
            }
        }
    }
}

/// A target's folder is named by its function and stands in its package's.
fn is_target(rel: &Path, name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b"Fuzz") && crate::build_layout::classify(rel).is_some()
}
