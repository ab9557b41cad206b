//! Somebody who swaps folders of a cache for symlinks while larder works there: nothing behind them
//! is touched, whatever becomes of the cache.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use larder_testkit::{FileProxy, GoSandbox, ModuleMaker, copy_tree, diff, has_go, snapshot};

use crate::flow::command;

/// Folders of a module cache that are worth swapping.
const TARGETS: [&str; 6] = [
    "example.test",
    "example.test/one@v1.0.0",
    "example.test/one@v1.0.0/deep",
    "cache/download/example.test",
    "cache/download/example.test/one/@v",
    "cache",
];

/// Swaps until told to stop, as fast as it can; how often it did.
fn swap(root: &Path, victim: &Path, stop: &AtomicBool, swaps: &AtomicU64) {
    let aside = |target: &Path| {
        let mut name = target.as_os_str().to_owned();
        name.push(".aside");
        PathBuf::from(name)
    };
    for (round, name) in TARGETS.iter().cycle().enumerate() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let (target, aside) = (root.join(name), aside(&root.join(name)));
        // All of these fail now and then, as larder removes and makes the same folders.
        if fs::rename(&target, &aside).is_ok() && symlink(victim, &target).is_ok() {
            swaps.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_micros(200 * (round as u64 % 5)));
        }
        if target.is_symlink() {
            let _ = fs::remove_file(&target);
        }
        let _ = fs::rename(&aside, &target);
    }
}

#[test]
fn folders_swapped_for_symlinks_lead_nowhere() {
    if !has_go() {
        return;
    }
    let mut sandbox = GoSandbox::new();
    let proxy = FileProxy::new(sandbox.root().join("proxy"));
    for module in ["one", "two"] {
        let made = ModuleMaker::new(format!("example.test/{module}"), "v1.0.0");
        proxy.publish(&made.package("", &[]).package("deep/er", &[]));
    }
    sandbox.proxy(&proxy.url()).set("GOFLAGS", "-modcacherw");
    sandbox.project(
        "m",
        "-- go.mod --\nmodule example.test/m\n\ngo 1.21\n\nrequire (\n\texample.test/one v1.0.0\n\texample.test/two v1.0.0\n)\n",
    );
    let output = command(&sandbox, &["download", "src"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let root = sandbox.gomodcache();
    let model = sandbox.root().join("model");
    copy_tree(&root, &model).unwrap();
    // Whoever follows a symlink finds here what it looks for in a cache.
    let victim = sandbox.root().join("victim");
    copy_tree(&model, &victim).unwrap();
    copy_tree(&model.join("example.test/one@v1.0.0"), &victim.join("one@v1.0.0")).unwrap();
    fs::create_dir(victim.join("one")).unwrap();
    copy_tree(&model.join("cache/download/example.test/one/@v"), &victim.join("one/@v")).unwrap();
    for entry in fs::read_dir(model.join("cache/download/example.test/one/@v")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), victim.join(entry.file_name())).unwrap();
    }
    let before = snapshot(&victim);
    let (stop, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| swap(&root, &victim, &stop, &swaps));
        for round in 0..24 {
            if !root.join("example.test").is_dir() {
                let fresh = sandbox.root().join("fresh");
                copy_tree(&model, &fresh).unwrap();
                let _ = fs::remove_dir_all(sandbox.root().join("old"));
                let _ = fs::rename(&root, sandbox.root().join("old"));
                fs::rename(&fresh, &root).unwrap();
            }
            let args: &[&str] = match round % 6 {
                0 => &["clean", "mod", "--force"],
                1 => &["prune", "mod", "--max-age", "0s", "--protect", "0s"],
                2 => &["download", "src"],
                3 => &["verify", "mod", "--fix", "--roots", "src"],
                4 => &["prune", "mod", "--max-age", "0s", "--protect", "0s", "--trash"],
                _ => &["trash", "empty", "--yes"],
            };
            let output = command(&sandbox, args).output().unwrap();
            let code = output.status.code();
            assert!(code.is_some_and(|code| code <= 6), "{args:?}: {output:?}");
            let differs = diff(&before, &snapshot(&victim));
            if !differs.is_empty() {
                stop.store(true, Ordering::Relaxed);
                panic!("{args:?}: {differs}");
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(swaps.load(Ordering::Relaxed) > 50, "it was hardly ever swapped");
}
