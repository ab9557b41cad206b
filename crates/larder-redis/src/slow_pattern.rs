//! A slow command as it may be told: its name, the shape of its key, how much it was asked for;
//! and what does the same without keeping everybody waiting.
//!
//! Promises: never a value, never a password. What follows the name is told only of commands
//! whose first argument is known to be a key, and of numbers.

use crate::link::is_container;
use crate::prefixes::folded;

/// Commands whose first argument is a key or a pattern of keys; of any other only the name is
/// told, since what follows may be a secret.
const KEYED: &str = "APPEND BITCOUNT BITFIELD BITPOS COPY DECR DECRBY DEL DUMP EXISTS EXPIRE \
    EXPIREAT GEOADD GEODIST GEORADIUS GEORADIUSBYMEMBER GEOSEARCH GET GETBIT GETDEL GETEX GETRANGE \
    GETSET HDEL HEXISTS HGET HGETALL HINCRBY HKEYS HLEN HMGET HMSET HRANDFIELD HSCAN HSET HVALS \
    INCR INCRBY KEYS LINDEX LINSERT LLEN LMOVE LPOP LPOS LPUSH LRANGE LREM LSET LTRIM MGET MSET \
    PERSIST PEXPIRE PFADD PFCOUNT PFMERGE PSETEX RENAME RPOP RPOPLPUSH RPUSH SADD SCARD SDIFF \
    SDIFFSTORE SET SETEX SETNX SETRANGE SINTER SINTERSTORE SISMEMBER SMEMBERS SMISMEMBER SMOVE SORT \
    SORT_RO SPOP SRANDMEMBER SREM SSCAN STRLEN SUNION SUNIONSTORE TOUCH TTL TYPE UNLINK XADD XDEL \
    XLEN XRANGE XREVRANGE XTRIM ZADD ZCARD ZCOUNT ZDIFFSTORE ZINCRBY ZINTERSTORE ZPOPMAX ZPOPMIN \
    ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANGESTORE ZRANK ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK \
    ZREMRANGEBYSCORE ZREVRANGE ZREVRANGEBYSCORE ZSCAN ZSCORE ZUNIONSTORE";

/// Commands that take a first and a last place, from 0; `-1` is the last one there is.
const RANGES: [&str; 3] = ["LRANGE", "ZRANGE", "ZREVRANGE"];

/// From how many arguments on it is told about how many there were.
const MANY: usize = 100;

/// `KEYS report:*`, `LRANGE queue:{n} 0 -1`, `MGET user:{n} (1,000s of arguments)`, `CONFIG SET`,
/// `EVAL`.
pub(crate) fn pattern(words: &[Vec<u8>]) -> String {
    let word = |at: usize| words.get(at).map(|word| String::from_utf8_lossy(word).to_uppercase());
    let name = word(0).unwrap_or_default();
    if is_container(&name) {
        return format!("{name} {}", word(1).unwrap_or_default()).trim_end().to_owned();
    }
    let mut text = name.clone();
    if let Some(key) = words.get(1).filter(|_| is_keyed(&name)) {
        text = format!("{text} {}", folded(key).escape_ascii());
    }
    let whole = matches!((word(2).as_deref(), word(3).as_deref()), (Some("0"), Some("-1")));
    if whole && RANGES.contains(&name.as_str()) {
        text.push_str(" 0 -1");
    }
    let arguments = arguments(words);
    if arguments >= MANY {
        let many = 10_usize.pow(arguments.ilog10()) as u64;
        text = format!("{text} ({}s of arguments)", larder_core::count::grouped(many));
    }
    text
}

fn is_keyed(name: &str) -> bool {
    KEYED.split_whitespace().any(|keyed| keyed == name)
}

