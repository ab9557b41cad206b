//! What the settings of a server say about trouble to come
//! (<https://redis.io/docs/latest/operate/oss_and_stack/management/config-file/>).

use std::collections::BTreeMap;

use larder_core::Severity;

use crate::info::Info;
use crate::link::Link;

/// Something to think about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable name, kebab-case.
    pub id: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about: a prefix, a key, a setting.
    pub subject: String,
    /// What was seen.
    pub evidence: String,
    /// Keys that it concerns.
    pub keys: Option<u64>,
    /// Bytes that it costs.
    pub bytes: Option<u64>,
    /// What to type.
    pub remedy: String,
}

/// A server's settings, as far as it tells them.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    address: String,
    info: Info,
    values: BTreeMap<String, String>,
    /// The grant that is missing, where the settings could not be asked for.
    denied: Option<String>,
    /// Whether `default` can be used without a password; `None` where that is not told.
    open: Option<bool>,
}

impl Settings {
    /// Asks; what is not allowed becomes a finding.
    pub(crate) fn ask(link: &mut Link, info: Info) -> Self {
        let asked: Result<Vec<(String, String)>, _> =
            link.ask(redis::cmd("CONFIG").arg("GET").arg("*"));
        let (values, denied) = match asked {
            Ok(values) => (values.into_iter().collect(), None),
            Err(error) => (BTreeMap::new(), Some(error.to_string())),
        };
        let users: Option<Vec<String>> = link.ask(redis::cmd("ACL").arg("LIST")).ok();
        let open = users.and_then(|users| {
            let user = users.into_iter().find(|user| user.starts_with("user default "))?;
            Some(user.contains(" on ") && user.contains(" nopass "))
        });
        Self { address: link.address().to_owned(), info, values, denied, open }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }

    /// `redis-cli -h HOST -p PORT` or `redis-cli -s PATH`.
    fn redis_cli(&self, rest: &str) -> String {
        match self.address.rsplit_once(':') {
            Some((host, port)) => format!("redis-cli -h {host} -p {port} {rest}"),
            None => format!("redis-cli -s {} {rest}", self.address),
        }
    }

    fn finding(
        &self,
        id: &'static str,
        severity: Severity,
        evidence: impl Into<String>,
        remedy: &str,
    ) -> Finding {
        Finding {
            id,
            severity,
            subject: self.address.clone(),
            evidence: evidence.into(),
            keys: None,
            bytes: None,
            remedy: self.redis_cli(remedy),
        }
    }
}

/// The findings of all servers; `name` is how larder's commands name them together.
pub(crate) fn findings(all: &[Settings], name: &str) -> Vec<Finding> {
    all.iter()
        .flat_map(|one| {
            let mut found = memory(one);
            found.extend(latency(one));
            found.extend(access(one));
            found.extend(denied(one, name));
            found
        })
        .collect()
}

fn denied(one: &Settings, name: &str) -> Option<Finding> {
    let why = one.denied.as_ref()?;
    let mut finding = one.finding("settings-not-told", Severity::Info, why.clone(), "");
    finding.remedy = format!("larder audit {name}, as a user with +config|get");
    Some(finding)
}

fn memory(one: &Settings) -> Vec<Finding> {
    let mut found = Vec::new();
    let used = one.info.u64("used_memory").unwrap_or(0);
    let max = one.info.u64("maxmemory").unwrap_or(0);
    let policy = one.info.policy();
    if max == 0 {
        let total = one.info.u64("total_system_memory").unwrap_or(0);
        let evidence = format!("maxmemory is 0: {used} bytes used, and the machine has {total}");
        let limit = format!("CONFIG SET maxmemory {}", (used * 2).max(100 << 20));
        found.push(one.finding("no-memory-limit", Severity::Warning, evidence, &limit));
    } else if policy == "noeviction" {
        let evidence =
            format!("maxmemory-policy is noeviction: at {max} bytes writes begin to fail");
        let set = "CONFIG SET maxmemory-policy allkeys-lru";
        found.push(one.finding("cache-without-eviction", Severity::Warning, evidence, set));
    }
    if let Some(databases) = policy.strip_prefix("volatile-").map(|_| one.info.databases()) {
        let all: u64 = databases.iter().map(|db| one.info.keyspace(*db).keys).sum();
        let ends: u64 = databases.iter().map(|db| one.info.keyspace(*db).expires).sum();
        if all > 100 && ends * 10 < all {
            let evidence = format!(
                "maxmemory-policy is {policy}, and only {ends} of {all} keys have a time to live: nearly nothing can be evicted"
            );
            let set = "CONFIG SET maxmemory-policy allkeys-lru";
            found.push(one.finding("policy-finds-nothing", Severity::Warning, evidence, set));
        }
    }
    let fragmented = one.info.f64("allocator_frag_ratio").unwrap_or(1.0);
    let lost = one.info.u64("allocator_frag_bytes").unwrap_or(0);
    if fragmented > 1.4 && lost > 64 << 20 && one.get("activedefrag") == Some("no") {
        let evidence = format!("the allocator holds {lost} bytes more than it gave ({fragmented})");
        let set = "CONFIG SET activedefrag yes";
        let mut finding = one.finding("fragmented", Severity::Warning, evidence, set);
        finding.bytes = Some(lost);
        found.push(finding);
    }
    found
}

fn latency(one: &Settings) -> Vec<Finding> {
    let mut found = Vec::new();
    let lazy = ["lazyfree-lazy-user-del", "lazyfree-lazy-expire", "lazyfree-lazy-eviction"];
    let off: Vec<&str> = lazy.into_iter().filter(|name| one.get(name) == Some("no")).collect();
    if !off.is_empty() {
        let evidence = format!("{} off: freeing a big collection blocks everybody", off.join(", "));
        let set: Vec<String> = off.iter().map(|name| format!("{name} yes")).collect();
        let set = format!("CONFIG SET {}", set.join(" "));
        found.push(one.finding("lazyfree-off", Severity::Info, evidence, &set));
    }
    match one.number("slowlog-log-slower-than") {
        Some(-1) => found.push(one.finding(
            "slowlog-off",
            Severity::Warning,
            "slowlog-log-slower-than is -1: slow commands leave no trace",
            "CONFIG SET slowlog-log-slower-than 10000",
        )),
        Some(micros) if micros > 100_000 => found.push(one.finding(
            "slowlog-blind",
            Severity::Info,
            format!("slowlog-log-slower-than is {micros} µs: what hurts others stays unseen"),
            "CONFIG SET slowlog-log-slower-than 10000",
        )),
        _ => {}
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

fn access(one: &Settings) -> Vec<Finding> {
    let mut found = Vec::new();
    if one.number("timeout") == Some(0) && one.get("maxmemory-clients") == Some("0") {
        found.push(one.finding(
            "no-client-limits",
            Severity::Info,
            "timeout and maxmemory-clients are 0: idle and greedy clients stay for ever",
            "CONFIG SET maxmemory-clients 5%",
        ));
    }
    let open = one.open == Some(true);
    if open && one.get("protected-mode") == Some("no") {
        found.push(one.finding(
            "open-to-anybody",
            Severity::Critical,
            "protected-mode is off and the default user has no password",
            "CONFIG SET protected-mode yes",
        ));
    } else if open {
        found.push(one.finding(
            "default-user-without-password",
            Severity::Info,
            "whoever reaches the port may do everything as the user default",
            "ACL SETUSER default resetpass '>PASSWORD'",
        ));
    }
    found
}
