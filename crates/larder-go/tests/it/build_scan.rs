//! What is taken for a build cache, and what is seen in it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

use larder_core::build_inventory::Names;
use larder_core::{Meter, Size, Target};
use larder_go::build_layout::{NotACache, classify, prove};
use larder_go::build_totals::totals;
use larder_testkit::{GoSandbox, fake_gocache, has_go};

use crate::build_support::{DAY, add_action, add_entry, add_output, empty_cache, id, open, scan};

fn refused(root: &Path) -> String {
    match prove(&open(root)) {
        Err(error @ (NotACache::Other { .. } | NotACache::NoMarks { .. })) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn caches_in_every_state_are_proven() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    prove(&open(root)).expect("an empty folder is a cache that was not used yet");
    empty_cache(root);
    let (action, _) = add_entry(root, 7, DAY);
    assert_eq!(prove(&open(root)).unwrap().shards.len(), 256);
    fs::remove_file(root.join("README")).unwrap();
    prove(&open(root)).expect("restored without its README, told by an entry");
    fs::remove_dir_all(root.join("00")).unwrap();
    prove(&open(root)).expect("partly removed");
    for shard in 0..=255_u8 {
        let _ = fs::remove_dir_all(root.join(format!("{shard:02x}")));
    }
    fs::write(root.join("trim.txt"), "1700000000").unwrap();
    prove(&open(root)).expect("cleaned: only the time stamp is left");
    fs::write(root.join("trim.txt"), "not a time").unwrap();
    refused(root);
    assert!(!root.join(action.action_path()).exists());
}

#[test]
fn what_the_go_command_leaves_after_a_clean_is_proven() {
    if !has_go() {
        return;
    }
    let sandbox = GoSandbox::new();
    let project = sandbox.project("p", "-- go.mod --\nmodule p\n-- p.go --\npackage p\n");
    sandbox.go(&["vet", "."], &project);
    let layout = prove(&open(&sandbox.gocache())).unwrap();
    assert!(layout.foreign.is_empty() && layout.blocked.is_empty(), "{layout:?}");
    sandbox.go(&["clean", "-cache"], &project);
    let layout = prove(&open(&sandbox.gocache())).unwrap();
    assert!(layout.shards.is_empty() && layout.foreign.is_empty(), "{layout:?}");
}

#[test]
fn what_is_something_else_is_refused_with_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let case = |name: &str, files: &[&str]| {
        let root = dir.path().join(name);
        for file in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        refused(&root)
    };
    assert!(case("home", &[".bashrc", "notes.txt"]).contains("a home folder"));
    assert!(case("git", &[".git/HEAD", "README"]).contains("a source checkout"));
    assert!(case("module", &["go.mod"]).contains("a source checkout"));
    assert!(case("modcache", &["cache/download/x", "a.b/c@v1.0.0/f"]).contains("a module cache"));
    // The object folder of git has folders of the same names.
    let objects = ["ab/cd00000000000000000000000000000000000000", "pack/x"];
    assert!(case("objects", &objects).contains("not Go's entries"));
    assert!(case("notes", &["notes.txt"]).contains("neither Go's README"));
    assert!(refused(Path::new("/")).contains("the root of a file system"));
}

#[test]
fn the_sums_are_those_of_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let made = fake_gocache(root, 3000);
    fs::create_dir_all(root.join("fuzz/example.test/p/FuzzX")).unwrap();
    fs::write(root.join("fuzz/example.test/p/FuzzX/0123456789abcdef"), "corpus").unwrap();
    let (dir, now, meter) = (open(root), larder_fs::now(), Meter::default());
    let sums = totals(&dir, now, 0, &meter);
    let scan = scan(root);
    assert_eq!(sums.build.size, scan.inventory.size(), "both ways of counting agree");
    assert_eq!(sums.actions.files + sums.outputs.files, made.files);
    assert_eq!(sums.actions.logical.0 + sums.outputs.logical.0, made.bytes);
    assert_eq!(sums.fuzz.size.files, 1);
    assert!(sums.foreign.is_empty() && sums.errors.is_empty(), "{sums:?}");
    let by_hand: Size = walk(root);
    assert_eq!(sums.build.size + sums.fuzz.size, by_hand);
    let ages: Size = sums.ages.0.into_iter().sum();
    assert_eq!(ages, sums.actions + sums.outputs);
    let (latest, earliest) = scan.inventory.uses().unwrap();
    assert_eq!(sums.build.last_used.unwrap().unix(), latest.unix());
    assert_eq!(sums.build.oldest_use.unwrap().unix(), earliest.unix());
    let named = scan.inventory.actions().filter(|(_, a)| matches!(a.names(), Names::Output(_)));
    assert_eq!(named.count() as u64, made.files / 2, "every action's output is found");
}

