//! Undo: the trashes of both roots as one.

use std::time::Duration;

use larder_core::Meter;
use larder_fs::trash::{Emptied, Listed, Trash, TrashError};
use larder_fs::{Restored, clock};

use crate::config::Config;
use crate::world::World;

/// The trashes of the two roots, each home once.
fn trashes(world: &World, config: &Config) -> Vec<Trash> {
    let mut trashes: Vec<Trash> = Vec::new();
    for root in [&world.gocache, &world.gomodcache] {
        if root.path.as_os_str().is_empty() {
            continue;
        }
        let trash = Trash::beside(&root.path, &config.state).waiting(config.wait);
        if !trashes.iter().any(|other| other.home() == trash.home()) {
            trashes.push(trash);
        }
    }
    trashes
}

/// Every entry, the newest first.
pub fn list(world: &World, config: &Config, meter: &Meter) -> Result<Vec<Listed>, TrashError> {
    let mut entries: Vec<Listed> = Vec::new();
    for trash in trashes(world, config) {
        for entry in trash.list(meter)? {
            if !entries.iter().any(|other| other.folder == entry.folder) {
                entries.push(entry);
            }
        }
    }
    entries.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.folder.cmp(&b.folder)));
    Ok(entries)
}

/// Puts back what has this id, in both roots.
pub fn restore(
    world: &World,
    config: &Config,
    id: &str,
    replace: bool,
    meter: &Meter,
) -> Result<Restored, TrashError> {
    let mut all: Option<Restored> = None;
    let mut missing = None;
    for trash in trashes(world, config) {
        match trash.restore(id, replace, clock::now(), meter) {
            Ok(done) => match &mut all {
                Some(all) => all.merge(done),
                None => all = Some(done),
            },
            Err(error @ TrashError::NotFound { .. }) => missing = Some(error),
            Err(error) => return Err(error),
        }
    }
    match (all, missing) {
        (Some(all), _) => Ok(all),
        (None, Some(error)) => Err(error),
        (None, None) => Err(TrashError::NotFound { id: id.to_owned() }),
    }
}

/// Removes entries of at least this age for good; all where none is given.
pub fn empty(
    world: &World,
    config: &Config,
    older_than: Option<Duration>,
    meter: &Meter,
) -> Result<Vec<Emptied>, TrashError> {
    let mut emptied = Vec::new();
    for trash in trashes(world, config) {
        emptied.extend(trash.empty(older_than, clock::now(), meter)?);
    }
    Ok(emptied)
}

/// Removes entries whose time is over, for good. Nothing is said of what fails: the next run
/// tries again.
pub fn expire(world: &World, config: &Config, meter: &Meter) {
    for trash in trashes(world, config) {
        let _ = trash.expire(clock::now(), meter);
    }
}
