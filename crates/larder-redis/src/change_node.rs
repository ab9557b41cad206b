//! The work of [`crate::change`] on one master: page after page, what matches is looked up, kept,
//! and removed or given a time to live.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use larder_core::KeyChange;
use redis::Value;

use crate::change::{ChangeOptions, NodeChanged, Stopped, Undo, UndoFailed, Work};
use crate::clean_remove::Remover;
use crate::deployment::{Deployment, Node, Shape, imports};
use crate::endpoint::Endpoint;
use crate::error::RedisError;
use crate::expire_keys::Expirer;
use crate::guarded::Did;
use crate::info::Info;
use crate::link::Link;
use crate::pace::{Felt, Pace};
use crate::scan::Scan;
use crate::select::{Wants, look_up};
use crate::walk::{Gait, Walk, Watcher};

/// How long the server is felt before the work.
const IDLE_FOR: Duration = Duration::from_millis(60);
/// How often a checkpoint is told.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// How long a server may be gone, as it is in a failover, before it is given up.
const GONE_FOR: Duration = Duration::from_secs(30);
/// How often a pass begins again because the server is another.
const RESTARTS: u32 = 3;

/// Goes through one node.
pub(crate) struct NodeChanger<'a> {
    node: Node,
    shape: Shape,
    seed: &'a Endpoint,
    options: ChangeOptions<'a>,
    work: &'a Work,
    servers: usize,
    done: NodeChanged,
}

/// What happens to the keys of a batch.
#[derive(Debug)]
enum Act {
    Remove(Remover),
    Expire(Expirer),
}

impl Act {
    fn new(options: &ChangeOptions<'_>, info: &Info, cluster: bool) -> Self {
        match options.change {
            KeyChange::Remove => Self::Remove(Remover::new(info, cluster)),
            KeyChange::Expire(expiry) => {
                let persistent = options.selection.persistent;
                Self::Expire(Expirer::new(expiry, persistent, info, cluster))
            }
        }
    }

    fn on(
        &mut self,
        link: &mut Link,
        keys: &[Vec<u8>],
        pace: &Pace,
        undo: Option<&dyn Undo>,
    ) -> Result<Did, UndoFailed> {
        match (self, undo) {
            (Self::Remove(remover), None) => Ok(remover.remove(link, keys, pace)?),
            (Self::Remove(remover), Some(undo)) => remover.keep_and_remove(link, keys, undo),
            (Self::Expire(expirer), undo) => expirer.expire(link, keys, undo),
        }
    }
}

/// What one run over a server needs at hand.
struct Running {
    link: Link,
    /// Where names are read, when that is not the master itself.
    names: Option<Link>,
    walk: Walk,
    act: Act,
    /// What has to be looked up of each key to decide.
    wants: Wants,
    told: Instant,
}

impl<'a> NodeChanger<'a> {
    pub(crate) fn new(
        node: &Node,
        deployment: &'a Deployment,
        options: ChangeOptions<'a>,
        work: &'a Work,
    ) -> Self {
        let name = if node.id.is_empty() { node.address().to_owned() } else { node.id.clone() };
        // A place among other slots says nothing about those that came since.
        let mut earlier = options.resume.iter();
        let earlier = earlier.find(|stopped| stopped.node == name && stopped.slots == node.slots);
        let stopped = earlier.cloned().unwrap_or(Stopped {
            node: name,
            run_id: String::new(),
            cursor: Some(0),
            changed: 0,
            begun: 0,
            slots: node.slots.clone(),
        });
        let done = NodeChanged {
            address: node.address().to_owned(),
            changed: 0,
            unchanged: 0,
            skipped: Vec::new(),
            skipped_count: 0,
            idle: Felt::default(),
            felt: Felt::default(),
            memory_before: (0, 0),
            memory_after: (0, 0),
            caused: crate::select::Caused::default(),
            restarts: 0,
            stopped,
            error: None,
        };
        let (shape, seed) = (deployment.shape, &deployment.seed);
        let servers = deployment.nodes.len();
        Self { node: node.clone(), shape, seed, options, work, servers, done }
    }

    /// Goes through the node, over failovers and restarts of it.
    pub(crate) fn run(mut self, checkpoint: &(dyn Fn(Stopped) + Sync)) -> NodeChanged {
        if self.done.stopped.cursor.is_none() {
            return self.done;
        }
        let mut gone_since: Option<Instant> = None;
        loop {
            let before = self.done.stopped.cursor;
            let error = match self.pass(checkpoint) {
                Ok(()) if self.is_still_master() => break,
                Ok(()) => RedisError::Unreachable {
                    address: self.done.address.clone(),
                    why: "it is not the master any more".to_owned(),
                },
                Err(error) => error,
            };
            if self.done.stopped.cursor != before {
                gone_since = None;
            }
            let since = *gone_since.get_or_insert_with(Instant::now);
            let lost = comes_back(&error) && since.elapsed() < GONE_FOR;
            if !lost || self.work.stopped() || self.done.restarts > RESTARTS {
                self.done.error = Some(error.to_string());
                break;
            }
            if let Some(Err(failed)) = self.options.undo.map(Undo::again) {
                self.done.error = Some(failed.to_string());
                break;
            }
            while !self.find_again() && since.elapsed() < GONE_FOR && !self.work.stopped() {
                std::thread::sleep(Duration::from_millis(250));
            }
        }
        checkpoint(self.done.stopped.clone());
        self.done
    }

