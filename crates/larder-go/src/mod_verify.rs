//! Verification of a whole module cache, no project needed.
//!
//! Promises: every zip, folder, `.mod`, `.info` and `list` is read and held against what it should
//! be; what there is nothing to hold against is listed as that, never as good. Nothing is written,
//! access times stay. Versions are worked off by several threads, the largest first, each in
//! buffers of bounded size.
//!
//! Leaves out: mending. [`Bad::removes`] says what has to go for that.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use larder_core::{Bad, CacheKind, Check, Meter, Target, Unverifiable, Verification};
use larder_fs::Dir;

use crate::go_sum::GoSum;
use crate::leftovers::Leftover;
use crate::mod_list;
use crate::mod_names::{Part, TOOLCHAIN_MODULE, download_folder};
use crate::mod_scan::{Contents, ModScan, ModVersion, ScanOptions, scan};
use crate::module_path::ModuleVersion;
use crate::module_zip::Scratch;
use crate::vcs::VcsRepo;

pub use crate::mod_verify_version::NO_ZIPHASH;

/// The go.sum or go.work.sum of a project.
#[derive(Debug)]
pub struct ProjectSum {
    /// What a person would call the project: `~/src/api`.
    pub project: String,
    /// What it expects.
    pub sum: GoSum,
}

/// The checksum database, as far as it can be asked.
pub trait Checksums: Sync {
    /// Whether it is asked about this module at all (GONOSUMDB, GOPRIVATE).
    fn covers(&self, module: &str) -> bool;
    /// The go.sum lines for a version, proven to be in the database; an error in one phrase.
    fn lines(&self, module: &str, version: &str) -> Result<Vec<String>, String>;
}

/// A verification, before it runs.
pub struct ModVerify<'a> {
    /// The module cache.
    pub root: &'a Dir,
    /// What the given projects expect.
    pub sums: &'a [ProjectSum],
    /// The checksum database, where it shall be asked.
    pub database: Option<&'a dyn Checksums>,
    /// Only these versions, and nothing else of the cache.
    pub only: Option<&'a [ModuleVersion]>,
    /// At most so many threads; 0 for one a core.
    pub threads: usize,
    /// Progress, and the wish to stop. Counts bytes as they are read.
    pub meter: &'a Meter,
}

/// What one thing was found to be.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) bad: Vec<Bad>,
    pub(crate) unverifiable: Vec<Unverifiable>,
    pub(crate) bytes: u64,
}

impl Found {
    pub(crate) fn cannot(&mut self, cache: CacheKind, subject: &str, reason: impl Into<String>) {
        let (subject, reason) = (subject.to_owned(), reason.into());
        self.unverifiable.push(Unverifiable { cache, subject, reason });
    }
}

