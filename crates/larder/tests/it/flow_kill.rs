//! A kill at steps of everything that removes, followed by the same command: it finishes, and
//! what is there is whole.

use std::process::Command;

use larder_testkit::{FileProxy, GoSandbox, ModuleMaker, copy_tree, fake_gocache, fake_gomodcache};

use crate::flow::{LARDER, caches, command, document, ending, larder, untouched};

fn strace_works() -> bool {
    let traced = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    let works = traced.is_ok_and(|output| output.status.success());
    if !works {
        eprintln!("NOT TESTED: kills, since strace does not work here");
    }
    works
}

/// Runs larder and kills it before its `nth` call that changes a folder; whether it came to that.
fn killed(sandbox: &GoSandbox, args: &[&str], calls: &str, nth: u32) -> bool {
    let mut strace = sandbox.command("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
    strace.args(["-e", &format!("inject={calls}:signal=SIGKILL:when={nth}")]).arg(&*LARDER);
    let status = strace.args(args).output().unwrap().status;
    assert!(status.code() != Some(2), "{args:?}");
    !status.success()
}

const CHANGES: &str = "unlinkat,renameat2,mkdirat,?unlink,?rmdir,?renameat,?rename,?mkdir";

#[test]
fn a_killed_prune_of_modules_leaves_nothing_that_go_mistakes_for_whole() {
    if !strace_works() || !larder_testkit::has_go() {
        return;
    }
    let mut model = GoSandbox::new();
    let proxy = FileProxy::new(model.root().join("proxy"));
    for version in ["v1.0.0", "v1.1.0"] {
        for module in ["one", "two"] {
            let made = ModuleMaker::new(format!("example.test/{module}"), version);
            proxy.publish(&made.package("", &[]).package("deep/er", &[]));
        }
    }
    model.proxy(&proxy.url());
    let text = "-- go.mod --\nmodule example.test/m\n\ngo 1.21\n";
    let dir = model.project("m", text);
    let all = [
        "example.test/one@v1.0.0",
        "example.test/one@v1.1.0",
        "example.test/two@v1.0.0",
        "example.test/two@v1.1.0",
    ];
    model.go(&[&["mod", "download"], &all[..]].concat(), &dir);
    let prune = ["prune", "mod", "--keep-versions", "1", "--protect", "0s"];
    let to_trash = [&prune[..], &["--trash"]].concat();
    let mut cut_short = 0;
    for (request, nth) in [
        (&prune[..], 1),
        (&prune, 3),
        (&prune, 6),
        (&prune, 9),
        (&to_trash, 2),
        (&to_trash, 4),
        (&to_trash, 7),
    ] {
        let mut sandbox = GoSandbox::new();
        sandbox.proxy(&proxy.url());
        let there = sandbox.gomodcache();
        std::fs::remove_dir(&there).unwrap();
        copy_tree(&model.gomodcache(), &there).unwrap();
        cut_short += u32::from(killed(&sandbox, request, CHANGES, nth));
        larder(&sandbox, request).ends(0);
        let gone = ending(&there, "@v1.0.0");
        assert!(gone.is_empty(), "step {nth}: {gone:?}");
        assert_eq!(ending(&there, "@v1.1.0").len(), 2);
        // go takes what is there for whole, and fetches what is not.
        let dir = sandbox.project("m", text);
        sandbox.go(&[&["mod", "download"], &all[..]].concat(), &dir);
        for version in ["v1.0.0", "v1.1.0"] {
            let (here, made) =
                (there.join(format!("example.test/one@{version}")), model.gomodcache());
            let made = made.join(format!("example.test/one@{version}"));
            let sum = |at| larder_testkit::dir_hash(at, &format!("example.test/one@{version}"));
            assert_eq!(sum(&here), sum(&made), "step {nth}");
        }
        larder(&sandbox, &["trash"]).ends(0);
    }
    assert!(cut_short >= 4, "only {cut_short} runs were cut short");
}

#[test]
fn a_killed_move_to_the_trash_and_a_killed_restore_end_with_everything_back() {
    if !strace_works() {
        return;
    }
    let mut cut_short = 0;
    for (clean, nth) in [
        (&["clean", "mod", "--trash"][..], 2),
        (&["clean", "mod", "--trash"], 3),
        (&["clean", "build", "--trash"], 10),
        (&["prune", "build", "--max-size", "0", "--protect", "0s", "--trash"], 12),
    ] {
        let sandbox = GoSandbox::new();
        fake_gocache(&sandbox.gocache(), 100);
        fake_gomodcache(&sandbox.gomodcache(), 2, 4, 2);
        let before = caches(&sandbox);
        cut_short += u32::from(killed(&sandbox, clean, CHANGES, nth));
        larder(&sandbox, clean).ends(0);
        // The same again, killed in the middle of putting it back.
        let listed = document(&sandbox, "trash/1", 0, &["trash"]);
        for entry in listed["entries"].as_array().unwrap() {
            let id = entry["id"].as_str().unwrap();
            killed(&sandbox, &["trash", "restore", id], CHANGES, 5);
            let again = command(&sandbox, &["trash", "restore", id]).output().unwrap();
            let said = String::from_utf8_lossy(&again.stdout).into_owned();
            assert!(matches!(again.status.code(), Some(0 | 2)), "{clean:?} at {nth}: {said}");
        }
        let mut now = caches(&sandbox);
        let mut then = before.clone();
        // The locks that were made meanwhile may stay, and folders tell of them.
        for tree in [&mut now.0, &mut now.1, &mut then.0, &mut then.1] {
            tree.retain(|_, entry| entry.kind != larder_testkit::EntryKind::Folder);
        }
        crate::flow::same(&then.0, &now.0, &format!("{clean:?} at {nth}"));
        crate::flow::same(&then.1, &now.1, &format!("{clean:?} at {nth}"));
    }
    assert!(cut_short >= 3, "only {cut_short} runs were cut short");
    let sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), 100);
    larder(&sandbox, &["plan", "-o", "plan.json", "clean", "build"]).ends(0);
    assert!(killed(&sandbox, &["apply", "plan.json"], CHANGES, 5));
    larder(&sandbox, &["apply", "plan.json"]).ends(0);
    assert!(ending(&sandbox.gocache(), "-d").is_empty());
    let before = caches(&sandbox);
    larder(&sandbox, &["trash", "empty", "--yes"]).ends(0);
    untouched(&sandbox, &before);
}

