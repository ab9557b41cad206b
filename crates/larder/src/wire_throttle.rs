//! `larder/throttle/1`.

use std::collections::BTreeMap;

use larder_core::Time;
use larder_redis::throttle::{Subject, Throttle};
use schemars::JsonSchema;
use serde::Serialize;

use crate::throttles::nodes;
use crate::wire::{Document, WireTime};

/// Limits of a Redis, and what became of them.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ThrottleDoc {
    schema: &'static str,
    /// `redis:NAME` or a URL.
    cache: String,
    /// Those that were asked for, or all that are in force.
    throttles: Vec<WireThrottle>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireThrottle {
    /// Names it; null where nothing was done.
    id: Option<String>,
    /// `user`, `client` or `scripts`.
    kind: &'static str,
    /// The ACL user.
    user: Option<String>,
    /// The number of the client's first connection.
    client_id: Option<u64>,
    /// How long a script may run.
    longer_than_seconds: Option<f64>,
    /// Commands and `@categories` that the user may not run.
    denied: Vec<String>,
    /// Since when.
    began_at: WireTime,
    /// Until when it was meant to last.
    until: WireTime,
    /// `planned`, `needless`, `in-force`, `ended`, `partly-ended`.
    state: &'static str,
    /// When it ended; null while any of it is in force.
    ended_at: Option<WireTime>,
    /// It was in force already, and was made longer.
    extended: bool,
    /// Its servers.
    nodes: Vec<WireNode>,
    /// Connections that were closed.
    disconnected: u64,
    /// Scripts that were ended.
    scripts_ended: u64,
    /// Scripts that could not be ended, since they had written.
    scripts_left: u64,
    /// Why, by name.
    evidence: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireNode {
    /// `host:port` or a socket's path.
    address: String,
    /// `planned`, `limited`, `not-limited`, `restored` (exactly as before), `merged` (what somebody
    /// else changed meanwhile stays), `already` (it was as before), `gone` (the user was removed),
    /// `not-restored`, `watched`.
    state: &'static str,
    /// The rules before.
    rules_before: Option<String>,
    /// What went wrong.
    error: Option<String>,
}

/// A server of a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeReport {
    /// `host:port` or a socket's path.
    pub address: String,
    /// As in the document.
    pub state: &'static str,
    /// What went wrong.
    pub error: Option<String>,
}

/// A limit, and what became of it.
#[derive(Clone, Debug)]
pub struct ThrottleReport {
    /// As it is, or was, written down.
    pub throttle: Throttle,
    /// As in the document.
    pub state: &'static str,
    /// When it ended.
    pub ended: Option<Time>,
    /// It was in force already.
    pub extended: bool,
    /// Its servers.
    pub nodes: Vec<NodeReport>,
    /// Connections that were closed.
    pub disconnected: u64,
    /// Scripts that were ended.
    pub scripts_ended: u64,
    /// Scripts that could not be ended.
    pub scripts_left: u64,
}

impl ThrottleReport {
    /// A limit on these servers.
    pub fn new(throttle: Throttle, state: &'static str, node_state: &'static str) -> Self {
        let of = |address: &str| NodeReport {
            address: address.to_owned(),
            state: node_state,
            error: None,
        };
        let reports = nodes(&throttle).iter().map(|node| of(&node.address)).collect();
        Self {
            nodes: reports,
            throttle,
            state,
            ended: None,
            extended: false,
            disconnected: 0,
            scripts_ended: 0,
            scripts_left: 0,
        }
    }

    /// Says what became of a server.
    pub fn set(&mut self, address: &str, state: &'static str, error: Option<String>) {
        match self.nodes.iter_mut().find(|node| node.address == address) {
            Some(node) => (node.state, node.error) = (state, error),
            None => self.nodes.push(NodeReport { address: address.to_owned(), state, error }),
        }
    }

    /// Servers with this state.
    pub fn count(&self, state: &str) -> usize {
        self.nodes.iter().filter(|node| node.state == state).count()
    }
}

impl Document for ThrottleDoc {
    const SCHEMA: &'static str = "larder/throttle/1";
}

impl ThrottleDoc {
    /// Of this Redis.
    pub fn new(cache: &str, reports: &[ThrottleReport]) -> Self {
        Self {
            schema: Self::SCHEMA,
            cache: cache.to_owned(),
            throttles: reports.iter().map(WireThrottle::from).collect(),
        }
    }
}

impl From<&ThrottleReport> for WireThrottle {
    fn from(report: &ThrottleReport) -> Self {
        let throttle = &report.throttle;
        let (kind, user, client_id, longer_than) = match &throttle.subject {
            Subject::User { user, .. } => ("user", Some(user.clone()), None, None),
            Subject::Client { id, .. } => ("client", None, Some(*id), None),
            Subject::Scripts { longer_than } => ("scripts", None, None, Some(*longer_than)),
        };
        let limits = nodes(throttle);
        let before = |address: &str| {
            let node = limits.iter().find(|node| node.address == address);
            node.map(|node| node.saved.text())
        };
        let mut denied: Vec<String> = limits.iter().flat_map(|n| n.denied.clone()).collect();
        denied.sort_unstable();
        denied.dedup();
        let node = |node: &NodeReport| WireNode {
            address: node.address.clone(),
            state: node.state,
            rules_before: before(&node.address),
            error: node.error.clone(),
        };
        Self {
            id: Some(throttle.id.clone()).filter(|id| !id.is_empty()),
            kind,
            user,
            client_id,
            longer_than_seconds: longer_than.map(|longest| longest.as_secs_f64()),
            denied,
            began_at: WireTime(throttle.began),
            until: WireTime(throttle.until),
            state: report.state,
            ended_at: report.ended.map(WireTime),
            extended: report.extended,
            nodes: report.nodes.iter().map(node).collect(),
            disconnected: report.disconnected,
            scripts_ended: report.scripts_ended,
            scripts_left: report.scripts_left,
            evidence: throttle.evidence.iter().cloned().collect(),
        }
    }
}
