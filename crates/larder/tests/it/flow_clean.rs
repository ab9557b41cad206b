//! `larder clean` against the effect of `go clean` on an equal copy.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use larder_testkit::{GoSandbox, Snapshot, copy_tree, fake_gocache, fake_gomodcache, snapshot};

use crate::flow::{document, larder, same};

/// The first line of what the go command writes there, by which it is known.
const GO_README: &str = "This directory holds cached build artifacts from the Go build system.\n";

/// Two sandboxes with the same messy caches: one for go, one for larder.
fn pair() -> (GoSandbox, GoSandbox) {
    let (go, ours) = (GoSandbox::new(), GoSandbox::new());
    fake_gocache(&go.gocache(), 200);
    go.write("gocache/fuzz/example.test/p/FuzzIt/0123456789abcdef", "go test fuzz v1\n");
    go.write("gocache/testexpire.txt", "1\n");
    go.write("gocache/kept.txt", "not Go's");
    go.write("gocache/README", GO_README);
    fake_gomodcache(&go.gomodcache(), 3, 5, 2);
    for (path, text) in [
        ("golang.org/toolchain@v0.0.1-go1.22.0.linux-amd64/bin/go", "tool"),
        ("cache/download/golang.org/toolchain/@v/v0.0.1-go1.22.0.linux-amd64.zip", "zip"),
        ("cache/vcs/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef/HEAD", "ref"),
        (
            "cache/vcs/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.info",
            "git:https://example.test/r",
        ),
        ("cache/download/sumdb/sum.example.test/tile/8/0/000", "tile"),
        ("../sumdb/sum.example.test/latest", "anchor"),
    ] {
        go.write(Path::new("gopath/pkg/mod").join(path), text);
    }
    for folder in ["gocache", "gopath"] {
        fs::remove_dir_all(ours.root().join(folder)).unwrap();
        copy_tree(&go.root().join(folder), &ours.root().join(folder)).unwrap();
    }
    (go, ours)
}

/// A tree without the times of its folders, which a removal changes.
fn still(root: &Path) -> Snapshot {
    let mut tree = snapshot(root);
    for entry in tree.values_mut().filter(|e| e.kind == larder_testkit::EntryKind::Folder) {
        entry.modified = 0;
    }
    tree
}

#[test]
fn each_clean_has_the_effect_of_go_clean() {
    for (cache, flag) in [("build", "-cache"), ("fuzz", "-fuzzcache"), ("mod", "-modcache")] {
        let (go, ours) = pair();
        go.go(&["clean", flag], go.root());
        larder(&ours, &["clean", cache]).ends(0);
        // Where go removes the folder itself as well, an empty one is as good.
        let gone = |tree: Snapshot| if tree.len() == 1 { Snapshot::new() } else { tree };
        let trees = |s: &GoSandbox| (still(&s.gocache()), gone(still(&s.gomodcache())));
        let (theirs, mine) = (trees(&go), trees(&ours));
        same(&theirs.0, &mine.0, flag);
        same(&theirs.1, &mine.1, flag);
        let anchor = ours.gopath().join("pkg/sumdb/sum.example.test/latest");
        assert_eq!(fs::read_to_string(anchor).unwrap(), "anchor", "{flag}");
    }
}

#[test]
fn test_results_are_expired_as_go_does_it_and_only_forwards() {
    let (go, ours) = pair();
    go.go(&["clean", "-testcache"], go.root());
    larder(&ours, &["clean", "test"]).ends(0);
    let stamp = |s: &GoSandbox| -> u128 {
        let text = fs::read_to_string(s.gocache().join("testexpire.txt")).unwrap();
        assert!(text.ends_with('\n'), "{text:?}");
        text.trim().parse().unwrap()
    };
    let (theirs, mine) = (stamp(&go), stamp(&ours));
    assert!(theirs.abs_diff(mine) < 60_000_000_000, "{theirs} and {mine}");
    let after = snapshot(&ours.gocache());
    assert!(after.len() > 400, "more than the stamp was touched");
    fs::write(ours.gocache().join("testexpire.txt"), format!("{}\n", u64::MAX >> 1)).unwrap();
    larder(&ours, &["clean", "test"]).ends(0);
    assert_eq!(stamp(&ours), u128::from(u64::MAX >> 1), "the stamp went back");
}

