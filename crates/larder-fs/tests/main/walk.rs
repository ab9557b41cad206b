//! A walk sees what `du` and `find` see, and nothing twice.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use larder_core::Meter;
use larder_fs::{Dir, Links, WalkOptions, walk};

use crate::support::{Found, count, is_root, number, role, run, run_as_nobody, sample, write};

/// How deep the deepest tree is.
pub(crate) const DEPTH: u64 = 5000;

/// A tree whose shape depends on `seed`.
fn generated(root: &Path, seed: u64) {
    let mut state = seed;
    let mut random = |below: u64| {
        // xorshift64, so that a failure can be had again.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut folders = vec![root.to_owned()];
    let mut files = Vec::new();
    for number in 0..400 {
        let above = folders[usize::try_from(random(folders.len() as u64)).unwrap()].clone();
        let mut name = format!("{number}").into_bytes();
        match random(20) {
            0 => name.extend(b"\n"),
            1 => name.extend(b"\xff\xfe"),
            2 => name.extend(b" -e \\"),
            3 => name.extend([b'x'; 240]),
            _ => {}
        }
        let path = above.join(OsStr::from_bytes(&name));
        match random(10) {
            0 | 1 => {
                fs::create_dir(&path).unwrap();
                folders.push(path);
            }
            2 => symlink("..", &path).unwrap(),
            3 if !files.is_empty() => fs::hard_link(&files[files.len() / 2], &path).unwrap(),
            4 => File::create(&path).unwrap().set_len(1 << 20).unwrap(),
            _ => {
                write(&path, &vec![1; usize::try_from(random(20_000)).unwrap()]);
                files.push(path);
            }
        }
    }
}

fn as_found(root: &Path) -> Found {
    count(&Dir::open_root(root).unwrap(), 0)
}

#[test]
fn sizes_and_counts_are_those_of_du_and_find() {
    for seed in [1, 22, 333] {
        let top = tempfile::tempdir().unwrap();
        let root = top.path().join("tree");
        fs::create_dir(&root).unwrap();
        generated(&root, seed);
        assert!(Command::new("mkfifo").arg(root.join("pipe")).status().unwrap().success());
        let found = as_found(&root);
        let own = number("stat", &["-c%b".as_ref(), root.as_ref()]) * 512;
        let du = number("du", &["-s".as_ref(), "-B1".as_ref(), root.as_ref()]);
        assert_eq!(found.size.allocated.0 + own, du, "seed {seed}");
        let find = |filter: &str, print: &str| {
            let script = format!(
                r#"find "$0" -mindepth 1 {filter} -printf '{print}\n' | awk '{{s+=$1}} END {{print s+0}}'"#
            );
            number("sh", &["-c".as_ref(), script.as_ref(), root.as_ref()])
        };
        assert_eq!(found.size.files, find("! -type d", "1"), "seed {seed}");
        assert_eq!(found.folders, find("-type d", "1"), "seed {seed}");
        assert_eq!(found.size.logical.0, find("! -type d", "%s"), "seed {seed}");
        assert!(found.errors.is_empty());
    }
}

#[test]
fn every_number_of_threads_finds_the_same() {
    let top = tempfile::tempdir().unwrap();
    generated(top.path(), 4444);
    let root = Dir::open_root(top.path()).unwrap();
    let one = count(&root, 1);
    for threads in [2, 3, 32] {
        let many = count(&root, threads);
        assert_eq!((one.size, one.folders), (many.size, many.folders));
    }
}

#[test]
fn what_may_not_be_read_is_told_and_the_rest_is_counted() {
    let top = tempfile::tempdir().unwrap();
    sample(&top.path().join("tree"));
    run_as_nobody("walk_unreadable", top.path());
}

#[test]
fn five_thousand_levels_need_few_open_files() {
    let top = tempfile::tempdir().unwrap();
    let deep = top.path().join("deep");
    fs::create_dir(&deep).unwrap();
    let mut command = role("deep", top.path());
    let limited = ["sh", "-c", r#"ulimit -n 256; exec "$0" "$@""#];
    command.splice(0..0, limited.map(Into::into));
    run(&command, &deep);
}

#[test]
fn a_stopped_walk_ends() {
    let top = tempfile::tempdir().unwrap();
    generated(top.path(), 5);
    let (meter, links) = (Meter::default(), Links::default());
    meter.stop();
    let new = || crate::support::counter(&links);
    let root = Dir::open_root(top.path()).unwrap();
    let walked = walk(&root, (), new, &WalkOptions { threads: 4, meter: &meter });
    assert!(walked.visitors.iter().all(|visitor| visitor.folders == 0));
}

#[test]
fn a_symlink_leads_nowhere_but_for_the_root_itself() {
    let top = tempfile::tempdir().unwrap();
    sample(&top.path().join("tree"));
    symlink("tree", top.path().join("alias")).unwrap();
    let (real, alias) = (as_found(&top.path().join("tree")), as_found(&top.path().join("alias")));
    assert_eq!((real.size, real.folders), (alias.size, alias.folders));
    let dir = Dir::open_root(top.path()).unwrap();
    assert!(dir.open_dir("alias".as_ref()).is_err());
    assert!(dir.open_path(Path::new("alias/ab")).is_err());
    assert!(dir.open_path(Path::new("tree/../tree")).is_err());
    assert!(dir.open_path(Path::new("/")).is_err());
    for name in ["", ".", "..", "tree/ab", "tree/"] {
        assert!(dir.look(name.as_ref()).is_err(), "{name:?}");
    }
    assert!(dir.read("alias".as_ref(), 10).is_err());
}

/// A file system mounted for as long as this lives.
pub(crate) struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    /// `None`, loudly, where this user or this machine may not mount.
    pub(crate) fn new(at: &'a Path) -> Option<Self> {
        let mounted = is_root()
            && Command::new("mount")
                .args(["-t", "tmpfs", "larder-test"])
                .arg(at)
                .status()
                .is_ok_and(|status| status.success());
        if !mounted {
            eprintln!("NOT TESTED: mount points, since nothing can be mounted here");
        }
        mounted.then_some(Self(at))
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn a_mount_point_is_told_and_not_entered() {
    let top = tempfile::tempdir().unwrap();
    let at = top.path().join("mounted");
    fs::create_dir(&at).unwrap();
    let Some(_mount) = Mount::new(&at) else { return };
    write(&at.join("file"), b"on another file system");
    write(&top.path().join("file"), b"here");
    let found = as_found(top.path());
    assert_eq!((found.size.files, found.folders), (1, 0));
    assert_eq!(found.skipped, ["mounted"]);
    assert!(larder_fs::is_mount_point(&at).unwrap());
}
