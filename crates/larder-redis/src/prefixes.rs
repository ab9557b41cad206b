//! Prefixes learnt from keys, in bounded memory and in one pass: `user:1001:cart` is one of
//! `user:{n}:cart`.
//!
//! Numbers, hexadecimal strings and UUIDs become placeholders. Where there are too many different
//! ones all the same, the rarest are added to what they have in common: `session:*`. A count is
//! exact for what it stands for; nothing is counted twice or lost.

use std::collections::HashMap;

/// What is known of the keys that share a prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PrefixCount {
    /// Keys.
    pub keys: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// How many of them were looked at closely.
    pub looked: u64,
    /// How many of those never expire.
    pub persistent: u64,
}

/// What can be known of the keys that share a prefix.
pub trait Tally: Clone + Default {
    /// Takes in what is known of others.
    fn add(&mut self, other: Self);

    /// How many keys it is about.
    fn keys(&self) -> u64;

    /// Their bytes, about.
    fn bytes(&self) -> u64;
}

impl Tally for PrefixCount {
    fn add(&mut self, other: Self) {
        self.keys += other.keys;
        self.bytes += other.bytes;
        self.looked += other.looked;
        self.persistent += other.persistent;
    }

    fn keys(&self) -> u64 {
        self.keys
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl PrefixCount {
    /// About how many never expire.
    pub fn persistent_keys(&self) -> u64 {
        if self.looked == 0 {
            return 0;
        }
        let scaled = u128::from(self.keys) * u128::from(self.persistent) / u128::from(self.looked);
        u64::try_from(scaled).unwrap_or(u64::MAX)
    }
}

/// Prefixes at most at any time.
const MOST: usize = 4096;
/// What a prefix has to have of its parent's keys to stand by itself in the end, in parts.
const SHARE: u64 = 100;
/// Parts of a key that are told apart; what follows is one.
const DEPTH: usize = 4;

/// Learns.
#[derive(Clone, Debug, Default)]
pub struct Prefixes<T = PrefixCount> {
    counts: HashMap<Vec<u8>, T>,
}

impl Prefixes {
    /// Adds a key of so many bytes; `persistent` where it was looked at closely.
    pub fn add(&mut self, key: &[u8], bytes: u64, persistent: Option<bool>) {
        let count = PrefixCount {
            keys: 1,
            bytes,
            looked: u64::from(persistent.is_some()),
            persistent: u64::from(persistent == Some(true)),
        };
        self.put(folded(key), count);
    }
}

impl<T: Tally> Prefixes<T> {
    /// Adds what is known of keys of this shape, see [`folded`].
    pub fn put(&mut self, shape: Vec<u8>, count: T) {
        self.counts.entry(shape).or_default().add(count);
        if self.counts.len() > MOST {
            self.squeeze();
        }
    }

    /// What is known of keys of exactly this shape so far.
    pub fn of(&self, shape: &[u8]) -> Option<&T> {
        self.counts.get(shape)
    }

    /// The prefixes, the one with the most bytes first.
    pub fn into_sorted(mut self) -> Vec<(Vec<u8>, T)> {
        self.fold_small();
        let mut sorted: Vec<_> = self.counts.into_iter().collect();
        sorted.sort_by(|(a, x), (b, y)| (y.bytes(), y.keys(), a).cmp(&(x.bytes(), x.keys(), b)));
        sorted
    }

    /// Adds the rarer half to their parents, until half of the room is free.
    fn squeeze(&mut self) {
        while self.counts.len() > MOST / 2 {
            let mut sizes: Vec<u64> = self.counts.values().map(Tally::keys).collect();
            let middle = sizes.len() / 2;
            let (_, median, _) = sizes.select_nth_unstable(middle);
            let median = *median;
            self.lift(|_, count| count.keys() <= median);
        }
    }

    /// Prefixes that are a small part of what they have in common with many others.
    fn fold_small(&mut self) {
        let mut families: HashMap<Vec<u8>, (u64, usize)> = HashMap::new();
        for (prefix, count) in &self.counts {
            if let Some(parent) = parent(prefix) {
                let family = families.entry(parent).or_default();
                family.0 += count.keys();
                family.1 += 1;
            }
        }
        self.lift(|prefix, count| {
            parent(prefix).and_then(|parent| families.get(&parent)).is_some_and(
                |(keys, members)| *members > 16 && count.keys().saturating_mul(SHARE) < *keys,
            )
        });
    }

    fn lift(&mut self, goes: impl Fn(&[u8], &T) -> bool) {
        let going: Vec<Vec<u8>> = self
            .counts
            .iter()
            .filter(|(prefix, count)| parent(prefix).is_some() && goes(prefix, count))
            .map(|(prefix, _)| prefix.clone())
            .collect();
        for prefix in going {
            if let (Some(count), Some(parent)) = (self.counts.remove(&prefix), parent(&prefix)) {
                self.counts.entry(parent).or_default().add(count);
            }
        }
    }
}

fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b':' | b'/' | b'.' | b'|' | b'-' | b'_' | b'#')
}

