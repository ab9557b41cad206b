//! An index says what a walk says, whatever happened since it was made, and reads little.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_core::{Meter, Size, Time};
use larder_fs::index::{Index, Indexed, Place, SETTLED};
use larder_fs::{Dir, clock};

use crate::support::{count, write};

const TOP: Place = Place { at: 0, sum: 0, volatile: false };

fn refresh(index: &mut Index, root: &Path, now: Time) -> Indexed {
    let place_of = |parent: Place, _: &OsStr| parent;
    let dir = Dir::open_root(root).unwrap();
    index.refresh(&dir, (1, TOP, &place_of), now, &Meter::default()).unwrap()
}

/// As `du` has it; the walk leaves the root itself out.
fn walked(root: &Path) -> Size {
    let dir = Dir::open_root(root).unwrap();
    count(&dir, 0).size + Size::new(0, 0, dir.meta().unwrap().allocated)
}

/// So late that nothing is young any more.
fn later() -> Time {
    clock::now().plus(SETTLED * 2)
}

fn tree(root: &Path) -> Vec<PathBuf> {
    let mut folders = vec![root.to_owned()];
    for number in 0..60 {
        let above = folders[number / 3].clone();
        let folder = above.join(format!("folder{number}"));
        fs::create_dir(&folder).unwrap();
        for file in 0..20 {
            write(&folder.join(format!("file{file}")), &vec![7; number * 100 + file]);
        }
        folders.push(folder);
    }
    folders
}

#[test]
fn an_unchanged_tree_is_not_read_again() {
    let temp = tempfile::tempdir().unwrap();
    let folders = tree(temp.path()).len() as u64;
    let mut index = Index::default();
    let first = refresh(&mut index, temp.path(), later());
    assert_eq!((first.folders, first.read), (folders, folders));
    assert_eq!(first.sums, [walked(temp.path())]);
    let second = refresh(&mut index, temp.path(), later());
    assert_eq!((second.folders, second.read), (folders, 0));
    assert_eq!(second.sums, first.sums);
}

#[test]
fn every_kind_of_change_is_seen() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path();
    let folders = tree(root);
    let mut index = Index::default();
    refresh(&mut index, root, later());
    let changes: [&dyn Fn(); 9] = [
        &|| write(&folders[40].join("new"), b"new"),
        &|| fs::remove_file(folders[41].join("file3")).unwrap(),
        &|| fs::rename(folders[42].join("file3"), folders[43].join("moved")).unwrap(),
        &|| fs::remove_dir_all(&folders[60]).unwrap(),
        &|| fs::rename(&folders[59], root.join("elsewhere")).unwrap(),
        &|| fs::create_dir_all(folders[30].join("deep/deeper")).unwrap(),
        &|| fs::hard_link(folders[20].join("file1"), folders[20].join("linked")).unwrap(),
        &|| {
            fs::remove_dir_all(&folders[58]).unwrap();
            write(&folders[58], b"a file in its place");
        },
        &|| {
            fs::remove_dir_all(&folders[57]).unwrap();
            std::os::unix::fs::symlink(root, &folders[57]).unwrap();
        },
    ];
    for (number, change) in changes.iter().enumerate() {
        change();
        let found = refresh(&mut index, root, later());
        assert_eq!(found.sums, [walked(root)], "change {number}");
        assert!(found.read < 8, "change {number}: {} folders were read", found.read);
        // What went from under its folder is noticed there on the next look at the latest.
        assert_eq!(refresh(&mut index, root, later()).sums, [walked(root)], "change {number}");
    }
}

#[test]
fn what_is_being_written_in_place_is_looked_at_until_it_rests() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("output");
    write(&file, b"first");
    let mut index = Index::default();
    refresh(&mut index, temp.path(), clock::now());
    // The folder's own times do not change by this.
    OpenOptions::new().append(true).open(&file).unwrap().write_all(&[1; 100_000]).unwrap();
    let found = refresh(&mut index, temp.path(), clock::now());
    assert_eq!(found.sums, [walked(temp.path())]);
    assert_eq!(found.read, 1);
    assert_eq!(refresh(&mut index, temp.path(), later()).read, 1);
    assert_eq!(refresh(&mut index, temp.path(), later()).read, 0);
}

#[test]
fn a_volatile_folder_is_always_read() {
    let temp = tempfile::tempdir().unwrap();
    fs::create_dir(temp.path().join("vcs")).unwrap();
    write(&temp.path().join("vcs/FETCH_HEAD"), b"one");
    let place_of = |_: Place, _: &OsStr| Place { at: 0, sum: 0, volatile: true };
    let dir = Dir::open_root(temp.path()).unwrap();
    let mut index = Index::default();
    let meter = Meter::default();
    index.refresh(&dir, (1, TOP, &place_of), later(), &meter).unwrap();
    fs::write(temp.path().join("vcs/FETCH_HEAD"), b"three of them").unwrap();
    let a_day = Duration::from_hours(24);
    let found = index.refresh(&dir, (1, TOP, &place_of), later().plus(a_day), &meter).unwrap();
    assert_eq!((found.sums, found.read), (vec![walked(temp.path())], 1));
}
