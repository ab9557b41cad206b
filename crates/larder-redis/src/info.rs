//! What `INFO` says (<https://redis.io/docs/latest/commands/info/>).

use std::collections::BTreeMap;

use crate::error::RedisError;
use crate::link::Link;

/// The answer to `INFO`, field by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    fields: BTreeMap<String, String>,
}

/// One database's line: `db0:keys=3,expires=1,avg_ttl=0`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keyspace {
    /// All keys.
    pub keys: u64,
    /// Those with a time to live.
    pub expires: u64,
}

impl Keyspace {
    /// Keys that never expire.
    pub fn persistent(self) -> u64 {
        self.keys.saturating_sub(self.expires)
    }
}

/// What a server is to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes writes.
    Master,
    /// Follows a master.
    Replica,
    /// Watches masters.
    Sentinel,
}

impl Info {
    /// Asks for everything that `INFO` tells by default, in one answer.
    pub fn ask(link: &mut Link) -> Result<Self, RedisError> {
        Self::ask_sections(link, None)
    }

    /// Asks for one section, or several by their common name as `all`.
    pub(crate) fn ask_sections(link: &mut Link, section: Option<&str>) -> Result<Self, RedisError> {
        let answer: redis::Value = link.ask(redis::cmd("INFO").arg(section))?;
        let text: Vec<u8> = link.read(answer, "INFO")?;
        let info = Self::parse(&String::from_utf8_lossy(&text));
        // Whoever answers anything to everything is no Redis.
        if info.get("redis_version").is_none() && info.get("valkey_version").is_none() {
            return Err(RedisError::Garbage {
                address: link.address().to_owned(),
                command: "INFO".to_owned(),
                why: "no version in it".to_owned(),
            });
        }
        Ok(info)
    }

    /// Reads `name:value` lines; headings and blank lines are skipped.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let fields = lines.filter_map(|line| line.split_once(':'));
        Self { fields: fields.map(|(k, v)| (k.to_owned(), v.trim_end().to_owned())).collect() }
    }

    /// Adds a field that the server tells elsewhere.
    pub(crate) fn add(&mut self, field: &str, value: Option<u64>) {
        self.fields.extend(value.map(|value| (field.to_owned(), value.to_string())));
    }

    /// A field as it stands.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(String::as_str)
    }

    /// A field that is a whole number.
    pub fn u64(&self, field: &str) -> Option<u64> {
        self.get(field)?.parse().ok()
    }

    /// A field that is a number.
    pub fn f64(&self, field: &str) -> Option<f64> {
        self.get(field)?.parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// Major and minor version of the Redis that it is, or says that it is compatible with.
    pub fn version(&self) -> (u32, u32) {
        let mut parts = self.get("redis_version").unwrap_or("").split('.');
        let mut next = || parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
        (next(), next())
    }

    /// `valkey 8.0.1` or `redis 7.0.15`.
    pub fn product(&self) -> String {
        match (self.get("valkey_version"), self.get("redis_version")) {
            (Some(version), _) => format!("valkey {version}"),
            (None, Some(version)) => format!("redis {version}"),
            (None, None) => "redis of unknown version".to_owned(),
        }
    }

    /// Changes with every start of the server, and tells it from every other.
    pub fn run_id(&self) -> &str {
        self.get("run_id").unwrap_or("")
    }

    /// `standalone`, `cluster` or `sentinel`. Valkey calls the field after no product since 8.0
    /// (<https://valkey.io/commands/info/>).
    pub fn mode(&self) -> Option<&str> {
        self.get("redis_mode").or_else(|| self.get("server_mode"))
    }

    /// Master, replica or Sentinel.
    pub fn role(&self) -> Role {
        match (self.mode(), self.get("role")) {
            (Some("sentinel"), _) => Role::Sentinel,
            (_, Some("slave" | "replica")) => Role::Replica,
            _ => Role::Master,
        }
    }

    /// Whether the data set is still being read from disk.
    pub fn loading(&self) -> bool {
        self.u64("loading").unwrap_or(0) != 0 || self.u64("async_loading").unwrap_or(0) != 0
    }

    /// The line of one database; a database without keys has none.
    pub fn keyspace(&self, database: u32) -> Keyspace {
        let line = self.get(&format!("db{database}")).unwrap_or("");
        Keyspace { keys: part(line, "keys"), expires: part(line, "expires") }
    }

    /// Every database that holds keys.
    pub fn databases(&self) -> Vec<u32> {
        let names = self.fields.keys().filter_map(|name| name.strip_prefix("db"));
        let mut numbers: Vec<u32> = names.filter_map(|number| number.parse().ok()).collect();
        numbers.sort_unstable();
        numbers
    }

    /// The lines of the replicas that are connected: `ip=…,port=…,state=online,offset=…,lag=0`.
    pub(crate) fn replicas(&self) -> impl Iterator<Item = &str> {
        let lines = self.starting("slave").filter(|(name, _)| {
            name.strip_prefix("slave").is_some_and(|n| n.bytes().all(|byte| byte.is_ascii_digit()))
        });
        lines.map(|(_, line)| line)
    }

    /// The policy's name, as `allkeys-lru`.
    pub fn policy(&self) -> &str {
        self.get("maxmemory_policy").unwrap_or("")
    }

    /// Whether keys carry a frequency in place of an idle time.
    pub fn counts_frequency(&self) -> bool {
        self.policy().ends_with("-lfu")
    }

    /// Fields whose name begins so, in order.
    pub fn starting<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let from = self.fields.range(prefix.to_owned()..);
        let like = from.take_while(move |(name, _)| name.starts_with(prefix));
        like.map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// The number after `name=` in `a=1,b=2`.
pub(crate) fn part(line: &str, name: &str) -> u64 {
    text_part(line, name).and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// The text after `name=` in `a=1,b=2`.
pub(crate) fn text_part<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let mut parts = line.split(',').filter_map(|part| part.split_once('='));
    parts.find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_an_answer() {
        let info = Info::parse(
            "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrun_id:ab\r\n\r\n\
             # Replication\r\nrole:slave\r\n# Keyspace\r\ndb0:keys=10,expires=4,avg_ttl=0\r\n\
             db12:keys=1,expires=0,avg_ttl=0,subexpiry=0\r\n",
        );
        assert_eq!(info.version(), (7, 0));
        assert_eq!(info.role(), Role::Replica);
        assert_eq!(info.keyspace(0), Keyspace { keys: 10, expires: 4 });
        assert_eq!(info.keyspace(0).persistent(), 6);
        assert_eq!(info.keyspace(1), Keyspace::default());
        assert_eq!(info.databases(), [0, 12]);
        assert_eq!(info.starting("r").map(|(name, _)| name).collect::<Vec<_>>().len(), 4);
    }

    #[test]
    fn a_valkey_says_what_it_is() {
        let info = Info::parse(
            "redis_version:7.2.4\nserver_name:valkey\nvalkey_version:8.0.1\n\
             server_mode:sentinel\n",
        );
        assert_eq!((info.version(), info.product()), ((7, 2), "valkey 8.0.1".to_owned()));
        assert_eq!((info.mode(), info.role()), (Some("sentinel"), Role::Sentinel));
    }
}
