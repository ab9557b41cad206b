//! Download in one page: what projects need → what is missing → fetched, proven, put in place.
//!
//! Which versions: those that `go mod download` without arguments fetches in each project
//! (`cmd/go/internal/modcmd/download.go`), and the toolchains that the projects select. go.sum
//! files are never changed to fit what was found; lines that they lack are added where the go
//! command adds them (`download_sums.rs`).

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use larder_core::Meter;
use larder_fs::Dir;
use larder_go::go_sum::ReadError;
use larder_go::module_path::ModuleVersion;
use larder_go::needs::{self, FetchGoMod, Needs, NeedsError, Project};
use larder_go::toolchain;
use larder_modules::{
    FetchError, Fetched, Fetcher, ProjectSums, Proof, Unproven, VersionError, download,
};

use crate::config::Config;
use crate::download_sums::Sums;
use crate::error::{EngineError, chain};
use crate::net::{Net, NetError, most_jobs};
use crate::project_sums;
use crate::world::World;

/// What is to be downloaded.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Folders with projects.
    pub roots: Vec<PathBuf>,
    /// Versions at a time; `None` and anything above mean [`most_jobs`].
    pub jobs: Option<usize>,
}

/// What a download did.
#[derive(Debug, Default)]
pub struct Report {
    /// GOMODCACHE.
    pub path: PathBuf,
    /// The projects, and how many versions each needs.
    pub projects: Vec<(String, usize)>,
    /// What is in the cache now, sorted.
    pub done: Vec<(ModuleVersion, Fetched)>,
    /// `.mod` files that were fetched for the module graph alone, sorted.
    pub go_mods: Vec<ModuleVersion>,
    /// go.sum and go.work.sum files, and how many lines were added to each.
    pub sums: Vec<(PathBuf, usize)>,
    /// What is not, sorted.
    pub failed: Vec<Failure>,
    /// Bytes that came in.
    pub bytes: u64,
    /// From the first look to the last file.
    pub took: Duration,
    /// Whether nobody stopped it.
    pub complete: bool,
}

/// Something that was not downloaded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Failure {
    /// `module@version`, a project or a go.sum file.
    pub subject: String,
    /// In one sentence.
    pub error: String,
    /// Of which kind.
    pub kind: FailureKind,
}

/// What a failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// It is not what go.sum or the checksum database says.
    Mismatch,
    /// Nobody answered.
    Unreachable,
    /// Not there, refused, or not to be written.
    Other,
}

impl FailureKind {
    /// In one word, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mismatch => "mismatch",
            Self::Unreachable => "unreachable",
            Self::Other => "other",
        }
    }
}

