//! Verification of build caches that the real go command made, and that were tampered with.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use larder_core::{Bad, Check, Meter};
use larder_go::build_layout::prove;
use larder_go::build_verify::{BuildVerification, Options, SETTLE, last_change, still_bad, verify};
use larder_testkit::{GoSandbox, has_go};

use crate::build_support::{HOUR, add_action, empty_cache, id, open, set_age};

const PROJECT: &str = "\
-- go.mod --
module example.test/p
go 1.24
-- p.go --
package p
import \"strings\"
func Up(s string) string { return strings.ToUpper(s) }
-- p_test.go --
package p
import \"testing\"
func TestUp(t *testing.T) { if Up(\"a\") != \"A\" { t.Fatal() } }
func FuzzUp(f *testing.F) { f.Add(\"a\"); f.Fuzz(func(t *testing.T, s string) { Up(s) }) }
-- cmd/hi/main.go --
package main
import (\"fmt\"; \"example.test/p\")
func main() { fmt.Println(p.Up(\"hi\")) }
";

fn run(root: &Path, settle: Duration) -> BuildVerification {
    let dir = open(root);
    let layout = prove(&dir).unwrap();
    verify(&dir, &layout, &Options { threads: 2, settle, meter: &Meter::default() })
}

fn check(root: &Path) -> BuildVerification {
    run(root, Duration::from_millis(50))
}

#[track_caller]
fn healthy(found: &BuildVerification) {
    assert!(found.found.bad.is_empty(), "{:#?}", found.found.bad);
    assert!(found.found.unverifiable.is_empty(), "{:#?}", found.found.unverifiable);
    assert_eq!(found.found.good, found.found.checked);
    assert!(found.complete && found.found.checked > 0);
}

/// A small cache by hand: one action with an output of this content.
fn small(root: &Path, content: &[u8]) -> (PathBuf, PathBuf) {
    use sha2::Digest as _;
    empty_cache(root);
    let output = larder_core::EntryId(sha2::Sha256::digest(content).into());
    let action = id(&[0xab]);
    let paths = (root.join(action.action_path()), root.join(output.output_path()));
    fs::write(&paths.1, content).unwrap();
    let text = format!("v1 {action} {output} {:20} {:20}\n", content.len(), 1_700_000_000_u64);
    fs::write(&paths.0, text).unwrap();
    set_age(&paths.0, HOUR);
    set_age(&paths.1, HOUR);
    paths
}

/// The one thing that is bad.
#[track_caller]
fn only(root: &Path) -> Bad {
    let mut found = check(root).found;
    assert_eq!(found.bad.len(), 1, "{:#?}", found.bad);
    assert_eq!(found.good + 1, found.checked);
    found.bad.remove(0)
}

#[test]
fn no_alarm_on_what_real_builds_leave_and_none_while_they_run() {
    if !has_go() {
        return;
    }
    let sandbox = GoSandbox::new();
    let project = sandbox.warm_for_vet().project("p", PROJECT);
    sandbox.go(&["build", "./..."], &project);
    sandbox.go(&["vet", "./..."], &project);
    sandbox.go(&["test", "./..."], &project);
    sandbox.go(&["run", "./cmd/hi"], &project);
    sandbox.go(&["test", "-fuzz=FuzzUp", "-fuzztime=20x", "."], &project);
    sandbox.go(&["clean", "-testcache"], &project);
    // go run keeps what it linked only as a tool; a tool is what is kept as a folder.
    let _ = sandbox.try_go(&["tool", "covdata", "help"], &project);
    let root = sandbox.gocache();
    healthy(&run(&root, SETTLE));

    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..4 {
                let text = format!("package p\nvar Round{round} = {round}\n");
                sandbox.write(project.join("round.go"), text);
                sandbox.go(&["build", "-gcflags=-N", "./..."], &project);
                sandbox.go(&["test", "."], &project);
            }
            done.store(true, Ordering::Relaxed);
        });
        let mut rounds = 0;
        while !done.load(Ordering::Relaxed) {
            let found = run(&root, SETTLE);
            assert!(found.found.bad.is_empty(), "{:#?}", found.found.bad);
            rounds += 1;
        }
        assert!(rounds > 1);
    });
    healthy(&run(&root, SETTLE));
}

#[test]
fn every_tampering_is_found_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let content = b"!<arch>\nan archive of a package\n";
    let (action, output) = small(root, content);
    healthy(&check(root));
    let rel = |path: &Path| path.strip_prefix(root).unwrap().to_path_buf();
    let both = vec![rel(&action), rel(&output)];
    let tamper = |path: &Path, bytes: &[u8]| {
        fs::write(path, bytes).unwrap();
        set_age(path, HOUR);
    };

    // An output of the right length with another byte.
    let mut changed = content.to_vec();
    changed[12] ^= 1;
    tamper(&output, &changed);
    let bad = only(root);
    assert_eq!((bad.check, &bad.removes), (Check::OutputHash, &both));
    assert_ne!(bad.expected, bad.found);
    // Cut off, and longer than it was.
    for bytes in [&content[..10], &[&content[..], b"x"].concat(), b""] {
        tamper(&output, bytes);
        let bad = only(root);
        assert_eq!((bad.check, &bad.removes), (Check::OutputSize, &both));
        assert_eq!(bad.found, format!("{} bytes", bytes.len()));
    }
    // A file where the cache has no action for it.
    fs::rename(&action, root.join("kept")).unwrap();
    let bad = only(root);
    assert_eq!((bad.check, bad.removes), (Check::OutputHash, vec![rel(&output)]));
    fs::rename(root.join("kept"), &action).unwrap();
    tamper(&output, content);
    healthy(&check(root));

    // Action entries.
    let text = fs::read(&action).unwrap();
    let with = |at: usize, byte: u8| {
        let mut text = text.clone();
        text[at] = byte;
        text
    };
    for bytes in [
        text[..100].to_vec(),
        Vec::new(),
        [&text[..], b"\n"].concat(),
        with(0, b'w'),
        with(1, b'2'),
        with(4, if text[4] == b'0' { b'1' } else { b'0' }),
        with(140, b'x'),
        with(160, b'-'),
        with(174, b' '),
    ] {
        tamper(&action, &bytes);
        let bad = only(root);
        assert_eq!((bad.check, bad.removes), (Check::ActionEntry, vec![rel(&action)]));
    }
    // A size that its output has not: the output itself is good and stays.
    tamper(&action, &with(152, b'7'));
    let bad = only(root);
    assert_eq!((bad.check, bad.removes), (Check::OutputSize, vec![rel(&action)]));
    tamper(&action, &text);
    healthy(&check(root));
    let then = SystemTime::now() - 50 * HOUR;
    let times = fs::FileTimes::new().set_accessed(then).set_modified(then);
    fs::File::open(&output).unwrap().set_times(times).unwrap();
    let accessed = fs::metadata(&output).unwrap().atime();
    healthy(&check(root));
    assert_eq!(fs::metadata(&output).unwrap().atime(), accessed, "reading it was a use");

    // Stamps.
    let future =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + 86400;
    for (name, text) in [
        ("trim.txt", "soon".to_owned()),
        ("trim.txt", future.to_string()),
        ("testexpire.txt", "yesterday\n".to_owned()),
        ("testexpire.txt", format!("{future}000000000\n")),
    ] {
        tamper(&root.join(name), text.as_bytes());
        let bad = only(root);
        assert_eq!((bad.check, bad.removes), (Check::Stamp, vec![PathBuf::from(name)]));
        fs::remove_file(root.join(name)).unwrap();
    }

    // What go takes for a miss or for waste is no alarm.
    add_action(root, id(&[0x12]), id(&[0x34]), HOUR);
    fs::remove_file(&action).unwrap();
    let found = check(root);
    healthy(&found);
    assert_eq!((found.dangling, found.orphans), (1, 1));
}

#[test]
fn an_executable_is_a_folder_with_one_executable_file() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let content = b"\x7fELF";
    let (_, output) = small(root, content);
    fs::remove_file(&output).unwrap();
    fs::create_dir(&output).unwrap();
    let file = output.join("tool");
    let mode = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    fs::write(&file, content).unwrap();
    mode(0o755);
    healthy(&check(root));
    mode(0o644);
    thread::sleep(Duration::from_millis(60));
    assert_eq!(only(root).check, Check::Executable);
    mode(0o755);
    fs::write(&file, b"\x7fELG").unwrap();
    assert_eq!(only(root).check, Check::OutputHash);
    fs::write(&file, content).unwrap();
    fs::write(output.join("other"), content).unwrap();
    assert_eq!(only(root).found, "a folder with 2 entries");
    fs::remove_file(output.join("other")).unwrap();
    fs::remove_file(&file).unwrap();
    symlink("/bin/true", &file).unwrap();
    assert_eq!(only(root).check, Check::Executable);
    fs::remove_file(&file).unwrap();
    let bad = only(root);
    assert_eq!(bad.found, "a folder with 0 entries");
    assert_eq!(bad.removes.len(), 2);
}

#[test]
fn what_cannot_be_told_is_not_good() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let (_, output) = small(root, b"content");
    let target = dir.path().join("target");
    fs::rename(&output, &target).unwrap();
    symlink(&target, &output).unwrap();
    let found = check(root).found;
    assert_eq!((found.bad.len(), found.unverifiable.len()), (0, 1), "{found:?}");
    assert_eq!(found.good + 1, found.checked);
}

#[test]
fn what_is_being_written_is_looked_at_again() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let (_, output) = small(root, b"content");
    fs::write(&output, b"cont").unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(300));
            fs::write(&output, b"content").unwrap();
        });
        healthy(&run(root, SETTLE));
    });
    // What comes to rest as it is was not being written.
    fs::write(&output, b"cont").unwrap();
    let bad = run(root, Duration::from_millis(300)).found.bad;
    assert_eq!(bad.len(), 1);
    let at = open(root);
    assert!(still_bad(&at, &bad[0]) && last_change(&at, &bad[0].removes[1]).is_some());
    fs::write(&output, b"content").unwrap();
    assert!(!still_bad(&at, &bad[0]), "mended meanwhile");
}

