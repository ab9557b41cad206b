//! Why a Redis is in the state that it is in: one pass over its keys, and a look at its settings.
//!
//! Every key's memory is asked for, which neither counts as a hit nor touches it; a sample of the
//! keys is looked at closely with commands that leave idle times alone but count as hits, and how
//! many those were is told. Memory is bounded, whatever the number of keys.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

use redis::{Pipeline, Value};

use crate::audit_settings::{self, Finding, Settings};
use crate::deployment::{Deployment, Missing};
use crate::error::RedisError;
use crate::info::Info;
use crate::link::Link;
use crate::pace::{Advice, Limits, Pace};
use crate::prefixes::{PrefixCount, Prefixes};
use crate::probe::Probe;
use crate::scan::Scan;
use crate::select::{Caused, Wants, integer, look_up};

/// A key that takes much.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BigKey {
    /// Bytes, by the server's own sample of its elements.
    pub bytes: u64,
    /// Its name.
    pub key: Vec<u8>,
    /// Its type.
    pub kind: String,
    /// How many elements, bytes of a string; asked for only where that leaves its idle time alone.
    pub elements: Option<u64>,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Audit {
    /// Keys that were met.
    pub keys: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// How many were looked at closely.
    pub sampled: u64,
    /// What to think about, the worst first.
    pub findings: Vec<Finding>,
    /// By memory.
    pub prefixes: Vec<(Vec<u8>, PrefixCount)>,
    /// The biggest, first.
    pub big_keys: Vec<BigKey>,
    /// The most used, under an LFU policy.
    pub hot_keys: Vec<(Vec<u8>, u64)>,
    /// Bytes by type, from the sample.
    pub kinds: BTreeMap<String, (u64, u64)>,
    /// What could not be looked at.
    pub missing: Vec<Missing>,
    /// Hits and misses that our look-ups counted as.
    pub caused: Caused,
    /// How long it took.
    pub took: Duration,
}

/// Keys that are looked at closely, over all nodes.
const SAMPLE: u64 = 20_000;
/// Biggest and hottest keys that are named.
const NAMED: usize = 20;
/// Nobody touched it for so long: idle memory.
const IDLE: Duration = Duration::from_hours(7 * 24);

/// What one pass gathers.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub keys: u64,
    pub bytes: u64,
    pub sampled: u64,
    pub sampled_bytes: u64,
    /// Of the sample, what nobody touched for a week: keys and bytes.
    pub idle: (u64, u64),
    /// Whether idle times were told.
    pub tells_idle: bool,
    /// Of the sample, keys by the second in which they end.
    pub ends: BTreeMap<u64, u64>,
    /// Of the sample, strings and collections too large to be one: keys and bytes.
    pub coarse: (u64, u64),
    /// Keys and bytes by type.
    pub kinds: BTreeMap<String, (u64, u64)>,
    prefixes: Prefixes,
    big: BinaryHeap<Reverse<(u64, Vec<u8>)>>,
    hot: BinaryHeap<Reverse<(u64, Vec<u8>)>>,
    caused: Caused,
}

