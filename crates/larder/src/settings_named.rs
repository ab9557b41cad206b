//! Tables of which there are several, each with a name: `[redis.NAME]` and `[notify.NAME]`.
//!
//! A name of a setting may hold a dot: `respond.throttle-for` stands in `[redis.NAME.respond]`.

use crate::settings::Settled;
use crate::settings_keys::{Key, Kind};
use crate::{settings_notify, settings_redis};

/// Every named table with its settings.
pub static TABLES: [(&str, &[Key]); 2] = [
    (settings_redis::TABLE, settings_redis::NAMED),
    (settings_notify::TABLE, settings_notify::NAMED),
];

/// The settings of a named table.
pub fn keys_of(table: &str) -> Option<&'static [Key]> {
    TABLES.iter().find(|(name, _)| *name == table).map(|(_, keys)| *keys)
}

/// What a name looks like, as a regular expression; [`check_name`] checks it.
pub const NAME: &str = "^[A-Za-z0-9_-]{1,64}$";

/// A name has to fit a command line, a file name and a metric's label.
pub fn check_name(name: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !name.is_empty() && name.len() <= 64 && name.bytes().all(fits) {
        return Ok(());
    }
    Err(format!("{name:?} cannot be a name here: letters, digits, - and _ can"))
}

/// The setting that a variable such as `LARDER_REDIS_SESSIONS_URL` gives, and whose.
pub fn of_variable(variable: &str) -> Option<(&'static Key, String)> {
    let rest = variable.strip_prefix("LARDER_")?;
    let (rest, keys) = TABLES.iter().find_map(|(table, keys)| {
        let rest = rest.strip_prefix(&table.to_ascii_uppercase())?.strip_prefix('_')?;
        Some((rest, *keys))
    })?;
    let suffix = |key: &Key| format!("_{}", key.name.replace(['-', '.'], "_").to_ascii_uppercase());
    keys.iter().filter(|key| key.kind != Kind::Rules).find_map(|key| {
        let suffix_of_it = suffix(key);
        // `_URL` also ends other names: the longest suffix counts, which stands for its own.
        let longer = keys.iter().any(|other| {
            let other = suffix(other);
            other.len() > suffix_of_it.len() && rest.ends_with(&other)
        });
        let name = rest.strip_suffix(&suffix_of_it).filter(|name| !name.is_empty() && !longer)?;
        let name = name.to_ascii_lowercase().replace('_', "-");
        check_name(&name).ok().map(|()| (key, name))
    })
}

/// The first that was given of each setting of each name, table by table and name by name.
pub fn settle(given: &[Settled]) -> Vec<Settled> {
    TABLES.iter().flat_map(|(table, keys)| settle_table(given, table, keys)).collect()
}

fn settle_table(given: &[Settled], table: &str, keys: &'static [Key]) -> Vec<Settled> {
    let mut names: Vec<&str> = given.iter().filter_map(|g| g.instance_of(table)).collect();
    names.sort_unstable();
    names.dedup();
    let of = |name: &str, key: &'static Key| {
        let mut of = given.iter().filter(move |g| g.key == key);
        of.find(|g| g.instance.as_deref() == Some(name)).cloned()
    };
    names.iter().flat_map(|name| keys.iter().filter_map(move |key| of(name, key))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_names_its_redis_or_receiver() {
        let (key, name) = of_variable("LARDER_REDIS_SESSIONS_URL").unwrap();
        assert_eq!((key.name, name.as_str()), ("url", "sessions"));
        let (key, name) = of_variable("LARDER_REDIS_MY_CACHE_CONNECT_TIMEOUT").unwrap();
        assert_eq!((key.name, name.as_str()), ("connect-timeout", "my-cache"));
        let (key, name) = of_variable("LARDER_NOTIFY_TEAM_URL_FILE").unwrap();
        assert_eq!((key.table, key.name, name.as_str()), ("notify", "url-file", "team"));
        let (key, name) = of_variable("LARDER_REDIS_A_RESPOND_THROTTLE_FOR").unwrap();
        assert_eq!((key.name, name.as_str()), ("respond.throttle-for", "a"));
        assert_eq!(of_variable("LARDER_REDIS_URL"), None);
    }
}
