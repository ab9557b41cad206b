//! Changing keys on every master of a Redis, each at the pace that its other clients bear: they
//! are removed, or given a time to live.
//!
//! Promises: nothing that does not match is changed; with an undo, nothing before it is durable,
//! and nothing in another state than was kept; a stop leaves a cursor to go on from; what one
//! node refuses does not stop the others; where slots of a cluster move meanwhile, whoever got
//! them is gone through again.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use larder_core::{KeyChange, Meter};

use crate::change_node::NodeChanger;
use crate::deployment::{Deployment, Missing, Node, Shape};
use crate::error::RedisError;
use crate::link::Link;
use crate::pace::{Felt, Limits};
use crate::select::{Caused, Selection};
use crate::undo_file::TtlRecord;

/// What to change, and how.
#[derive(Clone, Copy)]
pub struct ChangeOptions<'a> {
    /// Which keys.
    pub selection: &'a Selection,
    /// What is done with them.
    pub change: KeyChange,
    /// How gently.
    pub limits: Limits,
    /// Read the names from a replica where there is one; the master is asked only to change.
    pub scan_replica: bool,
    /// What keeps each key as it is before it is changed.
    pub undo: Option<&'a dyn Undo>,
    /// Where an earlier run stopped, node by node.
    pub resume: &'a [Stopped],
}

impl std::fmt::Debug for ChangeOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChangeOptions").field("selection", &self.selection).finish_non_exhaustive()
    }
}

/// Keeps what is about to be changed.
pub trait Undo: Sync {
    /// Keeps these keys, durably when it returns. They are read over `link`, which watches them.
    fn keep(&self, link: &mut Link, keys: &[Vec<u8>]) -> Result<Kept, UndoFailed>;

    /// Keeps these times to live, durably when it returns.
    fn keep_ttls(&self, records: &[TtlRecord]) -> Result<Kept, UndoFailed>;

    /// Takes back what was kept: somebody changed one of the keys, so none of them was.
    fn void(&self, kept: &Kept) -> Result<(), UndoFailed>;

    /// A server was lost, and what it was told perhaps with it: what is kept from here on of a key
    /// counts more than what was kept of it before.
    fn again(&self) -> Result<(), UndoFailed>;
}

/// What was kept in one go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Which go it was.
    pub ticket: u64,
    /// For each key what it was like; nothing where it was not there.
    pub states: Vec<Option<KeyState>>,
    /// Hits and misses that reading them was counted as.
    pub caused: Caused,
}

/// What tells a key from what it was before somebody changed it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyState {
    /// When it ends, in milliseconds since 1970.
    pub end: Option<u64>,
    /// Length and checksum of its `DUMP`, where its value counts.
    pub value: Option<(usize, [u8; 8])>,
}

/// Why nothing can be kept any more.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UndoFailed {
    /// The server.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// The file, in the words of whoever writes it.
    #[error("{0}")]
    File(String),
}

/// Where the work on a node stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// The cluster's name for the node, or its address.
    pub node: String,
    /// The server's run, since a cursor of another means nothing.
    pub run_id: String,
    /// Where to go on; `None` where the node is done.
    pub cursor: Option<u64>,
    /// How many had been changed until then.
    pub changed: u64,
    /// When the work on it began, in milliseconds of the server's clock; 0 before that.
    pub begun: u64,
    /// The slots that it had, in a cluster.
    pub slots: Vec<(u16, u16)>,
}

/// Counters that the workers add to and a screen reads, and the wish to stop.
#[derive(Debug, Default)]
pub struct Work {
    /// Keys that are gone, or have their time to live.
    pub changed: AtomicU64,
    /// What others feel now at the 99th percentile, in microseconds, on the slowest node.
    pub felt_micros: AtomicU64,
    /// What they felt before.
    pub idle_micros: AtomicU64,
    /// How many nodes wait because others feel too much.
    pub waiting: AtomicU64,
    /// Says when to stop.
    pub meter: Arc<Meter>,
}

impl Work {
    /// Whether they have been asked to.
    pub fn stopped(&self) -> bool {
        self.meter.stopped()
    }
}

/// What was done on one node.
#[derive(Clone, Debug)]
pub struct NodeChanged {
    /// `host:port` or the socket's path.
    pub address: String,
    /// Keys that are gone, or have their time to live.
    pub changed: u64,
    /// Keys whose time to live the condition left as it was.
    pub unchanged: u64,
    /// Keys that stay as they are, with the reason; the first so many of each reason.
    pub skipped: Vec<(Vec<u8>, String)>,
    /// How many stay for a reason in [`NodeChanged::skipped`], all of them counted.
    pub skipped_count: u64,
    /// What others felt before.
    pub idle: Felt,
    /// What they felt during the work.
    pub felt: Felt,
    /// `used_memory` and `used_memory_rss` before.
    pub memory_before: (u64, u64),
    /// And after.
    pub memory_after: (u64, u64),
    /// Hits and misses that our own look-ups were counted as.
    pub caused: Caused,
    /// How often the pass began again, because the server was replaced by another.
    pub restarts: u32,
    /// Where it stopped, or that it is done.
    pub stopped: Stopped,
    /// Why it could not go on.
    pub error: Option<String>,
}

