//! What the keys themselves say about trouble.

use larder_core::Severity;

use crate::audit::{BigKey, Gathered};
use crate::audit_settings::Finding;
use crate::prefixes::PrefixCount;

/// A value of this size is better off in parts: it is read, written, moved and freed as one.
const BIG: u64 = 10 << 20;
/// So many keys that end in one second are felt.
const STORM: u64 = 1000;

/// The findings of a pass; `name` is how larder's commands name this Redis.
pub(crate) fn findings(
    all: &Gathered,
    prefixes: &[(Vec<u8>, PrefixCount)],
    big: &[BigKey],
    name: &str,
) -> Vec<Finding> {
    let mut found = persistent(all, prefixes, name);
    found.extend(big_keys(big, name));
    found.extend(idle(all, name));
    found.extend(storms(all, name));
    found.extend(coarse(all, name));
    found
}

/// What a sample stands for.
fn scaled(part: u64, sampled: u64, whole: u64) -> u64 {
    let scaled = u128::from(part) * u128::from(whole) / u128::from(sampled.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

fn persistent(all: &Gathered, prefixes: &[(Vec<u8>, PrefixCount)], name: &str) -> Vec<Finding> {
    let matter = prefixes.iter().filter(|(_, count)| {
        let persistent = count.persistent_keys();
        persistent * 2 > count.keys && persistent * 50 > all.keys && persistent > 100
    });
    matter
        .take(10)
        .map(|(prefix, count)| {
            let pattern = pattern(prefix);
            Finding {
                id: "keys-without-ttl",
                severity: Severity::Warning,
                subject: shown(prefix),
                evidence: format!(
                    "{} of {} keys looked at never expire",
                    count.persistent, count.looked
                ),
                keys: Some(count.persistent_keys()),
                bytes: Some(scaled(count.persistent, count.looked, count.bytes)),
                remedy: format!("larder clean {name} --match {pattern} --persistent --idle 7d -n"),
            }
        })
        .collect()
}

fn big_keys(big: &[BigKey], name: &str) -> Vec<Finding> {
    big.iter()
        .filter(|key| key.bytes > BIG)
        .map(|key| Finding {
            id: "big-key",
            severity: Severity::Warning,
            subject: key.key.escape_ascii().to_string(),
            evidence: match key.elements {
                Some(elements) if key.kind != "string" => {
                    format!("a {} of {elements} elements takes {} bytes", key.kind, key.bytes)
                }
                _ => format!("a {} takes {} bytes", key.kind, key.bytes),
            },
            keys: Some(1),
            bytes: Some(key.bytes),
            remedy: format!("larder clean {name} --match {} -n", quoted(&literal(&key.key))),
        })
        .collect()
}

fn idle(all: &Gathered, name: &str) -> Option<Finding> {
    let (keys, bytes) = all.idle;
    // A tenth of the memory is worth a word.
    (all.tells_idle && bytes * 10 > all.sampled_bytes && keys > 0).then(|| Finding {
        id: "idle-memory",
        severity: Severity::Warning,
        subject: "keys that nobody touched for 7 days".to_owned(),
        evidence: format!("{keys} of {} keys looked at", all.sampled),
        keys: Some(scaled(keys, all.sampled, all.keys)),
        bytes: Some(scaled(bytes, all.sampled_bytes, all.bytes)),
        remedy: format!("larder clean {name} --match '*' --idle 7d -n"),
    })
}

fn storms(all: &Gathered, name: &str) -> Option<Finding> {
    let (second, count) = all.ends.iter().max_by_key(|(_, count)| **count)?;
    let ending: u64 = all.ends.values().sum();
    let keys = scaled(*count, all.sampled, all.keys);
    // A few of a sample may fall into one second by chance.
    (keys >= STORM && *count >= 10 && count * 20 > ending).then(|| Finding {
        id: "expiry-storm",
        severity: Severity::Warning,
        subject: format!("unix second {second}"),
        evidence: format!("{count} of {ending} looked-at keys with a TTL end in one second"),
        keys: Some(keys),
        bytes: None,
        remedy: format!("larder audit {name}: set TTLs with some jitter where they are written"),
    })
}

fn coarse(all: &Gathered, name: &str) -> Option<Finding> {
    let (keys, bytes) = all.coarse;
    (keys > 1 && bytes * 4 > all.sampled_bytes).then(|| Finding {
        id: "coarse-values",
        severity: Severity::Info,
        subject: "values over 1 MB".to_owned(),
        evidence: format!("{keys} of {} values looked at hold most of the memory", all.sampled),
        keys: Some(scaled(keys, all.sampled, all.keys)),
        bytes: Some(scaled(bytes, all.sampled_bytes, all.bytes)),
        remedy: format!("larder clean {name} --match '*' --larger-than 1MB -n lists them"),
    })
}

/// A prefix as a pattern: placeholders are stars.
fn pattern(prefix: &[u8]) -> String {
    let mut pattern = Vec::new();
    let mut rest = prefix;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let marks: [&[u8]; 4] = [b"n}", b"hex}", b"uuid}", b"id}"];
        let mark = marks.iter().find(|mark| byte == b'{' && rest.starts_with(mark));
        match mark {
            Some(mark) => {
                rest = &rest[mark.len()..];
                pattern.push(b'*');
            }
            None if byte == b'*' => pattern.push(byte),
            None => pattern.extend(literal(&[byte])),
        }
    }
    quoted(&pattern)
}

/// Bytes that stand for themselves in a pattern.
fn literal(key: &[u8]) -> Vec<u8> {
    let special = |byte: u8| matches!(byte, b'*' | b'?' | b'[' | b']' | b'\\' | b'^');
    key.iter()
        .flat_map(|byte| {
            let escape = special(*byte).then_some(b'\\');
            escape.into_iter().chain(std::iter::once(*byte))
        })
        .collect()
}

/// As a shell takes it.
fn quoted(pattern: &[u8]) -> String {
    match std::str::from_utf8(pattern) {
        Ok(text) if !text.chars().any(char::is_control) => {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
        _ => format!("$'{}'", pattern.escape_ascii()),
    }
}

fn shown(prefix: &[u8]) -> String {
    prefix.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_can_be_typed() {
        assert_eq!(pattern(b"user:{n}:cart"), "'user:*:cart'");
        assert_eq!(pattern(b"it's[{hex}"), r"'it'\''s\[*'");
        assert_eq!(pattern(b"a\x00*"), r"$'a\x00*'");
        assert_eq!(pattern(b"{tag}:x"), "'{tag}:x'");
    }
}
