//! `larder/verify/1`.

use larder_core::{Bad, Outcome, Unverifiable};
use larder_engine::verify::Verified;
use schemars::JsonSchema;
use serde::Serialize;

use crate::wire::{Document, WireTime, path_text};

/// Every byte held against what it should be.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct VerifyDoc {
    schema: &'static str,
    /// Things examined: build entries, module versions, repositories.
    checked: u64,
    /// Those with nothing bad and nothing unverifiable.
    good: u64,
    /// What is not as it should be.
    bad: Vec<WireBad>,
    /// What could not be checked, which is not to say that it is good.
    unverifiable: Vec<WireUnverifiable>,
    /// Bytes read to find out.
    bytes_read: u64,
    /// From the first look to the last mending.
    duration_seconds: f64,
    /// Whether all was seen.
    complete: bool,
    /// The same by cache.
    caches: Vec<WireVerified>,
    /// What `--fix` did; null where nothing was to be removed.
    fix: Option<WireFix>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct WireBad {
    /// Its cache.
    cache: &'static str,
    /// What a person would call it.
    subject: String,
    /// What found it.
    check: &'static str,
    /// What it should be.
    expected: String,
    /// What it is.
    found: String,
    /// More, one line each.
    details: Vec<String>,
    /// Where it is.
    path: String,
    /// The projects that use it.
    used_by: Vec<String>,
    /// What mends it when it is removed, relative to the cache's root, in this order.
    removes: Vec<String>,
    /// Whether it has been mended since.
    fixed: bool,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct WireUnverifiable {
    /// Its cache.
    cache: &'static str,
    /// What a person would call it.
    subject: String,
    /// Why.
    reason: String,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct WireVerified {
    /// Its name.
    cache: &'static str,
    /// Its root.
    path: String,
    /// When it was begun.
    at: WireTime,
    checked: u64,
    good: u64,
    /// How many are bad.
    bad: u64,
    /// How many could not be checked.
    unverifiable: u64,
    bytes_read: u64,
    duration_seconds: f64,
    /// Build actions whose output is gone: plain misses to go.
    dangling: u64,
    /// Build outputs that no action names: waste that no go command reads.
    orphans: u64,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireFix {
    /// The plan that was applied.
    plan_id: String,
    /// What undoes it.
    trash_id: Option<String>,
    /// Allocated bytes, measured as removed.
    freed_bytes: u64,
    /// Left alone, with the reason.
    skipped: Vec<WireLeft>,
    /// Could not be removed, with the error.
    failed: Vec<WireLeft>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireLeft {
    subject: String,
    reason: String,
}

impl Document for VerifyDoc {
    const SCHEMA: &'static str = "larder/verify/1";
}

impl VerifyDoc {
    /// What was found and, where it was asked for, mended.
    pub fn new(verified: &[Verified], fix: Option<&Outcome>, took: std::time::Duration) -> Self {
        let all = || verified.iter().map(|one| &one.found);
        Self {
            schema: Self::SCHEMA,
            checked: all().map(|found| found.checked).sum(),
            good: all().map(|found| found.good).sum(),
            bad: all().flat_map(|found| &found.bad).map(WireBad::from).collect(),
            unverifiable: all()
                .flat_map(|found| &found.unverifiable)
                .map(WireUnverifiable::from)
                .collect(),
            bytes_read: all().map(|found| found.bytes_read).sum(),
            duration_seconds: took.as_secs_f64(),
            complete: verified.iter().all(|one| one.complete),
            caches: verified.iter().map(WireVerified::from).collect(),
            fix: fix.map(WireFix::from),
        }
    }
}

impl From<&Bad> for WireBad {
    fn from(bad: &Bad) -> Self {
        Self {
            cache: bad.cache.name(),
            subject: bad.subject.clone(),
            check: bad.check.name(),
            expected: bad.expected.clone(),
            found: bad.found.clone(),
            details: bad.details.clone(),
            path: path_text(&bad.path),
            used_by: bad.used_by.clone(),
            removes: bad.removes.iter().map(|path| path_text(path)).collect(),
            fixed: bad.fixed,
        }
    }
}

impl From<&Unverifiable> for WireUnverifiable {
    fn from(one: &Unverifiable) -> Self {
        let Unverifiable { cache, subject, reason } = one;
        Self { cache: cache.name(), subject: subject.clone(), reason: reason.clone() }
    }
}

impl From<&Verified> for WireVerified {
    fn from(one: &Verified) -> Self {
        Self {
            cache: one.cache.name(),
            path: path_text(&one.path),
            at: WireTime(one.at),
            checked: one.found.checked,
            good: one.found.good,
            bad: one.found.bad.len() as u64,
            unverifiable: one.found.unverifiable.len() as u64,
            bytes_read: one.found.bytes_read,
            duration_seconds: one.took.as_secs_f64(),
            dangling: one.dangling,
            orphans: one.orphans,
        }
    }
}

impl From<&Outcome> for WireFix {
    fn from(outcome: &Outcome) -> Self {
        let left = |subject: &String, reason: &String| WireLeft {
            subject: subject.clone(),
            reason: reason.clone(),
        };
        Self {
            plan_id: outcome.plan_id.clone(),
            trash_id: outcome.trash_id.clone(),
            freed_bytes: outcome.freed.allocated.0,
            skipped: outcome.skipped.iter().map(|s| left(&s.subject, &s.reason)).collect(),
            failed: outcome.failed.iter().map(|f| left(&f.subject, &f.error)).collect(),
        }
    }
}
