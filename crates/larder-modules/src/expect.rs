//! Which hashes are expected: those of the projects' go.sum files, and of the checksum database
//! where they say nothing (`cmd/go/internal/modfetch/fetch.go`, `checkModSum`).
//!
//! Promises: every go.sum that names a version has to agree, so no project gets what it would
//! refuse; where a project that wants a version does not name it, the checksum database has to
//! vouch for it, as it would have to for that project alone. No go.sum is changed here; what was
//! proven is remembered, so that it can be told which lines one lacks.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use larder_go::go_sum::GoSum;
use larder_go::go_sum_add::SumLine;
use larder_go::h1::H1;
use larder_go::module_path::ModuleVersion;

use crate::fetch::{Expect, Unproven};
use crate::settings::NetSettings;
use crate::sumdb::SumDb;

/// The go.sum files of one project: its own, or those of a workspace and its members.
#[derive(Debug, Default)]
pub struct ProjectSums(pub Vec<GoSum>);

impl ProjectSums {
    fn lists(&self, module: &str, key: &str, hash: &str) -> bool {
        self.0.iter().any(|sum| sum.hashes(module, key).iter().any(|listed| listed == hash))
    }
}

/// What the projects and the checksum database expect; threads share it.
#[derive(Debug)]
pub struct Proof {
    projects: Vec<ProjectSums>,
    /// Which projects want a version, by their number; of others one that lists it is enough.
    wanted_by: HashMap<ModuleVersion, Vec<usize>>,
    settings: NetSettings,
    /// `None` where GOSUMDB is off.
    database: Option<SumDb>,
    /// What was asked for and found right.
    proven: Mutex<HashMap<(ModuleVersion, String), H1>>,
}

impl Proof {
    /// Expects what these go.sum files say.
    pub fn new(projects: Vec<ProjectSums>, settings: NetSettings, database: Option<SumDb>) -> Self {
        let proven = Mutex::default();
        Self { projects, wanted_by: HashMap::new(), settings, database, proven }
    }

    /// From here on, a project that wants a version counts by itself.
    pub fn want(&mut self, module: &ModuleVersion, project: usize) {
        self.wanted_by.entry(module.clone()).or_default().push(project);
    }

    /// The lines that any go.sum has of a version, as a go.sum.
    pub fn lines(&self, module: &ModuleVersion) -> String {
        let mut lines: Vec<String> = Vec::new();
        for sum in self.sums() {
            for key in [module.version.clone(), format!("{}/go.mod", module.version)] {
                let hashes = sum.hashes(&module.path, &key).iter();
                lines.extend(hashes.map(|hash| format!("{} {key} {hash}\n", module.path)));
            }
        }
        lines.sort();
        lines.dedup();
        lines.concat()
    }

    /// The lines of proven hashes that the go command would add to `own`, the go.sum of a project
    /// or the go.work.sum of a workspace. It adds none to the latter that a member has. What only
    /// another project's go.sum vouched for, the checksum database has to vouch for here.
    pub fn lacking(
        &self,
        project: usize,
        own: &Path,
        keys: impl IntoIterator<Item = (ModuleVersion, String)>,
    ) -> Result<Vec<SumLine>, (ModuleVersion, Unproven)> {
        let mut lines = Vec::new();
        for (module, key) in keys {
            let proven = self.proven.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(found) = proven.get(&(module.clone(), key.clone())).copied() else { continue };
            drop(proven);
            let hash = found.to_string();
            let has = |sum: &GoSum| {
                let hashes = sum.hashes(&module.path, &key);
                if sum.path() == own { hashes.contains(&hash) } else { !hashes.is_empty() }
            };
            if self.projects.get(project).is_none_or(|project| project.0.iter().any(has)) {
                continue;
            }
            if self.settings.needs_checksum_database(&module.path)
                && let Err(why) = self.is_in_database(&module, &key, &hash)
            {
                return Err((module, why));
            }
            lines.push(SumLine { module: module.path, version: key, hash: found });
        }
        Ok(lines)
    }

    fn sums(&self) -> impl Iterator<Item = &GoSum> {
        self.projects.iter().flat_map(|project| &project.0)
    }

    fn is_listed(&self, module: &ModuleVersion, key: &str, hash: &str) -> bool {
        match self.wanted_by.get(module) {
            Some(projects) => projects
                .iter()
                .filter_map(|number| self.projects.get(*number))
                .all(|project| project.lists(&module.path, key, hash)),
            None => self.projects.iter().any(|project| project.lists(&module.path, key, hash)),
        }
    }
}

impl Expect for Proof {
    fn check(&self, module: &ModuleVersion, key: &str, found: H1) -> Result<(), Unproven> {
        let hash = found.to_string();
        for sum in self.sums() {
            if let Some(expected) = sum.contradicts(&module.path, key, found) {
                return Err(Unproven::Mismatch {
                    by: sum.path().display().to_string(),
                    expected: expected.to_owned(),
                    found: hash,
                });
            }
        }
        if self.settings.needs_checksum_database(&module.path)
            && !self.is_listed(module, key, &hash)
        {
            self.is_in_database(module, key, &hash)?;
        }
        let mut proven = self.proven.lock().unwrap_or_else(PoisonError::into_inner);
        proven.insert((module.clone(), key.to_owned()), found);
        Ok(())
    }
}

