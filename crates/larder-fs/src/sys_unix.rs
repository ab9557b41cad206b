//! Unix: folders are file descriptors, and every call is relative to one.
//!
//! Linux reads names with `getdents` into a buffer that is used again, and looks at entries with
//! `statx`; elsewhere it is `readdir` and `fstatat`. Nothing here decides anything.

use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use larder_core::Time;
use rustix::fs::{self as rfs, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::dir::{Kind, Meta};
use crate::disk::{Disk, is_network};

/// Opens a folder for reading its names; never through a symlink.
const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// For files: a pipe in a file's place must not block, a symlink must not lead away.
const PLAIN: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// Descriptors that the table has room for from the start: the folders of a build cache, and more.
const ROOM: i32 = 512;

/// An open folder.
#[derive(Debug)]
pub(crate) struct Handle(OwnedFd);

/// See [`crate::make_room`].
pub(crate) fn make_room() {
    // Without room it only takes longer.
    drop(rustix::io::fcntl_dupfd_cloexec(io::stderr(), ROOM - 1));
}

impl Handle {
    pub(crate) fn open_root(path: &Path) -> io::Result<Self> {
        let flags = FOLDER.difference(OFlags::NOFOLLOW);
        Ok(Self(rfs::open(path, flags, Mode::empty())?))
    }

    /// The folder `name` in this one; a symlink in its place is an error.
    pub(crate) fn open_dir(&self, name: &OsStr) -> io::Result<Self> {
        Ok(Self(rfs::openat(&self.0, name, FOLDER, Mode::empty())?))
    }

    /// The same folder with a reading position of its own.
    pub(crate) fn again(&self) -> io::Result<Self> {
        Ok(Self(rfs::openat(&self.0, c".", FOLDER, Mode::empty())?))
    }

    pub(crate) fn meta(&self) -> io::Result<Meta> {
        look_at(self.0.as_fd(), c"", true)
    }

    pub(crate) fn identity(&self) -> io::Result<(u64, u64)> {
        Ok(self.meta()?.identity())
    }

    pub(crate) fn look(&self, name: &OsStr) -> io::Result<Option<Meta>> {
        found(look_at(self.0.as_fd(), name, false))
    }

    /// Tells every entry but `.` and `..` to `each`, until that says `false` or fails. The handle
    /// must be fresh: reading goes on where it stopped.
    pub(crate) fn scan(
        &self,
        buffer: &mut Buffer,
        mut each: impl FnMut(Entry<'_>) -> io::Result<bool>,
    ) -> io::Result<()> {
        let folder = self.0.as_fd();
        let mut names = buffer.names(folder)?;
        while let Some(entry) = names.next() {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let kind = kind_of(entry.file_type());
            if !each(Entry { folder, name, kind })? {
                break;
            }
        }
        Ok(())
    }

    pub(crate) fn open_file(&self, name: &OsStr) -> io::Result<File> {
        #[cfg(target_os = "linux")]
        {
            let quiet = OFlags::RDONLY | PLAIN | OFlags::NOATIME;
            match rfs::openat(&self.0, name, quiet, Mode::empty()) {
                // Only the owner may read without leaving a trace.
                Err(Errno::PERM) => {}
                other => return regular(other?),
            }
        }
        regular(rfs::openat(&self.0, name, OFlags::RDONLY | PLAIN, Mode::empty())?)
    }

    pub(crate) fn open_lock(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | PLAIN;
        regular(rfs::openat(&self.0, name, flags, Mode::from_raw_mode(0o666))?)
    }

    pub(crate) fn create(&self, name: &OsStr, mode: u32) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | PLAIN;
        Ok(File::from(rfs::openat(&self.0, name, flags, mode_of(mode))?))
    }

    /// A regular file for writing at its end, made for its owner only where it is missing.
    pub(crate) fn open_append(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | PLAIN;
        regular(rfs::openat(&self.0, name, flags, mode_of(0o600))?)
    }

    pub(crate) fn mkdir(&self, name: &OsStr, mode: u32) -> io::Result<()> {
        Ok(rfs::mkdirat(&self.0, name, mode_of(mode))?)
    }

    pub(crate) fn unlink(&self, name: &OsStr) -> io::Result<()> {
        Ok(rfs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    pub(crate) fn rmdir(&self, name: &OsStr) -> io::Result<()> {
        Ok(rfs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    /// Moves `name` to `to/new`, which must not be taken.
    pub(crate) fn rename(&self, name: &OsStr, to: &Self, new: &OsStr) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "macos"))]
        {
            match rfs::renameat_with(&self.0, name, &to.0, new, rfs::RenameFlags::NOREPLACE) {
                // The file system or the kernel does not know the flag.
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
                other => return Ok(other?),
            }
        }
        // Without the flag there is a moment between the look and the move; nothing better exists.
        if to.look(new)?.is_some() {
            return Err(Errno::EXIST.into());
        }
        Ok(rfs::renameat(&self.0, name, &to.0, new)?)
    }

    /// Moves the file `name` to `to/new`, in place of what is there.
    pub(crate) fn rename_over(&self, name: &OsStr, to: &Self, new: &OsStr) -> io::Result<()> {
        Ok(rfs::renameat(&self.0, name, &to.0, new)?)
    }

    pub(crate) fn set_mode(&self, mode: u32) -> io::Result<()> {
        Ok(rfs::fchmod(&self.0, mode_of(mode))?)
    }

    pub(crate) fn set_mode_at(&self, name: &OsStr, mode: u32) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        {
            // fchmodat follows symlinks; a handle to the entry itself does not.
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let entry = rfs::openat(&self.0, name, flags, Mode::empty())?;
            if look_at(entry.as_fd(), c"", true)?.kind == Kind::Symlink {
                return Err(Errno::LOOP.into());
            }
            let magic = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&entry));
            Ok(rfs::chmodat(rfs::CWD, magic, mode_of(mode), AtFlags::empty())?)
        }
        #[cfg(not(target_os = "linux"))]
        {
            if self.look(name)?.is_some_and(|meta| meta.kind == Kind::Symlink) {
                return Err(Errno::LOOP.into());
            }
            Ok(rfs::chmodat(&self.0, name, mode_of(mode), AtFlags::SYMLINK_NOFOLLOW)?)
        }
    }

    /// Sets an entry's times, a symlink's own too.
    pub(crate) fn set_times_at(&self, name: &OsStr, read: Time, modified: Time) -> io::Result<()> {
        let times = times(Some(read), modified);
        Ok(rfs::utimensat(&self.0, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Sets this folder's modification time.
    pub(crate) fn set_modified(&self, modified: Time) -> io::Result<()> {
        Ok(rfs::futimens(&self.0, &times(None, modified))?)
    }

    pub(crate) fn read_link(&self, name: &OsStr) -> io::Result<PathBuf> {
        let target = rfs::readlinkat(&self.0, name, Vec::new())?;
        Ok(OsString::from_vec(target.into_bytes()).into())
    }

    pub(crate) fn symlink(&self, target: &Path, name: &OsStr) -> io::Result<()> {
        Ok(rfs::symlinkat(target, &self.0, name)?)
    }

    /// Flushes everything on this folder's file system, where one call can.
    pub(crate) fn sync_all(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        rfs::syncfs(&self.0)?;
        #[cfg(not(target_os = "linux"))]
        rfs::fsync(&self.0)?;
        Ok(())
    }

    /// Whether this folder belongs to the user that this process acts as.
    pub(crate) fn is_ours(&self) -> io::Result<bool> {
        Ok(rfs::fstat(&self.0)?.st_uid == rustix::process::geteuid().as_raw())
    }

    /// Whether this process may add and remove entries here.
    pub(crate) fn writable(&self) -> bool {
        let access = rfs::Access::WRITE_OK | rfs::Access::EXEC_OK;
        rfs::accessat(&self.0, c".", access, AtFlags::EACCESS).is_ok()
    }
}

/// An entry as a scan meets it.
pub(crate) struct Entry<'a> {
    folder: BorrowedFd<'a>,
    name: &'a CStr,
    kind: Option<Kind>,
}

impl Entry<'_> {
    pub(crate) fn name(&self) -> &OsStr {
        OsStr::from_bytes(self.name.to_bytes())
    }

    /// What it is, where the file system says so without being asked for more.
    pub(crate) fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// `None` where it is gone by now.
    pub(crate) fn look(&self) -> io::Result<Option<Meta>> {
        found(look_at(self.folder, self.name, false))
    }

    pub(crate) fn unlink(&self) -> io::Result<()> {
        Ok(rfs::unlinkat(self.folder, self.name, AtFlags::empty())?)
    }
}

