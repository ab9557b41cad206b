//! `larder/download/1`.

use larder_engine::download::{Failure, Report};
use larder_go::module_path::ModuleVersion;
use larder_modules::Fetched;
use schemars::JsonSchema;
use serde::Serialize;

use crate::wire::{Document, path_text};

/// What projects need, fetched into the module cache.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct DownloadDoc {
    schema: &'static str,
    /// GOMODCACHE.
    path: String,
    /// The projects that were found.
    projects: Vec<WireProject>,
    /// Versions that are in the cache now and were not, or not whole.
    fetched: Vec<WireFetched>,
    /// Versions that were there already.
    present: Vec<WireVersion>,
    /// Versions of which only the go.mod was fetched, for the module graph.
    go_mods: Vec<WireVersion>,
    /// go.sum and go.work.sum files that lines were added to, as the go command adds them.
    sums: Vec<WireSums>,
    /// What is not in the cache, with the error.
    failed: Vec<WireFailure>,
    /// Bytes that came in, those of tries that failed too.
    bytes: u64,
    /// From the first look to the last file.
    duration_seconds: f64,
    /// Whether nobody stopped it.
    complete: bool,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireProject {
    /// Its folder, or its go.work.
    project: String,
    /// How many versions it needs.
    versions: u64,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireVersion {
    module: String,
    version: String,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireFetched {
    module: String,
    version: String,
    /// `proxy`, `cache` (unpacked from a zip that was there) or `direct` (by the go command).
    from: &'static str,
    /// The zip's size; null where it did not come from a proxy.
    bytes: Option<u64>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireSums {
    /// The file.
    path: String,
    /// How many lines.
    added: u64,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireFailure {
    /// `module@version`, a project or a go.sum file.
    subject: String,
    /// `mismatch`, `unreachable` or `other`.
    kind: &'static str,
    /// In one sentence.
    error: String,
}

impl Document for DownloadDoc {
    const SCHEMA: &'static str = "larder/download/1";
}

impl From<&Report> for DownloadDoc {
    fn from(report: &Report) -> Self {
        let present = report.done.iter().filter(|(_, how)| *how == Fetched::Present);
        Self {
            schema: Self::SCHEMA,
            path: path_text(&report.path),
            projects: report
                .projects
                .iter()
                .map(|(project, versions)| WireProject {
                    project: project.clone(),
                    versions: *versions as u64,
                })
                .collect(),
            fetched: report.fetched().map(WireFetched::from).collect(),
            present: present.map(|(module, _)| module.into()).collect(),
            go_mods: report.go_mods.iter().map(WireVersion::from).collect(),
            sums: report
                .sums
                .iter()
                .map(|(path, added)| WireSums { path: path_text(path), added: *added as u64 })
                .collect(),
            failed: report.failed.iter().map(WireFailure::from).collect(),
            bytes: report.bytes,
            duration_seconds: report.took.as_secs_f64(),
            complete: report.complete,
        }
    }
}

impl From<&ModuleVersion> for WireVersion {
    fn from(module: &ModuleVersion) -> Self {
        Self { module: module.path.clone(), version: module.version.clone() }
    }
}

impl From<&(ModuleVersion, Fetched)> for WireFetched {
    fn from((module, how): &(ModuleVersion, Fetched)) -> Self {
        let (from, bytes) = match how {
            Fetched::Downloaded(bytes) => ("proxy", Some(*bytes)),
            Fetched::Direct => ("direct", None),
            Fetched::Unpacked | Fetched::Present => ("cache", None),
        };
        Self { module: module.path.clone(), version: module.version.clone(), from, bytes }
    }
}

impl From<&Failure> for WireFailure {
    fn from(failure: &Failure) -> Self {
        let Failure { subject, error, kind } = failure;
        Self { subject: subject.clone(), kind: kind.name(), error: error.clone() }
    }
}
