//! Every setting in one table: its key, what it takes, its default and what it is for.
//!
//! The table drives the reading of files, the names of the `LARDER_…` variables, `config show`,
//! `config set` and the file that `init` writes. It goes on in [`crate::settings_daemon`]; a key
//! that is in neither, nor in a table of [`crate::settings_named`], does not exist.

use crate::settings_daemon::KEYS as DAEMON;
use crate::settings_named::{check_name, keys_of};

/// What a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A size, as in `"10GB"`, or a whole number of bytes; `"off"` for none.
    Size,
    /// A duration, as in `"30d"`.
    Duration,
    /// A duration, or `"off"` for none.
    Limit,
    /// True or false.
    Bool,
    /// A whole number from 1, or `"off"`.
    Count,
    /// One of these words.
    Word(&'static [&'static str]),
    /// An absolute folder; `~` is the home folder.
    Folder,
    /// A list of absolute folders.
    Folders,
    /// An absolute path of a file; `~` is the home folder; `"off"` for none.
    File,
    /// Any text; `"off"` for none.
    Text,
    /// A list of texts.
    Texts,
    /// A schedule in cron form with five fields, or `"off"`.
    Cron,
    /// Hours of the day, as in `"22:00-06:00"`, or `"off"`.
    Hours,
    /// An address and a port to listen at.
    Address,
    /// A duration down to microseconds, as in `"2ms"`.
    Latency,
    /// The URL of a Redis server, without a password.
    RedisUrl,
    /// Rules for `prune` of a Redis, each with its pattern.
    Rules,
}

impl Kind {
    /// What it takes, to be said after 'expected'.
    pub fn expects(self) -> String {
        match self {
            Self::Size => "a size such as \"10GB\" or \"10GiB\", or \"off\"".to_owned(),
            Self::Duration => "a duration such as \"36h\" or \"30d\"".to_owned(),
            Self::Limit => "a duration such as \"36h\" or \"30d\", or \"off\"".to_owned(),
            Self::Bool => "true or false".to_owned(),
            Self::Count => "a whole number from 1, or \"off\"".to_owned(),
            Self::Word(words) => {
                let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                quoted.join(" or ")
            }
            Self::Folder => "an absolute folder such as \"~/state\"".to_owned(),
            Self::Folders => "a list of folders such as [\"~/src\"]".to_owned(),
            Self::File => "an absolute path such as \"~/secrets/redis\"".to_owned(),
            Self::Text => "a text".to_owned(),
            Self::Texts => "a list of texts such as [\"a\", \"b\"]".to_owned(),
            Self::Cron => "a schedule such as \"0 3 * * *\", or \"off\"".to_owned(),
            Self::Hours => "hours such as \"22:00-06:00\", or \"off\"".to_owned(),
            Self::Address => "an address such as \"127.0.0.1:8000\"".to_owned(),
            Self::Latency => "a duration such as \"2ms\" or \"500us\"".to_owned(),
            Self::RedisUrl => "a URL such as \"redis://127.0.0.1:6379/0\"".to_owned(),
            Self::Rules => "tables: [[redis.NAME.clean]]".to_owned(),
        }
    }
}

/// Where a setting gets its value when nobody gives it one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// This text, read as one from the environment would be.
    Text(&'static str),
    /// No limit.
    Off,
    /// Nothing in the list.
    Empty,
    /// True where there are `roots`: without projects to ask, nothing is known to be unneeded.
    WithRoots,
    /// True in the production profile.
    InProduction,
    /// The platform's folder for state.
    StateFolder,
}

/// One setting.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// Its table; empty for those at the top.
    pub table: &'static str,
    /// Its name in the table.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Its default.
    pub default: Fallback,
    /// What it is for, one sentence without a full stop.
    pub help: &'static str,
}

impl Key {
    /// `build.max-size`.
    pub fn path(&self) -> String {
        match self.table {
            "" => self.name.to_owned(),
            table => format!("{table}.{}", self.name),
        }
    }

    /// `redis.sessions.url` for the instance `sessions`.
    pub fn path_of(&self, instance: Option<&str>) -> String {
        match instance {
            None => self.path(),
            Some(instance) => format!("{}.{instance}.{}", self.table, self.name),
        }
    }

    /// `LARDER_BUILD_MAX_SIZE`.
    pub fn variable(&self) -> String {
        self.variable_of(None)
    }

