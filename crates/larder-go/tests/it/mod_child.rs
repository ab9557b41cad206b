//! The removal as a process of its own, which others can stop, kill, or run without rights.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use larder_core::{CacheKind, Meter};
use larder_fs::{Dir, Disposal};

use crate::mod_support::{item_of, remove_in, remover, scan_of};

const WHAT: &str = "LARDER_TEST_CHILD";
const ROOT: &str = "LARDER_TEST_ROOT";

/// Adds to `command`, which runs this very test binary, what makes it act.
pub(crate) fn arm<'a>(command: &'a mut Command, what: &str, root: &Path) -> &'a mut Command {
    command
        .args(["--exact", "mod_child::acts_when_asked_to", "--nocapture", "--test-threads=1"])
        .env(WHAT, what)
        .env(ROOT, root)
}

pub(crate) fn run(command: &mut Command, what: &str, root: &Path) -> Output {
    arm(command, what, root).output().unwrap()
}

#[test]
fn acts_when_asked_to() {
    let (Some(what), Some(root)) = (env::var_os(WHAT), env::var_os(ROOT)) else { return };
    let (what, root) = (what.into_string().unwrap(), PathBuf::from(root));
    if what == "clean" {
        let (dir, meter) = (Dir::open_root(&root).unwrap(), Meter::default());
        let cleaned =
            remover(&dir, &Disposal::Delete, Duration::ZERO, &meter).clean(CacheKind::Mod, &[]);
        assert!(cleaned.errors.is_empty() && cleaned.left.is_empty(), "{cleaned:?}");
        return;
    }
    for unit in larder_go::mod_units::units(&scan_of(&root), &[]) {
        if unit.subject == what {
            remove_in(&root, &item_of(&unit), Duration::from_secs(10)).unwrap();
        }
    }
}
