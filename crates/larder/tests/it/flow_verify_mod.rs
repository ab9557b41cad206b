//! Verification of a module cache from outside: every tampering is told, mended, and go agrees.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use larder_testkit::{FileProxy, GoSandbox, ModuleMaker, diff, snapshot, timeless};

use crate::flow::document;

const FOLDER: &str = "example.test/dep@v1.0.0";
const DOWNLOADS: &str = "cache/download/example.test/dep/@v";

/// A project that needs one module, served from a folder and downloaded.
fn world() -> (GoSandbox, PathBuf, FileProxy) {
    let mut sandbox = GoSandbox::new();
    let proxy = FileProxy::new(sandbox.root().join("proxy"));
    proxy.publish(&ModuleMaker::new("example.test/dep", "v1.0.0").package("", &[]));
    sandbox.proxy(&proxy.url());
    let project = sandbox.project(
        "app",
        "-- go.mod --\nmodule example.test/app\n\ngo 1.21\n\nrequire example.test/dep v1.0.0\n\
         -- main.go --\npackage main\n\nimport \"example.test/dep\"\n\n\
         func main() { println(dep.Use()) }\n",
    );
    sandbox.go(&["mod", "tidy"], &project);
    sandbox.go(&["mod", "download"], &project);
    (sandbox, project, proxy)
}

fn append(path: &Path) {
    let parent = path.parent().unwrap();
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(parent, 0o755);
    mode(path, 0o644);
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"// x\n").unwrap();
}

fn verify(sandbox: &GoSandbox, project: &Path, code: i32, more: &[&str]) -> serde_json::Value {
    let roots = project.to_str().unwrap();
    let args = [&["verify", "mod", "--roots", roots][..], more].concat();
    document(sandbox, "verify/1", code, &args)
}

#[test]
fn a_workspace_is_held_against_the_go_sum_of_its_members() {
    let (sandbox, project, _) = world();
    sandbox.write("work/go.work", "go 1.21\n\nuse ../src/app\n");
    let sum = project.join("go.sum");
    let text = fs::read_to_string(&sum).unwrap();
    let line = text.lines().next().unwrap();
    let hash = "h1:4idEAncQnU5cB7BeOkPtxjfCSye0AAm1R0RVIqJ+Jmg=";
    let (name, _) = line.rsplit_once(' ').unwrap();
    fs::write(&sum, text.replace(line, &format!("{name} {hash}"))).unwrap();
    let told = verify(&sandbox, &sandbox.root().join("work"), 1, &[]);
    assert_eq!(told["bad"][0]["check"], "go.sum", "{told:#}");
}

#[test]
fn what_is_found_is_shown_in_part_where_it_is_long() {
    let (sandbox, project, _) = world();
    let at = sandbox.gomodcache().join(DOWNLOADS);
    fs::write(at.join("list"), "v".repeat(5_000_000)).unwrap();
    fs::write(at.join("v1.0.0.ziphash"), "h".repeat(5_000_000)).unwrap();
    fs::write(at.join("v1.0.0.info"), format!("{{\"Version\":\"{}\"}}", "v".repeat(5_000_000)))
        .unwrap();
    fs::write(at.join("v1.0.0.mod"), format!("module {}\n", "m".repeat(5_000_000))).unwrap();
    let told = verify(&sandbox, &project, 1, &[]);
    assert!(told["bad"].as_array().unwrap().len() >= 4, "{} bytes", told.to_string().len());
    assert!(told.to_string().len() < 20_000, "{} bytes", told.to_string().len());
    verify(&sandbox, &project, 0, &["--fix"]);
    sandbox.go(&["mod", "verify"], &project);
}

type Harm = fn(&Path);

