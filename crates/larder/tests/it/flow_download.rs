//! Downloads from outside: a cache that larder fills is the one that go fills, whatever goes wrong
//! on the way.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use larder_testkit::{
    FileProxy, GoSandbox, ModuleMaker, Snapshot, diff, has_go, snapshot, timeless,
};

use crate::flow::{command, document, larder};

/// A proxy with a small world: capital letters, a graph that is pruned and one that is not.
fn world() -> (GoSandbox, FileProxy) {
    let mut sandbox = GoSandbox::new();
    let proxy = FileProxy::new(sandbox.root().join("proxy"));
    for version in ["v1.0.0", "v1.1.0"] {
        let leaf = ModuleMaker::new("example.test/Leaf", version).package("", &[]);
        proxy.publish(&leaf.package("Deep/er", &[]).file("data.bin", vec![7; 100_000]));
        let old = ModuleMaker::new("example.test/old", version).go("1.16");
        let old = old.package("", &["example.test/Leaf"]);
        proxy.publish(&old.require("example.test/Leaf", version));
    }
    let top = ModuleMaker::new("example.test/top", "v0.3.0").package("", &["example.test/old"]);
    proxy.publish(&top.require("example.test/old", "v1.1.0"));
    let far = ModuleMaker::new("example.test/far", "v1.0.0-rc.1");
    let far = far.package("", &["example.test/top"]);
    proxy.publish(&far.require("example.test/top", "v0.3.0"));
    sandbox.proxy(&proxy.url());
    (sandbox, proxy)
}

const APP: &str = "\
-- go.mod --
module example.test/app

go 1.21

require example.test/far v1.0.0-rc.1

require (
	example.test/old v1.0.0 // indirect
	example.test/top v0.3.0 // indirect
)
-- app.go --
package app

import _ \"example.test/far\"
";

const LEGACY: &str = "\
-- go.mod --
module example.test/legacy

go 1.16

require example.test/top v0.3.0

replace example.test/old => example.test/old v1.0.0
-- legacy.go --
package legacy

import _ \"example.test/top\"
";

