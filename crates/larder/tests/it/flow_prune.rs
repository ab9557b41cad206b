//! `prune mod --keep-used` over projects of every sort: afterwards each builds, vets, tests and
//! verifies without a network, and what nobody needs is gone.

use std::fs;
use std::path::PathBuf;

use larder_testkit::{FileProxy, GoSandbox, ModuleMaker, has_go};

use crate::flow::{caches, document, larder, untouched};

const MAIN: &str =
    "package main\n\nimport a \"example.test/a\"\n\nfunc main() { println(a.Use()) }\n";
const TEST: &str = "package main\n\nimport (\n\t\"testing\"\n\n\tt \"example.test/fortests\"\n)\n\n\
                    func TestIt(*testing.T) { t.Use() }\n";

/// `a` needs `b`, and its older versions need older ones; `fortests` is only imported by tests.
fn publish(proxy: &FileProxy) {
    for version in ["v1.0.0", "v1.1.0", "v1.2.0"] {
        let go = if version == "v1.0.0" { "1.16" } else { "1.21" };
        proxy.publish(
            &ModuleMaker::new("example.test/a", version)
                .go(go)
                .require("example.test/b", version)
                .package("", &["example.test/b"]),
        );
        for module in ["b", "fortests", "replaced", "Tool"] {
            let made = ModuleMaker::new(format!("example.test/{module}"), version).go(go);
            proxy.publish(&match module {
                "Tool" => made.file("main.go", "package main\n\nfunc main() {}\n"),
                _ => made.package("", &[]),
            });
        }
    }
}

fn project(go: &str, version: &str, more: &str) -> String {
    format!(
        "-- go.mod --\nmodule example.test/main\n\ngo {go}\n\nrequire (\n\texample.test/a {version}\n\
         \texample.test/fortests {version}\n)\n{more}\n-- main.go --\n{MAIN}-- main_test.go --\n{TEST}"
    )
}

/// The projects, with what `go list -m all` says of each.
fn projects(sandbox: &GoSandbox) -> Vec<(PathBuf, String)> {
    let local = "-- go.mod --\nmodule example.test/b\n\ngo 1.21\n-- b.go --\npackage b\n\n\
                 func Use() int { return 1 }\n";
    let local_b = sandbox.project("local-b", local);
    let replace = format!("replace example.test/b => {}\n", local_b.display());
    let mut dirs: Vec<PathBuf> = [
        ("old", project("1.16", "v1.0.0", "")),
        ("new", project("1.21", "v1.1.0", "")),
        ("replace", project("1.21", "v1.1.0", &replace)),
        (
            "tool",
            project(
                "1.24",
                "v1.1.0",
                "require example.test/Tool v1.1.0\n\ntool example.test/Tool\n",
            ),
        ),
        ("vendored", project("1.21", "v1.1.0", "")),
        ("work/one", project("1.21", "v1.0.0", "")),
    ]
    .iter()
    .map(|(name, text)| sandbox.project(name, text))
    .collect();
    sandbox.write("src/work/go.work", "go 1.21\n\nuse ./one\n");
    for dir in &dirs {
        sandbox.go(&["mod", "tidy"], dir);
        if dir.ends_with("vendored") {
            sandbox.go(&["mod", "vendor"], dir);
        }
    }
    dirs.push(local_b);
    let listed = |dir: PathBuf| {
        offline(sandbox, &dir);
        let list = sandbox.go_text(&["list", "-mod=mod", "-m", "all"], &dir);
        (dir, list)
    };
    // The workspace forbids -mod=mod.
    let (work, others): (Vec<_>, Vec<_>) =
        dirs.into_iter().partition(|dir| dir.starts_with(sandbox.root().join("src/work")));
    let mut all: Vec<_> = others.into_iter().map(listed).collect();
    for dir in work {
        offline(sandbox, &dir);
        let list = sandbox.go_text(&["list", "-m", "all"], &dir);
        all.push((dir, list));
    }
    all
}

/// Everything that a developer does with a project, which must work.
fn offline(sandbox: &GoSandbox, dir: &std::path::Path) {
    sandbox.go(&["build", "-o", "/dev/null", "./..."], dir);
    sandbox.go(&["vet", "./..."], dir);
    sandbox.go(&["test", "-count=1", "./..."], dir);
    if !dir.ends_with("vendored") {
        sandbox.go(&["mod", "verify"], dir);
    }
    if dir.ends_with("tool") {
        sandbox.go(&["tool", "Tool"], dir);
    }
}

