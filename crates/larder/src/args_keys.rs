//! The arguments that say which keys of a Redis are meant, and how gently it is worked on.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;
use larder_core::KeySelection;

use crate::args_clean::{duration, size};
use crate::exit::CliError;
use crate::settings_redis::short_duration;

/// Which keys.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Keys of a Redis")]
pub struct KeysArgs {
    /// Keys that match this pattern, as in 'temp:*'
    #[arg(long = "match", value_name = "PATTERN")]
    pub pattern: Option<OsString>,
    /// But not those that match this one
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<OsString>,
    /// Of this type: string, list, set, zset, hash, stream
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// That nobody read or wrote for this long
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub idle: Option<Duration>,
    /// Without a time to live
    #[arg(long, visible_alias = "only-persistent")]
    pub persistent: bool,
    /// That are certainly this old: Redis keeps no age, so nobody touched them for as long
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub older_than: Option<Duration>,
    /// That take more memory than this
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub larger_than: Option<u64>,
}

/// How gently.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Care for others on a Redis")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch on the command line")]
pub struct PaceArgs {
    /// Let the latency that others feel rise by this much at most [default: 2ms]
    #[arg(long, value_name = "DURATION", value_parser = short_duration)]
    pub p99_budget: Option<Duration>,
    /// Change at most so many keys a second
    #[arg(long, value_name = "KEYS", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_rate: Option<u64>,
    /// Read the names of keys from a replica
    #[arg(long)]
    pub scan_replica: bool,
    /// Count every key for the preview, however many there are
    #[arg(long)]
    pub count: bool,
    /// Keep what was there, for larder trash restore
    #[arg(long, overrides_with = "no_backup")]
    backup: bool,
    /// Keep nothing of it
    #[arg(long, overrides_with = "backup")]
    no_backup: bool,
    /// Go on where the last run was interrupted
    #[arg(long)]
    pub resume: bool,
}

impl PaceArgs {
    /// The same, to go on with what was interrupted.
    #[must_use]
    pub fn resuming(&self) -> Self {
        Self { resume: true, ..self.clone() }
    }

    /// `--backup` or `--no-backup`, if either was typed; the later one counts.
    pub fn backup(&self) -> Option<bool> {
        crate::args::switch(self.backup, self.no_backup)
    }

    /// Whether any of these was typed.
    pub fn any(&self) -> bool {
        self.p99_budget.is_some()
            || self.max_rate.is_some()
            || self.scan_replica
            || self.count
            || self.resume
            || self.backup().is_some()
    }
}

const TYPES: [&str; 6] = ["string", "list", "set", "zset", "hash", "stream"];

impl KeysArgs {
    /// Whether any of these was typed.
    pub fn any(&self) -> bool {
        self.pattern.is_some()
            || !self.exclude.is_empty()
            || self.kind.is_some()
            || self.idle.is_some()
            || self.persistent
            || self.older_than.is_some()
            || self.larger_than.is_some()
    }

    /// The keys that are meant; `verb` is what is to be done with them.
    pub fn selection(&self, verb: &str) -> Result<KeySelection, CliError> {
        let more = if verb.ends_with("expire") { " --ttl 24h" } else { "" };
        let hint = format!("larder {verb} redis:NAME --match 'temp:*'{more}");
        let Some(pattern) = &self.pattern else {
            let what = format!("{verb} of a Redis needs a pattern: which keys?");
            return Err(CliError::usage(what).hint(hint));
        };
        if pattern.is_empty() {
            let what = "the pattern is empty, which matches only the key without a name";
            return Err(CliError::usage(what).hint(hint));
        }
        check_type(self.kind.as_deref())?;
        Ok(KeySelection {
            pattern: bytes(pattern),
            exclude: self.exclude.iter().map(bytes).collect(),
            kind: self.kind.clone(),
            persistent: self.persistent,
            idle: self.idle,
            older_than: self.older_than,
            larger_than: self.larger_than,
        })
    }
}

/// A type of which no key is would take none, which is hardly what was meant.
pub(crate) fn check_type(kind: Option<&str>) -> Result<(), CliError> {
    match kind.filter(|kind| !TYPES.contains(kind)) {
        None => Ok(()),
        Some(kind) => {
            let what = format!("there is no type {kind:?}; types are {}", TYPES.join(", "));
            Err(CliError::usage(what))
        }
    }
}

/// An argument as bytes: on Unix as it was typed, elsewhere as UTF-8.
fn bytes(text: &OsString) -> Vec<u8> {
    text.as_encoded_bytes().to_vec()
}
