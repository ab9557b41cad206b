//! Removing keys from every master of a Redis, each at the pace that its other clients bear.
//!
//! Promises: nothing that does not match goes; with an undo, nothing goes before it is durable,
//! and nothing in another state than was kept; a stop leaves a cursor to go on from; what one
//! node refuses does not stop the others.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use larder_core::Meter;

use crate::clean_node::NodeCleaner;
use crate::deployment::{Deployment, Missing};
use crate::error::RedisError;
use crate::link::Link;
use crate::pace::{Felt, Limits};
use crate::select::{Caused, Selection};

/// How to clean.
#[derive(Clone, Copy)]
pub struct CleanOptions<'a> {
    /// What goes.
    pub selection: &'a Selection,
    /// How gently.
    pub limits: Limits,
    /// Read the names from a replica where there is one; the master is asked only to remove.
    pub scan_replica: bool,
    /// What keeps each key before it goes.
    pub undo: Option<&'a dyn Undo>,
    /// Where an earlier run stopped, node by node.
    pub resume: &'a [Stopped],
}

impl std::fmt::Debug for CleanOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CleanOptions").field("selection", &self.selection).finish_non_exhaustive()
    }
}

/// Keeps what is about to be removed.
pub trait Undo: Sync {
    /// Keeps these keys, durably when it returns. They are read over `link`, which watches them.
    fn keep(&self, link: &mut Link, keys: &[Vec<u8>]) -> Result<Kept, UndoFailed>;

    /// Takes back what was kept: somebody changed one of the keys, so none of them went.
    fn void(&self, kept: &Kept) -> Result<(), UndoFailed>;
}

/// What was kept in one go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Which go it was.
    pub ticket: u64,
    /// For each key whether it was there.
    pub there: Vec<bool>,
    /// Hits and misses that reading them was counted as.
    pub caused: Caused,
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
    /// What had been removed until then.
    pub removed: u64,
}

/// Counters that the workers add to and a screen reads, and the wish to stop.
#[derive(Debug, Default)]
pub struct Work {
    /// Keys that are gone.
    pub removed: AtomicU64,
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
pub struct NodeCleaned {
    /// `host:port` or the socket's path.
    pub address: String,
    /// Keys that are gone.
    pub removed: u64,
    /// Keys that stay, with the reason; the first so many of each reason.
    pub skipped: Vec<(Vec<u8>, String)>,
    /// How many stay for a reason in [`NodeCleaned::skipped`], all of them counted.
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
pub struct Cleaned {
    /// Each node.
    pub nodes: Vec<NodeCleaned>,
    /// What could not be reached.
    pub missing: Vec<Missing>,
    /// Whether somebody stopped it.
    pub interrupted: bool,
    /// From the first look to the last removal.
    pub took: Duration,
}

impl Cleaned {
    /// Keys that are gone.
    pub fn removed(&self) -> u64 {
        self.nodes.iter().map(|node| node.removed).sum()
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

/// Cleans all masters side by side. `checkpoint` is told now and then where each of them is.
pub fn clean(
    deployment: &Deployment,
    options: CleanOptions<'_>,
    work: &Work,
    checkpoint: &(dyn Fn(Stopped) + Sync),
) -> Cleaned {
    let begun = Instant::now();
    let servers = deployment.nodes.len();
    let nodes = std::thread::scope(|scope| {
        let workers: Vec<_> = deployment
            .nodes
            .iter()
            .map(|node| {
                scope.spawn(move || NodeCleaner::new(node, options, work, servers).run(checkpoint))
            })
            .collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    });
    Cleaned {
        nodes,
        missing: deployment.missing.clone(),
        interrupted: work.stopped(),
        took: begun.elapsed(),
    }
}