/// An output that actions say to be large is taken before its turn: once, whoever names it.
#[test]
fn a_large_output_counts_once_however_many_actions_name_it_and_wherever_they_are() {
    use sha2::Digest as _;
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    empty_cache(root);
    let contents: Vec<Vec<u8>> = (0..6_u8).map(|n| vec![n; (2 << 20) + usize::from(n)]).collect();
    for content in &contents {
        let output = larder_core::EntryId(sha2::Sha256::digest(content).into());
        fs::write(root.join(output.output_path()), content).unwrap();
        // In the first folder, in the last, and in the output's own.
        for begin in [[0x00, output.0[1]], [0xff, output.0[1]], [output.0[0], 0x01]] {
            let action = id(&begin);
            let text = format!("v1 {action} {output} {:20} {:20}\n", content.len(), 1);
            fs::write(root.join(action.action_path()), text).unwrap();
        }
    }
    for threads in [1, 2, 8] {
        let dir = open(root);
        let layout = prove(&dir).unwrap();
        let options = Options { threads, settle: Duration::ZERO, meter: &Meter::default() };
        let found = verify(&dir, &layout, &options);
        healthy(&found);
        let bytes: usize = contents.iter().map(Vec::len).sum();
        assert_eq!(found.found.checked, 6 + 18, "{threads} threads");
        assert_eq!(found.found.bytes_read, bytes as u64, "{threads} threads");
        assert_eq!((found.orphans, found.dangling), (0, 0));
    }
}
