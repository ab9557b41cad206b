//! `larder/status/1` and `larder/du/1`.

use larder_core::{Finding, Size};
use larder_engine::report::{DiskLine, DuReport, DuRow, State, StatusReport, StatusRow};
use larder_redis::select::Caused;
use larder_redis::{Estimate, KeysRow};
use schemars::JsonSchema;
use serde::Serialize;

use crate::key_du::KeysUsed;
use crate::key_plan::whole;
use crate::redis_status::RedisRow;
use crate::wire::{Document, WireSize, WireTime, path_text};
use crate::wire_redis_status::WireRedisStatus;

/// Every cache on this machine.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct StatusDoc {
    schema: &'static str,
    /// When it was measured.
    taken_at: WireTime,
    /// `dev` or `production`.
    profile: String,
    /// One row a cache.
    caches: Vec<StatusEntry>,
    /// The sum of the rows.
    total: StatusTotal,
    /// The disks that the caches stand on.
    disks: Vec<WireDisk>,
}

/// A cache of Go's, or a Redis.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
enum StatusEntry {
    /// A cache of Go's.
    Go(Box<StatusCache>),
    /// A Redis.
    Redis(Box<WireRedisStatus>),
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct StatusCache {
    /// Its name.
    cache: &'static str,
    /// Where it is, or would be.
    path: String,
    /// Where the root leads, when it is a symlink.
    link_target: Option<String>,
    /// Whether it can be examined.
    state: WireState,
    /// A sentence about the state.
    note: Option<String>,
    #[serde(flatten)]
    size: WireSize,
    /// What the default policy would free.
    reclaimable_bytes: u64,
    /// The settings' `max-size`.
    budget_bytes: Option<u64>,
    /// Entries, module versions, toolchains, repositories.
    items: u64,
    /// Last use of anything in it.
    last_used: Option<WireTime>,
    /// The longest unused thing's last use.
    oldest_use: Option<WireTime>,
    /// The last verification that went to its end; null where there was none.
    last_verified: Option<WireLastVerified>,
    /// What is worth acting on.
    findings: Vec<WireFinding>,
}

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
struct WireLastVerified {
    /// When it was begun.
    at: WireTime,
    /// Things examined.
    checked: u64,
    /// Those that it left bad.
    bad: u64,
    /// Those that could not be checked.
    unverifiable: u64,
}

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum WireState {
    Ok,
    Absent,
    Disabled,
    Unreachable,
}

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum WireSeverity {
    Info,
    Warning,
    Critical,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireFinding {
    /// Stable name.
    id: &'static str,
    /// How much it matters.
    severity: WireSeverity,
    /// One sentence.
    message: String,
    /// What to type; null where nothing that larder does would mend it.
    command: Option<String>,
    /// What that would free, where it is known.
    frees_bytes: Option<u64>,
}

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
struct StatusTotal {
    #[serde(flatten)]
    size: WireSize,
    /// What the default policies would free.
    reclaimable_bytes: u64,
}

/// A disk.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct WireDisk {
    /// Where it is mounted.
    mount: String,
    /// Bytes that this user may still write.
    free_bytes: u64,
    /// Bytes in all.
    total_bytes: u64,
}

impl Document for StatusDoc {
    const SCHEMA: &'static str = "larder/status/1";
}

impl From<&StatusReport> for StatusDoc {
    fn from(report: &StatusReport) -> Self {
        let size: Size = report.rows.iter().map(|row| row.size).sum();
        let reclaimable = report.rows.iter().map(|row| row.reclaimable.0).sum();
        Self {
            schema: Self::SCHEMA,
            taken_at: WireTime(report.taken_at),
            profile: report.profile.clone(),
            caches: report
                .rows
                .iter()
                .map(|row| StatusEntry::Go(Box::new(StatusCache::from(row))))
                .collect(),
            total: StatusTotal { size: size.into(), reclaimable_bytes: reclaimable },
            disks: report.disks.iter().map(WireDisk::from).collect(),
        }
    }
}

impl StatusDoc {
    /// With the rows of each Redis.
    #[must_use]
    pub(crate) fn with_redis<'a>(mut self, rows: impl IntoIterator<Item = &'a RedisRow>) -> Self {
        let rows = rows.into_iter().map(|row| StatusEntry::Redis(Box::new(row.into())));
        self.caches.extend(rows);
        self
    }
}

impl From<&StatusRow> for StatusCache {
    fn from(row: &StatusRow) -> Self {
        Self {
            cache: row.cache.name(),
            path: path_text(&row.path),
            link_target: row.link_target.as_deref().map(path_text),
            state: match row.state {
                State::Ok => WireState::Ok,
                State::Absent => WireState::Absent,
                State::Disabled => WireState::Disabled,
                State::Unreachable => WireState::Unreachable,
            },
            note: row.note.clone(),
            size: row.size.into(),
            reclaimable_bytes: row.reclaimable.0,
            budget_bytes: row.budget.map(|budget| budget.0),
            items: row.items,
            last_used: row.last_used.map(WireTime),
            oldest_use: row.oldest_use.map(WireTime),
            last_verified: row.last_verified.map(|last| WireLastVerified {
                at: WireTime(last.at),
                checked: last.checked,
                bad: last.bad,
                unverifiable: last.unverifiable,
            }),
            findings: row.findings.iter().map(WireFinding::from).collect(),
        }
    }
}

