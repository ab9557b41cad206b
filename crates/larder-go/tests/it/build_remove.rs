//! What goes from a build cache, and what does not.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use larder_core::{CacheKind, Meter, PlanItem, Target};
use larder_fs::{Disposal, Manifest, RemoveOptions, Trash};
use larder_go::build_clean::{clean_build, clean_fuzz};
use larder_go::build_layout::{STAGED, prove};
use larder_go::build_remove::{Fate, Remover};
use larder_go::{fuzz, trim};
use larder_testkit::{GoSandbox, copy_tree, diff, has_go, snapshot};

use crate::build_support::{
    DAY, HOUR, add_action, add_entry, add_output, both, empty_cache, id, open, plan, remove, scan,
    set_age,
};

fn cache() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    empty_cache(dir.path());
    dir
}

fn skipped(fate: Result<Fate, larder_go::build_remove::RemoveError>) -> &'static str {
    match fate.unwrap() {
        Fate::Skipped(why) => why,
        gone @ Fate::Gone(_) => panic!("{gone:?}"),
    }
}

#[test]
fn an_entry_goes_with_its_output() {
    let dir = cache();
    let (action, output) = add_entry(dir.path(), 1, 9 * DAY);
    let before = scan(dir.path()).inventory.size();
    let Fate::Gone(freed) = remove(dir.path(), &both(action, output), 9 * DAY).unwrap() else {
        panic!("it stayed");
    };
    assert_eq!(before - scan(dir.path()).inventory.size(), freed);
    assert_eq!(freed.files, 2);
    assert!(!dir.path().join(action.action_path()).exists());
    assert!(!dir.path().join(output.output_path()).exists());
    assert_eq!(skipped(remove(dir.path(), &both(action, output), 9 * DAY)), "is no longer there");
}

#[test]
fn a_removal_that_was_cut_short_is_finished_by_the_same_plan() {
    for action_is_gone in [false, true] {
        let dir = cache();
        let (action, output) = add_entry(dir.path(), 1, 9 * DAY);
        let path = dir.path().join(output.output_path());
        let mut staged = path.clone().into_os_string();
        staged.push(STAGED);
        fs::rename(&path, &staged).unwrap();
        if action_is_gone {
            fs::remove_file(dir.path().join(action.action_path())).unwrap();
        }
        let fate = remove(dir.path(), &both(action, output), 9 * DAY).unwrap();
        assert!(matches!(fate, Fate::Gone(size) if size.files == 2 - u64::from(action_is_gone)));
        assert!(!Path::new(&staged).exists());
        assert!(!dir.path().join(action.action_path()).exists());
    }
}

#[test]
fn what_was_used_since_stays_whole() {
    let dir = cache();
    for touched in ["a", "d"] {
        let (action, output) = add_entry(dir.path(), 1, 9 * DAY);
        let file = if touched == "a" { action.action_path() } else { output.output_path() };
        set_age(&dir.path().join(file), 2 * HOUR);
        let why = skipped(remove(dir.path(), &both(action, output), 9 * DAY));
        assert_eq!(why, "was used since it was planned");
        assert!(dir.path().join(action.action_path()).exists());
        assert!(dir.path().join(output.output_path()).exists());
    }
}

#[test]
fn what_is_under_the_cutoff_stays() {
    let dir = cache();
    let (action, output) = add_entry(dir.path(), 1, 2 * HOUR);
    let (root, meter, now) = (open(dir.path()), Meter::default(), larder_fs::now());
    let remover = Remover::new(&root, &Disposal::Delete, now.minus(DAY), &meter);
    let fate = remover.remove(&both(action, output), Some(now.minus(HOUR)));
    assert_eq!(skipped(fate), "was used too recently");
    assert!(dir.path().join(output.output_path()).exists());
}

