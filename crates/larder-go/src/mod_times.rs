//! Whether a file system keeps the times at which files are read.

use std::path::Path;

/// Whether a read of a file below `path` is seen in its access time. Where the system does not
/// tell, it counts as kept: a time that is never renewed is then that of the download.
#[cfg(target_os = "linux")]
pub(crate) fn access_times_kept(path: &Path) -> bool {
    use rustix::fs::{StatVfsMountFlags, statvfs};
    statvfs(path).is_ok_and(|fs| !fs.f_flag.contains(StatVfsMountFlags::NOATIME))
}

/// As on Linux; here the system does not tell.
#[cfg(not(target_os = "linux"))]
pub(crate) fn access_times_kept(_path: &Path) -> bool {
    true
}