/// Where names are read into; one a worker, used again for each folder.
#[cfg(target_os = "linux")]
pub(crate) struct Buffer(Vec<std::mem::MaybeUninit<u8>>);

#[cfg(target_os = "linux")]
impl Default for Buffer {
    fn default() -> Self {
        Self(vec![std::mem::MaybeUninit::uninit(); 32 << 10])
    }
}

#[cfg(target_os = "linux")]
impl Buffer {
    #[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
    fn names<'a>(
        &'a mut self,
        folder: BorrowedFd<'a>,
    ) -> io::Result<rfs::RawDir<'a, BorrowedFd<'a>>> {
        Ok(rfs::RawDir::new(folder, &mut self.0))
    }
}

/// Elsewhere the C library keeps names itself.
#[cfg(not(target_os = "linux"))]
#[derive(Default)]
pub(crate) struct Buffer(());

/// A folder's names; not an iterator, as Linux's cannot be one.
#[cfg(not(target_os = "linux"))]
struct ReadDir(rfs::Dir);

#[cfg(not(target_os = "linux"))]
impl ReadDir {
    fn next(&mut self) -> Option<rustix::io::Result<rfs::DirEntry>> {
        self.0.next()
    }
}

#[cfg(not(target_os = "linux"))]
impl Buffer {
    #[expect(clippy::unused_self, reason = "it is used on Linux")]
    fn names(&mut self, folder: BorrowedFd<'_>) -> io::Result<ReadDir> {
        Ok(ReadDir(rfs::Dir::read_from(folder)?))
    }
}

