//! Walking a tree with several threads, each folder by one of them.
//!
//! No entry allocates: names are read into a buffer that is used again, and entries are looked at
//! relative to their folder. Symlinks are told, not followed; other file systems are told, not
//! entered. What vanishes during the walk was never there. A walk keeps no list of what it saw:
//! that is its visitors' business.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use larder_core::Meter;

use crate::dir::{Dir, Kind, Meta};
use crate::folder::{Folder, Pool, lock};
use crate::queue::{self, Queue, Task};
use crate::sys::{Buffer, Handle, Names};

/// Threads that a walk uses where none are asked for: on a cold disk they wait for it together.
const THREADS: usize = 8;
/// So many subfolders are told to the other threads at once.
const SHARE: usize = 512;
/// So many entries may pass before the meter is asked whether to stop.
const STRIDE: u64 = 1024;

/// Is told what a walk meets. One a thread; `Ctx` is what a folder hands to those in it.
pub trait Visitor: Send {
    /// What is known about a folder by those below it.
    type Ctx: Clone + Send + Sync;

    /// A folder; `None` leaves out what is in it.
    fn folder(&mut self, parent: &Self::Ctx, name: &OsStr, meta: &Meta) -> Option<Self::Ctx>;

    /// A file, a symlink, or something else that is not a folder.
    fn file(&mut self, parent: &Self::Ctx, name: &OsStr, meta: &Meta);

    /// A folder that is not entered.
    fn skipped(&mut self, parent: &Self::Ctx, name: &OsStr, why: Skip) {
        let _ = (parent, name, why);
    }
}

/// Why a folder is not entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// Another file system, or the same one once more, is mounted there.
    MountPoint,
}

/// How to walk.
#[derive(Clone, Copy, Debug)]
pub struct WalkOptions<'a> {
    /// At most so many threads; 0 for the default.
    pub threads: usize,
    /// Is told entries and allocated bytes after each folder, and may stop the walk.
    pub meter: &'a Meter,
}

/// What could not be looked at.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", path.display())]
pub struct WalkError {
    /// Where.
    pub path: PathBuf,
    /// What went wrong.
    pub source: io::Error,
}

/// What a walk returns: one visitor for each thread that took part, in no order.
#[derive(Debug)]
pub struct Walked<V> {
    /// The visitors, with what they gathered.
    pub visitors: Vec<V>,
    /// What could not be looked at; everything else was.
    pub errors: Vec<WalkError>,
}

/// Walks what is in `root`, which itself is not told. `ctx` is the root's own; `make` gives each
/// thread its visitor.
pub fn walk<V, F>(root: &Dir, ctx: V::Ctx, make: F, options: &WalkOptions<'_>) -> Walked<V>
where
    V: Visitor,
    F: Fn() -> V + Sync,
{
    let opened = root.handle().again().and_then(|handle| Ok((handle.meta()?.device, handle)));
    let (device, handle) = match opened {
        Ok(opened) => opened,
        Err(source) => {
            let errors = vec![WalkError { path: root.path().to_owned(), source }];
            return Walked { visitors: vec![make()], errors };
        }
    };
    let walk = Walk {
        queue: Queue::new(queue::threads(options.threads, THREADS)),
        pool: Pool::new(),
        device,
        root: root.path(),
        meter: options.meter,
    };
    let top = Folder::root(handle, ctx);
    let new = || Worker { visitor: make(), errors: Vec::new(), buffer: Buffer::default() };
    let workers = walk.queue.run(&new, |worker| walk.begin(worker, &top), &|worker, task, name| {
        walk.step(worker, task, name);
    });
    let mut walked = Walked { visitors: Vec::new(), errors: Vec::new() };
    for worker in workers {
        walked.visitors.push(worker.visitor);
        walked.errors.extend(worker.errors);
    }
    walked
}

/// A set of hard-linked files, shared by visitors, so that each counts once.
#[derive(Debug, Default)]
pub struct Links {
    seen: Mutex<HashSet<(u64, u64)>>,
}

impl Links {
    /// Whether this is the first name of its file: always for what has only one.
    pub fn first(&self, meta: &Meta) -> bool {
        meta.links <= 1 || meta.kind == Kind::Folder || lock(&self.seen).insert(meta.identity())
    }
}

/// What all threads of one walk share.
struct Walk<'a, C> {
    queue: Queue<C>,
    pool: Pool<C>,
    device: u64,
    root: &'a Path,
    meter: &'a Meter,
}

