//! `larder/slowlog/1`.

use larder_core::Time;
use larder_redis::slowlog::{SlowEntry, SlowPattern, blocked};
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
    /// From the first entry on record to the last.
    window_seconds: f64,
    /// The part of it in which a server did nothing but these commands, and all others waited.
    blocked_ratio: f64,
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
    /// All of them together: so long every other client waited.
    total_seconds: f64,
    /// The longest.
    max_seconds: f64,
    /// The first one on record.
    first_at: WireTime,
    /// The last one.
    last_at: WireTime,
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
    /// The ACL user; null where the client was never seen.
    user: Option<String>,
    /// The client's library with its version, where it says so (7.2).
    library: Option<String>,
    /// How many it sent.
    count: u64,
    /// How long every other client waited for them.
    total_seconds: f64,
}

/// What is known of a Redis' slow commands.
#[derive(Clone, Debug, Default)]
pub struct SlowReport {
    /// All that are on record, of all servers.
    pub entries: Vec<SlowEntry>,
    /// The same by pattern, the costliest first.
    pub patterns: Vec<SlowPattern>,
    /// Entries that came and went unseen.
    pub lost: u64,
    /// Servers that could not be asked, and why.
    pub missing: Vec<String>,
}

impl Document for SlowlogDoc {
    const SCHEMA: &'static str = "larder/slowlog/1";
}

impl SlowlogDoc {
    /// Of this Redis.
    pub fn new(cache: &str, report: &SlowReport) -> Self {
        let SlowReport { entries, patterns, lost, missing } = report;
        let (total, window) = blocked(entries).unwrap_or_default();
        let ratio = total.as_secs_f64() / window.as_secs_f64();
        Self {
            schema: Self::SCHEMA,
            cache: cache.to_owned(),
            patterns: patterns.iter().map(WirePattern::from).collect(),
            window_seconds: window.as_secs_f64(),
            blocked_ratio: if ratio.is_finite() { ratio } else { 0.0 },
            lost: *lost,
            missing: missing.clone(),
        }
    }
}

impl From<&SlowPattern> for WirePattern {
    fn from(pattern: &SlowPattern) -> Self {
        let senders = pattern.senders.iter().map(|sent| WireSender {
            address: sent.sender.address.clone(),
            name: sent.sender.name.clone(),
            user: sent.sender.user.clone(),
            library: sent.sender.library.clone(),
            count: sent.count,
            total_seconds: sent.total.as_secs_f64(),
        });
        Self {
            pattern: pattern.pattern.clone(),
            count: pattern.count,
            total_seconds: pattern.total.as_secs_f64(),
            max_seconds: pattern.max.as_secs_f64(),
            first_at: time(pattern.first),
            last_at: time(pattern.last),
            senders: senders.collect(),
            remedy: pattern.remedy,
        }
    }
}

/// One entry, a line of `--follow --json`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct WireSlowEntry {
    at: WireTime,
    node: String,
    seconds: f64,
    pattern: String,
    address: String,
    name: String,
    user: Option<String>,
    library: Option<String>,
    client_id: Option<u64>,
}

impl From<&SlowEntry> for WireSlowEntry {
    fn from(entry: &SlowEntry) -> Self {
        Self {
            at: time(entry.at),
            node: entry.node.clone(),
            seconds: entry.took.as_secs_f64(),
            pattern: entry.pattern.clone(),
            address: entry.address.clone(),
            name: entry.name.clone(),
            user: entry.user.clone(),
            library: entry.library.clone(),
            client_id: entry.client,
        }
    }
}

fn time(seconds: u64) -> WireTime {
    WireTime(Time::from_unix(i64::try_from(seconds).unwrap_or(0)))
}
