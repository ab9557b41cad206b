//! The command line as it is typed, before anything is resolved.
//!
//! Only text and switches: sizes and durations are read with the core's own parsers so that the
//! same spelling works in the settings file, cache names are looked up by [`crate::caches`].
//! Nothing here looks at the environment or at a file.

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};
use larder_engine::report::By;
use larder_redis::KeysBy;

pub use crate::args_clean::{
    ApplyArgs, ApproveArgs, CleanArgs, PlanArgs, PlanCommand, PolicyArgs, PruneArgs, RemoveArgs,
};
pub use crate::args_daemon::{AlertsArgs, AlertsCommand, HealthArgs, ServeArgs, WatchArgs};
pub use crate::args_download::DownloadArgs;
pub use crate::args_expire::ExpireArgs;
pub use crate::args_history::{EventsArgs, TrendArgs};
pub use crate::args_settings::{
    ConfigArgs, ConfigCommand, ExportArgs, ExportCommand, ExportTo, InitArgs,
};
pub use crate::args_throttle::{ThrottleArgs, UnthrottleArgs};
pub use crate::args_trash::{TrashArgs, TrashCommand};
pub use crate::args_verify::{HealArgs, VerifyArgs};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const AFTER_HELP: &str = "\
Caches: build, test, fuzz (in GOCACHE), mod, toolchain, vcs, sumdb (in GOMODCACHE);
        go means all of them but sumdb. A Redis: redis:NAME of the settings, or its URL.

Examples:
  larder                                   what there is, and what could go
  larder prune                             remove what the settings no longer want
  larder prune build --max-size 10GB -n    what would go, and nothing else
  larder prune mod --keep-used ~/src       keep what these projects need
  larder clean build                       all of it, as go clean -cache does
  larder verify                            is anything in them broken?

Exit status: 0 done, 1 done and something is not well, 2 wrong usage or settings, 3 refused,
             4 partly done, 5 busy, 6 unreachable, 130 interrupted";

/// See, clean and prune the caches that developers live with
#[derive(Debug, Parser)]
#[command(
    name = "larder",
    version,
    propagate_version = true,
    styles = STYLES,
    after_help = AFTER_HELP,
    subcommand_help_heading = "Commands",
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do; nothing means `status`.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What every command takes.
    #[command(flatten)]
    pub global: GlobalArgs,
}

/// The options of every command.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Everywhere")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch on the command line")]
pub struct GlobalArgs {
    /// Print one JSON document
    #[arg(long, global = true)]
    pub json: bool,
    /// Print the answer and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Use colour: auto, always or never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    #[arg(hide_possible_values = true, hide_default_value = true)]
    pub color: Color,
    /// Ask nothing; what would ask is refused
    #[arg(long, global = true)]
    pub no_input: bool,
    /// Read this settings file before the others
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Act as on this kind of machine: dev or production
    #[arg(long, global = true, value_name = "PROFILE", value_parser = ["dev", "production"])]
    #[arg(hide_possible_values = true)]
    pub profile: Option<String>,
    /// Use this build cache in place of the go command's
    #[arg(long, global = true, value_name = "DIR")]
    pub gocache: Option<PathBuf>,
    /// Use this module cache in place of the go command's
    #[arg(long, global = true, value_name = "DIR")]
    pub gomodcache: Option<PathBuf>,
}