/// A thing to look at.
enum Item<'a> {
    Version(&'a ModVersion),
    List(&'a str),
    Repository(&'a VcsRepo),
}

impl ModVerify<'_> {
    /// Reads everything. Stopped early, it tells what it found until then.
    pub fn run(&self) -> Verification {
        let quiet = Meter::default();
        let contents = Contents::Whether;
        let scan = scan(self.root, ScanOptions { contents, threads: self.threads, meter: &quiet });
        let items = self.items(&scan);
        let next = AtomicUsize::new(0);
        let all = Mutex::new(Verification::default());
        let threads = match self.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads => threads,
        };
        std::thread::scope(|scope| {
            for _ in 0..threads.min(items.len()) {
                scope.spawn(|| {
                    let mut scratch = Scratch::default();
                    let mut own = Verification::default();
                    while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if self.meter.stopped() {
                            break;
                        }
                        count(&mut own, self.look(item, &mut scratch));
                    }
                    all.lock().unwrap_or_else(PoisonError::into_inner).extend(own);
                });
            }
        });
        let mut all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
        if self.only.is_none() && !self.meter.stopped() {
            self.rest(&scan, &mut all);
        }
        all.bad.sort_by(|a, b| (a.cache, &a.subject, a.check).cmp(&(b.cache, &b.subject, b.check)));
        all.unverifiable.sort_by(|a, b| (a.cache, &a.subject).cmp(&(b.cache, &b.subject)));
        all
    }

    /// What is to be looked at, the largest first, so that no thread ends long after the others.
    fn items<'s>(&self, scan: &'s ModScan) -> Vec<Item<'s>> {
        let wanted = |v: &&ModVersion| {
            self.only.is_none_or(|only| {
                only.iter().any(|o| o.path == *v.module && o.version == *v.version)
            })
        };
        let mut versions: Vec<&ModVersion> = scan.all_versions().filter(wanted).collect();
        versions.sort_by_key(|v| {
            let size = v.extracted.unwrap_or_default() + v.zip.unwrap_or_default();
            std::cmp::Reverse(size.logical)
        });
        let mut modules: Vec<&str> = versions.iter().map(|v| &*v.module).collect();
        modules.sort_unstable();
        modules.dedup();
        let mut items: Vec<Item<'s>> = Vec::new();
        if self.only.is_none() {
            // Other programs, which take their time.
            items.extend(scan.vcs.iter().filter(|r| r.has_folder).map(Item::Repository));
        }
        items.extend(versions.into_iter().map(Item::Version));
        items.extend(modules.into_iter().map(Item::List));
        items
    }

    fn look(&self, item: &Item<'_>, scratch: &mut Scratch) -> Found {
        match item {
            Item::Version(version) => {
                crate::mod_verify_version::Looking::new(self, version, scratch).run()
            }
            Item::List(module) => self.list(module),
            Item::Repository(repository) => self.repository(repository),
        }
    }

    /// Leftovers, and what the walk could not enter.
    fn rest(&self, scan: &ModScan, all: &mut Verification) {
        // Where the hash of its zip is missing, a folder goes with that.
        let told: Vec<PathBuf> = all
            .bad
            .iter()
            .filter(|bad| bad.check != Check::Leftover)
            .flat_map(|bad| &bad.removes)
            .cloned()
            .collect();
        let untold =
            |leftover: &&Leftover| leftover.target.paths().iter().any(|p| !told.contains(p));
        let free = scan.leftovers.iter().filter(|leftover| !leftover.locked);
        for leftover in free.filter(untold) {
            let removes = leftover.target.paths();
            let path = removes.first().map_or_else(PathBuf::new, |path| self.full(path));
            // A half-made folder is a version, and was counted as one.
            let version = matches!(leftover.target, Target::Version { .. });
            all.checked += u64::from(!version);
            all.bad.push(Bad {
                cache: leftover.cache,
                subject: leftover.subject.clone(),
                check: Check::Leftover,
                expected: "nothing".to_owned(),
                found: leftover.why.to_owned(),
                details: Vec::new(),
                path,
                used_by: Vec::new(),
                removes,
                fixed: false,
            });
        }
        for error in &scan.errors {
            all.checked += 1;
            all.unverifiable.push(Unverifiable {
                cache: CacheKind::Mod,
                subject: error.path.display().to_string(),
                reason: format!("it cannot be read: {}", error.source),
            });
        }
    }

    fn list(&self, module: &str) -> Found {
        let mut found = Found::default();
        let Some(path) = download_folder(module) else { return found };
        let Ok(folder) = self.root.open_path(&path) else { return found };
        match mod_list::compare(&folder, self.meter) {
            Ok(None) => {}
            Ok(Some((expected, is))) => found.bad.push(Bad {
                cache: CacheKind::Mod,
                subject: format!("list of {module}"),
                check: Check::List,
                expected: words(&expected),
                found: words(&is),
                details: Vec::new(),
                path: folder.path().join("list"),
                used_by: Vec::new(),
                removes: Vec::new(),
                fixed: false,
            }),
            Err(error) => found.cannot(
                CacheKind::Mod,
                &format!("list of {module}"),
                format!("it cannot be read: {error}"),
            ),
        }
        found
    }

    /// `git fsck` reads every object and holds it against its name.
    fn repository(&self, repository: &VcsRepo) -> Found {
        let mut found = Found::default();
        let subject = repository.subject();
        let system = repository.system.as_deref().unwrap_or("unknown");
        if !system.starts_with("git") {
            let reason = format!("larder knows no check for repositories of the kind {system}");
            found.cannot(CacheKind::Vcs, subject, reason);
            return found;
        }
        let rel = Path::new("cache/vcs").join(&repository.hash);
        let ran = Command::new("git")
            .args(["fsck", "--no-dangling", "--no-progress"])
            .env("GIT_DIR", self.full(&rel))
            .env("GIT_OPTIONAL_LOCKS", "0")
            .output();
        let output = match ran {
            Ok(output) => output,
            Err(error) => {
                found.cannot(CacheKind::Vcs, subject, format!("git cannot be run: {error}"));
                return found;
            }
        };
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("dubious ownership") {
            found.cannot(CacheKind::Vcs, subject, "git refuses it: it belongs to somebody else");
        } else if !output.status.success() {
            let details: Vec<String> = said.lines().take(8).map(str::to_owned).collect();
            found.bad.push(Bad {
                cache: CacheKind::Vcs,
                subject: subject.to_owned(),
                check: Check::Repository,
                expected: "a whole repository".to_owned(),
                found: details.first().cloned().unwrap_or_else(|| output.status.to_string()),
                details,
                path: self.full(&rel),
                used_by: Vec::new(),
                removes: vec![rel],
                fixed: false,
            });
        }
        found
    }

    pub(crate) fn full(&self, rel: &Path) -> PathBuf {
        self.root.path().join(rel)
    }
}

/// So much of what somebody wrote into a cache is shown, in bytes.
const MOST_SHOWN: usize = 400;

/// What is found may be as long as a file is.
fn brief(text: &mut String) {
    if text.len() > MOST_SHOWN {
        let length = text.len();
        text.truncate(text.floor_char_boundary(MOST_SHOWN));
        *text = format!("{text}… ({length} bytes)");
    }
}

fn count(all: &mut Verification, mut found: Found) {
    found.bad.iter_mut().flat_map(|bad| [&mut bad.expected, &mut bad.found]).for_each(brief);
    found.unverifiable.iter_mut().for_each(|one| brief(&mut one.reason));
    all.checked += 1;
    all.good += u64::from(found.bad.is_empty() && found.unverifiable.is_empty());
    all.bytes_read += found.bytes;
    all.bad.extend(found.bad);
    all.unverifiable.extend(found.unverifiable);
}

/// A list of versions in one line.
fn words(list: &str) -> String {
    list.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The cache that a version belongs to.
pub(crate) fn cache_of(module: &str) -> CacheKind {
    if module == TOOLCHAIN_MODULE { CacheKind::Toolchain } else { CacheKind::Mod }
}

/// The name of a part as text for [`Dir`].
pub(crate) fn os(name: &str) -> &OsStr {
    OsStr::new(name)
}

/// The parts of a version that hold its content.
pub(crate) const CONTENT: [Part; 2] = [Part::Zip, Part::Ziphash];
