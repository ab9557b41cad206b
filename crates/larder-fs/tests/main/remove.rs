//! A removal takes all of a tree, nothing that is not in it, and counts what it gave back.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use larder_core::{Meter, Size};
use larder_fs::{Dir, Everything, Judge, Removal, remove, remove_contents};

use crate::support::{assert_same, chmod, count, options, run_as_nobody, sample, snapshot, write};
use crate::walk::Mount;

fn remove_all(above: &Path, name: &str) -> Removal {
    let meter = Meter::default();
    let dir = Dir::open_root(above).unwrap();
    let removal = remove(&dir, name.as_ref(), &Everything, (), &options(&meter));
    assert_eq!(meter.files(), removal.freed.files);
    assert_eq!(meter.bytes(), removal.freed.allocated.0);
    removal
}

#[test]
fn what_is_freed_is_what_was_there() {
    let top = tempfile::tempdir().unwrap();
    sample(&top.path().join("tree"));
    let before = count(&Dir::open_root(top.path()).unwrap(), 1);
    let removal = remove_all(top.path(), "tree");
    assert!(removal.complete, "{removal:?}");
    // The walk counted the folder `tree` too, as the removal does.
    assert_eq!(removal.freed.allocated, before.size.allocated);
    assert_eq!(removal.freed.files, before.size.files);
    assert_eq!(fs::read_dir(top.path()).unwrap().count(), 0);
}

#[test]
fn a_file_with_another_name_elsewhere_gives_back_nothing() {
    let top = tempfile::tempdir().unwrap();
    write(&top.path().join("tree/file"), &[1; 10_000]);
    fs::hard_link(top.path().join("tree/file"), top.path().join("other")).unwrap();
    let folder = count(&Dir::open_root(top.path()).unwrap(), 1).size.allocated.0 - 12_288;
    let removal = remove_all(top.path(), "tree");
    assert_eq!(removal.freed, Size::new(1, 10_000, folder));
    assert_eq!(fs::read(top.path().join("other")).unwrap(), [1; 10_000]);
}

#[test]
fn files_and_symlinks_go_by_themselves_and_nothing_is_fine_too() {
    let top = tempfile::tempdir().unwrap();
    write(&top.path().join("victim/file"), b"x");
    symlink("victim", top.path().join("link")).unwrap();
    write(&top.path().join("file"), b"y");
    for name in ["link", "file", "nothing"] {
        let removal = remove_all(top.path(), name);
        assert!(removal.complete, "{removal:?}");
        assert_eq!(removal.freed.files, u64::from(name != "nothing"));
    }
    assert!(top.path().join("victim/file").exists());
}

#[test]
fn contents_go_and_the_folder_stays() {
    let top = tempfile::tempdir().unwrap();
    let root = top.path().join("tree");
    sample(&root);
    let meter = Meter::default();
    let dir = Dir::open_root(&root).unwrap();
    let removal = remove_contents(&dir, &Everything, (), &options(&meter));
    assert!(removal.complete, "{removal:?}");
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
}

/// Leaves one file and one folder; knows how deep it is.
struct Picky;

impl Judge for Picky {
    type Ctx = usize;

    fn folder(&self, depth: &usize, name: &OsStr) -> Option<usize> {
        (name != "exe-d").then_some(depth + 1)
    }

    fn file(&self, depth: &usize, name: &OsStr) -> bool {
        !(*depth == 3 && name == "x.go")
    }
}

#[test]
fn what_the_judge_keeps_stays_with_the_folders_above_as_they_were() {
    let top = tempfile::tempdir().unwrap();
    let root = top.path().join("tree");
    sample(&root);
    let kept = root.join("mod/m@v1.0.0/inner/x.go");
    let meter = Meter::default();
    let dir = Dir::open_root(top.path()).unwrap();
    let removal = remove(&dir, "tree".as_ref(), &Picky, 0, &options(&meter));
    assert_eq!(removal.left, [root.join("ab/exe-d")]);
    assert!(!kept.exists(), "the judge was asked with a wrong depth");
    assert!(removal.errors.is_empty() && !removal.complete);
    let rest = snapshot(&root);
    let paths: Vec<_> = rest.keys().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(paths, ["", "ab", "ab/exe-d", "ab/exe-d/program"]);
}

/// Leaves all files named `x.go`.
struct Sources;

impl Judge for Sources {
    type Ctx = ();

    fn folder(&self, (): &(), _: &OsStr) -> Option<()> {
        Some(())
    }

    fn file(&self, (): &(), name: &OsStr) -> bool {
        name != "x.go"
    }
}

