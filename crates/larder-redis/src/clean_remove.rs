//! How keys go: many in a command where that is allowed, one by one in a cluster, in pieces where
//! the server would stand still.
//!
//! `UNLINK` frees a collection in the background and a string in the foreground, at some tenth of
//! a millisecond a megabyte, so big strings go one by one with a rest between them; nothing can
//! make a string smaller in steps. Sizes are asked for where values are large on average, and from
//! the first time on that the server stood still. Where only `DEL` is allowed, collections are
//! emptied first.

use std::time::{Duration, Instant};

use redis::{Pipeline, Value};

use crate::clean::{Undo, UndoFailed};
use crate::error::RedisError;
use crate::info::Info;
use crate::link::Link;
use crate::pace::Pace;
use crate::select::{Caused, Wants, integer, look_up};

/// A string of this size keeps a server from answering for about a millisecond when it goes.
const BIG: u64 = 8 << 20;
/// A collection that takes more than this is emptied before `DEL`.
const PIECES_ABOVE: u64 = 256 << 10;
/// A round trip of removals takes longer than this only where something big was among them.
const STOOD_STILL: Duration = Duration::from_millis(5);
/// Elements that go in one piece.
const PIECE: usize = 500;
/// Keys in one command; the server answers others between commands only.
const TOGETHER: usize = 64;
/// Keys in one round trip.
const AT_ONCE: usize = 1024;

/// What went, and what stayed.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    pub removed: u64,
    pub skipped: Vec<(Vec<u8>, String)>,
    /// Hits and misses that looking at them was counted as.
    pub caused: Caused,
}

/// Whether the size of each value is asked for before it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sizes {
    /// One may be so big that it matters.
    Asked,
    /// Nothing says so.
    NotAsked,
    /// The user may not ask.
    Untold,
}

/// Removes from one server.
#[derive(Debug)]
pub(crate) struct Remover {
    cluster: bool,
    sizes: Sizes,
    /// `UNLINK`, or where that is not allowed `DEL`.
    unlink: bool,
}

impl Remover {
    /// For a server that says this of itself.
    pub(crate) fn new(info: &Info, cluster: bool) -> Self {
        const LARGE: u64 = 4 << 10;
        let keys: u64 = info.databases().into_iter().map(|db| info.keyspace(db).keys).sum();
        let dataset = info.u64("used_memory_dataset");
        let sizes = dataset.is_none_or(|bytes| bytes > BIG && bytes / keys.max(1) > LARGE);
        let sizes = if sizes { Sizes::Asked } else { Sizes::NotAsked };
        Self { cluster, sizes, unlink: true }
    }

    /// Removes these keys.
    pub(crate) fn remove(
        &mut self,
        link: &mut Link,
        keys: &[Vec<u8>],
        pace: &Pace,
    ) -> Result<Gone, RedisError> {
        let mut gone = Gone::default();
        for some in keys.chunks(AT_ONCE) {
            if self.sizes == Sizes::Asked || !self.unlink {
                self.remove_sized(link, some, pace, &mut gone)?;
                continue;
            }
            let begun = Instant::now();
            self.unlink_all(link, some, pace, &mut gone)?;
            // Where one big value was there are more: the next go one by one.
            let stood_still = begun.elapsed() > STOOD_STILL + 4 * pace.slice();
            if stood_still && self.sizes == Sizes::NotAsked {
                self.sizes = Sizes::Asked;
            }
        }
        Ok(gone)
    }

