//! `[redis.NAME]`: the Redis servers that are looked after, each by its name.
//!
//! A password is never a setting: `password-file` names the file that holds it.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use larder_core::KeySelection;
use larder_core::time::parse_duration;
use larder_engine::Profile;
use toml::Spanned;
use toml::de::DeValue;

use crate::settings::Settled;
use crate::settings_keys::{Fallback, Key, Kind, key};
use crate::settings_value::{Value, read_text};

/// The table that holds the named ones.
pub const TABLE: &str = "redis";

/// Every setting of a `[redis.NAME]`.
pub static NAMED: &[Key] = &[
    key(TABLE, "url", Kind::RedisUrl, Fallback::Off, "Where it is, without a password"),
    key(TABLE, "username", Kind::Text, Fallback::Off, "The ACL user to log in as"),
    key(TABLE, "password-file", Kind::File, Fallback::Off, "The file that holds its password"),
    key(TABLE, "budget", Kind::Size, Fallback::Off, "Memory that it should stay within"),
    key(
        TABLE,
        "profile",
        Kind::Word(&["dev", "production"]),
        Fallback::Off,
        "What kind of server it is, where that differs from this machine",
    ),
    key(TABLE, "ca-file", Kind::File, Fallback::Off, "Authorities to trust, in PEM"),
    key(TABLE, "cert-file", Kind::File, Fallback::Off, "Our certificate, in PEM"),
    key(TABLE, "key-file", Kind::File, Fallback::Off, "The key of our certificate, in PEM"),
    key(
        TABLE,
        "sentinel-master",
        Kind::Text,
        Fallback::Off,
        "Which master, where a Sentinel watches several",
    ),
    key(TABLE, "connect-timeout", Kind::Duration, Fallback::Text("2s"), "Wait so long to connect"),
    key(TABLE, "timeout", Kind::Duration, Fallback::Text("5s"), "Wait so long for an answer"),
    key(
        TABLE,
        "max-rate",
        Kind::Count,
        Fallback::Off,
        "Change at most so many keys a second, over all of its servers",
    ),
    key(
        TABLE,
        "p99-budget",
        Kind::Latency,
        Fallback::Text("2ms"),
        "What others may feel of the work",
    ),
    key(
        TABLE,
        "backup-limit",
        Kind::Size,
        Fallback::Text("10GB"),
        "The most that an undo may take",
    ),
    key(TABLE, "clean", Kind::Rules, Fallback::Off, "What goes when it is pruned"),
    key(
        TABLE,
        "respond.throttle-users",
        Kind::Texts,
        Fallback::Empty,
        "ACL users that larder may limit by itself when they block the server",
    ),
    key(
        TABLE,
        "respond.throttle-for",
        Kind::Duration,
        Fallback::Text("10m"),
        "For how long it limits one",
    ),
    key(
        TABLE,
        "respond.analyse",
        Kind::Bool,
        Fallback::Text("true"),
        "Whether the distribution of keys is analysed for an alert",
    ),
    key(
        TABLE,
        "respond.cool-down",
        Kind::Duration,
        Fallback::Text("30m"),
        "Do nothing by itself again so soon",
    ),
    key(
        TABLE,
        "respond.per-day",
        Kind::Count,
        Fallback::Text("5"),
        "Do nothing by itself more often in a day",
    ),
];

/// What may be done about a sick Redis without asking: `[redis.NAME.respond]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Respond {
    /// `throttle-users`.
    pub throttle_users: Vec<String>,
    /// `throttle-for`.
    pub throttle_for: Duration,
    /// `analyse`.
    pub analyse: bool,
    /// `cool-down`.
    pub cool_down: Duration,
    /// `per-day`.
    pub per_day: u32,
}

impl Default for Respond {
    fn default() -> Self {
        Self {
            throttle_users: Vec::new(),
            throttle_for: Duration::from_mins(10),
            analyse: true,
            cool_down: Duration::from_mins(30),
            per_day: 5,
        }
    }
}

/// What one `[[redis.NAME.clean]]` wants gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// `match`.
    pub pattern: String,
    /// `exclude`.
    pub exclude: Vec<String>,
    /// `type`.
    pub kind: Option<String>,
    /// `idle`.
    pub idle: Option<Duration>,
    /// `older-than`.
    pub older_than: Option<Duration>,
    /// `larger-than`, bytes.
    pub larger_than: Option<u64>,
    /// `persistent`.
    pub persistent: bool,
}

