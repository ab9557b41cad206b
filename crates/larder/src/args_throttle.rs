//! The arguments of `larder throttle` and `larder unthrottle`.

use std::time::Duration;

use clap::{ArgGroup, Args};
use larder_redis::acl::is_rule_name;

use crate::args_clean::duration;
use crate::settings_redis::short_duration;

/// `larder throttle`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("whom").required(true).args(["user", "client", "scripts", "list"])))]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch on the command line")]
pub struct ThrottleArgs {
    /// The Redis: redis:NAME of the settings, or a URL without a password
    #[arg(value_name = "REDIS")]
    pub cache: String,
    /// Take commands away from this ACL user
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// Disconnect this client, and again when it comes back; ID@HOST:PORT where there are several
    /// servers
    #[arg(long, value_name = "ID", value_parser = client)]
    pub client: Option<ClientArg>,
    /// End scripts and functions that run for too long
    #[arg(long)]
    pub scripts: bool,
    /// Show what is in force
    #[arg(long)]
    pub list: bool,
    /// For so long; then everything is as before
    #[arg(long = "for", value_name = "DURATION", value_parser = length)]
    #[arg(required_unless_present = "list")]
    pub length: Option<Duration>,
    /// What to take away, as keys, config|set or @dangerous [default: see below]
    #[arg(long, value_name = "COMMAND", value_parser = rule, requires = "user")]
    #[arg(value_delimiter = ',')]
    pub deny: Vec<String>,
    /// Take everything away
    #[arg(long, requires = "user", conflicts_with = "deny")]
    pub all_commands: bool,
    /// How long a script may run
    #[arg(long, value_name = "DURATION", value_parser = short_duration, default_value = "5s")]
    pub longer_than: Duration,
    /// Also limit default, and users that replicas and Sentinels log in with
    #[arg(long)]
    pub force: bool,
    /// Show what would be done, and do nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// `larder unthrottle`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("whom").required(true).args(["user", "client", "all"])))]
pub struct UnthrottleArgs {
    /// The Redis: redis:NAME of the settings, or a URL without a password
    #[arg(value_name = "REDIS")]
    pub cache: String,
    /// Give this ACL user back what was taken away
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// Let this client come back
    #[arg(long, value_name = "ID", value_parser = client)]
    pub client: Option<ClientArg>,
    /// End all limits of this Redis
    #[arg(long)]
    pub all: bool,
    /// Wait until its time is over
    #[arg(long, hide = true)]
    pub when_over: bool,
}

/// A client, by its number and perhaps its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientArg {
    /// The number.
    pub id: u64,
    /// `host:port`.
    pub node: Option<String>,
}

fn client(text: &str) -> Result<ClientArg, String> {
    let (id, node) = match text.split_once('@') {
        Some((id, node)) => (id, Some(node.to_owned())),
        None => (text, None),
    };
    let id = id.parse().map_err(
        |_| "a client is named by the number that CLIENT LIST shows, as 17 or 17@10.0.0.1:6379",
    )?;
    Ok(ClientArg { id, node })
}

fn length(text: &str) -> Result<Duration, String> {
    let length = duration(text).map_err(|error| error.to_string())?;
    if length.is_zero() {
        return Err("a limit of no time is none".to_owned());
    }
    Ok(length)
}

fn rule(text: &str) -> Result<String, String> {
    let name = text.to_ascii_lowercase();
    if is_rule_name(&name) {
        return Ok(name);
    }
    Err("expected a command such as keys or config|set, or a category such as @dangerous"
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_and_rules_as_they_are_typed() {
        assert_eq!(client("17"), Ok(ClientArg { id: 17, node: None }));
        let there = ClientArg { id: 17, node: Some("[::1]:6379".to_owned()) };
        assert_eq!(client("17@[::1]:6379"), Ok(there));
        assert!(client("batch").is_err() && client("-1").is_err());
        assert_eq!(rule("KEYS").as_deref(), Ok("keys"));
        assert!(rule("keys ~*").is_err() && rule("+@all").is_err());
        assert!(length("0s").is_err());
    }
}
