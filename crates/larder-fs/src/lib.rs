//! The only crate that walks and removes files.
//!
//! It promises that nothing outside the folder it was given is touched: every call is relative to
//! a folder held open, the last component of a name is never followed, and mount points are not
//! crossed. It knows no cache layout: what may go is decided by its callers, through [`Judge`].

pub mod clock;
pub mod dir;
pub mod disk;
pub mod disposal;
mod folder;
pub mod index;
pub mod lock;
mod queue;
pub mod remove;
mod remove_work;
pub mod stage;
#[cfg_attr(unix, path = "sys_unix.rs")]
#[cfg_attr(windows, path = "sys_windows.rs")]
mod sys;
pub mod trash;
mod trash_copy;
mod trash_dirs;
mod trash_entry;
mod trash_manifest;
mod trash_restore;
pub mod walk;

/// Makes room for the folders that are held open. Call it before there is a second thread: from
/// then on Linux lets each thread wait some milliseconds whenever its table of descriptors grows
/// (`expand_fdtable` in its `fs/file.c`).
pub fn make_room() {
    sys::make_room();
}

pub use clock::now;
pub use dir::{Dir, Kind, Meta};
pub use disk::{Disk, disk, is_mount_point};
pub use disposal::Disposal;
pub use lock::{FileLock, LockError, apply_lock};
pub use remove::{Everything, Judge, Removal, RemoveOptions, remove, remove_contents};
pub use stage::{forget_file, forget_staged, write_atomic, write_private};
pub use trash::{Emptied, Entry, Listed, Manifest, Trash, TrashError};
pub use trash_restore::Restored;
pub use walk::{Links, Skip, Visitor, WalkError, WalkOptions, Walked, walk};