/// How many there were: the server keeps 32 words, the last of which then tells of the others.
fn arguments(words: &[Vec<u8>]) -> usize {
    let last = words.last().map(|word| String::from_utf8_lossy(word).into_owned());
    let more = last.as_deref().and_then(|last| last.strip_prefix("... ("));
    let more = more.and_then(|last| last.strip_suffix(" more arguments)")?.parse::<usize>().ok());
    match more {
        Some(more) => words.len() - 2 + more,
        None => words.len().saturating_sub(1),
    }
}

/// The command of a pattern as `ACL SETUSER` calls it: `keys`, `config|set`.
pub fn command(pattern: &str) -> String {
    let mut words = pattern.split(' ').map(str::to_ascii_lowercase);
    let name = words.next().unwrap_or_default();
    // What follows DEBUG is an argument to the server's ACL rules.
    let parted = name != "debug" && is_container(&name.to_ascii_uppercase());
    match words.next().filter(|_| parted) {
        Some(sub) => format!("{name}|{sub}"),
        None => name,
    }
}

/// Commands with what else does the same without keeping everybody waiting.
const REMEDIES: [(&str, &str); 27] = [
    ("KEYS", "SCAN with MATCH, page by page: KEYS looks at every key while all others wait"),
    ("DEL", "UNLINK frees collections in the background; larder clean paces many of them"),
    ("UNLINK", "fewer keys at a time; a large string is freed while others wait, whatever is sent"),
    ("FLUSHALL FLUSHDB", "FLUSHDB ASYNC frees in the background"),
    ("SMEMBERS", "SSCAN in pages, or SISMEMBER for the one that is meant"),
    ("HGETALL HKEYS HVALS", "HMGET of the fields that are needed, or HSCAN in pages"),
    ("LRANGE ZRANGE ZREVRANGE", "read in pages, as 0 99: a range reads all that it names"),
    ("ZRANGEBYSCORE ZREVRANGEBYSCORE ZRANGEBYLEX XRANGE XREVRANGE", "LIMIT or COUNT, and pages"),
    ("SORT SORT_RO", "sort in the client, or keep a sorted set that is in order already"),
    (
        "SUNION SINTER SDIFF SINTERCARD ZUNION ZINTER ZDIFF ZINTERCARD",
        "the same on a replica, or a result that is kept up to date as its parts change",
    ),
    (
        "SUNIONSTORE SINTERSTORE SDIFFSTORE ZUNIONSTORE ZINTERSTORE ZDIFFSTORE ZRANGESTORE",
        "less at a time, on a schedule when few wait, or kept up to date as its parts change",
    ),
    ("MGET HMGET MSET HMSET EXISTS TOUCH", "fewer keys at a time: others wait for the whole list"),
    ("SADD SREM ZADD ZREM LPUSH RPUSH HSET HDEL XDEL", "fewer elements at a time"),
    ("EVAL EVALSHA EVAL_RO EVALSHA_RO FCALL FCALL_RO", "a script runs alone: do less in one call"),
    ("EXEC", "a transaction runs alone: fewer commands in one"),
    ("LINDEX LINSERT LREM LPOS LSET", "lists are walked from an end: a hash or a sorted set finds"),
    ("LTRIM ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREMRANGEBYLEX XTRIM", "smaller steps, more often"),
    ("GEORADIUS GEORADIUSBYMEMBER GEOSEARCH GEOSEARCHSTORE", "a smaller radius, and COUNT … ANY"),
    ("BITCOUNT BITPOS BITOP", "a range of the bitmap, or several smaller ones"),
    ("GETRANGE SETRANGE APPEND GET SET", "a smaller value: split it, or compress it"),
    ("PFCOUNT PFMERGE", "one HyperLogLog at a time: several are merged anew by every call"),
    ("LCS", "the same in the client"),
    ("SCAN SSCAN HSCAN ZSCAN", "a smaller COUNT: one page keeps others waiting"),
    ("MONITOR", "larder slowlog --follow, or a replica: every command is sent to who monitors"),
    ("SAVE", "BGSAVE"),
    ("DEBUG", "-debug in the ACL rules of whoever does not develop the server"),
    ("MIGRATE RESTORE DUMP", "smaller values; others wait until the whole of one has gone over"),
];

