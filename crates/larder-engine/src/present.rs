//! What is there to be built from: module versions, Go versions, project folders.

use std::collections::HashSet;
use std::path::PathBuf;

use larder_core::Meter;
use larder_go::mod_scan::{self, Contents, ModScan, ScanOptions};
use larder_go::mod_units::toolchain_name;
use larder_go::needs::Project;

use crate::status::Examined;
use crate::world::World;

/// What the module cache and the Go installation hold.
#[derive(Debug, Default)]
pub(crate) struct Present {
    versions: HashSet<(String, String)>,
    /// Go versions with the word, as `go1.22.3`.
    go: HashSet<String>,
}

impl Present {
    /// From a scan that was made.
    pub(crate) fn new(world: &World, modules: Option<&ModScan>) -> Self {
        let mut present = Self::default();
        present.go.extend(world.go.local_go_version.iter().map(|version| format!("go{version}")));
        let Some(modules) = modules else { return present };
        for version in &modules.versions {
            if version.is_complete() || version.zip.is_some() {
                present.versions.insert((version.module.to_string(), version.version.to_string()));
            }
        }
        let toolchains = modules.toolchains.iter().filter(|t| t.is_complete());
        present.go.extend(toolchains.filter_map(|t| Some(toolchain_name(&t.version)?.to_owned())));
        present
    }

    /// From a scan of its own.
    pub(crate) fn scan(world: &World, meter: &Meter) -> Self {
        let scan = world.gomodcache.dir().map(|d| {
            mod_scan::scan(d, ScanOptions { contents: Contents::Whether, threads: 0, meter })
        });
        Self::new(world, scan.as_ref())
    }

    /// Whether this module version can be read or extracted.
    pub(crate) fn has_version(&self, module: &str, version: &str) -> bool {
        self.versions.contains(&(module.to_owned(), version.to_owned()))
    }

    /// Whether this Go version is installed or in the module cache; `go1.22.3`.
    pub(crate) fn has_go(&self, version: &str) -> bool {
        self.go.contains(version)
    }

    /// Whether all that a project needs, and that was there before, is there.
    pub(crate) fn holds_all_of(&self, project: &Project, before: &Self) -> bool {
        let mut needed = project.needed.iter();
        needed.all(|m| {
            self.has_version(&m.path, &m.version) || !before.has_version(&m.path, &m.version)
        })
    }
}

/// Where the source of a package of one of the projects lies.
pub(crate) fn source_of(examined: &Examined<'_>, package: &str) -> Option<PathBuf> {
    let projects = &examined.needs.as_ref()?.projects;
    let with_module = projects.iter().filter_map(|p| Some((p.module.as_deref()?, &p.dir)));
    with_module
        .filter_map(|(module, dir)| {
            let rest = package.strip_prefix(module)?;
            (rest.is_empty() || rest.starts_with('/'))
                .then(|| (module.len(), dir.join(rest.trim_start_matches('/'))))
        })
        .max_by_key(|(length, _)| *length)
        .map(|(_, dir)| dir)
}
