//! The arguments of what removes, or plans to.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use larder_core::size::{BadSize, parse_size};
use larder_core::time::{BadDuration, parse_duration};

use crate::args_expire::ExpiryArgs;
use crate::args_keys::{KeysArgs, PaceArgs};

/// What every removing command takes.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Removing")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch on the command line")]
pub struct RemoveArgs {
    /// Show what would go and remove nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Answer yes to every question
    #[arg(short, long)]
    pub yes: bool,
    /// Move to the trash, to be restored if need be
    #[arg(long, overrides_with = "no_trash")]
    trash: bool,
    /// Remove for good
    #[arg(long, overrides_with = "trash")]
    no_trash: bool,
    /// Wait so long for locks [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    wait: Option<Duration>,
    /// Go on although go commands are using the cache
    #[arg(long)]
    pub force: bool,
}

impl RemoveArgs {
    /// How long to wait for a lock where `--wait` does not say.
    pub const WAIT: Duration = Duration::from_secs(10);

    /// `--trash` or `--no-trash`, if either was typed; the later one counts.
    pub fn trash(&self) -> Option<bool> {
        crate::args::switch(self.trash, self.no_trash)
    }

    /// How long to wait for a lock.
    pub fn wait(&self) -> Duration {
        self.wait.unwrap_or(Self::WAIT)
    }
}

/// What a policy wants and protects; a flag that is not typed leaves it to the settings.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Policy (what any one of them wants gone, and none protects, goes)")]
pub struct PolicyArgs {
    /// Keep each cache within this size, least recently used out first
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_size: Option<u64>,
    /// What was not used for this long goes
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub max_age: Option<Duration>,
    /// What the projects below these folders do not need goes; what they need stays
    #[arg(long, value_name = "DIR", num_args = 1..)]
    pub keep_used: Vec<PathBuf>,
    /// Of each module the newest N versions stay and the others go
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep_versions: Option<u32>,
    /// Build outputs go whose module version, Go version or project folder is gone
    #[arg(long)]
    pub orphans: bool,
    /// Only what nothing can reach any more goes, which goes with every prune
    #[arg(long)]
    pub waste: bool,
    /// What was used this recently stays [default: 24h]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub protect: Option<Duration>,
}

impl PolicyArgs {
    /// Whether any of these was typed.
    pub fn any(&self) -> bool {
        self.max_size.is_some()
            || self.max_age.is_some()
            || !self.keep_used.is_empty()
            || self.keep_versions.is_some()
            || self.orphans
            || self.waste
            || self.protect.is_some()
    }
}

/// `larder clean`.
#[derive(Clone, Debug, Args)]
pub struct CleanArgs {
    /// Caches to remove
    #[arg(value_name = "CACHE", required = true)]
    pub caches: Vec<String>,
    /// Then fetch what the projects below these folders need; without folders, the settings' roots
    #[arg(long, value_name = "DIR", num_args = 0..)]
    pub rewarm: Option<Vec<PathBuf>>,
    /// Which keys.
    #[command(flatten)]
    pub keys: KeysArgs,
    /// How gently.
    #[command(flatten)]
    pub pace: PaceArgs,
    /// How.
    #[command(flatten)]
    pub remove: RemoveArgs,
}

/// `larder prune`.
#[derive(Clone, Debug, Args)]
pub struct PruneArgs {
    /// Caches to prune; go when none is named
    #[arg(value_name = "CACHE")]
    pub caches: Vec<String>,
    /// What should go and stay.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// How gently.
    #[command(flatten)]
    pub pace: PaceArgs,
    /// How.
    #[command(flatten)]
    pub remove: RemoveArgs,
}

/// `larder plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// File to write the plan to
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Overwrite the file where it exists
    #[arg(long)]
    pub force: bool,
    /// What is planned.
    #[command(subcommand)]
    pub command: PlanCommand,
}

/// What can be planned.
#[derive(Debug, Subcommand)]
pub enum PlanCommand {
    /// Plan to remove all of the caches that are named
    Clean {
        /// Caches to remove
        #[arg(value_name = "CACHE", required = true)]
        caches: Vec<String>,
        /// Count every key, however many there are
        #[arg(long)]
        count: bool,
        /// Which keys.
        #[command(flatten)]
        keys: KeysArgs,
    },
    /// Plan to give keys of a Redis a time to live
    Expire {
        /// The Redis: redis:NAME of the settings, or a URL without a password
        #[arg(value_name = "REDIS", required = true)]
        caches: Vec<String>,
        /// Count every key, however many there are
        #[arg(long)]
        count: bool,
        /// How long.
        #[command(flatten)]
        expiry: ExpiryArgs,
        /// Which keys.
        #[command(flatten)]
        keys: KeysArgs,
    },
    /// Plan to remove what a policy no longer wants
    Prune {
        /// Caches to prune; go when none is named
        #[arg(value_name = "CACHE")]
        caches: Vec<String>,
        /// What should go and stay.
        #[command(flatten)]
        policy: PolicyArgs,
    },
}

/// `larder approve`.
#[derive(Debug, Args)]
pub struct ApproveArgs {
    /// The plan: its file, or the id of one that waits
    #[arg(value_name = "PLAN")]
    pub file: PathBuf,
    /// Approve without asking
    #[arg(short, long)]
    pub yes: bool,
}

/// `larder apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// The plan: its file, or the id of one that waits
    #[arg(value_name = "PLAN")]
    pub file: PathBuf,
    /// How gently.
    #[command(flatten)]
    pub pace: PaceArgs,
    /// How.
    #[command(flatten)]
    pub remove: RemoveArgs,
}

pub(crate) fn size(text: &str) -> Result<u64, BadSize> {
    parse_size(text)
}

pub(crate) fn duration(text: &str) -> Result<Duration, BadDuration> {
    parse_duration(text)
}
