//! What a tree looks like, to compare before and after.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

use crate::gomod::hex;

/// A tree by relative path; the root itself is the empty path.
pub type Snapshot = BTreeMap<PathBuf, Entry>;

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is, with what only such a thing has.
    pub kind: EntryKind,
    /// Permission bits (on Windows 0444 for read-only, else 0644).
    pub mode: u32,
    /// Last change of the content, in nanoseconds since 1970.
    pub modified: i128,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A file, with the length and SHA-256 of its bytes.
    File(u64, String),
    /// A folder.
    Folder,
    /// A symbolic link and where it points.
    Symlink(PathBuf),
    /// A socket, pipe or device.
    Other,
}

/// Reads a whole tree, following no link. A root that is not there gives an empty snapshot.
pub fn snapshot(root: &Path) -> Snapshot {
    let mut all = Snapshot::new();
    match fs::symlink_metadata(root) {
        Ok(meta) => add(root, PathBuf::new(), &meta, &mut all)
            .unwrap_or_else(|error| panic!("snapshot of {}: {error}", root.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => panic!("snapshot of {}: {error}", root.display()),
    }
    all
}

/// The same tree without times, for trees that were made apart.
#[must_use]
pub fn timeless(mut tree: Snapshot) -> Snapshot {
    for entry in tree.values_mut() {
        entry.modified = 0;
    }
    tree
}

/// What differs, a line each, `-` for what only `before` has and `+` for what only `after` has;
/// empty where nothing does.
pub fn diff(before: &Snapshot, after: &Snapshot) -> String {
    let mut lines = String::new();
    for (path, old) in before {
        match after.get(path) {
            None => lines.push_str(&format!("- {} {}\n", path.display(), describe(old))),
            Some(new) if new != old => lines.push_str(&format!(
                "~ {} {} -> {}\n",
                path.display(),
                describe(old),
                describe(new)
            )),
            Some(_) => {}
        }
    }
    for (path, new) in after.iter().filter(|(path, _)| !before.contains_key(*path)) {
        lines.push_str(&format!("+ {} {}\n", path.display(), describe(new)));
    }
    lines
}

fn describe(entry: &Entry) -> String {
    let kind = match &entry.kind {
        EntryKind::File(length, sum) => format!("file of {length} bytes {}", &sum[..12]),
        EntryKind::Folder => "folder".to_owned(),
        EntryKind::Symlink(target) => format!("link to {}", target.display()),
        EntryKind::Other => "other".to_owned(),
    };
    format!("({kind}, {:04o}, {} ns)", entry.mode, entry.modified)
}

fn add(path: &Path, name: PathBuf, meta: &Metadata, all: &mut Snapshot) -> io::Result<()> {
    let kind = if meta.is_dir() {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            add(&entry.path(), name.join(entry.file_name()), &entry.metadata()?, all)?;
        }
        EntryKind::Folder
    } else if meta.is_symlink() {
        EntryKind::Symlink(fs::read_link(path)?)
    } else if meta.is_file() {
        EntryKind::File(meta.len(), hex(&Sha256::digest(fs::read(path)?)))
    } else {
        EntryKind::Other
    };
    let modified = match meta.modified()?.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_nanos().cast_signed(),
        Err(before) => -before.duration().as_nanos().cast_signed(),
    };
    all.insert(name, Entry { kind, mode: mode(meta), modified });
    Ok(())
}

#[cfg(unix)]
fn mode(meta: &Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::mode(meta) & 0o7777
}

#[cfg(not(unix))]
fn mode(meta: &Metadata) -> u32 {
    if meta.permissions().readonly() { 0o444 } else { 0o644 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_change_shows() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("same"), "1").unwrap();
        fs::write(dir.path().join("bytes"), "1").unwrap();
        fs::write(dir.path().join("gone"), "1").unwrap();
        let before = snapshot(dir.path());
        assert_eq!(diff(&before, &snapshot(dir.path())), "");

        fs::write(dir.path().join("bytes"), "2").unwrap();
        fs::remove_file(dir.path().join("gone")).unwrap();
        fs::create_dir(dir.path().join("new")).unwrap();
        let text = diff(&before, &snapshot(dir.path()));
        let marks: Vec<&str> = text.lines().map(|line| line.split(" (").next().unwrap()).collect();
        assert_eq!(marks, ["~ ", "~ bytes", "- gone", "+ new"], "{text}");
        assert!(!text.contains("same"));
    }

    #[test]
    fn a_missing_root_is_empty() {
        assert!(snapshot(Path::new("/no/such/folder")).is_empty());
    }
}
