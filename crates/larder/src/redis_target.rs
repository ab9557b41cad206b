//! `redis:NAME` and Redis URLs as they are typed, and the settings that make them a place to
//! connect to.

use std::path::Path;
use std::time::Duration;

use larder_engine::Profile;
use larder_redis::{Endpoint, EndpointError, RedisError, Secret, Timeouts, Tls};

use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::settings_keys::nearest;
use crate::settings_redis::RedisSettings;
use crate::throttles;

/// A Redis to work on.
#[derive(Clone, Debug)]
pub struct RedisTarget {
    /// `redis:NAME`, or the URL as it was typed.
    pub cache: String,
    /// Where it is and who we are.
    pub endpoint: Endpoint,
    /// Its settings; the defaults for a URL.
    pub settings: RedisSettings,
    /// What kind of server it is.
    pub profile: Profile,
}

impl RedisTarget {
    /// Whether what is removed is kept for an undo where no flag says otherwise.
    pub fn backs_up(&self) -> bool {
        self.profile == Profile::Production
    }
}

/// Whether this names a Redis, not a cache of Go's.
pub fn is_redis(name: &str) -> bool {
    name.starts_with("redis:") || name.contains("://")
}

/// The Redis of this name or URL; a limit there that a larder left behind is undone first.
pub fn find(context: &Context<'_>, name: &str) -> Result<RedisTarget, CliError> {
    let target = locate(context, name)?;
    throttles::settle(context, &target);
    Ok(target)
}

/// The Redis of this name or URL.
pub(crate) fn locate(context: &Context<'_>, name: &str) -> Result<RedisTarget, CliError> {
    let all = &context.settings().redis;
    let Some(short) = name.strip_prefix("redis:").filter(|rest| !rest.starts_with("//")) else {
        return of_url(context, name);
    };
    match all.iter().find(|redis| redis.name == short) {
        Some(settings) => of_settings(context, settings),
        None => {
            let names = all.iter().map(|redis| redis.name.as_str());
            let guess = nearest(short, names.clone())
                .map_or_else(String::new, |near| format!("; did you mean redis:{near}?"));
            let known: Vec<String> = names.map(|name| format!("redis:{name}")).collect();
            let hint = if known.is_empty() {
                format!("larder config set redis.{short}.url redis://HOST:PORT/0")
            } else {
                format!("configured are {}", known.join(", "))
            };
            let what = format!("no Redis named {short:?} is configured{guess}");
            Err(CliError::usage(what).hint(hint))
        }
    }
}

/// Every Redis that the settings name; limits there that a larder left behind are undone first.
pub fn configured(context: &Context<'_>) -> Vec<Result<RedisTarget, (String, CliError)>> {
    let all = context.settings().redis.iter();
    all.map(|redis| {
        let target = of_settings(context, redis);
        target
            .inspect(|target| throttles::settle(context, target))
            .map_err(|error| (format!("redis:{}", redis.name), error))
    })
    .collect()
}

fn of_url(context: &Context<'_>, url: &str) -> Result<RedisTarget, CliError> {
    let settings = RedisSettings::of_url("", url);
    let mut target = of_settings(context, &settings)?;
    target.endpoint.password = std::env::var("REDISCLI_AUTH").ok().map(Secret::new);
    target.cache = target.endpoint.url();
    Ok(target)
}

fn of_settings(context: &Context<'_>, settings: &RedisSettings) -> Result<RedisTarget, CliError> {
    let whose = match settings.name.as_str() {
        "" => "the URL".to_owned(),
        name => format!("redis.{name}.url"),
    };
    let mut endpoint = Endpoint::parse(&settings.url).map_err(|error| {
        let hint = match &error {
            EndpointError::Password => {
                "name the file that holds it as password-file in [redis.NAME], or set $REDISCLI_AUTH"
            }
            _ => "as in redis://127.0.0.1:6379/0, rediss://host:6380, unix:///run/redis.sock",
        };
        CliError::usage(format!("{whose}: {error}")).hint(hint)
    })?;
    if let Some(user) = &settings.username {
        endpoint.user = Some(user.clone());
    }
    if let Some(file) = &settings.password_file {
        let text = String::from_utf8(read(file)?)
            .map_err(|_| CliError::usage(format!("{}: it is not UTF-8", file.display())))?;
        endpoint.password = Some(Secret::new(text.trim_end_matches(['\n', '\r'])));
    }
    let pem = |file: &Option<std::path::PathBuf>| file.as_deref().map(read).transpose();
    endpoint.tls = Tls {
        authorities: pem(&settings.ca_file)?,
        client: match (pem(&settings.cert_file)?, pem(&settings.key_file)?) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => {
                let what = "cert-file and key-file belong together, and only one is given";
                return Err(CliError::usage(format!("redis.{}: {what}", settings.name)));
            }
        },
    };
    endpoint.timeouts = Timeouts { connect: settings.connect_timeout, answer: settings.timeout };
    endpoint.sentinel_master.clone_from(&settings.sentinel_master);
    let cache = match settings.name.as_str() {
        "" => endpoint.url(),
        name => format!("redis:{name}"),
    };
    let profile = settings.profile.unwrap_or(context.settings().profile);
    Ok(RedisTarget { cache, endpoint, settings: settings.clone(), profile })
}

fn read(file: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(file).map_err(|error| CliError::io("read", file, &error).with_exit(Exit::Usage))
}

/// An error of a Redis on its way to a person.
pub fn failed(error: &RedisError) -> CliError {
    let what = error.to_string();
    match error {
        RedisError::Interrupted => CliError::new(Exit::Interrupted, what),
        RedisError::Login { .. } => CliError::new(Exit::Unreachable, what).hint(
            "user and password: username and password-file in [redis.NAME], or $REDISCLI_AUTH",
        ),
        RedisError::Denied { grant, .. } => CliError::new(Exit::Unreachable, what)
            .hint(format!("an administrator of it runs: ACL SETUSER USER {grant}")),
        RedisError::Setup { .. } => CliError::new(Exit::Usage, what),
        RedisError::TimedOut { within, .. } => CliError::new(Exit::Unreachable, what).hint(
            format!("it hangs, or needs more than {}: timeout in [redis.NAME]", seconds(*within)),
        ),
        RedisError::OutOfMemory { .. } => CliError::new(Exit::Partly, what),
        RedisError::Tls { .. } => CliError::new(Exit::Unreachable, what).hint(
            "in [redis.NAME] ca-file names whom to trust, cert-file and key-file are our own",
        ),
        RedisError::Busy { .. } => CliError::new(Exit::Unreachable, what)
            .hint("larder throttle redis:NAME --scripts --for 1m ends it, if it has not written"),
        RedisError::ReadOnly { .. } => {
            CliError::refused(what).hint("a replica takes no writes: name its master")
        }
        _ => CliError::new(Exit::Unreachable, what),
    }
}

fn seconds(limit: Duration) -> String {
    format!("{} s", limit.as_secs_f64())
}
