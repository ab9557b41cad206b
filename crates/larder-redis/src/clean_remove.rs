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

use crate::change::{Undo, UndoFailed};
use crate::error::RedisError;
use crate::guarded::{Did, Guarded, Ready, Single, guarded};
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
    ) -> Result<Did, RedisError> {
        let mut did = Did::default();
        for some in keys.chunks(AT_ONCE) {
            if self.sizes == Sizes::Asked || !self.unlink {
                self.remove_sized(link, some, pace, &mut did)?;
                continue;
            }
            let begun = Instant::now();
            self.unlink_all(link, some, pace, &mut did)?;
            // Where one big value was there are more: the next go one by one.
            let stood_still = begun.elapsed() > STOOD_STILL + 4 * pace.slice();
            if stood_still && self.sizes == Sizes::NotAsked {
                self.sizes = Sizes::Asked;
            }
        }
        Ok(did)
    }

    /// Removes these keys, the big ones by themselves.
    fn remove_sized(
        &mut self,
        link: &mut Link,
        keys: &[Vec<u8>],
        pace: &Pace,
        did: &mut Did,
    ) -> Result<(), RedisError> {
        for some in keys.chunks(200) {
            let wants = Wants { bytes: true, ..Wants::default() };
            let facts = match look_up(link, some, wants, &mut Caused::default()) {
                Ok(facts) => facts,
                // Without that right big values cannot be told from small ones.
                Err(error) if error.is_missing_right() => {
                    self.sizes = Sizes::Untold;
                    self.unlink_all(link, some, pace, did)?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let above = if self.unlink { BIG } else { PIECES_ABOVE };
            let sized = some.iter().zip(facts.iter().map(|facts| facts.bytes.unwrap_or(0)));
            let (big, small): (Vec<_>, Vec<_>) = sized.partition(|(_, bytes)| *bytes > above);
            let small: Vec<Vec<u8>> = small.into_iter().map(|(key, _)| key.clone()).collect();
            self.unlink_all(link, &small, pace, did)?;
            for (key, _) in big {
                self.remove_big(link, key, pace, did)?;
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
        did: &mut Did,
    ) -> Result<(), RedisError> {
        let begun = Instant::now();
        let emptied = !self.unlink && empty(link, key, pace)?;
        let before = did.changed;
        self.unlink_all(link, &[key.to_vec()], pace, did)?;
        // A collection without elements is no key any more.
        if emptied && did.changed == before {
            did.changed += 1;
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
        did: &mut Did,
    ) -> Result<(), RedisError> {
        if keys.is_empty() {
            return Ok(());
        }
        let answers = link.ask_all(&self.removal(keys))?;
        let mut denied = false;
        for answer in answers {
            match answer {
                Ok(answer) => did.changed += count(&answer),
                Err(error) if error.is_missing_right() && self.unlink => denied = true,
                // Whoever has it now is gone through again.
                Err(error) if error.is_redirect() => {}
                Err(error) => return Err(error),
            }
        }
        if denied {
            self.unlink = false;
            self.sizes = Sizes::Asked;
            return self.remove_sized(link, keys, pace, did);
        }
        Ok(())
    }

    fn verb(&self) -> &'static str {
        if self.unlink { "UNLINK" } else { "DEL" }
    }

    /// Keys in one command: in a cluster they lie in different slots.
    fn together(&self) -> usize {
        if self.cluster { 1 } else { TOGETHER }
    }

    fn removal(&self, keys: &[Vec<u8>]) -> Pipeline {
        let name = self.verb();
        let mut pipe = Pipeline::with_capacity(keys.len().div_ceil(self.together()));
        for some in keys.chunks(self.together()) {
            let command = pipe.cmd(name);
            for key in some {
                command.arg(key);
            }
        }
        pipe
    }

    /// Keeps the keys and removes those that nobody changed since.
    pub(crate) fn keep_and_remove(
        &mut self,
        link: &mut Link,
        keys: &[Vec<u8>],
        undo: &dyn Undo,
    ) -> Result<Did, UndoFailed> {
        let mut did = Did::default();
        let cluster = self.cluster;
        guarded(link, keys, cluster, self, Some(undo), &mut did)?;
        Ok(did)
    }
}

impl Guarded for Remover {
    fn ready(
        &mut self,
        link: &mut Link,
        keys: &[Vec<u8>],
        undo: Option<&dyn Undo>,
        _: &mut Did,
    ) -> Result<Ready, UndoFailed> {
        let Some(undo) = undo else {
            return Ok(Ready { commands: self.removal(keys), ..Ready::default() });
        };
        let kept = undo.keep(link, keys)?;
        let there = keys.iter().zip(&kept.states);
        let there = there.filter_map(|(key, state)| Some((key.clone(), (*state)?)));
        let verb = self.verb();
        let singles: Vec<Single> =
            there.map(|(key, state)| Single { key, state, verb, argument: None }).collect();
        let going: Vec<Vec<u8>> = singles.iter().map(|single| single.key.clone()).collect();
        Ok(Ready { commands: self.removal(&going), singles, kept: Some(kept) })
    }

    fn otherwise(&mut self, denied: &RedisError) -> bool {
        denied.is_missing_right() && std::mem::take(&mut self.unlink)
    }

    fn count(&self, answer: &Value) -> u64 {
        count(answer)
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
