//! Sizes of a tree that mostly stays as it is: folders that did not change are not read again.
//!
//! Creating, removing and renaming change a folder's own times, so a folder whose identity and
//! times are the recorded ones has the entries that it had. What is written in place changes
//! nothing there: a folder in which anything is younger than [`SETTLED`] is read again next time,
//! and so is one that its owner calls volatile. So an index answers how much there is, never how
//! old it is; and who needs to be certain walks the tree.
//!
//! A second name that a file gets in another folder changes nothing in its first: it then counts
//! twice until that one is read again. Go links no files in its caches.
//!
//! Leaves out: folders on other file systems. Not for network and overlay file systems, whose
//! folders' times say less ([`Index::fits`]).

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_core::{Allocated, Meter, Size, Time};

use crate::dir::{Dir, Kind, Meta};
use crate::disk;
use crate::sys::{Buffer, Handle};

/// What is younger may still be written to in place.
pub const SETTLED: Duration = Duration::from_secs(10);

/// What a folder's owner says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where it is, in the owner's own numbers; the index only hands it on.
    pub at: u8,
    /// Which sum it counts into, below the index's number of sums.
    pub sum: u8,
    /// Its files change in place, so it is read each time.
    pub volatile: bool,
}

/// Says of the folder `name` in a folder at `Place` where it belongs.
pub type PlaceOf<'a> = &'a dyn Fn(Place, &OsStr) -> Place;

/// The recorded tree.
#[derive(Debug, Default)]
pub struct Index {
    root: Option<Node>,
}

/// What a refresh found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Indexed {
    /// The sums, by [`Place::sum`].
    pub sums: Vec<Size>,
    /// Folders looked at.
    pub folders: u64,
    /// Those that were read, since they had changed or might have.
    pub read: u64,
}

/// A folder as it was when it was read.
#[derive(Debug)]
struct Node {
    name: OsString,
    /// `None` for what has to be read again whatever its times say.
    key: Option<Key>,
    place: Place,
    /// Its files and itself.
    own: Size,
    /// Files with several names: where they are, and their size.
    linked: Vec<((u64, u64), Size)>,
    folders: Vec<Node>,
}

/// Identity and times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    identity: (u64, u64),
    modified: Time,
    changed: Time,
}

impl Key {
    fn of(meta: &Meta) -> Self {
        Self { identity: meta.identity(), modified: meta.modified, changed: meta.changed }
    }
}

impl Index {
    /// Whether a file system's folders say when they change.
    pub fn fits(path: &Path) -> bool {
        const ODD: [&str; 4] = ["overlay", "fuse", "vboxsf", "drvfs"];
        disk::disk(path).is_ok_and(|disk| {
            !disk.network && !ODD.iter().any(|odd| disk.file_system.starts_with(odd))
        })
    }

    /// The sums as they are now, reading what changed. `sums` is how many there are; `place` is the
    /// root's own.
    pub fn refresh(
        &mut self,
        root: &Dir,
        (sums, place, place_of): (usize, Place, PlaceOf<'_>),
        now: Time,
        meter: &Meter,
    ) -> io::Result<Indexed> {
        let mut run = Run {
            root: root.handle(),
            device: root.meta()?.device,
            place_of,
            now,
            meter,
            buffer: Buffer::default(),
            path: PathBuf::new(),
            seen: HashSet::new(),
            found: Indexed { sums: vec![Size::default(); sums], ..Indexed::default() },
        };
        let old = self.root.take().unwrap_or_else(|| Node::new(OsString::new(), place));
        let meta = root.meta()?;
        self.root = run.visit(old, &meta)?;
        Ok(run.found)
    }
}

impl Node {
    fn new(name: OsString, place: Place) -> Self {
        let own = Size::default();
        Self { name, key: None, place, own, linked: Vec::new(), folders: Vec::new() }
    }
}

/// One refresh.
struct Run<'a> {
    root: &'a Handle,
    device: u64,
    place_of: PlaceOf<'a>,
    now: Time,
    meter: &'a Meter,
    buffer: Buffer,
    /// The folder at hand, below the root.
    path: PathBuf,
    seen: HashSet<(u64, u64)>,
    found: Indexed,
}