/// Names of entries, packed: a folder of a hundred thousand folders costs their letters, no more.
#[derive(Debug, Default)]
pub(crate) struct Names {
    bytes: Vec<u8>,
    count: usize,
}

impl Names {
    pub(crate) fn push(&mut self, name: &OsStr) {
        // No name holds a NUL, so it can separate them.
        self.bytes.push(0);
        self.bytes.extend_from_slice(name.as_bytes());
        self.count += 1;
    }

    /// Takes the last name into `name`.
    pub(crate) fn pop(&mut self, name: &mut OsString) -> bool {
        let Some(start) = self.bytes.iter().rposition(|&byte| byte == 0) else { return false };
        name.clear();
        name.push(OsStr::from_bytes(&self.bytes[start + 1..]));
        self.bytes.truncate(start);
        self.count -= 1;
        true
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }
}

/// How many files this process may have open.
pub(crate) fn open_limit() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// The bytes of a name, and back: what the trash writes down where a name is not UTF-8.
pub(crate) fn name_bytes(name: &OsStr) -> Vec<u8> {
    name.as_bytes().to_vec()
}

#[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
pub(crate) fn name_from_bytes(bytes: &[u8]) -> Option<OsString> {
    Some(OsStr::from_bytes(bytes).to_owned())
}

fn regular(fd: OwnedFd) -> io::Result<File> {
    let file = File::from(fd);
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
}

