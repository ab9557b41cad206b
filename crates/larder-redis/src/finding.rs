//! What an audit tells: something to think about, what it costs, and what to type.

use std::time::Duration;

use larder_core::Severity;

/// Something to think about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable name, kebab-case.
    pub id: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about: a prefix, a key, a server.
    pub subject: String,
    /// What was seen.
    pub evidence: String,
    /// Keys that it concerns.
    pub keys: Option<u64>,
    /// Bytes that it costs.
    pub bytes: Option<u64>,
    /// How long everybody else waits because of it, each time.
    pub stall: Option<Duration>,
    /// What to type.
    pub remedy: String,
}

impl Finding {
    /// Without figures.
    pub(crate) fn new(
        id: &'static str,
        severity: Severity,
        (subject, evidence): (impl Into<String>, impl Into<String>),
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            id,
            severity,
            subject: subject.into(),
            evidence: evidence.into(),
            keys: None,
            bytes: None,
            stall: None,
            remedy: remedy.into(),
        }
    }

    pub(crate) fn keys(mut self, keys: u64) -> Self {
        self.keys = Some(keys);
        self
    }

    pub(crate) fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    pub(crate) fn stall(mut self, stall: Duration) -> Self {
        self.stall = Some(stall);
        self
    }
}

/// How long a server stands still while it frees this, measured on Redis 7.0: a string goes in one
/// piece at some 11 MB a millisecond, `DEL` of a collection at some 50 ns an element.
pub(crate) fn freeing(kind: &str, bytes: u64, elements: Option<u64>) -> Duration {
    match (kind, elements) {
        ("string", _) | (_, None) => Duration::from_micros(bytes / 11_000),
        (_, Some(elements)) => Duration::from_nanos(elements.saturating_mul(50)),
    }
}
