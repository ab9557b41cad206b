//! What a Redis is like now, from one `INFO` and a few `PING`s of each of its masters: nothing
//! that a key or a hit rate would notice.
//!
//! What the user may not ask is left out and named with its grant; the rest is measured all the
//! same (`measure_denied.rs`). What is not known is `None`, never zero.

use std::time::Duration;

use larder_core::{RedisVitals, Score, Time, redis_score};

use crate::deployment::{Deployment, Missing, Node};
use crate::endpoint::Endpoint;
use crate::error::RedisError;
use crate::info::{Info, Role, text_part};
use crate::link::Link;
use crate::measure_denied;
use crate::pace::Felt;
use crate::readings::{Reading, Readings, Window, rate};

/// Whether a server can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServerState {
    /// It takes reads and writes.
    #[default]
    Ok,
    /// It is a replica in step.
    ReadOnly,
    /// It is a replica that lost its master or lies behind.
    Lagging,
    /// It still reads its data set.
    Loading,
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

/// Whether what a server holds would survive it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Persistence {
    /// `rdb_last_bgsave_status`.
    pub last_save_ok: Option<bool>,
    /// `aof_last_write_status`; `None` too where there is no append-only file.
    pub last_append_ok: Option<bool>,
    /// Changes since the last snapshot, which is all of them where none is made.
    pub changes_since_save: Option<u64>,
}

/// How a server and its replicas, or a replica and its master, stand to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replication {
    /// Replicas that are connected.
    pub replicas: Option<u64>,
    /// The longest that a replica has not been heard of, or a replica not of its master.
    pub lag: Option<Duration>,
    /// Whether a replica has its master, or a master all of its connected replicas in step;
    /// `None` where there is no replica.
    pub link_up: Option<bool>,
}

/// What was measured, over all masters.
#[derive(Clone, Debug, Default)]
pub struct Vitals {
    /// The worst of all.
    pub state: ServerState,
    /// `redis 7.0.15`, of the first.
    pub product: String,
    /// How many masters answered.
    pub masters: usize,
    /// What could not be asked, with the grant that it takes.
    pub missing: Vec<Missing>,
    /// Since the youngest of them was started.
    pub uptime: Option<Duration>,
    /// Keys of the database that the endpoint names.
    pub keys: Option<u64>,
    /// Those without a time to live.
    pub persistent_keys: Option<u64>,
    /// `used_memory` without what eviction does not count, bytes.
    pub used_memory: Option<u64>,
    /// `used_memory_rss`, bytes.
    pub resident: Option<u64>,
    /// `maxmemory`, bytes; `None` where there is no limit.
    pub max_memory: Option<u64>,
    /// What goes when it is full, of the first: `allkeys-lru`.
    pub policy: Option<String>,
    /// The allocator's own ratio; 1 is none at all.
    pub fragmentation: Option<f64>,
    /// What the allocator holds over what it gave, bytes.
    pub fragmented: Option<u64>,
    /// Keys that had to go, since the server started or its statistics were reset.
    pub evicted: Option<u64>,
    /// Look-ups that found a key, since the same time, without our own.
    pub hits: Option<u64>,
    /// Those that did not.
    pub misses: Option<u64>,
    /// Clients, replicas and cluster links.
    pub connections: Option<u64>,
    /// `maxclients`.
    pub max_connections: Option<u64>,
    /// Clients that wait in a blocking command.
    pub blocked_clients: Option<u64>,
    /// Connections refused because there were too many, since the same time as `evicted`.
    pub rejected: Option<u64>,
    /// Snapshots and the append-only file.
    pub persistence: Persistence,
    /// Masters and replicas.
    pub replication: Replication,
    /// What a client beside the others waits.
    pub latency: Felt,
    /// What happened since the reading that was handed in; `None` without one, or where the
    /// server's counters began anew since.
    pub window: Option<Window>,
}

impl Vitals {
    /// 0 to 1: since the earlier reading where enough happened since, otherwise since the server
    /// started; `None` before there was enough to tell.
    pub fn hit_rate(&self) -> Option<f64> {
        let since = self.window.as_ref().and_then(Window::hit_rate);
        since.or_else(|| rate(self.hits?, self.misses?))
    }

    /// Over how long [`Vitals::hit_rate`] is; `None` where it is since the server started or its
    /// statistics were reset.
    pub fn hit_window(&self) -> Option<Duration> {
        let window = self.window.as_ref();
        window.filter(|window| window.hit_rate().is_some()).map(|window| window.span)
    }