fn found(meta: io::Result<Meta>) -> io::Result<Option<Meta>> {
    match meta {
        Ok(meta) => Ok(Some(meta)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn kind_of(kind: FileType) -> Option<Kind> {
    match kind {
        FileType::RegularFile => Some(Kind::File),
        FileType::Directory => Some(Kind::Folder),
        FileType::Symlink => Some(Kind::Symlink),
        FileType::Unknown => None,
        _ => Some(Kind::Other),
    }
}

fn time(seconds: i64, nanos: i64) -> Time {
    Time::from_unix_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

fn times(read: Option<Time>, modified: Time) -> rfs::Timestamps {
    let stamp = |time: Time| rfs::Timespec {
        tv_sec: time.unix_nanos().div_euclid(1_000_000_000),
        tv_nsec: time.unix_nanos().rem_euclid(1_000_000_000) as _,
    };
    let omit = rfs::Timespec { tv_sec: 0, tv_nsec: rfs::UTIME_OMIT as _ };
    rfs::Timestamps { last_access: read.map_or(omit, stamp), last_modification: stamp(modified) }
}

#[cfg(target_os = "linux")]
fn mode_of(mode: u32) -> Mode {
    Mode::from_raw_mode(mode)
}

#[cfg(not(target_os = "linux"))]
fn mode_of(mode: u32) -> Mode {
    Mode::from_raw_mode((mode & 0o7777) as _)
}

/// About `name` in `folder`, or about `folder` itself.
#[cfg(target_os = "linux")]
#[inline]
fn look_at<N: rustix::path::Arg>(
    folder: BorrowedFd<'_>,
    name: N,
    itself: bool,
) -> io::Result<Meta> {
    let mut flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    if itself {
        flags |= AtFlags::EMPTY_PATH;
    }
    let stat = rfs::statx(folder, name, flags, rfs::StatxFlags::BASIC_STATS)?;
    let mode = u32::from(stat.stx_mode);
    Ok(Meta {
        kind: kind_of(FileType::from_raw_mode(mode)).unwrap_or(Kind::Other),
        logical: stat.stx_size,
        allocated: stat.stx_blocks * 512,
        links: u64::from(stat.stx_nlink),
        device: rfs::makedev(stat.stx_dev_major, stat.stx_dev_minor),
        inode: stat.stx_ino,
        mode: mode & 0o7777,
        modified: time(stat.stx_mtime.tv_sec, i64::from(stat.stx_mtime.tv_nsec)),
        accessed: time(stat.stx_atime.tv_sec, i64::from(stat.stx_atime.tv_nsec)),
        changed: time(stat.stx_ctime.tv_sec, i64::from(stat.stx_ctime.tv_nsec)),
        mount_point: stat.stx_attributes.contains(rfs::StatxAttributes::MOUNT_ROOT),
    })
}

#[cfg(not(target_os = "linux"))]
#[expect(
    clippy::cast_lossless,
    clippy::cast_sign_loss,
    reason = "the fields' types differ from one BSD to the next"
)]
fn look_at<N: rustix::path::Arg>(
    folder: BorrowedFd<'_>,
    name: N,
    itself: bool,
) -> io::Result<Meta> {
    let stat = if itself {
        rfs::fstat(folder)?
    } else {
        rfs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?
    };
    Ok(Meta {
        kind: kind_of(FileType::from_raw_mode(stat.st_mode)).unwrap_or(Kind::Other),
        logical: stat.st_size as u64,
        allocated: stat.st_blocks as u64 * 512,
        links: stat.st_nlink as u64,
        device: stat.st_dev as u64,
        inode: stat.st_ino as u64,
        mode: stat.st_mode as u32 & 0o7777,
        modified: time(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
        accessed: time(stat.st_atime as i64, stat.st_atime_nsec as i64),
        changed: time(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        mount_point: false,
    })
}

/// About the disk that `path` is on, which exists and holds no symlink.
pub(crate) fn disk(path: &Path) -> io::Result<Disk> {
    let stat = rfs::statvfs(path)?;
    let (mount_point, file_system, network) = mount(path)?;
    Ok(Disk {
        free: stat.f_bavail.saturating_mul(stat.f_frsize),
        total: stat.f_blocks.saturating_mul(stat.f_frsize),
        mount_point,
        file_system,
        network,
    })
}

#[cfg(target_os = "linux")]
#[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
fn mount(path: &Path) -> io::Result<(PathBuf, String, bool)> {
    let mounts = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    // Without /proc only the numbers are known.
    let (point, kind) = crate::disk::find_mount(&mounts, path)
        .unwrap_or_else(|| (PathBuf::from("/"), String::new()));
    let network = is_network(&kind);
    Ok((point, kind, network))
}

#[cfg(target_os = "macos")]
fn mount(path: &Path) -> io::Result<(PathBuf, String, bool)> {
    /// `MNT_LOCAL` of `sys/mount.h`: the bytes are on this machine.
    const LOCAL: u32 = 0x1000;
    let stat = rfs::statfs(path)?;
    let text = |field: &[std::ffi::c_char]| -> Vec<u8> {
        field.iter().map(|c| c.cast_unsigned()).take_while(|byte| *byte != 0).collect()
    };
    let kind = String::from_utf8_lossy(&text(&stat.f_fstypename)).into_owned();
    let point = OsString::from_vec(text(&stat.f_mntonname));
    let network = stat.f_flags & LOCAL == 0 || is_network(&kind);
    Ok((point.into(), kind, network))
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn mount(path: &Path) -> io::Result<(PathBuf, String, bool)> {
    let mut point = path;
    while let Some(above) = point.parent().filter(|_| !is_mount_point(point).unwrap_or(true)) {
        point = above;
    }
    Ok((point.to_owned(), String::new(), is_network("")))
}

/// Whether something is mounted at `path`, which exists and is no symlink.
pub(crate) fn is_mount_point(path: &Path) -> io::Result<bool> {
    let folder = Handle::open_root(path)?.meta()?;
    let Some(parent) = path.parent() else { return Ok(true) };
    let above = Handle::open_root(parent)?.meta()?;
    Ok(folder.mount_point || folder.device != above.device || folder.inode == above.inode)
}
