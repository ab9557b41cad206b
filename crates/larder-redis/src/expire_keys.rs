//! How keys get a time to live: one `PEXPIRE` each, many in a round trip.
//!
//! Redis 7 knows the conditions itself (`NX`, `GT`, `LT`), so that no key has to be looked at.
//! Before that, and wherever the earlier time is kept for an undo, keys are looked at while they
//! are watched and changed in a transaction: exact too, at two more round trips. A key that has
//! what this run gave it already is left as it is, so that whatever is met twice is changed once.

use std::time::Duration;

use larder_core::{ExpireIf, Expiry};
use redis::{Pipeline, Value};

use crate::change::{KeyState, Undo, UndoFailed};
use crate::error::RedisError;
use crate::guarded::{Did, Guarded, Ready, Single, guarded};
use crate::info::Info;
use crate::link::Link;
use crate::select::{Caused, integer};
use crate::undo_file::TtlRecord;

/// Keys in one round trip.
const AT_ONCE: usize = 512;
/// How far off a time is that was put together from two answers, in milliseconds.
pub(crate) const SLACK: u64 = 20;

/// Gives keys of one server a time to live.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expirer {
    expiry: Expiry,
    /// Only keys without one are meant.
    persistent: bool,
    cluster: bool,
    /// Whether the server knows `NX`, `GT`, `LT` and `PEXPIRETIME` (7.0).
    modern: bool,
    /// When this run began on the server, in milliseconds of its clock.
    begun: u64,
}

impl Expirer {
    pub(crate) fn new(expiry: Expiry, persistent: bool, info: &Info, cluster: bool) -> Self {
        Self { expiry, persistent, cluster, modern: info.version() >= (7, 0), begun: 0 }
    }

    /// The same, of a run that began then.
    pub(crate) fn since(self, begun: u64) -> Self {
        Self { begun, ..self }
    }

    fn only(&self) -> ExpireIf {
        match (self.persistent, self.expiry.only) {
            // A key that never expires is not later than anything.
            (true, ExpireIf::Later) => ExpireIf::Later,
            (true, _) => ExpireIf::None,
            (false, only) => only,
        }
    }

    /// Gives these keys their time to live.
    pub(crate) fn expire(
        &mut self,
        link: &mut Link,
        keys: &[Vec<u8>],
        undo: Option<&dyn Undo>,
    ) -> Result<Did, UndoFailed> {
        let mut did = Did::default();
        let conditional = self.only() != ExpireIf::Always;
        if undo.is_some() || (conditional && !self.modern) {
            let cluster = self.cluster;
            guarded(link, keys, cluster, self, undo, &mut did)?;
            return Ok(did);
        }
        for some in keys.chunks(AT_ONCE) {
            self.at_once(link, some, &mut did)?;
        }
        Ok(did)
    }