#[test]
fn what_projects_need_stays_and_the_rest_goes_and_comes_back() {
    if !has_go() {
        eprintln!("NOT TESTED: there is no go command");
        return;
    }
    let mut sandbox = GoSandbox::new();
    sandbox.warm_for_vet();
    let proxy = FileProxy::new(sandbox.root().join("proxy"));
    publish(&proxy);
    sandbox.proxy(&proxy.url());
    let all = projects(&sandbox);
    let spare = sandbox.project("../spare", "-- go.mod --\nmodule example.test/spare\n\ngo 1.21\n");
    for module in ["a", "b", "fortests", "replaced", "Tool"] {
        for version in ["v1.0.0", "v1.1.0", "v1.2.0"] {
            sandbox.go(&["mod", "download", &format!("example.test/{module}@{version}")], &spare);
        }
    }
    sandbox.proxy("off");
    let before = caches(&sandbox);
    let src = sandbox.root().join("src");
    let request =
        ["prune", "mod", "--keep-used", src.to_str().unwrap(), "--protect", "0s", "--trash"];

    let planned = document(&sandbox, "plan/1", 0, &[&request[..], &["-n"]].concat());
    untouched(&sandbox, &before);
    let done = document(&sandbox, "outcome/1", 0, &request);
    assert_eq!(done["removed"]["items"], planned["total"]["items"], "{done:#}");
    assert_eq!(done["skipped"].as_array().unwrap().len(), 0, "{done:#}");
    let check = || {
        for (dir, list) in &all {
            offline(&sandbox, dir);
            let work = dir.starts_with(src.join("work"));
            let args =
                if work { &["list", "-m", "all"][..] } else { &["list", "-mod=mod", "-m", "all"] };
            assert_eq!(&sandbox.go_text(args, dir), list, "{}", dir.display());
        }
    };
    check();
    let here = |module: &str, version: &str| {
        sandbox.gomodcache().join(format!("example.test/{module}@{version}")).exists()
    };
    for module in ["a", "b", "fortests", "replaced", "!tool"] {
        assert!(!here(module, "v1.2.0"), "{module}@v1.2.0 is still there");
        let list =
            sandbox.gomodcache().join(format!("cache/download/example.test/{module}/@v/list"));
        // The `.mod` stays, and so does its line.
        assert!(fs::read_to_string(list).unwrap().contains("v1.2.0"), "{module}");
    }
    assert!(here("a", "v1.0.0") && here("a", "v1.1.0") && here("!tool", "v1.1.0"));
    assert!(!here("replaced", "v1.0.0") && !here("!tool", "v1.0.0"));

    let built = larder_testkit::snapshot(&sandbox.gocache()); // builds have changed this one
    let id = done["trash_id"].as_str().unwrap();
    larder(&sandbox, &["trash", "restore", id]).ends(0);
    untouched(&sandbox, &(built, before.1));
    larder(&sandbox, &request[..6]).ends(0);
    check();

    // What cannot be worked out is kept whole, and said.
    let missing = sandbox.gomodcache().join("cache/download/example.test/b/@v/v1.0.0.mod");
    fs::remove_file(missing).unwrap();
    let old = src.join("old");
    let said = larder(
        &sandbox,
        &["prune", "mod", "--keep-used", old.to_str().unwrap(), "--protect", "0s", "-n"],
    );
    assert!(said.ends(0).out.contains("b@v1.0.0") || said.err.contains("b@v1.0.0"), "{said:#?}");
    let plan = document(
        &sandbox,
        "plan/1",
        0,
        &["prune", "mod", "--keep-used", old.to_str().unwrap(), "--protect", "0s", "-n"],
    );
    for item in plan["items"].as_array().unwrap() {
        assert!(!item["subject"].as_str().unwrap().ends_with("@v1.0.0"), "{item}");
    }
}

#[test]
fn a_project_that_cannot_be_read_stops_everything() {
    let sandbox = GoSandbox::new();
    larder_testkit::fake_gomodcache(&sandbox.gomodcache(), 2, 3, 2);
    let good = sandbox.project("good", "-- go.mod --\nmodule example.test/good\n\ngo 1.21\n");
    let bad = sandbox.project(
        "bad",
        "-- go.mod --\nmodule example.test/bad\n\ngo 1.21\n\nrequire (\n\texample.test/x\n)\n",
    );
    let before = caches(&sandbox);
    let run = |dir: &str| {
        larder(
            &sandbox,
            &["prune", "mod", "--keep-used", good.to_str().unwrap(), dir, "--protect", "0s"],
        )
    };
    let said = run(bad.to_str().unwrap());
    assert!(said.ends(2).err.contains("[ROOT]/src/bad/go.mod:6:"), "{}", said.err);
    let place = said.err.split("go.mod:").nth(1).unwrap();
    let parts: Vec<&str> = place.split(':').collect();
    assert!(parts[1].parse::<u32>().is_ok(), "no column in {}", said.err);
    run("/no/such/folder").ends(2);
    for args in [
        &["prune", "mod", "--max-size", "10XB"][..],
        &["prune", "bild"],
        &["prune", "mod", "--max-age", "soon"],
        &["clean", "redis:none"],
    ] {
        larder(&sandbox, args).ends(2);
    }
    untouched(&sandbox, &before);
}