impl Run<'_> {
    /// A folder and all below it; `None` where it is gone.
    fn visit(&mut self, mut node: Node, meta: &Meta) -> io::Result<Option<Node>> {
        if self.meter.stopped() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.found.folders += 1;
        if node.key != Some(Key::of(meta)) {
            match self.read(&mut node, meta) {
                Ok(()) => self.found.read += 1,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        self.count(&node);
        let mut left = Vec::with_capacity(node.folders.len());
        for folder in std::mem::take(&mut node.folders) {
            self.path.push(&folder.name);
            // One look from the root costs less than to open each folder on the way.
            let looked = self.root.look(self.path.as_os_str());
            let visited = match looked {
                Ok(Some(meta)) if self.is_ours(&meta) => self.visit(folder, &meta),
                // It went, or became something else: its folder is read again next time.
                Ok(_) => Ok(None),
                Err(error) => Err(error),
            };
            self.path.pop();
            match visited? {
                Some(folder) => left.push(folder),
                None => node.key = None,
            }
        }
        node.folders = left;
        Ok(Some(node))
    }

    fn is_ours(&self, meta: &Meta) -> bool {
        meta.kind == Kind::Folder && meta.device == self.device && !meta.mount_point
    }

    /// Reads the folder's own entries; of subfolders that it had, what is recorded stays.
    fn read(&mut self, node: &mut Node, before: &Meta) -> io::Result<()> {
        let handle = self.open()?;
        let fresh = self.now.minus(SETTLED);
        let mut own = Size::new(0, 0, before.allocated);
        let mut linked = Vec::new();
        let mut names = Vec::new();
        let mut settled = !node.place.volatile && before.modified < fresh && before.changed < fresh;
        handle.scan(&mut self.buffer, |entry| {
            let kind = entry.kind();
            if kind == Some(Kind::Folder) {
                names.push(entry.name().to_owned());
                return Ok(true);
            }
            let Some(meta) = entry.look()? else { return Ok(true) };
            if meta.kind == Kind::Folder {
                names.push(entry.name().to_owned());
                return Ok(true);
            }
            let size = Size::new(1, meta.logical, meta.allocated);
            if meta.links > 1 {
                linked.push((meta.identity(), size));
            } else {
                own += size;
            }
            // `changed` is left out: a link or a new mode changes no size.
            settled &= meta.modified < fresh;
            Ok(true)
        })?;
        names.sort_unstable();
        let mut old = std::mem::take(&mut node.folders);
        old.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let mut old = old.into_iter().peekable();
        for name in names {
            while old.next_if(|folder| folder.name < name).is_some() {}
            let place = (self.place_of)(node.place, &name);
            node.folders.push(match old.next_if(|folder| folder.name == name) {
                Some(folder) => folder,
                None => Node::new(name, place),
            });
        }
        (node.own, node.linked) = (own, linked);
        // The times from before the reading: what changed meanwhile makes them old.
        node.key = settled.then(|| Key::of(before));
        Ok(())
    }

    fn open(&self) -> io::Result<Handle> {
        let mut at = self.root.again()?;
        for name in &self.path {
            at = at.open_dir(name)?;
        }
        Ok(at)
    }

    fn count(&mut self, node: &Node) {
        let mut size = node.own;
        for (identity, linked) in &node.linked {
            // The disk gives it back once; its names say what they say.
            let first = self.seen.insert(*identity);
            let allocated = if first { linked.allocated } else { Allocated(0) };
            size += Size { allocated, ..*linked };
        }
        if let Some(sum) = self.found.sums.get_mut(usize::from(node.place.sum)) {
            *sum += size;
        }
    }
}