impl Rule {
    /// The keys that it wants gone.
    pub fn selection(&self) -> KeySelection {
        KeySelection {
            pattern: self.pattern.clone().into_bytes(),
            exclude: self.exclude.iter().map(|pattern| pattern.clone().into_bytes()).collect(),
            kind: self.kind.clone(),
            persistent: self.persistent,
            idle: self.idle,
            older_than: self.older_than,
            larger_than: self.larger_than,
        }
    }

    /// As flags of `larder clean`.
    pub fn text(&self) -> String {
        let mut text = format!("--match {}", self.pattern);
        let mut add = |flag: &str, value: Option<String>| {
            if let Some(value) = value {
                text = format!("{text} --{flag} {value}");
            }
        };
        let typed = |duration: Duration| larder_core::time::Typed(duration).to_string();
        self.exclude.iter().for_each(|pattern| add("exclude", Some(pattern.clone())));
        add("type", self.kind.clone());
        add("idle", self.idle.map(typed));
        add("older-than", self.older_than.map(typed));
        add("larger-than", self.larger_than.map(|bytes| format!("{bytes}B")));
        if self.persistent {
            text.push_str(" --persistent");
        }
        text
    }
}

/// A Redis by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    /// The NAME of `redis:NAME`.
    pub name: String,
    /// `url`, which holds no password.
    pub url: String,
    /// `username`.
    pub username: Option<String>,
    /// `password-file`.
    pub password_file: Option<PathBuf>,
    /// `budget`, bytes.
    pub budget: Option<u64>,
    /// `profile`.
    pub profile: Option<Profile>,
    /// `ca-file`.
    pub ca_file: Option<PathBuf>,
    /// `cert-file`.
    pub cert_file: Option<PathBuf>,
    /// `key-file`.
    pub key_file: Option<PathBuf>,
    /// `sentinel-master`.
    pub sentinel_master: Option<String>,
    /// `connect-timeout`.
    pub connect_timeout: Duration,
    /// `timeout`.
    pub timeout: Duration,
    /// `max-rate`, keys a second.
    pub max_rate: Option<u64>,
    /// `p99-budget`.
    pub p99_budget: Duration,
    /// `backup-limit`, bytes.
    pub backup_limit: Option<u64>,
    /// `clean`.
    pub clean: Vec<Rule>,
    /// `respond`.
    pub respond: Respond,
}

impl RedisSettings {
    /// One of which nothing but its URL is known.
    pub fn of_url(name: &str, url: &str) -> Self {
        Self {
            name: name.to_owned(),
            url: url.to_owned(),
            username: None,
            password_file: None,
            budget: None,
            profile: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
            sentinel_master: None,
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(5),
            max_rate: None,
            p99_budget: Duration::from_millis(2),
            backup_limit: Some(10_000_000_000),
            clean: Vec::new(),
            respond: Respond::default(),
        }
    }

    fn take(&mut self, key: &Key, value: &Value) {
        match (key.name, value) {
            ("url", Value::Text(url)) => self.url.clone_from(url),
            ("username", Value::Text(user)) => self.username = Some(user.clone()),
            ("sentinel-master", Value::Text(name)) => self.sentinel_master = Some(name.clone()),
            ("p99-budget", Value::Text(text)) => {
                // What is no duration never became a value.
                self.p99_budget = short_duration(text).unwrap_or(self.p99_budget);
            }
            ("password-file", Value::File(path)) => self.password_file = Some(path.clone()),
            ("ca-file", Value::File(path)) => self.ca_file = Some(path.clone()),
            ("cert-file", Value::File(path)) => self.cert_file = Some(path.clone()),
            ("key-file", Value::File(path)) => self.key_file = Some(path.clone()),
            ("budget", Value::Size(bytes)) => self.budget = Some(*bytes),
            ("backup-limit", Value::Size(bytes)) => self.backup_limit = Some(*bytes),
            ("backup-limit", Value::Off) => self.backup_limit = None,
            ("profile", Value::Word("production")) => self.profile = Some(Profile::Production),
            ("profile", Value::Word(_)) => self.profile = Some(Profile::Dev),
            ("connect-timeout", Value::Duration(limit)) => self.connect_timeout = *limit,
            ("timeout", Value::Duration(limit)) => self.timeout = *limit,
            ("max-rate", Value::Count(keys)) => self.max_rate = Some(u64::from(*keys)),
            ("clean", Value::Rules(rules)) => self.clean.clone_from(rules),
            ("respond.throttle-users", Value::Texts(users)) => {
                self.respond.throttle_users.clone_from(users);
            }
            ("respond.throttle-for", Value::Duration(limit)) => self.respond.throttle_for = *limit,
            ("respond.analyse", Value::Bool(on)) => self.respond.analyse = *on,
            ("respond.cool-down", Value::Duration(rest)) => self.respond.cool_down = *rest,
            ("respond.per-day", Value::Count(count)) => self.respond.per_day = *count,
            _ => {}
        }
    }
}