/// What one thread has of its own.
struct Worker<V> {
    visitor: V,
    errors: Vec<WalkError>,
    buffer: Buffer,
}

/// A folder that is being read.
struct Reading<'a, C> {
    parent: &'a Arc<Folder<C>>,
    name: &'a OsStr,
    identity: (u64, u64),
    handle: &'a Arc<Handle>,
    ctx: &'a C,
}

impl<C: Clone + Send + Sync> Walk<'_, C> {
    fn begin<V: Visitor<Ctx = C>>(&self, worker: &mut Worker<V>, top: &Arc<Folder<C>>) {
        let read = self
            .pool
            .handle(top)
            .and_then(|handle| self.scan(worker, &handle, &top.data, || Arc::clone(top)));
        if let Err(source) = read {
            worker.errors.push(WalkError { path: self.root.to_owned(), source });
        }
    }

    fn step<V: Visitor<Ctx = C>>(
        &self,
        worker: &mut Worker<V>,
        task: Task<C>,
        name: &mut OsString,
    ) {
        let (Task::Enter(parent) | Task::Again(parent)) = task;
        if self.meter.stopped() {
            return;
        }
        match self.enter(worker, &parent, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                let path = parent.path(self.root).join(name);
                worker.errors.push(WalkError { path, source });
            }
            Ok(()) => {}
        }
    }

    fn enter<V: Visitor<Ctx = C>>(
        &self,
        worker: &mut Worker<V>,
        parent: &Arc<Folder<C>>,
        name: &OsStr,
    ) -> io::Result<()> {
        let above = self.pool.handle(parent)?;
        let Some(meta) = above.look(name)? else { return Ok(()) };
        if meta.kind != Kind::Folder {
            // It became something else since its name was read.
            worker.visitor.file(&parent.data, name, &meta);
            return Ok(());
        }
        if meta.mount_point || meta.device != self.device {
            worker.visitor.skipped(&parent.data, name, Skip::MountPoint);
            return Ok(());
        }
        let Some(ctx) = worker.visitor.folder(&parent.data, name, &meta) else { return Ok(()) };
        let handle = Arc::new(above.open_dir(name)?);
        drop(above);
        let identity = meta.identity();
        let reading = Reading { parent, name, identity, handle: &handle, ctx: &ctx };
        self.scan(worker, &handle, &ctx, || self.keep(&reading))
    }

    /// Holds a folder open for its subfolders.
    fn keep(&self, reading: &Reading<'_, C>) -> Arc<Folder<C>> {
        let Reading { parent, name, identity, handle, ctx } = *reading;
        let folder = Folder::below(parent, name, identity, Arc::clone(handle), ctx.clone());
        self.pool.keep(&folder);
        folder
    }

    /// Goes through a folder's entries: files are visited, subfolders are put into the queue.
    /// `keep` makes the folder that they hang below, once there is one.
    fn scan<V: Visitor<Ctx = C>>(
        &self,
        worker: &mut Worker<V>,
        handle: &Handle,
        ctx: &C,
        keep: impl Fn() -> Arc<Folder<C>>,
    ) -> io::Result<()> {
        let Worker { visitor, errors, buffer } = worker;
        let mut folder = None;
        let mut subfolders = Names::default();
        let (mut seen, mut bytes) = (0, 0);
        let read = handle.scan(buffer, |entry| {
            seen += 1;
            let mut is_folder = entry.kind() == Some(Kind::Folder);
            if !is_folder {
                match entry.look() {
                    Ok(Some(meta)) if meta.kind == Kind::Folder => is_folder = true,
                    Ok(Some(meta)) => {
                        bytes += meta.allocated;
                        visitor.file(ctx, entry.name(), &meta);
                    }
                    Ok(None) => {}
                    Err(source) => {
                        let path = folder.get_or_insert_with(&keep).path(self.root);
                        errors.push(WalkError { path: path.join(entry.name()), source });
                    }
                }
            }
            if is_folder {
                subfolders.push(entry.name());
                if subfolders.len() == SHARE {
                    let folder = folder.get_or_insert_with(&keep);
                    self.queue.push(folder, std::mem::take(&mut subfolders));
                }
            }
            Ok(seen % STRIDE != 0 || !self.meter.stopped())
        });
        self.meter.add(seen, bytes);
        if subfolders.len() > 0 {
            self.queue.push(folder.get_or_insert_with(&keep), subfolders);
        }
        read
    }
}
