//! What the keys themselves say about trouble.

use std::collections::BTreeMap;
use std::time::Duration;

use larder_core::Severity;
use larder_core::count::grouped;
use larder_core::time::Age;

use crate::audit::{AuditOptions, BigKey};
use crate::audit_close::Close;
use crate::audit_encoding::{Over, OverOf, Overs, round_up};
use crate::finding::{Finding, freeing};
use crate::prefixes::{PrefixCount, Prefixes, folded};
use crate::remedy::{literal, pattern};

/// A value of this size is better off in parts: it is read, written, moved and freed as one.
const BIG: u64 = 10 << 20;
/// A string that is read and written whole is coarse from here on.
const COARSE_STRING: u64 = 100 << 10;
/// And a collection, which can be read in parts but often is not.
const COARSE_COLLECTION: u64 = 1 << 20;
/// So many keys that end in one second are felt.
const STORM: u64 = 1000;
/// What one of them costs the server when it ends, by what was measured on Redis 7.0.
const ENDING: Duration = Duration::from_nanos(1500);
/// Nobody touched it for so long: idle memory.
const IDLE: Duration = Duration::from_hours(7 * 24);
/// A server that runs for less says nothing about what is never read.
const NEVER: Duration = Duration::from_hours(1);

/// What one pass gathers of the keys.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub keys: u64,
    pub bytes: u64,
    pub sampled: u64,
    pub sampled_bytes: u64,
    /// Since the server that is gone over was started.
    pub uptime: Duration,
    /// Keys and bytes by type, of the sample.
    pub kinds: BTreeMap<String, (u64, u64)>,
    /// All keys.
    pub prefixes: Prefixes,
    /// Of the sample, what nobody touched for a week.
    idle: Prefixes,
    /// Of the sample, what nobody touched since the server was started less than a week ago, or
    /// whose LFU counter is at its end.
    never: Prefixes,
    /// Whether that is told by idle times, or else by counters.
    tells_idle: bool,
    /// Of the sample, keys by the second in which they end, and the prefix that they share.
    ends: BTreeMap<u64, (u64, Vec<u8>)>,
    /// The server's time since the epoch when the last of them was looked at.
    now: Duration,
    /// Of the sample, strings and collections too large to be one.
    coarse: [Prefixes; 2],
    pub overs: Overs,
}

impl Gathered {
    /// Takes in a key of the sample; `now` is the server's time since the epoch.
    pub(crate) fn take(&mut self, key: &Close, now: Duration) {
        self.prefixes.add(&key.key, key.bytes, key.persistent);
        self.now = now;
        self.sampled += 1;
        self.sampled_bytes += key.bytes;
        self.tells_idle |= key.idle.is_some();
        // Idle times come from a snapshot, too, and may be longer than the server runs.
        let since_start = self.uptime.mul_f64(0.95).max(NEVER);
        if key.idle.is_some_and(|idle| idle >= IDLE) {
            self.idle.add(&key.key, key.bytes, None);
        } else if key.idle.is_some_and(|idle| idle >= since_start) || key.frequency == Some(0) {
            self.never.add(&key.key, key.bytes, None);
        }
        if let Some(left) = key.left {
            // Rounded: the two clocks were read some moments apart.
            let end = (now + left + Duration::from_millis(500)).as_secs();
            let prefix = folded(&key.key);
            let (count, shared) = self.ends.entry(end).or_insert_with(|| (0, prefix.clone()));
            *count += 1;
            if *shared != prefix {
                *shared = b"*".to_vec();
            }
        }
        let string = key.kind == "string";
        let coarse = if string { COARSE_STRING } else { COARSE_COLLECTION };
        if (coarse..BIG).contains(&key.bytes) && !key.kind.is_empty() {
            self.coarse[usize::from(!string)].add(&key.key, key.bytes, None);
        }
        let sum = self.kinds.entry(key.kind.clone()).or_default();
        sum.0 += 1;
        sum.1 += key.bytes;
    }

    /// What some of the sample stands for: keys and bytes of all.
    fn whole(&self, count: &PrefixCount) -> (u64, u64) {
        let keys = scaled(count.keys, self.sampled, self.keys);
        (keys, scaled(count.bytes, self.sampled_bytes, self.bytes))
    }
}