#[test]
fn what_changed_in_kind_stays() {
    let dir = cache();
    let (action, output) = add_entry(dir.path(), 1, 9 * DAY);
    let at = |path: std::path::PathBuf| dir.path().join(path);
    fs::write(at("victim".into()), "precious").unwrap();
    fs::remove_file(at(output.output_path())).unwrap();
    symlink(at("victim".into()), at(output.output_path())).unwrap();
    assert_eq!(skipped(remove(dir.path(), &both(action, output), DAY)), "has become a symlink");
    fs::remove_file(at(action.action_path())).unwrap();
    fs::create_dir(at(action.action_path())).unwrap();
    assert_eq!(skipped(remove(dir.path(), &both(action, output), DAY)), "has changed in kind");
    assert_eq!(fs::read_to_string(at("victim".into())).unwrap(), "precious");
}

#[test]
fn an_executable_goes_whole_and_a_swapped_folder_leads_nowhere() {
    let (dir, outside) = (cache(), tempfile::tempdir().unwrap());
    let output = id(&[1]);
    let folder = dir.path().join(output.output_path());
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("tool"), "binary").unwrap();
    set_age(&folder, 9 * DAY);
    let target = Target::Entry { action: None, output: Some(output) };
    assert!(matches!(remove(dir.path(), &target, 9 * DAY).unwrap(), Fate::Gone(_)));
    assert!(!folder.exists());
    // A folder of entries that has become a link is not entered.
    let (action, output) = add_entry(dir.path(), 2, 9 * DAY);
    fs::rename(dir.path().join("02"), outside.path().join("02")).unwrap();
    symlink(outside.path().join("02"), dir.path().join("02")).unwrap();
    remove(dir.path(), &both(action, output), 9 * DAY).unwrap_err();
    assert_eq!(fs::read_dir(outside.path().join("02")).unwrap().count(), 2);
}

#[test]
fn a_removal_that_did_not_end_is_finished() {
    let dir = cache();
    let (_, output) = add_entry(dir.path(), 1, 9 * DAY);
    let file = dir.path().join(output.output_path());
    let staged = file.with_file_name(format!("{output}-d{STAGED}"));
    fs::rename(&file, &staged).unwrap();
    let scanned = scan(dir.path());
    assert_eq!(scanned.leftovers.len(), 1);
    let items = plan(dir.path(), u64::MAX, DAY).items;
    // What was begun, and the action without an output.
    assert_eq!(items.len(), 2, "{items:?}");
    let (root, meter) = (open(dir.path()), Meter::default());
    let remover = Remover::new(&root, &Disposal::Delete, larder_fs::now(), &meter);
    for fate in remover.remove_all(&items.iter().collect::<Vec<_>>(), 4) {
        assert!(matches!(fate.unwrap(), Fate::Gone(_)));
    }
    assert_eq!(fs::read_dir(dir.path().join("01")).unwrap().count(), 0);
}

#[test]
fn the_same_output_made_again_under_a_leftover_goes_too() {
    let dir = cache();
    let (action, output) = add_entry(dir.path(), 1, 9 * DAY);
    let staged = dir.path().join(format!("01/{output}-d{STAGED}"));
    fs::write(&staged, "12345").unwrap();
    assert!(matches!(remove(dir.path(), &both(action, output), 9 * DAY).unwrap(), Fate::Gone(_)));
    assert_eq!(fs::read_dir(dir.path().join("01")).unwrap().count(), 0);
}

#[test]
fn a_plan_names_whole_entries_in_the_order_of_the_choice() {
    let dir = cache();
    for (begin, age) in [(5, 3), (4, 9), (3, 6), (2, 1)] {
        add_entry(dir.path(), begin, age * DAY);
    }
    let items = plan(dir.path(), 0, 2 * DAY);
    let subjects: Vec<Vec<std::path::PathBuf>> =
        items.items.iter().map(|item| item.target.paths()).collect();
    let want: Vec<Vec<std::path::PathBuf>> = [4, 3, 5]
        .map(|b: u8| vec![id(&[b, 0xaa]).action_path(), id(&[b, 0xdd]).output_path()])
        .to_vec();
    assert_eq!(subjects, want);
    assert_eq!(items.kept.len(), 1, "the cap is not met, and that is said");
    assert!(items.kept[0].subject.ends_with("1 build entry"), "{:?}", items.kept);
}

