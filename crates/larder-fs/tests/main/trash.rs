//! What goes into the trash comes back byte for byte, and nothing is ever overwritten.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_core::{CacheKind, Meter, Size, Time};
use larder_fs::{
    Dir, Disposal, Everything, Manifest, Restored, Trash, TrashError, now, trash::Entry,
};

use crate::support::{assert_same, chmod, options, run_as_nobody, sample, snapshot, write};

pub(crate) fn trash_of(root: &Path) -> Trash {
    Trash::beside(root, &root.with_file_name("state")).waiting(Duration::from_secs(1))
}

fn manifest(paths: Vec<PathBuf>) -> Manifest {
    Manifest {
        created_at: now(),
        expires_at: Some(now().plus(Duration::from_hours(1))),
        plan_id: "0badcafe".into(),
        caches: vec![CacheKind::Build, CacheKind::Mod],
        paths,
    }
}

pub(crate) fn take(entry: &Entry, root: &Path, rel: &str) -> std::io::Result<Option<Size>> {
    let rel = Path::new(rel);
    let above = Dir::open_root(root)?.open_path(rel.parent().unwrap())?;
    entry.take(&above, rel.file_name().unwrap(), rel, &Meter::default())
}

/// Moves `paths` into a new entry.
fn take_some(root: &Path, paths: &[&str]) -> String {
    let trash = trash_of(root);
    let id = trash.fresh_id();
    let what = manifest(paths.iter().map(Into::into).collect());
    let entry = trash.create(&id, root, &what).unwrap();
    for path in paths {
        take(&entry, root, path).unwrap();
    }
    assert!(entry.finish(None).unwrap());
    id
}

/// Everything of the sample tree, in all the ways in which things are taken: a folder file by
/// file, a folder whole, a closed folder, and the rest.
pub(crate) const PARTS: &[&str] =
    &["00/one-a", "00/two-d", "00", "ab", "ff/one-a", "ff", "mod/m@v1.0.0", "mod", "odd"];

/// Moves everything that is in `root`.
pub(crate) fn take_all(root: &Path) -> String {
    let trash = trash_of(root);
    let id = trash.fresh_id();
    // `00` and `ff` cannot go whole, since places in them are taken already.
    let parts: Vec<_> =
        PARTS.iter().copied().filter(|part| !["00", "ff", "mod"].contains(part)).collect();
    let what = manifest(parts.iter().map(Into::into).collect());
    let entry = trash.create(&id, root, &what).unwrap();
    for part in parts {
        take(&entry, root, part).unwrap();
    }
    // Announced only now.
    take(&entry, root, "ff/two-d").unwrap();
    for empty in ["00", "ff", "mod"] {
        fs::remove_dir(root.join(empty)).unwrap();
    }
    assert!(entry.finish(None).unwrap());
    id
}

pub(crate) fn restore(root: &Path, id: &str, replace: bool) -> Restored {
    trash_of(root).restore(id, replace, now(), &Meter::default()).unwrap()
}

fn tree() -> (tempfile::TempDir, PathBuf) {
    let top = tempfile::tempdir().unwrap();
    let root = top.path().join("tree");
    sample(&root);
    (top, root)
}

fn list(root: &Path) -> Vec<larder_fs::Listed> {
    trash_of(root).list(&Meter::default()).unwrap()
}

#[test]
fn everything_comes_back_byte_for_byte() {
    let (top, root) = tree();
    let before = snapshot(&root);
    let id = take_all(&root);
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
    let listed = list(&root);
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].id, &listed[0].root), (&id, &root));
    assert!(listed[0].complete && listed[0].restorable);
    assert_eq!(listed[0].size.files, before.values().filter(|seen| seen.is_file()).count() as u64);
    assert_eq!(listed[0].caches, [CacheKind::Build, CacheKind::Mod]);

    let restored = restore(&root, &id, false);
    assert!(restored.complete, "{restored:?}");
    assert_same(&before, &snapshot(&root));
    assert!(list(&root).is_empty());
    assert_eq!(fs::read_dir(top.path().join(".larder-trash")).unwrap().count(), 1, "the lock");
}

