//! The arguments of what reads the history.

use std::time::Duration;

use clap::Args;
use larder_core::time::{BadDuration, parse_duration};

/// `larder trend`.
#[derive(Debug, Args)]
pub struct TrendArgs {
    /// Caches to show; all that have a history when none is named
    #[arg(value_name = "CACHE")]
    pub caches: Vec<String>,
    /// Look at so much of the past [default: 7d]
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "sample")]
    pub since: Option<Duration>,
    /// Take two samples so far apart and use no history
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub sample: Option<Duration>,
    /// End in 1 where something grows too fast or is nearly full
    #[arg(long)]
    pub check: bool,
}

impl TrendArgs {
    /// How much of the past is looked at where `--since` does not say: a week has each weekday.
    pub const SINCE: Duration = Duration::from_hours(7 * 24);
}

/// `larder events`.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Show those of so much of the past
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub since: Option<Duration>,
    /// Show only this kind, as in cleaned; may be given several times
    #[arg(long, value_name = "KIND")]
    pub kind: Vec<String>,
    /// Show only what is about this cache
    #[arg(long, value_name = "CACHE")]
    pub cache: Option<String>,
    /// Show events as they come, until Ctrl-C
    #[arg(long)]
    pub follow: bool,
}

fn duration(text: &str) -> Result<Duration, BadDuration> {
    parse_duration(text)
}