#[test]
fn the_finer_ones_take_only_their_own() {
    for (cache, own) in [
        ("vcs", &["gopath/pkg/mod/cache/vcs/"][..]),
        ("sumdb", &["gopath/pkg/mod/cache/download/sumdb/"]),
        (
            "toolchain",
            &[
                "gopath/pkg/mod/golang.org/toolchain@",
                "gopath/pkg/mod/cache/download/golang.org/toolchain/@v/v0.0.1-go1.22.0.linux-amd64.zip",
            ],
        ),
    ] {
        let (_, ours) = pair();
        let files = |s: &GoSandbox| {
            let mut tree = snapshot(&s.root());
            tree.retain(|path, e| {
                path.starts_with("gopath") && e.kind != larder_testkit::EntryKind::Folder
            });
            tree
        };
        let before = files(&ours);
        larder(&ours, &["clean", cache]).ends(0);
        let after = files(&ours);
        let gone: Vec<_> = before.keys().filter(|path| !after.contains_key(*path)).collect();
        assert!(!gone.is_empty(), "{cache}: nothing went");
        for path in gone {
            let text = path.to_str().unwrap();
            assert!(own.iter().any(|start| text.starts_with(start)), "{cache} took {text}");
        }
    }
}

#[test]
fn what_is_not_gos_stays_and_is_said() {
    let (_, ours) = pair();
    let outside = ours.write("outside/precious", "precious");
    ours.write("gocache/00/mine.txt", "mine");
    ours.write("gopath/pkg/mod/github.com/me/project/main.go", "package main");
    symlink(outside.parent().unwrap(), ours.gocache().join("01/link")).unwrap();
    symlink(outside.parent().unwrap(), ours.gomodcache().join("link@v1.0.0")).unwrap();
    let done = document(&ours, "outcome/1", 0, &["clean", "go"]);
    let skipped = done["skipped"].to_string();
    for name in ["00/mine.txt", "01/link", "project/main.go", "link@v1.0.0"] {
        assert!(skipped.contains(name), "{name} is not in {skipped}");
        let at = ["gocache", "gopath/pkg/mod", "gopath/pkg/mod/github.com/me"];
        assert!(
            at.iter().any(|dir| ours.root().join(dir).join(name).symlink_metadata().is_ok()),
            "{name} is gone"
        );
    }
    assert_eq!(fs::read_to_string(outside).unwrap(), "precious");
    // What was freed is what the measurements before and after differ by.
    let sum = |field: &str| -> u64 {
        let rows = done[field].as_array().unwrap();
        rows.iter().map(|row| row["allocated_bytes"].as_u64().unwrap()).sum()
    };
    assert_eq!(sum("before") - sum("after"), done["freed_bytes"].as_u64().unwrap());
}

#[cfg(unix)]
#[test]
fn what_was_removed_is_counted_and_nothing_else() {
    let sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), 200);
    fake_gomodcache(&sandbox.gomodcache(), 2, 3, 2);
    // As somebody who may not: nothing goes, and nothing is said to have gone.
    sandbox.as_nobody(&sandbox.command("true"));
    if sandbox.runs_as_nobody() {
        for cache in ["gocache", "gopath"] {
            let mut give = std::process::Command::new("chown");
            assert!(
                give.args(["-R", "0:0"])
                    .arg(sandbox.root().join(cache))
                    .status()
                    .unwrap()
                    .success()
            );
        }
        let copy = sandbox.root().join("bin/larder");
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(&*crate::flow::LARDER, &copy).unwrap();
        for cache in ["build", "mod"] {
            let args = ["clean", cache, "--force"];
            let mut ours = std::process::Command::new("setpriv");
            ours.args([
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "--inh-caps=-all",
                "--",
            ]);
            ours.arg(&copy).args(args).envs(
                crate::flow::command(&sandbox, &[])
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            );
            // A process that another test has just begun may hold the copy open for writing.
            let output = loop {
                let output = ours.output().unwrap();
                if !String::from_utf8_lossy(&output.stderr).contains("Text file busy") {
                    break output;
                }
            };
            let said = crate::flow::ran(&sandbox, output);
            assert!(said.ends(4).out.starts_with("Nothing was removed"), "{said:#?}");
        }
    }
    let files = snapshot(&sandbox.gocache());
    let count = files.values().filter(|e| matches!(e.kind, larder_testkit::EntryKind::File(..)));
    let count = count.count();
    let said = larder(&sandbox, &["clean", "build", "--force"]);
    let first = said.ends(0).out.lines().next().unwrap();
    let number: usize = first.split(' ').nth(1).unwrap().replace(',', "").parse().unwrap();
    assert!(first.contains(" files") && number >= 200 && number <= count, "{first}");
    let again = larder(&sandbox, &["clean", "build", "--force"]);
    assert!(again.ends(0).out.starts_with("Nothing was removed"), "{again:#?}");
    let trash = larder(&sandbox, &["clean", "mod", "--trash", "--force"]);
    assert!(trash.ends(0).out.starts_with("Moved to the trash: all of mod"), "{trash:#?}");
}
