//! One entry of a build cache held against its name, its form and its output.
//!
//! Promises: reads in large pieces, keeps no content, follows no symlink. Leaves out when to
//! believe what it sees of a file that is being written: `build_verify` looks again.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use larder_core::{CacheKind, Check, EntryId, Meter, Time, Unverifiable};
use larder_fs::{Dir, Kind, Meta};
use larder_sha256::{Lanes, Sum};

use crate::build_entry::{self, ENTRY_LEN};
use crate::build_layout::{EntryName, entry_name, shard_name, shard_of};
use crate::build_verify_content::{Content, hash_alone};

/// Which entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// `-a`.
    Action(EntryId),
    /// `-d`.
    Output(EntryId),
}

impl Key {
    pub(crate) fn of_path(rel: &Path) -> Option<Self> {
        let shard = shard_of(rel.parent()?.file_name()?)?;
        Self::of_name(entry_name(shard, rel.file_name()?)?)
    }

    /// `None` for what is only staged.
    pub(crate) fn of_name(name: EntryName) -> Option<Self> {
        match name {
            EntryName::Action(id) => Some(Self::Action(id)),
            EntryName::Output(id) => Some(Self::Output(id)),
            EntryName::Staged(_) => None,
        }
    }

    pub(crate) fn unverifiable(&self, reason: String) -> Unverifiable {
        let subject = match self {
            Self::Action(id) => format!("build action {id}"),
            Self::Output(id) => format!("build output {id}"),
        };
        Unverifiable { cache: CacheKind::Build, subject, reason }
    }
}

/// What is wrong with an entry.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) check: Check,
    pub(crate) expected: String,
    pub(crate) found: String,
    /// Of an action: the output that it names.
    pub(crate) names: Option<EntryId>,
    /// Of an output: how long it is.
    pub(crate) size: Option<u64>,
    /// The last change of anything that was looked at.
    pub(crate) changed: Option<Time>,
    /// Whether it is what a removal may take.
    pub(crate) mendable: bool,
}

impl Fault {
    fn new(check: Check, expected: impl Into<String>, found: impl Into<String>) -> Self {
        let (expected, found) = (expected.into(), found.into());
        Self { check, expected, found, names: None, size: None, changed: None, mendable: true }
    }

    fn changed_at(mut self, times: impl IntoIterator<Item = Option<Time>>) -> Self {
        self.changed = times.into_iter().flatten().chain(self.changed).max();
        self
    }

    /// Whether it may be in the middle of being written.
    pub(crate) fn is_recent(&self, now: Time, settle: Duration) -> bool {
        self.changed.is_some_and(|at| now.since(at) < settle && at.since(now) < settle)
    }
}

/// What a look at an entry gave.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// An output as it should be, of so many bytes.
    Good { bytes: u64 },
    /// An action as it should be: the output that it names, and the size of that where it is a
    /// file.
    Names { output: EntryId, file: Option<u64> },
    /// A sound action whose output is gone.
    Dangling,
    /// It is no longer there.
    Gone,
    /// Not as it should be, or being written.
    Bad(Fault),
    /// It cannot be read, and why.
    Unread(String),
}

impl Verdict {
    fn of_error(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound {
            return Self::Gone;
        }
        Self::Unread(format!("it cannot be read: {error}"))
    }

    /// An output's content against its name.
    pub(crate) fn of_content(id: &EntryId, content: &Content<'_>, sum: io::Result<Sum>) -> Self {
        match sum {
            Ok(sum) if sum == id.0 => Self::Good { bytes: content.bytes() },
            Ok(_) if !content.is_whole() => Self::Unread("the work was stopped".into()),
            Ok(sum) => {
                let found = format!("sha256 {}", EntryId(sum));
                let mut fault = Fault::new(Check::OutputHash, format!("sha256 {id}"), found);
                fault.size = Some(content.bytes());
                Self::Bad(fault.changed_at([content.last_change()]))
            }
            Err(error) => Self::of_error(&error),
        }
    }
}

/// The folders `00` to `ff`, each opened when it is first needed.
pub(crate) struct Shards<'a> {
    root: &'a Dir,
    slots: Box<[OnceLock<Dir>; 256]>,
}

impl<'a> Shards<'a> {
    pub(crate) fn new(root: &'a Dir) -> Self {
        Self { root, slots: Box::new([const { OnceLock::new() }; 256]) }
    }

