//! What the settings of a server say about trouble to come
//! (<https://redis.io/docs/latest/operate/oss_and_stack/management/config-file/>).

use std::collections::BTreeMap;

use larder_core::Severity;
use larder_core::size::Units;
use redis::Value;

use crate::audit::{AuditOptions, BigKey};
use crate::audit_close::Denials;
use crate::error::RedisError;
use crate::finding::{Finding, freeing};
use crate::info::Info;
use crate::link::Link;
use crate::remedy::redis_cli;

/// A server's settings, as far as it tells them.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    address: String,
    /// The command that leads to it.
    server: String,
    info: Info,
    values: BTreeMap<String, String>,
    /// Whether `default` can be used without a password; `None` where that is not told.
    open: Option<bool>,
    units: Units,
}

impl Settings {
    /// Asks; what is not allowed is taken note of.
    pub(crate) fn ask(
        link: &mut Link,
        info: Info,
        denials: &mut Denials,
    ) -> Result<Self, RedisError> {
        let asked = link.ask::<Value>(redis::cmd("CONFIG").arg("GET").arg("*"));
        let values: Vec<(String, String)> = match denials.sift("settings", asked)? {
            Some(answer) => link.read(answer, "CONFIG GET")?,
            None => Vec::new(),
        };
        let asked = link.ask::<Value>(redis::cmd("ACL").arg("LIST"));
        let users: Vec<String> = match denials.sift("users", asked)? {
            Some(answer) => link.read(answer, "ACL LIST")?,
            None => Vec::new(),
        };
        let default = users.iter().find(|user| user.starts_with("user default "));
        Ok(Self {
            address: link.address().to_owned(),
            server: redis_cli(link.endpoint()),
            info,
            values: values.into_iter().collect(),
            open: default.map(|user| user.contains(" on ") && user.contains(" nopass ")),
            units: Units::default(),
        })
    }

    /// All of them by name.
    pub(crate) fn values(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }

    /// Something that `redis-cli` mends with these words.
    fn finding(
        &self,
        id: &'static str,
        severity: Severity,
        evidence: impl Into<String>,
        remedy: &str,
    ) -> Finding {
        let remedy = format!("{} {remedy}", self.server);
        Finding::new(id, severity, (self.address.clone(), evidence.into()), remedy)
    }

    /// Words that set all of these, each a name and a value: at once since 7.0, and before that
    /// one after the other.
    fn setting(&self, pairs: &[String]) -> String {
        let between = match self.info.version() {
            (7.., _) => " ".to_owned(),
            _ => format!(" && {} CONFIG SET ", self.server),
        };
        format!("CONFIG SET {}", pairs.join(&between))
    }

    fn show(&self, bytes: u64) -> String {
        self.units.show(bytes).to_string()
    }
}

/// The findings of all servers; `big` are the biggest keys, whose freeing costs time.
pub(crate) fn findings(
    all: &[Settings],
    big: &[BigKey],
    options: AuditOptions<'_>,
) -> Vec<Finding> {
    all.iter()
        .flat_map(|one| {
            let one = Settings { units: options.units, ..one.clone() };
            let mut found: Vec<Finding> = memory(&one).into_iter().collect();
            found.extend(eviction(&one));
            found.extend(fragmentation(&one));
            found.extend(freed_in_the_foreground(&one, big));
            found.extend(latency(&one));
            found.extend(clients(&one));
            found.extend(access(&one));
            found
        })
        .collect()
}

/// Least that a limit is proposed to be, and steps of it, in megabytes.
const LIMIT_STEP: u64 = 100;

fn memory(one: &Settings) -> Option<Finding> {
    let used = one.info.u64("used_memory")?;
    if one.info.u64("maxmemory")? != 0 {
        return None;
    }
    let total = one.info.u64("total_system_memory").filter(|total| *total > 0);
    let machine = total
        .map_or_else(String::new, |total| format!(", and the machine has {}", one.show(total)));
    let evidence = format!("maxmemory is 0: {} are used{machine}", one.show(used));
    // Twice of what is used, and a policy that makes a cache of it.
    let limit = (used * 2).div_ceil(LIMIT_STEP << 20).max(1) * LIMIT_STEP;
    let mut set = vec![format!("maxmemory {limit}mb")];
    if one.info.policy() == "noeviction" {
        set.push("maxmemory-policy allkeys-lru".to_owned());
    }
    Some(one.finding("no-memory-limit", Severity::Warning, evidence, &one.setting(&set)))
}

fn eviction(one: &Settings) -> Vec<Finding> {
    let mut found = Vec::new();
    let policy = one.info.policy();
    let max = one.info.u64("maxmemory").unwrap_or(0);
    let uncounted = one.info.u64("mem_not_counted_for_evict").unwrap_or(0);
    let used = one.info.u64("used_memory").unwrap_or(0).saturating_sub(uncounted);
    let set = "CONFIG SET maxmemory-policy allkeys-lru";
    if max > 0 && policy == "noeviction" {
        let share = used as f64 / max as f64;
        let severity = match share {
            0.95.. => Severity::Critical,
            0.75.. => Severity::Warning,
            _ => Severity::Info,
        };
        let evidence = format!(
            "maxmemory-policy is noeviction and {} of {} are used: at the limit writes fail",
            one.show(used),
            one.show(max)
        );
        found.push(one.finding("cache-without-eviction", severity, evidence, set));
    }
    if policy.starts_with("volatile-") {
        let databases = one.info.databases();
        let all: u64 = databases.iter().map(|db| one.info.keyspace(*db).keys).sum();
        let ends: u64 = databases.iter().map(|db| one.info.keyspace(*db).expires).sum();
        if all > 100 && ends * 10 < all {
            let evidence = format!(
                "maxmemory-policy is {policy}, and only {ends} of {all} keys have a time to live: \
                 nearly nothing can be evicted"
            );
            found.push(one.finding("policy-finds-nothing", Severity::Warning, evidence, set));
        }
    }
    found
}