/// Goes over all masters, one after the other. `name` is how commands name this Redis.
pub fn audit(
    deployment: &Deployment,
    name: &str,
    limits: Limits,
    stopped: &dyn Fn() -> bool,
) -> Result<Audit, RedisError> {
    let begun = Instant::now();
    let mut all = Gathered::default();
    let mut settings = Vec::new();
    let mut big_keys = Vec::new();
    for node in &deployment.nodes {
        let mut link = Link::open(&node.endpoint, "audit")?;
        let info = Info::ask(&mut link)?;
        settings.push(Settings::ask(&mut link, info.clone()));
        let probe = Probe::start(&node.endpoint, Duration::from_millis(100))?;
        let mut pass = Pass {
            frequency: info.counts_frequency(),
            share: SAMPLE / deployment.nodes.len().max(1) as u64,
            size: link.ask(&redis::cmd("DBSIZE"))?,
            gathered: &mut all,
        };
        pass.run(&mut link, &probe, Pace::new(limits, probe.idle(), 1), stopped)?;
        let big = std::mem::take(&mut all.big);
        big_keys.extend(describe(&mut link, big, &mut all.caused)?);
    }
    big_keys.sort_unstable_by(|a: &BigKey, b| b.cmp(a));
    big_keys.truncate(NAMED);
    let prefixes = std::mem::take(&mut all.prefixes).into_sorted();
    let mut findings = audit_settings::findings(&settings, name);
    findings.extend(crate::audit_findings::findings(&all, &prefixes, &big_keys, name));
    findings.sort_by_key(|finding| Reverse((finding.severity, finding.bytes)));
    let mut hot_keys: Vec<(Vec<u8>, u64)> =
        all.hot.into_iter().map(|Reverse((frequency, key))| (key, frequency)).collect();
    hot_keys.sort_by_key(|(_, frequency)| Reverse(*frequency));
    Ok(Audit {
        keys: all.keys,
        bytes: all.bytes,
        sampled: all.sampled,
        findings,
        prefixes,
        big_keys,
        hot_keys,
        kinds: all.kinds,
        missing: deployment.missing.clone(),
        caused: all.caused,
        took: begun.elapsed(),
    })
}

struct Pass<'a> {
    frequency: bool,
    share: u64,
    size: u64,
    gathered: &'a mut Gathered,
}

impl Pass<'_> {
    fn run(
        &mut self,
        link: &mut Link,
        probe: &Probe,
        mut pace: Pace,
        stopped: &dyn Fn() -> bool,
    ) -> Result<(), RedisError> {
        let mut scan = Scan::new(None, None);
        // Every so many keys one is looked at closely.
        let every = (self.size / self.share.max(1)).max(1);
        let mut met = 0_u64;
        while !scan.done() {
            if stopped() {
                return Err(RedisError::Interrupted);
            }
            let begun = Instant::now();
            let keys = scan.page(link)?;
            for some in keys.chunks(500) {
                let sizes = sizes(link, some)?;
                for (key, bytes) in some.iter().zip(&sizes) {
                    let Some(bytes) = bytes else { continue };
                    self.gathered.keys += 1;
                    self.gathered.bytes += bytes;
                    keep(&mut self.gathered.big, *bytes, key);
                }
                let close: Vec<bool> =
                    (0..some.len() as u64).map(|n| (met + n).is_multiple_of(every)).collect();
                met += some.len() as u64;
                self.look(link, some, &sizes, &close)?;
            }
            let took = begun.elapsed();
            let trips = (keys.len() / 250 + 2).try_into().unwrap_or(u32::MAX);
            let busy = took.saturating_sub(probe.idle().p50 * trips);
            scan.fit(busy, pace.slice());
            pace.felt(probe.now());
            match pace.after(keys.len(), busy, took) {
                Advice::Rest(rest) => std::thread::sleep(rest),
                Advice::Wait => {
                    std::thread::sleep(Duration::from_millis(200));
                    pace.recovered();
                }
            }
        }
        Ok(())
    }

    /// Looks closely at some keys and takes all of them into the prefixes.
    fn look(
        &mut self,
        link: &mut Link,
        keys: &[Vec<u8>],
        sizes: &[Option<u64>],
        close: &[bool],
    ) -> Result<(), RedisError> {
        let chosen: Vec<Vec<u8>> = keys
            .iter()
            .zip(close)
            .filter(|(_, close)| **close)
            .map(|(key, _)| key.clone())
            .collect();
        let wants = Wants { ttl: true, idle: !self.frequency, kind: true, bytes: false };
        let facts = look_up(link, &chosen, wants, &mut self.gathered.caused)?;
        if self.frequency {
            self.frequencies(link, &chosen)?;
        }
        let now = now(link)?;
        let mut facts = facts.into_iter();
        for ((key, bytes), close) in keys.iter().zip(sizes).zip(close) {
            let seen = if *close { facts.next() } else { None };
            let Some(bytes) = *bytes else { continue };
            let seen = seen.filter(|facts| facts.there);
            let persistent = seen.as_ref().map(|facts| facts.ttl == Some(None));
            self.gathered.prefixes.add(key, bytes, persistent);
            let Some(facts) = seen else { continue };
            let gathered = &mut *self.gathered;
            gathered.sampled += 1;
            gathered.sampled_bytes += bytes;
            gathered.tells_idle |= facts.idle.is_some();
            if facts.idle.is_some_and(|idle| idle >= IDLE) {
                gathered.idle.0 += 1;
                gathered.idle.1 += bytes;
            }
            if let Some(Some(left)) = facts.ttl {
                // Rounded: the two clocks were read some moments apart.
                let end = (now + left + Duration::from_millis(500)).as_secs();
                *gathered.ends.entry(end).or_default() += 1;
            }
            if let Some(kind) = facts.kind {
                const COARSE: u64 = 1 << 20;
                if bytes > COARSE {
                    gathered.coarse.0 += 1;
                    gathered.coarse.1 += bytes;
                }
                let sum = gathered.kinds.entry(kind).or_default();
                sum.0 += 1;
                sum.1 += bytes;
            }
        }
        Ok(())
    }

    fn frequencies(&mut self, link: &mut Link, keys: &[Vec<u8>]) -> Result<(), RedisError> {
        let mut pipe = Pipeline::with_capacity(keys.len());
        for key in keys {
            pipe.cmd("OBJECT").arg("FREQ").arg(key);
        }
        for (key, answer) in keys.iter().zip(link.ask_all(&pipe)?) {
            self.gathered.caused.hits += 1;
            let frequency = answer.ok().as_ref().and_then(integer);
            if let Some(frequency) = frequency.and_then(|n| u64::try_from(n).ok()) {
                keep(&mut self.gathered.hot, frequency, key);
            }
        }
        Ok(())
    }
}

