//! Where a Redis' memory is, added up by prefix, slot, type, time to live or encoding.
//!
//! One pass over the names of the keys, at the pace that others bear, in bounded memory. Memory is
//! asked for by `MEMORY USAGE`, which neither counts as a hit nor is a use of the key, of all keys
//! where they are few and of a sample where they are many; prefix and slot are told by the name.
//! Type, time to live and encoding have to be asked for: of fewer keys, since each question counts
//! as a hit. How many did is told. No idle time is moved.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use redis::{Pipeline, Value};

use crate::deployment::{Deployment, Missing, Node};
use crate::error::RedisError;
use crate::estimate::{Estimate, Figures};
use crate::link::Link;
use crate::pace::Limits;
use crate::prefixes::{Prefixes, Tally, folded};
use crate::scan::Scan;
use crate::select::{Caused, Wants, look_up};
use crate::slot::slot_of;
use crate::walk::{Gait, Walk, Watcher};

/// What keys are added up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeysBy {
    /// What their names have in common, as `user:{n}:cart`.
    Prefix,
    /// `string`, `hash`, ….
    Type,
    /// How long they have to live.
    Ttl,
    /// The slot that they have, or would have, in a cluster.
    Slot,
    /// How the server keeps them, as `listpack`.
    Encoding,
}

impl KeysBy {
    /// Every one, in the order of the help text.
    pub const ALL: [Self; 5] = [Self::Prefix, Self::Type, Self::Ttl, Self::Slot, Self::Encoding];

    /// The name a person types.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prefix => "prefix",
            Self::Type => "type",
            Self::Ttl => "ttl",
            Self::Slot => "slot",
            Self::Encoding => "encoding",
        }
    }

    /// Whether the name of a key tells it.
    fn is_told_by_name(self) -> bool {
        matches!(self, Self::Prefix | Self::Slot)
    }
}

/// Keys that have it in common.
#[derive(Clone, Debug, PartialEq)]
pub struct KeysRow {
    /// The prefix, type, ….
    pub key: Vec<u8>,
    /// How many.
    pub keys: Estimate,
    /// Their memory, in bytes.
    pub bytes: Estimate,
}

/// Where the memory is.
#[derive(Clone, Debug)]
pub struct KeysDu {
    /// The largest first.
    pub rows: Vec<KeysRow>,
    /// Keys that were met.
    pub keys: u64,
    /// The memory of all of them, in bytes.
    pub bytes: Estimate,
    /// How many were asked for their memory.
    pub sampled: u64,
    /// What could not be looked at.
    pub missing: Vec<Missing>,
    /// Hits and misses that our look-ups counted as.
    pub caused: Caused,
    /// How long it took.
    pub took: Duration,
}

/// Keys that are asked for their memory only, over all nodes.
const SIZED: u64 = 100_000;
/// Keys that are asked what counts as a hit, over all nodes.
const ASKED: u64 = 10_000;
/// Keys of each group that are asked for their memory, however rare the group is.
const FIRST: u64 = 30;
/// How long a server is felt before the work.
const IDLE_FOR: Duration = Duration::from_millis(100);

/// What is known of a group.
#[derive(Clone, Debug, Default)]
struct Group {
    keys: u64,
    sizes: Figures,
}

impl Group {
    fn bytes(&self) -> Estimate {
        let whole = self.sizes.count >= self.keys;
        self.sizes.mean(whole).times(Estimate::exact(self.keys as f64))
    }
}

impl Tally for Group {
    fn add(&mut self, other: Self) {
        self.keys += other.keys;
        self.sizes.merge(other.sizes);
    }

    fn keys(&self) -> u64 {
        self.keys
    }

    fn bytes(&self) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 0")]
        let bytes = Group::bytes(self).value as u64;
        bytes
    }
}

/// What is known of all groups.
enum Groups {
    Prefixes(Prefixes<Group>),
    /// As few as there are slots, types, encodings.
    Named(HashMap<Vec<u8>, Group>),
}

impl Groups {
    fn of(&self, name: &[u8]) -> Option<&Group> {
        match self {
            Self::Prefixes(prefixes) => prefixes.of(name),
            Self::Named(groups) => groups.get(name),
        }
    }

