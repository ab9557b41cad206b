//! A removal that is killed before each of its steps, and the run that finishes its work.

#![cfg(target_os = "linux")]

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use larder_core::{Meter, PlanItem};
use larder_fs::Disposal;
use larder_go::build_remove::{Fate, Remover};
use larder_testkit::{GoSandbox, has_go};

use crate::build_support::{DAY, add_entry, empty_cache, open, plan, scan};

const ROOT: &str = "LARDER_TEST_BUILD_ROOT";

/// Removes all of the cache that `LARDER_TEST_BUILD_ROOT` names, one entry after the other.
#[test]
fn acts_when_asked_to() {
    if let Some(root) = env::var_os(ROOT) {
        remove_everything(&PathBuf::from(root));
    }
}

fn remove_everything(root: &Path) {
    let items = plan(root, 0, DAY).items;
    let (dir, meter) = (open(root), Meter::default());
    let remover = Remover::new(&dir, &Disposal::Delete, larder_fs::now().minus(DAY), &meter);
    let items: Vec<&PlanItem> = items.iter().collect();
    for fate in remover.remove_all(&items, 1) {
        assert!(matches!(fate, Ok(Fate::Gone(_))), "{fate:?}");
    }
}

/// Every call that changes a folder is a step; before each of them the process dies once.
#[test]
fn killed_at_every_step_nothing_is_half_and_a_second_run_finishes() {
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("not tested: there is no strace");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut steps = 0;
    for call in ["unlinkat", "renameat2"] {
        for when in 1.. {
            empty_cache(dir.path());
            let entries: Vec<_> =
                (1..4).map(|begin| add_entry(dir.path(), begin, 9 * DAY)).collect();
            let status = Command::new("strace")
                .args(["-f", "-qq", "-o", "/dev/null", "-e"])
                .arg(format!("trace={call}"))
                .arg("-e")
                .arg(format!("inject={call}:signal=SIGKILL:when={when}"))
                .arg(env::current_exe().unwrap())
                .args(["--exact", "build_crash::acts_when_asked_to", "--test-threads=1"])
                .env(ROOT, dir.path())
                .output()
                .unwrap()
                .status;
            for (action, output) in entries {
                let action = dir.path().join(action.action_path()).exists();
                let whole = dir.path().join(output.output_path()).exists();
                // An action may miss its output, which for Go is a miss; an output never stays
                // without its action, and is never half.
                assert!(action || !whole, "{call} {when}");
            }
            remove_everything(dir.path());
            let left = scan(dir.path());
            assert_eq!(left.inventory.actions().count() + left.inventory.outputs().count(), 0);
            assert!(left.leftovers.is_empty(), "{:?}", left.leftovers);
            if status.success() {
                break;
            }
            steps += 1;
            assert!(when < 50, "{call} never ends");
        }
    }
    // Three entries: a rename, and two files that go.
    assert_eq!(steps, 9);
}

/// A renamed output is a miss for Go, which makes it again beside the leftover.
#[test]
fn a_build_after_a_crash_is_sound() {
    if !has_go() {
        return;
    }
    let sandbox = GoSandbox::new();
    sandbox.warm();
    let text = "-- go.mod --\nmodule p\n-- p.go --\npackage main\n\nfunc main() { println(7) }\n";
    let project = sandbox.project("p", text);
    sandbox.go(&["build", "-o", "p", "."], &project);
    let root = sandbox.gocache();
    for shard in std::fs::read_dir(&root).unwrap().flatten().filter(|e| e.path().is_dir()) {
        for entry in std::fs::read_dir(shard.path()).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            if name.ends_with("-d") {
                let staged = format!("{name}{}", larder_go::build_layout::STAGED);
                std::fs::rename(entry.path(), shard.path().join(staged)).unwrap();
            }
        }
    }
    sandbox.go(&["build", "-o", "p", "."], &project);
    assert!(!scan(&root).leftovers.is_empty());
    let (dir, meter) = (open(&root), Meter::default());
    let remover = Remover::new(&dir, &Disposal::Delete, larder_fs::now().minus(DAY), &meter);
    let begun: Vec<PlanItem> =
        plan(&root, u64::MAX, DAY).items.into_iter().filter(|i| i.last_used.is_none()).collect();
    for fate in remover.remove_all(&begun.iter().collect::<Vec<_>>(), 4) {
        assert!(matches!(fate, Ok(Fate::Gone(_))), "{fate:?}");
    }
    assert!(scan(&root).leftovers.is_empty());
    sandbox.go(&["build", "-o", "p", "."], &project);
}
