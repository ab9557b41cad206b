//! The disk below a path: how full it is, where it is mounted, whether it is across a network.
//!
//! A cache on a network file system is slow to scan and unsafe to share, which is why anybody
//! asks. Where the platform does not say what is mounted, the type is empty.

use std::io;
use std::path::{Path, PathBuf};

use crate::sys;

/// A file system as seen from one path on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Bytes that this user may still write.
    pub free: u64,
    /// Bytes there are in all.
    pub total: u64,
    /// Where it is mounted; on Windows the volume's root.
    pub mount_point: PathBuf,
    /// Its type, as `ext4`, `apfs` or `NTFS`.
    pub file_system: String,
    /// Whether its bytes are on another machine.
    pub network: bool,
}

/// About the disk that `path` is on, or would be on: what does not exist yet is judged by the
/// nearest folder above it that does.
pub fn disk(path: &Path) -> io::Result<Disk> {
    let path = std::path::absolute(path)?;
    for above in path.ancestors() {
        match std::fs::canonicalize(above) {
            Ok(real) => return sys::disk(&real),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// Whether another file system, or the same one once more, is mounted at `path`. Symlinks are
/// followed.
pub fn is_mount_point(path: &Path) -> io::Result<bool> {
    sys::is_mount_point(&std::fs::canonicalize(path)?)
}

/// Types whose bytes are on another machine; also as `fuse.NAME`.
const NETWORK: &[&str] = &[
    "9p",
    "acfs",
    "afpfs",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "cvmfs2",
    "davfs",
    "davfs2",
    "gcsfuse",
    "gfs",
    "gfs2",
    "glusterfs",
    "gpfs",
    "juicefs",
    "lustre",
    "mfs",
    "moosefs",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "orangefs",
    "panfs",
    "pvfs2",
    "rclone",
    "s3fs",
    "smb3",
    "smbfs",
    "sshfs",
    "webdav",
];

/// Whether a file system of this type is across a network.
#[cfg_attr(windows, expect(dead_code, reason = "Windows says so by the kind of drive"))]
pub(crate) fn is_network(file_system: &str) -> bool {
    let name = file_system.strip_prefix("fuse.").unwrap_or(file_system);
    NETWORK.contains(&name)
}

/// The mount that `path` is on, from the text of `/proc/self/mountinfo`: its mount point and type.
/// Of mounts on the same place the last one counts, since it covers the others.
#[cfg(any(target_os = "linux", test))]
pub(crate) fn find_mount(mountinfo: &[u8], path: &Path) -> Option<(PathBuf, String)> {
    let mut best: Option<(PathBuf, String)> = None;
    for line in mountinfo.split(|&byte| byte == b'\n') {
        let mut fields = line.split(|&byte| byte == b' ');
        // Fields: id, parent, major:minor, root, mount point, options, optional ones, "-", type.
        let Some(point) = fields.nth(4).map(unescape) else { continue };
        let Some(kind) = fields.skip_while(|field| *field != b"-").nth(1) else { continue };
        let depth = best.as_ref().map_or(0, |(best, _)| best.components().count());
        if path.starts_with(&point) && point.components().count() >= depth {
            best = Some((point, String::from_utf8_lossy(kind).into_owned()));
        }
    }
    best
}

/// Spaces, tabs, line ends and backslashes stand in mountinfo as `\` and three octal digits.
#[cfg(any(target_os = "linux", test))]
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut at = 0;
    while at < field.len() {
        let octal = field.get(at + 1..at + 4).filter(|_| field[at] == b'\\');
        let value = octal
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(value.unwrap_or(field[at]));
        at += if value.is_some() { 4 } else { 1 };
    }
    sys::name_from_bytes(&bytes).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
22 21 0:5 / /proc rw - proc proc rw\n\
23 21 0:40 / /home rw shared:2 master:3 - nfs4 server:/home rw\n\
24 23 8:2 / /home/a\\040b rw - xfs /dev/sdb rw\n\
25 21 0:41 / /mnt rw - ext4 /dev/sdc rw\n\
26 21 0:42 / /mnt rw - fuse.sshfs host: rw\n\
broken line\n";

    fn mount(path: &str) -> (PathBuf, String) {
        find_mount(MOUNTS, Path::new(path)).unwrap()
    }

    #[cfg(unix)]
    #[test]
    fn the_longest_and_latest_mount_counts() {
        assert_eq!(mount("/usr/lib"), ("/".into(), "ext4".into()));
        assert_eq!(mount("/homes"), ("/".into(), "ext4".into()));
        assert_eq!(mount("/home/x"), ("/home".into(), "nfs4".into()));
        assert_eq!(mount("/home/a b/c"), ("/home/a b".into(), "xfs".into()));
        assert_eq!(mount("/mnt/c"), ("/mnt".into(), "fuse.sshfs".into()));
    }

    #[test]
    fn network_types_are_told_apart() {
        for kind in ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "fuse.glusterfs"] {
            assert!(is_network(kind), "{kind}");
        }
        for kind in ["ext4", "tmpfs", "overlay", "fuseblk", "apfs", "fuse.lxcfs", ""] {
            assert!(!is_network(kind), "{kind}");
        }
    }

    #[test]
    fn a_missing_path_is_judged_by_the_folder_above() {
        let folder = tempfile::tempdir().unwrap();
        let here = disk(folder.path()).unwrap();
        assert!(here.total > 0 && here.free <= here.total);
        let there = disk(&folder.path().join("not/yet")).unwrap();
        assert_eq!((here.total, here.mount_point), (there.total, there.mount_point));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn mount_points_are_known() {
        assert!(is_mount_point(Path::new("/proc")).unwrap());
        assert!(is_mount_point(Path::new("/")).unwrap());
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_mount_point(folder.path()).unwrap());
        assert_eq!(disk(Path::new("/proc/self")).unwrap().file_system, "proc");
    }
}
