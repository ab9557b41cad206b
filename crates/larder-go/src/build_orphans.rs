//! Outputs that no build of this machine will ask for again, since what they were built from is
//! gone: the module version, the Go version or the project's folder.
//!
//! Promises: what is not surely gone is no orphan. An output goes at the most too late, and what
//! is wrongly taken for one is compiled again. Leaves out: outputs whose owner is not told, or
//! that several share.
//!
//! Only absence is evidence, and a disk that is not mounted looks like absence. So a folder is
//! taken for gone only where the nearest folder above it that is still there could have held it:
//! one that is not empty (as the place for a mount is), is not the root of all, and is not one
//! in which disks are mounted (`/mnt`, `/media/…`, `/Volumes`). A package's folder that went out
//! of a project which still stands is not gone: another branch brings it back.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use larder_core::{BuildInventory, OutputRef};

use crate::build_origin::Origin;
use crate::build_owner::{Owner, Owners};

/// What is on this machine.
pub struct Present<'a> {
    /// Whether GOMODCACHE has a module version, extracted or as a zip.
    pub module: &'a dyn Fn(&str, &str) -> bool,
    /// Whether a Go version is installed; asked only where a version is told.
    pub go: &'a dyn Fn(&str) -> bool,
    /// Whether a folder is surely gone: [`surely_gone`].
    pub gone: &'a dyn Fn(&Path) -> bool,
}

/// The orphans, each with the phrase that says what is gone.
pub fn orphans(
    inventory: &BuildInventory,
    owners: &Owners,
    present: &Present<'_>,
) -> HashMap<OutputRef, Box<str>> {
    let phrases: Vec<Option<Box<str>>> =
        owners.all().iter().map(|owner| phrase(owner, present)).collect();
    inventory
        .outputs()
        .filter_map(|(place, _)| Some((place, phrases[owners.number(place)].clone()?)))
        .collect()
}

fn phrase(owner: &Owner, present: &Present<'_>) -> Option<Box<str>> {
    match &owner.origin {
        Origin::Shared | Origin::Unknown => return None,
        Origin::Module { elsewhere: Some(folder), .. } if (present.gone)(folder) => {
            return Some(format!("its module's folder {} is gone", folder.display()).into());
        }
        Origin::Module { path, version, elsewhere: None } if !(present.module)(path, version) => {
            return Some(format!("{path}@{version} is no longer in the module cache").into());
        }
        Origin::Project { folder, .. } if (present.gone)(folder) => {
            return Some(format!("its project's folder {} is gone", folder.display()).into());
        }
        Origin::Std | Origin::Trimmed | Origin::Module { .. } | Origin::Project { .. } => {}
    }
    let go = &*owner.go;
    // Between releases nobody can tell whether the same build is still there.
    let release = go.starts_with("go1") && !go.contains(['-', ' ', '+']);
    (release && !(present.go)(go))
        .then(|| format!("{go}, which made it, is no longer installed").into())
}

/// Whether a folder is gone for good, not just not mounted. See the head of this module.
pub fn surely_gone(folder: &Path) -> bool {
    if fs::symlink_metadata(folder).is_ok() {
        return false;
    }
    let above = folder.ancestors().skip(1).find(|above| fs::symlink_metadata(above).is_ok());
    let Some(above) = above else { return false };
    if above.parent().is_none() || holds_mounts(above) {
        return false;
    }
    // A project that still stands, and has lost this package's folder.
    if above.ancestors().any(|above| above.join("go.mod").is_file()) {
        return false;
    }
    fs::read_dir(above).is_ok_and(|mut entries| entries.next().is_some())
}

fn holds_mounts(folder: &Path) -> bool {
    const WHOLE: [&str; 9] =
        ["/mnt", "/media", "/run/media", "/Volumes", "/net", "/nfs", "/autofs", "/home", "/Users"];
    const BY_USER: [&str; 2] = ["/media", "/run/media"];
    WHOLE.iter().any(|place| folder == Path::new(place))
        || folder.parent().is_some_and(|p| BY_USER.iter().any(|place| p == Path::new(place)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_surely_gone_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("src/other")).unwrap();
        fs::create_dir_all(at("mount")).unwrap();
        fs::create_dir_all(at("project/inner")).unwrap();
        fs::write(at("project/go.mod"), "module m\n").unwrap();
        assert!(!surely_gone(&at("src/other")), "it is there");
        assert!(surely_gone(&at("src/project")), "its folder stands and it is not in it");
        assert!(surely_gone(&at("src/project/internal/a")));
        assert!(!surely_gone(&at("mount/project")), "a place for a mount is empty");
        assert!(!surely_gone(&at("project/gone")), "the project still stands");
        assert!(!surely_gone(Path::new("/no-such-disk-of-larder/project")));
        assert!(!surely_gone(Path::new("/mnt/no-such-disk-of-larder/project")));
    }
}
