//! What can be measured of a server whose user may not ask `INFO`: each question by itself, and
//! what is not allowed named with its grant.

use redis::Value;

use crate::deployment::Missing;
use crate::error::RedisError;
use crate::link::Link;
use crate::measure::{ServerState, Vitals};
use crate::select::integer;

/// Asks what is allowed; `denied` is the answer to `INFO`.
pub(crate) fn ask(link: &mut Link, denied: &RedisError) -> Result<Vitals, RedisError> {
    let mut missing = vec![Missing {
        what: "hit rate, evictions and connections".to_owned(),
        why: denied.to_string(),
    }];
    let mut vitals =
        Vitals { masters: 1, product: "unknown version".to_owned(), ..Vitals::default() };
    let size: Option<Value> = allowed(link, "DBSIZE", &[], "number of keys", &mut missing)?;
    vitals.keys = size.as_ref().and_then(whole);
    let stats = allowed(link, "MEMORY", &["STATS"], "memory", &mut missing)?;
    let stats = stats.map_or_else(Vec::new, pairs);
    vitals.used_memory = field(&stats, "total.allocated").and_then(whole);
    vitals.fragmentation = field(&stats, "allocator-fragmentation.ratio").and_then(number);
    vitals.fragmented = field(&stats, "allocator-fragmentation.bytes").and_then(whole);
    vitals.max_memory = setting(link, "maxmemory", &mut missing)?.filter(|max| *max > 0);
    vitals.max_connections = setting(link, "maxclients", &mut missing)?;
    vitals.state = state(link, &mut missing)?;
    vitals.missing = missing;
    Ok(vitals)
}

/// A limit, which `INFO` of Redis 6.0 does not always tell.
pub(crate) fn setting(
    link: &mut Link,
    name: &str,
    missing: &mut Vec<Missing>,
) -> Result<Option<u64>, RedisError> {
    let answer = allowed(link, "CONFIG", &["GET", name], "limits", missing)?;
    let value = answer.map_or_else(Vec::new, pairs);
    Ok(field(&value, name).and_then(text).and_then(|value| value.parse().ok()))
}

/// The answer; `None` where the command is not allowed, which is told once.
fn allowed(
    link: &mut Link,
    command: &str,
    arguments: &[&str],
    what: &str,
    missing: &mut Vec<Missing>,
) -> Result<Option<Value>, RedisError> {
    match link.ask(redis::cmd(command).arg(arguments)) {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_missing_right() => {
            let missed = Missing { what: what.to_owned(), why: error.to_string() };
            if !missing.contains(&missed) {
                missing.push(missed);
            }
            Ok(None)
        }
        // The ping that follows tells this.
        Err(RedisError::Loading { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `ROLE` tells all of it; `HELLO`, which every user may ask, at least what the server is.
fn state(link: &mut Link, missing: &mut Vec<Missing>) -> Result<ServerState, RedisError> {
    let mut denied = Vec::new();
    let role = allowed(link, "ROLE", &[], "whether the replica is in step", &mut denied)?;
    if let Some(Value::Array(parts)) = role {
        let word = |at: usize| parts.get(at).and_then(text);
        return Ok(match (word(0).as_deref(), word(3).as_deref()) {
            (Some("slave"), Some("connected")) => ServerState::ReadOnly,
            (Some("slave"), _) => ServerState::Lagging,
            _ => ServerState::Ok,
        });
    }
    if hello(link)?.role == "replica" {
        missing.extend(denied);
        return Ok(ServerState::ReadOnly);
    }
    Ok(ServerState::Ok)
}

/// What a server says of itself to everybody.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hello {
    /// `standalone`, `cluster` or `sentinel`; empty where it is older than 6.
    pub mode: String,
    /// `master` or `replica`.
    pub role: String,
}

/// Asks `HELLO` (<https://redis.io/docs/latest/commands/hello/>), which takes no right.
pub(crate) fn hello(link: &mut Link) -> Result<Hello, RedisError> {
    let mut answer = link.ask::<Value>(&redis::cmd("HELLO"));
    // 6.0 wants to be told a protocol, which is the one that is spoken anyway.
    if matches!(&answer, Err(RedisError::Server { answer, .. }) if answer.contains("wrong number"))
    {
        answer = link.ask(redis::cmd("HELLO").arg(2));
    }
    let answer = match answer {
        Ok(answer) => pairs(answer),
        Err(error) if error.is_missing_right() => return Ok(Hello::default()),
        Err(error) => return Err(error),
    };
    let of = |name: &str| field(&answer, name).and_then(text).unwrap_or_default();
    Ok(Hello { mode: of("mode"), role: of("role") })
}

/// `name, value, name, value, …` or a map, as pairs.
fn pairs(answer: Value) -> Vec<(String, Value)> {
    match answer {
        Value::Array(items) => {
            let (names, values): (Vec<_>, Vec<_>) =
                items.into_iter().enumerate().partition(|(at, _)| at.is_multiple_of(2));
            let names = names.into_iter().filter_map(|(_, name)| text(&name));
            names.zip(values.into_iter().map(|(_, value)| value)).collect()
        }
        Value::Map(items) => {
            items.into_iter().filter_map(|(name, value)| Some((text(&name)?, value))).collect()
        }
        _ => Vec::new(),
    }
}

fn field<'a>(pairs: &'a [(String, Value)], name: &str) -> Option<&'a Value> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}

fn whole(value: &Value) -> Option<u64> {
    integer(value).and_then(|number| u64::try_from(number).ok())
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Double(number) => Some(*number),
        other => text(other)?.parse().ok(),
    }
    .filter(|number: &f64| number.is_finite())
}
