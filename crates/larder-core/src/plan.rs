//! A plan: what would be removed, item by item, each with its reason. Nothing in it acts.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use crate::cache::CacheKind;
use crate::keys::KeysItem;
use crate::size::Size;
use crate::time::Time;

/// A SHA-256 that names an action or an output (`cmd/go/internal/cache/hash.go`, `HashSize`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub [u8; 32]);

const DIGITS: &[u8; 16] = b"0123456789abcdef";

impl EntryId {
    /// Reads exactly 64 lower-case hexadecimal digits.
    pub fn parse(hex: &[u8]) -> Option<Self> {
        /// What no digit is worth.
        const NONE: u8 = 0xf0;
        let digit = |c: u8| match c {
            b'0'..=b'9' => c - b'0',
            b'a'..=b'f' => c - b'a' + 10,
            _ => NONE,
        };
        if hex.len() != 64 {
            return None;
        }
        // All of them, without a stop at the first that is none: that is done many at once.
        let (mut id, mut all) = ([0; 32], 0);
        for (byte, [high, low]) in id.iter_mut().zip(hex.as_chunks().0) {
            let (high, low) = (digit(*high), digit(*low));
            all |= high | low;
            *byte = high << 4 | low & !NONE;
        }
        (all & NONE == 0).then_some(Self(id))
    }

    /// The file of an action entry below GOCACHE: `ab/ab…-a`.
    pub fn action_path(&self) -> PathBuf {
        PathBuf::from(format!("{:02x}/{self}-a", self.0[0]))
    }

    /// The file, or for an executable the folder, of an output below GOCACHE: `ab/ab…-d`.
    pub fn output_path(&self) -> PathBuf {
        PathBuf::from(format!("{:02x}/{self}-d", self.0[0]))
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hex = [0; 64];
        for ([high, low], byte) in hex.as_chunks_mut().0.iter_mut().zip(self.0) {
            *high = DIGITS[usize::from(byte >> 4)];
            *low = DIGITS[usize::from(byte & 0xf)];
        }
        f.pad(str::from_utf8(&hex).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What apply removes, always below the root of the item's cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A build cache entry: an action, its output, or both together.
    Entry {
        /// The action whose `-a` goes.
        action: Option<EntryId>,
        /// The output whose `-d` goes, because no action that stays names it.
        output: Option<EntryId>,
    },
    /// A module version or a toolchain: its extracted folder, zip and ziphash.
    Version {
        /// Unescaped module path.
        module: String,
        /// Unescaped version.
        version: String,
        /// Relative to GOMODCACHE, what of it is there.
        paths: Vec<PathBuf>,
    },
    /// Parts of a module version that a verification found bad; the rest of it stays.
    Damaged {
        /// Unescaped module path.
        module: String,
        /// Unescaped version.
        version: String,
        /// Relative to GOMODCACHE, what of it is bad.
        paths: Vec<PathBuf>,
    },
    /// A file or folder whole, relative to the root and never the root itself.
    Path(PathBuf),
    /// All of the item's cache, as `clean` removes it.
    All,
    /// No file goes: `testexpire.txt` is stamped, which makes Go ignore earlier test results
    /// (`cmd/go/internal/clean/clean.go`).
    TestResults,
}

impl Target {
    /// Everything that it names, relative to the root.
    pub fn paths(&self) -> Vec<PathBuf> {
        match self {
            Self::Entry { action, output } => action
                .iter()
                .map(EntryId::action_path)
                .chain(output.iter().map(EntryId::output_path))
                .collect(),
            Self::Version { paths, .. } | Self::Damaged { paths, .. } => paths.clone(),
            Self::Path(path) => vec![path.clone()],
            Self::All => vec![PathBuf::new()],
            Self::TestResults => vec![PathBuf::from("testexpire.txt")],
        }
    }
}

/// One thing that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanItem {
    /// Its cache.
    pub cache: CacheKind,
    /// A name that the target does not tell by itself (a repository's URL).
    pub name: Option<Box<str>>,
    /// What apply removes.
    pub target: Target,
    /// What this gives back; `None` where `clean` acts at once and measures as it removes.
    pub size: Option<Size>,
    /// Last use as it was when planned: what has been used since is skipped.
    pub last_used: Option<Time>,
    /// Why it goes.
    pub reason: Box<str>,
}

impl PlanItem {
    /// What a person would call it.
    pub fn subject(&self) -> Cow<'_, str> {
        if let Some(name) = &self.name {
            return Cow::Borrowed(name);
        }
        match &self.target {
            Target::Entry { action: Some(id), .. } => Cow::Owned(format!("build action {id}")),
            Target::Entry { output: Some(id), .. } => Cow::Owned(format!("build output {id}")),
            Target::Entry { .. } => Cow::Borrowed("build entry"),
            Target::Version { module, version, .. } | Target::Damaged { module, version, .. } => {
                Cow::Owned(format!("{module}@{version}"))
            }
            Target::All => Cow::Owned(format!("all of {}", self.cache)),
            Target::Path(path) => Cow::Owned(path.display().to_string()),
            Target::TestResults => Cow::Borrowed("test results"),
        }
    }
}

/// What a policy wanted gone and something protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its cache.
    pub cache: CacheKind,
    /// What stays.
    pub subject: String,
    /// Why.
    pub reason: String,
    /// What its staying costs.
    pub size: Size,
}

/// A root as it was when the plan was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanRoot {
    /// Which of the two.
    pub kind: crate::cache::RootKind,
    /// Absolute path.
    pub path: PathBuf,
    /// Device and inode (on Windows volume and file index), so that another folder of the same
    /// name is not mistaken for it.
    pub identity: (u64, u64),
}

/// What would be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// A short name for people, eight hexadecimal digits.
    pub id: String,
    /// When it was made.
    pub created_at: Time,
    /// The machine that it was made on and is for.
    pub host: String,
    /// The arguments that asked for it, without the program's name.
    pub request: Vec<String>,
    /// The roots that it is about.
    pub roots: Vec<PlanRoot>,
    /// `--protect` as it was asked for: apply looks again with the same rule.
    pub protect: std::time::Duration,
    /// What goes, in the order in which it goes.
    pub items: Vec<PlanItem>,
    /// Keys of Redis caches that go.
    pub keys: Vec<KeysItem>,
    /// What stays though a policy wanted it gone.
    pub kept: Vec<Kept>,
}

impl Plan {
    /// The sum over the items, as far as it was measured.
    pub fn total(&self) -> Size {
        self.items.iter().filter_map(|item| item.size).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::EntryId;

    #[test]
    fn an_id_is_read_as_it_is_written_and_nothing_else_is() {
        let mut bytes = [0; 32];
        for (at, byte) in (0..).zip(&mut bytes) {
            *byte = at * 8;
        }
        let text = EntryId(bytes).to_string();
        assert!(text.starts_with("0008101820283038"), "{text}");
        assert_eq!(EntryId::parse(text.as_bytes()), Some(EntryId(bytes)));
        assert_eq!(EntryId::parse(&text.as_bytes()[..63]), None);
        assert_eq!(EntryId::parse(format!("{text}0").as_bytes()), None);
        for at in 0..64 {
            for wrong in [b'g', b'A', b'/', b':', b'`', 0, 0xff] {
                let mut text = text.clone().into_bytes();
                text[at] = wrong;
                assert_eq!(EntryId::parse(&text), None, "{wrong} at {at}");
            }
        }
    }
}