    fn put(&mut self, name: Vec<u8>, group: Group) {
        match self {
            Self::Prefixes(prefixes) => prefixes.put(name, group),
            Self::Named(groups) => groups.entry(name).or_default().add(group),
        }
    }
}

/// Goes over all masters, one after the other.
pub fn du(
    deployment: &Deployment,
    by: KeysBy,
    limits: Limits,
    stopped: &dyn Fn() -> bool,
) -> Result<KeysDu, RedisError> {
    let begun = Instant::now();
    let mut size = 0_u64;
    let mut links = Vec::new();
    for node in &deployment.nodes {
        let mut link = Link::open(&node.endpoint, "du")?;
        size += link.ask::<u64>(&redis::cmd("DBSIZE"))?;
        links.push((node, link));
    }
    let sample = if by.is_told_by_name() { SIZED } else { ASKED };
    let mut adding = Adding {
        by,
        limits,
        every: size.div_ceil(sample).max(1),
        extra: SIZED,
        groups: match by {
            KeysBy::Prefix => Groups::Prefixes(Prefixes::default()),
            _ => Groups::Named(HashMap::new()),
        },
        met: 0,
        all: Figures::default(),
        caused: Caused::default(),
        who: &stopped,
    };
    for (node, mut link) in links {
        adding.node(node, &mut link)?;
    }
    Ok(adding.added_up(deployment.missing.clone(), begun.elapsed()))
}

struct Adding<'a> {
    by: KeysBy,
    limits: Limits,
    /// One key of so many is asked.
    every: u64,
    /// How many more may be asked because their group is rare.
    extra: u64,
    groups: Groups,
    met: u64,
    /// Sizes of all that were asked.
    all: Figures,
    caused: Caused,
    who: &'a dyn Watcher,
}

impl Adding<'_> {
    fn node(&mut self, node: &Node, link: &mut Link) -> Result<(), RedisError> {
        let gait = Gait { limits: self.limits, servers: 1, idle_for: IDLE_FOR };
        let mut walk = Walk::begin(&node.endpoint, Scan::new(None, None), gait)?;
        while !walk.scan.done() {
            if self.who.stopped() {
                return Err(RedisError::Interrupted);
            }
            let (begun, waited) = (Instant::now(), link.waited());
            let keys = walk.scan.page(link)?;
            for some in keys.chunks(500) {
                if self.by.is_told_by_name() {
                    self.by_name(link, some)?;
                } else {
                    self.by_question(link, some)?;
                }
            }
            let busy = walk.busy(link.waited().since(waited));
            walk.rest(keys.len(), busy, begun.elapsed(), self.who);
        }
        Ok(())
    }

    /// Whether the next key that is met is one of the sample.
    fn is_drawn(&mut self) -> bool {
        self.met += 1;
        self.met.is_multiple_of(self.every)
    }

    fn by_name(&mut self, link: &mut Link, keys: &[Vec<u8>]) -> Result<(), RedisError> {
        let mut names = Vec::with_capacity(keys.len());
        let mut chosen = Vec::new();
        for key in keys {
            let name = match self.by {
                KeysBy::Slot => format!("slot {}", slot_of(key)).into_bytes(),
                _ => folded(key),
            };
            let drawn = self.is_drawn();
            let rare = self.groups.of(&name).is_none_or(|group| group.sizes.count < FIRST);
            let asked = drawn || (rare && self.extra > 0);
            self.extra -= u64::from(asked && !drawn);
            if asked {
                chosen.push(key.clone());
            }
            names.push((name, asked));
        }
        let wants = Wants { bytes: true, ..Wants::default() };
        let mut facts = look_up(link, &chosen, wants, &mut Caused::default())?.into_iter();
        for (name, asked) in names {
            let mut group = Group { keys: 1, sizes: Figures::default() };
            if asked {
                match facts.next().and_then(|facts| facts.bytes) {
                    Some(bytes) => {
                        group.sizes.add(bytes as f64);
                        self.all.add(bytes as f64);
                    }
                    // It ended since it was met.
                    None => continue,
                }
            }
            self.groups.put(name, group);
        }
        Ok(())
    }

    fn by_question(&mut self, link: &mut Link, keys: &[Vec<u8>]) -> Result<(), RedisError> {
        let drawn: Vec<bool> = keys.iter().map(|_| self.is_drawn()).collect();
        let chosen = keys.iter().zip(drawn).filter(|(_, drawn)| *drawn);
        let chosen: Vec<Vec<u8>> = chosen.map(|(key, _)| key.clone()).collect();
        let (kind, ttl) = (self.by == KeysBy::Type, self.by == KeysBy::Ttl);
        let wants = Wants { bytes: true, kind, ttl, idle: false };
        let facts = look_up(link, &chosen, wants, &mut self.caused)?;
        let encodings = match self.by {
            KeysBy::Encoding => encodings(link, &chosen, &mut self.caused)?,
            _ => Vec::new(),
        };
        for (at, facts) in facts.into_iter().enumerate() {
            let Some(bytes) = facts.bytes.filter(|_| facts.there) else { continue };
            let name = match self.by {
                KeysBy::Ttl => facts.ttl.map(|left| time_left(left).as_bytes().to_vec()),
                KeysBy::Encoding => encodings.get(at).cloned().flatten(),
                _ => facts.kind.map(String::into_bytes),
            };
            let Some(name) = name else { continue };
            let mut group = Group { keys: 1, sizes: Figures::default() };
            group.sizes.add(bytes as f64);
            self.all.add(bytes as f64);
            self.groups.put(name, group);
        }
        Ok(())
    }

    fn added_up(self, missing: Vec<Missing>, took: Duration) -> KeysDu {
        let groups = match self.groups {
            Groups::Prefixes(prefixes) => prefixes.into_sorted(),
            Groups::Named(groups) => groups.into_iter().collect(),
        };
        let met = Estimate::exact(self.met as f64);
        let sampled = self.all.count;
        // A key that ended in between is missing in a sample that is whole all the same.
        let whole = self.every == 1;
        let mut rows: Vec<KeysRow> = groups
            .into_iter()
            .map(|(key, group)| {
                if self.by.is_told_by_name() || whole {
                    let keys = Estimate::exact(group.keys as f64);
                    return KeysRow { key, keys, bytes: group.bytes() };
                }
                let keys = Estimate::share(group.keys, sampled).times(met);
                let bytes = group.sizes.among(sampled).mean(false).times(met);
                KeysRow { key, keys, bytes }
            })
            .collect();
        rows.sort_by(|a, b| b.bytes.value.total_cmp(&a.bytes.value).then(a.key.cmp(&b.key)));
        let bytes = if self.by.is_told_by_name() || whole {
            Estimate::sum(rows.iter().map(|row| row.bytes))
        } else {
            self.all.mean(false).times(met)
        };
        KeysDu { rows, keys: self.met, bytes, sampled, missing, caused: self.caused, took }
    }
}