#[test]
fn an_output_that_an_unreadable_action_may_name_stays() {
    if is_root() {
        return;
    }
    let dir = cache();
    add_output(dir.path(), id(&[7]), 9 * DAY);
    let action = add_action(dir.path(), id(&[8]), id(&[7]), 9 * DAY);
    fs::set_permissions(&action, fs::Permissions::from_mode(0o000)).unwrap();
    let items = plan(dir.path(), u64::MAX, DAY);
    assert_eq!(items.items, []);
    assert_eq!(items.kept.len(), 1);
}

/// Root reads everything, so that test is for everybody else.
fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

fn clean(root: &Path) -> larder_fs::Removal {
    let (dir, meter) = (open(root), Meter::default());
    let layout = prove(&dir).unwrap();
    clean_build(&dir, &layout, &Disposal::Delete, &RemoveOptions { threads: 0, meter: &meter })
}

#[test]
fn clean_does_what_go_does() {
    if !has_go() {
        return;
    }
    let sandbox = GoSandbox::new();
    sandbox.warm();
    let project = sandbox.project("p", "-- go.mod --\nmodule p\n-- p.go --\npackage main\nimport \"fmt\"\nfunc main() { fmt.Println() }\n");
    sandbox.go(&["build", "-o", "p", "."], &project);
    fs::write(sandbox.gocache().join("log.txt"), "old").unwrap();
    fs::create_dir_all(sandbox.gocache().join("fuzz/p/FuzzX")).unwrap();
    let copy = sandbox.root().join("copy");
    copy_tree(&sandbox.gocache(), &copy).unwrap();
    let before = scan(&copy).inventory;
    let removal = clean(&copy);
    assert!(removal.complete, "{removal:?}");
    assert_eq!(removal.freed.files, before.size().files - before.overhead.files + 1);
    sandbox.go(&["clean", "-cache"], &project);
    let strip = |root: &Path| {
        let mut names: Vec<_> =
            fs::read_dir(root).unwrap().flatten().map(|e| e.file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(strip(&copy), strip(&sandbox.gocache()));
}

#[test]
fn clean_leaves_what_is_foreign_and_says_so() {
    let dir = cache();
    let root = dir.path();
    add_entry(root, 1, DAY);
    add_entry(root, 2, DAY);
    fs::write(root.join("01/notes.txt"), "mine").unwrap();
    fs::write(root.join("victim"), "mine").unwrap();
    symlink(root.join("victim"), root.join(format!("02/{}-d", id(&[2, 9])))).unwrap();
    let removal = clean(root);
    assert!(!removal.complete);
    assert_eq!(removal.left.len(), 2, "{:?}", removal.left);
    assert_eq!(removal.freed.files, 4);
    assert_eq!(fs::read_to_string(root.join("01/notes.txt")).unwrap(), "mine");
    assert_eq!(fs::read_to_string(root.join("victim")).unwrap(), "mine");
    assert!(!root.join("03").exists(), "the other folders are gone");
}

#[test]
fn fuzz_data_goes_by_target_or_whole() {
    let dir = cache();
    let root = dir.path();
    for target in ["FuzzOne", "FuzzTwo"] {
        let folder = root.join("fuzz/example.test/p").join(target);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("0123456789abcdef"), "input").unwrap();
        set_age(&folder.join("0123456789abcdef"), 9 * DAY);
    }
    fs::write(root.join("fuzz/notes"), "mine").unwrap();
    let found = fuzz::scan(&open(root), &Meter::default());
    let subjects: Vec<&str> = found.units.iter().map(|u| u.subject.as_str()).collect();
    assert_eq!(subjects, ["example.test/p FuzzOne", "example.test/p FuzzTwo"]);
    assert_eq!(found.foreign, [Path::new("fuzz/notes")]);
    let one = &found.units[0];
    assert_eq!((one.size.files, one.size.logical.0), (1, 5));
    assert!(matches!(remove(root, &one.target, 9 * DAY).unwrap(), Fate::Gone(_)));
    assert!(!root.join("fuzz/example.test/p/FuzzOne").exists());
    set_age(&root.join("fuzz/example.test/p/FuzzTwo/0123456789abcdef"), HOUR);
    skipped(remove(root, &found.units[1].target, 9 * DAY));
    let (handle, meter) = (open(root), Meter::default());
    let layout = prove(&handle).unwrap();
    let options = RemoveOptions { threads: 0, meter: &meter };
    assert!(clean_fuzz(&handle, &layout, &Disposal::Delete, &options).complete);
    assert!(!root.join("fuzz").exists());
}

#[test]
fn a_corpus_older_than_its_target_is_told() {
    let (dir, source) = (cache(), tempfile::tempdir().unwrap());
    let folder = dir.path().join("fuzz/example.test/p/FuzzX");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("00"), "input").unwrap();
    set_age(&folder.join("00"), 9 * DAY);
    let file = source.path().join("p_test.go");
    fs::write(&file, "package p\n\nfunc FuzzX(f *testing.F) {}\n").unwrap();
    let units = fuzz::scan(&open(dir.path()), &Meter::default()).units;
    let find = |package: &str| (package == "example.test/p").then(|| source.path().to_owned());
    assert_eq!(fuzz::outdated(&units, &find)[0].source, file);
    set_age(&file, 10 * DAY);
    assert_eq!(fuzz::outdated(&units, &find), []);
    assert_eq!(fuzz::outdated(&units, &|_| None), []);
}

