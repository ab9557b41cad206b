//! Verification from outside: what is broken is told, mended and remembered.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use larder_testkit::{GoSandbox, diff, has_go, snapshot};

use crate::flow::{caches, document, larder, untouched};

pub(crate) const PROJECT: &str = "\
-- go.mod --
module example.test/p
go 1.24
-- p.go --
package p
import \"strings\"
func Up(s string) string { return strings.ToUpper(s) }
-- cmd/hi/main.go --
package main
import (\"fmt\"; \"example.test/p\")
func main() { fmt.Println(p.Up(\"hi\")) }
";

/// A project whose build filled the cache.
pub(crate) fn built(sandbox: &GoSandbox) -> PathBuf {
    let project = sandbox.warm().project("p", PROJECT);
    sandbox.go(&["build", "-o", "hi", "./cmd/hi"], &project);
    project
}

/// The output with the archive of this package.
pub(crate) fn archive(sandbox: &GoSandbox, project: &Path, package: &str) -> PathBuf {
    let text = sandbox.go_text(&["list", "-export", "-f", "{{.Export}}", package], project);
    PathBuf::from(text.trim())
}

/// Changes the middle of a file, an hour ago: a build may have written anything newer.
pub(crate) fn spoil(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    let end = bytes.len().min(middle + 20_000);
    bytes[middle..end].iter_mut().for_each(|byte| *byte ^= 0x5a);
    rewrite(path, &bytes);
}

pub(crate) fn rewrite(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    let then = SystemTime::now() - Duration::from_hours(2);
    fs::File::open(path).unwrap().set_modified(then).unwrap();
}

#[test]
fn what_is_broken_in_the_build_cache_is_told_mended_and_remembered() {
    if !has_go() {
        return;
    }
    let sandbox = GoSandbox::new();
    let project = built(&sandbox);
    let status = document(&sandbox, "status/1", 0, &["status"]);
    assert!(status["caches"][0]["last_verified"].is_null());
    assert!(larder(&sandbox, &["status"]).ends(0).out.contains("never verified"));
    let well = document(&sandbox, "verify/1", 0, &["verify", "build"]);
    assert_eq!(well["bad"].as_array().unwrap().len(), 0, "{well:#}");
    assert_eq!((&well["good"], &well["unverifiable"]), (&well["checked"], &serde_json::json!([])));
    let status = document(&sandbox, "status/1", 0, &["status"]);
    assert_eq!(status["caches"][0]["last_verified"]["bad"], 0);

    let spoilt = archive(&sandbox, &project, "fmt");
    spoil(&spoilt);
    let future =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + 86400;
    rewrite(&sandbox.gocache().join("testexpire.txt"), format!("{future}000000000\n").as_bytes());
    let before = caches(&sandbox);
    let ill = document(&sandbox, "verify/1", 1, &["verify", "build"]);
    let bad = ill["bad"].as_array().unwrap();
    assert_eq!(bad.len(), 2, "{ill:#}");
    assert_eq!((&bad[0]["check"], &bad[1]["check"]), (&"output-hash".into(), &"stamp".into()));
    assert_eq!(bad[0]["path"], spoilt.to_str().unwrap());
    let said = larder(&sandbox, &["verify", "build"]);
    assert!(said.ends(1).out.contains("larder verify build --fix"), "{said:?}");
    larder(&sandbox, &["verify", "build", "--fix", "-n"]).ends(1);
    larder(&sandbox, &["verify", "build", "--fix", "--profile", "production"]).ends(3);
    untouched(&sandbox, &before);
    assert!(
        larder(&sandbox, &["status"])
            .ends(0)
            .out
            .contains("build was verified just now with 2 bad")
    );

    let mended = document(&sandbox, "verify/1", 0, &["verify", "build", "--fix", "--trash"]);
    assert!(mended["bad"].as_array().unwrap().iter().all(|bad| bad["fixed"] == true), "{mended:#}");
    let after = snapshot(&sandbox.gocache());
    let gone: Vec<&PathBuf> = before.0.keys().filter(|path| !after.contains_key(*path)).collect();
    assert_eq!(gone.len(), 2, "only the output and its action: {gone:?}");
    assert!(!spoilt.exists());
    document(&sandbox, "verify/1", 0, &["verify", "build"]);
    sandbox.go(&["build", "-o", "hi", "./cmd/hi"], &project);
    document(&sandbox, "verify/1", 0, &["verify", "build"]);

    // Undone as everything else is.
    let id = mended["fix"]["trash_id"].as_str().unwrap();
    larder(&sandbox, &["trash", "restore", id, "--replace"]).ends(0);
    document(&sandbox, "verify/1", 1, &["verify", "build"]);
}

#[test]
fn a_healthy_cache_is_only_read_and_what_is_not_there_is_no_fault() {
    let sandbox = GoSandbox::new();
    let nothing = document(&sandbox, "verify/1", 0, &["verify"]);
    assert_eq!(nothing["checked"], 0);
    larder(&sandbox, &["verify", "fuzz"]).ends(2);
    larder(&sandbox, &["verify", "biuld"]).ends(2);
    larder(&sandbox, &["verify", "mod", "--roots", "/nowhere/at/all"]).ends(2);
    if !has_go() {
        return;
    }
    built(&sandbox);
    let before = snapshot(&sandbox.gocache());
    larder(&sandbox, &["verify", "--fix"]).ends(0);
    assert_eq!(diff(&before, &snapshot(&sandbox.gocache())), "");
}

#[test]
fn corpora_of_fuzzing_are_nobodys_mistake() {
    if !has_go() {
        return;
    }
    let sandbox = GoSandbox::new();
    sandbox.warm_for_vet();
    let fuzz = "-- p_test.go --\npackage p\nimport \"testing\"\nfunc FuzzUp(f *testing.F) {\n\tf.Add(\"a\")\n\tf.Fuzz(func(t *testing.T, s string) { if len(s) > 3 && s[0] == 'x' { Up(s) } else { Up(\"\") } })\n}\n";
    let project = sandbox.project("p", &format!("{PROJECT}{fuzz}"));
    sandbox.go(&["test", "-run=^$", "-fuzz=FuzzUp", "-fuzztime=2000x"], &project);
    let corpus = sandbox.gocache().join("fuzz/example.test/p/FuzzUp");
    let found = || snapshot(&corpus);
    assert!(found().len() > 1, "the fuzzer found nothing worth keeping");
    let some = corpus.join(found().keys().last().unwrap());
    // What go cannot parse it passes over, so it is no harm.
    rewrite(&some, b"go test fuzz v1\nno such thing(");
    rewrite(&corpus.join("of a person"), b"go test fuzz v1\nstring(\"x\")\n");
    let before = found();
    let well = document(&sandbox, "verify/1", 0, &["verify", "build", "--fix"]);
    assert_eq!(well["bad"].as_array().unwrap().len(), 0, "{well:#}");
    assert_eq!(diff(&before, &found()), "");
    sandbox.go(&["test", "-run=^$", "-fuzz=FuzzUp", "-fuzztime=10x"], &project);
}
