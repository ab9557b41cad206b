//! Collections that are just over the limit of the compact encoding, which takes a third to a
//! seventh of the memory (<https://redis.io/docs/latest/operate/oss_and_stack/management/optimization/memory-optimization/>).
//!
//! Whether a collection is just over takes counting its elements and looking at their lengths,
//! which is a use of the key: it is asked only where the server promises not to count it as one
//! (`CLIENT NO-TOUCH`), or the key was used so lately that it makes no difference.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::Value;

use crate::audit_close::{Close, Denials};
use crate::error::RedisError;
use crate::link::Link;
use crate::prefixes::folded;
use crate::select::{Caused, integer};

/// Collections that are counted, over all nodes.
const COUNTED: usize = 200;
/// A compact encoding is gone through from its begin: longer ones are slow.
const SLOW: u64 = 2048;
/// A key that was used within this time does not look younger by another use.
const LATELY: Duration = Duration::from_mins(5);
/// A key that was used this often hardly counts another use.
const OFTEN: u64 = 50;

/// The limits of one type, as the server has them set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    /// The setting of the most elements.
    pub entries: (String, u64),
    /// The setting of the longest element in bytes, where there is one.
    pub longest: Option<(String, u64)>,
}

/// A kind of collection that is just over one limit, and what shares it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Over {
    /// Keys that were counted.
    pub keys: u64,
    /// What they would take less, bytes.
    pub saved: u64,
    /// The highest figure among them: elements, or bytes of an element.
    pub most: u64,
}

/// Which setting of which server, and which keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OverOf {
    /// The command that leads to the server.
    pub server: String,
    /// The setting's name.
    pub setting: String,
    /// What it is set to.
    pub set: u64,
    /// The type of the keys.
    pub kind: String,
    /// Their prefix.
    pub prefix: Vec<u8>,
}

/// What is over which setting, by type and prefix.
#[derive(Debug, Default)]
pub(crate) struct Overs {
    pub found: BTreeMap<OverOf, Over>,
    counted: usize,
}

/// The server that is gone over.
#[derive(Clone, Debug)]
pub(crate) struct Packing {
    /// The command that leads to it.
    pub server: String,
    /// Its limits by type.
    pub limits: BTreeMap<&'static str, Limit>,
}

/// Stands for sets of anything but numbers, which are packed since 7.2.
const WORDS: &str = "set of words";

/// The limits, by type, out of the server's settings.
pub(crate) fn limits(settings: &BTreeMap<String, String>) -> BTreeMap<&'static str, Limit> {
    let find = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| Some(((*name).to_owned(), settings.get(*name)?.parse::<u64>().ok()?)))
    };
    let mut limits = BTreeMap::new();
    for (kind, entries, longest) in [
        (
            "hash",
            ["hash-max-listpack-entries", "hash-max-ziplist-entries"],
            ["hash-max-listpack-value", "hash-max-ziplist-value"],
        ),
        (
            "zset",
            ["zset-max-listpack-entries", "zset-max-ziplist-entries"],
            ["zset-max-listpack-value", "zset-max-ziplist-value"],
        ),
    ] {
        if let Some(entries) = find(&entries) {
            limits.insert(kind, Limit { entries, longest: find(&longest) });
        }
    }
    if let Some(entries) = find(&["set-max-intset-entries"]) {
        limits.insert("set", Limit { entries, longest: None });
    }
    if let Some(entries) = find(&["set-max-listpack-entries"]) {
        limits.insert(WORDS, Limit { entries, longest: find(&["set-max-listpack-value"]) });
    }
    limits
}

impl Overs {
    /// Counts a key of the sample, if it may be one and may be counted.
    pub(crate) fn look(
        &mut self,
        link: &mut Link,
        key: &Close,
        packing: &Packing,
        caused: &mut Caused,
        denials: &mut Denials,
    ) -> Result<(), RedisError> {
        let open = matches!(key.encoding.as_str(), "hashtable" | "skiplist");
        let Some(limit) = packing.limits.get(key.kind.as_str()).filter(|_| open) else {
            return Ok(());
        };
        let unnoticed = link.courtesies().no_touch
            || key.idle.is_some_and(|idle| idle < LATELY)
            || key.frequency.is_some_and(|frequency| frequency >= OFTEN);
        // Neither can it be just over with so many bytes.
        let bytes = limit.longest.as_ref().map_or(64, |(_, longest)| *longest) * 8 * SLOW;
        if !unnoticed || key.bytes > bytes || self.counted >= COUNTED {
            return Ok(());
        }
        self.counted += 1;
        let Some(seen) = contents(link, key, limit, caused, denials)? else { return Ok(()) };
        let words = (key.kind == "set" && !seen.numbers).then(|| packing.limits.get(WORDS));
        let limit = words.flatten().unwrap_or(limit);
        if let Some((setting, set, figure)) = over(limit, &seen) {
            let of = OverOf {
                server: packing.server.clone(),
                setting: setting.clone(),
                set,
                kind: key.kind.clone(),
                prefix: folded(&key.key),
            };
            let over = self.found.entry(of).or_default();
            over.keys += 1;
            over.saved += key.bytes.saturating_sub(seen.packed);
            over.most = over.most.max(figure);
        }
        Ok(())
    }
}

