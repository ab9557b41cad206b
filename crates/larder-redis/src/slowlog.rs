//! The slow log (<https://redis.io/docs/latest/commands/slowlog-get/>): entries by command
//! pattern, who sent them, what they block, and the way out.
//!
//! Promises: of a command only its name and the shape of its key are told, never a value or a
//! password. The server keeps so many entries only; what was lost between two looks is counted.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::Value;

use crate::error::RedisError;
use crate::link::{Link, is_container};
use crate::prefixes::folded;
use crate::select::integer;

/// An entry of the slow log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowEntry {
    /// Counts up as long as the server runs.
    pub id: u64,
    /// Seconds since 1970.
    pub at: u64,
    /// How long the server did nothing else.
    pub took: Duration,
    /// `KEYS report:*`: the command with the shape of its key.
    pub pattern: String,
    /// `host:port` or a socket's path.
    pub address: String,
    /// What the client calls itself.
    pub name: String,
    /// The ACL user, where the client is still connected.
    pub user: Option<String>,
}

/// Who sends something slow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sender {
    /// Without the port, which changes with every connection.
    pub address: String,
    /// What the client calls itself.
    pub name: String,
    /// The ACL user, where it is known.
    pub user: Option<String>,
}

/// Slow commands of one shape.
#[derive(Clone, Debug, PartialEq)]
pub struct SlowPattern {
    /// The shape.
    pub pattern: String,
    /// How many.
    pub count: u64,
    /// All of them together.
    pub total: Duration,
    /// The longest.
    pub max: Duration,
    /// Who sent them, and how often.
    pub senders: Vec<(Sender, u64)>,
    /// What to do instead.
    pub remedy: Option<&'static str>,
}

/// What one look at the log found.
#[derive(Clone, Debug, Default)]
pub struct SlowLook {
    /// Entries that were not there before, the oldest first.
    pub entries: Vec<SlowEntry>,
    /// Entries that came and went since the last look.
    pub lost: u64,
    /// Where the next look begins.
    pub next: u64,
}

/// Reads what is newer than `from`, the `next` of an earlier look at the same run of the server, or
/// all there is.
pub fn look(link: &mut Link, from: Option<u64>) -> Result<SlowLook, RedisError> {
    let answer: Value = link.ask(redis::cmd("SLOWLOG").arg("GET").arg(-1))?;
    let Value::Array(raw) = answer else { return Ok(SlowLook::default()) };
    // Who is still connected can be asked for its user; without the right it stays unknown.
    let users = users(link);
    let mut entries: Vec<SlowEntry> =
        raw.into_iter().filter_map(|entry| read(entry, &users)).collect();
    entries.sort_by_key(|entry| entry.id);
    // Ids go up as long as the server runs, over a SLOWLOG RESET too.
    let next = entries.last().map_or(from.unwrap_or(0), |entry| entry.id + 1);
    let lost = match (from, entries.first()) {
        (Some(from), Some(first)) => first.id.saturating_sub(from),
        _ => 0,
    };
    entries.retain(|entry| from.is_none_or(|from| entry.id >= from));
    Ok(SlowLook { entries, lost, next })
}

/// Address to user, of the clients that are connected.
fn users(link: &mut Link) -> BTreeMap<String, String> {
    let list: String = link.ask(redis::cmd("CLIENT").arg("LIST")).unwrap_or_default();
    let field = |line: &str, name: &str| {
        line.split(' ').find_map(|word| word.strip_prefix(name)).map(str::to_owned)
    };
    let pairs =
        list.lines().filter_map(|line| Some((field(line, "addr=")?, field(line, "user=")?)));
    pairs.collect()
}

