//! Windows: folders are held open, and named by the path they were opened by.
//!
//! The safe part of std has no folder-relative calls here, so each step goes by path, with what
//! can be done instead: every folder on the way is opened as itself and refused where it is a
//! reparse point (symlink, junction, mount point), and files are opened as themselves. Modes are
//! the read-only flag of files. Nothing here decides anything.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileTimes, Metadata, OpenOptions};
use std::io;
use std::os::windows::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::windows::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use larder_core::Time;

use crate::clock;
use crate::dir::{Kind, Meta};
use crate::disk::Disk;
use crate::stage::unique;

/// `FILE_FLAG_BACKUP_SEMANTICS`: folders can be opened too.
const FOLDERS_TOO: u32 = 0x0200_0000;
/// `FILE_FLAG_OPEN_REPARSE_POINT`: a link itself, not where it leads.
const ITSELF: u32 = 0x0020_0000;
/// `FILE_READ_ATTRIBUTES` and `FILE_WRITE_ATTRIBUTES`.
const LOOK: u32 = 0x80;
const SET: u32 = 0x100;
/// `FILE_ATTRIBUTE_READONLY`, `FILE_ATTRIBUTE_DIRECTORY` and `FILE_ATTRIBUTE_REPARSE_POINT`.
const READ_ONLY: u32 = 0x1;
const FOLDER: u32 = 0x10;
const REPARSE_POINT: u32 = 0x400;
/// What NTFS gives files out in.
const CLUSTER: u64 = 4096;

/// Nothing has to be done: the table of handles grows without anybody waiting.
pub(crate) fn make_room() {}

/// An open folder.
#[derive(Debug)]
pub(crate) struct Handle {
    path: PathBuf,
    file: File,
    device: u64,
}

impl Handle {
    pub(crate) fn open_root(path: &Path) -> io::Result<Self> {
        Self::open(fs::canonicalize(path)?)
    }

    /// The folder `name` in this one; a reparse point in its place is an error.
    pub(crate) fn open_dir(&self, name: &OsStr) -> io::Result<Self> {
        Self::open(self.path.join(name))
    }

    /// The same folder once more.
    pub(crate) fn again(&self) -> io::Result<Self> {
        Self::open(self.path.clone())
    }

