//! An extracted folder held against its zip while that is inflated: byte for byte, which is
//! several times as fast as hashing both.
//!
//! The answer is only ever "the same"; whoever hears anything else hashes the folder, and learns
//! what differs.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};

use larder_fs::{Dir, Kind};

use crate::module_zip::Sink;

/// So much of a file is read at once, in bytes.
const CHUNK: usize = 64 << 10;

/// The comparison, fed by [`crate::module_zip::ModuleZip::unpack`].
pub(crate) struct Comparison {
    top: Dir,
    /// The folders that lead to the current file, with their names.
    open: Vec<(String, Dir)>,
    file: Option<File>,
    buffer: Vec<u8>,
    same: bool,
    files: u64,
    /// Bytes of the folder that were read.
    pub(crate) bytes: u64,
}

impl Comparison {
    /// Compares with what is below `top`.
    pub(crate) fn new(top: Dir) -> Self {
        let buffer = vec![0; CHUNK];
        Self { top, open: Vec::new(), file: None, buffer, same: true, files: 0, bytes: 0 }
    }

    /// Whether the folder has the zip's files with the zip's bytes, and nothing else. Asked when
    /// the zip was unpacked whole.
    pub(crate) fn is_same(&self) -> bool {
        self.same && count(&self.top).is_ok_and(|files| files == Some(self.files))
    }

    fn folder(&mut self, path: &str) -> io::Result<&Dir> {
        let names = || path.split('/').filter(|name| !name.is_empty());
        let known = self.open.iter().zip(names()).take_while(|((have, _), n)| have == n).count();
        self.open.truncate(known);
        for name in names().skip(known) {
            let above = self.open.last().map_or(&self.top, |(_, dir)| dir);
            let dir = above.open_dir(OsStr::new(name))?;
            self.open.push((name.to_owned(), dir));
        }
        Ok(self.open.last().map_or(&self.top, |(_, dir)| dir))
    }

    fn has(&mut self, mut bytes: &[u8]) -> io::Result<bool> {
        let Some(file) = &mut self.file else { return Ok(false) };
        while !bytes.is_empty() {
            let most = bytes.len().min(self.buffer.len());
            let part = &mut self.buffer[..most];
            file.read_exact(part)?;
            self.bytes += most as u64;
            if *part != bytes[..most] {
                return Ok(false);
            }
            bytes = &bytes[most..];
        }
        Ok(true)
    }
}

impl Sink for Comparison {
    fn begin(&mut self, name: &str) -> io::Result<()> {
        self.files += 1;
        if self.same {
            let (folder, last) = name.rsplit_once('/').unwrap_or(("", name));
            let opened = self.folder(folder).and_then(|dir| dir.open_file(OsStr::new(last)));
            self.file = opened.ok();
            self.same = self.file.is_some();
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.same = self.same && self.has(bytes).unwrap_or(false);
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        let ended = |mut file: File| file.read(&mut [0]).is_ok_and(|read| read == 0);
        self.same = self.same && self.file.take().is_some_and(ended);
        Ok(())
    }
}

/// The files below a folder; nothing where something else than files and folders is among them.
fn count(dir: &Dir) -> io::Result<Option<u64>> {
    let mut files = 0;
    for (name, kind) in dir.entries()? {
        match kind {
            Kind::File => files += 1,
            Kind::Folder => match count(&dir.open_dir(&name)?)? {
                Some(below) => files += below,
                None => return Ok(None),
            },
            Kind::Symlink | Kind::Other => return Ok(None),
        }
    }
    Ok(Some(files))
}
