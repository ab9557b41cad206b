//! The module cache's part of a verification: what it is held against.
//!
//! Without `--roots` the settings' roots are taken as far as they can be read; folders that were
//! asked for must be readable, so that a check that did not happen is not taken for one.

use std::path::{Path, PathBuf};

use larder_core::{Meter, Verification};
use larder_fs::Dir;
use larder_go::go_sum::GoSum;
use larder_go::mod_verify::{Checksums, ModVerify, ProjectSum};
use larder_go::needs;
use larder_modules::SumDb;

use crate::config::Config;
use crate::error::EngineError;
use crate::net::Net;
use crate::verify::Wanted;
use crate::world::World;

/// So many questions to the checksum database at a time.
const QUESTIONS: usize = 8;

/// Verifies GOMODCACHE.
pub(crate) fn verify(
    world: &World,
    config: &Config,
    wanted: &Wanted,
    dir: &Dir,
    meter: &Meter,
) -> Result<Verification, EngineError> {
    let sums = sums(world, config, wanted, dir)?;
    let database = database(world, config, wanted, dir)?;
    let verify = ModVerify {
        root: dir,
        sums: &sums,
        database: database.as_ref().map(|database| database as &dyn Checksums),
        only: wanted.only.as_deref(),
        // Most of the time goes by waiting for answers.
        threads: if database.is_some() { QUESTIONS } else { 0 },
        meter,
    };
    Ok(verify.run())
}

/// The checksum database, where it shall be asked.
fn database(
    world: &World,
    config: &Config,
    wanted: &Wanted,
    dir: &Dir,
) -> Result<Option<SumDb>, EngineError> {
    if !wanted.sumdb {
        return Ok(None);
    }
    match Net::new(world, config, dir, QUESTIONS)?.database {
        Some(database) => Ok(Some(database)),
        None => Err(EngineError::NoSumDb),
    }
}

/// What the given projects expect, and those of the settings where none are given.
pub(crate) fn sums(
    world: &World,
    config: &Config,
    wanted: &Wanted,
    dir: &Dir,
) -> Result<Vec<ProjectSum>, EngineError> {
    let mut all = Vec::new();
    for project in &wanted.projects {
        all.extend(read(project, &project.display().to_string())?);
    }
    let asked = !wanted.roots.is_empty();
    let roots = if asked { &wanted.roots } else { &config.roots };
    if roots.is_empty() {
        return Ok(all);
    }
    let needs = match needs::needs(roots, dir, &world.go, &Meter::default()) {
        Ok(needs) => needs,
        Err(error) if asked => return Err(error.into()),
        Err(_) => return Ok(all),
    };
    for project in &needs.projects {
        match read(&project.dir, &project.display) {
            Ok(sums) => all.extend(sums),
            Err(error) if asked => return Err(error),
            Err(_) => {}
        }
    }
    Ok(all)
}

/// The go.sum and the go.work.sum of a project, as far as it has them.
fn read(dir: &Path, display: &str) -> Result<Vec<ProjectSum>, EngineError> {
    let mut sums = Vec::new();
    for name in ["go.sum", "go.work.sum"] {
        let path: PathBuf = dir.join(name);
        let content = match std::fs::read(&path) {
            Ok(content) => content,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(source) => return Err(EngineError::Read { path, source }),
        };
        let sum = GoSum::parse(&path, &content)
            .map_err(|source| EngineError::GoSum { path: path.clone(), source })?;
        sums.push(ProjectSum { project: display.to_owned(), sum });
    }
    Ok(sums)
}
