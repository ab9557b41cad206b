//! What a trash entry says about itself on the disk: the private wire format of the trash.
//!
//! An entry is a folder with `manifest.json` (small, replaced whole) and `contents.jsonl`: a line
//! for each path that will be moved and for each folder above one, flushed before the first move.
//! So half a million paths cost no more to list than one, and after a crash everything that is
//! needed to put things back is known. Versioned as `larder/trash-entry/1`.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use larder_core::{CacheKind, Size, Time};
use serde::{Deserialize, Serialize};

use crate::dir::{Dir, Kind};
use crate::trash_dirs::Dirs;
use crate::{stage, sys};

pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const CONTENTS: &str = "contents.jsonl";
pub(crate) const TREE: &str = "tree";
/// The cache root itself, where it was moved whole.
pub(crate) const ROOT: &str = "root";
pub(crate) const INCOMING: &str = "incoming";
pub(crate) const BUSY: &str = "busy";

const SCHEMA: &str = "larder/trash-entry/1";
/// More than any manifest; what is larger is not one.
const LARGEST: usize = 1 << 20;

/// Where an entry is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stage {
    /// Things are being moved in, or were when the process died.
    Filling,
    /// Everything that was to be moved has been.
    Complete,
    /// Things are being put back, or were when the process died.
    Restoring,
    /// It is being removed, so that it can no longer be restored whole.
    Emptying,
}

/// `manifest.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Header {
    schema: String,
    pub(crate) id: String,
    pub(crate) stage: Stage,
    /// Nanoseconds since the epoch, as all times here.
    created_at: i64,
    expires_at: Option<i64>,
    root: Text,
    pub(crate) root_identity: (u64, u64),
    caches: Vec<String>,
    pub(crate) plan_id: String,
    /// Whether things came by copying, from another file system.
    pub(crate) copied: bool,
    /// Files, logical and allocated bytes.
    size: Option<(u64, u64, u64)>,
}

/// A path or name: text where it is UTF-8, else its bytes in hexadecimal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Text {
    Plain(String),
    Bytes { bytes: String },
}

/// A line of `contents.jsonl`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Parent { parent: Text, mode: u32, modified: i64 },
    Left { left: Text, modified: i64 },
    Item { path: Text, mode: Option<u32> },
}

/// A folder above something moved, as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parent {
    pub(crate) mode: u32,
    pub(crate) modified: Time,
}

/// What `contents.jsonl` says, as far as it is needed again.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// Folders above moved things, relative to the root.
    pub(crate) parents: HashMap<PathBuf, Parent>,
    /// When these folders were last changed by the moves; only known where they came to an end.
    pub(crate) left: HashMap<PathBuf, Time>,
    /// Moved folders that deny their owner writing, with their modes: a move has to lift that for
    /// a moment.
    pub(crate) sealed: HashMap<PathBuf, u32>,
}

impl Header {
    pub(crate) fn new(
        id: &str,
        root: &Path,
        root_identity: (u64, u64),
        what: &crate::trash::Manifest,
        copied: bool,
    ) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            id: id.to_owned(),
            stage: Stage::Filling,
            created_at: what.created_at.unix_nanos(),
            expires_at: what.expires_at.map(Time::unix_nanos),
            root: Text::new(root.as_os_str()),
            root_identity,
            caches: what.caches.iter().map(|cache| cache.name().to_owned()).collect(),
            plan_id: what.plan_id.clone(),
            copied,
            size: None,
        }
    }

    /// Reads the manifest of the entry in `folder`; an error where that is not an entry of ours.
    pub(crate) fn read(folder: &Dir) -> io::Result<Self> {
        let bytes = folder.read(OsStr::new(MANIFEST), LARGEST)?;
        let header: Self = serde_json::from_slice(&bytes)?;
        if header.schema != SCHEMA {
            let message = format!("schema {:?} is not {SCHEMA}", header.schema);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(header)
    }

    /// Writes the manifest whole, flushed to the disk.
    pub(crate) fn write(&self, folder: &Dir) -> io::Result<()> {
        let staged = OsStr::new("manifest.json.tmp");
        match folder.unlink(staged) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = folder.create(staged)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        folder.handle().rename_over(staged, folder.handle(), OsStr::new(MANIFEST))?;
        stage::sync_folder(folder.path())
    }

    pub(crate) fn finish(&mut self, size: Option<Size>) {
        self.stage = Stage::Complete;
        self.size = size.map(|size| (size.files, size.logical.0, size.allocated.0));
    }

    pub(crate) fn root(&self) -> Option<PathBuf> {
        self.root.path()
    }

    pub(crate) fn created_at(&self) -> Time {
        Time::from_unix_nanos(self.created_at)
    }

    pub(crate) fn expires_at(&self) -> Option<Time> {
        self.expires_at.map(Time::from_unix_nanos)
    }

    /// Its size, as far as it was recorded.
    pub(crate) fn size(&self) -> Option<Size> {
        self.size.map(|(files, logical, allocated)| Size::new(files, logical, allocated))
    }

    pub(crate) fn forget_size(&mut self) {
        self.size = None;
    }

    /// Its caches; a name that a later version wrote is left out.
    pub(crate) fn caches(&self) -> Vec<CacheKind> {
        self.caches.iter().filter_map(|name| name.parse().ok()).collect()
    }
}