impl From<&Finding> for WireFinding {
    fn from(finding: &Finding) -> Self {
        Self {
            id: finding.id,
            severity: match finding.severity {
                larder_core::Severity::Info => WireSeverity::Info,
                larder_core::Severity::Warning => WireSeverity::Warning,
                larder_core::Severity::Critical => WireSeverity::Critical,
            },
            message: finding.message.clone(),
            command: finding.command.clone(),
            frees_bytes: finding.frees.map(|frees| frees.0),
        }
    }
}

impl From<&DiskLine> for WireDisk {
    fn from(disk: &DiskLine) -> Self {
        Self { mount: path_text(&disk.mount), free_bytes: disk.free, total_bytes: disk.total }
    }
}

/// Where the bytes are, largest first.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct DuDoc {
    schema: &'static str,
    /// The largest first.
    rows: Vec<WireDuRow>,
    /// All of it, rows that `--top` leaves out too.
    total: WireDuTotal,
    /// How many rows `--top` leaves out.
    omitted: usize,
    /// Of a Redis: hits and misses that our own look-ups were counted as.
    #[serde(skip_serializing_if = "Option::is_none")]
    own_hits: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    own_misses: Option<u64>,
    /// Of a Redis: what could not be looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    missing: Vec<WireMissing>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireMissing {
    what: String,
    why: String,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireDuTotal {
    /// Null for keys.
    files: Option<u64>,
    /// Null for files.
    keys: Option<u64>,
    /// What files say they hold; of keys, what the server says that they take.
    logical_bytes: u64,
    /// What the disk gives back; of keys, the same as the logical bytes.
    allocated_bytes: u64,
    #[serde(flatten)]
    between: Option<WireBetween>,
}

/// Where figures from a sample lie, 95 times in a hundred; both ends are the same where all was
/// counted.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
struct WireBetween {
    low_bytes: u64,
    high_bytes: u64,
    low_keys: u64,
    high_keys: u64,
}

impl WireBetween {
    fn new(bytes: Estimate, keys: Estimate) -> Self {
        Self {
            low_bytes: whole(bytes.low),
            high_bytes: whole(bytes.high),
            low_keys: whole(keys.low),
            high_keys: whole(keys.high),
        }
    }
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireDuRow {
    /// Its cache.
    cache: String,
    /// What the row adds up; a prefix that is not UTF-8 is escaped.
    key: String,
    /// Files, folders not counted; null for a Redis.
    files: Option<u64>,
    /// Of Redis caches; null for files.
    keys: Option<u64>,
    /// What files say they hold; of keys, what the server says that they take.
    logical_bytes: u64,
    /// What the disk gives back; of keys, the same as the logical bytes.
    allocated_bytes: u64,
    #[serde(flatten)]
    between: Option<WireBetween>,
    /// Last use of any of it.
    last_used: Option<WireTime>,
}

impl Document for DuDoc {
    const SCHEMA: &'static str = "larder/du/1";
}

impl From<&DuReport> for DuDoc {
    fn from(report: &DuReport) -> Self {
        Self {
            schema: Self::SCHEMA,
            rows: report.rows.iter().map(WireDuRow::from).collect(),
            total: WireDuTotal {
                files: Some(report.total.files),
                keys: None,
                logical_bytes: report.total.logical.0,
                allocated_bytes: report.total.allocated.0,
                between: None,
            },
            omitted: report.omitted,
            own_hits: None,
            own_misses: None,
            missing: Vec::new(),
        }
    }
}

impl DuDoc {
    /// Of keys of Redis caches.
    pub(crate) fn of_keys(looked: &[KeysUsed], top: usize) -> Self {
        let caused = looked.iter().fold(Caused::default(), |sum, one| sum + one.du.caused);
        let (bytes, keys) = KeysUsed::total(looked);
        let rows = KeysUsed::rows(looked);
        let missing = looked.iter().flat_map(|one| &one.du.missing);
        Self {
            schema: Self::SCHEMA,
            omitted: rows.len().saturating_sub(top),
            rows: rows.into_iter().take(top).map(WireDuRow::of_keys).collect(),
            total: WireDuTotal {
                files: None,
                keys: Some(whole(keys.value)),
                logical_bytes: whole(bytes.value),
                allocated_bytes: whole(bytes.value),
                between: Some(WireBetween::new(bytes, keys)),
            },
            own_hits: Some(caused.hits),
            own_misses: Some(caused.misses),
            missing: missing
                .map(|missing| WireMissing { what: missing.what.clone(), why: missing.why.clone() })
                .collect(),
        }
    }
}

impl WireDuRow {
    fn of_keys((cache, row): (&str, &KeysRow)) -> Self {
        Self {
            cache: cache.to_owned(),
            key: crate::wire_keys::text_and_base64(&row.key).0,
            files: None,
            keys: Some(whole(row.keys.value)),
            logical_bytes: whole(row.bytes.value),
            allocated_bytes: whole(row.bytes.value),
            between: Some(WireBetween::new(row.bytes, row.keys)),
            last_used: None,
        }
    }
}

impl From<&DuRow> for WireDuRow {
    fn from(row: &DuRow) -> Self {
        Self {
            cache: row.cache.name().to_owned(),
            key: row.key.clone(),
            files: Some(row.size.files),
            keys: None,
            logical_bytes: row.size.logical.0,
            allocated_bytes: row.size.allocated.0,
            between: None,
            last_used: row.last_used.map(WireTime),
        }
    }
}