    /// Used memory of what it may take, 0 to 1 and beyond; `budget` in bytes stands in where the
    /// server has no limit.
    pub fn memory_usage(&self, budget: Option<u64>) -> Option<f64> {
        let limit = match (self.max_memory, budget) {
            (Some(max), Some(budget)) => max.min(budget),
            (max, budget) => max.or(budget)?,
        };
        Some(self.used_memory? as f64 / limit.max(1) as f64)
    }

    /// Connections of those allowed, 0 to 1.
    pub fn connection_usage(&self) -> Option<f64> {
        Some(self.connections? as f64 / self.max_connections?.max(1) as f64)
    }

    /// The score; `budget` in bytes stands in where the server has no limit.
    pub fn score(&self, budget: Option<u64>) -> Score {
        redis_score(RedisVitals {
            hit_rate: self.hit_rate(),
            memory_usage: self.memory_usage(budget),
            latency: (self.latency.samples > 0).then_some(self.latency.p50),
        })
    }
}

/// What was measured, and what to hand in the next time.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Now, and since the earlier reading.
    pub vitals: Vitals,
    /// The baseline of the next time.
    pub readings: Readings,
}

/// How many pings tell the latency.
const PINGS: usize = 20;

/// Measures all masters; since they started.
pub fn measure(seed: &Endpoint) -> Result<Vitals, RedisError> {
    let measured = measure_since(seed, &Readings::default(), Time::from_unix(0))?;
    Ok(measured.vitals)
}

