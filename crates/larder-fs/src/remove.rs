//! Removing a tree with several threads, in one pass.
//!
//! A folder is opened, its files are unlinked relative to it, and it goes when the last of its
//! subfolders went. Symlinks are removed, never followed; mount points are left. A folder that
//! denies its owner a right is given it first, and given its mode back should it stay. Bytes count
//! after a removal succeeded, a hard-linked file's blocks with its last name. What somebody else
//! removes meanwhile is no error and is not counted.
//!
//! What may go is asked of a [`Judge`], name by name; a folder in which something is left stays.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use larder_core::{Meter, Size};

use crate::dir::{Dir, Kind, Meta};
use crate::folder::{Folder, Pool, lock};
use crate::queue::{self, Queue, Task};
use crate::sys::{Buffer, Entry, Handle, Names};

/// Threads that a removal uses where none are asked for: where each unlink waits for the disk,
/// they wait for it together.
const THREADS: usize = 16;
/// So many subfolders are told to the other threads at once.
const SHARE: usize = 512;
/// So many entries may go before the meter is told, and asked whether to stop.
const STRIDE: u64 = 256;
/// So often a folder is gone through again because something new was in it at the end.
const ATTEMPTS: u32 = 5;

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
    run(dir, judge, ctx, options, |work, worker, top| {
        let kind = work.pool.handle(top).and_then(|handle| handle.look(name));
        match kind {
            Ok(None) => {}
            Ok(Some(meta)) if meta.kind == Kind::Folder => work.enter_folder(worker, top, name),
            Ok(Some(_)) => {
                work.remove_file(worker, top, name, &ByName { work, folder: top, name });
                work.report(&mut Size::default(), worker);
            }
            Err(error) => work.failed(worker, top, name, error),
        }
    })
}

/// Removes everything in `dir`; the folder itself stays.
pub fn remove_contents<J: Judge>(
    dir: &Dir,
    judge: &J,
    ctx: J::Ctx,
    options: &RemoveOptions<'_>,
) -> Removal {
    run(dir, judge, ctx, options, |work, worker, top| {
        let read = work.pool.handle(top).and_then(|handle| work.scan(worker, top, &handle));
        if let Err(error) = read {
            worker.done.errors.push((work.root.to_owned(), error));
        }
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
    let work = Work {
        queue: Queue::new(queue::threads(options.threads, THREADS)),
        pool: Pool::new(),
        device: meta.device,
        root: dir.path(),
        judge,
        meter: options.meter,
        linked: Mutex::new(()),
    };
    let top = Folder::root(handle, State::new(ctx, &meta));
    let new = || Worker { done: Removal::default(), buffer: Buffer::default() };
    let workers =
        work.queue.run(&new, |worker| begin(&work, worker, &top), &|worker, task, name| {
            work.step(worker, task, name);
        });
    let mut removal = Removal { complete: true, ..Removal::default() };
    for worker in workers {
        removal.merge(Removal { complete: true, ..worker.done });
    }
    removal.complete =
        removal.left.is_empty() && removal.errors.is_empty() && !options.meter.stopped();
    removal
}

/// What a removal knows about a folder on its way out.
struct State<C> {
    ctx: C,
    /// Its own scan and its subfolders, as far as they are not dealt with; at 0 it can go.
    pending: AtomicUsize,
    /// Something in it stays, so it does too.
    stays: AtomicBool,
    attempts: AtomicU32,
    /// Bytes that its own entry list takes.
    allocated: u64,
    /// Its mode, and whether it has been given rights that it did not have.
    mode: u32,
    opened_up: AtomicBool,
}

impl<C> State<C> {
    fn new(ctx: C, meta: &Meta) -> Self {
        Self {
            ctx,
            pending: AtomicUsize::new(1),
            stays: AtomicBool::new(false),
            attempts: AtomicU32::new(0),
            allocated: meta.allocated,
            mode: meta.mode,
            opened_up: AtomicBool::new(false),
        }
    }
}

/// What all threads of one removal share.
struct Work<'a, J: Judge> {
    queue: Queue<State<J::Ctx>>,
    pool: Pool<State<J::Ctx>>,
    device: u64,
    root: &'a Path,
    judge: &'a J,
    meter: &'a Meter,
    /// Held while one name of several goes: two threads must not both see the other's name.
    linked: Mutex<()>,
}

/// What one thread has of its own.
struct Worker {
    done: Removal,
    buffer: Buffer,
}

/// An entry that can be looked at and unlinked.
trait Unlink {
    fn look(&self) -> io::Result<Option<Meta>>;
    fn unlink(&self) -> io::Result<()>;
}

impl Unlink for Entry<'_> {
    fn look(&self) -> io::Result<Option<Meta>> {
        Entry::look(self)
    }

    fn unlink(&self) -> io::Result<()> {
        Entry::unlink(self)
    }
}