/// Ways to harm a cache, by what finds them.
const HARMS: [(&str, Harm); 8] = [
    ("folder", |root| append(&root.join(FOLDER).join("p.go"))),
    ("zip-rules", |root| fs::write(root.join(DOWNLOADS).join("v1.0.0.zip"), "PK").unwrap()),
    ("ziphash", |root| fs::write(root.join(DOWNLOADS).join("v1.0.0.ziphash"), "x").unwrap()),
    ("go.sum", |root| append(&root.join(DOWNLOADS).join("v1.0.0.mod"))),
    // As when zip and hash are those of something else: the zip breaks rules, the hash go.sum.
    ("go.sum", |root| {
        let other = "h1:4idEAncQnU5cB7BeOkPtxjfCSye0AAm1R0RVIqJ+Jmg=";
        fs::write(root.join(DOWNLOADS).join("v1.0.0.zip"), "PK").unwrap();
        fs::write(root.join(DOWNLOADS).join("v1.0.0.ziphash"), other).unwrap();
    }),
    ("info", |root| fs::write(root.join(DOWNLOADS).join("v1.0.0.info"), "{").unwrap()),
    ("list", |root| fs::write(root.join(DOWNLOADS).join("list"), "v9.9.9\n").unwrap()),
    ("leftover", |root| {
        fs::write(root.join(DOWNLOADS).join("v1.0.0.zip7.tmp"), "x").unwrap();
    }),
];

#[test]
fn what_is_bad_is_told_and_mended_and_the_cache_is_as_it_was() {
    let (sandbox, project, _) = world();
    let root = sandbox.gomodcache();
    let healthy = timeless(snapshot(&root));
    for (check, harm) in HARMS {
        harm(&root);
        let told = verify(&sandbox, &project, 1, &[]);
        let bad = told["bad"].as_array().unwrap();
        assert!(bad.iter().any(|bad| bad["check"] == check), "{check}: {told:#}");
        assert!(bad.iter().all(|bad| bad["fixed"] == false), "{check}");
        let fixed = verify(&sandbox, &project, 0, &["--fix"]);
        let all = fixed["bad"].as_array().unwrap();
        assert!(all.iter().all(|bad| bad["fixed"] == true), "{check}: {fixed:#}");
        let good = verify(&sandbox, &project, 0, &[]);
        assert_eq!(good["bad"].as_array().unwrap().len(), 0, "{check}");
        let difference = diff(&healthy, &timeless(snapshot(&root)));
        assert!(difference.is_empty(), "{check}: {difference}");
    }
    sandbox.go(&["mod", "verify"], &project);
}

#[test]
fn without_a_network_what_can_be_made_from_the_zip_is_made() {
    let (mut sandbox, project, _) = world();
    let healthy = timeless(snapshot(&sandbox.gomodcache()));
    sandbox.set("GOPROXY", "off");
    append(&sandbox.gomodcache().join(FOLDER).join("p.go"));
    verify(&sandbox, &project, 0, &["--fix"]);
    assert_eq!(diff(&healthy, &timeless(snapshot(&sandbox.gomodcache()))), "");
    // A zip cannot be made from nothing: that is said, and what was good is still there.
    fs::write(sandbox.gomodcache().join(DOWNLOADS).join("v1.0.0.zip"), "PK").unwrap();
    let told = verify(&sandbox, &project, 4, &["--fix"]);
    assert_eq!(told["bad"][0]["fixed"], false, "{told:#}");
    sandbox.go(&["mod", "verify"], &project);
}

#[test]
fn a_go_sum_that_what_is_served_contradicts_is_never_rewritten() {
    let (sandbox, project, _) = world();
    let path = project.join("go.sum");
    let text = fs::read_to_string(&path).unwrap();
    let wrong = "h1:4idEAncQnU5cB7BeOkPtxjfCSye0AAm1R0RVIqJ+Jmg=";
    let lies: String = text
        .lines()
        .map(|line| {
            let (name, _) = line.rsplit_once(' ').unwrap();
            format!("{name} {wrong}\n")
        })
        .collect();
    fs::write(&path, &lies).unwrap();
    let before = snapshot(&sandbox.gomodcache());
    let told = verify(&sandbox, &project, 4, &["--fix"]);
    let bad = told["bad"].as_array().unwrap();
    assert_eq!(bad.len(), 2, "zip and go.mod: {told:#}");
    for bad in bad {
        assert_eq!((&bad["check"], &bad["fixed"]), (&"go.sum".into(), &false.into()), "{bad:#}");
        assert_eq!(bad["expected"], wrong);
        assert!(bad["found"].as_str().unwrap().starts_with("h1:"));
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), lies);
    assert_eq!(diff(&before, &snapshot(&sandbox.gomodcache())), "");
}
