//! Which keys are meant: by name alone, or by what each of them is.
//!
//! What is told by name costs nothing; anything else is looked up key by key with commands that
//! leave idle times as they are. A small whole number may be one value for all keys that hold it,
//! and its idle time is then that of none of them, so it is not known. Age is not something that
//! Redis keeps: a key is certainly older than a limit where nobody touched it for that long, and
//! that is what `older_than` goes by.

use std::time::Duration;

use larder_core::KeySelection;
use redis::{Pipeline, Value};

use crate::error::RedisError;
use crate::glob::Glob;
use crate::link::Link;

/// The keys that something is to be done with.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    wanted: KeySelection,
    exclude: Vec<Glob>,
}

impl From<KeySelection> for Selection {
    fn from(wanted: KeySelection) -> Self {
        let exclude = wanted.exclude.iter().map(|pattern| Glob::new(pattern)).collect();
        Self { wanted, exclude }
    }
}

impl std::ops::Deref for Selection {
    type Target = KeySelection;

    fn deref(&self) -> &KeySelection {
        &self.wanted
    }
}

/// What is looked up of each key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a command that is sent or not")]
pub struct Wants {
    /// `PTTL`.
    pub ttl: bool,
    /// `OBJECT IDLETIME`, and `OBJECT REFCOUNT`, which tells whether it is the key's own.
    pub idle: bool,
    /// `MEMORY USAGE`.
    pub bytes: bool,
    /// `TYPE`.
    pub kind: bool,
}

impl Wants {
    /// Whether nothing is.
    pub fn nothing(self) -> bool {
        self == Self::default()
    }

    fn commands(self) -> usize {
        let all = [self.ttl, self.idle, self.idle, self.bytes, self.kind];
        all.into_iter().filter(|on| *on).count()
    }
}

/// What was found out about a key. `None` where it was not asked for, or the server does not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Whether it was there still.
    pub there: bool,
    /// What is left of its time; `Some(None)` for a key that never expires.
    pub ttl: Option<Option<Duration>>,
    /// Since somebody last touched it.
    pub idle: Option<Duration>,
    /// What it takes, by the server's own sample of its elements.
    pub bytes: Option<u64>,
    /// Its type.
    pub kind: Option<String>,
}

/// A command whose counting as a hit or a miss moves the server's hit rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caused {
    /// Hits that our own look-ups counted as.
    pub hits: u64,
    /// Misses.
    pub misses: u64,
}

