//! `larder/outcome/1`.

use std::time::Duration;

use larder_core::{CacheKind, Outcome, Size};
use schemars::JsonSchema;
use serde::Serialize;

use crate::exit::CliError;
use crate::key_removal::Done;
use crate::wire::Document;
use crate::wire_download::DownloadDoc;

/// What applying a plan did.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct OutcomeDoc {
    schema: &'static str,
    /// The plan.
    plan_id: String,
    /// Always false: a preview prints a plan.
    dry_run: bool,
    /// Each cache before.
    before: Vec<WireCacheSize>,
    /// Each cache after, measured again.
    after: Vec<WireCacheSize>,
    /// Allocated bytes, measured as removed. What is in the trash is not freed.
    freed_bytes: u64,
    /// Allocated bytes that were moved to the trash.
    trashed_bytes: u64,
    /// What is gone from the caches.
    removed: WireRemoved,
    /// Each server of each Redis; absent where none was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    redis: Vec<WireRedisNode>,
    /// Left alone, with the reason.
    skipped: Vec<WireSkipped>,
    /// Could not be removed, with the error.
    failed: Vec<WireFailed>,
    /// What undoes this.
    trash_id: Option<String>,
    /// Whether it was stopped before its end.
    interrupted: bool,
    /// From the first look to the last removal.
    duration_seconds: f64,
    /// What `--rewarm` fetched afterwards; absent where it was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    rewarm: Option<DownloadDoc>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireCacheSize {
    /// Its name.
    cache: String,
    /// Null for a Redis.
    files: Option<u64>,
    /// Of a Redis, `used_memory`.
    logical_bytes: u64,
    /// Of a Redis, `used_memory_rss`.
    allocated_bytes: u64,
}

/// What was done on one server of a Redis.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireRedisNode {
    cache: String,
    /// `host:port` or the socket's path.
    address: String,
    /// Keys that are gone.
    removed: u64,
    /// What other clients felt before, at the 99th percentile.
    idle_p99_seconds: f64,
    /// What they felt during the work, at the 99th percentile.
    p99_seconds: f64,
    /// The slowest moment for them.
    max_seconds: f64,
    /// Hits and misses that our own look-ups were counted as.
    own_hits: u64,
    own_misses: u64,
    /// How often it began again, because another server took the place.
    restarts: u32,
    /// Where `--resume` goes on; null where it is done.
    cursor: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
struct WireRemoved {
    /// Plan items.
    items: u64,
    /// Files, folders not counted.
    files: u64,
    /// Of Redis caches.
    keys: u64,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireSkipped {
    subject: String,
    reason: String,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireFailed {
    subject: String,
    error: String,
}

impl Document for OutcomeDoc {
    const SCHEMA: &'static str = "larder/outcome/1";
}

impl From<&Outcome> for OutcomeDoc {
    fn from(outcome: &Outcome) -> Self {
        let skipped = outcome.skipped.iter();
        let failed = outcome.failed.iter();
        Self {
            schema: Self::SCHEMA,
            plan_id: outcome.plan_id.clone(),
            dry_run: false,
            before: outcome.before.iter().map(WireCacheSize::from).collect(),
            after: outcome.after.iter().map(WireCacheSize::from).collect(),
            freed_bytes: outcome.freed.allocated.0,
            trashed_bytes: outcome.trashed.allocated.0,
            removed: WireRemoved {
                items: outcome.removed.items,
                files: outcome.removed.files,
                keys: 0,
            },
            redis: Vec::new(),
            skipped: skipped
                .map(|s| WireSkipped { subject: s.subject.clone(), reason: s.reason.clone() })
                .collect(),
            failed: failed
                .map(|f| WireFailed { subject: f.subject.clone(), error: f.error.clone() })
                .collect(),
            trash_id: outcome.trash_id.clone(),
            interrupted: outcome.interrupted,
            duration_seconds: outcome.duration.as_secs_f64(),
            rewarm: None,
        }
    }
}

impl OutcomeDoc {
    /// What was done to the keys of each Redis.
    pub(crate) fn of_keys(
        plan_id: &str,
        done: &[Done],
        failed: &[(String, CliError)],
        took: Duration,
    ) -> Self {
        let memory = |after: bool| -> Vec<WireCacheSize> {
            done.iter().map(|one| WireCacheSize::of_redis(one, after)).collect()
        };
        let (before, after) = (memory(false), memory(true));
        let sum =
            |sizes: &[WireCacheSize]| sizes.iter().map(|size| size.logical_bytes).sum::<u64>();
        let skipped = done.iter().flat_map(|one| &one.cleaned.nodes).flat_map(|node| &node.skipped);
        let errors = failed
            .iter()
            .map(|(cache, error)| WireFailed { subject: cache.clone(), error: error.what.clone() });
        let broken = done
            .iter()
            .flat_map(Done::broken)
            .map(|(subject, error)| WireFailed { subject, error });
        Self {
            schema: Self::SCHEMA,
            plan_id: plan_id.to_owned(),
            dry_run: false,
            freed_bytes: sum(&before).saturating_sub(sum(&after)),
            before,
            after,
            trashed_bytes: done.iter().map(|one| one.kept_bytes).sum(),
            removed: WireRemoved {
                items: done.len() as u64,
                files: 0,
                keys: done.iter().map(|one| one.cleaned.removed()).sum(),
            },
            redis: done.iter().flat_map(WireRedisNode::all).collect(),
            skipped: skipped
                .map(|(key, reason)| WireSkipped {
                    subject: crate::wire_keys::text_and_base64(key).0,
                    reason: reason.clone(),
                })
                .collect(),
            failed: errors.chain(broken).collect(),
            trash_id: done.iter().find_map(|one| one.trash_id.clone()),
            interrupted: done.iter().any(|one| one.cleaned.interrupted),
            duration_seconds: took.as_secs_f64(),
            rewarm: None,
        }
    }

    /// With what was fetched afterwards.
    #[must_use]
    pub fn with_rewarm(self, rewarm: DownloadDoc) -> Self {
        Self { rewarm: Some(rewarm), ..self }
    }
}

impl WireCacheSize {
    fn of_redis(one: &Done, after: bool) -> Self {
        let memory = |node: &larder_redis::NodeCleaned| {
            if after { node.memory_after } else { node.memory_before }
        };
        let nodes = || one.cleaned.nodes.iter().map(memory);
        Self {
            cache: one.cache.clone(),
            files: None,
            logical_bytes: nodes().map(|(used, _)| used).sum(),
            allocated_bytes: nodes().map(|(_, resident)| resident).sum(),
        }
    }
}

impl WireRedisNode {
    fn all(one: &Done) -> Vec<Self> {
        let nodes = one.cleaned.nodes.iter();
        nodes
            .map(|node| Self {
                cache: one.cache.clone(),
                address: node.address.clone(),
                removed: node.removed,
                idle_p99_seconds: node.idle.p99.as_secs_f64(),
                p99_seconds: node.felt.p99.as_secs_f64(),
                max_seconds: node.felt.max.as_secs_f64(),
                own_hits: node.caused.hits,
                own_misses: node.caused.misses,
                restarts: node.restarts,
                // A cursor takes all of 64 bits, which not every reader of JSON has.
                cursor: node.stopped.cursor.map(|cursor| cursor.to_string()),
            })
            .collect()
    }
}

impl From<&(CacheKind, Size)> for WireCacheSize {
    fn from((cache, size): &(CacheKind, Size)) -> Self {
        Self {
            cache: cache.name().to_owned(),
            files: Some(size.files),
            logical_bytes: size.logical.0,
            allocated_bytes: size.allocated.0,
        }
    }
}
