//! The hash of an extracted module, read from its folder (`dirhash.HashDir`).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use larder_core::Meter;
use larder_fs::{Dir, Kind};
use larder_sha256::{Lanes, Streams, Sum};

use crate::h1::{FileHash, H1, Summer};

/// What a folder holds.
#[derive(Debug)]
pub struct Folder {
    /// The hash of its files.
    pub h1: H1,
    /// Its files by full name, `module@version/…`, sorted.
    pub files: Vec<(String, FileHash)>,
    /// What is neither a file nor a folder: Go never extracts that.
    pub odd: Vec<String>,
    /// Bytes read.
    pub bytes: u64,
}

impl Folder {
    /// Leaves out the go.mod files beside `_go.mod` in a toolchain, which the go command copies
    /// there when it first runs it (`cmd/go/internal/toolchain/select.go`).
    pub(crate) fn without_copies(&mut self) {
        let originals: Vec<(String, FileHash)> = self
            .files
            .iter()
            .filter_map(|(name, hash)| {
                Some((format!("{}/go.mod", name.strip_suffix("/_go.mod")?), *hash))
            })
            .collect();
        if originals.is_empty() {
            return;
        }
        self.files.retain(|file| !originals.contains(file));
        let mut summer = Summer::default();
        for (name, hash) in &self.files {
            summer.add(name.clone(), *hash);
        }
        self.h1 = summer.finish();
    }
}

/// A file or folder that could not be read, or a name that is not UTF-8.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", .path.display())]
pub struct FolderError {
    /// Which.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Reads and hashes everything below `dir`, whose files are named `prefix` and their path in it.
pub fn hash(dir: &Dir, prefix: &str, meter: &Meter) -> Result<Folder, FolderError> {
    let mut walk = Walk {
        root: dir,
        prefix,
        meter,
        folders: Vec::new(),
        summer: Summer::default(),
        odd: Vec::new(),
        bytes: 0,
        failed: None,
    };
    walk.enter(None, String::new());
    Lanes::default().hash_all(&mut walk);
    if let Some(error) = walk.failed {
        return Err(error);
    }
    let h1 = walk.summer.finish();
    meter.add(walk.summer.files().len() as u64, walk.bytes);
    Ok(Folder { h1, files: walk.summer.into_files(), odd: walk.odd, bytes: walk.bytes })
}

/// Hands out the files of a folder and of all below it.
struct Walk<'a> {
    root: &'a Dir,
    prefix: &'a str,
    meter: &'a Meter,
    /// The folder that is being looked through, and those above it.
    folders: Vec<Listed>,
    summer: Summer,
    odd: Vec<String>,
    bytes: u64,
    failed: Option<FolderError>,
}

struct Listed {
    /// `None` for the root.
    dir: Option<Dir>,
    /// What the names in it begin with, below the root.
    below: String,
    entries: std::vec::IntoIter<(OsString, Kind)>,
}

impl Walk<'_> {
    fn fail(&mut self, path: PathBuf, source: io::Error) {
        self.failed.get_or_insert(FolderError { path, source });
    }

    fn enter(&mut self, dir: Option<Dir>, below: String) {
        let handle = dir.as_ref().unwrap_or(self.root);
        match handle.entries() {
            Ok(entries) => self.folders.push(Listed { dir, below, entries: entries.into_iter() }),
            Err(error) => self.fail(handle.path().to_owned(), error),
        }
    }

    /// Takes an entry of the folder that is being looked through; what is to be hashed.
    fn entry(&mut self, name: &OsStr, kind: Kind) -> Option<Reading> {
        let listed = self.folders.last()?;
        let dir = listed.dir.as_ref().unwrap_or(self.root);
        let Some(text) = name.to_str() else {
            self.odd.push(format!("{}{}", listed.below, Path::new(name).display()));
            return None;
        };
        let below = &listed.below;
        match kind {
            Kind::Folder => match dir.open_dir(name) {
                Ok(dir) => {
                    let below = format!("{below}{text}/");
                    self.enter(Some(dir), below);
                }
                Err(error) => self.fail(dir.path().join(name), error),
            },
            Kind::File => match dir.open_file(name) {
                Ok(file) => {
                    return Some(Reading { file, name: format!("{}{below}{text}", self.prefix) });
                }
                Err(error) => self.fail(dir.path().join(name), error),
            },
            Kind::Symlink | Kind::Other => self.odd.push(format!("{below}{text}")),
        }
        None
    }
}

/// A file that is being hashed.
struct Reading {
    file: File,
    /// As it is hashed.
    name: String,
}

impl Streams for Walk<'_> {
    type Stream = Reading;

    fn next(&mut self) -> Option<Reading> {
        while self.failed.is_none() {
            let Some((name, kind)) = self.folders.last_mut()?.entries.next() else {
                self.folders.pop();
                continue;
            };
            if self.meter.stopped() {
                self.fail(self.root.path().join(name), io::ErrorKind::Interrupted.into());
            } else if let Some(reading) = self.entry(&name, kind) {
                return Some(reading);
            }
        }
        None
    }

    fn read(&mut self, reading: &mut Reading, into: &mut [u8]) -> io::Result<usize> {
        let read = reading.file.read(into)?;
        self.bytes += read as u64;
        Ok(read)
    }

    fn done(&mut self, reading: Reading, sum: io::Result<Sum>) {
        match sum {
            Ok(sum) => self.summer.add(reading.name, sum),
            Err(error) => {
                self.fail(self.root.path().join(&reading.name[self.prefix.len()..]), error);
            }
        }
    }
}

/// How the files of a folder differ from those that it should have, one phrase each, at most
/// `most` and then how many more. Both lists are sorted by name.
pub fn differences(
    expected: &[(String, FileHash)],
    folder: &Folder,
    prefix: &str,
    most: usize,
) -> Vec<String> {
    let mut phrases: Vec<String> =
        folder.odd.iter().map(|name| format!("neither a file nor a folder: {name}")).collect();
    let found = &folder.files;
    let short = |name: &str| name.strip_prefix(prefix).unwrap_or(name).to_owned();
    let (mut at, mut other) = (0, 0);
    loop {
        match (expected.get(at), found.get(other)) {
            (None, None) => break,
            (Some((name, hash)), Some((same, own))) if name == same => {
                if hash != own {
                    phrases.push(format!("changed: {}", short(name)));
                }
                (at, other) = (at + 1, other + 1);
            }
            (Some((name, _)), next) if next.is_none_or(|(own, _)| name < own) => {
                phrases.push(format!("missing: {}", short(name)));
                at += 1;
            }
            (_, Some((name, _))) => {
                phrases.push(format!("added: {}", short(name)));
                other += 1;
            }
            (Some(_), None) => at += 1,
        }
    }
    if phrases.len() > most {
        let more = phrases.len() - most;
        phrases.truncate(most);
        phrases.push(format!("and {more} more"));
    }
    phrases
}
