//! The module cache's part of a verification: what it is held against.
//!
//! Without `--roots` the settings' roots are taken as far as they can be read; folders that were
//! asked for must be readable, so that a check that did not happen is not taken for one.

use larder_core::{Meter, Verification};
use larder_fs::Dir;
use larder_go::go_sum::GoSum;
use larder_go::mod_verify::{Checksums, ModVerify, ProjectSum};
use larder_go::needs;
use larder_modules::SumDb;

use crate::config::Config;
use crate::error::EngineError;
use crate::net::Net;
use crate::project_sums;
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
    for folder in &wanted.projects {
        let display = folder.display().to_string();
        for name in ["go.sum", "go.work.sum"] {
            let sum = GoSum::read(&folder.join(name))?;
            all.extend(sum.map(|sum| ProjectSum { project: display.clone(), sum }));
        }
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
        let sums = match project_sums::read(project) {
            Ok(sums) => sums,
            Err(error) if asked => return Err(error.into()),
            Err(_) => continue,
        };
        let display = &project.display;
        all.extend(sums.into_iter().map(|sum| ProjectSum { project: display.clone(), sum }));
    }
    Ok(all)
}