    fn at_once(&self, link: &mut Link, keys: &[Vec<u8>], did: &mut Did) -> Result<(), RedisError> {
        let mut pipe = Pipeline::with_capacity(keys.len());
        for key in keys {
            let ttl = whole_millis(self.expiry.ttl_of(key));
            let command = pipe.cmd("PEXPIRE").arg(key).arg(ttl);
            if let Some(word) = self.only().word() {
                command.arg(word);
            }
        }
        for answer in link.ask_all(&pipe)? {
            match answer {
                Ok(answer) if integer(&answer) == Some(1) => did.changed += 1,
                // A key without the condition is one that was not meant, or is gone.
                Ok(_) => did.unchanged += u64::from(!self.persistent),
                // Whoever has it now is gone through again.
                Err(error) if error.is_redirect() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// When this key is to end, where that is to be changed; it ends at `end` now.
    fn wanted(&self, key: &[u8], end: Option<u64>, now: u64, did: &mut Did) -> Option<u64> {
        let ttl = whole_millis(self.expiry.ttl_of(key));
        let slack = if self.modern { 0 } else { SLACK };
        let given = end.and_then(|end| end.checked_sub(ttl));
        if given.is_some_and(|at| at + slack >= self.begun && at <= now + slack) {
            return None;
        }
        let then = now + ttl;
        if !self.only().allows(end, then) {
            did.unchanged += u64::from(!self.persistent);
            return None;
        }
        Some(then)
    }
}

impl Guarded for Expirer {
    fn ready(
        &mut self,
        link: &mut Link,
        keys: &[Vec<u8>],
        undo: Option<&dyn Undo>,
        did: &mut Did,
    ) -> Result<Ready, UndoFailed> {
        let (now, ends) = ends(link, keys, self.modern, &mut did.caused)?;
        let mut commands = Pipeline::new();
        let (mut records, mut singles) = (Vec::new(), Vec::new());
        for (key, end) in keys.iter().zip(ends) {
            let end = match end {
                End::Gone => continue,
                End::Never => None,
                End::At(end) => Some(end),
            };
            let Some(then) = self.wanted(key, end, now, did) else { continue };
            commands.cmd("PEXPIREAT").arg(key).arg(then);
            singles.push(Single {
                key: key.clone(),
                state: KeyState { end, value: None },
                verb: "PEXPIREAT",
                argument: Some(then),
            });
            records.push(TtlRecord { key: key.clone(), earlier: end, set: then });
        }
        let kept = match undo {
            Some(undo) if !records.is_empty() => Some(undo.keep_ttls(&records)?),
            _ => None,
        };
        Ok(Ready { commands, singles, kept })
    }

    fn count(&self, answer: &Value) -> u64 {
        u64::from(integer(answer) == Some(1))
    }
}

/// When a key ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It is not there.
    Gone,
    Never,
    /// In milliseconds since 1970.
    At(u64),
}

/// The server's time, in milliseconds since 1970, and of each key when it ends. Where the server
/// does not know `PEXPIRETIME` (`modern`), that is some milliseconds off.
pub(crate) fn ends(
    link: &mut Link,
    keys: &[Vec<u8>],
    modern: bool,
    caused: &mut Caused,
) -> Result<(u64, Vec<End>), RedisError> {
    let mut pipe = Pipeline::with_capacity(keys.len() + 1);
    pipe.cmd("TIME");
    for key in keys {
        pipe.cmd(if modern { "PEXPIRETIME" } else { "PTTL" }).arg(key);
    }
    let mut answers = link.ask_all(&pipe)?.into_iter();
    let mut next = || answers.next().unwrap_or(Ok(Value::Nil));
    let (seconds, micros): (u64, u64) = link.read(next()?, "TIME")?;
    let now = seconds * 1000 + micros / 1000;
    let mut ends = Vec::with_capacity(keys.len());
    for _ in keys {
        let end = match integer(&next()?) {
            Some(-1) => End::Never,
            millis => match millis.and_then(|millis| u64::try_from(millis).ok()) {
                Some(millis) => End::At(if modern { millis } else { now + millis }),
                None => End::Gone,
            },
        };
        let side = if end == End::Gone { &mut caused.misses } else { &mut caused.hits };
        *side += 1;
        ends.push(end);
    }
    Ok((now, ends))
}

/// As `PEXPIRE` takes it.
fn whole_millis(duration: Duration) -> u64 {
    // Redis refuses what does not fit a signed number once the time of day is added.
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).min(1 << 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn expirer(only: ExpireIf, persistent: bool) -> Expirer {
        let expiry = Expiry { ttl: Duration::from_hours(1), jitter: 0, only, seed: 1 };
        let info = Info::parse("redis_version:7.0.15\n");
        Expirer::new(expiry, persistent, &info, false).since(10_000)
    }

    #[test]
    fn what_has_its_time_from_this_run_is_left() {
        let mut did = Did::default();
        let always = expirer(ExpireIf::Always, false);
        let mut wanted = |end, now| always.wanted(b"k", end, now, &mut did);
        assert_eq!(wanted(None, 20_000), Some(20_000 + HOUR));
        for (given, again) in [(9_999, true), (10_000, false), (15_000, false), (20_001, true)] {
            assert_eq!(wanted(Some(given + HOUR), 20_000).is_some(), again, "given at {given}");
        }
        assert_eq!(did.unchanged, 0);
    }

    #[test]
    fn a_key_that_is_not_meant_is_not_said_to_be_kept_by_a_condition() {
        let mut did = Did::default();
        assert_eq!(expirer(ExpireIf::Always, true).wanted(b"k", Some(5), 20_000, &mut did), None);
        assert_eq!(did.unchanged, 0);
        assert_eq!(expirer(ExpireIf::None, false).wanted(b"k", Some(5), 20_000, &mut did), None);
        assert_eq!(did.unchanged, 1);
    }
}
