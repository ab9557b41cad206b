//! Trees to work on, snapshots to compare them by, and other processes.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use larder_core::{Meter, Size};
use larder_fs::{Dir, Links, Meta, RemoveOptions, Skip, Visitor, WalkOptions, walk};

/// What can be seen of an entry without looking at its neighbours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    mode: u32,
    modified: (i64, i64),
    links: u64,
    content: Vec<u8>,
}

/// Everything below `root` and `root` itself, by relative path.
pub(crate) fn snapshot(root: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut seen = BTreeMap::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(rel) = waiting.pop() {
        let path = root.join(&rel);
        let meta = fs::symlink_metadata(&path).unwrap();
        let content = if meta.is_dir() {
            for entry in fs::read_dir(&path).unwrap() {
                waiting.push(rel.join(entry.unwrap().file_name()));
            }
            Vec::new()
        } else if meta.is_symlink() {
            fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec()
        } else {
            fs::read(&path).unwrap()
        };
        // A symlink's mode means nothing, and folders count their subfolders as links.
        let mode = if meta.is_symlink() { 0 } else { meta.mode() };
        let links = if meta.is_dir() { 0 } else { meta.nlink() };
        let modified = (meta.mtime(), meta.mtime_nsec());
        seen.insert(rel, Seen { mode, modified, links, content });
    }
    seen
}

/// Fails with what differs, and only that.
#[track_caller]
pub(crate) fn assert_same(before: &BTreeMap<PathBuf, Seen>, after: &BTreeMap<PathBuf, Seen>) {
    let brief = |seen: Option<&Seen>| {
        seen.map(|seen| format!("{:o} {:?} {}", seen.mode, seen.modified, seen.content.len()))
    };
    let differs: Vec<_> = before
        .keys()
        .chain(after.keys())
        .filter(|path| before.get(*path) != after.get(*path))
        .map(|path| (path, brief(before.get(path)), brief(after.get(path))))
        .collect();
    assert!(differs.is_empty(), "{differs:#?}");
}

/// A file with its folders, of a time long ago.
pub(crate) fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = File::create(path).unwrap();
    file.write_all(content).unwrap();
    age(&file, content.len() as u64);
}

fn age(file: &File, by: u64) {
    let long_ago =
        std::time::UNIX_EPOCH + std::time::Duration::new(1_600_000_000 + by, 123_456_789);
    file.set_modified(long_ago).unwrap();
}

pub(crate) fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A module cache in small: shards, a sealed module, links of both kinds, odd names.
pub(crate) fn sample(root: &Path) {
    for shard in ["00", "ab", "ff"] {
        for file in ["one-a", "two-d"] {
            write(&root.join(shard).join(file), format!("{shard}/{file}").as_bytes());
        }
    }
    write(&root.join("ab/exe-d/program"), &[7; 5000]);
    write(&root.join("mod/m@v1.0.0/go.mod"), b"module m\n");
    write(&root.join("mod/m@v1.0.0/inner/x.go"), b"package inner\n");
    write(&root.join(OsStr::from_bytes(b"odd/new\nline")), b"1");
    write(&root.join(OsStr::from_bytes(b"odd/\xff\xfe")), b"2");
    symlink("/nowhere/at/all", root.join("odd/dangling")).unwrap();
    symlink("../ab", root.join("odd/to-a-folder")).unwrap();
    fs::hard_link(root.join("00/one-a"), root.join("odd/hard")).unwrap();
    for path in ["mod/m@v1.0.0/go.mod", "mod/m@v1.0.0/inner/x.go"] {
        chmod(&root.join(path), 0o444);
    }
    for folder in ["mod/m@v1.0.0/inner", "mod/m@v1.0.0"] {
        chmod(&root.join(folder), 0o555);
    }
    for (number, folder) in ["", "00", "ab", "ab/exe-d", "mod", "mod/m@v1.0.0"].iter().enumerate() {
        age(&File::open(root.join(folder)).unwrap(), number as u64);
    }
}

