//! What a Redis says of itself, under the names that the dashboards for `redis_exporter` know.
//!
//! Promises: a series that `redis_exporter` has too has the same value here; a test holds one
//! against the other. Leaves out what is about that exporter, and fields that `INFO` did not have.
//! Source of the names: what version 1.45 of it answers.

use std::collections::HashMap;

use crate::exposed::RedisFacts;
use crate::exposition::{Exposition, Format, Labels};
use crate::names::{Family, MetricKind};

/// Databases that get series; a Redis has 16 unless told otherwise.
const MOST_DATABASES: u16 = 128;

/// A server: its cache, where that is a label, and what it said.
pub(crate) type Server<'a> = (Option<&'a str>, Option<&'a RedisFacts>);

const UP: Family = gauge("redis_up", "Whether the Redis answered.");
const INSTANCE: Family =
    Family::new("redis_instance_info", MetricKind::Info, "What the Redis is, in labels.");
const DB_KEYS: Family = gauge("redis_db_keys", "Keys of the database.");
const DB_EXPIRING: Family = gauge("redis_db_keys_expiring", "Keys that have a time to live.");
const DB_TTL: Family =
    gauge("redis_db_avg_ttl_seconds", "The average time to live of the keys that have one.");
const COMMANDS: Family = counter("redis_commands_total", "Calls of the command.");
const COMMAND_SECONDS: Family =
    counter("redis_commands_duration_seconds_total", "Time that the command took in all.");
const SLOW_LENGTH: Family = gauge("redis_slowlog_length", "Entries of the slow log.");
const SLOW_LAST: Family = gauge("redis_slowlog_last_id", "The number of its newest entry.");

/// Fields of `INFO` that are a metric as they stand.
const FIELDS: &[(Family, &str)] = &[
    (gauge("redis_uptime_in_seconds", "How long the server has run."), "uptime_in_seconds"),
    (gauge("redis_connected_clients", "Clients that are connected."), "connected_clients"),
    (gauge("redis_blocked_clients", "Clients that wait in a command."), "blocked_clients"),
    (gauge("redis_config_maxclients", "Clients that may be connected."), "maxclients"),
    (gauge("redis_memory_used_bytes", "Memory in use."), "used_memory"),
    (gauge("redis_memory_used_peak_bytes", "The most that was in use."), "used_memory_peak"),
    (gauge("redis_memory_used_rss_bytes", "Memory that the system gave."), "used_memory_rss"),
    (gauge("redis_memory_max_bytes", "Memory that may be used; 0 for no limit."), "maxmemory"),
    (
        gauge("redis_memory_fragmentation_ratio", "Memory given against memory in use."),
        "mem_fragmentation_ratio",
    ),
    (
        gauge("redis_mem_fragmentation_ratio", "The same, by its newer name."),
        "mem_fragmentation_ratio",
    ),
    (counter("redis_keyspace_hits_total", "Look-ups that found a key."), "keyspace_hits"),
    (counter("redis_keyspace_misses_total", "Look-ups that found none."), "keyspace_misses"),
    (counter("redis_evicted_keys_total", "Keys that went for lack of memory."), "evicted_keys"),
    (counter("redis_expired_keys_total", "Keys that went at their time."), "expired_keys"),
    (
        counter("redis_commands_processed_total", "Commands of all kinds."),
        "total_commands_processed",
    ),
    (
        counter("redis_connections_received_total", "Connections that were taken."),
        "total_connections_received",
    ),
    (
        counter("redis_rejected_connections_total", "Connections beyond the limit."),
        "rejected_connections",
    ),
    (counter("redis_net_input_bytes_total", "Bytes from clients."), "total_net_input_bytes"),
    (counter("redis_net_output_bytes_total", "Bytes to clients."), "total_net_output_bytes"),
    (gauge("redis_connected_slaves", "Replicas that are connected."), "connected_slaves"),
];

/// Fields of `INFO` that are labels of `redis_instance_info`.
const INSTANCE_LABELS: [&str; 9] = [
    "maxmemory_policy",
    "os",
    "process_id",
    "redis_build_id",
    "redis_mode",
    "redis_version",
    "role",
    "run_id",
    "tcp_port",
];

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family::new(name, MetricKind::Gauge, help)
}

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family::new(name, MetricKind::Counter, help)
}

/// The metrics of one Redis without a label of its own, as `/probe` gives them; `None` for one
/// that did not answer.
pub fn redis_metrics(facts: Option<&RedisFacts>, format: Format) -> String {
    let mut out = Exposition::new(format);
    write(&mut out, &[(None, facts)]);
    out.end()
}

/// Writes the metrics of all servers, family by family.
pub(crate) fn write(out: &mut Exposition, servers: &[Server<'_>]) {
    let known: Vec<Known<'_>> = servers.iter().filter_map(Known::new).collect();
    let up = servers.iter().map(|(cache, facts)| (labels(*cache), Some(facts.is_some())));
    out.family(&UP, up);
    let instances = known.iter().map(|one| {
        let mut labels = labels(one.cache);
        labels.extend(INSTANCE_LABELS.map(|name| (name, one.text(name).unwrap_or("").into())));
        (labels, Some(true))
    });
    out.family(&INSTANCE, instances);
    for (family, field) in FIELDS {
        out.family(family, known.iter().map(|one| (labels(one.cache), one.number(field))));
    }
    databases(out, &known);
    commands(out, &known);
    let length = known.iter().map(|one| (labels(one.cache), one.facts.slowlog_length));
    out.family(&SLOW_LENGTH, length);
    let last = known.iter().map(|one| (labels(one.cache), one.facts.slowlog_last_id));
    out.family(&SLOW_LAST, last);
}

/// A server that answered, with its fields by name.
struct Known<'a> {
    cache: Option<&'a str>,
    facts: &'a RedisFacts,
    fields: HashMap<&'a str, &'a str>,
}