/// What stands above: `a:b:c` and `a:b:{n}` are below `a:b:*`, that below `a:*`, that below `*`.
fn parent(prefix: &[u8]) -> Option<Vec<u8>> {
    if prefix == b"*" {
        return None;
    }
    let body =
        prefix.strip_suffix(b"*").map_or(prefix, |body| &body[..body.len().saturating_sub(1)]);
    let cut = body.iter().rposition(|byte| is_delimiter(*byte));
    Some(match cut {
        Some(cut) => [&body[..=cut], b"*".as_slice()].concat(),
        None => b"*".to_vec(),
    })
}

/// The key with placeholders for what tells single things apart.
pub fn folded(key: &[u8]) -> Vec<u8> {
    let mut shape = Vec::with_capacity(key.len().min(64));
    let mut rest = key;
    let mut parts = 0;
    while !rest.is_empty() {
        if parts == DEPTH || shape.len() > 128 {
            shape.push(b'*');
            break;
        }
        if let Some(after) = uuid(rest) {
            shape.extend_from_slice(b"{uuid}");
            rest = after;
        } else {
            let end = rest.iter().position(|byte| is_delimiter(*byte)).unwrap_or(rest.len());
            let (part, after) = rest.split_at(end);
            shape.extend_from_slice(placeholder(part));
            rest = after;
        }
        parts += 1;
        if let Some((delimiter, after)) = rest.split_first() {
            shape.push(*delimiter);
            rest = after;
        }
    }
    shape
}

/// What follows 8-4-4-4-12 hexadecimal digits.
fn uuid(text: &[u8]) -> Option<&[u8]> {
    let (head, rest) = text.split_at_checked(36)?;
    let fits = head.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    (fits && rest.first().is_none_or(|byte| is_delimiter(*byte))).then_some(rest)
}

fn placeholder(part: &[u8]) -> &[u8] {
    let digits = part.iter().filter(|byte| byte.is_ascii_digit()).count();
    if !part.is_empty() && digits == part.len() {
        return b"{n}";
    }
    let hex = part.iter().all(u8::is_ascii_hexdigit);
    if hex && part.len() >= 8 && digits > 0 {
        return b"{hex}";
    }
    // Long, and letters and digits mixed: an identifier in base62 or base64.
    let plain = part.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'='));
    if part.len() >= 16 && plain && digits >= 2 {
        return b"{id}";
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_things_become_placeholders() {
        for (key, shape) in [
            ("user:1001:cart", "user:{n}:cart"),
            ("session:6f1ed002-ab5a-4e3c-9a1b-1234567890ab", "session:{uuid}"),
            ("img/9f86d081884c7d65/small", "img/{hex}/small"),
            ("token:eyJhbGciOiJIUzI1NiJ9", "token:{id}"),
            ("a:b:c:d:e:f", "a:b:c:d:*"),
            ("plain", "plain"),
            ("", ""),
        ] {
            assert_eq!(String::from_utf8_lossy(&folded(key.as_bytes())), shape, "{key}");
        }
    }

    #[test]
    fn a_million_different_names_take_bounded_room_and_none_is_lost() {
        let mut prefixes = Prefixes::default();
        for n in 0..300_000_u64 {
            // Names that no placeholder knows.
            let name = format!("name:{}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 1_000_003);
            let letters: Vec<u8> = name
                .bytes()
                .map(|b| if b.is_ascii_digit() { b - b'0' + b'a' } else { b })
                .collect();
            prefixes.add(&letters, 10, Some(n % 2 == 0));
            prefixes.add(format!("user:{n}").as_bytes(), 100, None);
            assert!(prefixes.counts.len() <= MOST);
        }
        let sorted = prefixes.into_sorted();
        assert_eq!(sorted.iter().map(|(_, count)| count.keys).sum::<u64>(), 600_000);
        assert_eq!(sorted[0].0, b"user:{n}");
        assert_eq!((sorted[0].1.keys, sorted[0].1.bytes), (300_000, 30_000_000));
        assert_eq!(sorted[1].0, b"name:*");
        assert!(sorted[1].1.keys > 290_000, "{:?}", sorted[1]);
        let persistent = sorted[1].1.persistent_keys();
        assert!((140_000..=160_000).contains(&persistent), "{persistent}");
    }
}
