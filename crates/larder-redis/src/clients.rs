//! Who is connected (<https://redis.io/docs/latest/commands/client-list/>).
//!
//! An address says nothing by itself: ports are used again. Together with the time of the
//! connection it names one client, also when that has gone since ([`Roster`]).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::error::RedisError;
use crate::link::Link;

/// A client of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connected {
    /// Never given twice as long as the server runs.
    pub id: u64,
    /// `host:port` or `/path:0` of a socket.
    pub address: String,
    /// What it calls itself; empty where it says nothing.
    pub name: String,
    /// The ACL user; `None` before Redis 6.
    pub user: Option<String>,
    /// `redis-py 5.0.1`, where it says so (7.2).
    pub library: Option<String>,
    /// Since when it is connected, in whole seconds.
    pub age: Duration,
    /// `N`, `M` a master, `S` a replica, `O` a monitor, `P` a subscriber, and others.
    pub flags: String,
    /// Its last command.
    pub command: String,
}

impl Connected {
    /// The address without the port, which changes with every connection.
    pub fn host(&self) -> &str {
        host(&self.address)
    }

    /// Whether a server of this deployment stands behind it, not an application.
    pub fn is_server(&self) -> bool {
        let sentinel = self.name.starts_with("sentinel-");
        self.flags.contains(['M', 'S']) || sentinel
    }

    /// Whether it is one of larder's own.
    pub fn is_ours(&self) -> bool {
        self.name.starts_with("larder:")
    }
}

/// An address without its port.
pub(crate) fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

/// Every client of this server.
pub fn clients(link: &mut Link) -> Result<Vec<Connected>, RedisError> {
    // Names are bytes that the client chose.
    let answer: redis::Value = link.ask(redis::cmd("CLIENT").arg("LIST"))?;
    let text: Vec<u8> = link.read(answer, "CLIENT LIST")?;
    Ok(parse(&String::from_utf8_lossy(&text)))
}

fn parse(text: &str) -> Vec<Connected> {
    text.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<Connected> {
    let field =
        |name: &str| line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let library = match (field("lib-name"), field("lib-ver")) {
        (None | Some(""), _) => None,
        (Some(name), None | Some("")) => Some(name.to_owned()),
        (Some(name), Some(version)) => Some(format!("{name} {version}")),
    };
    Some(Connected {
        id: field("id")?.parse().ok()?,
        address: field("addr")?.to_owned(),
        name: field("name").unwrap_or_default().to_owned(),
        user: field("user").map(str::to_owned),
        library,
        age: Duration::from_secs(field("age").and_then(|age| age.parse().ok()).unwrap_or(0)),
        flags: field("flags").unwrap_or_default().to_owned(),
        command: field("cmd").unwrap_or_default().to_owned(),
    })
}

/// A client that was seen, and when it can have sent something. Times are seconds since 1970 by
/// the server's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// As it was when last seen.
    pub client: Connected,
    /// When it connected.
    pub since: u64,
    /// When it was last seen.
    pub seen: u64,
}

/// Clients kept of one run of a server.
const MOST: usize = 4000;

/// The clients of one run of a server that were ever seen. Asking for all of them keeps a server
/// with many busy, so it is done seldom where it takes long.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    known: Vec<Known>,
    listed: Option<(Instant, Duration)>,
}

/// Asking may take one part in so many of a server's time.
const SHARE: u32 = 50;

/// And it is done no more often than this.
const SELDOM: Duration = Duration::from_millis(500);

impl Roster {
    /// With those that were kept of the same run.
    pub fn new(known: Vec<Known>) -> Self {
        Self { known, listed: None }
    }

    /// All of them.
    pub fn known(&self) -> &[Known] {
        &self.known
    }

