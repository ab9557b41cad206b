//! One module version into the module cache, proven before it is visible, as the go command does
//! it (`cmd/go/internal/modfetch/{cache,fetch}.go`).
//!
//! Promises: what go.sum or the checksum database contradicts is never put in place; a zip is
//! unpacked, hashed and written in one pass while the version is marked as partial; a crash leaves
//! nothing that a go command takes for whole, and either tool goes on where the other stopped.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_core::Meter;
use larder_fs::{Dir, FileLock, LockError};
use larder_go::extract::{ExtractError, Extraction, open_or_make};
use larder_go::h1::H1;
use larder_go::mod_list;
use larder_go::mod_names::{Part, TOOLCHAIN_MODULE, download_folder, extracted_path, part_name};
use larder_go::module_path::ModuleVersion;
use larder_go::module_zip::{ModuleZip, Scratch, ZipError};

use crate::direct::GoCommand;
use crate::goproxy::{FetchError, Proxies};
use crate::rev_info;
use crate::staged::Staged;

/// Where module versions come from.
pub trait Source: Sync {
    /// The `.info`, as it was served.
    fn info(&self, module: &ModuleVersion, meter: &Meter) -> Result<Vec<u8>, FetchError>;
    /// The go.mod.
    fn go_mod(&self, module: &ModuleVersion, meter: &Meter) -> Result<Vec<u8>, FetchError>;
    /// The zip, into a file open for reading and writing; its size in bytes.
    fn zip(
        &self,
        module: &ModuleVersion,
        into: &mut File,
        meter: &Meter,
    ) -> Result<u64, FetchError>;
}

impl Source for Proxies {
    fn info(&self, module: &ModuleVersion, meter: &Meter) -> Result<Vec<u8>, FetchError> {
        Self::info(self, &module.path, &module.version, meter)
    }

    fn go_mod(&self, module: &ModuleVersion, meter: &Meter) -> Result<Vec<u8>, FetchError> {
        Self::go_mod(self, &module.path, &module.version, meter)
    }

    fn zip(
        &self,
        module: &ModuleVersion,
        into: &mut File,
        meter: &Meter,
    ) -> Result<u64, FetchError> {
        Self::zip(self, &module.path, &module.version, into, meter)
    }
}

/// What hashes must be.
pub trait Expect: Sync {
    /// Whether a version, or `version/go.mod`, may have this hash.
    fn check(&self, module: &ModuleVersion, key: &str, found: H1) -> Result<(), Unproven>;
}

/// A hash that is not, or not yet, the right one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// It is another one.
    #[error(
        "checksum mismatch: downloaded {found}, {by} has {expected}; the download may have been \
         tampered with on its way, or {by} was changed"
    )]
    Mismatch {
        /// Who expects it: the path of a go.sum, or the checksum database's name.
        by: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Nobody could be asked.
    #[error("its checksum cannot be proven: {0}")]
    Unknown(String),
    /// The checksum database contradicts itself or its signature.
    #[error("{0}")]
    Security(String),
}

/// Why a version is not in the cache.
#[derive(Debug, thiserror::Error)]
pub enum VersionError {
    /// It cannot be named in a cache.
    #[error("{0} is not the name of a module version")]
    Unnamed(ModuleVersion),
    /// It was not served.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It is not what it should be.
    #[error("{module}: {what}{why}")]
    Unproven {
        /// The version.
        module: ModuleVersion,
        /// `its go.mod: ` or nothing.
        what: &'static str,
        /// How.
        #[source]
        why: Box<Unproven>,
    },
    /// The zip is not a good one, or could not be unpacked.
    #[error("{module}: {source}")]
    Extract {
        /// The version.
        module: ModuleVersion,
        /// What is wrong.
        source: ExtractError,
    },
    /// The zip in the cache is not what its `.ziphash` says.
    #[error(
        "{0}: the zip in the module cache does not match its .ziphash; larder verify mod --fix mends it"
    )]
    Damaged(ModuleVersion),
    /// Somebody held its lock, or we were asked to stop.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The cache cannot be written.
    #[error("cannot write {}", .path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// All of it was there.
    Present,
    /// It was unpacked from a zip that was there.
    Unpacked,
    /// It was fetched: so many bytes of zip.
    Downloaded(u64),
    /// The go command fetched it from version control.
    Direct,
}

