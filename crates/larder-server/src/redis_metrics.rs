//! What a Redis says of itself, under the names that the dashboards for `redis_exporter` know.
//!
//! Promises: a series that `redis_exporter` has too has the same value here; a test holds one
//! against the other. Leaves out what is about that exporter, and fields that `INFO` did not have.
//! Source of the names: what version 1.45 of it answers.

use std::collections::HashMap;

use crate::exposed::RedisFacts;
use crate::exposition::{Exposition, Format, Labels};
use crate::names::{Family, MetricKind};
use crate::redis_fields::{FIELDS, OF_ITS_MASTER, OF_ITS_REPLICAS, Read, counter, gauge};

/// Databases that get series; a Redis has 16 unless told otherwise.
const MOST_DATABASES: u16 = 128;

/// A server.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Server<'a> {
    /// Its cache, where that is a label.
    pub(crate) cache: Option<&'a str>,
    /// Which of several it is.
    pub(crate) node: Option<&'a str>,
    /// What it said, where it answered.
    pub(crate) facts: Option<&'a RedisFacts>,
}

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
const SLOW_TOOK: Family =
    gauge("redis_last_slow_execution_duration_seconds", "How long its newest entry took.");
const STARTED: Family = gauge("redis_start_time_seconds", "When the server was started.");
const FOLLOWS: Family = Family::new(
    "redis_slave_info",
    MetricKind::Info,
    "Which master the replica has, and whether it takes writes, in labels.",
);
const COMMANDS_FAILED: Family =
    counter("redis_commands_failed_calls_total", "Calls of the command that ended in an error.");
const COMMANDS_REJECTED: Family = counter(
    "redis_commands_rejected_calls_total",
    "Calls of the command that were refused before it ran.",
);
const ERRORS: Family = counter("redis_errors_total", "Errors that were answered, by their kind.");

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

/// The metrics of one Redis without a label of its own, as `/probe` gives them; `None` for one
/// that did not answer.
pub fn redis_metrics(facts: Option<&RedisFacts>, format: Format) -> String {
    let mut out = Exposition::new(format);
    write(&mut out, &[Server { facts, ..Server::default() }]);
    out.end()
}

/// Writes the metrics of all servers, family by family.
pub(crate) fn write(out: &mut Exposition, servers: &[Server<'_>]) {
    let known: Vec<Known<'_>> = servers.iter().filter_map(Known::new).collect();
    let up = servers.iter().map(|one| (labels(one), Some(one.facts.is_some())));
    out.family(&UP, up);
    let instances = known.iter().map(|one| {
        let mut labels = one.labels();
        labels.extend(INSTANCE_LABELS.map(|name| (name, one.label(name).into())));
        // Its `redis_version` is the one that it is compatible with.
        labels.extend(one.text("valkey_version").map(|its| ("valkey_version", its.into())));
        (labels, Some(true))
    });
    out.family(&INSTANCE, instances);
    for (family, field, read) in FIELDS {
        out.family(family, known.iter().map(|one| (one.labels(), one.number(field, *read))));
    }
    out.family(&STARTED, known.iter().map(|one| (one.labels(), one.started())));
    replication(out, &known);
    databases(out, &known);
    commands(out, &known);
    let length = known.iter().map(|one| (one.labels(), one.facts.slowlog_length));
    out.family(&SLOW_LENGTH, length);
    // An exporter says 0 where the log is empty, and dashboards count on it.
    let last = known.iter().map(|one| {
        let empty = one.facts.slowlog_length == Some(0);
        (one.labels(), one.facts.slowlog_last_id.or(empty.then_some(0)))
    });
    out.family(&SLOW_LAST, last);
    let took = known.iter().map(|one| (one.labels(), one.facts.slowlog_last_took));
    out.family(&SLOW_TOOK, took);
}

/// A server that answered, with its fields by name.
struct Known<'a> {
    server: Server<'a>,
    facts: &'a RedisFacts,
    fields: HashMap<&'a str, &'a str>,
}

impl<'a> Known<'a> {
    fn new(server: &Server<'a>) -> Option<Self> {
        let facts = server.facts?;
        let fields = facts.info.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Some(Self { server: *server, facts, fields: fields.collect() })
    }

    fn labels(&self) -> Labels<'a> {
        labels(&self.server)
    }

    fn text(&self, field: &str) -> Option<&'a str> {
        self.fields.get(field).copied()
    }

    /// A label of `redis_instance_info`.
    fn label(&self, name: &str) -> &'a str {
        let text = self.text(name);
        // The name of Valkey since 8.0.
        let other = || self.text("server_mode").filter(|_| name == "redis_mode");
        text.or_else(other).unwrap_or("")
    }

    fn number(&self, field: &str, read: Read) -> Option<f64> {
        read.value(self.text(field)?)
    }

    /// When it was started, seconds since the epoch, by its own clock.
    fn started(&self) -> Option<f64> {
        let now = self.number("server_time_usec", Read::Micros)?.floor();
        Some(now - self.number("uptime_in_seconds", Read::Number)?)
    }

    /// Its labels and where its master is, of a replica.
    fn following(&self) -> Option<Labels<'a>> {
        let mut labels = self.labels();
        labels.push(("master_host", self.text("master_host")?.into()));
        labels.push(("master_port", self.text("master_port")?.into()));
        Some(labels)
    }

    /// Its replicas, each with its labels and what is said of it.
    fn replicas(&self) -> Vec<(Labels<'a>, &'a str)> {
        let lines = self.facts.info.iter().filter(|(name, _)| {
            name.strip_prefix("slave").is_some_and(|n| n.parse::<u32>().is_ok())
        });
        lines
            .map(|(_, line)| {
                let mut labels = self.labels();
                for (label, name) in
                    [("slave_ip", "ip"), ("slave_port", "port"), ("slave_state", "state")]
                {
                    labels.push((label, word(line, name).unwrap_or_default().into()));
                }
                (labels, line.as_str())
            })
            .collect()
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

    /// Each command with its calls, the seconds that they took, and those that failed or were
    /// refused.
    fn commands(&self) -> Vec<(&'a str, [Option<f64>; 4])> {
        let lines = self.facts.info.iter().filter_map(|(name, line)| {
            let command = name.strip_prefix("cmdstat_")?;
            let seconds = part(line, "usec").map(|micros| micros / 1e6);
            let bad = ["failed_calls", "rejected_calls"].map(|name| part(line, name));
            Some((command, [part(line, "calls"), seconds, bad[0], bad[1]]))
        });
        lines.collect()
    }
}

