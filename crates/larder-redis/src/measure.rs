//! What a Redis is like now, from one `INFO` and a few `PING`s of each of its masters: nothing
//! that a key or a hit rate would notice.

use std::time::Duration;

use larder_core::{RedisVitals, Score, redis_score};

use crate::deployment::{Deployment, Missing};
use crate::endpoint::Endpoint;
use crate::error::RedisError;
use crate::info::Info;
use crate::link::Link;
use crate::pace::Felt;

/// Whether a server can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// It takes reads and writes.
    Ok,
    /// It still reads its data set.
    Loading,
    /// It is a replica in step.
    ReadOnly,
    /// It is a replica that lost its master or lies behind.
    Lagging,
}

impl ServerState {
    /// The word in JSON and on screens.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Loading => "loading",
            Self::ReadOnly => "read-only",
            Self::Lagging => "replica lagging",
        }
    }
}

/// What was measured, over all masters.
#[derive(Clone, Debug)]
pub struct Vitals {
    /// The worst of all.
    pub state: ServerState,
    /// `redis 7.0.15`, of the first.
    pub product: String,
    /// How many masters answered.
    pub masters: usize,
    /// What could not be asked.
    pub missing: Vec<Missing>,
    /// Keys of the database that the endpoint names.
    pub keys: u64,
    /// Those without a time to live.
    pub persistent_keys: u64,
    /// `used_memory` without what eviction does not count, bytes.
    pub used_memory: u64,
    /// `used_memory_rss`, bytes.
    pub resident: u64,
    /// `maxmemory`, bytes; `None` where there is no limit.
    pub max_memory: Option<u64>,
    /// The allocator's own ratio; 1 is none at all.
    pub fragmentation: Option<f64>,
    /// Since the server started.
    pub evicted: u64,
    /// Look-ups that found a key, since the server started or its statistics were reset.
    pub hits: u64,
    /// Those that did not.
    pub misses: u64,
    /// Clients, replicas and cluster links.
    pub connections: u64,
    /// `maxclients`.
    pub max_connections: Option<u64>,
    /// What a client beside the others waits.
    pub latency: Felt,
}

impl Vitals {
    /// 0 to 1; `None` before there was enough to tell.
    pub fn hit_rate(&self) -> Option<f64> {
        const ENOUGH: u64 = 100;
        let all = self.hits + self.misses;
        (all >= ENOUGH).then(|| self.hits as f64 / all as f64)
    }

    /// The score; `budget` in bytes stands in where the server has no limit.
    pub fn score(&self, budget: Option<u64>) -> Score {
        let limit = match (self.max_memory, budget) {
            (Some(max), Some(budget)) => Some(max.min(budget)),
            (max, budget) => max.or(budget),
        };
        redis_score(RedisVitals {
            hit_rate: self.hit_rate(),
            memory_usage: limit.map(|limit| self.used_memory as f64 / limit.max(1) as f64),
            latency: (self.latency.samples > 0).then_some(self.latency.p50),
        })
    }
}

/// How many pings tell the latency.
const PINGS: usize = 20;

/// Measures all masters.
pub fn measure(seed: &Endpoint) -> Result<Vitals, RedisError> {
    let found = Deployment::discover(seed)?;
    let mut missing = found.missing;
    let mut all: Option<Vitals> = None;
    let mut last = None;
    for node in found.nodes {
        match one(&node.endpoint) {
            Ok(vitals) => match &mut all {
                Some(all) => all.add(&vitals),
                None => all = Some(vitals),
            },
            Err(error) => {
                let what = node.address().to_owned();
                missing.push(Missing { what, why: error.to_string() });
                last = Some(error);
            }
        }
    }
    let nobody = RedisError::Unreachable {
        address: seed.address().to_owned(),
        why: "no master of it can be used".to_owned(),
    };
    let mut all = all.ok_or(last.unwrap_or(nobody))?;
    all.missing = missing;
    Ok(all)
}

fn one(endpoint: &Endpoint) -> Result<Vitals, RedisError> {
    let mut link = Link::open(endpoint, "status")?;
    let info = Info::ask(&mut link)?;
    let pings = (0..PINGS).map(|_| link.ping()).collect::<Result<Vec<Duration>, _>>();
    // A server that loads answers to INFO alone.
    let latency = pings.map(Felt::of).unwrap_or_default();
    let number = |field: &str| info.u64(field).unwrap_or(0);
    let keyspace = info.keyspace(endpoint.database);
    Ok(Vitals {
        state: state(&info),
        product: info.product(),
        masters: 1,
        missing: Vec::new(),
        keys: keyspace.keys,
        persistent_keys: keyspace.persistent(),
        used_memory: number("used_memory").saturating_sub(number("mem_not_counted_for_evict")),
        resident: number("used_memory_rss"),
        max_memory: info.u64("maxmemory").filter(|max| *max > 0),
        fragmentation: info.f64("allocator_frag_ratio"),
        evicted: number("evicted_keys"),
        hits: number("keyspace_hits"),
        misses: number("keyspace_misses"),
        connections: number("connected_clients")
            + number("connected_slaves")
            + number("cluster_connections"),
        max_connections: info.u64("maxclients"),
        latency,
    })
}

/// A replica that is so many seconds behind is lagging.
const LAG: u64 = 10;

fn state(info: &Info) -> ServerState {
    if info.loading() {
        return ServerState::Loading;
    }
    if info.role() != crate::info::Role::Replica {
        return ServerState::Ok;
    }
    let up = info.get("master_link_status") == Some("up");
    let quiet = info.u64("master_last_io_seconds_ago").unwrap_or(0);
    if up && quiet <= LAG { ServerState::ReadOnly } else { ServerState::Lagging }
}

impl Vitals {
    fn add(&mut self, other: &Self) {
        let worse = |state: ServerState| match state {
            ServerState::Ok => 0,
            ServerState::ReadOnly => 1,
            ServerState::Lagging => 2,
            ServerState::Loading => 3,
        };
        if worse(other.state) > worse(self.state) {
            self.state = other.state;
        }
        let sum = |a: Option<u64>, b: Option<u64>| Some(a? + b?);
        self.masters += other.masters;
        self.keys += other.keys;
        self.persistent_keys += other.persistent_keys;
        self.used_memory += other.used_memory;
        self.resident += other.resident;
        self.max_memory = sum(self.max_memory, other.max_memory);
        self.max_connections = sum(self.max_connections, other.max_connections);
        self.fragmentation = match (self.fragmentation, other.fragmentation) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        self.evicted += other.evicted;
        self.hits += other.hits;
        self.misses += other.misses;
        self.connections += other.connections;
        // What a client feels on the slowest is what it remembers.
        if other.latency.p50 > self.latency.p50 {
            self.latency = other.latency;
        }
    }
}
