//! Which folders are taken for a module cache.

use std::fs;
use std::path::Path;

use larder_fs::Dir;
use larder_go::mod_layout::{NotACache, prove};
use larder_testkit::fake_gomodcache;

use crate::mod_support::write;

fn proven(path: &Path) -> Result<(), NotACache> {
    prove(&Dir::open_root(path).unwrap()).map(|_| ())
}

#[test]
fn each_mark_alone_proves_a_cache() {
    for mark in [
        "cache/download/x",
        "cache/lock",
        "cache/vcs/x",
        "example.com/!a/b@v1.0.0/go.mod",
        "example.com@v1.0.0/go.mod",
    ] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path().join(mark), "");
        proven(folder.path()).unwrap_or_else(|error| panic!("{mark}: {error}"));
    }
    let empty = tempfile::tempdir().unwrap();
    let layout = prove(&Dir::open_root(empty.path()).unwrap()).unwrap();
    assert!(layout.is_empty());
    std::fs::create_dir(empty.path().join("cache")).unwrap();
    let begun = prove(&Dir::open_root(empty.path()).unwrap()).unwrap();
    assert!(begun.is_empty(), "all that a download killed after its first step left");
    let made = tempfile::tempdir().unwrap();
    fake_gomodcache(made.path(), 2, 2, 1);
    proven(made.path()).unwrap();
    drop(made.path().join("cache"));
}

#[test]
fn other_folders_are_refused_each_with_its_sentence() {
    let refused = |names: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            write(folder.path().join(name), "x");
        }
        proven(folder.path()).unwrap_err()
    };
    // A mark does not help a folder that is something else as well.
    let mark = "cache/download/x";
    assert!(matches!(refused(&[mark, ".git/HEAD"]), NotACache::Checkout { .. }));
    assert!(matches!(refused(&[mark, "go.mod"]), NotACache::Project { .. }));
    assert!(matches!(refused(&[mark, ".bashrc"]), NotACache::Home(_)));
    assert!(matches!(refused(&[mark, "trim.txt"]), NotACache::BuildCache(_)));
    assert!(matches!(refused(&["pkg/mod/cache/lock", "bin/x"]), NotACache::GoPath(_)));
    assert!(matches!(refused(&["file", "folder/file"]), NotACache::NoMark(_)));
    assert!(matches!(refused(&["a.com/b@latest/x"]), NotACache::NoMark(_)));
    assert!(matches!(proven(Path::new("/")), Err(NotACache::FileSystemRoot(_))));
    let text = refused(&["pkg/mod/cache/lock", "bin/x"]).to_string();
    assert!(text.contains("its module cache would be"), "{text}");
}

#[test]
fn the_home_folder_and_those_above_it_are_refused() {
    let home = std::env::home_dir().unwrap();
    let home = fs::canonicalize(home).unwrap();
    for folder in home.ancestors() {
        assert!(proven(folder).is_err(), "{}", folder.display());
    }
}

#[test]
fn a_root_may_be_a_symlink() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path().join("real/cache/lock"), "");
    std::os::unix::fs::symlink("real", folder.path().join("link")).unwrap();
    proven(&folder.path().join("link")).unwrap();
}