#[test]
fn what_two_runs_of_one_plan_took_comes_back_by_its_one_id() {
    let (_top, root) = tree();
    let before = snapshot(&root);
    let trash = trash_of(&root);
    let id = trash.fresh_id();
    // The first was killed: nobody finished its entry.
    let first = trash.create(&id, &root, &manifest(vec!["00/one-a".into()])).unwrap();
    take(&first, &root, "00/one-a").unwrap();
    drop(first);
    let second = trash.create(&id, &root, &manifest(vec!["00/two-d".into()])).unwrap();
    take(&second, &root, "00/two-d").unwrap();
    assert!(second.finish(None).unwrap());
    assert_eq!(list(&root).len(), 2);
    let restored = restore(&root, &id, false);
    assert!(restored.complete && restored.restored == 2, "{restored:?}");
    // A killed run puts no folder's time right.
    let (mut before, mut after) = (before, snapshot(&root));
    before.retain(|_, seen| seen.is_file());
    after.retain(|_, seen| seen.is_file());
    assert_same(&before, &after);
    assert!(list(&root).is_empty());
}

#[test]
fn everything_comes_back_without_root_too() {
    let top = tempfile::tempdir().unwrap();
    run_as_nobody("make", top.path());
    run_as_nobody("trash_round", top.path());
}

#[test]
fn a_whole_root_goes_in_one_move_and_comes_back() {
    let (top, root) = tree();
    let before = snapshot(&root);
    let trash = trash_of(&root);
    let entry = trash.create("7f3a", &root, &manifest(vec![PathBuf::new()])).unwrap();
    let above = Dir::open_root(top.path()).unwrap();
    let meter = Meter::default();
    let how = Disposal::Trash(&entry);
    let name = "tree".as_ref();
    let removal = how.dispose(&above, name, Path::new(""), &Everything, (), &options(&meter));
    assert!(removal.complete && !root.exists(), "{removal:?}");
    entry.finish(Some(Size::new(9, 90, 900))).unwrap();
    assert_eq!(list(&root)[0].size, Size::new(9, 90, 900));
    // Go makes the root again, and one folder of the same name in it.
    write(&root.join("ab/new-a"), b"new");
    write(&root.join("ab/one-a"), b"taken again");
    let restored = restore(&root, "7f3a", false);
    assert_eq!(restored.conflicts, [Path::new("ab/one-a")]);
    assert_eq!(fs::read(root.join("ab/one-a")).unwrap(), b"taken again");
    assert_eq!(fs::read(root.join("ab/new-a")).unwrap(), b"new");
    fs::remove_dir_all(root.join("ab/new-a")).unwrap_err();
    fs::remove_file(root.join("ab/new-a")).unwrap();
    fs::remove_file(root.join("ab/one-a")).unwrap();
    assert!(restore(&root, "7f3a", false).complete);
    let ours = |path: &Path| path == Path::new("") || path == Path::new("ab");
    let mut after = snapshot(&root);
    // These two were made by somebody else in between.
    let mut before = before;
    before.retain(|path, _| !ours(path));
    after.retain(|path, _| !ours(path));
    assert_same(&before, &after);
}

#[test]
fn a_name_taken_again_is_a_conflict_and_never_overwritten() {
    let (_top, root) = tree();
    let before = snapshot(&root);
    let id = take_all(&root);
    write(&root.join("00/one-a"), b"new");
    write(&root.join("ab/other"), b"not in the way");
    // Extracted again, but not the same: one thing, not merged.
    write(&root.join("mod/m@v1.0.0/go.mod"), b"other");
    let restored = restore(&root, &id, false);
    assert!(!restored.complete && restored.errors.is_empty(), "{restored:?}");
    let mut conflicts = restored.conflicts;
    conflicts.sort();
    assert_eq!(conflicts, [Path::new("00/one-a"), Path::new("mod/m@v1.0.0")]);
    assert_eq!(fs::read(root.join("00/one-a")).unwrap(), b"new");
    assert_eq!(fs::read(root.join("ab/other")).unwrap(), b"not in the way");
    assert_eq!(fs::read(root.join("ab/one-a")).unwrap(), b"ab/one-a");
    assert!(!root.join("mod/m@v1.0.0/inner").exists());

    let replaced = restore(&root, &id, true);
    assert!(replaced.complete, "{replaced:?}");
    fs::remove_file(root.join("ab/other")).unwrap();
    let changed = ["", "ab", "mod", "00", "odd/hard"];
    let keep = |path: &PathBuf| !changed.iter().any(|other| path == Path::new(other));
    let (mut was, mut is) = (before.clone(), snapshot(&root));
    was.retain(|path, _| keep(path));
    is.retain(|path, _| keep(path));
    assert_same(&was, &is);

    // What stood in the way can be had back too.
    let aside = replaced.replaced.unwrap();
    assert_eq!(list(&root).len(), 1);
    let again = restore(&root, &aside, true);
    assert!(again.complete, "{again:?}");
    assert_eq!(fs::read(root.join("00/one-a")).unwrap(), b"new");
    assert_eq!(fs::read(root.join("mod/m@v1.0.0/go.mod")).unwrap(), b"other");
}

