//! What other processes are started for. Each is told its role and its folder by the environment.

use std::fs;
use std::path::{Path, PathBuf};

use larder_core::Meter;
use larder_fs::{Dir, Everything, remove, trash};

use crate::support::{assert_same, chmod, count, options, sample, snapshot};
use crate::trash::{restore, take_all, trash_of};

/// Names the folder to work on.
pub(crate) const FOLDER: &str = "LARDER_FS_TEST_FOLDER";

/// Names what is to be done there.
pub(crate) const ROLE: &str = "LARDER_FS_TEST_ROLE";

/// What a process says that did it.
pub(crate) const DONE: &str = "the role was played to its end";

/// Plays the role that another test started this process for; there is none in a run of all tests.
#[test]
fn role() {
    let Ok(name) = std::env::var(ROLE) else { return };
    match name.as_str() {
        "walk_unreadable" => walk_unreadable(),
        "remove_sealed" => remove_sealed(),
        "deep" => deep(),
        "trash_round" => trash_round(),
        "fill" => fill(),
        "unfill" => unfill(),
        "replace" => replace(),
        "empty" => empty(),
        "make" => make(),
        other => panic!("no such role: {other}"),
    }
    println!("{DONE}");
}

fn folder() -> PathBuf {
    std::env::var_os(FOLDER).expect("started by a test").into()
}

/// Walks as a user who may not see everything.
fn walk_unreadable() {
    let root = folder().join("tree");
    chmod(&root.join("ab"), 0o000);
    let found = count(&Dir::open_root(&root).unwrap(), 2);
    chmod(&root.join("ab"), 0o755);
    assert_eq!(found.errors, [root.join("ab")]);
    let all = count(&Dir::open_root(&root).unwrap(), 2);
    assert!(all.errors.is_empty());
    assert_eq!(found.size.files + 3, all.size.files);
}

/// Removes folders that deny their owner everything.
fn remove_sealed() {
    let top = folder();
    for mode in [0o000, 0o333, 0o444] {
        let closed = top.join(format!("tree/closed-{mode:o}"));
        fs::create_dir(&closed).unwrap();
        fs::write(closed.join("x"), b"x").unwrap();
        chmod(&closed, mode);
    }
    let meter = Meter::default();
    let dir = Dir::open_root(&top).unwrap();
    let removal = remove(&dir, "tree".as_ref(), &Everything, (), &options(&meter));
    assert!(removal.complete, "{removal:?}");
    assert!(!top.join("tree").exists());
}

/// Walks and removes a very deep tree with few open files.
fn deep() {
    let top = Dir::open_root(&folder()).unwrap();
    let mut at = top.open_path(Path::new("")).unwrap();
    for _ in 0..crate::walk::DEPTH {
        for name in ["d", "side"] {
            at.mkdir(name.as_ref()).unwrap();
        }
        at = at.open_dir("d".as_ref()).unwrap();
    }
    let found = count(&top, 8);
    assert_eq!((found.folders, found.errors.len()), (2 * crate::walk::DEPTH, 0));
    let meter = Meter::default();
    for name in ["d", "side"] {
        let removal = remove(&top, name.as_ref(), &Everything, (), &options(&meter));
        assert!(removal.complete, "{removal:?}");
    }
    assert_eq!(count(&top, 1).folders, 0);
}

/// A whole round through the trash as somebody who is not root.
fn trash_round() {
    let root = folder().join("tree");
    let before = snapshot(&root);
    let id = take_all(&root);
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
    let restored = restore(&root, &id, false);
    assert!(restored.complete, "{restored:?}");
    assert_same(&before, &snapshot(&root));
}

/// Moves everything into the trash, and is killed.
fn fill() {
    take_all(&folder().join("tree"));
}

/// Restores what there is, and is killed.
fn unfill() {
    let root = folder().join("tree");
    for entry in trash_of(&root).list(&Meter::default()).unwrap() {
        assert!(restore(&root, &entry.id, false).complete);
    }
}

/// Restores over what stands in the way, and is killed.
fn replace() {
    let root = folder().join("tree");
    let listed: Vec<trash::Listed> = trash_of(&root).list(&Meter::default()).unwrap();
    let oldest = listed.last().unwrap();
    assert!(restore(&root, &oldest.id, true).complete);
}

/// Empties the trash, and is killed.
fn empty() {
    let root = folder().join("tree");
    let meter = Meter::default();
    for emptied in trash_of(&root).empty(None, larder_fs::now(), &meter).unwrap() {
        assert!(emptied.removal.complete, "{emptied:?}");
    }
}

/// Makes the sample tree as this user.
fn make() {
    sample(&folder().join("tree"));
}