/// Measures all masters, and what happened since `before`.
pub fn measure_since(
    seed: &Endpoint,
    before: &Readings,
    now: Time,
) -> Result<Measured, RedisError> {
    let found = Deployment::discover(seed)?;
    let mut missing = found.missing;
    let mut all: Option<Vitals> = None;
    let mut readings = Readings::default();
    let (mut untold, mut last) = (false, None);
    for node in found.nodes {
        match one(&node, now) {
            Ok((vitals, reading)) => {
                untold |= reading.is_none();
                readings.nodes.extend(reading);
                missing.extend(vitals.missing.iter().cloned());
                match &mut all {
                    Some(all) => all.add(&vitals),
                    None => all = Some(vitals),
                }
            }
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
    let mut vitals = all.ok_or(last.unwrap_or(nobody))?;
    vitals.missing = missing;
    if untold {
        // The sum of what some of them tell says nothing about all.
        return Ok(Measured { vitals, readings: before.clone() });
    }
    vitals.window = readings.since(before);
    let own = before.own(&readings, vitals.window.as_ref());
    vitals.hits = vitals.hits.map(|hits| hits.saturating_sub(own.hits));
    vitals.misses = vitals.misses.map(|misses| misses.saturating_sub(own.misses));
    let readings = before.next(readings, vitals.window.as_ref());
    Ok(Measured { vitals, readings })
}

fn one(node: &Node, now: Time) -> Result<(Vitals, Option<Reading>), RedisError> {
    let mut link = Link::open(&node.endpoint, "status")?;
    let mut vitals = match Info::ask(&mut link) {
        Ok(info) => {
            let name = if node.id.is_empty() { node.address() } else { &node.id };
            let reading = Reading::of(name, &info, now);
            let mut vitals = told(&info, node.endpoint.database);
            if vitals.max_connections.is_none() {
                // Told since 6.2.
                let missing = &mut vitals.missing;
                vitals.max_connections = measure_denied::setting(&mut link, "maxclients", missing)?;
            }
            (vitals, reading)
        }
        Err(error) if error.is_missing_right() => (measure_denied::ask(&mut link, &error)?, None),
        Err(error) => return Err(error),
    };
    match (0..PINGS).map(|_| link.ping()).collect::<Result<Vec<Duration>, _>>() {
        Ok(pings) => vitals.0.latency = Felt::of(pings),
        // A server that loads answers to INFO alone.
        Err(RedisError::Loading { .. }) => vitals.0.state = ServerState::Loading,
        Err(error) if error.is_missing_right() => {
            let what = "latency".to_owned();
            vitals.0.missing.push(Missing { what, why: error.to_string() });
        }
        Err(error) => return Err(error),
    }
    Ok(vitals)
}

/// What `INFO` tells.
fn told(info: &Info, database: u32) -> Vitals {
    let keyspace = info.keyspace(database);
    let uncounted = info.u64("mem_not_counted_for_evict").unwrap_or(0);
    let links = |field: &str| info.u64(field).unwrap_or(0);
    Vitals {
        state: state(info),
        product: info.product(),
        masters: 1,
        uptime: info.u64("uptime_in_seconds").map(Duration::from_secs),
        keys: Some(keyspace.keys),
        persistent_keys: Some(keyspace.persistent()),
        used_memory: info.u64("used_memory").map(|used| used.saturating_sub(uncounted)),
        resident: info.u64("used_memory_rss"),
        max_memory: info.u64("maxmemory").filter(|max| *max > 0),
        policy: Some(info.policy().to_owned()).filter(|policy| !policy.is_empty()),
        fragmentation: info.f64("allocator_frag_ratio"),
        fragmented: info.u64("allocator_frag_bytes"),
        evicted: info.u64("evicted_keys"),
        hits: info.u64("keyspace_hits"),
        misses: info.u64("keyspace_misses"),
        connections: info
            .u64("connected_clients")
            .map(|clients| clients + links("connected_slaves") + links("cluster_connections")),
        max_connections: info.u64("maxclients"),
        blocked_clients: info.u64("blocked_clients"),
        rejected: info.u64("rejected_connections"),
        persistence: persistence(info),
        replication: replication(info),
        ..Vitals::default()
    }
}

fn persistence(info: &Info) -> Persistence {
    let well = |field: &str| info.get(field).map(|status| status == "ok");
    let appends = info.u64("aof_enabled") == Some(1);
    Persistence {
        last_save_ok: well("rdb_last_bgsave_status"),
        last_append_ok: well("aof_last_write_status").filter(|_| appends),
        changes_since_save: info.u64("rdb_changes_since_last_save"),
    }
}

fn replication(info: &Info) -> Replication {
    let lines: Vec<&str> = info.replicas().collect();
    let lags = lines.iter().filter_map(|line| text_part(line, "lag")?.parse().ok());
    let (lag, link_up) = if info.role() == Role::Replica {
        // Below zero where it was never heard of.
        (info.u64("master_last_io_seconds_ago"), Some(info.get("master_link_status") == Some("up")))
    } else {
        let online = lines.iter().all(|line| text_part(line, "state") == Some("online"));
        (lags.max(), (!lines.is_empty()).then_some(online))
    };
    Replication {
        replicas: info.u64("connected_slaves"),
        lag: lag.map(Duration::from_secs),
        link_up,
    }
}

/// A replica that is so many seconds behind is lagging.
const LAG: Duration = Duration::from_secs(10);

fn state(info: &Info) -> ServerState {
    if info.loading() {
        return ServerState::Loading;
    }
    if info.role() != Role::Replica {
        return ServerState::Ok;
    }
    let replication = replication(info);
    let quiet = replication.lag.is_none_or(|lag| lag <= LAG);
    let up = replication.link_up == Some(true);
    if up && quiet { ServerState::ReadOnly } else { ServerState::Lagging }
}

impl Vitals {
    fn add(&mut self, other: &Self) {
        let sum = |a: Option<u64>, b: Option<u64>| Some(a? + b?);
        let worse = |a: Option<bool>, b: Option<bool>| match (a, b) {
            (Some(a), Some(b)) => Some(a && b),
            (Some(false), None) | (None, Some(false)) => Some(false),
            _ => None,
        };
        self.state = self.state.max(other.state);
        self.masters += other.masters;
        self.uptime = self.uptime.zip(other.uptime).map(|(a, b)| a.min(b));
        self.keys = sum(self.keys, other.keys);
        self.persistent_keys = sum(self.persistent_keys, other.persistent_keys);
        self.used_memory = sum(self.used_memory, other.used_memory);
        self.resident = sum(self.resident, other.resident);
        self.max_memory = sum(self.max_memory, other.max_memory);
        self.max_connections = sum(self.max_connections, other.max_connections);
        self.fragmentation = match (self.fragmentation, other.fragmentation) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        self.fragmented = sum(self.fragmented, other.fragmented);
        self.evicted = sum(self.evicted, other.evicted);
        self.hits = sum(self.hits, other.hits);
        self.misses = sum(self.misses, other.misses);
        self.connections = sum(self.connections, other.connections);
        self.blocked_clients = sum(self.blocked_clients, other.blocked_clients);
        self.rejected = sum(self.rejected, other.rejected);
        let (ours, theirs) = (&mut self.persistence, other.persistence);
        ours.last_save_ok = worse(ours.last_save_ok, theirs.last_save_ok);
        ours.last_append_ok = worse(ours.last_append_ok, theirs.last_append_ok);
        ours.changes_since_save = sum(ours.changes_since_save, theirs.changes_since_save);
        let (ours, theirs) = (&mut self.replication, other.replication);
        ours.replicas = sum(ours.replicas, theirs.replicas);
        ours.lag = ours.lag.max(theirs.lag);
        // A master without replicas has nothing to say about those of the others.
        ours.link_up = worse(ours.link_up.or(theirs.link_up), theirs.link_up.or(ours.link_up));
        // What a client feels on the slowest is what it remembers.
        if other.latency.p50 > self.latency.p50 {
            self.latency = other.latency;
        }
    }
}
