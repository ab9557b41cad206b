//! The slow log (<https://redis.io/docs/latest/commands/slowlog-get/>): entries by command
//! pattern, who sent them, what they block, and the way out.
//!
//! Promises: of a command only its name and the shape of its key are told, never a value or a
//! password. The server keeps so many entries only; what was lost between two looks is counted.
//! Whose user is not known for sure is unknown: the log tells an address, and a client that came
//! and went between two looks was never seen.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::Value;

use crate::clients::{Roster, host};
use crate::error::RedisError;
use crate::link::Link;
use crate::select::integer;
use crate::slow_pattern::pattern;
pub use crate::slow_pattern::{command, is_blocking, remedy};

/// An entry of the slow log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowEntry {
    /// The server: `host:port` or a socket's path.
    pub node: String,
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
    /// The ACL user, where the client was ever seen.
    pub user: Option<String>,
    /// `redis-py 5.0.1`, where the client says so (7.2) and was ever seen.
    pub library: Option<String>,
    /// The connection's number, where the client was ever seen.
    pub client: Option<u64>,
}

/// Who sends something slow.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sender {
    /// Without the port, which changes with every connection.
    pub address: String,
    /// What the client calls itself.
    pub name: String,
    /// The ACL user, where it is known.
    pub user: Option<String>,
    /// The library with its version, where it is known.
    pub library: Option<String>,
}

/// What one sender sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Who.
    pub sender: Sender,
    /// How often.
    pub count: u64,
    /// How long everybody else waited for it.
    pub total: Duration,
}

/// Slow commands of one shape.
#[derive(Clone, Debug, PartialEq)]
pub struct SlowPattern {
    /// The shape.
    pub pattern: String,
    /// How many.
    pub count: u64,
    /// All of them together: so long every other client waited.
    pub total: Duration,
    /// The longest.
    pub max: Duration,
    /// The first one on record, seconds since 1970.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// Who sent them, the most frequent first.
    pub senders: Vec<Sent>,
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
/// all there is. `roster` knows the clients of that run.
pub fn look(
    link: &mut Link,
    from: Option<u64>,
    roster: &mut Roster,
) -> Result<SlowLook, RedisError> {
    let answer: Value = link.ask(redis::cmd("SLOWLOG").arg("GET").arg(-1))?;
    let Value::Array(raw) = answer else { return Ok(SlowLook::default()) };
    // Without the right to see them they stay unknown.
    let _ = roster.refresh(link, now);
    let mut entries: Vec<SlowEntry> =
        raw.into_iter().filter_map(|entry| read(link.address(), entry, roster)).collect();
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

/// Seconds since 1970 by the server's clock, or else by ours.
fn now(link: &mut Link) -> u64 {
    let answer: Option<Vec<String>> = link.ask(&redis::cmd("TIME")).ok();
    let theirs = answer.and_then(|parts| parts.first()?.parse().ok());
    theirs.unwrap_or_else(|| {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    })
}

fn read(node: &str, entry: Value, roster: &Roster) -> Option<SlowEntry> {
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
    // The log has the name as it was then; a client may have given itself another one since.
    let sender = roster.who(&address, at).map(|known| &known.client);
    Some(SlowEntry {
        node: node.to_owned(),
        id,
        at,
        took: Duration::from_micros(micros),
        pattern: pattern(&words),
        user: sender.and_then(|client| client.user.clone()),
        library: sender.and_then(|client| client.library.clone()),
        client: sender.map(|client| client.id),
        address,
        name,
    })
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}

/// Entries of one shape together, the costliest first.
pub fn group(entries: &[SlowEntry]) -> Vec<SlowPattern> {
    let mut groups: BTreeMap<&str, Vec<&SlowEntry>> = BTreeMap::new();
    for entry in entries {
        groups.entry(&entry.pattern).or_default().push(entry);
    }
    let mut patterns: Vec<SlowPattern> = groups
        .into_iter()
        .map(|(pattern, entries)| SlowPattern {
            pattern: pattern.to_owned(),
            count: entries.len() as u64,
            total: entries.iter().map(|entry| entry.took).sum(),
            max: entries.iter().map(|entry| entry.took).max().unwrap_or_default(),
            first: entries.iter().map(|entry| entry.at).min().unwrap_or_default(),
            last: entries.iter().map(|entry| entry.at).max().unwrap_or_default(),
            senders: senders(&entries),
            remedy: remedy(pattern),
        })
        .collect();
    patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.total));
    patterns
}

impl SlowEntry {
    fn sender(&self) -> Sender {
        Sender {
            address: host(&self.address).to_owned(),
            name: self.name.clone(),
            user: self.user.clone(),
            library: self.library.clone(),
        }
    }
}

fn senders(entries: &[&SlowEntry]) -> Vec<Sent> {
    let mut senders: BTreeMap<Sender, (u64, Duration)> = BTreeMap::new();
    for entry in entries {
        let sent = senders.entry(entry.sender()).or_default();
        sent.0 += 1;
        sent.1 += entry.took;
    }
    let mut senders: Vec<Sent> =
        senders.into_iter().map(|(sender, (count, total))| Sent { sender, count, total }).collect();
    senders.sort_by_key(|sent| std::cmp::Reverse(sent.count));
    senders
}

