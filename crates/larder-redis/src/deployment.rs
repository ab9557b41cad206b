//! Which servers make up one Redis: a single one, the master that a Sentinel names, or the masters
//! of a cluster; each with its replicas.

use crate::cluster_nodes::{self, ClusterNode};
use crate::endpoint::Endpoint;
use crate::error::RedisError;
use crate::info::{Info, Role, text_part};
use crate::link::Link;
use crate::measure_denied::hello;
use crate::slot::{SLOTS, slot_of};

/// How the servers belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One server, perhaps with replicas.
    Standalone,
    /// One master, found through a Sentinel.
    Sentinel,
    /// Several masters, each with a part of the slots.
    Cluster,
}

/// A master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Its name in a cluster; empty elsewhere.
    pub id: String,
    /// Its slots in a cluster, each range with both ends; empty elsewhere.
    pub slots: Vec<(u16, u16)>,
    /// Those that follow it and were in step when asked.
    pub replicas: Vec<Endpoint>,
    /// The nodes of its cluster from which slots are on their way to it, where it was asked.
    pub imports: Vec<String>,
    /// Whether it says itself that it is a replica, and where its master is.
    pub follows: Option<String>,
}

impl Node {
    /// `host:port` or the socket's path.
    pub fn address(&self) -> &str {
        self.endpoint.address()
    }

    /// Whether this holds, or is getting, slots of `from`, which is at `address`.
    pub(crate) fn took_over(&self, from: &Self, address: &str) -> bool {
        let both = |a: &(u16, u16), b: &(u16, u16)| a.0 <= b.1 && b.0 <= a.1;
        let shared = self.slots.iter().any(|mine| from.slots.iter().any(|its| both(mine, its)));
        self.address() != address && (shared || self.imports.contains(&from.id))
    }
}

/// A node that should be there and is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Where it should be, or which slots nobody has.
    pub what: String,
    /// Why it cannot be used.
    pub why: String,
}

/// The servers of one Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// Where they were found: a Sentinel knows the master after a failover.
    pub seed: Endpoint,
    /// How they belong together.
    pub shape: Shape,
    /// The masters that can be used.
    pub nodes: Vec<Node>,
    /// What cannot: the rest goes on without it.
    pub missing: Vec<Missing>,
}

impl Deployment {
    /// Finds out what the server at this place belongs to.
    pub fn discover(seed: &Endpoint) -> Result<Self, RedisError> {
        // A Sentinel has one database and refuses SELECT, so the first look is at database 0.
        let mut link = Link::open(&seed.with_database(0), "discover")?;
        let info = match Info::ask(&mut link) {
            Ok(info) => info,
            Err(error) if error.is_missing_right() => return untold(seed, &mut link),
            Err(error) => return Err(error),
        };
        if info.role() == Role::Sentinel {
            return sentinel(seed, &mut link);
        }
        if info.mode() == Some("cluster") {
            return cluster(seed, &mut link);
        }
        Ok(Self {
            seed: seed.clone(),
            shape: Shape::Standalone,
            nodes: vec![single(seed.clone(), &info)],
            missing: Vec::new(),
        })
    }

    /// This server by itself, where it does not answer what it belongs to.
    pub fn alone(server: &Endpoint) -> Self {
        let node = single(server.clone(), &Info::parse("role:master"));
        let seed = server.clone();
        Self { seed, shape: Shape::Standalone, nodes: vec![node], missing: Vec::new() }
    }

    /// Asks each node which slots it is getting: it tells that of itself alone. One that does not
    /// answer gets none.
    pub(crate) fn ask_imports(&mut self) {
        for node in &mut self.nodes {
            let mut link = Link::open(&node.endpoint, "discover");
            let imports = link.as_mut().map_err(|error| error.clone()).and_then(imports);
            node.imports = imports.unwrap_or_default();
        }
    }

    /// The node that holds this key.
    pub fn node_of(&self, key: &[u8]) -> Option<&Node> {
        match self.shape {
            Shape::Standalone | Shape::Sentinel => self.nodes.first(),
            Shape::Cluster => self.node_of_slot(slot_of(key)),
        }
    }

    /// The node that holds this slot of a cluster.
    pub fn node_of_slot(&self, slot: u16) -> Option<&Node> {
        let holds =
            |node: &&Node| node.slots.iter().any(|(from, to)| (*from..=*to).contains(&slot));
        self.nodes.iter().find(holds)
    }
}

/// What a server belongs to that may not be asked for it: as much as it tells everybody.
fn untold(seed: &Endpoint, link: &mut Link) -> Result<Deployment, RedisError> {
    let hello = hello(link)?;
    match hello.mode.as_str() {
        "sentinel" => return sentinel(seed, link),
        "cluster" => return cluster(seed, link),
        _ => {}
    }
    let role = if hello.role == "replica" { "role:slave" } else { "role:master" };
    let node = single(seed.clone(), &Info::parse(role));
    let (seed, missing) = (seed.clone(), Vec::new());
    Ok(Deployment { seed, shape: Shape::Standalone, nodes: vec![node], missing })
}

/// A server by itself, from what it says.
fn single(endpoint: Endpoint, info: &Info) -> Node {
    let follows = (info.role() == Role::Replica).then(|| {
        let host = info.get("master_host").unwrap_or("?");
        format!("{host}:{}", info.get("master_port").unwrap_or("?"))
    });
    let replicas = info
        .replicas()
        .filter(|line| text_part(line, "state") == Some("online"))
        .filter_map(|line| {
            let port = text_part(line, "port")?.parse().ok()?;
            Some(endpoint.sibling(text_part(line, "ip")?, port))
        })
        .collect();
    Node { endpoint, id: String::new(), slots: Vec::new(), replicas, imports: Vec::new(), follows }
}