#[test]
fn a_part_comes_back_with_the_time_of_the_folder_it_was_in() {
    let (_top, root) = tree();
    let before = snapshot(&root);
    let id = take_some(&root, &["ab/one-a", "ab/exe-d", "mod/m@v1.0.0/inner/x.go"]);
    assert!(root.join("ab/two-d").exists() && !root.join("ab/one-a").exists());
    assert!(restore(&root, &id, false).complete);
    assert_same(&before, &snapshot(&root));
    // Where somebody else changed the folder meanwhile, its time is theirs.
    let id = take_some(&root, &["ab/one-a"]);
    fs::write(root.join("ab/theirs"), b"").unwrap();
    // Two changes within one tick of the file system's clock could not be told apart.
    let theirs = std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    fs::File::open(root.join("ab")).unwrap().set_modified(theirs).unwrap();
    assert!(restore(&root, &id, false).complete);
    let modified = fs::metadata(root.join("ab")).unwrap().mtime();
    assert!(modified > 1_700_000_000, "{modified}");
}

#[test]
fn another_file_system_is_copied_to_and_back() {
    let (top, root) = tree();
    let state = tempfile::tempdir_in("/dev/shm").unwrap();
    let other = |path: &Path| fs::metadata(path).unwrap().dev();
    if other(state.path()) == other(top.path()) {
        eprintln!("NOT TESTED: a trash on another file system, since there is none");
        return;
    }
    let mut before = snapshot(&root);
    // A home of somebody else's making is not used.
    std::os::unix::fs::symlink("/", top.path().join(".larder-trash")).unwrap();
    let trash = Trash::beside(&root, state.path());
    assert_eq!(trash.home(), state.path().join("trash"));
    fs::remove_file(top.path().join(".larder-trash")).unwrap();
    let what = manifest(vec!["ab".into(), "mod/m@v1.0.0".into(), "odd".into()]);
    let entry = trash.create("12345678", &root, &what).unwrap();
    for path in ["ab", "mod/m@v1.0.0", "odd"] {
        take(&entry, &root, path).unwrap();
        assert!(!root.join(path).exists());
    }
    entry.finish(None).unwrap();
    // Part of a removal that was cut short: the source is still there, and the same.
    let copy = state.path().join("trash/12345678/tree/ab/one-a");
    fs::create_dir(root.join("ab")).unwrap();
    assert!(
        std::process::Command::new("cp")
            .args(["-p".as_ref(), copy.as_os_str(), root.join("ab").as_os_str()])
            .status()
            .unwrap()
            .success()
    );
    let restored = trash.restore("12345678", false, now(), &Meter::default()).unwrap();
    assert!(restored.complete, "{restored:?}");
    let mut after = snapshot(&root);
    // Somebody else changed the root itself; and a copy is a file of its own.
    before.remove(Path::new(""));
    after.remove(Path::new(""));
    for seen in before.values_mut().chain(after.values_mut()) {
        seen.forget_links();
    }
    assert_same(&before, &after);
}