/// Fetches into one module cache; threads share it.
pub struct Fetcher<'a> {
    /// The module cache.
    pub root: &'a Dir,
    /// Whence.
    pub source: &'a dyn Source,
    /// What hashes must be.
    pub expect: &'a dyn Expect,
    /// Who fetches what comes from version control; an error names what is missing.
    pub direct: Result<&'a GoCommand, &'a str>,
    /// Whether extracted folders stay writable (`-modcacherw`).
    pub writable: bool,
    /// How long to wait for a version's lock.
    pub wait: Duration,
    /// Bytes as they come in, and the wish to stop.
    pub meter: &'a Meter,
}

impl Fetcher<'_> {
    /// The go.mod of a version and whether it was fetched: from the cache, else fetched, proven
    /// and kept. One in the cache that is not what it should be is an error, as it is for the go
    /// command.
    pub fn go_mod(&self, module: &ModuleVersion) -> Result<(Vec<u8>, bool), VersionError> {
        let folder = self.folder(module)?;
        let name = part(module, Part::Mod)?;
        let path = folder.path().join(&name);
        let (text, came) = match folder.read(OsStr::new(&name), MAX_GO_MOD) {
            Ok(text) => (text, Came::Present),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match self.source.go_mod(module, self.meter) {
                    Err(error @ FetchError::Direct { .. }) => {
                        self.directly(module, false, error)?;
                        let text = folder.read(OsStr::new(&name), MAX_GO_MOD);
                        (text.map_err(failed(&folder, &name))?, Came::ByGo)
                    }
                    other => (other?, Came::Served),
                }
            }
            Err(source) => return Err(VersionError::Io { path, source }),
        };
        let key = format!("{}/go.mod", module.version);
        let proven = self.expect.check(module, &key, H1::of_go_mod(&text));
        proven.map_err(|why| unproven(module, "its go.mod: ", why))?;
        if came == Came::Served {
            Self::put(&folder, &name, &text)?;
            // Where somebody else holds its lock, he lists this version too.
            let _ = mod_list::create(&folder, self.wait, self.meter);
        }
        Ok((text, came != Came::Present))
    }

    /// The go.mod of a version as it is served now, proven, in place of the one in the cache.
    pub fn renew_go_mod(&self, module: &ModuleVersion) -> Result<(), VersionError> {
        let text = self.source.go_mod(module, self.meter)?;
        let key = format!("{}/go.mod", module.version);
        let proven = self.expect.check(module, &key, H1::of_go_mod(&text));
        proven.map_err(|why| unproven(module, "its go.mod: ", why))?;
        Self::replace(&self.folder(module)?, &part(module, Part::Mod)?, &text)
    }

    /// What version selection reads: `.info` and `.mod`.
    pub fn description(&self, module: &ModuleVersion) -> Result<(), VersionError> {
        self.info(&self.folder(module)?, module)?;
        self.go_mod(module).map(|_| ())
    }

    /// Everything of a version, in place and whole. Of a toolchain Go keeps neither `.info` nor
    /// `.mod` (`cmd/go/internal/toolchain/select.go`).
    pub fn version(
        &self,
        module: &ModuleVersion,
        scratch: &mut Scratch,
    ) -> Result<Fetched, VersionError> {
        let folder = self.folder(module)?;
        if module.path != TOOLCHAIN_MODULE {
            self.info(&folder, module)?;
            self.go_mod(module)?;
        }
        if let Some(ziphash) = self.whole(&folder, module)? {
            return self.prove(module, ziphash).map(|()| Fetched::Present);
        }
        let lock = self.lock(&folder, module)?;
        // Somebody may have fetched it while we waited.
        if let Some(ziphash) = self.whole(&folder, module)? {
            return self.prove(module, ziphash).map(|()| Fetched::Present);
        }
        Self::clear_temporary(&folder, module)?;
        match self.zip_and_folder(&folder, module, scratch) {
            Err(VersionError::Fetch(error @ FetchError::Direct { .. })) => {
                // The go command takes the same lock.
                drop(lock);
                self.directly(module, true, error)?;
                let ziphash = Self::ziphash(&folder, module)?;
                let ziphash = ziphash.ok_or_else(|| VersionError::Damaged(module.clone()))?;
                self.prove(module, ziphash).map(|()| Fetched::Direct)
            }
            other => other,
        }
    }

    /// Has the go command fetch it.
    fn directly(
        &self,
        module: &ModuleVersion,
        whole: bool,
        error: FetchError,
    ) -> Result<(), VersionError> {
        let FetchError::Direct { what, why } = error else { return Err(error.into()) };
        let fetched = match self.direct {
            Ok(go) => go.fetch(module, whole),
            Err(missing) => Err(missing.to_owned()),
        };
        let failed = |reason| FetchError::Direct { what, why: format!("{why}: {reason}") };
        fetched.map_err(|reason| failed(reason).into())
    }

    /// What is there is proven by its `.ziphash` (`checkMod`).
    fn prove(&self, module: &ModuleVersion, ziphash: H1) -> Result<(), VersionError> {
        let checked = self.expect.check(module, &module.version, ziphash);
        checked.map_err(|why| unproven(module, "", why))
    }

    /// The `.ziphash` where zip, hash and folder are there.
    fn whole(&self, folder: &Dir, module: &ModuleVersion) -> Result<Option<H1>, VersionError> {
        let zip = part(module, Part::Zip)?;
        let there = folder.look(OsStr::new(&zip)).map_err(failed(folder, &zip))?.is_some();
        if !there || !self.extracted(folder, module)? {
            return Ok(None);
        }
        Self::ziphash(folder, module)
    }

    fn ziphash(folder: &Dir, module: &ModuleVersion) -> Result<Option<H1>, VersionError> {
        let name = part(module, Part::Ziphash)?;
        match folder.read(OsStr::new(&name), 200) {
            Ok(text) => Ok(String::from_utf8_lossy(&text).trim().parse().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed(folder, &name)(source)),
        }
    }

    /// Whether its folder is there and no `.partial` (`DownloadDir`).
    fn extracted(&self, folder: &Dir, module: &ModuleVersion) -> Result<bool, VersionError> {
        let partial = part(module, Part::Partial)?;
        if folder.look(OsStr::new(&partial)).map_err(failed(folder, &partial))?.is_some() {
            return Ok(false);
        }
        let unnamed = || VersionError::Unnamed(module.clone());
        let path = extracted_path(&module.path, &module.version).ok_or_else(unnamed)?;
        match self.root.open_path(&path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(VersionError::Io { path: self.root.path().join(path), source }),
        }
    }

    fn zip_and_folder(
        &self,
        folder: &Dir,
        module: &ModuleVersion,
        scratch: &mut Scratch,
    ) -> Result<Fetched, VersionError> {
        let zip = part(module, Part::Zip)?;
        let (file, staged, fetched) = match folder.open_file(OsStr::new(&zip)) {
            Ok(file) => (file, None, Fetched::Unpacked),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut staged = Staged::new(folder, &zip)?;
                let size = self.source.zip(module, staged.file()?, self.meter)?;
                (staged.reopen()?, Some(staged), Fetched::Downloaded(size))
            }
            Err(source) => return Err(failed(folder, &zip)(source)),
        };
        let known = Self::ziphash(folder, module)?;
        let opened = ModuleZip::open(file, module).map_err(|e| extract(module, e.into()))?;
        // The meter counts what comes in; unpacking is in step with it.
        let quiet = Quiet::new(self.meter);
        // A folder with a hash beside it is whole, and lacks its zip alone.
        let extraction = if staged.is_some() && known.is_some() && self.extracted(folder, module)? {
            None
        } else {
            let begun = Extraction::begin(self.root, folder, module, self.writable, quiet.meter());
            Some(begun.map_err(|error| extract(module, error))?)
        };
        let content = match &extraction {
            Some(extraction) => extraction.unpack(&opened, scratch),
            None => opened.content(scratch, quiet.meter()).map_err(ExtractError::from),
        };
        let settled = content.map_err(|error| extract(module, error)).and_then(|content| {
            self.prove(module, content.h1)?;
            let stays = staged.is_none() || extraction.is_none();
            if stays && known.is_some_and(|known| known != content.h1) {
                return Err(VersionError::Damaged(module.clone()));
            }
            if known != Some(content.h1) {
                let name = part(module, Part::Ziphash)?;
                Self::replace(folder, &name, content.h1.to_string().as_bytes())?;
            }
            staged.map_or(Ok(()), |staged| staged.keep(&zip))
        });
        match (settled, extraction) {
            (Ok(()), Some(extraction)) => {
                extraction.finish().map_err(|error| extract(module, error))?;
                Ok(fetched)
            }
            (Ok(()), None) => Ok(fetched),
            (Err(error), extraction) => {
                // The first error is the one to tell; what stays is marked as partial.
                let _ = extraction.map(Extraction::undo);
                Err(error)
            }
        }
    }

    fn folder(&self, module: &ModuleVersion) -> Result<Dir, VersionError> {
        let unnamed = || VersionError::Unnamed(module.clone());
        let path = download_folder(&module.path).ok_or_else(unnamed)?;
        let failed = |source| VersionError::Io { path: self.root.path().join(&path), source };
        open_or_make(self.root, &path).map_err(failed)
    }

    fn info(&self, folder: &Dir, module: &ModuleVersion) -> Result<(), VersionError> {
        let name = part(module, Part::Info)?;
        let there = folder.read(OsStr::new(&name), MAX_GO_MOD);
        if there.is_ok_and(|bytes| rev_info::canonical(&bytes, &module.version).is_some()) {
            return Ok(());
        }
        let served = match self.source.info(module, self.meter) {
            Err(error @ FetchError::Direct { .. }) => return self.directly(module, false, error),
            other => other?,
        };
        // Go writes what it read, not what it was served.
        let text = rev_info::canonical(&served, &module.version).unwrap_or(served);
        Self::replace(folder, &name, &text)
    }

    fn lock(&self, folder: &Dir, module: &ModuleVersion) -> Result<FileLock, VersionError> {
        let name = part(module, Part::Lock)?;
        let file = folder.open_lock(OsStr::new(&name)).map_err(failed(folder, &name))?;
        Ok(FileLock::exclusive(file, &folder.path().join(&name), self.wait, self.meter)?)
    }

    /// What earlier tries left goes; under the lock nobody else can be writing it.
    fn clear_temporary(folder: &Dir, module: &ModuleVersion) -> Result<(), VersionError> {
        let zip = part(module, Part::Zip)?;
        for (name, _) in folder.entries().map_err(failed(folder, ""))? {
            let text = name.to_string_lossy();
            if text.starts_with(&zip) && text.ends_with(".tmp") {
                folder.unlink(&name).map_err(failed(folder, &text))?;
            }
        }
        Ok(())
    }

    /// A new file, under its name only when it is written whole. Where somebody else was faster,
    /// his is as good: both were proven.
    fn put(folder: &Dir, name: &str, bytes: &[u8]) -> Result<(), VersionError> {
        let mut staged = Staged::new(folder, name)?;
        staged.file()?.write_all(bytes).map_err(failed(folder, name))?;
        staged.keep(name)
    }

    /// As [`Self::put`], in place of what is there.
    fn replace(folder: &Dir, name: &str, bytes: &[u8]) -> Result<(), VersionError> {
        let mut staged = Staged::new(folder, name)?;
        staged.file()?.write_all(bytes).map_err(failed(folder, name))?;
        match folder.unlink(OsStr::new(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(folder, name)(error));
            }
            _ => {}
        }
        staged.keep(name)
    }
}