    /// After a failover another server holds the slots, or is the master. A Sentinel knows which;
    /// the old master, where it comes back, may not know that it is none any more.
    ///
    /// Whether there is somebody to try now.
    fn find_again(&mut self) -> bool {
        std::thread::sleep(Duration::from_millis(250));
        let around = std::iter::once(&self.node.endpoint).chain(&self.node.replicas);
        let around = around.filter(|_| self.shape != Shape::Sentinel);
        let mut seeds = std::iter::once(self.seed).chain(around);
        let Some(found) = seeds.find_map(|seed| Deployment::discover(seed).ok()) else {
            return self.shape != Shape::Sentinel;
        };
        let node = match self.shape {
            Shape::Cluster => self.successor(found.nodes),
            Shape::Standalone | Shape::Sentinel => found.nodes.into_iter().next(),
        };
        if let Some(node) = node {
            let master = node.follows.as_ref().and_then(|place| {
                let (host, port) = place.rsplit_once(':')?;
                Some(node.endpoint.sibling(host, port.parse().ok()?))
            });
            self.node.endpoint = master.unwrap_or(node.endpoint);
            if !node.replicas.is_empty() {
                self.node.replicas = node.replicas;
            }
        }
        true
    }

    /// Whether the Sentinel, where there is one, still names the server that was worked on: what
    /// is done on another is lost with the failover.
    fn is_still_master(&self) -> bool {
        if self.shape != Shape::Sentinel || self.work.stopped() {
            return true;
        }
        match Deployment::discover(self.seed) {
            Ok(found) => found.nodes.iter().any(|node| node.address() == self.done.address),
            // A Sentinel that does not answer tells nothing against it.
            Err(error) => !matches!(error, RedisError::Failover { .. }),
        }
    }

    /// The same node of a cluster, or the replica of it that has its slots now. Slots that went
    /// to another master are followed once all are done.
    fn successor(&self, nodes: Vec<Node>) -> Option<Node> {
        let ours = |node: &Node| {
            let replica = self.node.replicas.iter().any(|r| r.address() == node.address());
            node.id == self.node.id || replica
        };
        nodes.into_iter().find(ours)
    }

    /// One pass, from where the last one stopped if the server is the same.
    fn pass(&mut self, checkpoint: &(dyn Fn(Stopped) + Sync)) -> Result<(), RedisError> {
        let mut link = Link::open(&self.node.endpoint, "change")?;
        let info = Info::ask(&mut link)?;
        if info.loading() {
            return Err(RedisError::Loading { address: link.address().to_owned() });
        }
        link.address().clone_into(&mut self.done.address);
        let names = self.names()?;
        let source = match &names {
            Some((_, run_id)) => run_id.clone(),
            None => info.run_id().to_owned(),
        };
        let mut run = self.begin(link, names.map(|(link, _)| link), &info, source)?;
        let result = self.pages(&mut run, checkpoint);
        self.done.felt = run.walk.probe.whole();
        if let Ok(info) = Info::ask(&mut run.link) {
            self.done.memory_after = memory(&info);
        }
        result
    }

    /// A replica to read names from, with its run.
    fn names(&self) -> Result<Option<(Link, String)>, RedisError> {
        let Some(replica) = self.node.replicas.first().filter(|_| self.options.scan_replica) else {
            return Ok(None);
        };
        let mut link = Link::open(replica, "scan")?;
        // A replica in a cluster answers for its master's slots only to those who ask for it.
        let _: Result<Value, _> = link.ask(&redis::cmd("READONLY"));
        let info = Info::ask(&mut link)?;
        Ok(Some((link, info.run_id().to_owned())))
    }