    /// Asks who is connected, where that was not just done. `now` is seconds since 1970 by the
    /// server's clock.
    pub fn refresh(
        &mut self,
        link: &mut Link,
        now: impl FnOnce(&mut Link) -> u64,
    ) -> Result<(), RedisError> {
        let due = self.listed.is_none_or(|(at, cost)| at.elapsed() >= (cost * SHARE).max(SELDOM));
        if !due {
            return Ok(());
        }
        let begun = Instant::now();
        let connected = clients(link);
        // Also where it is not allowed: it is not asked for in vain all the time.
        self.listed = Some((Instant::now(), begun.elapsed()));
        let now = now(link);
        self.remember(&connected?, now);
        Ok(())
    }

    /// Takes in who is connected `now`; of those that have gone the most recent are kept.
    pub fn remember(&mut self, connected: &[Connected], now: u64) {
        let at: BTreeMap<u64, usize> =
            self.known.iter().enumerate().map(|(at, known)| (known.client.id, at)).collect();
        for client in connected.iter().filter(|client| !client.is_ours()) {
            let since = now.saturating_sub(client.age.as_secs());
            let known = Known { client: client.clone(), since, seen: now };
            match at.get(&client.id).and_then(|&at| self.known.get_mut(at)) {
                Some(old) => *old = Known { since: old.since, ..known },
                None => self.known.push(known),
            }
        }
        if self.known.len() > MOST {
            self.known.sort_by_key(|known| std::cmp::Reverse((known.seen, known.client.id)));
            self.known.truncate(MOST);
        }
    }

    /// Who had this address at this time. A second on either side is the server's own rounding;
    /// whoever was last seen before may have gone on, as long as nobody else was seen there.
    pub fn who(&self, address: &str, at: u64) -> Option<&Known> {
        let had = self.known.iter().filter(|known| known.client.address == address);
        had.filter(|known| known.since <= at + 1).max_by_key(|known| known.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_several_versions() {
        let text = "id=8 addr=127.0.0.1:57588 laddr=127.0.0.1:1 fd=7 name= age=3 idle=0 flags=N \
                    cmd=client|list user=default redir=-1 resp=2\n\
                    id=9 addr=[::1]:5 name=nightly age=0 flags=S cmd=keys user=batch \
                    lib-name=redis-py lib-ver=5.0.1\n\
                    id=10 addr=/run/redis.sock:0 name=x age=1 flags=U cmd=get\n\
                    id=nonsense addr=x\n";
        let clients = parse(text);
        assert_eq!(clients.len(), 3);
        assert_eq!((clients[0].id, clients[0].age), (8, Duration::from_secs(3)));
        assert_eq!(
            (clients[0].user.as_deref(), clients[0].library.as_deref()),
            (Some("default"), None)
        );
        assert_eq!(clients[1].host(), "[::1]");
        assert_eq!(clients[1].library.as_deref(), Some("redis-py 5.0.1"));
        assert!(clients[1].is_server() && !clients[0].is_server());
        assert_eq!((clients[2].host(), clients[2].user.as_deref()), ("/run/redis.sock", None));
    }

    #[test]
    fn a_port_that_is_used_again_is_somebody_elses() {
        let client = |id, user: &str, age| Connected {
            id,
            address: "10.0.0.7:5000".to_owned(),
            user: Some(user.to_owned()),
            age: Duration::from_secs(age),
            ..Connected::default()
        };
        let mut roster = Roster::default();
        roster.remember(&[client(1, "batch", 50)], 1000);
        roster.remember(&[client(1, "batch", 60)], 1010);
        roster.remember(&[client(2, "web", 5)], 1100);
        let user = |at| roster.who("10.0.0.7:5000", at)?.client.user.as_deref();
        assert_eq!(
            [user(900), user(949), user(1000), user(1050), user(1095), user(2000)],
            [None, Some("batch"), Some("batch"), Some("batch"), Some("web"), Some("web")]
        );
        assert!(roster.who("10.0.0.7:5001", 1000).is_none());
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_newest_stay() {
        let mut roster = Roster::default();
        for id in 0..5000 {
            let client = Connected { id, address: format!("h:{id}"), ..Connected::default() };
            roster.remember(&[client], 1000 + id);
        }
        assert_eq!(roster.known().len(), MOST);
        assert!(roster.who("h:4999", 9000).is_some() && roster.who("h:0", 9000).is_none());
    }
}