/// What go leaves after `go mod download` in these projects, without times.
fn by_go(sandbox: &GoSandbox, projects: &[&Path]) -> Snapshot {
    let other = sandbox.root().join("by-go");
    for project in projects {
        let mut go = sandbox.command("go");
        go.args(["mod", "download"]).current_dir(project).env("GOMODCACHE", &other);
        let output = go.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    timeless(snapshot(&other))
}

fn by_larder(sandbox: &GoSandbox) -> Snapshot {
    timeless(snapshot(&sandbox.gomodcache()))
}

/// `go mod tidy`, in a cache of its own.
fn tidied(sandbox: &GoSandbox, name: &str, text: &str) -> PathBuf {
    let project = sandbox.project(name, text);
    let mut go = sandbox.command("go");
    go.args(["mod", "tidy"]).current_dir(&project);
    let output = go.env("GOMODCACHE", sandbox.root().join("by-tidy")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    project
}

#[test]
fn a_cache_filled_by_larder_is_the_one_that_go_fills() {
    if !has_go() {
        return;
    }
    let (sandbox, _) = world();
    let app = tidied(&sandbox, "app", APP);
    let legacy = tidied(&sandbox, "legacy", LEGACY);
    let sums = snapshot(&sandbox.root().join("src"));
    let expected = by_go(&sandbox, &[&app, &legacy]);
    let done = document(&sandbox, "download/1", 0, &["download", "src"]);
    assert_eq!(done["projects"].as_array().unwrap().len(), 2, "{done:#}");
    assert!(!done["fetched"].as_array().unwrap().is_empty(), "{done:#}");
    let got = by_larder(&sandbox);
    assert!(!got.is_empty());
    let mut differs = diff(&expected, &got);
    // Go takes this lock when it looks whether go.sum is to be written.
    differs = differs.lines().filter(|line| !line.starts_with("- cache/lock ")).collect();
    assert_eq!(differs, "");
    assert_eq!(diff(&sums, &snapshot(&sandbox.root().join("src"))), "", "the projects changed");
    let again = document(&sandbox, "download/1", 0, &["download", "src"]);
    assert_eq!(again["fetched"].as_array().unwrap().len(), 0);
    assert_eq!(again["bytes"], 0);
    for project in [&app, &legacy] {
        sandbox.command("go").env("GOPROXY", "off");
        sandbox.go(&["mod", "verify"], project);
        sandbox.go(&["build", "./..."], project);
    }
}

#[test]
fn a_wrong_checksum_ends_in_one_and_leaves_nothing_in_place() {
    if !has_go() {
        return;
    }
    let (sandbox, _) = world();
    let app = tidied(&sandbox, "app", APP);
    let sum = app.join("go.sum");
    let text = fs::read_to_string(&sum).unwrap();
    let line = text.lines().find(|l| l.starts_with("example.test/top v0.3.0 h1:")).unwrap();
    let forged = "example.test/top v0.3.0 h1:4idEAncQnU5cB7BeOkPtxjfCSye0AAm1R0RVIqJ+Jmg=";
    fs::write(&sum, text.replace(line, forged)).unwrap();
    let before = fs::read(&sum).unwrap();
    let said = larder(&sandbox, &["download", "src/app"]);
    said.ends(1);
    let real = line.rsplit(' ').next().unwrap();
    assert!(said.out.contains(real) && said.out.contains("h1:4idEAnc"), "{said:#?}");
    assert_eq!(fs::read(&sum).unwrap(), before);
    let left = by_larder(&sandbox);
    let of_top: Vec<String> = left
        .keys()
        .map(|path| path.display().to_string())
        .filter(|path| path.contains("/top") && !path.ends_with("/@v") && !path.ends_with("/top"))
        .filter(|path| ![".info", ".mod", ".lock", "list"].iter().any(|end| path.ends_with(end)))
        .collect();
    assert_eq!(of_top, [""; 0]);
    assert!(left.keys().any(|path| path.starts_with("example.test/far@v1.0.0-rc.1")));
}

#[test]
fn a_lying_proxy_is_refused_and_the_rest_comes() {
    if !has_go() {
        return;
    }
    let (sandbox, proxy) = world();
    tidied(&sandbox, "app", APP);
    let zip = proxy.version_path("example.test/top", "v0.3.0", ".zip");
    let whole = fs::read(&zip).unwrap();
    fs::write(&zip, &whole[..whole.len() / 2]).unwrap();
    let done = document(&sandbox, "download/1", 4, &["download", "src"]);
    let failed = done["failed"].as_array().unwrap();
    assert_eq!(failed.len(), 1, "{done:#}");
    assert_eq!(failed[0]["subject"], "example.test/top@v0.3.0");
    assert!(!sandbox.gomodcache().join("example.test/top@v0.3.0").exists());
    assert!(sandbox.gomodcache().join("example.test/far@v1.0.0-rc.1").exists());
    // What is mended there is fetched here.
    fs::write(&zip, &whole).unwrap();
    let done = document(&sandbox, "download/1", 0, &["download", "src"]);
    assert_eq!(done["fetched"].as_array().unwrap().len(), 1, "{done:#}");
}

#[test]
fn nobody_there_is_six_and_off_is_four() {
    let (mut sandbox, _) = world();
    sandbox.project("app", APP);
    sandbox.set("GOPROXY", "http://127.0.0.1:1");
    larder(&sandbox, &["download", "src"]).ends(6);
    sandbox.set("GOPROXY", "off");
    let off = larder(&sandbox, &["download", "src"]);
    assert!(off.ends(4).out.contains("GOPROXY=off"), "{off:#?}");
}

#[test]
fn a_project_that_cannot_be_read_stops_everything_before_it_begins() {
    let (sandbox, _) = world();
    sandbox.project("app", APP);
    sandbox.write("src/bad/go.mod", "module example.test/bad\n\nrequire (\n");
    let before = by_larder(&sandbox);
    let said = larder(&sandbox, &["download", "src"]);
    assert!(said.ends(2).err.contains("src/bad/go.mod:"), "{said:#?}");
    sandbox.write("src/bad/go.mod", "module example.test/bad\n");
    sandbox.write("src/bad/go.sum", "example.test/x v1.0.0\n");
    let said = larder(&sandbox, &["download", "src"]);
    assert!(said.ends(2).err.contains("go.sum:1"), "{said:#?}");
    assert_eq!(diff(&before, &by_larder(&sandbox)), "");
}

#[test]
fn a_clean_that_rewarms_leaves_what_the_projects_need() {
    if !has_go() {
        return;
    }
    let (sandbox, _) = world();
    let app = tidied(&sandbox, "app", APP);
    let bad = sandbox.write("src/bad/go.mod", "module\n");
    sandbox.go(&["mod", "download"], &app);
    sandbox.go(&["mod", "download", "example.test/old@v1.0.0"], &app);
    let before = by_larder(&sandbox);
    larder(&sandbox, &["clean", "mod", "--rewarm", "src"]).ends(2);
    assert_eq!(diff(&before, &by_larder(&sandbox)), "", "what cannot be read stops the clean");
    fs::remove_dir_all(bad.parent().unwrap()).unwrap();
    larder(&sandbox, &["clean", "build", "--rewarm", "src"]).ends(2);
    let done = document(&sandbox, "outcome/1", 0, &["clean", "mod", "--rewarm", "src"]);
    let fetched = done["rewarm"]["fetched"].as_array().unwrap();
    assert!(!fetched.is_empty(), "{done:#}");
    assert!(done["freed_bytes"].as_u64().unwrap() > 0);
    sandbox.go(&["mod", "verify"], &app);
    let expected = by_go(&sandbox, &[&app]);
    let differs = diff(&expected, &by_larder(&sandbox));
    let differs: Vec<&str> = differs.lines().filter(|l| !l.contains("cache/lock")).collect();
    assert_eq!(differs, [""; 0]);
}

#[test]
fn larder_and_go_killed_at_random_in_one_cache_both_finish() {
    if !has_go() {
        return;
    }
    let mut sandbox = GoSandbox::new();
    let proxy = FileProxy::new(sandbox.root().join("proxy"));
    let mut go_mod = String::from("module example.test/many\n\ngo 1.21\n\nrequire (\n");
    let mut random: u32 = 2_463_534_242;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        random
    };
    for number in 0..24 {
        let noise: Vec<u8> = (0..60_000).flat_map(|_| next().to_le_bytes()).collect();
        let name = format!("example.test/m{number}");
        proxy.publish(&ModuleMaker::new(&name, "v1.0.0").package("", &[]).file("noise", noise));
        go_mod.push_str(&format!("\t{name} v1.0.0\n"));
    }
    go_mod.push_str(")\n");
    sandbox.proxy(&proxy.url());
    let project = sandbox.project("many", &format!("-- go.mod --\n{go_mod}"));
    for _ in 0..10 {
        let mut go = sandbox.command("go");
        go.args(["mod", "download"]).current_dir(&project);
        let mut larder = command(&sandbox, &["download", "src"]);
        let mut both: Vec<_> = [&mut go, &mut larder]
            .map(|one| one.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
            .into();
        if next() % 2 == 0 {
            both.reverse();
        }
        for child in &mut both {
            // Not a wait for anything: the moment of the kill is what is tried.
            std::thread::sleep(Duration::from_millis(u64::from(next() % 40)));
            let _ = child.kill();
            child.wait().unwrap();
        }
    }
    let both: Vec<_> = {
        let mut go = sandbox.command("go");
        go.args(["mod", "download"]).current_dir(&project);
        let mut larder = command(&sandbox, &["download", "src"]);
        [&mut go, &mut larder].map(|one| one.stdout(Stdio::null()).spawn().unwrap()).into()
    };
    for mut child in both {
        assert!(child.wait().unwrap().success(), "both finish, side by side");
    }
    sandbox.go(&["mod", "verify"], &project);
    let sum = fs::read(project.join("go.sum")).unwrap();
    fs::remove_file(project.join("go.sum")).unwrap();
    let left = by_larder(&sandbox);
    let differs = diff(&by_go(&sandbox, &[&project]), &left);
    let real: Vec<&str> = differs
        .lines()
        // A killed go leaves temporary files of `.info` and `.mod`, which nobody cleans up, and a
        // list that lacks a version until the next `.mod` comes, for both tools alike.
        .filter(|line| !["cache/lock", ".tmp", "/@v/list"].iter().any(|it| line.contains(it)))
        // Go makes folders read-only when they count as whole already; larder before that.
        .filter(|line| !(line.contains("(folder, 0555,") && line.contains("(folder, 0755,")))
        .collect();
    assert_eq!(real, [""; 0]);
    assert!(fs::read(project.join("go.sum")).unwrap() == sum, "go.sum is the one that go writes");
    let verify = |more: &[&str]| {
        let args = [&["verify", "mod", "--roots", "src"], more].concat();
        larder(&sandbox, &[&args[..], &["--json"]].concat()).json()
    };
    let told = verify(&["--fix"]);
    let bad = told["bad"].as_array().unwrap();
    let is = |check: &str| bad.iter().filter(|bad| bad["check"] == check).count();
    assert_eq!(is("leftover") + is("list"), bad.len(), "nothing worse: {told:#}");
    assert_eq!(verify(&[])["bad"].as_array().unwrap().len(), 0);
    sandbox.go(&["mod", "verify"], &project);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_that_loses_nothing() {
    if !has_go() {
        return;
    }
    let (sandbox, _) = world();
    let app = tidied(&sandbox, "app", APP);
    // Leaf's data is larger than that once it is unpacked; the signal is ignored as a full disk
    // sends none.
    let mut limited = sandbox.command("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 90; exec \"$0\" download src"]);
    let output = limited.arg(&*crate::flow::LARDER).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("example.test/Leaf@v1.1.0"), "{said}");
    assert!(!sandbox.gomodcache().join("example.test/!leaf@v1.1.0").exists());
    let left = by_larder(&sandbox);
    assert!(!left.keys().any(|path| path.to_string_lossy().ends_with(".tmp")), "{left:#?}");
    larder(&sandbox, &["download", "src"]).ends(0);
    sandbox.go(&["mod", "verify"], &app);
    let differs = diff(&by_go(&sandbox, &[&app]), &by_larder(&sandbox));
    let differs: Vec<&str> = differs.lines().filter(|l| !l.contains("cache/lock")).collect();
    assert_eq!(differs, [""; 0]);
}
