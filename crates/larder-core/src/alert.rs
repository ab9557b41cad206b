//! An alert as everybody is told of it: what is wrong with one cache, why, and what mends it.
//!
//! All that is wrong with one cache at one time is one alert with its reasons. Its identity is its
//! labels, so nothing that changes from sample to sample (a score, a size) is one of them.

use crate::finding::Severity;
use crate::time::Time;

/// One reason of an alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    /// Stable name: a dimension of the score (`hit_rate`, `memory`), or a finding's id.
    pub id: String,
    /// Points of the score that it takes, where it takes any.
    pub lost: Option<f64>,
    /// One sentence with its evidence, no full stop: `1.6 GB of 2.0 GB, +41 MB/h`.
    pub text: String,
}

/// What is wrong with one cache.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// `RedisCacheUnhealthy`, `CacheGrowsFast`: in CamelCase, as in the exported rules.
    pub name: String,
    /// `build`, `redis:NAME`, as on the command line.
    pub cache: String,
    /// How bad it is.
    pub severity: Severity,
    /// When it was raised.
    pub since: Time,
    /// When it was over; `None` while it fires.
    pub ended: Option<Time>,
    /// The score now, 0 to 100.
    pub score: Option<f64>,
    /// The score before it was raised.
    pub score_before: Option<f64>,
    /// Why, the costliest first.
    pub reasons: Vec<Reason>,
    /// How the cache grows and when it is full, in one sentence; empty where that is not known.
    pub trend: String,
    /// What to type, with `-n` where it would remove something.
    pub command: Option<String>,
    /// What that would free, bytes.
    pub frees: Option<u64>,
    /// What larder did by itself, and the way back, a sentence each.
    pub done: Vec<String>,
    /// More for who has to act, a line each: slow commands, key prefixes.
    pub details: Vec<String>,
}

impl Alert {
    /// What makes it the same alert: its name, its cache and its severity's word are its labels;
    /// the first two identify it.
    pub fn key(&self) -> (&str, &str) {
        (&self.name, &self.cache)
    }

    /// The page that says what to do about it, below the project's documentation.
    pub fn runbook(&self) -> String {
        format!("docs/runbooks/{}.md", self.name)
    }
}

/// Why somebody is told of an alert now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// It was raised.
    Raised,
    /// It became worse or better by a level, or larder did something about it.
    Changed,
    /// It still fires.
    Reminder,
    /// It is over.
    Cleared,
    /// Nothing is wrong: something was done by itself, or waits for somebody.
    Report,
    /// Nothing is wrong: somebody tests the way.
    Test,
}

impl Occasion {
    /// The word in JSON and in delivery records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Changed => "changed",
            Self::Reminder => "reminder",
            Self::Cleared => "cleared",
            Self::Report => "report",
            Self::Test => "test",
        }
    }
}

/// What a receiver is told at once: one occasion of one or several alerts of one host.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// The same for the same occasion of the same alerts, also after a restart, so that nothing is
    /// told twice.
    pub id: String,
    /// Why now.
    pub occasion: Occasion,
    /// When.
    pub at: Time,
    /// The machine that larder runs on.
    pub host: String,
    /// At least one.
    pub alerts: Vec<Alert>,
}
