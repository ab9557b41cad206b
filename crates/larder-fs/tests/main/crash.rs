//! A kill at every step of what the trash does, followed by the larder that comes next.
//!
//! `strace` kills a role just before the n-th call of one kind, for every kind and every n, until
//! the role gets through. Whatever was in the cache is in the cache or in the trash at every
//! moment, and restoring makes the cache what it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use larder_core::Meter;

use crate::roles::{DONE, FOLDER};
use crate::support::{Seen, assert_same, role, sample, snapshot, write};
use crate::trash::{PARTS, restore, take_all, trash_of};

/// Every call that changes something.
const CALLS: &[&str] = &[
    "renameat2",
    "renameat",
    "rename",
    "unlinkat",
    "mkdirat",
    "fchmod",
    "fchmodat",
    "utimensat",
    "fsync",
    "write",
];

fn strace_works() -> bool {
    let works = Command::new("strace")
        .args(["-o", "/dev/null", "-e", "inject=execve:signal=SIGKILL:when=99", "true"])
        .status()
        .is_ok_and(|status| status.success());
    if !works {
        eprintln!("NOT TESTED: kills at every step, since strace does not work here");
    }
    works
}

/// Runs a role, killed before the `nth` of `call`; whether it was.
fn killed(name: &str, folder: &Path, call: &str, nth: u32) -> bool {
    let inject = format!("inject={call}:signal=SIGKILL:when={nth}");
    let command = role(name, folder);
    let output = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject])
        .args(&command)
        .env(FOLDER, folder)
        .output()
        .unwrap();
    // The process that was killed takes strace with it.
    if std::os::unix::process::ExitStatusExt::signal(&output.status) == Some(9) {
        return true;
    }
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains(DONE), "{said}");
    false
}

/// A tree as it was.
type Snapshot = BTreeMap<PathBuf, Seen>;

/// Kills a role at every point where it can be, in a fresh folder with the sample tree that
/// `prepare` has worked on, and calls `check` with what the tree was at first.
fn at_every_step(name: &str, prepare: impl Fn(&Path), check: impl Fn(&Path, &Snapshot)) {
    if !strace_works() {
        return;
    }
    let mut kills = 0;
    for call in CALLS {
        for nth in 1.. {
            let top = tempfile::tempdir().unwrap();
            let root = top.path().join("tree");
            sample(&root);
            let before = snapshot(&root);
            prepare(&root);
            let was_killed = killed(name, top.path(), call, nth);
            check(&root, &before);
            if !was_killed {
                break;
            }
            kills += 1;
        }
    }
    assert!(kills > 10, "only {kills} kills: the calls have other names here");
}

fn listed(root: &Path) -> Vec<larder_fs::Listed> {
    trash_of(root).list(&Meter::default()).unwrap()
}

/// Restores whatever there is, and finds the cache as it was and the trash empty.
fn make_good(root: &Path, before: &Snapshot) {
    for entry in listed(root) {
        let restored = restore(root, &entry.id, false);
        assert!(restored.complete, "{restored:?}");
    }
    assert_same(before, &snapshot(root));
    assert!(listed(root).is_empty());
    // Whoever changes the trash next puts away what the crash left.
    trash_of(root).empty(None, larder_fs::now(), &Meter::default()).unwrap();
    let home = root.with_file_name(".larder-trash");
    let left: Vec<_> = fs::read_dir(home)
        .map(|home| home.map(|entry| entry.unwrap().file_name()).collect())
        .unwrap_or_default();
    assert!(left.iter().all(|name| name == "lock"), "{left:?}");
}

#[test]
fn filling_can_be_cut_short_anywhere() {
    at_every_step(
        "fill",
        |_| {},
        |root, before| {
            if !PARTS.iter().all(|part| fs::symlink_metadata(root.join(part)).is_ok()) {
                assert!(!listed(root).is_empty(), "something is gone without an entry");
            }
            make_good(root, before);
        },
    );
}

#[test]
fn restoring_can_be_cut_short_anywhere() {
    at_every_step("unfill", |root| drop(take_all(root)), make_good);
}

#[test]
fn replacing_can_be_cut_short_anywhere_and_loses_nothing() {
    let prepare = |root: &Path| {
        take_all(root);
        write(&root.join("00/one-a"), b"new");
        write(&root.join("ab/one-a"), b"new too");
    };
    at_every_step("replace", prepare, |root, _| {
        // Both the old and the new exist, each in one place.
        let mut found = Vec::new();
        for folder in [root, &root.with_file_name(".larder-trash")] {
            found.extend(
                snapshot(folder)
                    .into_iter()
                    .filter(|(path, seen)| path.ends_with("one-a") && seen.is_file())
                    .map(|(_, seen)| seen.text()),
            );
        }
        found.sort();
        assert_eq!(found, ["00/one-a", "ab/one-a", "ff/one-a", "new", "new too"]);
    });
}

#[test]
fn emptying_can_be_cut_short_anywhere() {
    at_every_step(
        "empty",
        |root| drop(take_all(root)),
        |root, before| {
            let meter = Meter::default();
            let whole = before.values().filter(|seen| seen.is_file()).count() as u64;
            // What is half gone does not come back as if it were whole.
            for entry in listed(root) {
                assert!(!entry.restorable || entry.size.files == whole, "{entry:?}");
            }
            trash_of(root).empty(None, larder_fs::now(), &meter).unwrap();
            let left = fs::read_dir(root.with_file_name(".larder-trash")).unwrap().count();
            assert_eq!(left, 1, "only the lock is left");
        },
    );
}
