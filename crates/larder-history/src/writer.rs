//! The writer thread: takes what is handed over and writes it in batches.
//!
//! Promises: handing over never waits; what waits is bounded, and what is dropped is counted; a disk
//! that is full, a lock that somebody holds or a damaged file ends nothing: what waits is tried again
//! with the next batch, and works once it can. Events and state wait longer than samples, since
//! there are few of them and each matters.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use larder_core::Event;

use crate::db::{self, SetAside};
use crate::error::HistoryError;
use crate::limits::Limits;
use crate::store::{Entry, Store};

/// What the writer thread is told.
pub(crate) enum Message {
    /// Keep these.
    Keep(Vec<Entry>),
    /// Write what waits now, and answer; the answer says why not.
    Flush(Sender<Result<(), String>>),
    /// Write what waits and end.
    End,
}

/// Counters of the writer, which anybody may read at any time.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    written: AtomicU64,
    pub(crate) dropped_samples: AtomicU64,
    pub(crate) dropped_others: AtomicU64,
    waiting: AtomicU64,
    last_error: Mutex<Option<String>>,
    set_aside: Mutex<Vec<SetAside>>,
    /// State that was handed over and is not in the file yet.
    pub(crate) unwritten: Mutex<Vec<(String, String)>>,
}

/// How the writer fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Samples, events, states and forecasts that were written.
    pub written: u64,
    /// Samples that were dropped.
    pub dropped_samples: u64,
    /// Events, states and forecasts that were dropped.
    pub dropped_others: u64,
    /// What waits to be written after a failure.
    pub waiting: u64,
    /// Why the last batch could not be written; `None` once one could.
    pub last_error: Option<String>,
    /// Damaged files that were set aside since the history was opened.
    pub set_aside: Vec<SetAside>,
}

impl Shared {
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            written: self.written.load(Ordering::Relaxed),
            dropped_samples: self.dropped_samples.load(Ordering::Relaxed),
            dropped_others: self.dropped_others.load(Ordering::Relaxed),
            waiting: self.waiting.load(Ordering::Relaxed),
            last_error: lock(&self.last_error).clone(),
            set_aside: lock(&self.set_aside).clone(),
        }
    }

    /// Counts what is dropped.
    pub(crate) fn drop_all(&self, entries: &[Entry]) {
        let samples = entries.iter().filter(|entry| is_sample(entry)).count() as u64;
        self.dropped_samples.fetch_add(samples, Ordering::Relaxed);
        self.dropped_others.fetch_add(entries.len() as u64 - samples, Ordering::Relaxed);
        self.forget(entries);
    }

    /// State that is in the file, or that never will be, is read from there.
    fn forget(&self, entries: &[Entry]) {
        let mut unwritten = lock(&self.unwritten);
        for entry in entries {
            if let Entry::State { key, text } = entry {
                unwritten.retain(|(known, waiting)| known != key || waiting != text);
            }
        }
    }
}

/// A lock that another thread let go of while it panicked guards nothing that could be half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn is_sample(entry: &Entry) -> bool {
    matches!(entry, Entry::Sample(_))
}

/// Entries that are not samples, and that may wait.
const OTHERS: usize = 1000;
/// Rows that one piece of tidying looks at; some ten milliseconds.
const PIECE: usize = 2000;
/// How often there is a look whether something is to be tidied, and the log goes into the file.
const TIDY_EVERY: Duration = Duration::from_mins(1);
const CHECKPOINT_EVERY: Duration = Duration::from_secs(30);

/// The thread's whole memory.
pub(crate) struct Writer {
    pub(crate) store: Option<Store>,
    pub(crate) path: PathBuf,
    pub(crate) limits: Limits,
    pub(crate) shared: Arc<Shared>,
    pending: Vec<Entry>,
    tidied: Instant,
    checked: Instant,
}

impl Writer {
    pub(crate) fn new(store: Store, limits: Limits, shared: Arc<Shared>) -> Self {
        let (path, now) = (store.path.clone(), Instant::now());
        let pending = Vec::new();
        Self { store: Some(store), path, limits, shared, pending, tidied: now, checked: now }
    }

