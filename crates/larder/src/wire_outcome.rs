//! `larder/outcome/1`.

use std::time::Duration;

use larder_core::{CacheKind, KeyChange, Outcome, Size};
use larder_redis::NodeChanged;
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
    /// What was given a time to live; absent where something was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<WireChanged>,
    /// Each server of each Redis; absent where none was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    redis: Vec<WireRedisNode>,
    /// Left alone, with the reason.
    skipped: Vec<WireSkipped>,
    /// Could not be done, with the error.
    failed: Vec<WireFailed>,
    /// What undoes this.
    trash_id: Option<String>,
    /// What undoes what was done to keys, where files went in the same command.
    #[serde(skip_serializing_if = "Option::is_none")]
    keys_trash_id: Option<String>,
    /// Whether it was stopped before its end.
    interrupted: bool,
    /// From the first look to the last change.
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
    /// The pattern of the keys.
    pattern: String,
    /// Keys that are gone.
    removed: u64,
    /// Keys that have their time to live.
    changed: u64,
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

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
struct WireChanged {
    /// Keys that have it.
    keys: u64,
    /// Keys that keep theirs, as `--nx`, `--gt` or `--lt` says.
    unchanged: u64,
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
            changed: None,
            redis: Vec::new(),
            skipped: skipped
                .map(|s| WireSkipped { subject: s.subject.clone(), reason: s.reason.clone() })
                .collect(),
            failed: failed
                .map(|f| WireFailed { subject: f.subject.clone(), error: f.error.clone() })
                .collect(),
            trash_id: outcome.trash_id.clone(),
            keys_trash_id: None,
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
        let (before, after) =
            (WireCacheSize::of_redis(done, false), WireCacheSize::of_redis(done, true));
        let sum =
            |sizes: &[WireCacheSize]| sizes.iter().map(|size| size.logical_bytes).sum::<u64>();
        let skipped = done.iter().flat_map(|one| &one.changed.nodes).flat_map(|node| &node.skipped);
        let errors = failed
            .iter()
            .map(|(cache, error)| WireFailed { subject: cache.clone(), error: error.what.clone() });
        let broken = done
            .iter()
            .flat_map(Done::broken)
            .map(|(subject, error)| WireFailed { subject, error });
        let expires = |one: &&Done| matches!(one.item.change, KeyChange::Expire(_));
        let changed = |of: &dyn Fn(&Done) -> u64| done.iter().filter(expires).map(of).sum();
        let changed = done.iter().any(|one| expires(&one)).then(|| WireChanged {
            keys: changed(&|one| one.changed.changed()),
            unchanged: changed(&|one| one.changed.nodes.iter().map(|n| n.unchanged).sum()),
        });
        let removing = || done.iter().filter(|one| one.item.change == KeyChange::Remove);
        Self {
            schema: Self::SCHEMA,
            plan_id: plan_id.to_owned(),
            dry_run: false,
            freed_bytes: sum(&before).saturating_sub(sum(&after)),
            before,
            after,
            trashed_bytes: done.iter().map(|one| one.kept_bytes).sum(),
            removed: WireRemoved {
                items: removing().count() as u64,
                files: 0,
                keys: removing().map(|one| one.changed.changed()).sum(),
            },
            changed,
            redis: done.iter().flat_map(WireRedisNode::all).collect(),
            skipped: skipped
                .map(|(key, reason)| WireSkipped {
                    subject: crate::wire_keys::text_and_base64(key).0,
                    reason: reason.clone(),
                })
                .collect(),
            failed: errors.chain(broken).collect(),
            trash_id: done.iter().find_map(|one| one.trash_id.clone()),
            keys_trash_id: None,
            interrupted: done.iter().any(|one| one.changed.interrupted),
            duration_seconds: took.as_secs_f64(),
            rewarm: None,
        }
    }

    /// With what was done to keys in the same command.
    #[must_use]
    pub(crate) fn with_keys(mut self, keys: Self) -> Self {
        self.before.extend(keys.before);
        self.after.extend(keys.after);
        self.freed_bytes += keys.freed_bytes;
        self.trashed_bytes += keys.trashed_bytes;
        self.removed.items += keys.removed.items;
        self.removed.keys += keys.removed.keys;
        self.skipped.extend(keys.skipped);
        self.failed.extend(keys.failed);
        self.duration_seconds += keys.duration_seconds;
        self.interrupted |= keys.interrupted;
        Self { redis: keys.redis, changed: keys.changed, keys_trash_id: keys.trash_id, ..self }
    }

    /// With what was fetched afterwards.
    #[must_use]
    pub fn with_rewarm(self, rewarm: DownloadDoc) -> Self {
        Self { rewarm: Some(rewarm), ..self }
    }
}

impl WireCacheSize {
    /// Of each Redis, before its first item or after its last.
    fn of_redis(done: &[Done], after: bool) -> Vec<Self> {
        let memory =
            |node: &NodeChanged| if after { node.memory_after } else { node.memory_before };
        let mut sizes: Vec<Self> = Vec::new();
        for one in done {
            let nodes = || one.changed.nodes.iter().map(memory);
            let size = Self {
                cache: one.item.cache.clone(),
                files: None,
                logical_bytes: nodes().map(|(used, _)| used).sum(),
                allocated_bytes: nodes().map(|(_, resident)| resident).sum(),
            };
            match sizes.iter_mut().find(|known| known.cache == size.cache) {
                Some(known) if after => *known = size,
                Some(_) => {}
                None => sizes.push(size),
            }
        }
        sizes
    }
}

impl WireRedisNode {
    fn all(one: &Done) -> Vec<Self> {
        let nodes = one.changed.nodes.iter();
        nodes
            .map(|node| Self {
                cache: one.item.cache.clone(),
                address: node.address.clone(),
                pattern: crate::wire_keys::text_and_base64(&one.item.selection.pattern).0,
                removed: if one.item.change == KeyChange::Remove { node.changed } else { 0 },
                changed: if one.item.change == KeyChange::Remove { 0 } else { node.changed },
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
