//! Bringing back what a file keeps: keys that went, and times to live that were changed.
//!
//! Promises: what exists again is left as it is and named; a key never goes because of it; a
//! second try goes on where the first one broke off; what one node does not do does not stop the
//! others.

use std::collections::HashMap;
use std::time::Duration;

use redis::{Pipeline, Value};

use crate::change::{KeyState, Undo, UndoFailed};
use crate::deployment::Deployment;
use crate::endpoint::Endpoint;
use crate::error::RedisError;
use crate::expire_keys::{End, SLACK, ends};
use crate::guarded::{Did, Guarded, Ready, Single, guarded};
use crate::info::Info;
use crate::link::Link;
use crate::undo_file::{Record, Records, TtlRecord, UndoFileError, UndoReader};

/// What bringing back did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeysRestored {
    /// Keys that are back as they were, those included that had come back in an earlier try.
    pub restored: u64,
    /// Keys whose time had ended meanwhile: they stay away, and those whose time to live was
    /// changed keep the one that was set.
    pub expired: u64,
    /// Keys whose time to live was changed and that are gone.
    pub gone: u64,
    /// Keys that exist again with another value, or have another time to live than was set.
    pub conflicts: Vec<Vec<u8>>,
    /// Keys that the server refused, with its words, and nodes that could not be asked.
    pub failed: Vec<(Vec<u8>, String)>,
    /// Why it broke off. What is back is back, and a second try goes on.
    pub stopped: Option<RedisError>,
    /// Whether the file was whole, not cut off.
    pub whole: bool,
}

impl KeysRestored {
    /// Whether nothing is left in the file that could still come back.
    pub fn complete(&self) -> bool {
        self.conflicts.is_empty() && self.failed.is_empty() && self.stopped.is_none()
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
}

/// Brings back what a file keeps. Times to live count on from when they were kept.
pub fn restore_keys(
    deployment: &Deployment,
    reader: &mut UndoReader,
    replace: bool,
    stopped: &dyn Fn() -> bool,
) -> Result<KeysRestored, RestoreError> {
    let kept_at = u64::try_from(reader.header().created_at / 1_000_000_000).unwrap_or(0);
    let mut bringing =
        Bringing { deployment, replace, kept_at, links: HashMap::new(), lost: Vec::new() };
    let mut restored = KeysRestored::default();
    while let Some(records) = reader.next_records()? {
        if stopped() {
            return Err(RedisError::Interrupted.into());
        }
        let brought = match records {
            Records::Keys(records) => bringing.keys(&records, &mut restored),
            Records::Ttls(records) => bringing.ttls(&records, &mut restored),
        };
        if let Err(error) = brought {
            restored.stopped = Some(error);
            break;
        }
    }
    for (what, why, keys) in bringing.lost {
        restored.failed.push((what.into_bytes(), format!("{why}; keys that wait for it: {keys}")));
    }
    restored.whole = reader.whole();
    Ok(restored)
}

/// How often a key is sent after its slot.
const HOPS: u32 = 5;

struct Bringing<'a> {
    deployment: &'a Deployment,
    replace: bool,
    /// Seconds since 1970.
    kept_at: u64,
    links: HashMap<String, Place>,
    /// Who could not be asked, why, and how many keys that concerns.
    lost: Vec<(String, String, u64)>,
}

/// A server to bring back to.
struct Place {
    link: Link,
    modern: bool,
}

impl Place {
    fn open(endpoint: &Endpoint) -> Result<Self, RedisError> {
        let mut link = Link::open(endpoint, "restore")?;
        let modern = Info::ask(&mut link)?.version() >= (7, 0);
        Ok(Self { link, modern })
    }
}

/// The part of some records that one server holds.
type Part<'a, 'r, R> = (&'a Endpoint, Vec<&'r R>);

impl<'a> Bringing<'a> {
    fn keys(&mut self, records: &[Record], restored: &mut KeysRestored) -> Result<(), RedisError> {
        for (endpoint, part) in self.parts(records, |record| &record.key) {
            for some in part.chunks(256) {
                let (replace, kept_at) = (self.replace, self.kept_at);
                let brought = self
                    .place(endpoint)
                    .and_then(|place| put_back(&mut place.link, some, replace, kept_at, restored));
                match brought {
                    Ok(moved) => {
                        for (record, answer) in moved {
                            self.follow(record, answer, restored)?;
                        }
                    }
                    Err(error) => self.lose(endpoint, error, some.len())?,
                }
            }
        }
        Ok(())
    }