/// `2ms`, `500us`, or a duration as elsewhere.
pub fn short_duration(text: &str) -> Result<Duration, String> {
    let of = |digits: &str, unit: u64| digits.trim().parse::<u64>().ok().map(|n| n * unit);
    let short = match (text.strip_suffix("ms"), text.strip_suffix("us")) {
        (Some(digits), _) => of(digits, 1000).map(Duration::from_micros),
        (_, Some(digits)) => of(digits, 1).map(Duration::from_micros),
        _ => parse_duration(text).ok(),
    };
    short
        .filter(|budget| !budget.is_zero())
        .ok_or_else(|| format!("expected a duration such as \"2ms\" or \"500us\", found {text:?}"))
}

/// Every `[redis.NAME]`, by name; or what is wrong with them.
pub fn caches(settled: &[Settled]) -> Result<Vec<RedisSettings>, Vec<String>> {
    let mut caches: Vec<RedisSettings> = Vec::new();
    for setting in settled {
        let Some(name) = setting.instance_of(TABLE) else { continue };
        if caches.last().is_none_or(|last| last.name != name) {
            caches.push(RedisSettings::of_url(name, ""));
        }
        if let Some(cache) = caches.last_mut() {
            cache.take(setting.key, &setting.value);
        }
    }
    let without = caches.iter().filter(|cache| cache.url.is_empty());
    let wrong: Vec<String> =
        without.map(|cache| format!("[redis.{}] has no url", cache.name)).collect();
    if wrong.is_empty() { Ok(caches) } else { Err(wrong) }
}

/// A table of `[[redis.NAME.clean]]`; where it is wrong, and how.
pub fn rule(value: &Spanned<DeValue<'_>>) -> Result<Rule, (Range<usize>, String)> {
    let DeValue::Table(table) = value.get_ref() else {
        return Err((value.span(), "expected a table with match = \"…\"".to_owned()));
    };
    let mut rule = Rule::default();
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        let wrong = |why: String| (value.span(), format!("{name}: {why}"));
        let text = |kind: Kind| match value.get_ref() {
            DeValue::String(text) => read_text(kind, text, None).map_err(wrong),
            _ => Err(wrong(format!("expected {}", kind.expects()))),
        };
        match (name, value.get_ref()) {
            ("match", DeValue::String(text)) => rule.pattern = text.to_string(),
            ("type", DeValue::String(text)) => rule.kind = Some(text.to_string()),
            ("exclude", DeValue::String(text)) => rule.exclude.push(text.to_string()),
            ("exclude", DeValue::Array(items)) => {
                for item in items {
                    match item.get_ref() {
                        DeValue::String(text) => rule.exclude.push(text.to_string()),
                        _ => return Err(wrong("expected patterns".to_owned())),
                    }
                }
            }
            ("persistent", DeValue::Boolean(on)) => rule.persistent = *on,
            ("idle" | "older-than", _) => {
                let Value::Duration(duration) = text(Kind::Duration)? else { continue };
                let place = if name == "idle" { &mut rule.idle } else { &mut rule.older_than };
                *place = Some(duration);
            }
            ("larger-than", _) => {
                let Value::Size(bytes) = text(Kind::Size)? else { continue };
                rule.larger_than = Some(bytes);
            }
            ("match" | "type" | "exclude" | "persistent", _) => {
                return Err(wrong("has a value of the wrong kind".to_owned()));
            }
            _ => return Err((key.span(), format!("unknown setting {name}"))),
        }
    }
    if rule.pattern.is_empty() {
        return Err((value.span(), "match is missing: which keys go".to_owned()));
    }
    Ok(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_durations() {
        assert_eq!(short_duration("2ms"), Ok(Duration::from_millis(2)));
        assert_eq!(short_duration("500us"), Ok(Duration::from_micros(500)));
        assert_eq!(short_duration("1s"), Ok(Duration::from_secs(1)));
        assert!(short_duration("0ms").is_err() && short_duration("2").is_err());
    }
}
