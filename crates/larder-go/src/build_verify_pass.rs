//! A pass of all threads over the entries of a build cache, each entry by one of them.
//!
//! Threads take entries one by one, so that a folder with one large output holds up nobody. An
//! output that an action says to be large is taken before its turn, where that is still to come:
//! the last one of all should not be one that all other threads wait for.
//! Memory: the names in one folder, those of large outputs, and eight bytes an entry to tell which
//! outputs are named.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use larder_core::{CacheKind, EntryId, Meter, Unverifiable};
use larder_fs::Kind;
use larder_sha256::{Lanes, Streams, Sum};

use crate::build_entry::{self, ActionText};
use crate::build_layout::{BuildLayout, entry_name, shard_name};
use crate::build_verify::Options;
use crate::build_verify_content::Content;
use crate::build_verify_entry::{Fault, Key, Shards, Verdict};

/// Outputs of so many bytes are large: a core hashes them for a millisecond or longer.
const LARGE: u64 = 2 << 20;

/// What a pass found.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) checked: u64,
    pub(crate) bytes: u64,
    pub(crate) dangling: u64,
    pub(crate) faults: Vec<(Key, Fault)>,
    pub(crate) unread: Vec<Unverifiable>,
    /// Outputs that sound actions name, by the first bytes of their names.
    named: Vec<u64>,
    /// Outputs that are there, likewise.
    outputs: Vec<u64>,
}

impl Found {
    /// How many outputs no action names.
    pub(crate) fn orphans(&mut self) -> u64 {
        self.named.sort_unstable();
        self.named.dedup();
        let orphan = |short: &&u64| self.named.binary_search(short).is_err();
        self.outputs.iter().filter(orphan).count() as u64
    }

    fn merge(&mut self, other: Self) {
        self.checked += other.checked;
        self.bytes += other.bytes;
        self.dangling += other.dangling;
        self.faults.extend(other.faults);
        self.unread.extend(other.unread);
        self.named.extend(other.named);
        self.outputs.extend(other.outputs);
    }

    fn take(&mut self, key: Key, verdict: Verdict) {
        self.checked += u64::from(!matches!(verdict, Verdict::Gone));
        match (key, &verdict) {
            (_, Verdict::Gone) => {}
            (Key::Output(id), _) => self.outputs.push(short(&id)),
            (Key::Action(_), Verdict::Names { output, .. }) => self.named.push(short(output)),
            (Key::Action(_), Verdict::Bad(fault)) => {
                self.named.extend(fault.names.as_ref().map(short));
            }
            (Key::Action(_), _) => {}
        }
        match verdict {
            Verdict::Good { bytes } => self.bytes += bytes,
            Verdict::Dangling => self.dangling += 1,
            Verdict::Names { .. } | Verdict::Gone => {}
            Verdict::Bad(fault) => {
                self.bytes += fault.size.unwrap_or_default();
                self.faults.push((key, fault));
            }
            Verdict::Unread(why) => self.unread.push(key.unverifiable(why)),
        }
    }
}

/// Eight bytes of a hash tell a few million of them apart.
fn short(id: &EntryId) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&id.0[..8]);
    u64::from_be_bytes(bytes)
}

/// Examines every entry.
pub(crate) fn examine_all(
    shards: &Shards<'_>,
    layout: &BuildLayout,
    options: &Options<'_>,
) -> Found {
    let entries = Entries::new(shards, layout, options.meter);
    let mut all = Found::default();
    let work = || {
        let mut pass = Pass { entries: &entries, found: Found::default(), spare: Lanes::default() };
        Lanes::default().hash_all(&mut pass);
        pass.found
    };
    for found in each_thread(options.threads, work) {
        all.merge(found);
    }
    all.unread.extend(entries.into_unread());
    all
}

/// The pass of one thread: it hashes the outputs that are files, and examines all else between
/// them.
struct Pass<'a> {
    entries: &'a Entries<'a>,
    found: Found,
    /// For the files that are in folders.
    spare: Lanes,
}

