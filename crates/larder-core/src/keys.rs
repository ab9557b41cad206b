//! Keys of a Redis: which are meant, and what of them a plan takes.

use std::time::Duration;

/// The keys that something is to be done with. Keys and patterns are bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySelection {
    /// The pattern that they match, as `SCAN … MATCH` takes it.
    pub pattern: Vec<u8>,
    /// Patterns that take keys out again.
    pub exclude: Vec<Vec<u8>>,
    /// Their type, as `SCAN … TYPE` takes it.
    pub kind: Option<String>,
    /// Those without a time to live only.
    pub persistent: bool,
    /// Those that nobody read or wrote for this long.
    pub idle: Option<Duration>,
    /// Those that are certainly this old.
    pub older_than: Option<Duration>,
    /// Those that take more memory than this, in bytes.
    pub larger_than: Option<u64>,
}

/// Keys that go together, by what selects them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysItem {
    /// `redis:NAME`, or a URL without a password.
    pub cache: String,
    /// Where that was when the plan was made.
    pub url: String,
    /// Which keys.
    pub selection: KeySelection,
    /// How many there were, or about how many.
    pub keys: u64,
    /// What they took, about, in bytes.
    pub estimated_bytes: u64,
    /// Why they go.
    pub reason: Box<str>,
}

impl KeysItem {
    /// What a person would call it.
    pub fn subject(&self) -> String {
        format!("keys {} of {}", self.selection.pattern.escape_ascii(), self.cache)
    }
}