    fn ttls(
        &mut self,
        records: &[TtlRecord],
        restored: &mut KeysRestored,
    ) -> Result<(), RedisError> {
        let cluster = self.deployment.node_of(b"").is_some_and(|node| !node.slots.is_empty());
        for (endpoint, part) in self.parts(records, |record| &record.key) {
            let keys: Vec<Vec<u8>> = part.iter().map(|record| record.key.clone()).collect();
            let replace = self.replace;
            let brought = self.place(endpoint).and_then(|place| {
                let records = part.iter().map(|record| (record.key.as_slice(), *record)).collect();
                let fates = HashMap::new();
                let mut back = TtlsBack { records, modern: place.modern, replace, fates };
                let mut did = Did::default();
                match guarded(&mut place.link, &keys, cluster, &mut back, None, &mut did) {
                    Ok(()) => {}
                    Err(UndoFailed::Redis(error)) => return Err(error),
                    Err(UndoFailed::File(_)) => {}
                }
                restored.failed.extend(did.skipped);
                back.tell(&keys, restored);
                Ok(())
            });
            if let Err(error) = brought {
                self.lose(endpoint, error, part.len())?;
            }
        }
        Ok(())
    }

    /// Records by the server that holds their keys; what nobody holds is lost.
    fn parts<'r, R>(
        &mut self,
        records: &'r [R],
        key: impl Fn(&R) -> &[u8],
    ) -> Vec<Part<'a, 'r, R>> {
        let mut parts: Vec<Part<'a, 'r, R>> = Vec::new();
        for record in records {
            let Some(node) = self.deployment.node_of(key(record)) else {
                let why = "no node holds the slots".to_owned();
                self.lost("the cluster".to_owned(), why, 1);
                continue;
            };
            match parts.iter_mut().find(|(endpoint, _)| endpoint.address() == node.address()) {
                Some((_, part)) => part.push(record),
                None => parts.push((&node.endpoint, vec![record])),
            }
        }
        parts
    }

    fn place(&mut self, endpoint: &Endpoint) -> Result<&mut Place, RedisError> {
        let address = endpoint.address();
        if let Some((_, why, _)) = self.lost.iter().find(|(what, ..)| what == address) {
            return Err(RedisError::Unreachable { address: address.to_owned(), why: why.clone() });
        }
        if !self.links.contains_key(address) {
            self.links.insert(address.to_owned(), Place::open(endpoint)?);
        }
        self.links.get_mut(address).ok_or(RedisError::Interrupted)
    }

    /// One server less: the others go on. What every further key would be told ends it all.
    fn lose(
        &mut self,
        endpoint: &Endpoint,
        error: RedisError,
        keys: usize,
    ) -> Result<(), RedisError> {
        if matches!(error, RedisError::OutOfMemory { .. }) || self.deployment.nodes.len() < 2 {
            return Err(error);
        }
        let known = self.lost.iter().any(|(what, ..)| what == endpoint.address());
        let why = if known { String::new() } else { error.to_string() };
        self.lost(endpoint.address().to_owned(), why, keys as u64);
        Ok(())
    }

    fn lost(&mut self, what: String, why: String, keys: u64) {
        match self.lost.iter_mut().find(|(other, ..)| *other == what) {
            Some((.., count)) => *count += keys,
            None => self.lost.push((what, why, keys)),
        }
    }

    /// Brings a key back to where its slot went.
    fn follow(
        &mut self,
        record: &Record,
        mut answer: RedisError,
        restored: &mut KeysRestored,
    ) -> Result<(), RedisError> {
        for _ in 0..HOPS {
            let Some((ask, host, port)) = answer.redirect() else { break };
            let endpoint = self.deployment.seed.sibling(&host, port);
            let (replace, kept_at) = (self.replace, self.kept_at);
            let place = match self.place(&endpoint) {
                Ok(place) => place,
                Err(error) => return self.lose(&endpoint, error, 1),
            };
            place.link.set_asking(ask);
            let brought = put_back(&mut place.link, &[record], replace, kept_at, restored);
            place.link.set_asking(false);
            match brought {
                Ok(mut moved) => match moved.pop() {
                    None => return Ok(()),
                    Some((_, again)) => answer = again,
                },
                Err(error) => return self.lose(&endpoint, error, 1),
            }
        }
        restored.failed.push((record.key.clone(), answer.to_string()));
        Ok(())
    }
}

/// Brings keys back; those that are elsewhere now, with what they were answered.
fn put_back<'a>(
    link: &mut Link,
    records: &[&'a Record],
    replace: bool,
    kept_at: u64,
    restored: &mut KeysRestored,
) -> Result<Vec<(&'a Record, RedisError)>, RedisError> {
    let (seconds, micros): (u64, u64) = link.ask(&redis::cmd("TIME"))?;
    let now = Duration::from_secs(seconds) + Duration::from_micros(micros);
    let since = seconds.saturating_sub(kept_at);
    let over =
        |record: &Record| record.expires_at.is_some_and(|at| u128::from(at) <= now.as_millis());
    let alive: Vec<&'a Record> = records.iter().copied().filter(|record| !over(record)).collect();
    let answers = link.ask_all(&commands(&alive, replace, since))?;
    let mut moved = Vec::new();
    let mut full = None;
    restored.expired += (records.len() - alive.len()) as u64;
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
            Err(error) if error.is_redirect() => moved.push((record, error)),
            Err(error @ RedisError::OutOfMemory { .. }) => full = Some(error),
            Err(error) if error.breaks_link() => return Err(error),
            Err(error) => restored.failed.push((record.key.clone(), error.to_string())),
        }
    }
    full.map_or(Ok(moved), Err)
}

