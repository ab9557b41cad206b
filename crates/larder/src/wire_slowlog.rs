//! `larder/slowlog/1`.

use larder_core::Time;
use larder_redis::slowlog::{SlowEntry, SlowPattern};
use schemars::JsonSchema;
use serde::Serialize;

use crate::wire::{Document, WireTime};

/// Slow commands by pattern.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SlowlogDoc {
    schema: &'static str,
    /// `redis:NAME` or a URL.
    cache: String,
    /// The costliest first.
    patterns: Vec<WirePattern>,
    /// Entries that the server dropped before they were seen.
    lost: u64,
    /// Servers that could not be asked, with the grant that is missing.
    missing: Vec<String>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WirePattern {
    /// The command with the shape of its key.
    pattern: String,
    /// How many.
    count: u64,
    /// All of them together.
    total_seconds: f64,
    /// The longest.
    max_seconds: f64,
    /// Who sent them, the most frequent first.
    senders: Vec<WireSender>,
    /// What to do instead.
    remedy: Option<&'static str>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireSender {
    /// Without the port.
    address: String,
    /// What the client calls itself.
    name: String,
    /// The ACL user; null where the client is gone.
    user: Option<String>,
    /// How many it sent.
    count: u64,
}

impl Document for SlowlogDoc {
    const SCHEMA: &'static str = "larder/slowlog/1";
}

impl SlowlogDoc {
    /// Of this Redis.
    pub fn new(cache: &str, patterns: &[SlowPattern], lost: u64, missing: &[String]) -> Self {
        Self {
            schema: Self::SCHEMA,
            cache: cache.to_owned(),
            patterns: patterns.iter().map(WirePattern::from).collect(),
            lost,
            missing: missing.to_vec(),
        }
    }
}

impl From<&SlowPattern> for WirePattern {
    fn from(pattern: &SlowPattern) -> Self {
        let senders = pattern.senders.iter().map(|(sender, count)| WireSender {
            address: sender.address.clone(),
            name: sender.name.clone(),
            user: sender.user.clone(),
            count: *count,
        });
        Self {
            pattern: pattern.pattern.clone(),
            count: pattern.count,
            total_seconds: pattern.total.as_secs_f64(),
            max_seconds: pattern.max.as_secs_f64(),
            senders: senders.collect(),
            remedy: pattern.remedy,
        }
    }
}

/// One entry, a line of `--follow --json`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct WireSlowEntry {
    at: WireTime,
    seconds: f64,
    pattern: String,
    address: String,
    name: String,
    user: Option<String>,
}

impl From<&SlowEntry> for WireSlowEntry {
    fn from(entry: &SlowEntry) -> Self {
        Self {
            at: WireTime(Time::from_unix(i64::try_from(entry.at).unwrap_or(0))),
            seconds: entry.took.as_secs_f64(),
            pattern: entry.pattern.clone(),
            address: entry.address.clone(),
            name: entry.name.clone(),
            user: entry.user.clone(),
        }
    }
}
