//! Unpacking a module zip into the module cache, as the go command does it.
//!
//! A `.partial` file stands there from before the first byte until the folder is whole, so a go
//! command that meets the folder half way takes it for absent
//! (`cmd/go/internal/modfetch/fetch.go`, `unzip`). The caller holds the version's lock. Hashing
//! happens in the same pass, so nothing is finished before it is proven: the caller compares and
//! then calls [`Extraction::finish`] or [`Extraction::undo`].

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use larder_core::Meter;
use larder_fs::{Dir, Everything, RemoveOptions};

use crate::mod_names::{Part, extracted_path, part_name};
use crate::module_path::ModuleVersion;
use crate::module_zip::{Content, ModuleZip, Scratch, Sink, ZipError};

/// Why a version could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The path or the version cannot be escaped.
    #[error("{0} is not the name of a module version")]
    Unnamed(ModuleVersion),
    /// The zip is bad, or could not be read, or a file of it could not be written.
    #[error(transparent)]
    Zip(#[from] ZipError),
    /// A folder or a mark could not be made or removed.
    #[error("cannot write {}", .path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> ExtractError + use<> {
    let path = path.to_owned();
    |source| ExtractError::Io { path, source }
}

/// A version that is being unpacked.
#[derive(Debug)]
pub struct Extraction<'a> {
    /// The `@v` folder.
    downloads: &'a Dir,
    partial: OsString,
    /// The folder above the extracted one.
    above: Dir,
    name: OsString,
    /// Whether folders stay writable (`-modcacherw`).
    writable: bool,
    meter: &'a Meter,
}

impl<'a> Extraction<'a> {
    /// Marks the version as partial and makes room: what an earlier try left goes. `downloads` is
    /// the module's `@v` folder, `root` the module cache.
    pub fn begin(
        root: &Dir,
        downloads: &'a Dir,
        module: &ModuleVersion,
        writable: bool,
        meter: &'a Meter,
    ) -> Result<Self, ExtractError> {
        let unnamed = || ExtractError::Unnamed(module.clone());
        let path = extracted_path(&module.path, &module.version).ok_or_else(unnamed)?;
        let partial = part_name(&module.version, Part::Partial).ok_or_else(unnamed)?.into();
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(unnamed());
        };
        let above = open_or_make(root, parent).map_err(failed(&root.path().join(parent)))?;
        let this = Self { downloads, partial, above, name: name.to_owned(), writable, meter };
        match this.downloads.create(&this.partial) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(&this.downloads.path().join(&this.partial))(error));
            }
            _ => {}
        }
        this.clear()?;
        Ok(this)
    }

    /// Inflates, hashes and writes every file in one pass. After an error, [`Self::undo`].
    pub fn unpack(&self, zip: &ModuleZip, scratch: &mut Scratch) -> Result<Content, ExtractError> {
        let path = self.above.path().join(&self.name);
        self.above.mkdir(&self.name).map_err(failed(&path))?;
        let top = self.above.open_dir(&self.name).map_err(failed(&path))?;
        let mut tree = Tree { top, open: Vec::new(), made: Vec::new(), file: None };
        let content = zip.unpack(&mut tree, scratch, self.meter)?;
        if !self.writable {
            tree.seal(&self.above, &self.name).map_err(failed(&path))?;
        }
        Ok(content)
    }

    /// The folder is whole and proven: the mark goes.
    pub fn finish(self) -> Result<(), ExtractError> {
        let path = self.downloads.path().join(&self.partial);
        self.downloads.unlink(&self.partial).map_err(failed(&path))
    }

    /// Takes everything back; where that fails too, the mark stays, so that nobody believes what
    /// is left.
    pub fn undo(self) -> Result<(), ExtractError> {
        self.clear()?;
        self.finish()
    }

    /// Removes the folder, whoever asked to stop: a half one must not outlive its mark.
    fn clear(&self) -> Result<(), ExtractError> {
        let unstoppable = Meter::default();
        let options = RemoveOptions { threads: 1, meter: &unstoppable };
        let removal = larder_fs::remove(&self.above, &self.name, &Everything, (), &options);
        let path = self.above.path().join(&self.name);
        if self.above.look(&self.name).map_err(failed(&path))?.is_none() {
            return Ok(());
        }
        let left = || (path, io::Error::other("a part of it cannot be removed"));
        let (path, source) = removal.errors.into_iter().next().unwrap_or_else(left);
        Err(ExtractError::Io { path, source })
    }
}

/// Opens a folder below `root`, each part of the way made where it is missing.
pub fn open_or_make(root: &Dir, path: &Path) -> io::Result<Dir> {
    let mut at = root.open_path(Path::new(""))?;
    for name in path.components() {
        let name = name.as_os_str();
        at = match at.open_dir(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => match at.mkdir(name) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => at.open_dir(name)?,
            },
            other => other?,
        };
    }
    Ok(at)
}

/// The files of a module on their way to the disk.
struct Tree {
    top: Dir,
    /// The folders that lead to the current file, with their names.
    open: Vec<(String, Dir)>,
    /// Every folder below the top, by its path.
    made: Vec<String>,
    file: Option<File>,
}

impl Tree {
    /// The folder of a file, made where it is missing; folders on the way to the file before it
    /// are open already.
    fn enter(&mut self, folder: &str) -> io::Result<&Dir> {
        let wanted: Vec<&str> = folder.split('/').filter(|name| !name.is_empty()).collect();
        let same = self.open.iter().zip(&wanted).take_while(|((name, _), w)| name == *w).count();
        self.open.truncate(same);
        for (at, name) in wanted.iter().enumerate().skip(same) {
            let above = self.open.last().map_or(&self.top, |(_, dir)| dir);
            match above.mkdir(OsStr::new(name)) {
                Ok(()) => self.made.push(wanted[..=at].join("/")),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            let dir = above.open_dir(OsStr::new(name))?;
            self.open.push(((*name).to_owned(), dir));
        }
        Ok(self.open.last().map_or(&self.top, |(_, dir)| dir))
    }

    /// Takes the right to write from every folder, the deepest first.
    fn seal(mut self, above: &Dir, name: &OsStr) -> io::Result<()> {
        let mut made = std::mem::take(&mut self.made);
        made.sort_unstable();
        for path in made.iter().rev() {
            let (parent, last) = path.rsplit_once('/').unwrap_or(("", path));
            seal_one(self.enter(parent)?, OsStr::new(last))?;
        }
        seal_one(above, name)
    }
}

fn seal_one(above: &Dir, name: &OsStr) -> io::Result<()> {
    let Some(meta) = above.look(name)? else { return Ok(()) };
    above.set_mode(name, meta.mode & !0o222)
}

impl Sink for Tree {
    fn begin(&mut self, name: &str) -> io::Result<()> {
        let (folder, last) = name.rsplit_once('/').unwrap_or(("", name));
        let file = self.enter(folder)?.create_read_only(OsStr::new(last))?;
        self.file = Some(file);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), |file| file.write_all(bytes))
    }

    fn end(&mut self) -> io::Result<()> {
        self.file = None;
        Ok(())
    }
}