fn commands(records: &[&Record], replace: bool, since: u64) -> Pipeline {
    let mut pipe = Pipeline::with_capacity(records.len());
    for record in records {
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
    pipe
}

/// What becomes of a key whose time to live was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Back,
    Over,
    Gone,
    Conflict,
}

/// Puts earlier times to live back.
struct TtlsBack<'a> {
    records: HashMap<&'a [u8], &'a TtlRecord>,
    modern: bool,
    replace: bool,
    fates: HashMap<Vec<u8>, Fate>,
}

impl TtlsBack<'_> {
    /// What is to become of a key that ends at `end` now.
    fn fate(&self, record: &TtlRecord, end: End, now: u64) -> Fate {
        let slack = if self.modern { 0 } else { SLACK };
        let close = |a: u64, b: u64| a.abs_diff(b) <= slack;
        match (end, record.earlier) {
            (End::Gone, _) => Fate::Gone,
            (End::Never, None) => Fate::Back,
            (End::At(end), Some(earlier)) if close(end, earlier) => Fate::Back,
            (end, earlier) => {
                let ours = matches!(end, End::At(end) if close(end, record.set));
                match earlier {
                    _ if !ours && !self.replace => Fate::Conflict,
                    Some(earlier) if earlier <= now => Fate::Over,
                    _ => Fate::Back,
                }
            }
        }
    }

    fn tell(&self, keys: &[Vec<u8>], restored: &mut KeysRestored) {
        for key in keys {
            match self.fates.get(key) {
                Some(Fate::Back) => restored.restored += 1,
                Some(Fate::Over) => restored.expired += 1,
                Some(Fate::Gone) => restored.gone += 1,
                Some(Fate::Conflict) => restored.conflicts.push(key.clone()),
                None if restored.failed.iter().any(|(failed, _)| failed == key) => {}
                None => {
                    let why = "its slot is on its way to another node".to_owned();
                    restored.failed.push((key.clone(), why));
                }
            }
        }
    }
}

impl Guarded for TtlsBack<'_> {
    fn ready(
        &mut self,
        link: &mut Link,
        keys: &[Vec<u8>],
        _: Option<&dyn Undo>,
        did: &mut Did,
    ) -> Result<Ready, UndoFailed> {
        let (now, ends) = ends(link, keys, self.modern, &mut did.caused)?;
        let (mut commands, mut singles) = (Pipeline::new(), Vec::new());
        for (key, end) in keys.iter().zip(ends) {
            let Some(record) = self.records.get(key.as_slice()) else { continue };
            let fate = self.fate(record, end, now);
            self.fates.insert(key.clone(), fate);
            let as_it_was = record.earlier.map_or(End::Never, End::At);
            if fate != Fate::Back || end == as_it_was {
                continue;
            }
            let verb = if record.earlier.is_some() { "PEXPIREAT" } else { "PERSIST" };
            let command = commands.cmd(verb).arg(key);
            if let Some(earlier) = record.earlier {
                command.arg(earlier);
            }
            let end = if let End::At(end) = end { Some(end) } else { None };
            let state = KeyState { end, value: None };
            singles.push(Single { key: key.clone(), state, verb, argument: record.earlier });
        }
        Ok(Ready { commands, singles, kept: None })
    }

    fn count(&self, answer: &Value) -> u64 {
        u64::from(matches!(answer, Value::Int(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_time_that_was_set_here_is_put_back() {
        let back = TtlsBack {
            records: HashMap::new(),
            modern: true,
            replace: false,
            fates: HashMap::new(),
        };
        let record = |earlier| TtlRecord { key: b"k".to_vec(), earlier, set: 500 };
        let now = 100;
        for (earlier, end, fate) in [
            (None, End::At(500), Fate::Back),
            (Some(200), End::At(500), Fate::Back),
            (Some(200), End::At(200), Fate::Back),
            (None, End::Never, Fate::Back),
            (Some(200), End::Never, Fate::Conflict),
            (None, End::At(501), Fate::Conflict),
            (Some(100), End::At(500), Fate::Over),
            (Some(200), End::Gone, Fate::Gone),
        ] {
            assert_eq!(back.fate(&record(earlier), end, now), fate, "{earlier:?} {end:?}");
        }
        let replacing = TtlsBack { replace: true, ..back };
        assert_eq!(replacing.fate(&record(Some(200)), End::Never, now), Fate::Back);
    }
}