/// Where a go.mod came from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Came {
    Present,
    ByGo,
    Served,
}

/// The longest go.mod (`MaxGoMod`), in bytes.
const MAX_GO_MOD: usize = 16 << 20;

fn part(module: &ModuleVersion, part: Part) -> Result<String, VersionError> {
    part_name(&module.version, part).ok_or_else(|| VersionError::Unnamed(module.clone()))
}

pub(crate) fn failed(folder: &Dir, name: &str) -> impl FnOnce(io::Error) -> VersionError + use<> {
    let path = folder.path().join(Path::new(name));
    |source| VersionError::Io { path, source }
}

fn unproven(module: &ModuleVersion, what: &'static str, why: Unproven) -> VersionError {
    VersionError::Unproven { module: module.clone(), what, why: Box::new(why) }
}

fn extract(module: &ModuleVersion, source: ExtractError) -> VersionError {
    VersionError::Extract { module: module.clone(), source }
}

impl VersionError {
    /// Whether somebody asked to stop.
    pub fn is_stop(&self) -> bool {
        matches!(
            self,
            Self::Lock(LockError::Stopped)
                | Self::Fetch(FetchError::Stopped { .. })
                | Self::Extract { source: ExtractError::Zip(ZipError::Stopped), .. }
        )
    }
}

/// A meter that counts apart, so that bytes are not counted when they come in and again when they
/// are unpacked.
struct Quiet(Meter);

impl Quiet {
    fn new(of: &Meter) -> Self {
        let meter = Meter::default();
        if of.stopped() {
            meter.stop();
        }
        Self(meter)
    }

    fn meter(&self) -> &Meter {
        &self.0
    }
}
