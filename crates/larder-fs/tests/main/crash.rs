//! A kill at every step of what the trash does, followed by the larder that comes next.
//!
//! `strace` kills a role just before the n-th call of one kind, for every kind and every n, until
//! the role gets through. Whatever was in the cache is in the cache or in the trash at every
//! moment, and restoring makes the cache what it was.

use std::fs;
use std::path::Path;
use std::process::Command;

use larder_core::Meter;

use crate::roles::FOLDER;
use crate::support::{assert_same, role, sample, snapshot, write};
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
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    false
}

/// Calls `each` for every point at which a role can be killed, with a fresh folder that `prepare`
/// has filled; `each` is told whether the kill came.
fn at_every_step(name: &str, prepare: impl Fn(&Path), check: impl Fn(&Path)) {
    if !strace_works() {
        return;
    }
    let mut kills = 0;
    for call in CALLS {
        for nth in 1.. {
            let top = tempfile::tempdir().unwrap();
            prepare(top.path());
            let was_killed = killed(name, top.path(), call, nth);
            check(top.path());
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
fn make_good(
    root: &Path,
    before: &std::collections::BTreeMap<std::path::PathBuf, crate::support::Seen>,
) {
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

fn tree(top: &Path) -> std::path::PathBuf {
    top.join("tree")
}

#[test]
fn filling_can_be_cut_short_anywhere() {
    let model = tempfile::tempdir().unwrap();
    sample(&tree(model.path()));
    let before = snapshot(&tree(model.path()));
    at_every_step(
        "fill",
        |top| sample(&tree(top)),
        |top| {
            if !PARTS.iter().all(|part| fs::symlink_metadata(tree(top).join(part)).is_ok()) {
                assert!(!listed(&tree(top)).is_empty(), "something is gone without an entry");
            }
            make_good(&tree(top), &before);
        },
    );
}

#[test]
fn restoring_can_be_cut_short_anywhere() {
    let model = tempfile::tempdir().unwrap();
    sample(&tree(model.path()));
    let before = snapshot(&tree(model.path()));
    let prepare = |top: &Path| {
        sample(&tree(top));
        take_all(&tree(top));
    };
    at_every_step("unfill", prepare, |top| make_good(&tree(top), &before));
}

#[test]
fn replacing_can_be_cut_short_anywhere_and_loses_nothing() {
    let prepare = |top: &Path| {
        sample(&tree(top));
        take_all(&tree(top));
        write(&tree(top).join("00/one-a"), b"new");
        write(&tree(top).join("ab/one-a"), b"new too");
    };
    at_every_step("replace", prepare, |top| {
        let root = tree(top);
        // Both the old and the new exist, each in one place.
        let mut found = Vec::new();
        for folder in [root.clone(), root.with_file_name(".larder-trash")] {
            found.extend(
                snapshot(&folder)
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
    let prepare = |top: &Path| {
        sample(&tree(top));
        take_all(&tree(top));
    };
    at_every_step("empty", prepare, |top| {
        let root = tree(top);
        let meter = Meter::default();
        // What is half gone does not come back as if it were whole.
        for entry in listed(&root) {
            assert!(entry.restorable == (entry.size.files == 12), "{entry:?}");
        }
        trash_of(&root).empty(None, larder_fs::now(), &meter).unwrap();
        let left = fs::read_dir(root.with_file_name(".larder-trash")).unwrap().count();
        assert_eq!(left, 1, "only the lock is left");
    });
}