impl Proof {
    fn is_in_database(
        &self,
        module: &ModuleVersion,
        key: &str,
        hash: &str,
    ) -> Result<(), Unproven> {
        let Some(database) = &self.database else {
            return Err(Unproven::Unknown("GOSUMDB=off, and no go.sum can list it".to_owned()));
        };
        let lines = database.lookup(&module.path, key).map_err(|error| {
            if error.is_security() {
                Unproven::Security(error.to_string())
            } else {
                Unproven::Unknown(error.to_string())
            }
        })?;
        let prefix = format!("{} {key} ", module.path);
        let mut hashes = lines.iter().filter_map(|line| line.strip_prefix(&prefix));
        if hashes.clone().any(|listed| listed == hash) {
            return Ok(());
        }
        match hashes.find(|listed| listed.starts_with("h1:")) {
            Some(expected) => Err(Unproven::Mismatch {
                by: database.name().to_owned(),
                expected: expected.to_owned(),
                found: hash.to_owned(),
            }),
            None => {
                let why = format!("checksum database {} has no h1: hash of it", database.name());
                Err(Unproven::Unknown(why))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn expected(files: &[(&str, &str)], gosumdb: &str) -> Proof {
        let projects = files.iter().map(|(path, text)| {
            ProjectSums(vec![GoSum::parse(Path::new(path), text.as_bytes()).unwrap()])
        });
        let settings = NetSettings {
            gosumdb: gosumdb.to_owned(),
            goproxy: "https://p.example".to_owned(),
            ..NetSettings::default()
        };
        Proof::new(projects.collect(), settings, None)
    }

    #[test]
    fn every_go_sum_has_to_agree() {
        let (module, hash) = (ModuleVersion::new("a.test/m", "v1.0.0"), H1::of_go_mod(b"one"));
        let line = format!("a.test/m v1.0.0 {hash}\n");
        let other = format!("a.test/m v1.0.0 {}\n", H1::of_go_mod(b"two"));
        assert_eq!(expected(&[("1", &line)], "off").check(&module, "v1.0.0", hash), Ok(()));
        let mixed = expected(&[("1", &line), ("2", &other)], "off");
        let wrong = mixed.check(&module, "v1.0.0", hash).unwrap_err();
        assert!(matches!(wrong, Unproven::Mismatch { by, .. } if by == "2"));
    }

    #[test]
    fn who_does_not_list_it_needs_the_database() {
        let (module, hash) = (ModuleVersion::new("a.test/m", "v1.0.0"), H1::of_go_mod(b"one"));
        let line = format!("a.test/m v1.0.0 {hash}\n");
        let mut sums = expected(&[("1", &line), ("2", "")], "some.example");
        assert_eq!(sums.check(&module, "v1.0.0", hash), Ok(()), "one that lists it is enough");
        sums.want(&module, 0);
        assert_eq!(sums.check(&module, "v1.0.0", hash), Ok(()));
        sums.want(&module, 1);
        let unknown = sums.check(&module, "v1.0.0", hash).unwrap_err();
        assert!(matches!(unknown, Unproven::Unknown(_)));
    }

    #[test]
    fn only_what_was_proven_for_this_project_is_added() {
        let (module, hash) = (ModuleVersion::new("a.test/m", "v1.0.0"), H1::of_go_mod(b"one"));
        let line = format!("a.test/m v1.0.0 {hash}\n");
        let keys = || vec![(module.clone(), "v1.0.0".to_owned())];
        let lacking = |sums: &Proof, number| sums.lacking(number, Path::new("2"), keys());
        let open = expected(&[("1", &line), ("2", "")], "off");
        assert_eq!(lacking(&open, 1), Ok(Vec::new()), "nobody looked at it");
        open.check(&module, "v1.0.0", hash).unwrap();
        assert_eq!(lacking(&open, 1).unwrap().len(), 1);
        assert_eq!(lacking(&open, 0), Ok(Vec::new()), "a member of the workspace has it");
        let strict = expected(&[("1", &line), ("2", "")], "some.example");
        strict.check(&module, "v1.0.0", hash).unwrap();
        assert!(lacking(&strict, 1).is_err(), "the database has to vouch for it");
    }

    #[test]
    fn lines_of_a_version_are_gathered() {
        let sums = expected(
            &[
                ("1", "a.test/m v1.0.0 h1:x\nb.test v1.0.0 h1:y\n"),
                ("2", "a.test/m v1.0.0/go.mod h1:z\n"),
            ],
            "off",
        );
        let lines = sums.lines(&ModuleVersion::new("a.test/m", "v1.0.0"));
        assert_eq!(lines, "a.test/m v1.0.0 h1:x\na.test/m v1.0.0/go.mod h1:z\n");
    }
}