/// The part of a window in which a server did nothing but slow commands, and the window: from the
/// first entry to the end of the last. `None` where there is no window.
pub fn blocked(entries: &[SlowEntry]) -> Option<(Duration, Duration)> {
    let first = entries.iter().map(|entry| entry.at).min()?;
    let last = entries.iter().map(|entry| entry.at).max()?;
    let total: Duration = entries.iter().map(|entry| entry.took).sum();
    // Times are whole seconds.
    Some((total, Duration::from_secs(last - first + 1).max(total)))
}

/// A user, or a client without a user that is known, that keeps others waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offender {
    /// Who. The address, the name and the library are those of the first of its clients.
    pub sender: Sender,
    /// What it sent, in shapes, the costliest first.
    pub patterns: Vec<String>,
    /// The same as names for `ACL SETUSER`: what would have to be taken away.
    pub commands: Vec<String>,
    /// How many.
    pub count: u64,
    /// How long everybody else waited for them.
    pub total: Duration,
    /// The longest.
    pub max: Duration,
    /// The last one, seconds since 1970.
    pub last: u64,
    /// Its connections, each with its server and its number there, where they are known.
    pub clients: Vec<(String, u64)>,
}

/// Who sent commands since `since` (seconds since 1970) that keep others waiting by their nature,
/// the costliest first. A user counts once, from wherever it sends; whose user is unknown counts
/// by address and name.
pub fn offenders(entries: &[SlowEntry], since: u64) -> Vec<Offender> {
    let blocking = entries.iter().filter(|entry| entry.at >= since && is_blocking(&entry.pattern));
    let mut by_sender: BTreeMap<Sender, Vec<&SlowEntry>> = BTreeMap::new();
    for entry in blocking {
        let key = match &entry.user {
            Some(user) => Sender { user: Some(user.clone()), ..Sender::default() },
            None => Sender { library: None, ..entry.sender() },
        };
        by_sender.entry(key).or_default().push(entry);
    }
    let mut offenders: Vec<Offender> =
        by_sender.into_values().filter_map(|entries| offender(&entries)).collect();
    offenders.sort_by_key(|offender| std::cmp::Reverse(offender.total));
    offenders
}

fn offender(entries: &[&SlowEntry]) -> Option<Offender> {
    let first = entries.first()?;
    let mut costs: BTreeMap<&str, Duration> = BTreeMap::new();
    for entry in entries {
        *costs.entry(&entry.pattern).or_default() += entry.took;
    }
    let mut patterns: Vec<(&str, Duration)> = costs.into_iter().collect();
    patterns.sort_by_key(|(_, cost)| std::cmp::Reverse(*cost));
    let mut commands: Vec<String> = Vec::new();
    for (pattern, _) in &patterns {
        let command = command(pattern);
        if !commands.contains(&command) {
            commands.push(command);
        }
    }
    let connection = |entry: &&SlowEntry| Some((entry.node.clone(), entry.client?));
    let mut clients: Vec<(String, u64)> = entries.iter().filter_map(connection).collect();
    clients.sort_unstable();
    clients.dedup();
    Some(Offender {
        sender: first.sender(),
        patterns: patterns.into_iter().map(|(pattern, _)| pattern.to_owned()).collect(),
        commands,
        count: entries.len() as u64,
        total: entries.iter().map(|entry| entry.took).sum(),
        max: entries.iter().map(|entry| entry.took).max().unwrap_or_default(),
        last: entries.iter().map(|entry| entry.at).max().unwrap_or_default(),
        clients,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: u64, millis: u64, pattern: &str, address: &str, user: Option<&str>) -> SlowEntry {
        SlowEntry {
            node: "db:6379".to_owned(),
            id: at,
            at,
            took: Duration::from_millis(millis),
            pattern: pattern.to_owned(),
            address: address.to_owned(),
            name: String::new(),
            user: user.map(str::to_owned),
            library: None,
            client: Some(at),
        }
    }

    #[test]
    fn who_keeps_others_waiting_within_a_window() {
        let batch = Some("batch");
        let entries = [
            entry(50, 900, "KEYS old:*", "10.0.0.7:1", batch),
            entry(100, 400, "KEYS report:*", "10.0.0.7:1", batch),
            entry(101, 450, "SORT l", "10.0.0.8:2", batch),
            entry(102, 30, "KEYS report:*", "10.0.0.9:3", None),
            // It waited for something else than itself.
            entry(103, 800, "GET user:{n}", "10.0.0.9:3", Some("web")),
            entry(104, 20, "KEYS report:*", "10.0.0.7:1", batch),
        ];
        let found = offenders(&entries, 100);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].sender.user.as_deref(), batch);
        assert_eq!(found[0].patterns, ["SORT l", "KEYS report:*"]);
        assert_eq!(found[0].commands, ["sort", "keys"]);
        assert_eq!((found[0].count, found[0].last), (3, 104));
        assert_eq!(found[0].total, Duration::from_millis(870));
        let numbers: Vec<u64> = found[0].clients.iter().map(|(_, id)| *id).collect();
        assert_eq!(numbers, [100, 101, 104]);
        assert_eq!((found[1].sender.user.as_deref(), found[1].count), (None, 1));
        assert_eq!(offenders(&entries, 0)[0].count, 4);
        assert!(offenders(&entries, 200).is_empty());
    }

    #[test]
    fn how_long_others_waited() {
        assert_eq!(blocked(&[]), None);
        let entries =
            [entry(100, 500, "KEYS *", "a:1", None), entry(109, 1500, "KEYS *", "a:1", None)];
        assert_eq!(blocked(&entries), Some((Duration::from_secs(2), Duration::from_secs(10))));
        assert_eq!(group(&entries)[0].senders[0].total, Duration::from_secs(2));
    }
}