impl<'a> Known<'a> {
    fn new(server: &Server<'a>) -> Option<Self> {
        let (cache, facts) = (server.0, server.1?);
        let fields = facts.info.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Some(Self { cache, facts, fields: fields.collect() })
    }

    fn text(&self, field: &str) -> Option<&'a str> {
        self.fields.get(field).copied()
    }

    fn number(&self, field: &str) -> Option<f64> {
        self.text(field)?.parse().ok()
    }

    /// Each database with its keys, those that expire, and its average time to live in seconds.
    fn databases(&self) -> Vec<(String, [Option<f64>; 3])> {
        let empty = self.facts.databases.unwrap_or(0).min(MOST_DATABASES);
        let mut all: Vec<(String, [Option<f64>; 3])> =
            (0..empty).map(|index| (format!("db{index}"), [Some(0.0), Some(0.0), None])).collect();
        for (name, line) in &self.facts.info {
            let index = name.strip_prefix("db").and_then(|digits| digits.parse::<u16>().ok());
            if index.is_none_or(|index| index >= MOST_DATABASES) {
                continue;
            }
            let ttl = part(line, "avg_ttl").map(|millis| millis / 1000.0);
            let values = [part(line, "keys"), part(line, "expires"), ttl];
            match all.iter_mut().find(|(known, _)| known == name) {
                Some(known) => known.1 = values,
                None => all.push((name.clone(), values)),
            }
        }
        all
    }

    /// Each command with its calls and the seconds that they took.
    fn commands(&self) -> Vec<(&'a str, [Option<f64>; 2])> {
        let lines = self.facts.info.iter().filter_map(|(name, line)| {
            let command = name.strip_prefix("cmdstat_")?;
            let seconds = part(line, "usec").map(|micros| micros / 1e6);
            Some((command, [part(line, "calls"), seconds]))
        });
        lines.collect()
    }
}

fn databases(out: &mut Exposition, known: &[Known<'_>]) {
    let all: Vec<_> = known.iter().map(|one| (one.cache, one.databases())).collect();
    for (at, family) in [DB_KEYS, DB_EXPIRING, DB_TTL].iter().enumerate() {
        let series = all.iter().flat_map(|(cache, databases)| {
            databases.iter().map(move |(name, values)| {
                let mut labels = labels(*cache);
                labels.push(("db", name.as_str().into()));
                (labels, values[at])
            })
        });
        out.family(family, series);
    }
}

fn commands(out: &mut Exposition, known: &[Known<'_>]) {
    let all: Vec<_> = known.iter().map(|one| (one.cache, one.commands())).collect();
    for (at, family) in [COMMANDS, COMMAND_SECONDS].iter().enumerate() {
        let series = all.iter().flat_map(|(cache, commands)| {
            commands.iter().map(move |(name, values)| {
                let mut labels = labels(*cache);
                labels.push(("cmd", (*name).into()));
                (labels, values[at])
            })
        });
        out.family(family, series);
    }
}

/// A part of a line such as `keys=3,expires=1,avg_ttl=0`.
fn part(line: &str, name: &str) -> Option<f64> {
    let parts = line.split(',').filter_map(|part| part.split_once('='));
    parts.filter(|(key, _)| *key == name).find_map(|(_, value)| value.parse().ok())
}

fn labels(cache: Option<&str>) -> Labels<'_> {
    cache.map(|cache| ("cache", cache.into())).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(fields: &[(&str, &str)]) -> RedisFacts {
        let info = fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        RedisFacts { info, ..RedisFacts::default() }
    }

    #[test]
    fn fields_databases_and_commands() {
        let mut facts = facts(&[
            ("used_memory", "1041968"),
            ("mem_fragmentation_ratio", "7.64"),
            ("db0", "keys=3,expires=1,avg_ttl=999440"),
            ("db0_note", "keys=9"),
            ("cmdstat_config|get", "calls=2,usec=167,usec_per_call=83.50"),
            ("maxclients", "no number"),
        ]);
        facts.databases = Some(2);
        facts.slowlog_last_id = Some(7);
        let text = redis_metrics(Some(&facts), Format::Text);
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        for line in [
            "redis_up 1",
            "redis_memory_used_bytes 1041968",
            "redis_mem_fragmentation_ratio 7.64",
            "redis_db_keys{db=\"db0\"} 3",
            "redis_db_keys{db=\"db1\"} 0",
            "redis_db_avg_ttl_seconds{db=\"db0\"} 999.44",
            "redis_commands_total{cmd=\"config|get\"} 2",
            "redis_commands_duration_seconds_total{cmd=\"config|get\"} 0.000167",
            "redis_slowlog_last_id 7",
        ] {
            assert!(lines.contains(&line), "{line} is not in\n{text}");
        }
        let absent =
            ["maxclients", "slowlog_length", "db0_note", "evicted", "ttl_seconds{db=\"db1\""];
        for absent in absent {
            assert!(!text.contains(absent), "{absent} is in\n{text}");
        }
    }

    #[test]
    fn a_silent_redis_is_down_and_nothing_else() {
        let text = redis_metrics(None, Format::Text);
        assert_eq!(text.lines().last(), Some("redis_up 0"));
        assert_eq!(text.lines().count(), 3);
    }
}
