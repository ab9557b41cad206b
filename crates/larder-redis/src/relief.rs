//! What makes room in a Redis whose keys have to go because its memory is full: commands that a
//! person can copy, the gentlest first. Nothing is sent.

use larder_core::count::grouped;
use larder_core::size::Units;

use crate::endpoint::Endpoint;
use crate::prefixes::PrefixCount;
use crate::remedy::{pattern, redis_cli};

/// A Redis that is to have more room.
#[derive(Clone, Copy, Debug)]
pub struct Full<'a> {
    /// How commands name it.
    pub name: &'a str,
    /// Where it is.
    pub endpoint: &'a Endpoint,
    /// `maxmemory` of all masters, bytes; `None` where there is no limit.
    pub max_memory: Option<u64>,
    /// How many masters share it.
    pub masters: usize,
}

/// Which prefix holds most.
#[derive(Clone, Debug, PartialEq)]
pub struct Heaviest {
    /// `session:{n}`, escaped.
    pub prefix: String,
    /// What is known of it.
    pub count: PrefixCount,
    /// Of the bytes of all keys, 0 to 1.
    pub share: f64,
}

impl Heaviest {
    /// `session:{n} holds most: 60,000 keys, 50.1 MB (84 %), 60,000 of them without a time to live`.
    pub fn sentence(&self, units: Units) -> String {
        let Self { prefix, count, share } = self;
        let persistent = match count.persistent_keys() {
            0 => String::new(),
            some => format!(", {} of them without a time to live", grouped(some)),
        };
        let (keys, bytes) = (grouped(count.keys), units.show(count.bytes));
        format!("{prefix} holds most: {keys} keys, {bytes} ({:.0} %){persistent}", share * 100.0)
    }
}

/// The prefix that holds most of `bytes`, which all keys hold.
pub fn heaviest(prefixes: &[(Vec<u8>, PrefixCount)], bytes: u64) -> Option<Heaviest> {
    let (prefix, count) = holds_most(prefixes)?;
    let share = count.bytes as f64 / bytes.max(1) as f64;
    Some(Heaviest { prefix: prefix.escape_ascii().to_string(), count: *count, share })
}

fn holds_most(prefixes: &[(Vec<u8>, PrefixCount)]) -> Option<&(Vec<u8>, PrefixCount)> {
    prefixes.iter().max_by_key(|(_, count)| count.bytes)
}

/// Commands that make room, the gentlest first: keys of the heaviest prefix that never expire get a
/// time to live, what it holds goes, or the server may hold more.
pub fn relief(full: Full<'_>, prefixes: &[(Vec<u8>, PrefixCount)]) -> Vec<String> {
    let mut commands = Vec::new();
    let name = full.name;
    if let Some((prefix, count)) = holds_most(prefixes) {
        let pattern = pattern(prefix);
        if count.persistent_keys() * 10 > count.keys {
            commands.push(format!(
                "larder expire {name} --match {pattern} --ttl 24h --jitter 10% --only-persistent"
            ));
        }
        commands.push(format!("larder clean {name} --match {pattern} -n"));
    }
    if let Some(max) = full.max_memory {
        // Half as much again, in whole megabytes as the server reads them, on each master.
        let each = max / u64::try_from(full.masters.max(1)).unwrap_or(1);
        let more = (each + each / 2).div_ceil(1 << 20).max(1);
        commands.push(format!("{} CONFIG SET maxmemory {more}mb", redis_cli(full.endpoint)));
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(persistent: u64) -> Vec<(Vec<u8>, PrefixCount)> {
        let count = |bytes| PrefixCount { keys: 60_000, bytes, looked: 100, persistent };
        vec![(b"small:{n}".to_vec(), count(10)), (b"session:{n}".to_vec(), count(90))]
    }

    #[test]
    fn the_heaviest_prefix_is_named_with_what_takes_from_it() {
        let endpoint = Endpoint::parse("redis://db.test:7000").unwrap();
        let full =
            Full { name: "redis:s", endpoint: &endpoint, max_memory: Some(64 << 20), masters: 1 };
        assert_eq!(
            relief(full, &prefixes(100)),
            [
                "larder expire redis:s --match 'session:*' --ttl 24h --jitter 10% --only-persistent",
                "larder clean redis:s --match 'session:*' -n",
                "redis-cli -h db.test -p 7000 CONFIG SET maxmemory 96mb",
            ]
        );
        // Keys that end by themselves need no other end.
        assert_eq!(relief(full, &prefixes(0)).len(), 2);
        // What is not known is not guessed.
        assert_eq!(relief(Full { max_memory: None, ..full }, &[]), [""; 0]);
        let shared = Full { masters: 2, ..full };
        assert!(relief(shared, &[])[0].ends_with("maxmemory 48mb"));
        let heaviest = heaviest(&prefixes(100), 100).unwrap();
        assert_eq!(
            heaviest.sentence(Units::default()),
            "session:{n} holds most: 60,000 keys, 90 B (90 %), 60,000 of them without a time to live"
        );
    }
}
