//! What the tests of the build cache share.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use larder_core::build_planner::{BuildContext, BuildSelection, plan_build};
use larder_core::{Allocated, EntryId, Meter, Policy, Target};
use larder_fs::{Dir, Disposal};
use larder_go::build_layout::prove;
use larder_go::build_names::{BuildItems, items};
use larder_go::build_remove::{Fate, RemoveError, Remover};
use larder_go::build_scan::{BuildScan, inventory};

pub(crate) const HOUR: Duration = Duration::from_hours(1);
pub(crate) const DAY: Duration = Duration::from_hours(24);

pub(crate) fn open(root: &Path) -> Dir {
    Dir::open_root(root).unwrap()
}

pub(crate) fn scan(root: &Path) -> BuildScan {
    let dir = open(root);
    let layout = prove(&dir).unwrap();
    inventory(&dir, &layout, &Meter::default())
}

/// A cache with its 256 folders and Go's README.
pub(crate) fn empty_cache(root: &Path) {
    for shard in 0..=255_u8 {
        fs::create_dir_all(root.join(format!("{shard:02x}"))).unwrap();
    }
    let readme = "This directory holds cached build artifacts from the Go build system.\n";
    fs::write(root.join("README"), readme).unwrap();
}

pub(crate) fn set_age(path: &Path, age: Duration) {
    let then = SystemTime::now() - age;
    File::open(path).unwrap().set_modified(then).unwrap();
}

/// An ID that begins with these bytes.
pub(crate) fn id(begin: &[u8]) -> EntryId {
    let mut bytes = [0x55; 32];
    bytes[..begin.len()].copy_from_slice(begin);
    EntryId(bytes)
}

/// Adds an action of `age` that names `output`, whether or not that is there.
pub(crate) fn add_action(root: &Path, action: EntryId, output: EntryId, age: Duration) -> PathBuf {
    let path = root.join(action.action_path());
    fs::write(&path, format!("v1 {action} {output} {:20} {:20}\n", 5, 1_700_000_000_u64)).unwrap();
    set_age(&path, age);
    path
}

pub(crate) fn add_output(root: &Path, output: EntryId, age: Duration) -> PathBuf {
    let path = root.join(output.output_path());
    fs::write(&path, "12345").unwrap();
    set_age(&path, age);
    path
}

/// An action and its output, both of `age`.
pub(crate) fn add_entry(root: &Path, begin: u8, age: Duration) -> (EntryId, EntryId) {
    let (action, output) = (id(&[begin, 0xaa]), id(&[begin, 0xdd]));
    add_output(root, output, age);
    add_action(root, action, output, age);
    (action, output)
}

pub(crate) fn both(action: EntryId, output: EntryId) -> Target {
    Target::Entry { action: Some(action), output: Some(output) }
}

/// What a prune to `max_size` bytes would choose.
pub(crate) fn choose(root: &Path, max_size: u64, protect: Duration) -> (BuildScan, BuildSelection) {
    let scan = scan(root);
    let policy = Policy { max_size: Some(Allocated(max_size)), protect, ..Policy::waste_only() };
    let selection =
        plan_build(&scan.inventory, &BuildContext::default(), &policy, larder_fs::now());
    (scan, selection)
}

pub(crate) fn plan(root: &Path, max_size: u64, protect: Duration) -> BuildItems {
    let (scan, selection) = choose(root, max_size, protect);
    items(&open(root), &scan, &selection, &Meter::default())
}

/// Removes one target that was planned as last used `planned` ago.
pub(crate) fn remove(root: &Path, target: &Target, planned: Duration) -> Result<Fate, RemoveError> {
    let (dir, meter) = (open(root), Meter::default());
    let now = larder_fs::now();
    let remover = Remover::new(&dir, &Disposal::Delete, now.plus(DAY), &meter);
    remover.remove(target, Some(now.minus(planned)))
}