    /// Until it is told to end, or nobody is left who could tell it anything.
    pub(crate) fn run(mut self, messages: &Receiver<Message>) {
        let mut since: Option<Instant> = None;
        loop {
            let patience = match since {
                Some(since) => self.limits.commit_every.saturating_sub(since.elapsed()),
                None => CHECKPOINT_EVERY,
            };
            match messages.recv_timeout(patience) {
                Ok(Message::Keep(entries)) => {
                    self.take(entries);
                    since = since.or_else(|| Some(Instant::now()));
                    // A burst is written in pieces, not as it all waits.
                    if self.pending.len() < self.limits.queue {
                        continue;
                    }
                }
                Ok(Message::Flush(answer)) => {
                    let flushed = self.commit();
                    // Who does not wait for the answer does not miss it.
                    let _ = answer.send(flushed);
                }
                Ok(Message::End) | Err(RecvTimeoutError::Disconnected) => {
                    let _ = self.commit();
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {
                    let _ = self.commit();
                }
            }
            since = (!self.pending.is_empty()).then(Instant::now);
            self.look_after();
        }
    }

    fn take(&mut self, entries: Vec<Entry>) {
        self.pending.extend(entries);
        self.keep_within(self.limits.queue * 2);
    }

    /// Drops the oldest samples, and the oldest of the others, of what waits beyond its bound.
    fn keep_within(&mut self, samples: usize) {
        let count = self.pending.iter().filter(|entry| is_sample(entry)).count();
        let mut too_many =
            (count.saturating_sub(samples), (self.pending.len() - count).saturating_sub(OTHERS));
        if too_many == (0, 0) {
            return;
        }
        let (gone, kept) = std::mem::take(&mut self.pending).into_iter().partition(|entry| {
            let left = if is_sample(entry) { &mut too_many.0 } else { &mut too_many.1 };
            let goes = *left > 0;
            *left = left.saturating_sub(1);
            goes
        });
        self.pending = kept;
        self.shared.drop_all(&gone);
    }

    /// Writes what waits; what cannot be written goes on waiting, within its bound.
    fn commit(&mut self) -> Result<(), String> {
        let written = self.write();
        match &written {
            Ok(()) => {
                self.shared.written.fetch_add(self.pending.len() as u64, Ordering::Relaxed);
                self.shared.forget(&self.pending);
                self.pending.clear();
                *lock(&self.shared.last_error) = None;
            }
            Err(why) => {
                *lock(&self.shared.last_error) = Some(why.clone());
                self.keep_within(self.limits.queue);
            }
        }
        self.shared.waiting.store(self.pending.len() as u64, Ordering::Relaxed);
        written
    }

    fn write(&mut self) -> Result<(), String> {
        // A second time where the file turned out to be damaged and was set aside.
        for last in [false, true] {
            let Some(mut store) = self.open()? else { return Err("it cannot be opened".into()) };
            match store.write(&self.pending) {
                Ok(()) => {
                    self.store = Some(store);
                    return Ok(());
                }
                Err(error) if last || !error.is_damage() => return Err(told(&error)),
                Err(error) => self.mend(&error),
            }
        }
        Ok(())
    }

    /// The file, opened where it was not or is another by now.
    fn open(&mut self) -> Result<Option<Store>, String> {
        if let Some(store) = self.store.take_if(|store| !store.was_replaced()) {
            return Ok(Some(store));
        }
        self.store = None;
        let (store, aside) = Store::open(&self.path, self.limits).map_err(|error| told(&error))?;
        if let Some(aside) = aside {
            self.note(aside);
        }
        Ok(Some(store))
    }

    /// Sets the file aside where it is damaged; the next one to open it begins a new one.
    fn mend(&mut self, met: &HistoryError) {
        self.store = None;
        if let Ok(Some(aside)) = db::set_aside(&self.path, &met.why()) {
            self.note(aside);
        }
    }

    fn note(&mut self, aside: SetAside) {
        self.pending.push(Entry::Event(set_aside_event(&aside)));
        lock(&self.shared.set_aside).push(aside);
    }

    /// What is done now and then, when nothing else is.
    fn look_after(&mut self) {
        let Some(store) = &mut self.store else { return };
        if self.checked.elapsed() >= CHECKPOINT_EVERY {
            self.checked = Instant::now();
            // What is not there yet is at the next time.
            let _ = store.checkpoint();
        }
        if self.tidied.elapsed() < TIDY_EVERY {
            return;
        }
        match store.tidy(larder_fs::now(), PIECE) {
            // More is done after the next batch, not in a minute.
            Ok(tidied) if tidied.more => {}
            Ok(_) => self.tidied = Instant::now(),
            Err(error) => {
                self.tidied = Instant::now();
                *lock(&self.shared.last_error) = Some(told(&error));
                if error.is_damage() {
                    self.mend(&error);
                }
            }
        }
    }
}

/// The event that tells of a file that was set aside.
pub(crate) fn set_aside_event(aside: &SetAside) -> Event {
    let now = larder_fs::now();
    Event {
        at: now,
        kind: "history-set-aside".to_owned(),
        cache: None,
        plan_id: None,
        trace_id: format!("history-{}", now.unix()),
        message: format!("the history was damaged and is now {}", aside.path.display()),
        data: vec![("why".to_owned(), aside.why.clone())],
    }
}

/// An error and what caused it, in one line.
fn told(error: &HistoryError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
