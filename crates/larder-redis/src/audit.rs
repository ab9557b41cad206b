//! Why a Redis is in the state that it is in: one pass over its keys, and a look at its settings.
//!
//! Every key's memory is asked for, which neither counts as a hit nor touches it; a sample of the
//! keys is looked at closely with commands that leave idle times alone but count as hits, and how
//! many those were is told. Memory is bounded, whatever the number of keys. What is not allowed
//! is left out and named with its grant.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

use larder_core::size::Units;
use redis::{Pipeline, Value};

use crate::audit_close::{Close, Denials, look};
use crate::audit_encoding::{self, Packing};
use crate::audit_findings::{self, Gathered};
use crate::audit_hot::{LOOKS, WARM, always_in_use};
use crate::audit_settings::{self, Settings};
use crate::deployment::{Deployment, Missing, Node};
use crate::error::RedisError;
use crate::finding::Finding;
use crate::info::Info;
use crate::link::Link;
use crate::pace::Limits;
use crate::prefixes::PrefixCount;
use crate::remedy::redis_cli;
use crate::scan::Scan;
use crate::select::{Caused, integer};
use crate::walk::{Gait, Walk, Watcher};

/// How to look, and how to speak of it.
#[derive(Clone, Copy, Debug)]
pub struct AuditOptions<'a> {
    /// How commands name this Redis.
    pub name: &'a str,
    /// How gently.
    pub limits: Limits,
    /// Of the sizes in sentences.
    pub units: Units,
}

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

/// A key that is used much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HotKey {
    /// Its name.
    pub key: Vec<u8>,
    /// The LFU counter, 0 to 255; `None` where the policy counts none.
    pub frequency: Option<u64>,
    /// At how many looks it had been used within the last second; 0 where the counter tells.
    pub looks: u32,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Audit {
    /// Keys that were met.
    pub keys: u64,
    /// Bytes of all of them; 0 where sizes are not told.
    pub bytes: u64,
    /// How many were looked at closely.
    pub sampled: u64,
    /// What to think about, the worst first.
    pub findings: Vec<Finding>,
    /// By memory.
    pub prefixes: Vec<(Vec<u8>, PrefixCount)>,
    /// The biggest, first.
    pub big_keys: Vec<BigKey>,
    /// The most used, first where that is known.
    pub hot_keys: Vec<HotKey>,
    /// Bytes by type, from the sample.
    pub kinds: BTreeMap<String, (u64, u64)>,
    /// What could not be looked at, with the grant that it takes.
    pub missing: Vec<Missing>,
    /// Hits and misses that our look-ups counted as.
    pub caused: Caused,
    /// How long it took.
    pub took: Duration,
}

/// Keys that are looked at closely, over all nodes.
const SAMPLE: u64 = 10_000;
/// The frequency that a key is made with (`LFU_INIT_VAL` in Redis' `server.h`): nobody used it more.
const NEW: u64 = 5;
/// Biggest and hottest keys that are named.
const NAMED: usize = 20;
/// How long a server is felt before the work.
const IDLE_FOR: Duration = Duration::from_millis(100);

/// The most of something, with the keys that have it.
type Most = BinaryHeap<Reverse<(u64, Vec<u8>)>>;

/// Goes over all masters, one after the other.
pub fn audit(
    deployment: &Deployment,
    options: AuditOptions<'_>,
    stopped: &dyn Fn() -> bool,
) -> Result<Audit, RedisError> {
    let begun = Instant::now();
    let mut auditor = Auditor {
        options,
        share: SAMPLE / deployment.nodes.len().max(1) as u64,
        gathered: Gathered::default(),
        denials: Denials(deployment.missing.clone()),
        settings: Vec::new(),
        big_keys: Vec::new(),
        hot_keys: Vec::new(),
        caused: Caused::default(),
        who: &stopped,
    };
    for node in &deployment.nodes {
        auditor.node(node)?;
    }
    let Auditor { mut gathered, settings, mut big_keys, mut hot_keys, denials, caused, .. } =
        auditor;
    big_keys.sort_unstable_by(|a, b| b.cmp(a));
    big_keys.truncate(NAMED);
    hot_keys.sort_by_key(|hot: &HotKey| Reverse((hot.frequency, hot.looks)));
    hot_keys.truncate(NAMED);
    let prefixes = std::mem::take(&mut gathered.prefixes).into_sorted();
    let mut findings = audit_settings::findings(&settings, &big_keys, options);
    findings.extend(audit_findings::findings(&mut gathered, &prefixes, &big_keys, options));
    findings.sort_by_key(|finding| Reverse((finding.severity, finding.bytes)));
    Ok(Audit {
        keys: gathered.keys,
        bytes: gathered.bytes,
        sampled: gathered.sampled,
        findings,
        prefixes,
        big_keys,
        hot_keys,
        kinds: gathered.kinds,
        missing: denials.0,
        caused,
        took: begun.elapsed(),
    })
}

