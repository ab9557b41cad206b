//! The arguments of what runs by itself and of what asks about it.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::args_clean::duration;

/// `larder health`.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Caches to judge; all of them when none is named
    #[arg(value_name = "CACHE")]
    pub caches: Vec<String>,
    /// Exit with 1 where a score is below this, or not known
    #[arg(long, value_name = "N", value_parser = points)]
    pub fail_below: Option<f64>,
}

/// `larder watch`.
#[derive(Clone, Debug, Args)]
pub struct WatchArgs {
    /// Go through the cycle once: sample, score, prune or plan, record, notify
    #[arg(long)]
    pub once: bool,
    /// Why: a name that stands in the events; letters, digits, `-._`, at most 64
    #[arg(long, value_name = "NAME", requires = "once")]
    pub trigger: Option<String>,
}

/// `larder serve`.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// Where to listen [default: 127.0.0.1:8000]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
}

/// `larder alerts`.
#[derive(Debug, Args)]
pub struct AlertsArgs {
    /// Exit with 1 where something fires
    #[arg(long)]
    pub check: bool,
    /// What else.
    #[command(subcommand)]
    pub command: Option<AlertsCommand>,
}

/// What can be done about alerts.
#[derive(Debug, Subcommand)]
pub enum AlertsCommand {
    /// Send a marked test to a receiver
    Test {
        /// The NAME of a [notify.NAME]
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Tell nobody of a cache for a time
    Silence {
        /// The cache
        #[arg(value_name = "CACHE")]
        cache: String,
        /// For how long
        #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
        length: Duration,
        /// Why, for who asks later
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// End the silence of a cache
    Unsilence {
        /// The cache
        #[arg(value_name = "CACHE")]
        cache: String,
    },
}

fn points(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(points) if (0.0..=100.0).contains(&points) => Ok(points),
        _ => Err("expected a score from 0 to 100".to_owned()),
    }
}