/// What a replica and a master say of each other.
fn replication(out: &mut Exposition, known: &[Known<'_>]) {
    let following: Vec<_> = known.iter().filter_map(|one| Some((one, one.following()?))).collect();
    for (family, field, read) in OF_ITS_MASTER {
        let series =
            following.iter().map(|(one, labels)| (labels.clone(), one.number(field, *read)));
        out.family(family, series);
    }
    let infos = following.iter().map(|(one, labels)| {
        let mut labels = labels.clone();
        labels.push(("read_only", one.text("slave_read_only").unwrap_or("").into()));
        (labels, Some(true))
    });
    out.family(&FOLLOWS, infos);
    let replicas: Vec<_> = known.iter().flat_map(Known::replicas).collect();
    for (family, name) in OF_ITS_REPLICAS {
        let series = replicas.iter().map(|(labels, line)| (labels.clone(), part(line, name)));
        out.family(family, series);
    }
}

fn databases(out: &mut Exposition, known: &[Known<'_>]) {
    let all: Vec<_> = known.iter().map(|one| (one, one.databases())).collect();
    for (at, family) in [DB_KEYS, DB_EXPIRING, DB_TTL].iter().enumerate() {
        let series = all.iter().flat_map(|(one, databases)| {
            databases.iter().map(move |(name, values)| {
                let mut labels = one.labels();
                labels.push(("db", name.as_str().into()));
                (labels, values[at])
            })
        });
        out.family(family, series);
    }
}

fn commands(out: &mut Exposition, known: &[Known<'_>]) {
    let all: Vec<_> = known.iter().map(|one| (one, one.commands())).collect();
    let families = [COMMANDS, COMMAND_SECONDS, COMMANDS_FAILED, COMMANDS_REJECTED];
    for (at, family) in families.iter().enumerate() {
        let series = all.iter().flat_map(|(one, commands)| {
            commands.iter().map(move |(name, values)| {
                let mut labels = one.labels();
                labels.push(("cmd", (*name).into()));
                (labels, values[at])
            })
        });
        out.family(family, series);
    }
    let errors = known.iter().flat_map(|one| {
        one.facts.info.iter().filter_map(|(name, line)| {
            let mut labels = one.labels();
            labels.push(("err", name.strip_prefix("errorstat_")?.into()));
            Some((labels, part(line, "count")))
        })
    });
    out.family(&ERRORS, errors);
}

/// A part of a line such as `keys=3,expires=1,avg_ttl=0`.
fn part(line: &str, name: &str) -> Option<f64> {
    word(line, name)?.parse().ok()
}

/// The same as text.
fn word<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let mut parts = line.split(',').filter_map(|part| part.split_once('='));
    parts.find_map(|(key, value)| (key == name).then_some(value))
}

fn labels<'a>(server: &Server<'a>) -> Labels<'a> {
    let named = [("cache", server.cache), ("node", server.node)];
    named.into_iter().filter_map(|(name, value)| Some((name, value?.into()))).collect()
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
    fn a_replica_and_its_master_tell_of_each_other() {
        let replica = facts(&[
            ("role", "slave"),
            ("master_host", "10.0.0.7"),
            ("master_port", "6379"),
            ("master_link_status", "down"),
            ("master_last_io_seconds_ago", "-1"),
            ("slave_read_only", "1"),
        ]);
        let text = redis_metrics(Some(&replica), Format::Text);
        for line in [
            "redis_master_link_up{master_host=\"10.0.0.7\",master_port=\"6379\"} 0",
            "redis_slave_info{master_host=\"10.0.0.7\",master_port=\"6379\",read_only=\"1\"} 1",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
        let line = "ip=10.0.0.9,port=6379,state=online,offset=1500,lag=1";
        let master = facts(&[("role", "master"), ("slave0", line), ("slave_priority", "100")]);
        let text = redis_metrics(Some(&master), Format::Text);
        let expected = "redis_connected_slave_lag_seconds\
            {slave_ip=\"10.0.0.9\",slave_port=\"6379\",slave_state=\"online\"} 1";
        assert!(text.lines().any(|other| other == expected), "{text}");
        assert!(!text.contains("master_link_up"), "a master has no master");
    }

    #[test]
    fn a_silent_redis_is_down_and_nothing_else() {
        let text = redis_metrics(None, Format::Text);
        assert_eq!(text.lines().last(), Some("redis_up 0"));
        assert_eq!(text.lines().count(), 3);
    }
}
