//! Work shared by threads, one folder a task.
//!
//! The last folder found is the first one entered (depth first), so what waits stays small. The
//! caller's own thread begins alone; others join while there is more waiting than there are
//! threads, so that a small tree costs no thread at all.

use std::ffi::OsString;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, Scope};

use crate::folder::{Folder, lock};
use crate::sys::Names;

/// What a worker gets to do.
pub(crate) enum Task<T> {
    /// Go into the folder whose name is in the worker's buffer, below this one.
    Enter(Arc<Folder<T>>),
    /// Go through this folder once more.
    Again(Arc<Folder<T>>),
}

/// Subfolders of one folder that nobody entered yet.
struct Batch<T> {
    folder: Arc<Folder<T>>,
    /// `None` for the folder itself, once more.
    names: Option<Names>,
}

struct State<T> {
    stack: Vec<Batch<T>>,
    /// Tasks in the stack.
    waiting: usize,
    /// Workers in a task, which may bring more.
    active: usize,
    /// Workers that wait for a task.
    idle: usize,
    /// Workers there are.
    workers: usize,
}

/// The tasks that wait.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    more: Condvar,
    threads: usize,
}

impl<T: Send + Sync> Queue<T> {
    /// For at most so many threads.
    pub(crate) fn new(threads: usize) -> Self {
        let state = State { stack: Vec::new(), waiting: 0, active: 0, idle: 0, workers: 1 };
        Self { state: Mutex::new(state), more: Condvar::new(), threads: threads.max(1) }
    }

    /// Adds subfolders of `folder`.
    pub(crate) fn push(&self, folder: &Arc<Folder<T>>, names: Names) {
        let added = names.len();
        self.add(Batch { folder: Arc::clone(folder), names: Some(names) }, added);
    }

    /// Adds `folder` itself, to be gone through once more.
    pub(crate) fn push_again(&self, folder: &Arc<Folder<T>>) {
        self.add(Batch { folder: Arc::clone(folder), names: None }, 1);
    }

    fn add(&self, batch: Batch<T>, tasks: usize) {
        let mut state = lock(&self.state);
        state.stack.push(batch);
        state.waiting += tasks;
        let (idle, waiting) = (state.idle, state.waiting);
        drop(state);
        match waiting.min(idle) {
            0 => {}
            1 => self.more.notify_one(),
            _ => self.more.notify_all(),
        }
    }

    /// Runs tasks until there are none: `first` on this thread, then `step` for each. `make` gives
    /// every thread its own state; all of them are returned.
    pub(crate) fn run<W: Send>(
        &self,
        make: &(impl Fn() -> W + Sync),
        first: impl FnOnce(&mut W),
        step: &(impl Fn(&mut W, Task<T>, &mut OsString) + Sync),
    ) -> Vec<W> {
        let finished = Mutex::new(Vec::new());
        thread::scope(|scope| {
            let mut worker = make();
            {
                lock(&self.state).active += 1;
                let _done = Done(self);
                first(&mut worker);
            }
            self.work(scope, worker, make, step, &finished);
        });
        finished.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn work<'scope, W>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        mut worker: W,
        make: &'scope (impl Fn() -> W + Sync),
        step: &'scope (impl Fn(&mut W, Task<T>, &mut OsString) + Sync),
        finished: &'scope Mutex<Vec<W>>,
    ) where
        W: Send + 'scope,
    {
        let mut name = OsString::new();
        while let Some((task, help)) = self.take(&mut name) {
            if help {
                scope.spawn(move || self.work(scope, make(), make, step, finished));
            }
            let _done = Done(self);
            step(&mut worker, task, &mut name);
        }
        lock(finished).push(worker);
    }

    /// The next task, its name in `name`; and whether one more worker would have enough to do.
    fn take(&self, name: &mut OsString) -> Option<(Task<T>, bool)> {
        let mut state = lock(&self.state);
        loop {
            if let Some(batch) = state.stack.last_mut() {
                let folder = Arc::clone(&batch.folder);
                let task = match &mut batch.names {
                    Some(names) => {
                        names.pop(name);
                        Task::Enter(folder)
                    }
                    None => Task::Again(folder),
                };
                if batch.names.as_ref().is_none_or(|names| names.len() == 0) {
                    state.stack.pop();
                }
                state.waiting -= 1;
                state.active += 1;
                let help = state.idle == 0
                    && state.workers < self.threads
                    && state.waiting > state.workers;
                state.workers += usize::from(help);
                return Some((task, help));
            }
            if state.active == 0 {
                state.workers -= 1;
                drop(state);
                self.more.notify_all();
                return None;
            }
            state.idle += 1;
            state = self.more.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}

/// Ends a task, also where its code panicked: the others must not wait for it forever.
struct Done<'a, T>(&'a Queue<T>);

impl<T> Drop for Done<'_, T> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.active -= 1;
        let over = state.active == 0 && state.stack.is_empty();
        drop(state);
        if over {
            self.0.more.notify_all();
        }
    }
}

/// How many threads are used at most: fewer than asked for where few files may be open.
pub(crate) fn threads(asked: usize, default: usize) -> usize {
    let wanted = if asked == 0 { default } else { asked };
    wanted.min(crate::sys::open_limit() / 8).max(1)
}
