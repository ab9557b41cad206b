//! The hash of an extracted module, read from its folder (`dirhash.HashDir`).

use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use larder_core::Meter;
use larder_fs::{Dir, Kind};
use sha2::{Digest as _, Sha256};

use crate::h1::{FileHash, H1, Summer};

/// So much of a file is read at once, in bytes.
const CHUNK: usize = 128 << 10;

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
    let mut reading = Reading {
        prefix,
        meter,
        buffer: vec![0; CHUNK],
        summer: Summer::default(),
        odd: Vec::new(),
        bytes: 0,
    };
    reading.folder(dir, "")?;
    let h1 = reading.summer.finish();
    Ok(Folder { h1, files: reading.summer.into_files(), odd: reading.odd, bytes: reading.bytes })
}

struct Reading<'a> {
    prefix: &'a str,
    meter: &'a Meter,
    buffer: Vec<u8>,
    summer: Summer,
    odd: Vec<String>,
    bytes: u64,
}

impl Reading<'_> {
    fn folder(&mut self, dir: &Dir, path: &str) -> Result<(), FolderError> {
        let failed = |name: &OsStr| {
            let path = dir.path().join(name);
            |source| FolderError { path, source }
        };
        let (files, bytes) = (self.summer.files().len(), self.bytes);
        for (name, kind) in dir.entries().map_err(failed(OsStr::new("")))? {
            if self.meter.stopped() {
                return Err(failed(&name)(io::ErrorKind::Interrupted.into()));
            }
            let Some(text) = name.to_str() else {
                self.odd.push(format!("{path}{}", Path::new(&name).display()));
                continue;
            };
            let below = format!("{path}{text}");
            match kind {
                Kind::Folder => {
                    let dir = dir.open_dir(&name).map_err(failed(&name))?;
                    self.folder(&dir, &format!("{below}/"))?;
                }
                Kind::File => {
                    let hash = self.file(dir, &name).map_err(failed(&name))?;
                    self.summer.add(format!("{}{below}", self.prefix), hash);
                }
                Kind::Symlink | Kind::Other => self.odd.push(below),
            }
        }
        let (files, bytes) = (self.summer.files().len() - files, self.bytes - bytes);
        if path.is_empty() {
            self.meter.add(files as u64, bytes);
        }
        Ok(())
    }

    fn file(&mut self, dir: &Dir, name: &OsStr) -> io::Result<FileHash> {
        let mut file = dir.open_file(name)?;
        let mut hash = Sha256::new();
        loop {
            match file.read(&mut self.buffer) {
                Ok(0) => return Ok(hash.finalize().into()),
                Ok(read) => {
                    self.bytes += read as u64;
                    hash.update(&self.buffer[..read]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
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
