//! Locks exclude those that the go command takes, which are `flock(2)`.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use larder_core::Meter;
use larder_fs::{Dir, FileLock, LockError};

#[test]
fn flock_and_we_exclude_each_other() {
    let top = tempfile::tempdir().unwrap();
    let dir = Dir::open_root(top.path()).unwrap();
    let path = top.path().join("v1.0.0.lock");
    let take = |wait| {
        let file = dir.open_lock("v1.0.0.lock".as_ref()).unwrap();
        FileLock::exclusive(file, &path, wait, &Meter::default())
    };
    let held = take(Duration::ZERO).unwrap();
    let flock = || Command::new("flock").arg("-n").arg(&path).arg("true").status().unwrap();
    assert_eq!(flock().code(), Some(1));
    drop(held);
    assert!(flock().success());

    let mut other = Command::new("flock")
        .arg(&path)
        .args(["sh", "-c", "echo held; exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(other.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "held\n");
    assert!(matches!(take(Duration::ZERO), Err(LockError::Busy { .. })));
    assert!(matches!(take(Duration::from_millis(60)), Err(LockError::Busy { .. })));
    // It lets go when its input ends, while we wait.
    drop(other.stdin.take());
    take(Duration::from_mins(1)).unwrap();
    other.wait().unwrap();
}