/// What a sample stands for.
fn scaled(part: u64, sampled: u64, whole: u64) -> u64 {
    let scaled = u128::from(part) * u128::from(whole) / u128::from(sampled.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// The findings of a pass.
pub(crate) fn findings(
    all: &mut Gathered,
    prefixes: &[(Vec<u8>, PrefixCount)],
    big: &[BigKey],
    options: AuditOptions<'_>,
) -> Vec<Finding> {
    let mut found = persistent(all, prefixes, options.name);
    found.extend(big.iter().filter(|key| key.bytes > BIG).map(|key| big_key(key, options)));
    found.extend(unused(all, options));
    found.extend(storm(all, options.name));
    found.extend(coarse(all, options));
    found.extend(encodings(all, options));
    found
}

fn persistent(all: &Gathered, prefixes: &[(Vec<u8>, PrefixCount)], name: &str) -> Vec<Finding> {
    let matter = prefixes.iter().filter(|(_, count)| {
        let persistent = count.persistent_keys();
        persistent * 2 > count.keys && persistent * 50 > all.keys && persistent > 100
    });
    let finding = |(prefix, count): &(Vec<u8>, PrefixCount)| {
        let evidence = format!(
            "{} of {} keys looked at never expire",
            grouped(count.persistent),
            grouped(count.looked)
        );
        let pattern = pattern(prefix);
        let remedy = format!(
            "larder expire {name} --match {pattern} --ttl 24h --jitter 10% --only-persistent"
        );
        Finding::new("keys-without-ttl", Severity::Warning, (shown(prefix), evidence), remedy)
            .keys(count.persistent_keys())
            .bytes(scaled(count.persistent, count.looked, count.bytes))
    };
    matter.take(10).map(finding).collect()
}

fn big_key(key: &BigKey, options: AuditOptions<'_>) -> Finding {
    let bytes = options.units.show(key.bytes);
    let evidence = match key.elements {
        Some(elements) if key.kind != "string" => {
            format!("a {} of {} elements takes {bytes}", key.kind, grouped(elements))
        }
        _ => format!("a {} takes {bytes}", key.kind),
    };
    let remedy = format!("larder clean {} --match {} -n", options.name, literal(&key.key));
    let subject = key.key.escape_ascii().to_string();
    Finding::new("big-key", Severity::Warning, (subject, evidence), remedy)
        .keys(1)
        .bytes(key.bytes)
        .stall(freeing(&key.kind, key.bytes, key.elements))
}

/// A tenth of the memory is worth a word.
fn unused(all: &mut Gathered, options: AuditOptions<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let name = options.name;
    let (idle, never) = (std::mem::take(&mut all.idle), std::mem::take(&mut all.never));
    for (id, unused) in [("idle-memory", idle), ("never-read", never)] {
        let unused = unused.into_sorted();
        let sum = sum(&unused);
        if sum.keys == 0 || sum.bytes * 10 <= all.sampled_bytes {
            continue;
        }
        let of = format!("{} of {} keys looked at", grouped(sum.keys), grouped(all.sampled));
        let (prefix, pattern) = shared(&unused, sum);
        let (keys, bytes) = all.whole(&sum);
        let clean = |idle: &str| format!("larder clean {name} --match {pattern} --idle {idle} -n");
        let (evidence, remedy) = match (id, all.tells_idle) {
            ("idle-memory", _) => (format!("{of}: nobody touched them for 7 days"), clean("7d")),
            (_, true) => {
                let up = Age(all.uptime.max(NEVER));
                (
                    format!("{of}: nobody touched them since the server started, {up} ago"),
                    clean("1h"),
                )
            }
            (_, false) => (
                format!("{of}: their LFU counter is 0, so nobody used them for long"),
                format!(
                    "larder expire {name} --match {pattern} --ttl 24h --jitter 10% --only-persistent"
                ),
            ),
        };
        let finding = Finding::new(id, Severity::Warning, (prefix, evidence), remedy);
        found.push(finding.keys(keys).bytes(bytes));
    }
    found
}

fn storm(all: &Gathered, name: &str) -> Option<Finding> {
    let (second, (count, prefix)) = all.ends.iter().max_by_key(|(_, (count, _))| *count)?;
    let ending: u64 = all.ends.values().map(|(count, _)| count).sum();
    let keys = scaled(*count, all.sampled, all.keys);
    // A few of a sample may fall into one second by chance.
    let storm = keys >= STORM && *count >= 10 && count * 20 > ending;
    let evidence = format!(
        "{} of {} keys looked at that expire do so in one second, {} from now (unix time {second})",
        grouped(*count),
        grouped(ending),
        Age(Duration::from_secs(second.saturating_sub(all.now.as_secs())))
    );
    let pattern = pattern(prefix);
    let remedy = format!("larder expire {name} --match {pattern} --ttl 24h --jitter 20%");
    let stall = ENDING.saturating_mul(u32::try_from(keys).unwrap_or(u32::MAX));
    storm.then(|| {
        Finding::new("expiry-storm", Severity::Warning, (shown(prefix), evidence), remedy)
            .keys(keys)
            .stall(stall)
    })
}

/// Values that are read, written and moved whole, though a part would do. A tenth of the memory
/// is worth a word.
fn coarse(all: &mut Gathered, options: AuditOptions<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let [strings, collections] = std::mem::take(&mut all.coarse);
    for (id, coarse, least, advice) in [
        ("coarse-strings", strings, "100kB", "read and written whole; a hash has fields"),
        ("coarse-collections", collections, "1MB", "better split by a part of the key"),
    ] {
        let coarse = coarse.into_sorted();
        let sum = sum(&coarse);
        if sum.keys < 2 || sum.bytes * 10 <= all.sampled_bytes {
            continue;
        }
        let each = options.units.show(sum.bytes / sum.keys);
        let (prefix, pattern) = shared(&coarse, sum);
        let what = if id == "coarse-strings" { "strings" } else { "collections" };
        let evidence = format!(
            "{} of {} keys looked at are {what} of {each} on average: {advice}",
            grouped(sum.keys),
            grouped(all.sampled)
        );
        let (keys, bytes) = all.whole(&sum);
        let kind = if what == "strings" { " --type string" } else { "" };
        let remedy = format!(
            "larder clean {} --match {pattern}{kind} --larger-than {least} -n",
            options.name
        );
        let finding = Finding::new(id, Severity::Info, (prefix, evidence), remedy);
        found.push(finding.keys(keys).bytes(bytes));
    }
    found
}

fn encodings(all: &Gathered, options: AuditOptions<'_>) -> Vec<Finding> {
    let finding = |(of, over): (&OverOf, &Over)| {
        let OverOf { server, setting, set, kind, prefix } = of;
        let count = PrefixCount { keys: over.keys, bytes: over.saved, ..PrefixCount::default() };
        let (keys, saved) = all.whole(&count);
        let what = if setting.ends_with("entries") { "elements" } else { "bytes in an element" };
        let plural = if kind == "hash" { "hashes" } else { "sets" };
        let evidence = format!(
            "{plural} of up to {} {what}, and {setting} is {set}: packed they would take {} less \
             (with a higher limit, those that are written anew or loaded are)",
            grouped(over.most),
            options.units.show(saved),
        );
        let remedy = format!("{} CONFIG SET {setting} {}", server, round_up(over.most));
        Finding::new("just-over-packed", Severity::Info, (shown(prefix), evidence), remedy)
            .keys(keys)
            .bytes(saved)
    };
    let mut found: Vec<Finding> = all.overs.found.iter().map(finding).collect();
    // Not worth a setting.
    found.retain(|finding| finding.bytes.is_some_and(|saved| saved * 100 > all.bytes));
    found.sort_by_key(|finding| std::cmp::Reverse(finding.bytes));
    found.truncate(5);
    found
}

fn sum(counts: &[(Vec<u8>, PrefixCount)]) -> PrefixCount {
    counts.iter().fold(PrefixCount::default(), |mut sum, (_, count)| {
        sum.keys += count.keys;
        sum.bytes += count.bytes;
        sum
    })
}

/// The prefix that most of them share, and its pattern; or that of all keys.
fn shared(counts: &[(Vec<u8>, PrefixCount)], sum: PrefixCount) -> (String, String) {
    match counts.first() {
        Some((prefix, count)) if count.bytes * 2 > sum.bytes => (shown(prefix), pattern(prefix)),
        _ => ("several prefixes".to_owned(), "'*'".to_owned()),
    }
}

fn shown(prefix: &[u8]) -> String {
    prefix.escape_ascii().to_string()
}
