//! What a download adds to go.sum files: exactly the lines that `go mod download` adds, at its times
//! (`cmd/go/internal/modcmd/download.go`).
//!
//! Promises: a line is added only where its hash was looked at in this run and agrees with what
//! this project's go.sum files and the checksum database say; where the module graph is not whole
//! nothing is added, as go stops there too.

use std::path::Path;
use std::time::Duration;

use larder_core::Meter;
use larder_fs::Dir;
use larder_go::go_sum_add;
use larder_go::module_path::ModuleVersion;
use larder_go::needs::{Adds, Project};
use larder_modules::Proof;

use crate::download::{Failure, FailureKind, Report, kind_of};
use crate::error::chain;

/// What adding needs.
pub(crate) struct Sums<'a> {
    pub(crate) proof: &'a Proof,
    /// GOMODCACHE, whose lock is taken.
    pub(crate) modcache: &'a Dir,
    /// How long to wait for it.
    pub(crate) wait: Duration,
    pub(crate) meter: &'a Meter,
}

impl Sums<'_> {
    /// The go.mod files of the graph, for projects by themselves. `projects` carry the numbers
    /// that the proof knows them by.
    pub(crate) fn after_graph(&self, projects: &[(usize, &Project)], report: &mut Report) {
        let of = projects.iter().filter(|(_, project)| project.adds == Adds::GoMods);
        for &(number, project) in of.filter(|(_, project)| project.missing.is_empty()) {
            self.add(number, project, go_mods(&project.graph), report);
        }
    }

    /// Everything, for workspaces all of which was downloaded.
    pub(crate) fn after_all(&self, projects: &[(usize, &Project)], report: &mut Report) {
        let of = projects.iter().filter(|(_, project)| project.adds == Adds::Everything);
        for &(number, project) in of.filter(|(_, project)| project.missing.is_empty()) {
            let there = |module| report.done.binary_search_by(|(done, _)| done.cmp(module)).is_ok();
            if !project.downloads.iter().all(there) {
                continue;
            }
            let mut keys = go_mods(&project.graph);
            keys.extend(go_mods(&project.downloads));
            let whole = |module: &ModuleVersion| (module.clone(), module.version.clone());
            keys.extend(project.downloads.iter().map(whole));
            self.add(number, project, keys, report);
        }
    }

    fn add(
        &self,
        number: usize,
        project: &Project,
        keys: Vec<(ModuleVersion, String)>,
        report: &mut Report,
    ) {
        let Some(own) = project.sums.first() else { return };
        let fail = |report: &mut Report, error: String, kind| {
            report.failed.push(Failure { subject: own.display().to_string(), error, kind });
        };
        let lines = match self.proof.lacking(number, own, keys) {
            Ok(lines) => lines,
            Err((module, why)) => {
                return fail(report, format!("{module}: {why}"), kind_of(&why));
            }
        };
        match go_sum_add::add(own, &lines, self.modcache, self.wait, self.meter) {
            Ok(0) => {}
            Ok(added) => report.sums.push((Path::to_owned(own), added)),
            Err(error) => {
                let kind = match error {
                    go_sum_add::AddError::Contradicted { .. } => FailureKind::Mismatch,
                    _ => FailureKind::Other,
                };
                fail(report, chain(&error), kind);
            }
        }
    }
}

fn go_mods(modules: &[ModuleVersion]) -> Vec<(ModuleVersion, String)> {
    let key = |module: &ModuleVersion| (module.clone(), format!("{}/go.mod", module.version));
    modules.iter().map(key).collect()
}