/// What was done on all of them.
#[derive(Clone, Debug)]
pub struct Changed {
    /// Each node.
    pub nodes: Vec<NodeChanged>,
    /// What could not be reached.
    pub missing: Vec<Missing>,
    /// Whether somebody stopped it.
    pub interrupted: bool,
    /// From the first look to the last change.
    pub took: Duration,
}

impl Changed {
    /// Keys that are gone, or have their time to live.
    pub fn changed(&self) -> u64 {
        self.nodes.iter().map(|node| node.changed).sum()
    }

    /// Hits and misses that our own look-ups were counted as, on all nodes.
    pub fn caused(&self) -> Caused {
        self.nodes.iter().fold(Caused::default(), |sum, node| sum + node.caused)
    }

    /// Whether every node was gone through to its end.
    pub fn complete(&self) -> bool {
        self.missing.is_empty() && self.nodes.iter().all(|node| node.stopped.cursor.is_none())
    }

    /// Where to go on.
    pub fn stopped(&self) -> Vec<Stopped> {
        self.nodes.iter().map(|node| node.stopped.clone()).collect()
    }

    /// The slowest that others felt on any node.
    pub fn slowest(&self) -> Duration {
        self.nodes.iter().map(|node| node.felt.max).max().unwrap_or_default()
    }
}

/// Goes through all masters side by side. `checkpoint` is told now and then where each of them is.
pub fn change(
    deployment: &Deployment,
    options: ChangeOptions<'_>,
    work: &Work,
    checkpoint: &(dyn Fn(Stopped) + Sync),
) -> Changed {
    let begun = Instant::now();
    let mut nodes = side_by_side(deployment, options, work, checkpoint);
    if deployment.shape == Shape::Cluster {
        follow_slots(deployment, options, work, checkpoint, &mut nodes);
    }
    Changed {
        nodes,
        missing: deployment.missing.clone(),
        interrupted: work.stopped(),
        took: begun.elapsed(),
    }
}

fn side_by_side(
    deployment: &Deployment,
    options: ChangeOptions<'_>,
    work: &Work,
    checkpoint: &(dyn Fn(Stopped) + Sync),
) -> Vec<NodeChanged> {
    std::thread::scope(|scope| {
        let workers: Vec<_> = deployment
            .nodes
            .iter()
            .map(|node| {
                let changer = NodeChanger::new(node, deployment, options, work);
                scope.spawn(move || {
                    crate::background::give_way();
                    changer.run(checkpoint)
                })
            })
            .collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    })
}

/// How often slots are followed that move on while they are followed.
const ROUNDS: u32 = 4;

/// A key that moved before it was met, to a server that was past it, was met by nobody: whoever
/// took slots over from those that were gone through is gone through once more.
fn follow_slots(
    deployment: &Deployment,
    options: ChangeOptions<'_>,
    work: &Work,
    checkpoint: &(dyn Fn(Stopped) + Sync),
    nodes: &mut Vec<NodeChanged>,
) {
    let places = |nodes: &[NodeChanged]| nodes.iter().map(|n| n.address.clone()).collect();
    let mut gone_through: Vec<Node> = deployment.nodes.clone();
    let mut addresses: Vec<String> = places(nodes);
    for _ in 0..ROUNDS {
        let mut seeds = gone_through.iter().map(|node| &node.endpoint);
        let found = seeds.find_map(|seed| Deployment::discover(seed).ok());
        let Some(mut found) = found.filter(|_| !work.stopped()) else { return };
        found.ask_imports();
        found.nodes.retain(|node| {
            let mut scanned = gone_through.iter().zip(&addresses);
            scanned.any(|(from, address)| node.took_over(from, address))
        });
        if found.nodes.is_empty() {
            return;
        }
        let options = ChangeOptions { resume: &[], ..options };
        let again = side_by_side(&found, options, work, checkpoint);
        addresses = places(&again);
        gone_through = found.nodes;
        for node in again {
            match nodes.iter_mut().find(|known| known.address == node.address) {
                Some(known) => known.add(node),
                None => nodes.push(node),
            }
        }
    }
}

impl NodeChanged {
    /// Adds what was done on it in a later pass.
    fn add(&mut self, later: Self) {
        self.changed += later.changed;
        self.unchanged += later.unchanged;
        self.skipped.extend(later.skipped);
        self.skipped_count += later.skipped_count;
        self.felt.p99 = self.felt.p99.max(later.felt.p99);
        self.felt.max = self.felt.max.max(later.felt.max);
        self.memory_after = later.memory_after;
        self.caused = self.caused + later.caused;
        self.restarts += later.restarts;
        self.stopped = Stopped { changed: self.changed, ..later.stopped };
        self.error = later.error.or(self.error.take());
    }
}
