//! `larder/audit/1`.

use larder_redis::prefixes::PrefixCount;
use larder_redis::{Audit, BigKey};
use schemars::JsonSchema;
use serde::Serialize;

use crate::wire::Document;
use crate::wire_keys::text_and_base64;

/// Why a Redis is in the state that it is in.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AuditDoc {
    schema: &'static str,
    /// `redis:NAME` or a URL.
    cache: String,
    /// Keys that were met.
    keys: u64,
    /// Bytes of all of them, by `MEMORY USAGE`.
    bytes: u64,
    /// How many were looked at closely.
    sampled: u64,
    /// The worst first.
    findings: Vec<WireFinding>,
    /// By memory, the largest first.
    prefixes: Vec<WirePrefix>,
    /// The largest first.
    big_keys: Vec<WireBigKey>,
    /// The most used first. Without an LFU policy, keys of the sample that are always in use.
    hot_keys: Vec<WireHotKey>,
    /// What could not be looked at, with the grant that it takes.
    missing: Vec<String>,
    /// Hits that our own look-ups counted as.
    own_hits: u64,
    /// Misses.
    own_misses: u64,
    /// How long it took.
    duration_seconds: f64,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireFinding {
    /// Stable name.
    id: &'static str,
    /// `info`, `warning` or `critical`.
    severity: &'static str,
    /// A prefix, a key, a server.
    subject: String,
    /// What was seen.
    evidence: String,
    /// Keys that it concerns.
    keys: Option<u64>,
    /// Bytes that it costs.
    bytes: Option<u64>,
    /// How long everybody else waits because of it, each time.
    stall_seconds: Option<f64>,
    /// What to type.
    remedy: String,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WirePrefix {
    /// With placeholders for what tells single things apart; escaped where it is not UTF-8.
    prefix: String,
    /// Keys.
    keys: u64,
    /// About how many never expire; null where none of them was looked at.
    persistent_keys: Option<u64>,
    /// Bytes.
    bytes: u64,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireBigKey {
    /// Escaped where it is not UTF-8.
    key: String,
    /// Its bytes, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    /// By the server's own sample of its elements.
    bytes: u64,
    /// Null where asking would have counted as a use.
    elements: Option<u64>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireHotKey {
    /// Escaped where it is not UTF-8.
    key: String,
    /// Its bytes, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    /// The LFU counter, 0 to 255, logarithmic; null where the policy counts none.
    frequency: Option<u64>,
    /// At how many looks it had been used within the last second; 0 where the counter tells.
    looks: u32,
}

impl Document for AuditDoc {
    const SCHEMA: &'static str = "larder/audit/1";
}

impl AuditDoc {
    /// Of this Redis, with the first so many prefixes.
    pub fn new(cache: &str, audit: &Audit, top: usize) -> Self {
        let findings = audit.findings.iter().map(|finding| WireFinding {
            id: finding.id,
            severity: finding.severity.name(),
            subject: finding.subject.clone(),
            evidence: finding.evidence.clone(),
            keys: finding.keys,
            bytes: finding.bytes,
            stall_seconds: finding.stall.map(|stall| stall.as_secs_f64()),
            remedy: finding.remedy.clone(),
        });
        let hot = audit.hot_keys.iter().map(|hot| {
            let (key, key_base64) = text_and_base64(&hot.key);
            WireHotKey { key, key_base64, frequency: hot.frequency, looks: hot.looks }
        });
        Self {
            schema: Self::SCHEMA,
            cache: cache.to_owned(),
            keys: audit.keys,
            bytes: audit.bytes,
            sampled: audit.sampled,
            findings: findings.collect(),
            prefixes: audit.prefixes.iter().take(top).map(WirePrefix::from).collect(),
            big_keys: audit.big_keys.iter().map(WireBigKey::from).collect(),
            hot_keys: hot.collect(),
            missing: audit.missing.iter().map(|m| format!("{}: {}", m.what, m.why)).collect(),
            own_hits: audit.caused.hits,
            own_misses: audit.caused.misses,
            duration_seconds: audit.took.as_secs_f64(),
        }
    }
}

impl From<&(Vec<u8>, PrefixCount)> for WirePrefix {
    fn from((prefix, count): &(Vec<u8>, PrefixCount)) -> Self {
        Self {
            prefix: text_and_base64(prefix).0,
            keys: count.keys,
            persistent_keys: (count.looked > 0).then(|| count.persistent_keys()),
            bytes: count.bytes,
        }
    }
}

impl From<&BigKey> for WireBigKey {
    fn from(big: &BigKey) -> Self {
        let (key, key_base64) = text_and_base64(&big.key);
        Self { key, key_base64, kind: big.kind.clone(), bytes: big.bytes, elements: big.elements }
    }
}