/// The entry that a removal begins with.
struct ByName<'a, J: Judge> {
    work: &'a Work<'a, J>,
    folder: &'a Arc<Folder<State<J::Ctx>>>,
    name: &'a OsStr,
}

impl<J: Judge> Unlink for ByName<'_, J> {
    fn look(&self) -> io::Result<Option<Meta>> {
        self.work.pool.handle(self.folder)?.look(self.name)
    }

    fn unlink(&self) -> io::Result<()> {
        self.work.pool.handle(self.folder)?.unlink(self.name)
    }
}

impl<J: Judge> Work<'_, J> {
    fn step(&self, worker: &mut Worker, task: Task<State<J::Ctx>>, name: &mut OsString) {
        match task {
            Task::Enter(parent) => {
                if self.meter.stopped() {
                    parent.data.stays.store(true, Ordering::Relaxed);
                } else {
                    self.enter_folder(worker, &parent, name);
                }
                self.settle(worker, &parent);
            }
            Task::Again(folder) => {
                let read = self
                    .pool
                    .handle(&folder)
                    .and_then(|handle| self.scan(worker, &folder, &handle.again()?));
                self.scanned(worker, &folder, read);
            }
        }
    }

    /// Empties the folder `name` of `parent` as far as it can be done at once; its subfolders go
    /// into the queue.
    fn enter_folder(&self, worker: &mut Worker, parent: &Arc<Folder<State<J::Ctx>>>, name: &OsStr) {
        let Some(ctx) = self.judge.folder(&parent.data.ctx, name) else {
            return self.left(worker, parent, name);
        };
        let (handle, meta) = match self.open(parent, name) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.failed(worker, parent, name, error),
        };
        if meta.mount_point || meta.device != self.device {
            return self.left(worker, parent, name);
        }
        let handle = Arc::new(handle);
        let identity = meta.identity();
        let state = State::new(ctx, &meta);
        let folder = Folder::below(parent, name, identity, Arc::clone(&handle), state);
        parent.data.pending.fetch_add(1, Ordering::Relaxed);
        let read =
            open_up(&folder.data, &handle).and_then(|()| self.scan(worker, &folder, &handle));
        drop(handle);
        self.scanned(worker, &folder, read);
    }

    /// Opens a folder that may go; where its owner may not read it, its owner is given the right.
    fn open(
        &self,
        parent: &Arc<Folder<State<J::Ctx>>>,
        name: &OsStr,
    ) -> io::Result<(Handle, Meta)> {
        let above = self.pool.handle(parent)?;
        let handle = match above.open_dir(name) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let Some(meta) = above.look(name)? else {
                    return Err(io::ErrorKind::NotFound.into());
                };
                if meta.kind != Kind::Folder || meta.mode & 0o500 == 0o500 {
                    return Err(error);
                }
                above.set_mode_at(name, meta.mode | 0o700)?;
                let handle = above.open_dir(name)?;
                // The mode that it had is the one to give back.
                return Ok((handle, meta));
            }
            other => other?,
        };
        let meta = handle.meta()?;
        Ok((handle, meta))
    }

    /// Removes a folder's files and puts its subfolders into the queue.
    fn scan(
        &self,
        worker: &mut Worker,
        folder: &Arc<Folder<State<J::Ctx>>>,
        handle: &Handle,
    ) -> io::Result<()> {
        if self.meter.stopped() {
            folder.data.stays.store(true, Ordering::Relaxed);
            return Ok(());
        }
        let mut subfolders = Names::default();
        let mut seen = 0;
        let mut counted = worker.done.freed;
        let mut buffer = std::mem::take(&mut worker.buffer);
        let read = handle.scan(&mut buffer, |entry| {
            seen += 1;
            if self.is_folder(worker, folder, &entry) {
                subfolders.push(entry.name());
                if subfolders.len() == SHARE {
                    self.share(folder, std::mem::take(&mut subfolders));
                }
            }
            if seen % STRIDE == 0 {
                self.report(&mut counted, worker);
                if self.meter.stopped() {
                    folder.data.stays.store(true, Ordering::Relaxed);
                    return Ok(false);
                }
            }
            Ok(true)
        });
        worker.buffer = buffer;
        self.report(&mut counted, worker);
        if subfolders.len() > 0 {
            self.share(folder, subfolders);
        }
        read
    }

    /// Whether an entry is a folder; what is not is removed.
    fn is_folder(
        &self,
        worker: &mut Worker,
        folder: &Arc<Folder<State<J::Ctx>>>,
        entry: &Entry<'_>,
    ) -> bool {
        let kind = match entry.kind() {
            Some(kind) => kind,
            None => match entry.look() {
                Ok(Some(meta)) => meta.kind,
                Ok(None) => return false,
                Err(error) => {
                    self.failed(worker, folder, entry.name(), error);
                    return false;
                }
            },
        };
        if kind != Kind::Folder {
            self.remove_file(worker, folder, entry.name(), entry);
        }
        kind == Kind::Folder
    }

    fn remove_file(
        &self,
        worker: &mut Worker,
        folder: &Arc<Folder<State<J::Ctx>>>,
        name: &OsStr,
        entry: &impl Unlink,
    ) {
        if !self.judge.file(&folder.data.ctx, name) {
            return self.left(worker, folder, name);
        }
        match self.unlink(entry) {
            Ok(freed) => worker.done.freed += freed,
            Err(error) => self.failed(worker, folder, name, error),
        }
    }

    /// Unlinks one file and says what that gave back.
    fn unlink(&self, entry: &impl Unlink) -> io::Result<Size> {
        let Some(mut meta) = entry.look()? else { return Ok(Size::default()) };
        let _one_at_a_time = (meta.links > 1).then(|| lock(&self.linked));
        if meta.links > 1 {
            let Some(again) = entry.look()? else { return Ok(Size::default()) };
            meta = again;
        }
        match entry.unlink() {
            Ok(()) => {
                let allocated = if meta.links > 1 { 0 } else { meta.allocated };
                Ok(Size::new(1, meta.logical, allocated))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Size::default()),
            Err(error) => Err(error),
        }
    }

    fn share(&self, folder: &Arc<Folder<State<J::Ctx>>>, names: Names) {
        folder.data.pending.fetch_add(names.len(), Ordering::Relaxed);
        self.pool.keep(folder);
        self.queue.push(folder, names);
    }

    fn report(&self, counted: &mut Size, worker: &Worker) {
        let new = worker.done.freed - *counted;
        self.meter.add(new.files, new.allocated.0);
        *counted = worker.done.freed;
    }

    fn scanned(
        &self,
        worker: &mut Worker,
        folder: &Arc<Folder<State<J::Ctx>>>,
        read: io::Result<()>,
    ) {
        match read {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                folder.data.stays.store(true, Ordering::Relaxed);
                worker.done.errors.push((folder.path(self.root), error));
            }
            _ => {}
        }
        self.settle(worker, folder);
    }

    /// One thing less to wait for; with the last one the folder goes, and perhaps those above.
    fn settle(&self, worker: &mut Worker, folder: &Arc<Folder<State<J::Ctx>>>) {
        let mut at = folder;
        while at.data.pending.fetch_sub(1, Ordering::AcqRel) == 1 {
            let Some(parent) = at.parent() else { return };
            if !self.leave(worker, parent, at) {
                return;
            }
            at = parent;
        }
    }

    /// Removes an emptied folder; `false` where it is to be gone through again.
    fn leave(
        &self,
        worker: &mut Worker,
        parent: &Arc<Folder<State<J::Ctx>>>,
        folder: &Arc<Folder<State<J::Ctx>>>,
    ) -> bool {
        let state = &folder.data;
        if state.stays.load(Ordering::Relaxed) {
            parent.data.stays.store(true, Ordering::Relaxed);
            if state.opened_up.load(Ordering::Relaxed) {
                // Nobody could be told anything useful if this fails: the folder is theirs again.
                let _ = self.pool.handle(folder).and_then(|handle| handle.set_mode(state.mode));
            }
            return true;
        }
        folder.close();
        match self.pool.handle(parent).and_then(|above| above.rmdir(folder.name())) {
            Ok(()) => {
                worker.done.freed += Size::new(0, 0, state.allocated);
                self.meter.add(0, state.allocated);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error)
                if error.kind() == io::ErrorKind::DirectoryNotEmpty
                    && state.attempts.fetch_add(1, Ordering::Relaxed) < ATTEMPTS =>
            {
                state.pending.store(1, Ordering::Relaxed);
                self.pool.keep(folder);
                self.queue.push_again(folder);
                return false;
            }
            Err(error) => self.failed(worker, parent, folder.name(), error),
        }
        true
    }

    fn left(&self, worker: &mut Worker, folder: &Folder<State<J::Ctx>>, name: &OsStr) {
        folder.data.stays.store(true, Ordering::Relaxed);
        worker.done.left.push(folder.path(self.root).join(name));
    }

    fn failed(
        &self,
        worker: &mut Worker,
        folder: &Folder<State<J::Ctx>>,
        name: &OsStr,
        error: io::Error,
    ) {
        if error.kind() == io::ErrorKind::NotFound {
            return;
        }
        folder.data.stays.store(true, Ordering::Relaxed);
        worker.done.errors.push((folder.path(self.root).join(name), error));
    }
}

/// Gives the owner all rights on a folder that lacks one.
fn open_up<C>(state: &State<C>, handle: &Handle) -> io::Result<()> {
    if state.mode & 0o700 == 0o700 {
        return Ok(());
    }
    match handle.set_mode(state.mode | 0o700) {
        Ok(()) => state.opened_up.store(true, Ordering::Relaxed),
        // Somebody else's folder: perhaps its group may do what is needed.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        Err(error) => return Err(error),
    }
    Ok(())
}