    /// `LARDER_REDIS_SESSIONS_URL` for the instance `sessions`.
    pub fn variable_of(&self, instance: Option<&str>) -> String {
        let path = self.path_of(instance).replace(['.', '-'], "_");
        format!("LARDER_{}", path.to_ascii_uppercase())
    }

    /// The key of this path, and whose it is where several have it.
    pub fn find_any(path: &str) -> Option<(&'static Self, Option<String>)> {
        if let Some(key) = Self::find(path) {
            return Some((key, None));
        }
        let (table, rest) = path.split_once('.')?;
        let (instance, name) = rest.split_once('.')?;
        let key = keys_of(table)?.iter().find(|key| key.name == name)?;
        check_name(instance).ok()?;
        Some((key, Some(instance.to_owned())))
    }

    /// The key of this path.
    pub fn find(path: &str) -> Option<&'static Self> {
        all().find(|key| match path.split_once('.') {
            Some((table, name)) => key.table == table && key.name == name,
            None => key.table.is_empty() && key.name == path,
        })
    }
}

pub(crate) const fn key(
    table: &'static str,
    name: &'static str,
    kind: Kind,
    default: Fallback,
    help: &'static str,
) -> Key {
    Key { table, name, kind, default, help }
}

use self::Fallback::{Empty, InProduction, Off, StateFolder, Text, WithRoots};

/// The settings of the caches, tables together, in the order of the file that `init` writes.
///
/// The defaults, and why:
/// - `build.max-age` is 5 d, since Go itself trims what was unused for 5 d and an hour
///   (`cmd/go/internal/cache/cache.go`, `trimLimit`): nothing goes that Go would keep for long,
///   and a cache that Go never trims is brought back to what it would be.
/// - `mod.max-age` and `fuzz.max-age` are 90 d: fetching or finding again costs the network or
///   hours of fuzzing, and a quarter covers projects that are touched once a release.
/// - `toolchain.max-age` and `vcs.max-age` are 30 d: one download brings either back.
/// - `protect` is 24 h, the cache interface's own rule (`cmd/go/internal/cacheprog`).
/// - `history`: two days as they came show what happened last night, 400 d a year to compare with;
///   twenty caches sampled every 15 s take some 140 MB in a year.
/// - `plan.max-age` is 24 h: a plan that waits over a night can be applied, an old one cannot.
pub static KEYS: &[Key] = &[
    key(
        "",
        "profile",
        Kind::Word(&["dev", "production"]),
        Text("dev"),
        "What kind of machine this is: dev acts at once, production only by approved plans",
    ),
    key(
        "",
        "units",
        Kind::Word(&["decimal", "binary"]),
        Text("decimal"),
        "Show sizes in GB (decimal) or GiB (binary)",
    ),
    key("", "roots", Kind::Folders, Empty, "Where the projects are whose needs are kept"),
    key(
        "",
        "state",
        Kind::Folder,
        StateFolder,
        "Where larder keeps plans that wait, and trash that finds no place beside its cache",
    ),
    key(
        "build",
        "max-size",
        Kind::Size,
        Off,
        "Keep the build cache within this size, least recently used out first",
    ),
    key(
        "build",
        "max-age",
        Kind::Limit,
        Text("5d"),
        "What no build used for this long goes; Go's own limit is an hour more",
    ),
    key(
        "build",
        "orphans",
        Kind::Bool,
        Text("false"),
        "Outputs go whose module version, Go version or project folder is gone",
    ),
    key("build", "protect", Kind::Duration, Text("24h"), "What was used this recently stays"),
    key(
        "fuzz",
        "max-age",
        Kind::Limit,
        Text("90d"),
        "Fuzzing corpora that were not used for this long go",
    ),
    key(
        "mod",
        "keep-used",
        Kind::Bool,
        WithRoots,
        "What the roots do not need goes, and what they need stays",
    ),
    key(
        "mod",
        "max-age",
        Kind::Limit,
        Text("90d"),
        "Module versions that were not used for this long go",
    ),
    key(
        "mod",
        "max-size",
        Kind::Size,
        Off,
        "Keep the module versions within this size, least recently used out first",
    ),
    key(
        "mod",
        "keep-versions",
        Kind::Count,
        Off,
        "Of each module the newest so many versions stay and the others go",
    ),
    key("mod", "protect", Kind::Duration, Text("24h"), "What was used this recently stays"),
    key(
        "toolchain",
        "keep-used",
        Kind::Bool,
        WithRoots,
        "Toolchains that no root selects go, and those that one selects stay",
    ),
    key(
        "toolchain",
        "max-age",
        Kind::Limit,
        Text("30d"),
        "Toolchains that were not used for this long go",
    ),
    key(
        "vcs",
        "max-age",
        Kind::Limit,
        Text("30d"),
        "Repositories that were not used for this long go",
    ),
    key(
        "trash",
        "on",
        Kind::Bool,
        InProduction,
        "Move what is removed to the trash, from where it can be restored",
    ),
    key("trash", "keep", Kind::Duration, Text("7d"), "Keep it there for this long"),
    key("plan", "max-age", Kind::Duration, Text("24h"), "Refuse to apply a plan that is older"),
    key(
        "history",
        "kind",
        Kind::Word(&["local", "prometheus", "off"]),
        Text("local"),
        "Where trends come from: larder's own file, a Prometheus server that scrapes larder, or not",
    ),
    key("history", "keep-raw", Kind::Duration, Text("48h"), "Samples stay as they came, so long"),
    key("history", "keep-fine", Kind::Duration, Text("30d"), "Then one of five minutes, so long"),
    key("history", "keep", Kind::Duration, Text("400d"), "Then one of an hour; events too"),
    key(
        "history",
        "max-size",
        Kind::Size,
        Text("200MB"),
        "What the file may take, oldest out first",
    ),
    key("history", "url", Kind::Text, Off, "The Prometheus server, without a password"),
    key("history", "username", Kind::Text, Off, "The name to log in to it with"),
    key("history", "password-file", Kind::File, Off, "The file that holds the password"),
    key("history", "bearer-file", Kind::File, Off, "The file that holds a token, in place of both"),
    key("history", "labels", Kind::Text, Off, "Only what has these labels, as in job=larder"),
    key("history", "host-label", Kind::Text, Off, "The label that tells machines apart: instance"),
    key("history", "timeout", Kind::Duration, Text("10s"), "Wait so long for its answer"),
    key(
        "trend",
        "threshold",
        Kind::Size,
        Off,
        "What grows by more than this in a day is not well: larder trend --check ends in 1",
    ),
];

