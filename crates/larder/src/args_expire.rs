//! The arguments of `larder expire`.

use std::time::Duration;

use clap::Args;
use larder_core::{ExpireIf, Expiry};

use crate::args_clean::duration;
use crate::args_keys::{KeysArgs, PaceArgs};
use crate::exit::CliError;

/// `larder expire`.
#[derive(Clone, Debug, Args)]
pub struct ExpireArgs {
    /// The Redis: redis:NAME of the settings, or a URL without a password
    #[arg(value_name = "REDIS", required = true)]
    pub caches: Vec<String>,
    /// Show what would be changed and change nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Answer yes to every question
    #[arg(short, long)]
    pub yes: bool,
    /// How long.
    #[command(flatten)]
    pub expiry: ExpiryArgs,
    /// Which keys.
    #[command(flatten)]
    pub keys: KeysArgs,
    /// How gently.
    #[command(flatten)]
    pub pace: PaceArgs,
}

/// How long keys are to live.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Time to live")]
pub struct ExpiryArgs {
    /// Let the keys end after this long
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub ttl: Option<Duration>,
    /// Spread that over the keys, by so much to either side, as in 10% [default: 0%]
    #[arg(long, value_name = "PERCENT", value_parser = thousandths)]
    pub jitter: Option<u16>,
    /// Change only keys without a time to live
    #[arg(long, conflicts_with_all = ["gt", "lt"])]
    pub nx: bool,
    /// Change only keys that then live longer; those that never expire stay so
    #[arg(long, conflicts_with = "lt")]
    pub gt: bool,
    /// Change only keys that then live shorter
    #[arg(long)]
    pub lt: bool,
}

impl ExpiryArgs {
    /// Whether any of these was typed.
    pub fn any(&self) -> bool {
        self.ttl.is_some() || self.jitter.is_some() || self.nx || self.gt || self.lt
    }

    /// The time to live that is meant; the seed decides which key gets which.
    pub fn expiry(&self, seed: u32) -> Result<Expiry, CliError> {
        const LONGEST: Duration = Duration::from_hours(24 * 365 * 100);
        let hint = "larder expire redis:NAME --match 'temp:*' --ttl 24h --jitter 10%";
        let Some(ttl) = self.ttl else {
            let what = "expire needs a time to live: how long may the keys stay?";
            return Err(CliError::usage(what).hint(hint));
        };
        if ttl.is_zero() {
            let what = "a time to live of nothing would remove the keys at once";
            return Err(CliError::usage(what).hint("larder clean redis:NAME --match … does that"));
        }
        if ttl > LONGEST {
            return Err(CliError::usage("a time to live is at most a hundred years").hint(hint));
        }
        let only = match (self.nx, self.gt, self.lt) {
            (true, ..) => ExpireIf::None,
            (_, true, _) => ExpireIf::Later,
            (_, _, true) => ExpireIf::Earlier,
            _ => ExpireIf::Always,
        };
        Ok(Expiry { ttl, jitter: self.jitter.unwrap_or(0), only, seed })
    }
}

/// `10%`, `2.5%` or `10` as thousandths.
fn thousandths(text: &str) -> Result<u16, String> {
    let number: Option<f64> = text.trim_end_matches('%').trim().parse().ok();
    let most = f64::from(Expiry::WIDEST) / 10.0;
    match number {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 900"
        )]
        Some(percent) if (0.0..=most).contains(&percent) => Ok((percent * 10.0).round() as u16),
        Some(_) => Err(format!("a spread is at most {most}%, or keys would end at once")),
        None => Err(format!("expected a percentage such as 10%, found {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages() {
        assert_eq!(thousandths("10%"), Ok(100));
        assert_eq!(thousandths("2.5 %"), Ok(25));
        assert_eq!(thousandths("90"), Ok(900));
        assert!(thousandths("91%").is_err() && thousandths("-1%").is_err());
        assert!(thousandths("ten").is_err());
    }
}