fn read(entry: Value, users: &BTreeMap<String, String>) -> Option<SlowEntry> {
    let Value::Array(parts) = entry else { return None };
    let mut parts = parts.into_iter();
    let mut number = || parts.next().as_ref().and_then(integer).and_then(|n| u64::try_from(n).ok());
    let (id, at, micros) = (number()?, number()?, number()?);
    let words: Vec<Vec<u8>> = match parts.next()? {
        Value::Array(words) => words.into_iter().filter_map(bytes).collect(),
        _ => return None,
    };
    let mut text = || {
        let bytes = parts.next().and_then(bytes).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let (address, name) = (text(), text());
    let user = users.get(&address).cloned();
    let took = Duration::from_micros(micros);
    Some(SlowEntry { id, at, took, pattern: pattern(&words), address, name, user })
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}

/// Commands whose first argument is a key or a pattern of keys; of any other only the name is
/// told, since what follows may be a secret.
const KEYED: [&str; 44] = [
    "APPEND",
    "DECR",
    "DEL",
    "DUMP",
    "EXISTS",
    "EXPIRE",
    "GET",
    "GETDEL",
    "GETRANGE",
    "GETSET",
    "HDEL",
    "HGET",
    "HGETALL",
    "HINCRBY",
    "HKEYS",
    "HMGET",
    "HSCAN",
    "HSET",
    "HVALS",
    "INCR",
    "KEYS",
    "LINDEX",
    "LINSERT",
    "LPOP",
    "LPUSH",
    "LRANGE",
    "LREM",
    "LTRIM",
    "MGET",
    "RPOP",
    "RPUSH",
    "SADD",
    "SCARD",
    "SDIFF",
    "SET",
    "SETEX",
    "SINTER",
    "SMEMBERS",
    "SORT",
    "SUNION",
    "UNLINK",
    "ZADD",
    "ZRANGE",
    "ZRANGEBYSCORE",
];

/// `KEYS report:*`, `SET user:{n}`, `CONFIG SET`, `EVAL`.
pub(crate) fn pattern(words: &[Vec<u8>]) -> String {
    let word = |at: usize| words.get(at).map(|word| String::from_utf8_lossy(word).to_uppercase());
    let name = word(0).unwrap_or_default();
    if is_container(&name) {
        return format!("{name} {}", word(1).unwrap_or_default()).trim_end().to_owned();
    }
    match words.get(1).filter(|_| KEYED.contains(&name.as_str())) {
        Some(key) => format!("{name} {}", folded(key).escape_ascii()),
        None => name,
    }
}

/// What else does the same without keeping everybody waiting.
fn remedy(pattern: &str) -> Option<&'static str> {
    Some(match pattern.split(' ').next().unwrap_or_default() {
        "KEYS" => "SCAN with MATCH, page by page: KEYS looks at every key while all others wait",
        "DEL" => "UNLINK frees collections in the background; larder clean paces many of them",
        "FLUSHALL" | "FLUSHDB" => "FLUSHDB ASYNC frees in the background",
        "SMEMBERS" => "SSCAN in pages, or SISMEMBER for the one that is meant",
        "HGETALL" | "HKEYS" | "HVALS" => "HMGET of the fields that are needed, or HSCAN in pages",
        "LRANGE" | "ZRANGE" | "ZRANGEBYSCORE" => "read in pages: a range reads all that it names",
        "SORT" => "sort in the client, or keep a sorted set",
        "SUNION" | "SINTER" | "SDIFF" => "the same on a replica, or kept up to date as it changes",
        "MGET" | "HMGET" => "fewer keys at a time",
        "EVAL" | "EVALSHA" | "FCALL" => "a script runs alone: do less in one call",
        "LINDEX" | "LINSERT" | "LREM" => {
            "lists are walked from an end: a hash or a sorted set finds"
        }
        "SAVE" => "BGSAVE",
        _ => return None,
    })
}

/// Entries of one shape together, the costliest first.
pub fn group(entries: &[SlowEntry]) -> Vec<SlowPattern> {
    let mut groups: BTreeMap<&str, Vec<&SlowEntry>> = BTreeMap::new();
    for entry in entries {
        groups.entry(&entry.pattern).or_default().push(entry);
    }
    let mut patterns: Vec<SlowPattern> = groups
        .into_iter()
        .map(|(pattern, entries)| {
            let mut senders: BTreeMap<Sender, u64> = BTreeMap::new();
            for entry in &entries {
                let host = entry.address.rsplit_once(':').map_or(&*entry.address, |(host, _)| host);
                let sender = Sender {
                    address: host.to_owned(),
                    name: entry.name.clone(),
                    user: entry.user.clone(),
                };
                *senders.entry(sender).or_default() += 1;
            }
            let mut senders: Vec<(Sender, u64)> = senders.into_iter().collect();
            senders.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            SlowPattern {
                pattern: pattern.to_owned(),
                count: entries.len() as u64,
                total: entries.iter().map(|entry| entry.took).sum(),
                max: entries.iter().map(|entry| entry.took).max().unwrap_or_default(),
                senders,
                remedy: remedy(pattern),
            }
        })
        .collect();
    patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.total));
    patterns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> String {
        pattern(&line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>())
    }

    #[test]
    fn a_pattern_tells_the_key_and_never_a_value_or_a_secret() {
        for (line, shape) in [
            ("keys report:2024:*", "KEYS report:{n}:*"),
            ("SET user:17 secret-value", "SET user:{n}"),
            ("AUTH batch hunter2", "AUTH"),
            ("HELLO 3 AUTH u hunter2", "HELLO"),
            ("CONFIG SET requirepass hunter2", "CONFIG SET"),
            ("ACL SETUSER u on >hunter2", "ACL SETUSER"),
            ("MIGRATE h 1 key 0 1 AUTH hunter2", "MIGRATE"),
            ("EVAL return\\(hunter2\\) 0", "EVAL"),
            ("EVALSHA abc 1 hunter2", "EVALSHA"),
        ] {
            assert_eq!(of(line), shape);
            assert!(!of(line).contains("hunter2"));
        }
    }
}
