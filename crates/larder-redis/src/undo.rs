//! Keeping keys before they go, and bringing them back.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::{Pipeline, Value};

use crate::clean::{Kept, Undo, UndoFailed};
use crate::deployment::{Deployment, Node};
use crate::error::RedisError;
use crate::info::Info;
use crate::link::Link;
use crate::select::{Caused, integer};
use crate::undo_file::{Record, UndoFileError, UndoHeader, UndoReader, UndoWriter};

/// Keeps keys in a file.
#[derive(Debug)]
pub struct UndoStore {
    writer: Mutex<UndoWriter>,
    /// Whether the server knows `PEXPIRETIME` (7.0).
    exact: AtomicBool,
    frequency: bool,
}

impl UndoStore {
    /// Begins a file; `info` is of one of the servers whose keys it will keep.
    pub fn create(path: &Path, header: &UndoHeader, info: &Info) -> std::io::Result<Self> {
        Ok(Self {
            writer: Mutex::new(UndoWriter::create(path, header)?),
            exact: AtomicBool::new(info.version() >= (7, 0)),
            frequency: info.counts_frequency(),
        })
    }

    /// Ends the file: the keys in it, and its length.
    pub fn finish(self) -> std::io::Result<(u64, u64)> {
        let writer = self.writer.into_inner().unwrap_or_else(PoisonError::into_inner);
        let keys = writer.keys();
        Ok((keys, writer.finish()?))
    }

    fn questions(&self, keys: &[Vec<u8>], exact: bool) -> Pipeline {
        let mut pipe = Pipeline::with_capacity(keys.len() * 3 + 1);
        pipe.cmd("TIME");
        for key in keys {
            // The idle time comes first: DUMP is a use.
            pipe.cmd("OBJECT").arg(if self.frequency { "FREQ" } else { "IDLETIME" }).arg(key);
            pipe.cmd("DUMP").arg(key);
            pipe.cmd(if exact { "PEXPIRETIME" } else { "PTTL" }).arg(key);
        }
        pipe
    }

    fn read(&self, link: &mut Link, keys: &[Vec<u8>]) -> Result<Vec<Option<Record>>, RedisError> {
        let exact = self.exact.load(Ordering::Relaxed);
        let mut answers = link.ask_all(&self.questions(keys, exact))?.into_iter();
        let mut next = || answers.next().unwrap_or(Ok(Value::Nil));
        let now: (u64, u64) = link.read(next()?, "TIME")?;
        let now = now.0 * 1000 + now.1 / 1000;
        let mut records = Vec::with_capacity(keys.len());
        for key in keys {
            let used = next().ok().as_ref().and_then(integer).and_then(|n| u64::try_from(n).ok());
            let dump = next()?;
            let expiry = match next() {
                Err(RedisError::Unknown { .. }) if exact => {
                    self.exact.store(false, Ordering::Relaxed);
                    return self.read(link, keys);
                }
                answer => integer(&answer?).and_then(|ms| u64::try_from(ms).ok()),
            };
            records.push(match dump {
                Value::BulkString(dump) => Some(Record {
                    key: key.clone(),
                    dump,
                    expires_at: expiry.map(|ms| if exact { ms } else { now + ms }),
                    idle: used.filter(|_| !self.frequency),
                    frequency: used.filter(|_| self.frequency),
                }),
                _ => None,
            });
        }
        Ok(records)
    }
}

impl Undo for UndoStore {
    fn keep(&self, link: &mut Link, keys: &[Vec<u8>]) -> Result<Kept, UndoFailed> {
        let read = self.read(link, keys)?;
        let there: Vec<bool> = read.iter().map(Option::is_some).collect();
        // Each of the three questions about a key is counted.
        let hits = 3 * there.iter().filter(|there| **there).count() as u64;
        let caused = Caused { hits, misses: 3 * there.len() as u64 - hits };
        let records: Vec<Record> = read.into_iter().flatten().collect();
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = writer.put(&records).map_err(|error| unwritable(&error))?;
        Ok(Kept { ticket, there, caused })
    }

    fn void(&self, kept: &Kept) -> Result<(), UndoFailed> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let records = kept.there.iter().filter(|there| **there).count() as u64;
        writer.void(kept.ticket, records).map_err(|error| unwritable(&error))
    }
}

fn unwritable(error: &std::io::Error) -> UndoFailed {
    UndoFailed::File(format!("the undo file cannot be written, so nothing more goes: {error}"))
}

