//! Something about a cache worth acting on, with the command that mends it.

use crate::cache::CacheKind;
use crate::size::Allocated;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Costs space or time.
    Warning,
    /// Something is broken or will be.
    Critical,
}

impl Severity {
    /// The word in JSON and on screens.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable name for scripts, in kebab-case.
    pub id: &'static str,
    /// The cache it is about.
    pub cache: CacheKind,
    /// How much it matters.
    pub severity: Severity,
    /// One sentence, no full stop.
    pub message: String,
    /// What to type; `None` where nothing that larder does would mend it.
    pub command: Option<String>,
    /// What that command would free, where it is known.
    pub frees: Option<Allocated>,
}
