//! Keeping keys before they go, and times to live before they are changed, in a file that
//! [`crate::restore`] brings them back from.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use redis::{Pipeline, Value};

use crate::change::{Kept, KeyState, Undo, UndoFailed};
use crate::error::RedisError;
use crate::info::Info;
use crate::link::Link;
use crate::select::{Caused, integer};
use crate::undo_file::{Record, TtlRecord, UndoHeader, UndoWriter};

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

    fn writer(&self) -> MutexGuard<'_, UndoWriter> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn questions(&self, keys: &[Vec<u8>], exact: bool) -> Pipeline {
        let mut pipe = Pipeline::with_capacity(keys.len() * 3 + 1);
        pipe.cmd("TIME");
        // What counts from now is asked at once: to DUMP what is large takes a while.
        for key in keys {
            pipe.cmd(if exact { "PEXPIRETIME" } else { "PTTL" }).arg(key);
        }
        for key in keys {
            // The idle time comes first: DUMP is a use.
            pipe.cmd("OBJECT").arg(if self.frequency { "FREQ" } else { "IDLETIME" }).arg(key);
            pipe.cmd("DUMP").arg(key);
        }
        pipe
    }

    fn read(&self, link: &mut Link, keys: &[Vec<u8>]) -> Result<Vec<Option<Record>>, RedisError> {
        let exact = self.exact.load(Ordering::Relaxed);
        let mut answers = link.ask_all(&self.questions(keys, exact))?.into_iter();
        let mut next = || answers.next().unwrap_or(Ok(Value::Nil));
        let now: (u64, u64) = link.read(next()?, "TIME")?;
        let now = now.0 * 1000 + now.1 / 1000;
        let mut ends = Vec::with_capacity(keys.len());
        for _ in keys {
            ends.push(match next() {
                Err(RedisError::Unknown { .. }) if exact => {
                    self.exact.store(false, Ordering::Relaxed);
                    return self.read(link, keys);
                }
                answer => integer(&answer?).and_then(|ms| u64::try_from(ms).ok()),
            });
        }
        let mut records = Vec::with_capacity(keys.len());
        for (key, expiry) in keys.iter().zip(ends) {
            let used = next().ok().as_ref().and_then(integer).and_then(|n| u64::try_from(n).ok());
            let dump = next()?;
            records.push(match dump {
                Value::BulkString(dump) => Some(Record {
                    key: key.clone(),
                    idle: used.filter(|_| !self.frequency && !may_be_shared(&dump)),
                    frequency: used.filter(|_| self.frequency && !may_be_shared(&dump)),
                    dump,
                    expires_at: expiry.map(|ms| if exact { ms } else { now + ms }),
                }),
                _ => None,
            });
        }
        Ok(records)
    }
}

/// Whether this is a string that is a whole number below 10,000: that may be one value for all keys
/// that hold it, whose use is that of none of them
/// (<https://github.com/redis/redis/blob/7.0/src/rdb.h>).
fn may_be_shared(dump: &[u8]) -> bool {
    let number = match dump {
        [0, 0xC0, small, ..] => i16::from(i8::from_le_bytes([*small])),
        [0, 0xC1, low, high, ..] => i16::from_le_bytes([*low, *high]),
        _ => return false,
    };
    (0..10_000).contains(&number)
}

impl Record {
    /// `DUMP` ends in a checksum of all that is before it.
    fn state(&self) -> KeyState {
        let checksum = self.dump.last_chunk().copied().unwrap_or_default();
        KeyState { end: self.expires_at, value: Some((self.dump.len(), checksum)) }
    }
}

impl Undo for UndoStore {
    fn keep(&self, link: &mut Link, keys: &[Vec<u8>]) -> Result<Kept, UndoFailed> {
        let read = self.read(link, keys)?;
        let states: Vec<_> = read.iter().map(|read| read.as_ref().map(Record::state)).collect();
        // Each of the three questions about a key is counted.
        let hits = 3 * states.iter().flatten().count() as u64;
        let caused = Caused { hits, misses: 3 * states.len() as u64 - hits };
        let records: Vec<Record> = read.into_iter().flatten().collect();
        let ticket = self.writer().put(&records).map_err(|error| unwritable(&error))?;
        Ok(Kept { ticket, states, caused })
    }

    fn keep_ttls(&self, records: &[TtlRecord]) -> Result<Kept, UndoFailed> {
        let ticket = self.writer().put_ttls(records).map_err(|error| unwritable(&error))?;
        let state = |record: &TtlRecord| Some(KeyState { end: record.earlier, value: None });
        let states = records.iter().map(state).collect();
        Ok(Kept { ticket, states, caused: Caused::default() })
    }

    fn void(&self, kept: &Kept) -> Result<(), UndoFailed> {
        let records = kept.states.iter().flatten().count() as u64;
        if records == 0 {
            return Ok(());
        }
        self.writer().void(kept.ticket, records).map_err(|error| unwritable(&error))
    }

    fn again(&self) -> Result<(), UndoFailed> {
        self.writer().again().map_err(|error| unwritable(&error))
    }
}

fn unwritable(error: &std::io::Error) -> UndoFailed {
    UndoFailed::File(format!(
        "the undo file cannot be written, so nothing more is changed: {error}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_whole_numbers_may_be_shared() {
        // As DUMP of Redis 7.0 begins for 0, 42, 200, 9999; 10000, -1, 70000, "x" and a list.
        let shared: [&[u8]; 4] =
            [b"\x00\xC0\x00", b"\x00\xC0\x2A", b"\x00\xC1\xC8\x00", b"\x00\xC1\x0F\x27"];
        let own: [&[u8]; 5] = [
            b"\x00\xC1\x10\x27",
            b"\x00\xC0\xFF",
            b"\x00\xC2\x70\x11\x01\x00",
            b"\x00\x01x",
            b"\x12\xC0\x2A",
        ];
        assert!(shared.into_iter().all(may_be_shared));
        assert!(!own.into_iter().any(may_be_shared));
    }
}