#[test]
fn only_what_is_old_enough_is_emptied() {
    let (_top, root) = tree();
    let old = take_some(&root, &["ab"]);
    let trash = trash_of(&root);
    let meter = Meter::default();
    let listed = list(&root);
    let made = listed[0].created_at;
    let day = Duration::from_hours(24);
    assert!(trash.empty(Some(day), made.plus(day / 2), &meter).unwrap().is_empty());
    assert!(trash.expire(made.plus(Duration::from_mins(1)), &meter).unwrap().is_empty());
    // A clock that jumped back makes nothing older.
    assert!(trash.empty(Some(day), Time::from_unix(0), &meter).unwrap().is_empty());
    let gone = trash.expire(made.plus(day), &meter).unwrap();
    assert_eq!(gone.len(), 1);
    assert_eq!(gone[0].id, old);
    assert_eq!(gone[0].removal.freed, listed[0].size);
    assert!(matches!(trash.restore(&old, false, now(), &meter), Err(TrashError::NotFound { .. })));
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let (top, root) = tree();
    take_some(&root, &["ab"]);
    let home = top.path().join(".larder-trash");
    write(&home.join("beef/tree/file"), b"no manifest");
    write(&home.join("cafe/manifest.json"), br#"{"schema":"other/1"}"#);
    write(&home.join("notes/file"), b"not an id");
    write(&home.join(".new-abcd/tree/file"), b"not what we leave");
    std::os::unix::fs::symlink(&root, home.join("feed")).unwrap();
    let meter = Meter::default();
    assert_eq!(list(&root).len(), 1);
    assert_eq!(trash_of(&root).empty(None, now(), &meter).unwrap().len(), 1);
    for kept in ["beef/tree/file", "cafe/manifest.json", "notes/file", ".new-abcd/tree/file"] {
        assert!(home.join(kept).exists(), "{kept}");
    }
    assert!(root.join("00/one-a").exists());
}

#[test]
fn an_entry_in_use_is_busy_and_survives() {
    let (_top, root) = tree();
    let trash = trash_of(&root);
    let entry = trash.create("abcd", &root, &manifest(vec!["ab".into()])).unwrap();
    take(&entry, &root, "ab").unwrap();
    let meter = Meter::default();
    assert!(trash.empty(None, now(), &meter).unwrap().is_empty());
    assert!(matches!(trash.restore("abcd", false, now(), &meter), Err(TrashError::Locked(_))));
    assert!(!list(&root)[0].complete);
    entry.finish(None).unwrap();
    assert!(restore(&root, "abcd", false).complete);
}

#[test]
fn ids_are_hexadecimal_and_one_root_uses_each_once_at_a_time() {
    let (top, root) = tree();
    let trash = trash_of(&root);
    for bad in ["", "abc", "ABCD", "123456789", "../x", "xyzw"] {
        let refused = trash.create(bad, &root, &manifest(Vec::new()));
        assert!(matches!(refused, Err(TrashError::BadId { .. })), "{bad:?}");
    }
    let first = trash.create("abcd", &root, &manifest(vec!["ab".into()])).unwrap();
    assert!(trash.create("abcd", &root, &manifest(Vec::new())).is_err());
    // Another root that shares the trash may, and both come back together.
    let other = top.path().join("other");
    sample(&other);
    let second = trash_of(&other).create("abcd", &other, &manifest(vec!["ff".into()])).unwrap();
    take(&first, &root, "ab").unwrap();
    take(&second, &other, "ff").unwrap();
    first.finish(None).unwrap();
    second.finish(None).unwrap();
    assert_eq!(list(&root).len(), 2);
    assert!(restore(&root, "abcd", false).complete);
    assert!(root.join("ab/one-a").exists() && other.join("ff/one-a").exists());
}

#[test]
fn an_entry_into_which_nothing_went_leaves_no_trace() {
    let (_top, root) = tree();
    let entry = trash_of(&root).create("abcd", &root, &manifest(vec!["no".into()])).unwrap();
    assert!(!entry.finish(None).unwrap());
    assert!(list(&root).is_empty());
    assert!(!root.with_file_name(".larder-trash").join("abcd").exists());
}

#[test]
fn the_same_content_twice_is_no_conflict_but_other_content_is() {
    let (_top, root) = tree();
    let entry = trash_of(&root).create("abcd", &root, &manifest(vec!["ab/one-a".into()])).unwrap();
    let once_more = |content: &[u8]| {
        write(&root.join("ab/one-a"), content);
        take(&entry, &root, "ab/one-a")
    };
    once_more(b"content").unwrap();
    once_more(b"content").unwrap();
    assert!(once_more(b"another").is_err());
    assert!(root.join("ab/one-a").exists());
}

#[test]
fn a_closed_folder_above_comes_back_closed() {
    let (_top, root) = tree();
    let id = take_some(&root, &["mod/m@v1.0.0/inner/x.go"]);
    chmod(&root.join("mod/m@v1.0.0"), 0o755);
    fs::remove_dir(root.join("mod/m@v1.0.0/inner")).unwrap();
    assert!(restore(&root, &id, false).complete);
    for folder in ["mod/m@v1.0.0", "mod/m@v1.0.0/inner"] {
        assert_eq!(fs::metadata(root.join(folder)).unwrap().mode() & 0o777, 0o555);
    }
}