/// Writes down `paths` of `root` and the folders above them, flushed, at the end of the entry's
/// contents; `known` learns them. What does not exist is left out.
pub(crate) fn announce(
    folder: &Dir,
    root: &Dir,
    paths: &[PathBuf],
    known: &mut Contents,
) -> io::Result<()> {
    let file = folder.handle().open_append(OsStr::new(CONTENTS))?;
    let mut out = BufWriter::with_capacity(1 << 16, file);
    let dirs = Dirs::new(root.open_path(Path::new(""))?);
    for path in paths {
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else { continue };
        let dir = match dirs.open(above) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        announce_parents(&mut out, &dirs, above, &mut known.parents)?;
        let Some(meta) = dir.look(name)? else { continue };
        let mode = meta.sealed().then_some(meta.mode);
        known.sealed.extend(mode.map(|mode| (path.clone(), mode)));
        write_line(&mut out, &Line::Item { path: Text::new(path.as_os_str()), mode })?;
    }
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()
}

/// Writes down in what state the moves left the folders above them, so that a restore can tell
/// whether anybody else changed one.
pub(crate) fn note_left(folder: &Dir, root: &Dir, known: &Contents) -> io::Result<()> {
    let file = folder.handle().open_append(OsStr::new(CONTENTS))?;
    let mut out = BufWriter::with_capacity(1 << 16, file);
    for path in known.parents.keys() {
        // Gone by now, or something else: then there is nothing to compare with.
        let Ok(meta) = root.open_path(path).and_then(|dir| dir.meta()) else { continue };
        let left = Text::new(path.as_os_str());
        write_line(&mut out, &Line::Left { left, modified: meta.modified.unix_nanos() })?;
    }
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()
}

fn announce_parents(
    out: &mut impl io::Write,
    dirs: &Dirs,
    above: &Path,
    parents: &mut HashMap<PathBuf, Parent>,
) -> io::Result<()> {
    for folder in above.ancestors() {
        if parents.contains_key(folder) {
            break;
        }
        let meta = dirs.open(folder)?.meta()?;
        if meta.kind != Kind::Folder {
            return Err(io::Error::other("a folder above a path is none"));
        }
        let parent = Parent { mode: meta.mode, modified: meta.modified };
        let line = Line::Parent {
            parent: Text::new(folder.as_os_str()),
            mode: parent.mode,
            modified: parent.modified.unix_nanos(),
        };
        write_line(out, &line)?;
        parents.insert(folder.to_owned(), parent);
    }
    Ok(())
}

fn write_line(out: &mut impl io::Write, line: &Line) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// Reads an entry's contents. A last line that is torn was not flushed, so nothing that it tells
/// of was moved.
pub(crate) fn contents(folder: &Dir) -> io::Result<Contents> {
    let mut contents = Contents::default();
    let file = folder.open_file(OsStr::new(CONTENTS))?;
    for line in BufReader::with_capacity(1 << 16, file).split(b'\n') {
        let Ok(line) = serde_json::from_slice(&line?) else { break };
        match line {
            Line::Parent { parent, mode, modified } => {
                let modified = Time::from_unix_nanos(modified);
                if let Some(path) = parent.path() {
                    contents.parents.entry(path).or_insert(Parent { mode, modified });
                }
            }
            Line::Left { left, modified } => {
                let modified = Time::from_unix_nanos(modified);
                contents.left.extend(left.path().map(|path| (path, modified)));
            }
            Line::Item { path, mode: Some(mode) } => {
                contents.sealed.extend(path.path().map(|path| (path, mode)));
            }
            Line::Item { .. } => {}
        }
    }
    Ok(contents)
}

impl Text {
    fn new(name: &OsStr) -> Self {
        match name.to_str() {
            Some(plain) => Self::Plain(plain.to_owned()),
            None => {
                let bytes = sys::name_bytes(name);
                let hex = |digit: u8| char::from_digit(u32::from(digit), 16).unwrap_or('0');
                let bytes = bytes.iter().flat_map(|byte| [hex(byte >> 4), hex(byte & 15)]);
                Self::Bytes { bytes: bytes.collect() }
            }
        }
    }

    fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Plain(plain) => Some(plain.into()),
            Self::Bytes { bytes } => {
                let bytes = (0..bytes.len() / 2)
                    .map(|at| u8::from_str_radix(bytes.get(2 * at..2 * at + 2)?, 16).ok())
                    .collect::<Option<Vec<u8>>>()?;
                sys::name_from_bytes(&bytes).map(PathBuf::from)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn names_that_are_not_text_come_back() {
        use std::os::unix::ffi::OsStrExt as _;
        for bytes in [&b"plain"[..], b"line\nend \"quoted\"", b"\xff\xfe/x", b""] {
            let path = Path::new(OsStr::from_bytes(bytes));
            let json = serde_json::to_string(&Text::new(path.as_os_str())).unwrap();
            let back: Text = serde_json::from_str(&json).unwrap();
            assert_eq!(back.path().as_deref(), Some(path), "{json}");
        }
    }

    #[test]
    fn a_torn_last_line_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let text = "{\"parent\":\"ab\",\"mode\":493,\"modified\":5}\n{\"path\":\"ab/x\",\"mode\":365}\n{\"path\":\"ab/y\",\"mo";
        std::fs::write(folder.path().join(CONTENTS), text).unwrap();
        let contents = contents(&Dir::open_root(folder.path()).unwrap()).unwrap();
        assert_eq!(contents.parents.len(), 1);
        assert_eq!(contents.sealed, HashMap::from([("ab/x".into(), 0o555)]));
    }
}