fn fragmentation(one: &Settings) -> Option<Finding> {
    let ratio = one.info.f64("allocator_frag_ratio")?;
    let lost = one.info.u64("allocator_frag_bytes")?;
    if ratio < 1.4 || lost < 64 << 20 || one.get("activedefrag") != Some("no") {
        return None;
    }
    let evidence =
        format!("the allocator holds {} more than it gave, {ratio} times", one.show(lost));
    // Not every build can move what is allocated; all can give back what is free.
    let purge = format!("-e CONFIG SET activedefrag yes || {} MEMORY PURGE", one.server);
    Some(one.finding("fragmented", Severity::Warning, evidence, &purge).bytes(lost))
}

fn freed_in_the_foreground(one: &Settings, big: &[BigKey]) -> Option<Finding> {
    let lazy = [
        "lazyfree-lazy-user-del",
        "lazyfree-lazy-expire",
        "lazyfree-lazy-eviction",
        "lazyfree-lazy-server-del",
    ];
    let off: Vec<&str> = lazy.into_iter().filter(|name| one.get(name) == Some("no")).collect();
    if off.is_empty() {
        return None;
    }
    let set: Vec<String> = off.iter().map(|name| format!("{name} yes")).collect();
    let collections = big.iter().filter(|key| key.kind != "string");
    let stall = collections.map(|key| freeing(&key.kind, key.bytes, key.elements)).max();
    let evidence = format!(
        "{} off: freeing a big collection makes everybody wait",
        off.iter().map(|name| name.trim_start_matches("lazyfree-")).collect::<Vec<_>>().join(", ")
    );
    let finding = one.finding("lazyfree-off", Severity::Info, evidence, &one.setting(&set));
    Some(match stall.filter(|stall| stall.as_millis() > 0) {
        Some(stall) => finding.stall(stall),
        None => finding,
    })
}

fn latency(one: &Settings) -> Vec<Finding> {
    let mut found = Vec::new();
    let slower_than = one.number("slowlog-log-slower-than");
    let set = "CONFIG SET slowlog-log-slower-than 10000";
    match slower_than {
        Some(micros) if micros < 0 => found.push(one.finding(
            "slowlog-off",
            Severity::Warning,
            format!("slowlog-log-slower-than is {micros}: slow commands leave no trace"),
            set,
        )),
        Some(micros) if micros > 100_000 => found.push(one.finding(
            "slowlog-blind",
            Severity::Info,
            format!(
                "slowlog-log-slower-than is {micros} µs: commands of {} ms leave no trace",
                micros / 1000
            ),
            set,
        )),
        _ => {}
    }
    let length = one.number("slowlog-max-len").unwrap_or(i64::MAX);
    if length < 64 && slower_than.is_some_and(|micros| micros >= 0) {
        found.push(one.finding(
            "slowlog-short",
            Severity::Info,
            format!("slowlog-max-len is {length}: a burst of slow commands pushes itself out"),
            "CONFIG SET slowlog-max-len 1024",
        ));
    }
    if one.number("latency-monitor-threshold") == Some(0) {
        found.push(one.finding(
            "latency-monitor-off",
            Severity::Info,
            "latency-monitor-threshold is 0: the server does not record its own stalls",
            "CONFIG SET latency-monitor-threshold 100",
        ));
    }
    found
}

fn clients(one: &Settings) -> Option<Finding> {
    // Since 7.0 one limit holds for all buffers of all clients together.
    if let Some(limit) = one.get("maxmemory-clients") {
        return (limit == "0").then(|| {
            one.finding(
                "no-client-limits",
                Severity::Info,
                "maxmemory-clients is 0: clients that do not read may fill the memory",
                "CONFIG SET maxmemory-clients 5%",
            )
        });
    }
    let buffers = one.get("client-output-buffer-limit")?;
    buffers.starts_with("normal 0 0 0").then(|| {
        one.finding(
            "no-client-limits",
            Severity::Info,
            "client-output-buffer-limit of normal clients is 0: one that does not read may fill \
             the memory",
            "CONFIG SET client-output-buffer-limit 'normal 256mb 64mb 60'",
        )
    })
}

fn access(one: &Settings) -> Option<Finding> {
    if one.open != Some(true) {
        return None;
    }
    if one.get("protected-mode") == Some("no") {
        return Some(one.finding(
            "open-to-anybody",
            Severity::Critical,
            "protected-mode is off and the default user has no password: whoever reaches the port \
             may do everything",
            "CONFIG SET protected-mode yes",
        ));
    }
    let evidence = "the default user has no password: whoever reaches the port may do everything. \
                    The remedy makes one, writes it to redis.password and sets it; every client \
                    needs it from then on";
    let mut finding = one.finding("default-user-without-password", Severity::Info, evidence, "");
    // The password is in no argument, which every process on the machine could read.
    finding.remedy = format!(
        "(umask 077; {server} ACL GENPASS | tr -d '\\n' | tee redis.password | {server} -x CONFIG SET requirepass)",
        server = one.server
    );
    Some(finding)
}