#[test]
fn a_folder_that_was_opened_up_and_stays_is_closed_again() {
    let top = tempfile::tempdir().unwrap();
    let root = top.path().join("tree");
    sample(&root);
    let meter = Meter::default();
    let dir = Dir::open_root(&root).unwrap();
    let removal = remove(&dir, "mod".as_ref(), &Sources, (), &options(&meter));
    assert_eq!(removal.left, [root.join("mod/m@v1.0.0/inner/x.go")]);
    for folder in ["mod/m@v1.0.0", "mod/m@v1.0.0/inner"] {
        let mode = fs::metadata(root.join(folder)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o555, "{folder}");
    }
    assert!(!root.join("mod/m@v1.0.0/go.mod").exists());
}

#[test]
fn folders_that_deny_their_owner_everything_go_without_root() {
    let top = tempfile::tempdir().unwrap();
    sample(&top.path().join("tree"));
    run_as_nobody("remove_sealed", top.path());
}

#[test]
fn a_mount_point_stays() {
    let top = tempfile::tempdir().unwrap();
    let at = top.path().join("tree/sub/mounted");
    fs::create_dir_all(&at).unwrap();
    write(&top.path().join("tree/sub/file"), b"goes");
    let Some(_mount) = Mount::new(&at) else { return };
    write(&at.join("file"), b"stays");
    let removal = remove_all(top.path(), "tree");
    assert_eq!(removal.left, std::slice::from_ref(&at));
    assert!(removal.errors.is_empty() && !removal.complete);
    assert_eq!(fs::read(at.join("file")).unwrap(), b"stays");
    assert!(!top.path().join("tree/sub/file").exists());
}

/// A folder is swapped for a symlink to a victim and back, over and over, during removals.
#[test]
fn a_folder_swapped_for_a_symlink_leads_nowhere() {
    let top = tempfile::tempdir().unwrap();
    let path = |name: &str| top.path().join(name);
    for number in 0..50 {
        write(&path("victim").join(format!("{number}/file")), b"precious");
    }
    let victim = snapshot(&path("victim"));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                // Each of these fails now and then, since the folder goes meanwhile.
                let _ = fs::rename(path("tree/a"), path("aside"));
                let _ = symlink(path("victim"), path("tree/a"));
                let _ = fs::remove_file(path("tree/a"));
                let _ = fs::rename(path("aside"), path("tree/a"));
            }
        });
        for _ in 0..150 {
            for number in 0..8 {
                // The swapping thread may have put a symlink on the way; then it is tried later.
                let folder = path("tree/a").join(number.to_string());
                if fs::symlink_metadata(path("tree/a")).is_ok_and(|meta| meta.is_symlink()) {
                    continue;
                }
                let _ = fs::create_dir_all(path("tree/a"));
                let inside =
                    Dir::open_root(top.path()).and_then(|top| top.open_path(Path::new("tree/a")));
                let Ok(inside) = inside else { continue };
                let _ = inside.mkdir(number.to_string().as_ref());
                if let Ok(folder) = inside.open_dir(folder.file_name().unwrap()) {
                    let _ = folder.create("file".as_ref());
                }
            }
            let meter = Meter::default();
            let dir = Dir::open_root(top.path()).unwrap();
            remove(&dir, "tree".as_ref(), &Everything, (), &options(&meter));
            remove(&dir, "aside".as_ref(), &Everything, (), &options(&meter));
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_same(&victim, &snapshot(&path("victim")));
}

#[test]
fn somebody_who_keeps_writing_does_not_keep_us_forever() {
    let top = tempfile::tempdir().unwrap();
    let busy = top.path().join("tree/busy");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0_u64.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let _ = fs::create_dir_all(&busy);
                let _ = fs::write(busy.join(number.to_string()), b"");
            }
        });
        for _ in 0..50 {
            let removal = remove_all(top.path(), "tree");
            assert!(removal.left.is_empty());
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(remove_all(top.path(), "tree").complete);
}

#[test]
fn a_stopped_removal_keeps_what_it_did_not_reach() {
    let top = tempfile::tempdir().unwrap();
    sample(&top.path().join("tree"));
    chmod(&top.path().join("tree/00"), 0o555);
    let before = snapshot(top.path());
    let meter = Meter::default();
    meter.stop();
    let dir = Dir::open_root(&top.path().join("tree")).unwrap();
    let removal = remove_contents(&dir, &Everything, (), &options(&meter));
    assert!(!removal.complete && removal.freed.is_empty(), "{removal:?}");
    assert_same(&before, &snapshot(top.path()));
}
