//! How a removal goes about it: what its threads share, and what they do with one folder.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use larder_core::{Meter, Size};

use crate::dir::{Kind, Meta};
use crate::folder::{Folder, Pool, lock};
use crate::queue::{Queue, Task};
use crate::remove::{Judge, Removal};
use crate::sys::{Buffer, Entry, Handle, Names};

/// So often a folder is gone through again because something new was in it at the end.
const ATTEMPTS: u32 = 5;
/// So many entries may go before the meter is told, and asked whether to stop.
const STRIDE: u64 = 256;
/// So many subfolders are told to the other threads at once.
const SHARE: usize = 512;
/// What a removal knows about a folder on its way out.
pub(crate) struct State<C> {
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
    pub(crate) fn new(ctx: C, meta: &Meta) -> Self {
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
pub(crate) struct Work<'a, J: Judge> {
    pub(crate) queue: Queue<State<J::Ctx>>,
    pool: Pool<State<J::Ctx>>,
    device: u64,
    root: &'a Path,
    judge: &'a J,
    meter: &'a Meter,
    /// Held while one name of several goes: two threads must not both see the other's name.
    linked: Mutex<()>,
}

/// What one thread has of its own.
#[derive(Default)]
pub(crate) struct Worker {
    pub(crate) done: Removal,
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
struct ByName<'a> {
    folder: &'a Handle,
    name: &'a OsStr,
}

impl Unlink for ByName<'_> {
    fn look(&self) -> io::Result<Option<Meta>> {
        self.folder.look(self.name)
    }

    fn unlink(&self) -> io::Result<()> {
        self.folder.unlink(self.name)
    }
}

impl<'a, J: Judge> Work<'a, J> {
    pub(crate) fn new(
        root: &'a Path,
        device: u64,
        judge: &'a J,
        threads: usize,
        meter: &'a Meter,
    ) -> Self {
        let (queue, pool) = (Queue::new(threads), Pool::new());
        Self { queue, pool, device, root, judge, meter, linked: Mutex::new(()) }
    }

    /// Removes one entry of the top folder, as far as it can be done at once.
    pub(crate) fn begin_entry(
        &self,
        worker: &mut Worker,
        top: &Arc<Folder<State<J::Ctx>>>,
        name: &OsStr,
    ) {
        let found = self.pool.handle(top).and_then(|handle| Ok((handle.look(name)?, handle)));
        match found {
            Ok((None, _)) => {}
            Ok((Some(meta), _)) if meta.kind == Kind::Folder => {
                self.enter_folder(worker, top, name);
            }
            Ok((Some(_), handle)) => {
                self.remove_file(worker, top, name, &ByName { folder: &handle, name });
                self.report(&mut Size::default(), worker);
            }
            Err(error) => self.failed(worker, top, name, error),
        }
    }

    /// Empties the top folder, as far as it can be done at once.
    pub(crate) fn begin_contents(&self, worker: &mut Worker, top: &Arc<Folder<State<J::Ctx>>>) {
        let read = self.pool.handle(top).and_then(|handle| self.scan(worker, top, &handle));
        if let Err(error) = read {
            worker.done.errors.push((self.root.to_owned(), error));
        }
    }

    pub(crate) fn step(&self, worker: &mut Worker, task: Task<State<J::Ctx>>, name: &mut OsString) {
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