#[test]
fn test_results_expire_as_with_go() {
    let dir = cache();
    let (root, meter) = (open(dir.path()), Meter::default());
    let stamp = || fs::read_to_string(dir.path().join("testexpire.txt")).unwrap();
    let now = larder_fs::now();
    let expire = |now| trim::expire_tests(&root, now, Duration::ZERO, &meter).unwrap();
    assert!(expire(now));
    assert_eq!(stamp(), format!("{}\n", now.unix_nanos()));
    assert!(!expire(now.minus(HOUR)), "only ever later");
    assert_eq!(trim::test_expiry(&root), Some(now));
    fs::write(dir.path().join("testexpire.txt"), "rubbish, and longer than a time stamp\n")
        .unwrap();
    assert!(expire(now.minus(HOUR)), "what is no number counts as none");
    assert_eq!(trim::test_expiry(&root), Some(now.minus(HOUR)));
    // A go command that holds the lock is waited for.
    let held = root.open_lock("testexpire.txt".as_ref()).unwrap();
    held.lock().unwrap();
    trim::expire_tests(&root, now, Duration::ZERO, &meter).unwrap_err();
}

#[test]
fn a_trimmed_cache_is_told_from_one_that_is_not() {
    use trim::TrimState;
    let dir = cache();
    let (root, now) = (open(dir.path()), larder_fs::now());
    let with = |text: &str| {
        fs::write(dir.path().join("trim.txt"), text).unwrap();
        trim::trim_state(&root, now)
    };
    assert_eq!(trim::trim_state(&root, now), TrimState::Never);
    assert_eq!(
        with(&format!(" {}\n", now.unix())),
        TrimState::Trimmed(larder_core::Time::from_unix(now.unix()))
    );
    assert!(matches!(with(&(now.unix() + 7200).to_string()), TrimState::Future(_)));
    assert_eq!(with("rubbish"), TrimState::Unreadable);
}

/// Builds never fail while everything that may go goes, again and again.
#[test]
fn builds_never_fail_while_entries_go() {
    if !has_go() {
        return;
    }
    let sandbox = GoSandbox::new();
    sandbox.warm();
    let packages = 0..12;
    let mut text = String::from("-- go.mod --\nmodule example.test/loop\n\ngo 1.21\n");
    let (mut imports, mut calls) = (String::new(), String::new());
    for n in packages {
        write!(text, "-- p{n}/p.go --\npackage p\n\nfunc F() int {{ return {n} }}\n").unwrap();
        writeln!(imports, "import p{n} \"example.test/loop/p{n}\"").unwrap();
        writeln!(calls, "\tprintln(p{n}.F())").unwrap();
    }
    let main = format!("-- main.go --\npackage main\n\n{imports}\nfunc main() {{\n{calls}}}\n");
    let project = sandbox.project("loop", &(text + &main));
    let root = sandbox.gocache();
    // Most of the standard library stays, so that a build takes a second and there are many.
    let stays: HashSet<OsString> =
        names_below(&root).filter(|name| name.as_encoded_bytes()[3] != b'0').collect();
    let done = AtomicBool::new(false);
    let removed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let pruner = scope.spawn(|| prune_until(&root, &done, &removed));
        // On a busy machine an entry goes seldom: as many builds as it takes for enough to go.
        for build in 0..100 {
            if build >= 12 && removed.load(Ordering::Relaxed) > 50 {
                break;
            }
            // Everything looks long unused, so all of it may go at any moment.
            age_all(&root, &stays);
            let output = sandbox.try_go(&["build", "-o", "out", "."], &project);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            done.store(!output.status.success(), Ordering::Relaxed);
            assert!(output.status.success(), "{said}");
        }
        done.store(true, Ordering::Relaxed);
        pruner.join().unwrap();
    });
    let removed = removed.into_inner();
    assert!(removed > 50, "only {removed} entries went: nothing was tried");
    assert!(scan(&root).leftovers.is_empty());
    sandbox.go(&["build", "-o", "out", "."], &project);
}