fn walk(folder: &Path) -> Size {
    let own = fs::symlink_metadata(folder).unwrap();
    let mut size = Size::new(0, 0, own.blocks() * 512);
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let meta = entry.metadata().unwrap();
        size += if meta.is_dir() {
            walk(&entry.path())
        } else {
            Size::new(1, meta.size(), meta.blocks() * 512)
        };
    }
    size
}

#[test]
fn actions_are_read_as_go_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    empty_cache(root);
    add_entry(root, 1, DAY);
    add_action(root, id(&[2]), id(&[0x99]), DAY);
    fs::write(add_action(root, id(&[3]), id(&[1, 0xdd]), DAY), "v1 short\n").unwrap();
    let other = fs::read(root.join(id(&[2]).action_path())).unwrap();
    fs::write(root.join(id(&[4]).action_path()), other).unwrap();
    add_output(root, id(&[5]), DAY);
    let scan = scan(root);
    let names: Vec<Names> = scan.inventory.actions().map(|(_, action)| action.names()).collect();
    assert!(matches!(names[0], Names::Output(_)));
    assert_eq!(names[1..], [Names::Missing, Names::Damaged, Names::Damaged]);
    assert_eq!(scan.inventory.outputs().count(), 2);
}

#[test]
fn an_executable_counts_with_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    empty_cache(root);
    let folder = root.join(id(&[9]).output_path());
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("tool"), vec![1; 10_000]).unwrap();
    let scan = scan(root);
    let (_, output) = scan.inventory.outputs().next().unwrap();
    assert!(output.is_folder());
    assert_eq!(output.size(), walk(&folder));
}

#[test]
fn what_is_foreign_is_told_and_counts_for_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    empty_cache(root);
    let (action, output) = add_entry(root, 0xab, DAY);
    let clean = scan(root).inventory.size();
    let hex = action.to_string();
    fs::write(root.join("notes.txt"), "mine").unwrap();
    fs::write(root.join("ab/notes.txt"), "mine").unwrap();
    fs::write(root.join(format!("ab/{}-a", hex.to_uppercase())), "mine").unwrap();
    fs::write(root.join(format!("ab/{hex}-x")), "mine").unwrap();
    fs::write(root.join(format!("00/{hex}-a")), "in another's folder").unwrap();
    fs::create_dir(root.join(format!("ab/{}-a", id(&[0xab, 1])))).unwrap();
    symlink("/etc/passwd", root.join(format!("ab/{}-d", id(&[0xab, 2])))).unwrap();
    let scan = scan(root);
    assert_eq!(scan.inventory.size(), clean);
    assert_eq!(scan.foreign.len(), 7, "{:?}", scan.foreign);
    assert!(scan.inventory.find_output(larder_go::build_scan::key_of(&output)).is_some());
    let sums = totals(&open(root), larder_fs::now(), 0, &Meter::default());
    assert_eq!(sums.build.size, clean);
    assert_eq!(sums.foreign.files, 6);
}

#[test]
fn folders_that_are_links_are_left_out() {
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let root = dir.path();
    empty_cache(root);
    add_entry(root, 1, DAY);
    fs::remove_dir(root.join("aa")).unwrap();
    symlink(outside.path(), root.join("aa")).unwrap();
    fs::write(outside.path().join(format!("{}-d", id(&[0xaa]))), "far").unwrap();
    let layout = prove(&open(root)).unwrap();
    assert_eq!(layout.blocked, [("aa".into(), "a symlink")]);
    assert_eq!(scan(root).inventory.outputs().count(), 1);
}

#[test]
fn only_what_larder_plans_is_accepted_from_a_plan() {
    let (action, output) = (id(&[1]), id(&[2]));
    let target = |path: &str| classify(Path::new(path));
    assert!(matches!(
        classify(&action.action_path()),
        Some(Target::Entry { action: Some(a), output: None }) if a == action
    ));
    assert!(matches!(
        classify(&output.output_path()),
        Some(Target::Entry { action: None, output: Some(o) }) if o == output
    ));
    assert!(target("fuzz/example.test/p/FuzzX").is_some());
    assert_eq!(target("testexpire.txt"), Some(Target::TestResults));
    // What verify finds wrong with it goes with it; Go makes it again.
    assert_eq!(target("trim.txt"), Some(Target::Path("trim.txt".into())));
    for bad in ["", "README", "trim.txt/x", "ab", "fuzz", "fuzz/FuzzX", "fuzz/p/notes", "ab/notes"]
    {
        assert_eq!(target(bad), None, "{bad:?}");
    }
    for bad in ["../x", "fuzz/../../FuzzX", "/etc/passwd", "fuzz/p/../FuzzX"] {
        assert_eq!(target(bad), None, "{bad:?}");
    }
    let elsewhere = format!("00/{action}-a");
    assert_eq!(target(&elsewhere), None, "an entry in another's folder");
}