fn now(link: &mut Link) -> Result<Duration, RedisError> {
    let (seconds, micros): (u64, u64) = link.ask(&redis::cmd("TIME"))?;
    Ok(Duration::from_secs(seconds) + Duration::from_micros(micros))
}

/// `MEMORY USAGE` of each.
fn sizes(link: &mut Link, keys: &[Vec<u8>]) -> Result<Vec<Option<u64>>, RedisError> {
    let mut pipe = Pipeline::with_capacity(keys.len());
    for key in keys {
        pipe.cmd("MEMORY").arg("USAGE").arg(key).arg("SAMPLES").arg(3);
    }
    let answers = link.ask_all(&pipe)?;
    answers
        .into_iter()
        .map(|answer| Ok(integer(&answer?).and_then(|bytes| u64::try_from(bytes).ok())))
        .collect()
}

/// Keeps the largest so many.
fn keep(heap: &mut BinaryHeap<Reverse<(u64, Vec<u8>)>>, figure: u64, key: &[u8]) {
    if heap.len() < NAMED {
        heap.push(Reverse((figure, key.to_vec())));
    } else if heap.peek().is_some_and(|Reverse((least, _))| figure > *least) {
        heap.pop();
        heap.push(Reverse((figure, key.to_vec())));
    }
}

/// Type and elements of the biggest.
fn describe(
    link: &mut Link,
    heap: BinaryHeap<Reverse<(u64, Vec<u8>)>>,
    caused: &mut Caused,
) -> Result<Vec<BigKey>, RedisError> {
    let mut big = Vec::new();
    for Reverse((bytes, key)) in heap {
        let kind: String = link.ask(redis::cmd("TYPE").arg(&key))?;
        caused.hits += u64::from(kind != "none");
        let length = match kind.as_str() {
            "string" => "STRLEN",
            "list" => "LLEN",
            "set" => "SCARD",
            "zset" => "ZCARD",
            "hash" => "HLEN",
            "stream" => "XLEN",
            _ => continue,
        };
        let mut elements = None;
        if link.courtesies().no_touch {
            let answer: Value = link.ask(redis::cmd(length).arg(&key))?;
            caused.hits += 1;
            elements = integer(&answer).and_then(|n| u64::try_from(n).ok());
        }
        big.push(BigKey { bytes, key, kind, elements });
    }
    Ok(big)
}