/// When colour is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// At a terminal that can show it, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Even in a pipe.
    Always,
    /// Not at all.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show every cache: size, what could go, last use, findings
    #[command(after_help = crate::help::STATUS)]
    Status,
    /// Show where the bytes are
    #[command(after_help = crate::help::DU)]
    Du(DuArgs),
    /// Remove all of the caches that are named
    #[command(after_help = crate::help::CLEAN)]
    Clean(CleanArgs),
    /// Remove what a policy no longer wants
    #[command(after_help = crate::help::PRUNE)]
    Prune(PruneArgs),
    /// Give keys of a Redis a time to live, spread out
    #[command(after_help = crate::help::EXPIRE)]
    Expire(ExpireArgs),
    /// Write a plan to read, approve and apply later
    #[command(after_help = crate::help::PLAN)]
    Plan(PlanArgs),
    /// Approve a plan as it is now
    #[command(after_help = crate::help::APPROVE)]
    Approve(ApproveArgs),
    /// Apply a plan, checking it and each of its items again
    #[command(after_help = crate::help::APPLY)]
    Apply(ApplyArgs),
    /// Look after the caches: measure, judge, prune, tell
    #[command(after_help = crate::help::WATCH)]
    Watch(WatchArgs),
    /// Watch, and serve metrics, an API and a page over HTTP
    #[command(after_help = crate::help::SERVE)]
    Serve(ServeArgs),
    /// Show what fires
    #[command(after_help = crate::help::ALERTS)]
    Alerts(AlertsArgs),
    /// Show the plans that wait for an approval
    #[command(after_help = crate::help::PLANS)]
    Plans,
    /// Judge how well each cache is, with a reason for every point lost
    #[command(after_help = crate::help::HEALTH)]
    Health(HealthArgs),
    /// Say why a Redis is in the state that it is in, and what to do about it
    #[command(after_help = crate::help::AUDIT)]
    Audit(AuditArgs),
    /// Show a Redis' slow commands by pattern, who sends them, and the way out
    #[command(after_help = crate::help::SLOWLOG)]
    Slowlog(SlowlogArgs),
    /// Limit a user, a client or long scripts of a Redis for a time
    #[command(after_help = crate::help::THROTTLE)]
    Throttle(ThrottleArgs),
    /// End such a limit now
    #[command(after_help = crate::help::UNTHROTTLE)]
    Unthrottle(UnthrottleArgs),
    /// Show how fast caches grow, how sure that is, and when they are full
    #[command(after_help = crate::help::TREND)]
    Trend(TrendArgs),
    /// Show what happened: cleanups, alerts, and what larder did by itself
    #[command(after_help = crate::help::EVENTS)]
    Events(EventsArgs),
    /// Hold every byte of the caches against what it should be
    #[command(after_help = crate::help::VERIFY)]
    Verify(VerifyArgs),
    /// Run a build; if a cache makes it fail, mend the cache and run it again
    #[command(after_help = crate::help::HEAL)]
    Heal(HealArgs),
    /// Fetch what projects need, as go mod download does
    #[command(after_help = crate::help::DOWNLOAD)]
    Download(DownloadArgs),
    /// List, restore or empty what was moved to the trash
    #[command(after_help = crate::help::TRASH)]
    Trash(TrashArgs),
    /// Write a commented settings file
    #[command(after_help = crate::help::INIT)]
    Init(InitArgs),
    /// Show, check or change settings
    #[command(after_help = crate::help::CONFIG)]
    Config(ConfigArgs),
    /// Write files for other systems
    #[command(after_help = crate::help::EXPORT)]
    Export(ExportArgs),
    /// Print the completions of a shell
    #[command(after_help = crate::help::COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Write the manual pages
    #[command(after_help = crate::help::MAN)]
    Man(ManArgs),
}

/// `larder du`.
#[derive(Debug, Args)]
pub struct DuArgs {
    /// Caches to look into; all of them when none is named
    #[arg(value_name = "CACHE")]
    pub caches: Vec<String>,
    /// Add up by this, see below; each cache has its own default
    #[arg(long, value_name = "KEY", hide_possible_values = true)]
    pub by: Option<ByArg>,
    /// Show the largest so many
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub top: usize,
}

/// `larder audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// The Redis: redis:NAME of the settings, or a URL without a password
    #[arg(value_name = "REDIS")]
    pub cache: String,
    /// Show so many prefixes
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub top: usize,
}

/// `larder slowlog`.
#[derive(Debug, Args)]
pub struct SlowlogArgs {
    /// The Redis: redis:NAME of the settings, or a URL without a password
    #[arg(value_name = "REDIS")]
    pub cache: String,
    /// Show entries as they come, until Ctrl-C
    #[arg(long)]
    pub follow: bool,
    /// Show so many patterns
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub top: usize,
}

/// A key of `larder du --by`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByArg {
    /// Of Go's caches.
    Go(By),
    /// Of a Redis.
    Keys(KeysBy),
}

impl ByArg {
    /// The name a person types.
    pub fn name(self) -> &'static str {
        match self {
            Self::Go(by) => by.name(),
            Self::Keys(by) => by.name(),
        }
    }
}

impl ValueEnum for ByArg {
    fn value_variants<'a>() -> &'a [Self] {
        const VARIANTS: [ByArg; By::ALL.len() + KeysBy::ALL.len()] = {
            let mut all = [ByArg::Go(By::Kind); By::ALL.len() + KeysBy::ALL.len()];
            let mut i = 0;
            while i < all.len() {
                all[i] = if i < By::ALL.len() {
                    ByArg::Go(By::ALL[i])
                } else {
                    ByArg::Keys(KeysBy::ALL[i - By::ALL.len()])
                };
                i += 1;
            }
            all
        };
        &VARIANTS
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.name()))
    }
}

/// `larder completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// bash, zsh, fish, elvish or powershell
    #[arg(value_name = "SHELL", hide_possible_values = true)]
    pub shell: clap_complete::Shell,
}

/// `larder man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Folder to write them to; made where it is missing
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

/// Which of the two ends of a switch pair was typed, if any.
pub(crate) fn switch(on: bool, off: bool) -> Option<bool> {
    match (on, off) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}