/// What else does the same without keeping everybody waiting.
pub fn remedy(pattern: &str) -> Option<&'static str> {
    let name = pattern.split(' ').next().unwrap_or_default();
    let of = |names: &&(&str, &str)| names.0.split(' ').any(|one| one == name);
    REMEDIES.iter().find(of).map(|(_, remedy)| *remedy)
}

/// Commands that are slow only where something else is: what nobody can do without.
const INNOCENT: &str = "GET SET APPEND GETRANGE SETRANGE SCAN SSCAN HSCAN ZSCAN EXISTS TOUCH EXEC";

/// Whether it is the command itself that keeps others waiting, so that taking it away from a user
/// helps without cutting the user off.
pub fn is_blocking(pattern: &str) -> bool {
    let name = pattern.split(' ').next().unwrap_or_default();
    remedy(pattern).is_some() && !INNOCENT.split(' ').any(|innocent| innocent == name)
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
            ("SET user:17 secret-hunter2", "SET user:{n}"),
            ("LRANGE queue:17 0 -1", "LRANGE queue:{n} 0 -1"),
            ("LRANGE queue:17 0 99", "LRANGE queue:{n}"),
            ("AUTH batch hunter2", "AUTH"),
            ("HELLO 3 AUTH u hunter2", "HELLO"),
            ("CONFIG SET requirepass hunter2", "CONFIG SET"),
            ("ACL SETUSER u on >hunter2", "ACL SETUSER"),
            ("MIGRATE h 1 key 0 1 AUTH hunter2", "MIGRATE"),
            ("EVAL return\\(hunter2\\) 0", "EVAL"),
            ("EVALSHA abc 1 hunter2", "EVALSHA"),
            ("SETHUNTER hunter2 0 -1", "SETHUNTER"),
        ] {
            assert_eq!(of(line), shape);
            assert!(!of(line).contains("hunter2"));
        }
    }

    #[test]
    fn how_much_was_asked_for_is_told_in_powers_of_ten() {
        let mget = |n: usize| {
            let words = (0..n).map(|n| format!(" user:{n}"));
            of(&format!("MGET{}", words.collect::<String>()))
        };
        assert_eq!(mget(99), "MGET user:{n}");
        assert_eq!(mget(5000), "MGET user:{n} (1,000s of arguments)");
        // As the server cuts it off: 32 words, the last of which tells of the others.
        let mut words: Vec<Vec<u8>> = vec![b"MGET".to_vec()];
        words.extend((0..30).map(|n| format!("user:{n}").into_bytes()));
        words.push(b"... (4970 more arguments)".to_vec());
        assert_eq!(words.len(), 32);
        assert_eq!(arguments(&words), 5000);
        assert_eq!(pattern(&words), "MGET user:{n} (1,000s of arguments)");
    }

    #[test]
    fn a_pattern_leads_to_the_command_and_to_the_way_out() {
        assert_eq!(command("KEYS report:{n}:*"), "keys");
        assert_eq!(command("CONFIG SET"), "config|set");
        assert_eq!(command("MGET user:{n} (1,000s of arguments)"), "mget");
        assert!(remedy("KEYS *").unwrap().starts_with("SCAN"));
        assert!(remedy("ZUNIONSTORE x").is_some() && remedy("MONITOR").is_some());
        assert_eq!(remedy("PING"), None);
        assert_eq!((&*command("DEBUG SLEEP"), is_blocking("DEBUG SLEEP")), ("debug", true));
        assert!(is_blocking("KEYS *") && is_blocking("EVAL") && is_blocking("HGETALL u:{n}"));
        assert!(!is_blocking("GET x") && !is_blocking("PING") && !is_blocking("SCAN"));
    }

    #[test]
    fn every_command_has_one_remedy() {
        let mut all: Vec<&str> = REMEDIES.iter().flat_map(|(names, _)| names.split(' ')).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