    fn open(path: PathBuf) -> io::Result<Self> {
        let file = open_itself(&path, LOOK)?;
        if kind_of(&file.metadata()?) != Kind::Folder {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, "not a folder"));
        }
        let device = winapi_util::file::information(&file)?.volume_serial_number();
        Ok(Self { path, file, device })
    }

    pub(crate) fn meta(&self) -> io::Result<Meta> {
        meta_of(&self.file)
    }

    pub(crate) fn identity(&self) -> io::Result<(u64, u64)> {
        Ok(self.meta()?.identity())
    }

    pub(crate) fn look(&self, name: &OsStr) -> io::Result<Option<Meta>> {
        let path = self.path.join(name);
        match open_itself(&path, LOOK) {
            Ok(file) => meta_of(&file).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // Somebody holds it without sharing: what the folder says about it must do.
            Err(_) => found(fs::symlink_metadata(&path), self.device),
        }
    }

    /// Tells every entry to `each`, until that says `false` or fails.
    pub(crate) fn scan(
        &self,
        _: &mut Buffer,
        mut each: impl FnMut(Entry<'_>) -> io::Result<bool>,
    ) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            if !each(Entry { folder: self, found: &entry, name })? {
                break;
            }
        }
        Ok(())
    }

    pub(crate) fn open_file(&self, name: &OsStr) -> io::Result<File> {
        self.regular(name, OpenOptions::new().read(true))
    }

    pub(crate) fn open_lock(&self, name: &OsStr) -> io::Result<File> {
        let mut options = OpenOptions::new();
        self.regular(name, options.read(true).write(true).create(true).truncate(false))
    }

    pub(crate) fn create(&self, name: &OsStr, mode: u32) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        if mode & 0o200 == 0 {
            options.attributes(READ_ONLY);
        }
        self.regular(name, &mut options)
    }

    /// A regular file for writing at its end.
    pub(crate) fn open_append(&self, name: &OsStr) -> io::Result<File> {
        self.regular(name, OpenOptions::new().append(true).create(true))
    }

    fn regular(&self, name: &OsStr, options: &mut OpenOptions) -> io::Result<File> {
        let file = options.custom_flags(ITSELF).open(self.path.join(name))?;
        if kind_of(&file.metadata()?) == Kind::File {
            return Ok(file);
        }
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }

    pub(crate) fn mkdir(&self, name: &OsStr, _mode: u32) -> io::Result<()> {
        fs::create_dir(self.path.join(name))
    }

    pub(crate) fn unlink(&self, name: &OsStr) -> io::Result<()> {
        unlink(&self.path.join(name))
    }

    pub(crate) fn rmdir(&self, name: &OsStr) -> io::Result<()> {
        let path = self.path.join(name);
        // A link to a folder would be removed as one too.
        if kind_of(&fs::symlink_metadata(&path)?) != Kind::Folder {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, "not a folder"));
        }
        fs::remove_dir(path)
    }

    /// Moves `name` to `to/new`, which must not be taken.
    pub(crate) fn rename(&self, name: &OsStr, to: &Self, new: &OsStr) -> io::Result<()> {
        // Between this look and the move is a moment; the safe part of std has nothing better.
        if fs::symlink_metadata(to.path.join(new)).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.rename_over(name, to, new)
    }

    /// Moves the file `name` to `to/new`, in place of what is there.
    pub(crate) fn rename_over(&self, name: &OsStr, to: &Self, new: &OsStr) -> io::Result<()> {
        fs::rename(self.path.join(name), to.path.join(new))
    }

    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "folders have no modes here")]
    pub(crate) fn set_mode(&self, _mode: u32) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn set_mode_at(&self, name: &OsStr, mode: u32) -> io::Result<()> {
        let path = self.path.join(name);
        let metadata = fs::symlink_metadata(&path)?;
        match kind_of(&metadata) {
            Kind::File => set_read_only(&path, &metadata, mode & 0o200 == 0),
            Kind::Folder => Ok(()),
            Kind::Symlink | Kind::Other => {
                Err(io::Error::new(io::ErrorKind::InvalidInput, "a link has no mode"))
            }
        }
    }

    /// Sets an entry's times, a link's own too.
    pub(crate) fn set_times_at(&self, name: &OsStr, read: Time, modified: Time) -> io::Result<()> {
        let times =
            FileTimes::new().set_accessed(system_time(read)).set_modified(system_time(modified));
        open_itself(&self.path.join(name), SET)?.set_times(times)
    }

    /// Sets this folder's modification time.
    pub(crate) fn set_modified(&self, modified: Time) -> io::Result<()> {
        let times = FileTimes::new().set_modified(system_time(modified));
        open_itself(&self.path, SET)?.set_times(times)
    }

    pub(crate) fn read_link(&self, name: &OsStr) -> io::Result<PathBuf> {
        fs::read_link(self.path.join(name))
    }

    pub(crate) fn symlink(&self, target: &Path, name: &OsStr) -> io::Result<()> {
        let path = self.path.join(name);
        if self.path.join(target).is_dir() {
            std::os::windows::fs::symlink_dir(target, path)
        } else {
            std::os::windows::fs::symlink_file(target, path)
        }
    }

    /// What there is to flush has been, file by file.
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "it is a call elsewhere")]
    pub(crate) fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }

    /// Nobody else can put a folder where only this user may write, and these are such places.
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "it is a call elsewhere")]
    pub(crate) fn is_ours(&self) -> io::Result<bool> {
        Ok(true)
    }

    /// Whether this process may add and remove entries here: only trying tells.
    pub(crate) fn writable(&self) -> bool {
        let probe = self.path.join(format!(".larder-probe-{}", unique()));
        OpenOptions::new().write(true).create_new(true).open(&probe).is_ok()
            && fs::remove_file(&probe).is_ok()
    }
}

/// An entry as a scan meets it.
pub(crate) struct Entry<'a> {
    folder: &'a Handle,
    found: &'a fs::DirEntry,
    name: OsString,
}

impl Entry<'_> {
    pub(crate) fn name(&self) -> &OsStr {
        &self.name
    }

    /// What it is; listing a folder tells, so this costs nothing.
    pub(crate) fn kind(&self) -> Option<Kind> {
        self.found.metadata().ok().map(|metadata| kind_of(&metadata))
    }

    /// `None` where it is gone by now. Its links and index are not known from a listing.
    pub(crate) fn look(&self) -> io::Result<Option<Meta>> {
        found(self.found.metadata(), self.folder.device)
    }

    pub(crate) fn unlink(&self) -> io::Result<()> {
        self.folder.unlink(&self.name)
    }
}

/// Nothing has to be kept between folders here.
#[derive(Default)]
pub(crate) struct Buffer(());

/// Names of entries.
#[derive(Debug, Default)]
pub(crate) struct Names(Vec<OsString>);

impl Names {
    pub(crate) fn push(&mut self, name: &OsStr) {
        self.0.push(name.to_owned());
    }

