//! Removing a tree with several threads, in one pass.
//!
//! A folder is opened, its files are unlinked relative to it, and it goes when the last of its
//! subfolders went. Symlinks are removed, never followed; mount points are left. A folder that
//! denies its owner a right is given it first, and given its mode back should it stay. Bytes count
//! after a removal succeeded, a hard-linked file's blocks with its last name. What somebody else
//! removes meanwhile is no error and is not counted.
//!
//! What may go is asked of a [`Judge`], name by name; a folder in which something is left stays.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use larder_core::{Meter, Size};

use crate::dir::Dir;
use crate::folder::Folder;
use crate::queue;
use crate::remove_work::{State, Work, Worker};

/// Threads that a removal uses where none are asked for: where each unlink waits for the disk,
/// they wait for it together.
const THREADS: usize = 16;

/// Says what may go. Asked once for each entry, just before.
pub trait Judge: Sync {
    /// What is known about a folder by those below it.
    type Ctx: Clone + Send + Sync;

    /// Whether a folder may be gone into, and itself go when it is empty; `None` leaves it.
    fn folder(&self, parent: &Self::Ctx, name: &OsStr) -> Option<Self::Ctx>;

    /// Whether a file, or whatever is not a folder, may go.
    fn file(&self, parent: &Self::Ctx, name: &OsStr) -> bool;
}

/// Lets everything go.
#[derive(Clone, Copy, Debug, Default)]
pub struct Everything;

impl Judge for Everything {
    type Ctx = ();

    fn folder(&self, (): &(), _: &OsStr) -> Option<()> {
        Some(())
    }

    fn file(&self, (): &(), _: &OsStr) -> bool {
        true
    }
}

/// How to remove.
#[derive(Clone, Copy, Debug)]
pub struct RemoveOptions<'a> {
    /// At most so many threads; 0 for the default.
    pub threads: usize,
    /// Is told files and allocated bytes as they go, and may stop the removal.
    pub meter: &'a Meter,
}

/// What a removal did.
#[derive(Debug, Default)]
pub struct Removal {
    /// What is gone, and what that gave back.
    pub freed: Size,
    /// What the judge would not let go, and mount points.
    pub left: Vec<PathBuf>,
    /// What could not be removed.
    pub errors: Vec<(PathBuf, io::Error)>,
    /// Whether all that was asked for is gone: nothing left, no error, not stopped.
    pub complete: bool,
}

impl Removal {
    /// Adds what another removal did.
    pub fn merge(&mut self, other: Self) {
        self.freed += other.freed;
        self.left.extend(other.left);
        self.errors.extend(other.errors);
        self.complete &= other.complete;
    }
}

/// Removes the entry `name` of `dir`, with all that is in it. `ctx` is that of `dir`: the judge is
/// asked for `name` too. Where there is no such entry, nothing is removed and it is complete.
pub fn remove<J: Judge>(
    dir: &Dir,
    name: &OsStr,
    judge: &J,
    ctx: J::Ctx,
    options: &RemoveOptions<'_>,
) -> Removal {
    run(dir, judge, ctx, options, |work, worker, top| work.begin_entry(worker, top, name))
}

/// Removes everything in `dir`; the folder itself stays.
pub fn remove_contents<J: Judge>(
    dir: &Dir,
    judge: &J,
    ctx: J::Ctx,
    options: &RemoveOptions<'_>,
) -> Removal {
    run(dir, judge, ctx, options, |work, worker, top| {
        work.begin_contents(worker, top);
    })
}

fn run<J: Judge>(
    dir: &Dir,
    judge: &J,
    ctx: J::Ctx,
    options: &RemoveOptions<'_>,
    begin: impl FnOnce(&Work<'_, J>, &mut Worker, &Arc<Folder<State<J::Ctx>>>),
) -> Removal {
    let opened = dir.handle().again().and_then(|handle| Ok((handle.meta()?, handle)));
    let (meta, handle) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            let errors = vec![(dir.path().to_owned(), error)];
            return Removal { errors, ..Removal::default() };
        }
    };
    let threads = queue::threads(options.threads, THREADS);
    let work = Work::new(dir.path(), meta.device, judge, threads, options.meter);
    let top = Folder::root(handle, State::new(ctx, &meta));
    let workers = work.queue.run(
        &Worker::default,
        |worker| begin(&work, worker, &top),
        &|worker, task, name| {
            work.step(worker, task, name);
        },
    );
    let mut removal = Removal { complete: true, ..Removal::default() };
    for worker in workers {
        removal.merge(Removal { complete: true, ..worker.done });
    }
    removal.complete =
        removal.left.is_empty() && removal.errors.is_empty() && !options.meter.stopped();
    removal
}