struct Auditor<'a> {
    options: AuditOptions<'a>,
    /// Keys of each node that are looked at closely.
    share: u64,
    gathered: Gathered,
    denials: Denials,
    settings: Vec<Settings>,
    big_keys: Vec<BigKey>,
    hot_keys: Vec<HotKey>,
    caused: Caused,
    who: &'a dyn Watcher,
}

/// One server on the way over it.
struct Passing {
    link: Link,
    frequency: bool,
    packing: Packing,
    /// The server's time when our clock read `begun`.
    time: Duration,
    begun: Instant,
    big: Most,
    frequent: Most,
    /// Keys of the sample that were used within the last second.
    warm: Vec<Vec<u8>>,
    sampled: u64,
}

impl Auditor<'_> {
    fn node(&mut self, node: &Node) -> Result<(), RedisError> {
        let mut link = Link::open(&node.endpoint, "audit")?;
        let info = match Info::ask(&mut link) {
            Ok(info) => info,
            Err(error) => {
                self.denials.sift("memory, policy and version", Err(error))?;
                Info::default()
            }
        };
        let settings = Settings::ask(&mut link, info.clone(), &mut self.denials)?;
        let (seconds, micros): (u64, u64) = link.ask(&redis::cmd("TIME"))?;
        let size: u64 = link.ask(&redis::cmd("DBSIZE"))?;
        let mut passing = Passing {
            link,
            frequency: info.counts_frequency(),
            packing: Packing {
                server: redis_cli(&node.endpoint),
                limits: audit_encoding::limits(settings.values()),
            },
            time: Duration::from_secs(seconds) + Duration::from_micros(micros),
            begun: Instant::now(),
            big: Most::new(),
            frequent: Most::new(),
            warm: Vec::new(),
            sampled: 0,
        };
        self.gathered.uptime = Duration::from_secs(info.u64("uptime_in_seconds").unwrap_or(0));
        self.settings.push(settings);
        let gait = Gait { limits: self.options.limits, servers: 1, idle_for: IDLE_FOR };
        let walk = Walk::begin(&node.endpoint, Scan::new(None, None), gait)?;
        // Every so many keys one is looked at closely.
        let every = (size / self.share.max(1)).max(1);
        self.pass(&mut passing, walk, every)?;
        let Passing { mut link, big, frequent, warm, sampled, .. } = passing;
        let hot = frequent.into_iter().map(|Reverse((frequency, key))| HotKey {
            key,
            frequency: Some(frequency),
            looks: 0,
        });
        self.hot_keys.extend(hot);
        let hot = always_in_use(&mut link, warm, sampled, &mut self.caused, self.who)?;
        let hot = hot.into_iter().take(NAMED);
        self.hot_keys.extend(hot.map(|key| HotKey { key, frequency: None, looks: LOOKS + 1 }));
        self.describe(&mut link, big)
    }

    fn pass(
        &mut self,
        passing: &mut Passing,
        mut walk: Walk,
        every: u64,
    ) -> Result<(), RedisError> {
        let mut met = 0_u64;
        while !walk.scan.done() {
            if self.who.stopped() {
                return Err(RedisError::Interrupted);
            }
            let (begun, waited) = (Instant::now(), passing.link.waited());
            let keys = walk.scan.page(&mut passing.link)?;
            for some in keys.chunks(500) {
                let sizes = self.sizes(&mut passing.link, some)?;
                let mut chosen = Vec::new();
                for (key, bytes) in some.iter().zip(sizes) {
                    let Some(bytes) = bytes else { continue };
                    self.gathered.keys += 1;
                    self.gathered.bytes += bytes;
                    keep(&mut passing.big, bytes, key);
                    if met.is_multiple_of(every) {
                        chosen.push((key.clone(), bytes));
                    } else {
                        self.gathered.prefixes.add(key, bytes, None);
                    }
                    met += 1;
                }
                self.close(passing, chosen)?;
            }
            let busy = walk.busy(passing.link.waited().since(waited));
            walk.rest(keys.len(), busy, begun.elapsed(), self.who);
        }
        Ok(())
    }

    /// `MEMORY USAGE` of each; `None` where it is gone.
    fn sizes(&mut self, link: &mut Link, keys: &[Vec<u8>]) -> Result<Vec<Option<u64>>, RedisError> {
        let mut pipe = Pipeline::with_capacity(keys.len());
        for key in keys {
            pipe.cmd("MEMORY").arg("USAGE").arg(key).arg("SAMPLES").arg(3);
        }
        let answers = link.ask_all(&pipe)?.into_iter();
        let denials = &mut self.denials;
        answers
            .map(|answer| match denials.sift("sizes of keys", answer)? {
                Some(answer) => Ok(integer(&answer).and_then(|bytes| u64::try_from(bytes).ok())),
                // No key takes nothing: this stands for what is not told.
                None => Ok(Some(0)),
            })
            .collect()
    }

    /// Looks closely at keys of the sample.
    fn close(
        &mut self,
        passing: &mut Passing,
        chosen: Vec<(Vec<u8>, u64)>,
    ) -> Result<(), RedisError> {
        if chosen.is_empty() {
            return Ok(());
        }
        let (caused, denials) = (&mut self.caused, &mut self.denials);
        let looked = look(&mut passing.link, chosen, passing.frequency, caused, denials)?;
        let now = passing.time + passing.begun.elapsed();
        for key in looked {
            let overs = &mut self.gathered.overs;
            overs.look(&mut passing.link, &key, &passing.packing, caused, denials)?;
            passing.take(&key);
            self.gathered.take(&key, now);
        }
        Ok(())
    }

    /// Type and elements of the biggest.
    fn describe(&mut self, link: &mut Link, biggest: Most) -> Result<(), RedisError> {
        for Reverse((bytes, key)) in biggest {
            let kind = link.ask::<Value>(redis::cmd("TYPE").arg(&key));
            let kind = match self.denials.sift("types", kind)? {
                Some(Value::SimpleString(kind)) if kind != "none" => kind,
                Some(_) => continue,
                None => String::new(),
            };
            self.caused.hits += u64::from(!kind.is_empty());
            let length = match kind.as_str() {
                "string" => "STRLEN",
                "list" => "LLEN",
                "set" => "SCARD",
                "zset" => "ZCARD",
                "hash" => "HLEN",
                "stream" => "XLEN",
                _ => "",
            };
            let mut elements = None;
            if link.courtesies().no_touch && !length.is_empty() {
                let answer = link.ask::<Value>(redis::cmd(length).arg(&key));
                self.caused.hits += 1;
                let answer = self.denials.sift("elements", answer)?;
                elements = answer.as_ref().and_then(integer).and_then(|n| u64::try_from(n).ok());
            }
            self.big_keys.push(BigKey { bytes, key, kind, elements });
        }
        Ok(())
    }
}

impl Passing {
    /// Takes note of a key that was used much, or a moment ago.
    fn take(&mut self, key: &Close) {
        self.sampled += 1;
        if let Some(frequency) = key.frequency.filter(|frequency| *frequency > NEW) {
            keep(&mut self.frequent, frequency, &key.key);
        }
        let warm = key.idle.is_some_and(|idle| idle <= Duration::from_secs(1));
        if warm && self.warm.len() < WARM {
            self.warm.push(key.key.clone());
        }
    }
}

/// Keeps the largest so many.
fn keep(heap: &mut Most, figure: u64, key: &[u8]) {
    if figure == 0 {
        return;
    }
    if heap.len() < NAMED {
        heap.push(Reverse((figure, key.to_vec())));
    } else if heap.peek().is_some_and(|Reverse((least, _))| figure > *least) {
        heap.pop();
        heap.push(Reverse((figure, key.to_vec())));
    }
}