/// A visitor that counts as `du` does.
pub(crate) struct Count<'a> {
    pub(crate) size: Size,
    pub(crate) folders: u64,
    pub(crate) skipped: Vec<OsString>,
    links: &'a Links,
}

impl Visitor for Count<'_> {
    type Ctx = ();

    fn folder(&mut self, (): &(), _: &OsStr, meta: &Meta) -> Option<()> {
        self.folders += 1;
        self.size += Size::new(0, 0, meta.allocated);
        Some(())
    }

    fn file(&mut self, (): &(), _: &OsStr, meta: &Meta) {
        let allocated = if self.links.first(meta) { meta.allocated } else { 0 };
        self.size += Size::new(1, meta.logical, allocated);
    }

    fn skipped(&mut self, (): &(), name: &OsStr, _: Skip) {
        self.skipped.push(name.to_owned());
    }
}

/// What a walk of `root` finds below it.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) size: Size,
    pub(crate) folders: u64,
    pub(crate) skipped: Vec<OsString>,
    pub(crate) errors: Vec<PathBuf>,
}

pub(crate) fn count(root: &Dir, threads: usize) -> Found {
    let (meter, links) = (Meter::default(), Links::default());
    let walked = walk(root, (), || counter(&links), &WalkOptions { threads, meter: &meter });
    let mut found = Found::default();
    for visitor in walked.visitors {
        found.size += visitor.size;
        found.folders += visitor.folders;
        found.skipped.extend(visitor.skipped);
    }
    found.errors = walked.errors.into_iter().map(|error| error.path).collect();
    found
}

pub(crate) fn options(meter: &Meter) -> RemoveOptions<'_> {
    RemoveOptions { threads: 0, meter }
}

/// The last number that a command prints first in its line.
pub(crate) fn number(program: &str, arguments: &[&OsStr]) -> u64 {
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let first = text.lines().last().and_then(|line| line.split_whitespace().next());
    first.unwrap_or_else(|| panic!("{program}: {output:?}")).parse().unwrap()
}

pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// This test binary in one of its roles, working on `folder`.
pub(crate) fn role(name: &str, folder: &Path) -> Vec<OsString> {
    let exe = std::env::current_exe().unwrap();
    // Another user may not reach the folder that it was built in.
    let copy = folder.join("test-binary");
    if !copy.exists() {
        // By another process: a file that this one has open for writing might be inherited by a
        // neighbour's child, and then could not be run.
        let copied = Command::new("cp").args([exe.as_os_str(), copy.as_os_str()]).status();
        assert!(copied.unwrap().success());
        chmod(&copy, 0o755);
    }
    let role = format!("{}={name}", super::roles::ROLE);
    let mut command: Vec<OsString> = vec!["env".into(), role.into(), copy.into()];
    command.extend(["--exact", "roles::role", "--nocapture", "--test-threads=1"].map(Into::into));
    command
}

/// Runs a command; fails with what it said where it fails.
#[track_caller]
pub(crate) fn run(command: &[OsString], folder: &Path) {
    let output = Command::new(&command[0])
        .args(&command[1..])
        .env(super::roles::FOLDER, folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{command:?}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains(super::roles::DONE), "no such role");
}

/// Runs a role as a user who is not root, to whom `folder` is given first.
#[track_caller]
pub(crate) fn run_as_nobody(name: &str, folder: &Path) {
    let mut command = role(name, folder);
    if is_root() {
        let given = Command::new("chown").args(["-Rh", "65534:65534"]).arg(folder).status();
        assert!(given.unwrap().success());
        let prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
        command.splice(0..0, prefix.map(OsString::from));
    }
    run(&command, folder);
}

/// A visitor that has counted nothing yet.
pub(crate) fn counter(links: &Links) -> Count<'_> {
    Count { size: Size::default(), folders: 0, skipped: Vec::new(), links }
}

impl Seen {
    pub(crate) fn is_file(&self) -> bool {
        self.links > 0
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }

    pub(crate) fn forget_links(&mut self) {
        self.links = 0;
    }
}