/// Why nothing was downloaded at all.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// No cache, or projects that cannot be read.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// GOPROXY or GOSUMDB cannot be used.
    #[error(transparent)]
    Net(#[from] NetError),
    /// A go.sum cannot be read or understood.
    #[error(transparent)]
    GoSum(#[from] ReadError),
    /// The cache cannot be made.
    #[error("cannot use {}", path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl From<NeedsError> for DownloadError {
    fn from(error: NeedsError) -> Self {
        Self::Engine(error.into())
    }
}

/// Whether the projects and the network's settings can be read at all, before anything is removed
/// or fetched. Nothing is written.
pub fn check(
    world: &World,
    config: &Config,
    roots: &[PathBuf],
    meter: &Meter,
) -> Result<(), DownloadError> {
    let Some(dir) = world.gomodcache.to_act_on()? else { return Ok(()) };
    Net::new(world, config, dir, 1)?;
    let found = needs::needs_of_download(roots, dir, &world.go, None, meter)?;
    for project in &found.projects {
        project_sums::read(project)?;
    }
    Ok(())
}

/// Downloads what the projects below the folders need.
pub fn run(
    world: &World,
    config: &Config,
    wanted: &Wanted,
    meter: &Meter,
) -> Result<Report, DownloadError> {
    let started = Instant::now();
    let dir = open(world)?;
    // Once without the network: what cannot be parsed is found before anything is fetched.
    let first = needs::needs_of_download(&wanted.roots, &dir, &world.go, None, meter)?;
    let sums = first.projects.iter().map(|project| project_sums::read(project).map(ProjectSums));
    let sums = sums.collect::<Result<_, _>>()?;
    let most = most_jobs(world);
    let jobs = wanted.jobs.map_or(most, |jobs| jobs.clamp(1, most));
    let mut net = Net::new(world, config, &dir, jobs)?;
    let mut proof = Proof::new(sums, net.settings.clone(), net.database.take());
    let mut report = Report { path: dir.path().to_owned(), ..Report::default() };
    let needs = {
        let fetcher = net.fetcher(&dir, &proof, LOCK_WAIT, meter);
        graph(&fetcher, (world, wanted), &dir, &mut report, meter)?
    };
    // The numbers are those of the first look, whatever was added meanwhile.
    let numbered: Vec<(usize, &Project)> = needs
        .projects
        .iter()
        .filter_map(|project| {
            let same = |p: &Project| p.dir == project.dir && p.display == project.display;
            Some((first.projects.iter().position(same)?, project))
        })
        .collect();
    let mut versions: Vec<ModuleVersion> = toolchains(world, &needs);
    for &(number, project) in &numbered {
        for module in &project.downloads {
            proof.want(module, number);
        }
        versions.extend(project.downloads.iter().cloned());
        report.projects.push((project.display.clone(), project.downloads.len()));
    }
    versions.sort();
    versions.dedup();
    let sums = Sums { proof: &proof, modcache: &dir, wait: config.wait, meter };
    sums.after_graph(&numbered, &mut report);
    let all = download(&net.fetcher(&dir, &proof, LOCK_WAIT, meter), &versions, jobs);
    report.done = all.done;
    report.fail(all.failed);
    sums.after_all(&numbered, &mut report);
    report.bytes = meter.bytes();
    report.complete = !meter.stopped();
    report.failed.sort();
    report.failed.dedup();
    report.took = started.elapsed();
    Ok(report)
}

/// A download of another version may hold a lock for as long as its network takes.
const LOCK_WAIT: Duration = Duration::from_hours(1);

impl Report {
    fn fail(&mut self, failed: Vec<(ModuleVersion, VersionError)>) {
        let told = failed.into_iter().filter(|(_, error)| !error.is_stop());
        self.failed.extend(told.map(|(module, error)| Failure {
            subject: module.to_string(),
            kind: kind(&error),
            error: chain(&error),
        }));
    }

    /// Of what is in the cache now, what was not there before.
    pub fn fetched(&self) -> impl Iterator<Item = &(ModuleVersion, Fetched)> {
        self.done.iter().filter(|(_, how)| *how != Fetched::Present)
    }
}

pub(crate) fn kind_of(why: &Unproven) -> FailureKind {
    match why {
        Unproven::Unknown(_) => FailureKind::Unreachable,
        Unproven::Mismatch { .. } | Unproven::Security(_) => FailureKind::Mismatch,
    }
}

fn kind(error: &VersionError) -> FailureKind {
    match error {
        VersionError::Unproven { why, .. } => kind_of(why),
        VersionError::Fetch(FetchError::Unreachable { .. }) => FailureKind::Unreachable,
        _ => FailureKind::Other,
    }
}

/// Follows the module graphs, `.mod` files fetched on the way.
fn graph(
    fetcher: &Fetcher<'_>,
    (world, wanted): (&World, &Wanted),
    dir: &Dir,
    report: &mut Report,
    meter: &Meter,
) -> Result<Needs, DownloadError> {
    let go_mods = GoMods { fetcher, done: Mutex::default() };
    let needs = needs::needs_of_download(&wanted.roots, dir, &world.go, Some(&go_mods), meter)?;
    let done = go_mods.done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut told: Vec<String> = Vec::new();
    for (module, answer) in done {
        match answer {
            Ok(true) => report.go_mods.push(module),
            Ok(false) => {}
            Err(error) => {
                told.push(chain(&error));
                report.fail(vec![(module, error)]);
            }
        }
    }
    report.go_mods.sort();
    for project in &needs.projects {
        let untold = project.missing.iter().filter(|why| !told.contains(*why));
        report.failed.extend(untold.map(|why| Failure {
            subject: project.display.clone(),
            error: why.clone(),
            kind: FailureKind::Other,
        }));
    }
    Ok(needs)
}

/// Fetches `.mod` files and remembers how that went.
struct GoMods<'a> {
    fetcher: &'a Fetcher<'a>,
    /// Each with whether it came from elsewhere.
    done: Mutex<Vec<(ModuleVersion, Result<bool, VersionError>)>>,
}

impl FetchGoMod for GoMods<'_> {
    fn fetch(&self, module: &ModuleVersion) -> Result<Vec<u8>, String> {
        let (answer, record) = match self.fetcher.go_mod(module) {
            Ok((text, fetched)) => (Ok(text), Ok(fetched)),
            Err(error) => (Err(chain(&error)), Err(error)),
        };
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.push((module.clone(), record));
        answer
    }
}

/// GOMODCACHE, made where it is missing.
fn open(world: &World) -> Result<Dir, DownloadError> {
    let root = &world.gomodcache;
    root.to_act_on()?;
    let failed = |source| DownloadError::Io { path: root.path.clone(), source };
    std::fs::create_dir_all(&root.path).map_err(failed)?;
    Dir::open_root(&root.path).map_err(failed)
}

/// The toolchains that the go command would fetch here (`cmd/go/internal/toolchain/select.go`).
fn toolchains(world: &World, needs: &Needs) -> Vec<ModuleVersion> {
    let setting = world.go.gotoolchain.value.as_str();
    let switches = setting == "auto" || setting.ends_with("+auto");
    if setting.is_empty() || matches!(setting, "local" | "path") || setting.ends_with("+path") {
        return Vec::new();
    }
    let local = world.go.local_go_version.as_deref();
    let (os, arch) = platform();
    needs
        .toolchains
        .iter()
        .map(|need| need.name.as_str())
        .filter(|name| switches || *name == setting)
        .filter(|name| name.strip_prefix("go") != local)
        .map(|name| ModuleVersion::new(toolchain::MODULE, format!("v0.0.1-{name}.{os}-{arch}")))
        .collect()
}

/// GOHOSTOS and GOHOSTARCH.
fn platform() -> (&'static str, &'static str) {
    let os = match std::env::consts::OS {
        "macos" => "darwin",
        os => os,
    };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "loongarch64" => "loong64",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        "powerpc64" => "ppc64",
        arch => arch,
    };
    (os, arch)
}
