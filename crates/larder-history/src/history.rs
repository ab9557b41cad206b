//! The history of a process that goes on: a writer thread, and readers beside it.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::Duration;

use larder_core::{Event, Forecast, Sample};

use crate::db::SetAside;
use crate::error::HistoryError;
use crate::limits::Limits;
use crate::read::Reader;
use crate::store::{Entry, Store};
use crate::writer::{Message, Shared, Stats, Writer, lock, set_aside_event};

/// Messages that may wait for the writer; each holds what one moment measured.
const MESSAGES: usize = 1024;
/// How long [`History::flush`] waits for the disk.
const FLUSH: Duration = Duration::from_secs(30);

/// The history of a process that goes on. Dropping it writes what waits.
#[derive(Debug)]
pub struct History {
    messages: SyncSender<Message>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    reader: Reader,
}

/// A history that was opened, and what had to be said of it.
#[derive(Debug)]
pub struct Opened {
    /// The history.
    pub history: History,
    /// The file was damaged, and a new one has been begun.
    pub set_aside: Option<SetAside>,
}

impl History {
    /// Opens or makes the file and starts the writer. A damaged file is set aside and a new one
    /// begun.
    pub fn open(path: &Path, limits: Limits) -> Result<Opened, HistoryError> {
        let (mut store, set_aside) = Store::open(path, limits)?;
        if let Some(aside) = &set_aside {
            store.write(&[Entry::Event(set_aside_event(aside))])?;
        }
        let shared = Arc::new(Shared::default());
        let (messages, receiver) = mpsc::sync_channel(MESSAGES);
        let writer = Writer::new(store, limits, Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("history".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(|source| HistoryError::Io {
                doing: "start the writer of",
                path: path.to_owned(),
                source,
            })?;
        let reader = Reader::new(path);
        let history = Self { messages, thread: Some(thread), shared, reader };
        Ok(Opened { history, set_aside })
    }

    /// Hands over samples. Never waits; what finds no place is dropped and counted.
    pub fn record(&self, samples: Vec<Sample>) {
        self.hand_over(samples.into_iter().map(|sample| Entry::Sample(Box::new(sample))).collect());
    }

    /// Hands over an event. Never waits.
    pub fn event(&self, event: Event) {
        self.hand_over(vec![Entry::Event(event)]);
    }

    /// Hands over a small text under a name, in place of the one before. Never waits; who reads it
    /// here sees it at once.
    pub fn put_state(&self, key: impl Into<String>, text: impl Into<String>) {
        self.put_states(vec![(key.into(), text.into())]);
    }

    /// Hands over small texts under names that belong together: a process that is killed leaves all
    /// of them or none. Never waits.
    pub fn put_states(&self, states: Vec<(String, String)>) {
        {
            let mut unwritten = lock(&self.shared.unwritten);
            unwritten.retain(|(known, _)| states.iter().all(|(key, _)| key != known));
            unwritten.extend(states.iter().cloned());
        }
        let entries = states.into_iter().map(|(key, text)| Entry::State { key, text });
        self.hand_over(entries.collect());
    }

    /// Hands over a forecast, which is held against what came when its time is there.
    pub fn forecast(&self, forecast: Forecast) {
        self.hand_over(vec![Entry::Forecast(forecast)]);
    }

    fn hand_over(&self, entries: Vec<Entry>) {
        match self.messages.try_send(Message::Keep(entries)) {
            Ok(()) => {}
            Err(
                TrySendError::Full(Message::Keep(lost))
                | TrySendError::Disconnected(Message::Keep(lost)),
            ) => {
                self.shared.drop_all(&lost);
            }
            Err(_) => {}
        }
    }

    /// Waits until all that was handed over so far is written, half a minute at most.
    pub fn flush(&self) -> Result<(), HistoryError> {
        let (answer, answered) = mpsc::channel();
        self.messages.send(Message::Flush(answer)).map_err(|_| HistoryError::Closed)?;
        written(&answered, FLUSH)
    }

    /// Waits until all that was handed over so far is written, but no longer than `limit`: for who
    /// goes on either way.
    pub fn flush_within(&self, limit: Duration) -> Result<(), HistoryError> {
        let (answer, answered) = mpsc::channel();
        let busy = || HistoryError::Waiting("too much waits to be written".to_owned());
        self.messages.try_send(Message::Flush(answer)).map_err(|error| match error {
            TrySendError::Full(_) => busy(),
            TrySendError::Disconnected(_) => HistoryError::Closed,
        })?;
        written(&answered, limit)
    }

    /// How the writer fares.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Reads what is written; connections of its own.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The text under this name, also where it is not written yet.
    pub fn state(&self, key: &str) -> Result<Option<String>, HistoryError> {
        let unwritten = lock(&self.shared.unwritten)
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, text)| text.clone());
        match unwritten {
            Some(text) => Ok(Some(text)),
            None => self.reader.state(key),
        }
    }
}

impl Drop for History {
    fn drop(&mut self) {
        // A full queue is being emptied, so there is room soon.
        let _ = self.messages.send(Message::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn written(
    answered: &mpsc::Receiver<Result<(), String>>,
    limit: Duration,
) -> Result<(), HistoryError> {
    match answered.recv_timeout(limit) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(why)) => Err(HistoryError::Waiting(why)),
        Err(mpsc::RecvTimeoutError::Timeout) => {
            Err(HistoryError::Waiting("the disk does not answer".to_owned()))
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(HistoryError::Closed),
    }
}