impl<'a> Streams for Pass<'a> {
    type Stream = (EntryId, Content<'a>);

    fn next(&mut self) -> Option<Self::Stream> {
        let Entries { shards, meter, .. } = self.entries;
        loop {
            let (key, verdict) = match self.entries.next()? {
                (Key::Output(id), Kind::File) => match shards.content(&id) {
                    Ok(content) => return Some((id, content)),
                    Err(verdict) => (Key::Output(id), verdict),
                },
                (key, _) => (key, shards.examine(&key, &mut self.spare, meter)),
            };
            if let Verdict::Names { output, file: Some(LARGE..) } = verdict {
                self.entries.bring_forward(output);
            }
            self.found.take(key, verdict);
        }
    }

    fn read(&mut self, (_, content): &mut Self::Stream, into: &mut [u8]) -> io::Result<usize> {
        content.read(into, self.entries.meter)
    }

    fn done(&mut self, (id, content): Self::Stream, sum: io::Result<Sum>) {
        self.found.take(Key::Output(id), Verdict::of_content(&id, &content, sum));
    }
}

/// The sound actions that name one of these outputs.
pub(crate) fn naming<T: Sync>(
    shards: &Shards<'_>,
    layout: &BuildLayout,
    outputs: &BTreeMap<EntryId, T>,
    options: &Options<'_>,
) -> Vec<(EntryId, ActionText)> {
    let quiet = Meter::default();
    let entries = Entries::new(shards, layout, &quiet);
    let work = || {
        let mut named = Vec::new();
        while let Some((key, _)) = entries.next() {
            let Key::Action(id) = key else { continue };
            let name = OsString::from(format!("{id}-a"));
            let read = shards.dir(id.0[0]).and_then(|dir| build_entry::read(dir, &name, &id));
            if let Ok(Some(text)) = read
                && outputs.contains_key(&text.output)
            {
                named.push((id, text));
            }
        }
        named
    };
    each_thread(options.threads, work).into_iter().flatten().collect()
}

fn each_thread<T: Send>(threads: usize, work: impl Fn() -> T + Sync) -> Vec<T> {
    let processors = || thread::available_parallelism().map_or(1, usize::from);
    let threads = if threads == 0 { processors() } else { threads };
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(&work)).collect();
        let mut all = vec![work()];
        // A thread panics only where this one would have.
        all.extend(others.into_iter().filter_map(|thread| thread.join().ok()));
        all
    })
}

/// The entries of all folders, handed out one by one.
struct Entries<'a> {
    shards: &'a Shards<'a>,
    layout: &'a BuildLayout,
    meter: &'a Meter,
    at: Mutex<At>,
}

#[derive(Default)]
struct At {
    /// The next folder to list.
    next: usize,
    /// Listed, and not yet taken.
    listed: Vec<(Key, Kind)>,
    /// Outputs that are taken, or in `listed`, before their folder is.
    forward: BTreeSet<EntryId>,
    unread: Vec<Unverifiable>,
}

impl<'a> Entries<'a> {
    fn new(shards: &'a Shards<'a>, layout: &'a BuildLayout, meter: &'a Meter) -> Self {
        Self { shards, layout, meter, at: Mutex::default() }
    }

    fn at(&self) -> MutexGuard<'_, At> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<(Key, Kind)> {
        loop {
            if self.meter.stopped() {
                return None;
            }
            let mut at = self.at();
            if let Some(entry) = at.listed.pop() {
                return Some(entry);
            }
            let shard = *self.layout.shards.get(at.next)?;
            at.next += 1;
            // Other threads list the folders after it meanwhile.
            drop(at);
            self.list(shard);
        }
    }

    /// Has a file taken next whose folder was not looked into yet.
    fn bring_forward(&self, output: EntryId) {
        let mut at = self.at();
        let to_come = &self.layout.shards[at.next..];
        if to_come.contains(&output.0[0]) && at.forward.insert(output) {
            at.listed.push((Key::Output(output), Kind::File));
        }
    }

    fn list(&self, shard: u8) {
        match self.shards.dir(shard).and_then(larder_fs::Dir::entries) {
            Ok(names) => {
                let keys = names.into_iter().filter_map(|(name, kind)| {
                    Some((Key::of_name(entry_name(shard, &name)?)?, kind))
                });
                let mut guard = self.at();
                let At { listed, forward, .. } = &mut *guard;
                let is_forward = |key: &Key| matches!(key, Key::Output(id) if forward.contains(id));
                listed.extend(keys.filter(|(key, _)| !is_forward(key)));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.at().unread.push(Unverifiable {
                cache: CacheKind::Build,
                subject: format!("folder {}", shard_name(shard)),
                reason: format!("it cannot be read: {error}"),
            }),
        }
    }

    fn into_unread(self) -> Vec<Unverifiable> {
        self.at.into_inner().unwrap_or_else(PoisonError::into_inner).unread
    }
}