impl Facts {
    /// What `OBJECT IDLETIME` and `OBJECT REFCOUNT` answered.
    fn add_idle(
        &mut self,
        idle: Result<Value, RedisError>,
        references: &Value,
    ) -> Result<(), RedisError> {
        match idle {
            Ok(Value::Nil) => self.there = false,
            Ok(answer) if !is_shared(references) => {
                let idle = integer(&answer).and_then(|seconds| u64::try_from(seconds).ok());
                self.idle = idle.map(Duration::from_secs);
            }
            // Under an LFU policy there are no idle times.
            Ok(_) | Err(RedisError::Server { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl std::ops::Add for Caused {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { hits: self.hits + other.hits, misses: self.misses + other.misses }
    }
}

impl Selection {
    /// What has to be looked up to decide.
    pub fn wants(&self) -> Wants {
        Wants {
            ttl: self.persistent,
            idle: self.idle.is_some() || self.older_than.is_some(),
            bytes: self.larger_than.is_some(),
            kind: false,
        }
    }

    /// Whether every key of the database is meant, as far as names tell.
    pub fn is_everything(&self) -> bool {
        Glob::new(&self.pattern).matches_everything() && self.exclude.is_empty()
    }

    /// Whether the name, which matches the pattern, is not taken out again.
    pub fn takes_name(&self, key: &[u8]) -> bool {
        !self.exclude.iter().any(|glob| glob.matches(key))
    }

    /// Whether what was looked up fits; what was not is somebody else's to decide.
    pub(crate) fn takes_looked(&self, facts: &Facts, wants: Wants) -> bool {
        let ttl = if wants.ttl { facts.ttl } else { Some(None) };
        self.takes(&Facts { ttl, ..facts.clone() })
    }

    /// Whether what was found out fits. What is not known never does.
    pub fn takes(&self, facts: &Facts) -> bool {
        let idle_for = |least: Option<Duration>| {
            least.is_none_or(|least| facts.idle.is_some_and(|idle| idle >= least))
        };
        facts.there
            && (!self.persistent || facts.ttl == Some(None))
            && idle_for(self.idle)
            && idle_for(self.older_than)
            && self.larger_than.is_none_or(|least| facts.bytes.is_some_and(|bytes| bytes > least))
    }
}

/// Looks up what is wanted of each key, in one round trip.
pub fn look_up(
    link: &mut Link,
    keys: &[Vec<u8>],
    wants: Wants,
    caused: &mut Caused,
) -> Result<Vec<Facts>, RedisError> {
    if wants.nothing() {
        return Ok(vec![Facts { there: true, ..Facts::default() }; keys.len()]);
    }
    let mut pipe = Pipeline::with_capacity(keys.len() * wants.commands());
    for key in keys {
        if wants.ttl {
            pipe.cmd("PTTL").arg(key);
        }
        if wants.idle {
            pipe.cmd("OBJECT").arg("IDLETIME").arg(key);
            pipe.cmd("OBJECT").arg("REFCOUNT").arg(key);
        }
        if wants.bytes {
            pipe.cmd("MEMORY").arg("USAGE").arg(key).arg("SAMPLES").arg(5);
        }
        if wants.kind {
            pipe.cmd("TYPE").arg(key);
        }
    }
    let mut answers = link.ask_all(&pipe)?.into_iter();
    let mut all = Vec::with_capacity(keys.len());
    for _ in keys {
        let mut here: Vec<_> = answers.by_ref().take(wants.commands()).collect();
        // A key whose slot moved is met by whoever got it.
        if here.iter().any(|answer| matches!(answer, Err(error) if error.is_redirect())) {
            all.push(Facts::default());
            continue;
        }
        let mut here = here.drain(..);
        let mut next = || here.next().unwrap_or(Ok(Value::Nil));
        let mut facts = Facts { there: true, ..Facts::default() };
        if wants.ttl {
            match integer(&next()?) {
                Some(-2) => facts.there = false,
                Some(-1) => facts.ttl = Some(None),
                left => {
                    let left = left.and_then(|ms| u64::try_from(ms).ok());
                    facts.ttl = left.map(|ms| Some(Duration::from_millis(ms)));
                }
            }
        }
        if wants.idle {
            facts.add_idle(next(), &next()?)?;
        }
        if wants.bytes {
            match next()? {
                Value::Nil => facts.there = false,
                answer => facts.bytes = integer(&answer).and_then(|b| u64::try_from(b).ok()),
            }
        }
        if wants.kind {
            match next()? {
                Value::SimpleString(kind) if kind == "none" => facts.there = false,
                Value::SimpleString(kind) => facts.kind = Some(kind),
                _ => {}
            }
        }
        // MEMORY USAGE is the one that is not counted.
        let counted = u64::from(wants.ttl) + 2 * u64::from(wants.idle) + u64::from(wants.kind);
        let side = if facts.there { &mut caused.hits } else { &mut caused.misses };
        *side += counted;
        all.push(facts);
    }
    Ok(all)
}

/// Whether what `OBJECT REFCOUNT` says is that of a value that many keys share: nobody counts them.
pub(crate) fn is_shared(references: &Value) -> bool {
    integer(references).is_some_and(|count| count >= i64::from(i32::MAX))
}

pub(crate) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_taken() {
        let hour = Duration::from_hours(1);
        let wanted = KeySelection {
            pattern: b"temp:*".to_vec(),
            persistent: true,
            idle: Some(hour),
            larger_than: Some(100),
            ..KeySelection::default()
        };
        let selection = Selection::from(wanted.clone());
        let good =
            Facts { there: true, ttl: Some(None), idle: Some(hour), bytes: Some(101), kind: None };
        assert!(selection.takes(&good));
        for bad in [
            Facts { there: false, ..good.clone() },
            Facts { ttl: Some(Some(hour)), ..good.clone() },
            Facts { ttl: None, ..good.clone() },
            Facts { idle: None, ..good.clone() },
            Facts { idle: Some(hour / 2), ..good.clone() },
            Facts { bytes: Some(100), ..good.clone() },
            Facts { bytes: None, ..good.clone() },
        ] {
            assert!(!selection.takes(&bad), "{bad:?}");
        }
        assert!(selection.takes_name(b"temp:1"));
        let wanted = KeySelection { exclude: vec![b"temp:keep*".to_vec()], ..wanted };
        let selection = Selection::from(wanted);
        assert!(!selection.takes_name(b"temp:keep:1"));
    }
}