#[test]
fn a_killed_download_is_finished_by_the_next_and_leaves_no_litter() {
    if !strace_works() || !larder_testkit::has_go() {
        return;
    }
    let mut sandbox = GoSandbox::new();
    let proxy = FileProxy::new(sandbox.root().join("proxy"));
    for module in ["one", "two"] {
        let made = ModuleMaker::new(format!("example.test/{module}"), "v1.0.0");
        proxy.publish(&made.package("", &[]).package("deep/er", &[]));
    }
    sandbox.proxy(&proxy.url()).set("GOFLAGS", "-modcacherw");
    let text = "-- go.mod --\nmodule example.test/m\n\ngo 1.21\n\nrequire (\n\texample.test/one v1.0.0\n\texample.test/two v1.0.0\n)\n";
    let project = sandbox.project("m", text);
    let tree = |dir: &std::path::Path| {
        let mut tree = larder_testkit::timeless(larder_testkit::snapshot(dir));
        // A list that was cut off and a `.mod` that was not yet named is what a verification mends,
        // and what a killed go command leaves too.
        tree.retain(|path, _| {
            !path.ends_with("@v/list") && path.extension().is_none_or(|end| end != "tmp")
        });
        tree
    };
    let whole = |dir: &std::path::Path| {
        let mut tree = larder_testkit::timeless(larder_testkit::snapshot(dir));
        tree.retain(|path, _| path.extension().is_none_or(|end| end != "lock"));
        tree
    };
    larder(&sandbox, &["download", "src"]).ends(0);
    let (cache, sources) = (tree(&sandbox.gomodcache()), whole(&project));
    let mended = whole(&sandbox.gomodcache());
    let mut cut_short = 0;
    let fresh = |sandbox: &GoSandbox| {
        std::fs::remove_dir_all(sandbox.gomodcache()).unwrap();
        std::fs::create_dir(sandbox.gomodcache()).unwrap();
        std::fs::remove_file(project.join("go.sum")).unwrap();
    };
    for (calls, steps) in [
        ("renameat2,?renameat,?rename", &[1, 3, 5, 7, 9, 10, 11][..]),
        ("unlinkat,?unlink", &[1, 2]),
        ("mkdirat,?mkdir", &[2, 7, 12]),
        ("fsync", &[1, 2]),
        ("write", &[1, 4, 9, 14, 19, 24]),
        ("flock", &[1, 3, 5, 7]),
    ] {
        for &nth in steps {
            fresh(&sandbox);
            cut_short +=
                u32::from(killed(&sandbox, &["download", "--jobs", "1", "src"], calls, nth));
            larder(&sandbox, &["download", "src"]).ends(0);
            crate::flow::same(&cache, &tree(&sandbox.gomodcache()), &format!("{calls} {nth}"));
            crate::flow::same(&sources, &whole(&project), &format!("{calls} {nth}"));
            larder(&sandbox, &["verify", "mod", "--roots", "src", "--fix"]).ends(0);
            crate::flow::same(&mended, &whole(&sandbox.gomodcache()), &format!("{calls} {nth}"));
        }
    }
    assert!(cut_short >= 12, "only {cut_short} runs were cut short");
    sandbox.go(&["mod", "verify"], &project);
}