/// What is in a collection.
struct Contents {
    elements: u64,
    longest: u64,
    /// What the compact encoding would take, about.
    packed: u64,
    /// Whether all are numbers, as the compact encoding of a set takes them.
    numbers: bool,
}

/// The setting that it is over, what that is, and the figure; `None` where it is far over, or over
/// both.
fn over<'a>(limit: &'a Limit, seen: &Contents) -> Option<(&'a String, u64, u64)> {
    let (name, most) = &limit.entries;
    let too_many = seen.elements > *most;
    match &limit.longest {
        Some((name, longest)) if seen.longest > *longest => {
            let just = seen.longest <= longest * 4 && !too_many;
            just.then_some((name, *longest, seen.longest))
        }
        None if !seen.numbers => None,
        _ => {
            let just = too_many && seen.elements <= most * 2 && seen.elements <= SLOW;
            just.then_some((name, *most, seen.elements))
        }
    }
}

fn contents(
    link: &mut Link,
    key: &Close,
    limit: &Limit,
    caused: &mut Caused,
    denials: &mut Denials,
) -> Result<Option<Contents>, RedisError> {
    let (length, scan) = match key.kind.as_str() {
        "hash" => ("HLEN", "HSCAN"),
        "zset" => ("ZCARD", "ZSCAN"),
        _ => ("SCARD", "SSCAN"),
    };
    let answer = denials.sift("elements", link.ask(redis::cmd(length).arg(&key.key)))?;
    caused.hits += 1;
    let elements = answer.as_ref().and_then(integer).and_then(|n| u64::try_from(n).ok());
    let Some(elements) = elements.filter(|n| *n > 0 && *n <= limit.entries.1 * 2 && *n <= SLOW)
    else {
        return Ok(None);
    };
    let mut seen = Contents { elements, longest: 0, packed: 16, numbers: true };
    let mut cursor = 0_u64;
    // So few elements are gone through in a few pages; a table that shrank has many empty ones.
    for _ in 0..64 {
        let page = redis::cmd(scan).arg(&key.key).arg(cursor).arg("COUNT").arg(512).clone();
        caused.hits += 1;
        let Some(page) = denials.sift("elements", link.ask::<Value>(&page))? else {
            return Ok(None);
        };
        let (next, words): (u64, Vec<Vec<u8>>) = link.read(page, scan)?;
        for word in words {
            let length = word.len() as u64;
            seen.longest = seen.longest.max(length);
            // Its length before and after it, in one to five bytes.
            seen.packed += length + 3;
            seen.numbers &=
                std::str::from_utf8(&word).is_ok_and(|word| word.parse::<i64>().is_ok());
        }
        cursor = next;
        if cursor == 0 {
            return Ok(Some(seen));
        }
    }
    Ok(None)
}

/// The next round figure for a setting.
pub(crate) fn round_up(figure: u64) -> u64 {
    figure.next_multiple_of(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(elements: u64, longest: u64) -> Contents {
        Contents { elements, longest, packed: 0, numbers: false }
    }

    #[test]
    fn just_over_one_limit_is_worth_a_word() {
        let settings = [
            ("hash-max-listpack-entries", "128"),
            ("hash-max-listpack-value", "64"),
            ("hash-max-ziplist-entries", "128"),
            ("set-max-intset-entries", "512"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let limits = limits(&settings.into_iter().collect());
        assert_eq!(limits.keys().collect::<Vec<_>>(), [&"hash", &"set"]);
        let of = |kind: &str, seen: &Contents| {
            over(&limits[kind], seen).map(|(name, set, figure)| (name.clone(), set, figure))
        };
        let entries = "hash-max-listpack-entries".to_owned();
        assert_eq!(of("hash", &seen(130, 60)), Some((entries, 128, 130)));
        let longest = "hash-max-listpack-value".to_owned();
        assert_eq!(of("hash", &seen(20, 70)), Some((longest, 64, 70)));
        assert_eq!(of("hash", &seen(130, 70)), None);
        assert_eq!(of("hash", &seen(300, 60)), None);
        assert_eq!(of("hash", &seen(20, 60)), None);
        assert_eq!(of("set", &seen(600, 5)), None);
        let numbers = Contents { numbers: true, ..seen(600, 5) };
        assert_eq!(of("set", &numbers).unwrap().2, 600);
        assert_eq!(round_up(600), 640);
    }
}