/// The master that a Sentinel watches (<https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/>).
fn sentinel(seed: &Endpoint, link: &mut Link) -> Result<Deployment, RedisError> {
    let masters: Vec<Vec<(String, String)>> = link.ask(redis::cmd("SENTINEL").arg("MASTERS"))?;
    let field = |master: &[(String, String)], name: &str| {
        master.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    };
    let names: Vec<String> = masters.iter().filter_map(|master| field(master, "name")).collect();
    let chosen = match (&seed.sentinel_master, names.as_slice()) {
        (Some(name), _) => masters.iter().find(|m| field(m, "name").as_ref() == Some(name)),
        (None, [_]) => masters.first(),
        (None, _) => None,
    };
    // Until a failover is over, the old master is what it names, which may take itself for one.
    let flags = chosen.and_then(|master| field(master, "flags")).unwrap_or_default();
    if flags.split(',').any(|flag| matches!(flag, "o_down" | "failover_in_progress")) {
        return Err(RedisError::Failover { address: seed.address().to_owned() });
    }
    let place = chosen.and_then(|master| {
        let port = field(master, "port")?.parse().ok()?;
        Some(seed.sibling(&field(master, "ip")?, port))
    });
    let Some(endpoint) = place else {
        let why = match &seed.sentinel_master {
            Some(name) => format!("this Sentinel watches no master {name:?}, but {names:?}"),
            None => format!("this Sentinel watches {names:?}; name one as sentinel-master"),
        };
        return Err(RedisError::Setup { address: seed.address().to_owned(), why });
    };
    let mut master = Link::open(&endpoint, "discover")?;
    let node = single(endpoint, &Info::ask(&mut master)?);
    let (seed, missing) = (seed.clone(), Vec::new());
    Ok(Deployment { seed, shape: Shape::Sentinel, nodes: vec![node], missing })
}

/// The masters of a cluster, with what is missing.
fn cluster(seed: &Endpoint, link: &mut Link) -> Result<Deployment, RedisError> {
    let text: String = link.ask(redis::cmd("CLUSTER").arg("NODES"))?;
    let all = cluster_nodes::parse(&text);
    let endpoint = |node: &ClusterNode| match (node.host.as_str(), seed.host()) {
        // A node that does not know its own address yet is the one that answered.
        ("", _) if node.myself => seed.clone(),
        ("", Some(host)) => seed.sibling(host, node.port),
        (host, _) => seed.sibling(host, node.port),
    };
    let mut missing = Vec::new();
    let mut nodes = Vec::new();
    for master in all.iter().filter(|node| node.master.is_none() && !node.slots.is_empty()) {
        let node = Node {
            endpoint: endpoint(master),
            id: master.id.clone(),
            slots: master.slots.clone(),
            replicas: all
                .iter()
                .filter(|node| node.master.as_ref() == Some(&master.id) && node.usable)
                .map(&endpoint)
                .collect(),
            imports: Vec::new(),
            follows: None,
        };
        if master.usable {
            nodes.push(node);
        } else {
            let why = "the cluster says that it failed".to_owned();
            missing.push(Missing { what: node.address().to_owned(), why });
        }
    }
    let held: Vec<(u16, u16)> = all
        .iter()
        .filter(|node| node.master.is_none())
        .flat_map(|node| node.slots.iter().copied())
        .collect();
    missing.extend(gaps(held).into_iter().map(|(from, to)| Missing {
        what: format!("slots {from}-{to}"),
        why: "no node holds them".to_owned(),
    }));
    Ok(Deployment { seed: seed.clone(), shape: Shape::Cluster, nodes, missing })
}

/// The nodes from which slots are on their way to this one.
pub(crate) fn imports(link: &mut Link) -> Result<Vec<String>, RedisError> {
    let text: String = link.ask(redis::cmd("CLUSTER").arg("NODES"))?;
    let own = cluster_nodes::parse(&text).into_iter().find(|node| node.myself);
    Ok(own.map(|own| own.imports).unwrap_or_default())
}

/// The slots that nobody holds.
fn gaps(mut held: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    held.sort_unstable();
    held.push((SLOTS, SLOTS));
    let mut next = 0;
    let mut gaps = Vec::new();
    for (from, to) in held {
        if from > next {
            gaps.push((next, from - 1));
        }
        next = next.max(to.saturating_add(1));
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_that_nobody_holds() {
        assert_eq!(gaps(vec![(5461, 10922), (0, 5460), (10923, 16383)]), []);
        assert_eq!(gaps(vec![(100, 200)]), [(0, 99), (201, 16383)]);
        assert_eq!(gaps(Vec::new()), [(0, 16383)]);
    }

    #[test]
    fn a_servers_replicas_are_those_in_step() {
        let info = Info::parse(
            "role:master\nslave0:ip=10.0.0.2,port=6379,state=online,offset=1,lag=0\n\
             slave1:ip=10.0.0.3,port=6379,state=wait_bgsave,offset=0,lag=0\nslave_read_only:1\n",
        );
        let node = single(Endpoint::parse("redis://10.0.0.1").unwrap(), &info);
        let replicas: Vec<_> = node.replicas.iter().map(Endpoint::address).collect();
        assert_eq!(replicas, ["10.0.0.2:6379"]);
        assert_eq!(node.follows, None);
    }
}