fn prune_until(root: &Path, done: &AtomicBool, removed: &AtomicUsize) {
    while !done.load(Ordering::Relaxed) {
        let planned = plan(root, 0, 2 * HOUR).items;
        let (dir, meter) = (open(root), Meter::default());
        let cutoff = larder_fs::now().minus(2 * HOUR);
        let hands = Remover::new(&dir, &Disposal::Delete, cutoff, &meter);
        let items: Vec<&PlanItem> = planned.iter().collect();
        // A part of it each time, so that builds meet every mixture of there and gone.
        for fate in hands.remove_all(&items[..items.len().min(100)], 4) {
            if matches!(fate.unwrap(), Fate::Gone(_)) {
                removed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn age_all(root: &Path, stays: &HashSet<OsString>) {
    for name in names_below(root).filter(|name| !stays.contains(name)) {
        // It may have gone meanwhile.
        let shard = name.to_str().unwrap()[..2].to_owned();
        if let Ok(file) = fs::File::open(root.join(shard).join(name)) {
            let _ = file.set_modified(SystemTime::now() - 9 * DAY);
        }
    }
}

/// The names of all entries.
fn names_below(root: &Path) -> impl Iterator<Item = OsString> {
    let folders = fs::read_dir(root).unwrap().flatten().filter(|entry| entry.path().is_dir());
    let names = folders.flat_map(|folder| fs::read_dir(folder.path()).unwrap().flatten());
    names.map(|entry| entry.file_name()).filter(|name| name.len() > 60)
}

#[test]
fn what_goes_to_the_trash_comes_back_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("cache");
    fs::create_dir(&root).unwrap();
    empty_cache(&root);
    let (action, output) = add_entry(&root, 1, 9 * DAY);
    add_entry(&root, 2, 9 * DAY);
    let before = snapshot(&root);
    let trash = Trash::beside(&root, &dir.path().join("state"));
    let (handle, meter) = (open(&root), Meter::default());
    let layout = prove(&handle).unwrap();
    let now = larder_fs::now();
    let what = Manifest {
        caches: vec![CacheKind::Build],
        paths: Vec::new(),
        plan_id: "00000000".to_owned(),
        created_at: now,
        expires_at: None,
    };
    let entry = trash.create("abcd", &root, &what).unwrap();
    let how = Disposal::Trash(&entry);
    let remover = Remover::new(&handle, &how, now, &meter);
    let fate = remover.remove(&both(action, output), Some(now.minus(9 * DAY))).unwrap();
    assert!(matches!(fate, Fate::Gone(size) if size.files == 2), "{fate:?}");
    let options = RemoveOptions { threads: 0, meter: &meter };
    let removal = clean_build(&handle, &layout, &how, &options);
    assert!(removal.complete, "{removal:?}");
    assert!(!root.join("02").exists());
    assert!(entry.finish(None).unwrap());
    let restored = trash.restore("abcd", false, now, &meter).unwrap();
    assert!(restored.complete, "{restored:?}");
    let changed = diff(&before, &snapshot(&root));
    // Folders that stayed meanwhile remember when things came back into them.
    let changed: Vec<_> = changed.lines().filter(|l| l.matches("(folder,").count() != 2).collect();
    assert!(changed.is_empty(), "{changed:?}");
}
