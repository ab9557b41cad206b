//! `larder/outcome/1`.

use larder_core::{CacheKind, Outcome, Size};
use schemars::JsonSchema;
use serde::Serialize;

use crate::wire::{Document, WireSize};
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
    cache: &'static str,
    #[serde(flatten)]
    size: WireSize,
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
    /// With what was fetched afterwards.
    #[must_use]
    pub fn with_rewarm(self, rewarm: DownloadDoc) -> Self {
        Self { rewarm: Some(rewarm), ..self }
    }
}

impl From<&(CacheKind, Size)> for WireCacheSize {
    fn from((cache, size): &(CacheKind, Size)) -> Self {
        Self { cache: cache.name(), size: (*size).into() }
    }
}