    pub(crate) fn root(&self) -> &Dir {
        self.root
    }

    pub(crate) fn dir(&self, shard: u8) -> io::Result<&Dir> {
        let slot = &self.slots[usize::from(shard)];
        if let Some(dir) = slot.get() {
            return Ok(dir);
        }
        let dir = self.root.open_dir(OsStr::new(&shard_name(shard)))?;
        Ok(slot.get_or_init(|| dir))
    }

    pub(crate) fn examine(&self, key: &Key, lanes: &mut Lanes, meter: &Meter) -> Verdict {
        match key {
            Key::Action(id) => self.action(id),
            Key::Output(id) => self.output(id, lanes, meter),
        }
    }

    /// The content of an output that its folder just told to be a file.
    pub(crate) fn content(&self, id: &EntryId) -> Result<Content<'_>, Verdict> {
        let open = |dir| Content::open(dir, OsString::from(format!("{id}-d")));
        self.dir(id.0[0]).and_then(open).map_err(|error| Verdict::of_error(&error))
    }

    /// An action's entry, and its size against that of the output that it names.
    fn action(&self, id: &EntryId) -> Verdict {
        let name = OsString::from(format!("{id}-a"));
        let dir = match self.dir(id.0[0]) {
            Ok(dir) => dir,
            Err(error) => return Verdict::of_error(&error),
        };
        let text = match build_entry::read(dir, &name, id) {
            Ok(Some(text)) => text,
            Ok(None) => return unsound(dir, &name, id),
            Err(error) => return not_a_file(dir, &name, &error),
        };
        let standing = match self.look_output(&text.output) {
            Ok(Some(standing)) => standing,
            Ok(None) => return Verdict::Dangling,
            // Whether it can be read is told with the output itself.
            Err(_) => return Verdict::Names { output: text.output, file: None },
        };
        match standing.size {
            Some(size) if size != text.size => {
                let own = dir.look(&name).ok().flatten().map(|meta| meta.modified);
                let said = format!("{} bytes", text.size);
                let mut fault =
                    Fault::new(Check::OutputSize, format!("{size} bytes, as its output has"), said)
                        .changed_at([own, Some(standing.modified)]);
                fault.names = Some(text.output);
                Verdict::Bad(fault)
            }
            size => {
                let file = size.filter(|_| standing.is_file);
                Verdict::Names { output: text.output, file }
            }
        }
    }

    /// How long an output is and when it changed; of an executable its one file. `None` where it
    /// is gone.
    fn look_output(&self, id: &EntryId) -> io::Result<Option<Standing>> {
        let name = OsString::from(format!("{id}-d"));
        let dir = match self.dir(id.0[0]) {
            Ok(dir) => dir,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(meta) = dir.look(&name)? else { return Ok(None) };
        let modified = meta.modified;
        match meta.kind {
            Kind::File => Ok(Some(Standing { size: Some(meta.logical), is_file: true, modified })),
            Kind::Folder => {
                let folder = dir.open_dir(&name)?;
                let inner = only_entry(&folder)?.map(|(_, inner)| inner);
                let modified = inner.map_or(modified, |inner| modified.max(inner.modified));
                let size = inner.map(|inner| inner.logical);
                Ok(Some(Standing { size, is_file: false, modified }))
            }
            // Told with the output itself.
            Kind::Symlink | Kind::Other => {
                Ok(Some(Standing { size: None, is_file: false, modified }))
            }
        }
    }

    /// An output's content against its name.
    fn output(&self, id: &EntryId, lanes: &mut Lanes, meter: &Meter) -> Verdict {
        let name = OsString::from(format!("{id}-d"));
        let looked = self.dir(id.0[0]).and_then(|dir| Ok((dir, dir.look(&name)?)));
        let (dir, meta) = match looked {
            Ok((dir, Some(meta))) => (dir, meta),
            Ok((_, None)) => return Verdict::Gone,
            Err(error) => return Verdict::of_error(&error),
        };
        match meta.kind {
            Kind::File => content(dir, name, id, lanes, meter),
            Kind::Folder => match dir.open_dir(&name) {
                Ok(folder) => executable(&folder, &meta, id, lanes, meter),
                Err(error) => Verdict::of_error(&error),
            },
            Kind::Symlink => {
                Verdict::Unread("it is a symlink, which larder does not follow".into())
            }
            Kind::Other => Verdict::Unread("it is neither a file nor a folder".into()),
        }
    }
}