    fn begin(
        &mut self,
        mut link: Link,
        names: Option<Link>,
        info: &Info,
        run_id: String,
    ) -> Result<Running, RedisError> {
        // Keys whose slots are on their way here are worked on where they are met: here.
        let asking = self.shape == Shape::Cluster && !imports(&mut link)?.is_empty();
        link.set_asking(asking);
        let stopped = &mut self.done.stopped;
        if stopped.run_id != run_id {
            if !stopped.run_id.is_empty() {
                self.done.restarts += 1;
            }
            stopped.run_id = run_id;
            stopped.cursor = Some(0);
        }
        let mut act = Act::new(&self.options, info, self.shape == Shape::Cluster);
        let selection = self.options.selection;
        let mut wants = selection.wants();
        if let Act::Expire(expirer) = &mut act {
            if stopped.begun == 0 {
                stopped.begun = now(&mut link)?;
            }
            *expirer = expirer.since(stopped.begun);
            // Whether a key has a time to live is found out as it is given one.
            wants.ttl = false;
        }
        let scan = Scan::new(Some(&selection.pattern), selection.kind.as_deref())
            .from(stopped.cursor.unwrap_or(0));
        let gait = Gait { limits: self.options.limits, servers: self.servers, idle_for: IDLE_FOR };
        let walk = Walk::begin(&self.node.endpoint, scan, gait)?;
        let idle = walk.probe.idle();
        if self.done.memory_before == (0, 0) {
            self.done.memory_before = memory(info);
            self.done.idle = idle;
        }
        self.work.idle_micros.fetch_max(micros(idle.p99), Ordering::Relaxed);
        Ok(Running { act, wants, link, names, walk, told: Instant::now() })
    }

    fn pages(
        &mut self,
        run: &mut Running,
        checkpoint: &(dyn Fn(Stopped) + Sync),
    ) -> Result<(), RedisError> {
        loop {
            if self.work.stopped() {
                return Ok(());
            }
            let (begun, waited) = (Instant::now(), run.link.waited());
            let keys = self.page(run)?;
            let matched = keys.len();
            self.act(run, &keys)?;
            // A replica that names are read from is not the one that others wait for.
            let busy = run.walk.busy(run.link.waited().since(waited));
            let cursor = run.walk.scan.cursor();
            self.done.stopped.cursor = (!run.walk.scan.done()).then_some(cursor);
            self.done.stopped.changed = self.done.changed;
            if run.walk.scan.done() {
                return Ok(());
            }
            if run.told.elapsed() > TELL_EVERY {
                run.told = Instant::now();
                checkpoint(self.done.stopped.clone());
            }
            run.walk.rest(matched, busy, begun.elapsed(), self.work);
        }
    }

    /// The names of a page that are meant.
    fn page(&mut self, run: &mut Running) -> Result<Vec<Vec<u8>>, RedisError> {
        let mut keys = match &mut run.names {
            Some(names) => run.walk.scan.page(names)?,
            None => run.walk.scan.page(&mut run.link)?,
        };
        let selection = self.options.selection;
        keys.retain(|key| selection.takes_name(key));
        let wants = run.wants;
        if !wants.nothing() && !keys.is_empty() {
            let mut fits = Vec::with_capacity(keys.len());
            for some in keys.chunks(200) {
                let facts = look_up(&mut run.link, some, wants, &mut self.done.caused)?;
                fits.extend(facts.iter().map(|facts| selection.takes_looked(facts, wants)));
            }
            let mut fits = fits.into_iter();
            keys.retain(|_| fits.next().unwrap_or(false));
        }
        Ok(keys)
    }

    /// Changes what is left of a page.
    fn act(&mut self, run: &mut Running, keys: &[Vec<u8>]) -> Result<(), RedisError> {
        if keys.is_empty() {
            return Ok(());
        }
        let did = run.act.on(&mut run.link, keys, &run.walk.pace, self.options.undo);
        let did = did.map_err(|failed| match failed {
            UndoFailed::Redis(error) => error,
            UndoFailed::File(why) => RedisError::Setup { address: self.done.address.clone(), why },
        })?;
        self.done.changed += did.changed;
        self.done.unchanged += did.unchanged;
        self.work.changed.fetch_add(did.changed, Ordering::Relaxed);
        self.done.caused = self.done.caused + did.caused;
        self.done.skipped_count += did.skipped.len() as u64;
        let room = 100_usize.saturating_sub(self.done.skipped.len());
        self.done.skipped.extend(did.skipped.into_iter().take(room));
        Ok(())
    }
}

/// Whether a server that answered so may be itself again in a while, or another took its place.
fn comes_back(error: &RedisError) -> bool {
    matches!(
        error,
        RedisError::Unreachable { .. }
            | RedisError::TimedOut { .. }
            | RedisError::Loading { .. }
            | RedisError::Failover { .. }
            | RedisError::ReadOnly { .. }
            | RedisError::Moved { .. }
    )
}

/// The server's clock, in milliseconds since 1970.
fn now(link: &mut Link) -> Result<u64, RedisError> {
    let (seconds, micros): (u64, u64) = link.ask(&redis::cmd("TIME"))?;
    Ok(seconds * 1000 + micros / 1000)
}

impl Watcher for Work {
    fn stopped(&self) -> bool {
        Work::stopped(self)
    }

    fn felt(&self, now: Felt) {
        self.felt_micros.store(micros(now.p99), Ordering::Relaxed);
    }

    fn waits(&self, waits: bool) {
        if waits {
            self.waiting.fetch_add(1, Ordering::Relaxed);
        } else {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn memory(info: &Info) -> (u64, u64) {
    (info.u64("used_memory").unwrap_or(0), info.u64("used_memory_rss").unwrap_or(0))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