/// `OBJECT ENCODING` of each, which leaves its idle time alone and counts as a hit.
fn encodings(
    link: &mut Link,
    keys: &[Vec<u8>],
    caused: &mut Caused,
) -> Result<Vec<Option<Vec<u8>>>, RedisError> {
    let mut pipe = Pipeline::with_capacity(keys.len());
    for key in keys {
        pipe.cmd("OBJECT").arg("ENCODING").arg(key);
    }
    let mut all = Vec::with_capacity(keys.len());
    for answer in link.ask_all(&pipe)? {
        let name = match answer {
            Ok(Value::BulkString(name)) => Some(name),
            Ok(Value::SimpleString(name)) => Some(name.into_bytes()),
            Ok(_) => None,
            // Gone, or on its way to another node.
            Err(RedisError::Server { .. }) => None,
            Err(error) if error.is_redirect() => None,
            Err(error) => return Err(error),
        };
        let side = if name.is_some() { &mut caused.hits } else { &mut caused.misses };
        *side += 1;
        all.push(name);
    }
    Ok(all)
}

/// The step in which a time to live lies.
fn time_left(left: Option<Duration>) -> &'static str {
    const HOUR: u64 = 3600;
    const DAY: u64 = 24 * HOUR;
    match left.map(|left| left.as_secs()) {
        None => "no TTL",
        Some(0..60) => "under 1 min",
        Some(60..HOUR) => "1 min to 1 h",
        Some(HOUR..DAY) => "1 h to 1 d",
        Some(seconds) if seconds < 7 * DAY => "1 d to 7 d",
        Some(seconds) if seconds < 30 * DAY => "7 d to 30 d",
        Some(_) => "over 30 d",
    }
}
