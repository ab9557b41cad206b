//! Undo from outside: what went comes back byte for byte, and nothing is overwritten unasked.

use std::fs;

use larder_testkit::{EntryKind, GoSandbox, Snapshot, fake_gocache, fake_gomodcache};

use crate::flow::{caches, document, larder, same, untouched};

fn ids(sandbox: &GoSandbox) -> Vec<String> {
    let listed = document(sandbox, "trash/1", 0, &["trash", "list"]);
    let entries = listed["entries"].as_array().unwrap();
    entries.iter().map(|entry| entry["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn all_of_both_caches_comes_back_byte_for_byte() {
    let sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), 200);
    fake_gomodcache(&sandbox.gomodcache(), 4, 6, 2);
    let before = caches(&sandbox);
    let done = document(&sandbox, "outcome/1", 0, &["clean", "go", "--trash"]);
    assert!(crate::flow::ending(&sandbox.gomodcache(), ".zip").is_empty());
    let id = done["trash_id"].as_str().unwrap();
    assert_eq!(ids(&sandbox)[0], id);
    larder(&sandbox, &["trash", "restore", id]).ends(0);
    untouched(&sandbox, &before);
    assert!(ids(&sandbox).is_empty());

    // By parts as well: build entries and module versions.
    for request in [
        &["prune", "build", "--max-size", "200kB", "--protect", "0s", "--trash"][..],
        &["prune", "mod", "--keep-versions", "1", "--protect", "0s", "--trash"],
        &["clean", "build", "--trash"],
        &["clean", "mod", "--trash"],
    ] {
        larder(&sandbox, request).ends(0);
        let id = &ids(&sandbox)[0];
        larder(&sandbox, &["trash", "restore", &id[..3]]).ends(0);
        untouched(&sandbox, &before);
    }
}

#[test]
fn what_exists_again_is_a_conflict_until_replace() {
    let sandbox = GoSandbox::new();
    fake_gomodcache(&sandbox.gomodcache(), 2, 4, 1);
    let before = caches(&sandbox);
    larder(&sandbox, &["clean", "mod", "--trash"]).ends(0);
    let id = ids(&sandbox).remove(0);
    let top = before.1.keys().find(|p| p.to_string_lossy().ends_with("@v1.0.0")).unwrap().clone();
    let again = sandbox.write(sandbox.gopath().join("pkg").join(&top).join("new.go"), "new");
    let said = larder(&sandbox, &["trash", "restore", &id]);
    assert!(
        said.ends(4).out.contains("exists again") && said.out.contains("--replace"),
        "{said:?}"
    );
    assert_eq!(fs::read_to_string(&again).unwrap(), "new", "overwritten unasked");
    assert_eq!(ids(&sandbox), std::slice::from_ref(&id), "what is not back must stay in the trash");
    larder(&sandbox, &["trash", "restore", &id, "--replace"]).ends(0);
    let files = |tree: &Snapshot| -> Snapshot {
        let files = tree.iter().filter(|(_, entry)| entry.kind != EntryKind::Folder);
        files.map(|(path, entry)| (path.clone(), entry.clone())).collect()
    };
    same(&files(&before.1), &files(&caches(&sandbox).1), "replaced");
    let aside = ids(&sandbox);
    assert_eq!(aside.len(), 1, "what stood in the way is kept");
    larder(&sandbox, &["trash", "restore", &aside[0]]).ends(4);
}

#[test]
fn it_is_emptied_by_age_and_by_hand_and_asks() {
    let sandbox = GoSandbox::new();
    fake_gocache(&sandbox.gocache(), 60);
    larder(&sandbox, &["clean", "build", "--trash"]).ends(0);
    larder(&sandbox, &["trash", "empty"]).ends(3);
    larder(&sandbox, &["trash", "empty", "--older-than", "1h", "--yes"]).ends(0);
    assert_eq!(ids(&sandbox).len(), 1);
    for wrong in ["", "zzzz", "../..", "0/.."] {
        larder(&sandbox, &["trash", "restore", wrong]).ends(2);
    }
    larder(&sandbox, &["trash", "empty", "--older-than", "0s", "--yes"]).ends(0);
    assert!(ids(&sandbox).is_empty());
    larder(&sandbox, &["trash", "empty", "--yes"]).ends(0);
}