    /// Takes the last name into `name`.
    pub(crate) fn pop(&mut self, name: &mut OsString) -> bool {
        let popped = self.0.pop();
        let found = popped.is_some();
        *name = popped.unwrap_or_default();
        found
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// How many files this process may have open: more than anybody needs.
pub(crate) fn open_limit() -> usize {
    usize::MAX
}

/// A name as UTF-16, low bytes first, and back: what the trash writes down where a name is not
/// UTF-8.
pub(crate) fn name_bytes(name: &OsStr) -> Vec<u8> {
    name.encode_wide().flat_map(u16::to_le_bytes).collect()
}

pub(crate) fn name_from_bytes(bytes: &[u8]) -> Option<OsString> {
    let (pairs, rest) = bytes.as_chunks();
    let wide: Vec<u16> = pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
    rest.is_empty().then(|| OsString::from_wide(&wide))
}

/// About the disk that `path` is on, which exists and holds no link.
pub(crate) fn disk(path: &Path) -> io::Result<Disk> {
    let root = volume(path)?;
    let (mut free, mut total) = (0, 0);
    winsafe::GetDiskFreeSpaceEx(Some(&root), Some(&mut free), Some(&mut total), None)
        .map_err(error)?;
    let mut file_system = String::new();
    // A drive that will not tell its file system still has its numbers.
    let _ =
        winsafe::GetVolumeInformation(Some(&root), None, None, None, None, Some(&mut file_system));
    let network = winsafe::GetDriveType(Some(&root)) == winsafe::co::DRIVE::REMOTE;
    Ok(Disk { free, total, mount_point: root.into(), file_system, network })
}

/// Whether a volume is mounted at `path`, which exists and is no link.
pub(crate) fn is_mount_point(path: &Path) -> io::Result<bool> {
    Ok(Path::new(&volume(path)?).components().eq(plain(path)?.components()))
}

/// The root of the volume that `path` is on, ending in a backslash.
fn volume(path: &Path) -> io::Result<String> {
    let path = plain(path)?;
    let text = path
        .to_str()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a path in Unicode"))?;
    winsafe::GetVolumePathName(text).map_err(error)
}

/// The path without the `\\?\` that canonical ones begin with.
fn plain(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let Some(text) = path.to_str() else { return Ok(path) };
    if let Some(share) = text.strip_prefix(r"\\?\UNC\") {
        return Ok(format!(r"\\{share}").into());
    }
    Ok(text.strip_prefix(r"\\?\").map_or_else(|| path.clone(), PathBuf::from))
}

fn error(code: winsafe::co::ERROR) -> io::Error {
    io::Error::from_raw_os_error(code.raw().cast_signed())
}

fn open_itself(path: &Path, access: u32) -> io::Result<File> {
    OpenOptions::new().access_mode(access).custom_flags(FOLDERS_TOO | ITSELF).open(path)
}

fn unlink(path: &Path) -> io::Result<()> {
    let denied = match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => error,
        other => return other,
    };
    let metadata = fs::symlink_metadata(path)?;
    if metadata.file_attributes() & (FOLDER | REPARSE_POINT) == FOLDER | REPARSE_POINT {
        // A link to a folder goes as a folder does; what it leads to stays.
        return fs::remove_dir(path);
    }
    if metadata.file_attributes() & (READ_ONLY | FOLDER) != READ_ONLY {
        return Err(denied);
    }
    set_read_only(path, &metadata, false)?;
    fs::remove_file(path)
}

fn set_read_only(path: &Path, metadata: &Metadata, read_only: bool) -> io::Result<()> {
    let mut permissions = metadata.permissions();
    permissions.set_readonly(read_only);
    fs::set_permissions(path, permissions)
}

fn found(metadata: io::Result<Metadata>, device: u64) -> io::Result<Option<Meta>> {
    match metadata {
        Ok(metadata) => Ok(Some(meta(&metadata, device, 0, 1))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn meta_of(file: &File) -> io::Result<Meta> {
    let id = winapi_util::file::information(file)?;
    let (device, inode) = (id.volume_serial_number(), id.file_index());
    Ok(meta(&file.metadata()?, device, inode, id.number_of_links()))
}

fn meta(metadata: &Metadata, device: u64, inode: u64, links: u64) -> Meta {
    let kind = kind_of(metadata);
    let logical = if kind == Kind::File { metadata.len() } else { 0 };
    let time = |time: io::Result<SystemTime>| time.map_or(Time::from_unix(0), clock::from_system);
    Meta {
        kind,
        logical,
        allocated: logical.next_multiple_of(CLUSTER),
        links,
        device,
        inode,
        mode: if metadata.file_attributes() & READ_ONLY != 0 && kind == Kind::File {
            0o444
        } else {
            0o666
        },
        modified: time(metadata.modified()),
        accessed: time(metadata.accessed()),
        changed: time(metadata.created()),
        // A mount point is a reparse point, so it is told as a link and never entered.
        mount_point: false,
    }
}

fn kind_of(metadata: &Metadata) -> Kind {
    let attributes = metadata.file_attributes();
    if attributes & REPARSE_POINT != 0 {
        Kind::Symlink
    } else if attributes & FOLDER != 0 {
        Kind::Folder
    } else {
        Kind::File
    }
}

fn system_time(time: Time) -> SystemTime {
    let distance = Duration::from_nanos(time.unix_nanos().unsigned_abs());
    if time.unix_nanos() < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
}
