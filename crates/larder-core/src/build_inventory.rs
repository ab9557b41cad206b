//! The build cache's entries in memory, small enough for millions of them.
//!
//! An action is 28 bytes and an output 32, so that a cache of a million files is planned within
//! some 30 MB. An entry is known by the first 16 of its 32 bytes; whoever acts on one reads the
//! whole name from the folder again.

use crate::size::Size;
use crate::time::Time;

/// The first half of an action ID or output ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryKey(pub [u8; 16]);

impl EntryKey {
    /// The folder that holds it, `00` to `ff`.
    pub fn shard(&self) -> u8 {
        self.0[0]
    }
}

/// Where an action stands: its shard and its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionRef(u32);

/// Where an output stands: its shard and its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutputRef(u32);

macro_rules! place {
    ($name:ident) => {
        impl $name {
            /// The largest number of entries of a kind in one shard.
            pub const MAX_INDEX: usize = 0x00ff_fffe;

            /// Entry `index` of `shard`; `None` beyond [`Self::MAX_INDEX`].
            pub fn new(shard: u8, index: usize) -> Option<Self> {
                let index = u32::try_from(index).ok().filter(|&i| i as usize <= Self::MAX_INDEX)?;
                Some(Self(u32::from(shard) << 24 | index))
            }

            /// Its shard.
            pub fn shard(self) -> usize {
                (self.0 >> 24) as usize
            }

            /// Its place in the shard.
            pub fn index(self) -> usize {
                (self.0 & 0x00ff_ffff) as usize
            }
        }
    };
}
place!(ActionRef);
place!(OutputRef);

/// What an action entry says of its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// This output is there.
    Output(OutputRef),
    /// The output that it names is not there: for Go a plain miss.
    Missing,
    /// The entry cannot be read as one: for Go a plain miss too.
    Damaged,
}

/// An action entry, `<action ID>-a`.
#[derive(Clone, Copy, Debug)]
pub struct Action {
    /// Its ID's first half.
    pub key: EntryKey,
    /// Last use in unix seconds: the file's mtime, which Go refreshes.
    pub used: u32,
    output: u32,
    logical: u16,
    blocks: u16,
}

impl Action {
    const MISSING: u32 = u32::MAX;
    const DAMAGED: u32 = u32::MAX - 1;

    /// An action with its file's sizes in bytes; larger ones than such a file has are cut short.
    pub fn new(key: EntryKey, used: u32, logical: u64, allocated: u64) -> Self {
        Self {
            key,
            used,
            output: Self::DAMAGED,
            logical: u16::try_from(logical).unwrap_or(u16::MAX),
            blocks: u16::try_from(allocated / 512).unwrap_or(u16::MAX),
        }
    }

    /// What it names.
    pub fn names(&self) -> Names {
        match self.output {
            Self::MISSING => Names::Missing,
            Self::DAMAGED => Names::Damaged,
            place => Names::Output(OutputRef(place)),
        }
    }

    /// Sets what it names.
    pub fn set_names(&mut self, names: Names) {
        self.output = match names {
            Names::Missing => Self::MISSING,
            Names::Damaged => Self::DAMAGED,
            Names::Output(place) => place.0,
        };
    }

    /// Its own file, without the output.
    pub fn size(&self) -> Size {
        Size::new(1, u64::from(self.logical), u64::from(self.blocks) * 512)
    }
}

/// An output, `<output ID>-d`: a file, or for an executable a folder with one file.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// Its ID's first half.
    pub key: EntryKey,
    /// Last use in unix seconds.
    pub used: u32,
    blocks: u32,
    logical: u64,
}

impl Output {
    const FOLDER: u32 = 1 << 31;

    /// An output with its sizes in bytes; of a folder, those of the folder and what it holds.
    pub fn new(key: EntryKey, used: u32, logical: u64, allocated: u64, folder: bool) -> Self {
        let blocks = u32::try_from(allocated / 512).unwrap_or(u32::MAX) & !Self::FOLDER;
        Self { key, used, blocks: blocks | if folder { Self::FOLDER } else { 0 }, logical }
    }

    /// Whether it is the folder of a cached executable.
    pub fn is_folder(&self) -> bool {
        self.blocks & Self::FOLDER != 0
    }

    /// What removing it gives back.
    pub fn size(&self) -> Size {
        Size::new(1, self.logical, u64::from(self.blocks & !Self::FOLDER) * 512)
    }
}

/// One of the 256 folders. Both lists are sorted by key.
#[derive(Clone, Debug, Default)]
pub struct Shard {
    /// Its action entries.
    pub actions: Box<[Action]>,
    /// Its outputs.
    pub outputs: Box<[Output]>,
}

/// Every entry of a build cache.
#[derive(Clone, Debug)]
pub struct BuildInventory {
    /// By first byte: always 256.
    pub shards: Box<[Shard]>,
    /// Everything else under this cache's part of the root: folders, `README`, `trim.txt`.
    pub overhead: Size,
}

impl BuildInventory {
    /// An inventory of nothing.
    pub fn empty() -> Self {
        Self { shards: vec![Shard::default(); 256].into(), overhead: Size::default() }
    }

    /// An action by its place.
    pub fn action(&self, place: ActionRef) -> &Action {
        &self.shards[place.shard()].actions[place.index()]
    }

    /// An output by its place.
    pub fn output(&self, place: OutputRef) -> &Output {
        &self.shards[place.shard()].outputs[place.index()]
    }

    /// Every action with its place, in the order of their keys.
    pub fn actions(&self) -> impl Iterator<Item = (ActionRef, &Action)> {
        self.shards.iter().enumerate().flat_map(|(shard, entries)| {
            entries.actions.iter().enumerate().filter_map(move |(index, action)| {
                Some((ActionRef::new(u8::try_from(shard).ok()?, index)?, action))
            })
        })
    }

    /// Every output with its place, in the order of their keys.
    pub fn outputs(&self) -> impl Iterator<Item = (OutputRef, &Output)> {
        self.shards.iter().enumerate().flat_map(|(shard, entries)| {
            entries.outputs.iter().enumerate().filter_map(move |(index, output)| {
                Some((OutputRef::new(u8::try_from(shard).ok()?, index)?, output))
            })
        })
    }

    /// The output of this key, where it is there.
    pub fn find_output(&self, key: EntryKey) -> Option<OutputRef> {
        let shard = &self.shards[usize::from(key.shard())];
        let index = shard.outputs.binary_search_by_key(&key, |o| o.key).ok()?;
        OutputRef::new(key.shard(), index)
    }

    /// All of it.
    pub fn size(&self) -> Size {
        let entries: Size = self
            .shards
            .iter()
            .map(|shard| {
                shard.actions.iter().map(Action::size).sum::<Size>()
                    + shard.outputs.iter().map(Output::size).sum::<Size>()
            })
            .sum();
        entries + self.overhead
    }

    /// The latest and the earliest use of any entry.
    pub fn uses(&self) -> Option<(Time, Time)> {
        let used = self.shards.iter().flat_map(|shard| {
            shard.actions.iter().map(|a| a.used).chain(shard.outputs.iter().map(|o| o.used))
        });
        let (latest, earliest) = used.fold((0, u32::MAX), |(l, e), u| (l.max(u), e.min(u)));
        (latest >= earliest)
            .then(|| (Time::from_unix(latest.into()), Time::from_unix(earliest.into())))
    }
}

/// Unix seconds as an entry keeps them: before 1970 is 0, after 2106 the last second.
pub fn entry_seconds(time: Time) -> u32 {
    u32::try_from(time.unix().max(0)).unwrap_or(u32::MAX)
}