/// Every setting that is not of a named table.
pub fn all() -> impl Iterator<Item = &'static Key> + Clone {
    KEYS.iter().chain(DAEMON)
}

/// What a table is about, for the file that `init` writes.
pub fn table_help(table: &str) -> &'static str {
    match table {
        "build" => "The build cache (GOCACHE)",
        "fuzz" => "Fuzzing corpora (GOCACHE/fuzz)",
        "mod" => "Module versions (GOMODCACHE)",
        "toolchain" => "Go toolchains (in GOMODCACHE)",
        "vcs" => "Version-control clones (GOMODCACHE/cache/vcs)",
        "trash" => "The trash",
        "plan" => "Plans",
        "history" => "Samples and events over time",
        "trend" => "Growth",
        _ => crate::settings_daemon::table_help(table),
    }
}

/// The nearest of these names, where one is near.
pub fn nearest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_ascii_lowercase().replace('_', "-");
    names
        .into_iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(&typed, name), name))
        .filter(|(likeness, _)| *likeness >= 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_distinct_and_none_is_the_one_that_names_the_file() {
        let mut names: Vec<String> = all().map(Key::variable).collect();
        assert!(names.contains(&"LARDER_BUILD_MAX_SIZE".to_owned()));
        assert!(!names.contains(&"LARDER_CONFIG".to_owned()));
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all().count());
    }

    #[test]
    fn tables_stand_together_and_are_described() {
        let mut seen: Vec<&str> = Vec::new();
        for key in all() {
            if seen.last() != Some(&key.table) {
                assert!(!seen.contains(&key.table), "{} stands apart", key.path());
                seen.push(key.table);
            }
            assert_eq!(table_help(key.table).is_empty(), key.table.is_empty());
            assert!(!key.help.ends_with('.'));
        }
    }

    #[test]
    fn a_slip_finds_its_key_and_nonsense_finds_none() {
        let names = ["max-size", "max-age", "orphans"];
        assert_eq!(nearest("max_sise", names), Some("max-size"));
        assert_eq!(nearest("zebra", names), None);
    }
}