/// What bringing back did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeysRestored {
    /// Keys that are back, those included that had come back in an earlier try.
    pub restored: u64,
    /// Keys whose time had ended meanwhile.
    pub expired: u64,
    /// Keys that exist again with another value.
    pub conflicts: Vec<Vec<u8>>,
    /// Keys that the server refused, with its words.
    pub failed: Vec<(Vec<u8>, String)>,
    /// Whether the file was whole, not cut off.
    pub whole: bool,
}

impl KeysRestored {
    /// Whether nothing is left in the file that could still come back.
    pub fn complete(&self) -> bool {
        self.conflicts.is_empty() && self.failed.is_empty()
    }
}

/// Why bringing back broke off. What came back until then is back, and a second try goes on.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The server.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// The file.
    #[error(transparent)]
    File(#[from] UndoFileError),
    /// No node of the cluster holds this key's slot.
    #[error("no node holds the slot of {0}")]
    NoNode(String),
}

/// Brings back what a file keeps. Times to live count on from when they were kept.
pub fn restore_keys(
    deployment: &Deployment,
    reader: &mut UndoReader,
    replace: bool,
    stopped: &dyn Fn() -> bool,
) -> Result<KeysRestored, RestoreError> {
    let kept_at = reader.header().created_at / 1_000_000_000;
    let mut restored = KeysRestored::default();
    let mut links: Vec<(String, Link, u64)> = Vec::new();
    while let Some(records) = reader.next_records()? {
        if stopped() {
            return Err(RedisError::Interrupted.into());
        }
        let mut parts: Vec<(&Node, Vec<Record>)> = Vec::new();
        for record in records {
            let node = deployment.node_of(&record.key);
            let shown = || record.key.escape_ascii().to_string();
            let node = node.ok_or_else(|| RestoreError::NoNode(shown()))?;
            match parts.iter_mut().find(|(other, _)| other.address() == node.address()) {
                Some((_, part)) => part.push(record),
                None => parts.push((node, vec![record])),
            }
        }
        for (node, part) in parts {
            let known = links.iter().position(|(address, ..)| address == node.address());
            let at = match known {
                Some(at) => at,
                None => {
                    let mut link = Link::open(&node.endpoint, "restore")?;
                    let (seconds, _): (u64, u64) = link.ask(&redis::cmd("TIME"))?;
                    links.push((node.address().to_owned(), link, seconds));
                    links.len() - 1
                }
            };
            let (_, link, now) = &mut links[at];
            let since = now.saturating_sub(u64::try_from(kept_at).unwrap_or(0));
            for some in part.chunks(256) {
                put_back(link, some, replace, since, &mut restored)?;
            }
        }
    }
    restored.whole = reader.whole();
    Ok(restored)
}

fn put_back(
    link: &mut Link,
    records: &[Record],
    replace: bool,
    since: u64,
    restored: &mut KeysRestored,
) -> Result<(), RedisError> {
    let (seconds, micros): (u64, u64) = link.ask(&redis::cmd("TIME"))?;
    let now = Duration::from_secs(seconds) + Duration::from_micros(micros);
    let over =
        |record: &&Record| record.expires_at.is_some_and(|at| u128::from(at) <= now.as_millis());
    restored.expired += records.iter().filter(over).count() as u64;
    let alive: Vec<&Record> = records.iter().filter(|record| !over(record)).collect();
    let mut pipe = Pipeline::with_capacity(alive.len());
    for record in &alive {
        let command = pipe.cmd("RESTORE");
        command.arg(&record.key).arg(record.expires_at.unwrap_or(0)).arg(&record.dump);
        if record.expires_at.is_some() {
            command.arg("ABSTTL");
        }
        if replace {
            command.arg("REPLACE");
        }
        if let Some(idle) = record.idle {
            command.arg("IDLETIME").arg(idle + since);
        } else if let Some(frequency) = record.frequency {
            command.arg("FREQ").arg(frequency);
        }
    }
    let answers = link.ask_all(&pipe)?;
    for (record, answer) in alive.into_iter().zip(answers) {
        match answer {
            Ok(_) => restored.restored += 1,
            Err(RedisError::Server { answer, .. }) if answer.starts_with("BUSYKEY") => {
                // An earlier try may have brought it back already.
                let there: Option<Vec<u8>> = link.ask(redis::cmd("DUMP").arg(&record.key))?;
                if there.as_ref() == Some(&record.dump) {
                    restored.restored += 1;
                } else {
                    restored.conflicts.push(record.key.clone());
                }
            }
            Err(error) if error.breaks_link() => return Err(error),
            Err(error) => restored.failed.push((record.key.clone(), error.to_string())),
        }
    }
    Ok(())
}
