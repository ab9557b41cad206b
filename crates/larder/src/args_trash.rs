//! The arguments of `larder trash`.

use std::time::Duration;

use clap::{Args, Subcommand};

/// `larder trash`.
#[derive(Debug, Args)]
pub struct TrashArgs {
    /// What to do with it; nothing means `list`.
    #[command(subcommand)]
    pub command: Option<TrashCommand>,
}

/// What can be done with the trash.
#[derive(Debug, Subcommand)]
pub enum TrashCommand {
    /// Show what is in the trash, and until when
    List,
    /// Put an entry back where it was
    Restore {
        /// The entry, or the beginning of its id
        #[arg(value_name = "ID")]
        id: String,
        /// Also put back what exists again, in place of what is there now
        #[arg(long)]
        replace: bool,
    },
    /// Remove what is in the trash for good
    Empty {
        /// Only what was put there longer ago than this
        #[arg(long, value_name = "DURATION", value_parser = crate::args_clean::duration)]
        older_than: Option<Duration>,
        /// Show what would go and remove nothing
        #[arg(short = 'n', long)]
        dry_run: bool,
        /// Empty without asking
        #[arg(short, long)]
        yes: bool,
    },
}