struct Standing {
    size: Option<u64>,
    is_file: bool,
    modified: Time,
}

/// The one entry of a folder; `None` where there is none, or more than one.
fn only_entry(folder: &Dir) -> io::Result<Option<(OsString, Meta)>> {
    let mut entries = folder.entries()?;
    let (Some((name, _)), true) = (entries.pop(), entries.is_empty()) else { return Ok(None) };
    Ok(folder.look(&name)?.map(|meta| (name, meta)))
}

/// An action that go takes for a miss, with what is wrong with it.
fn unsound(dir: &Dir, name: &OsStr, id: &EntryId) -> Verdict {
    let (text, meta) =
        match dir.read(name, ENTRY_LEN + 1).and_then(|text| Ok((text, dir.look(name)?))) {
            Ok((text, Some(meta))) => (text, meta),
            Ok((_, None)) => return Verdict::Gone,
            Err(error) => return Verdict::of_error(&error),
        };
    // Written between the two looks.
    if let Some(text) = build_entry::parse(id, &text) {
        return Verdict::Names { output: text.output, file: None };
    }
    let found = if text.len() != ENTRY_LEN {
        format!("{} bytes", meta.logical)
    } else if text.starts_with(b"v1 ") && text.get(3..67) != Some(id.to_string().as_bytes()) {
        "the entry of another action".to_owned()
    } else {
        "a line of another form".to_owned()
    };
    let expected = format!("a line of {ENTRY_LEN} bytes, v1, with its own name");
    let fault = Fault::new(Check::ActionEntry, expected, found);
    Verdict::Bad(fault.changed_at([Some(meta.modified)]))
}

/// An action that cannot be read as a file.
fn not_a_file(dir: &Dir, name: &OsStr, error: &io::Error) -> Verdict {
    match dir.look(name) {
        Ok(Some(meta)) if meta.kind != Kind::File => {
            let mut fault = Fault::new(Check::ActionEntry, "a file", kind_words(meta.kind));
            fault.mendable = false;
            Verdict::Bad(fault)
        }
        Ok(None) => Verdict::Gone,
        _ => Verdict::of_error(error),
    }
}

fn kind_words(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "a file",
        Kind::Folder => "a folder",
        Kind::Symlink => "a symlink",
        Kind::Other => "neither a file nor a folder",
    }
}

/// A file's SHA-256 against the output's name.
fn content(dir: &Dir, name: OsString, id: &EntryId, lanes: &mut Lanes, meter: &Meter) -> Verdict {
    match Content::open(dir, name) {
        Ok(content) => {
            let (content, sum) = hash_alone(content, lanes, meter);
            Verdict::of_content(id, &content, sum)
        }
        Err(error) => Verdict::of_error(&error),
    }
}

/// A cached executable: a folder with one executable file.
fn executable(
    folder: &Dir,
    meta: &Meta,
    id: &EntryId,
    lanes: &mut Lanes,
    meter: &Meter,
) -> Verdict {
    const EXPECTED: &str = "a folder with one executable file";
    let bad = |found: String, inner: Option<Time>| {
        let fault = Fault::new(Check::Executable, EXPECTED, found);
        Verdict::Bad(fault.changed_at([Some(meta.modified), inner]))
    };
    let (name, inner) = match only_entry(folder) {
        Ok(Some(only)) => only,
        Ok(None) => {
            let count = folder.entries().map_or(0, |entries| entries.len());
            return bad(format!("a folder with {count} entries"), None);
        }
        Err(error) => return Verdict::of_error(&error),
    };
    let changed = Some(inner.modified);
    if inner.kind != Kind::File {
        return bad(format!("a folder with {} in it", kind_words(inner.kind)), changed);
    }
    match content(folder, name, id, lanes, meter) {
        Verdict::Good { .. } if cfg!(unix) && inner.mode & 0o111 == 0 => {
            bad("a file that may not be executed".to_owned(), changed)
        }
        Verdict::Bad(fault) => Verdict::Bad(fault.changed_at([Some(meta.modified)])),
        other => other,
    }
}