    /// Removes these keys, the big ones by themselves.
    fn remove_sized(
        &mut self,
        link: &mut Link,
        keys: &[Vec<u8>],
        pace: &Pace,
        gone: &mut Gone,
    ) -> Result<(), RedisError> {
        for some in keys.chunks(200) {
            let wants = Wants { bytes: true, ..Wants::default() };
            let facts = match look_up(link, some, wants, &mut Caused::default()) {
                Ok(facts) => facts,
                // Without that right big values cannot be told from small ones.
                Err(error) if error.is_missing_right() => {
                    self.sizes = Sizes::Untold;
                    self.unlink_all(link, some, pace, gone)?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let above = if self.unlink { BIG } else { PIECES_ABOVE };
            let sized = some.iter().zip(facts.iter().map(|facts| facts.bytes.unwrap_or(0)));
            let (big, small): (Vec<_>, Vec<_>) = sized.partition(|(_, bytes)| *bytes > above);
            let small: Vec<Vec<u8>> = small.into_iter().map(|(key, _)| key.clone()).collect();
            self.unlink_all(link, &small, pace, gone)?;
            for (key, _) in big {
                self.remove_big(link, key, pace, gone)?;
            }
        }
        Ok(())
    }

    /// Removes a key that keeps the server busy, with a rest as long as that took afterwards.
    fn remove_big(
        &mut self,
        link: &mut Link,
        key: &[u8],
        pace: &Pace,
        gone: &mut Gone,
    ) -> Result<(), RedisError> {
        let begun = Instant::now();
        let emptied = !self.unlink && empty(link, key, pace)?;
        let before = gone.removed;
        self.unlink_all(link, &[key.to_vec()], pace, gone)?;
        // A collection without elements is no key any more.
        if emptied && gone.removed == before {
            gone.removed += 1;
        }
        let rest = begun.elapsed().clamp(Duration::from_millis(1), Duration::from_millis(200));
        std::thread::sleep(rest);
        Ok(())
    }

    /// `UNLINK` of all; answers that are errors leave their keys where they are.
    fn unlink_all(
        &mut self,
        link: &mut Link,
        keys: &[Vec<u8>],
        pace: &Pace,
        gone: &mut Gone,
    ) -> Result<(), RedisError> {
        if keys.is_empty() {
            return Ok(());
        }
        let answers = link.ask_all(&self.removal(keys))?;
        let mut denied = false;
        for (some, answer) in keys.chunks(self.together()).zip(answers) {
            match answer {
                Ok(answer) => gone.removed += count(&answer),
                Err(error) if error.is_missing_right() && self.unlink => denied = true,
                Err(error @ RedisError::Moved { .. }) => {
                    let why = format!("its slot moved meanwhile: {error}");
                    gone.skipped.extend(some.iter().map(|key| (key.clone(), why.clone())));
                }
                Err(error) => return Err(error),
            }
        }
        if denied {
            self.unlink = false;
            self.sizes = Sizes::Asked;
            return self.remove_sized(link, keys, pace, gone);
        }
        Ok(())
    }

    /// Keys in one command: in a cluster they lie in different slots.
    fn together(&self) -> usize {
        if self.cluster { 1 } else { TOGETHER }
    }

    fn removal(&self, keys: &[Vec<u8>]) -> Pipeline {
        let name = if self.unlink { "UNLINK" } else { "DEL" };
        let mut pipe = Pipeline::with_capacity(keys.len().div_ceil(self.together()));
        for some in keys.chunks(self.together()) {
            let command = pipe.cmd(name);
            for key in some {
                command.arg(key);
            }
        }
        pipe
    }

    /// Keeps the keys and removes those that nobody changed since. What somebody changed in
    /// between is kept and removed again, a few times, and stays if it never rests.
    pub(crate) fn keep_and_remove(
        &mut self,
        link: &mut Link,
        keys: &[Vec<u8>],
        undo: &dyn Undo,
    ) -> Result<Gone, UndoFailed> {
        let mut gone = Gone::default();
        // A transaction in a cluster holds keys of one slot only.
        let together = if self.cluster { 1 } else { 256 };
        for some in keys.chunks(together) {
            self.keep_some(link, some, undo, &mut gone)?;
        }
        Ok(gone)
    }

    fn keep_some(
        &mut self,
        link: &mut Link,
        keys: &[Vec<u8>],
        undo: &dyn Undo,
        gone: &mut Gone,
    ) -> Result<(), UndoFailed> {
        for _ in 0..3 {
            let mut watch = redis::cmd("WATCH");
            for key in keys {
                watch.arg(key);
            }
            let _: Value = link.ask(&watch)?;
            let kept = undo.keep(link, keys)?;
            gone.caused = gone.caused + kept.caused;
            let there = keys.iter().zip(&kept.there).filter(|(_, there)| **there);
            let going: Vec<Vec<u8>> = there.map(|(key, _)| key.clone()).collect();
            if going.is_empty() {
                let _: Value = link.ask(&redis::cmd("UNWATCH"))?;
                return Ok(());
            }
            if let Some(removed) = self.transaction(link, &going)? {
                gone.removed += removed;
                return Ok(());
            }
            undo.void(&kept)?;
        }
        if let [key] = keys {
            let why = "somebody keeps changing it".to_owned();
            gone.skipped.push((key.clone(), why));
            return Ok(());
        }
        for half in keys.chunks(keys.len().div_ceil(2)) {
            self.keep_some(link, half, undo, gone)?;
        }
        Ok(())
    }

    /// `MULTI`, the removal, `EXEC`: `None` where a watched key was changed.
    fn transaction(
        &mut self,
        link: &mut Link,
        keys: &[Vec<u8>],
    ) -> Result<Option<u64>, RedisError> {
        let mut pipe = Pipeline::new();
        pipe.cmd("MULTI");
        for command in self.removal(keys).cmd_iter() {
            pipe.add_command(command.clone());
        }
        pipe.cmd("EXEC");
        let mut answers = link.ask_all(&pipe)?;
        let exec = answers.pop().unwrap_or(Ok(Value::Nil));
        if let Some(denied) = answers.into_iter().find_map(Result::err) {
            // A refused command makes EXEC give up: nothing went.
            if denied.is_missing_right() && self.unlink {
                self.unlink = false;
                return Ok(None);
            }
            return Err(denied);
        }
        match exec? {
            Value::Array(counts) => Ok(Some(counts.iter().map(count).sum())),
            _ => Ok(None),
        }
    }
}

fn count(answer: &Value) -> u64 {
    integer(answer).and_then(|count| u64::try_from(count).ok()).unwrap_or(0)
}

/// Takes the elements out of a collection, piece by piece; strings and what it does not know are
/// left as they are. Whether there was a collection to empty.
fn empty(link: &mut Link, key: &[u8], pace: &Pace) -> Result<bool, RedisError> {
    let kind: String = link.ask(redis::cmd("TYPE").arg(key))?;
    let mut cursor = 0_u64;
    loop {
        let begun = Instant::now();
        let (left, next) = match kind.as_str() {
            "list" => {
                let cut = i64::try_from(PIECE).unwrap_or(i64::MAX);
                let _: Value = link.ask(redis::cmd("LTRIM").arg(key).arg(cut).arg(-1))?;
                (integer(&link.ask(redis::cmd("LLEN").arg(key))?).unwrap_or(0), 0)
            }
            "zset" => {
                let last = i64::try_from(PIECE).unwrap_or(i64::MAX) - 1;
                let cut = redis::cmd("ZREMRANGEBYRANK").arg(key).arg(0).arg(last).clone();
                (integer(&link.ask(&cut)?).unwrap_or(0), 0)
            }
            "hash" | "set" => {
                let (scan, remove, step) =
                    if kind == "hash" { ("HSCAN", "HDEL", 2) } else { ("SSCAN", "SREM", 1) };
                let batch = redis::cmd(scan).arg(key).arg(cursor).arg("COUNT").arg(PIECE).clone();
                let (next, elements): (u64, Vec<Vec<u8>>) = link.ask(&batch)?;
                if !elements.is_empty() {
                    let mut command = redis::cmd(remove);
                    command.arg(key);
                    for element in elements.iter().step_by(step) {
                        command.arg(element);
                    }
                    let _: Value = link.ask(&command)?;
                }
                (i64::from(next != 0), next)
            }
            _ => return Ok(false),
        };
        if left == 0 {
            return Ok(true);
        }
        cursor = next;
        if begun.elapsed() > pace.slice() {
            std::thread::sleep(begun.elapsed());
        }
    }
}
