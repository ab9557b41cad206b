//! The alerts that Prometheus raises, in one table: rules, dashboards and the tests of the runbooks
//! are made of it.
//!
//! Where an alert means what one of larder's own means, it has its name, so that one runbook serves
//! both and a receiver can treat them alike. A condition that only the daemon can judge is taken
//! from `larder_alert_firing`. No label holds a value that changes from sample to sample.

use larder_core::Severity;

pub use super::alerts_redis::redis;

/// Below this score an alert is raised: the source model's level from which the response starts.
pub const RAISE_BELOW: u32 = 80;
/// An alert of a score is over from this one on; the two are apart so that a score that swings
/// around the first does not raise it again and again.
pub const CLEAR_ABOVE: u32 = 85;
/// Below this score it is critical (`larder_core::Level::Critical`).
pub const CRITICAL_BELOW: u32 = 70;

/// The alerts that larder itself tells of (`larder_core::Alert::name`); each has its runbook.
pub const OF_LARDER: [&str; 8] = [
    "RedisCacheUnhealthy",
    "GoCacheUnhealthy",
    "CacheOverBudget",
    "CacheGrowsFast",
    "DiskFillsUp",
    "CacheNotMeasured",
    "SettingsBad",
    "HistoryDamaged",
];

/// One alerting rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRule {
    /// In CamelCase; the runbook is called so too.
    pub name: &'static str,
    /// Its severity label.
    pub severity: Severity,
    /// When it holds, as a query.
    pub expr: String,
    /// For how long it must hold, as Prometheus writes durations; empty for at once.
    pub hold: &'static str,
    /// For how long it stays after it held last; empty for not at all.
    pub keep: &'static str,
    /// One sentence with the labels of the series, no full stop.
    pub summary: &'static str,
    /// What that means, with the value.
    pub description: &'static str,
    /// What to type; `CACHE` and `RECEIVER` stand for the labels of these names.
    pub command: &'static str,
}

/// Every rule, in the groups of the file.
pub fn groups() -> [(&'static str, Vec<AlertRule>); 3] {
    let (mut of_caches, mut of_larder) = (caches(), counted());
    of_caches.extend(findings());
    of_larder.extend(itself());
    [("larder-caches", of_caches), ("larder-redis", redis()), ("larder-itself", of_larder)]
}

/// Raised below one score, over from another on; `name` is the alert itself, which it looks back
/// at.
pub(super) fn score_is_low(name: &str, caches: &str) -> String {
    format!(
        "larder_cache_score{{{caches}}} < {RAISE_BELOW}\n\
         or\n\
         (\n  larder_cache_score{{{caches}}} < {CLEAR_ABOVE}\n  and on (instance, cache)\n  \
         ALERTS{{alertname=\"{name}\", alertstate=\"firing\", severity=\"warning\"}}\n)"
    )
}

/// What only the daemon can judge.
fn said_by_larder(name: &str) -> String {
    format!("larder_alert_firing{{alert=\"{name}\"}} == 1")
}

/// Rules about any cache.
fn caches() -> Vec<AlertRule> {
    let go = "cache!~\"redis:.+\"";
    let unhealthy = AlertRule {
        name: "GoCacheUnhealthy",
        severity: Severity::Warning,
        expr: score_is_low("GoCacheUnhealthy", go),
        hold: "5m",
        keep: "",
        summary: "{{ $labels.cache }} has a score of {{ $value | printf \"%.1f\" }} of 100",
        description: "Raised below 80, over from 85 on. What takes the points: \
                      larder_cache_score_points by dimension.",
        command: "larder status",
    };
    vec![
        AlertRule {
            severity: Severity::Critical,
            expr: format!("larder_cache_score{{{go}}} < {CRITICAL_BELOW}"),
            description: "Below 70 of 100. What takes the points: larder_cache_score_points by \
                          dimension.",
            ..unhealthy.clone()
        },
        unhealthy,
        AlertRule {
            name: "CacheOverBudget",
            severity: Severity::Warning,
            expr: "larder_cache_allocated_bytes > larder_cache_budget_bytes".to_owned(),
            hold: "15m",
            keep: "",
            summary: "{{ $labels.cache }} takes {{ $value | humanize1024 }}B, more than its budget",
            description: "It did for 15 minutes, so what larder removes by itself does not bring \
                          it back within its budget.",
            command: "larder prune CACHE -n",
        },
        AlertRule {
            name: "CacheGrowsFast",
            severity: Severity::Warning,
            expr: "larder_cache_full_timestamp_seconds - time() < 24 * 3600".to_owned(),
            hold: "30m",
            keep: "",
            summary: "{{ $labels.cache }} is full in {{ $value | humanizeDuration }}",
            description: "At the pace of now its budget is full within a day.",
            command: "larder trend CACHE",
        },
        disk("10", Severity::Warning),
        disk("5", Severity::Critical),
    ]
}

/// Rules about what was found out about a cache, or was not.
fn findings() -> Vec<AlertRule> {
    vec![
        AlertRule {
            name: "CacheNotMeasured",
            severity: Severity::Warning,
            expr: "larder_cache_up == 0\nor\n\
                   time() - larder_cache_last_sample_timestamp_seconds > 3600"
                .to_owned(),
            hold: "10m",
            keep: "5m",
            summary: "{{ $labels.cache }} is not measured",
            description: "Its last measurements failed, or the last one is more than an hour ago. \
                          Nothing else that is said about it is new.",
            command: "larder events --since 1h",
        },
        AlertRule {
            name: "VerificationFoundBad",
            severity: Severity::Critical,
            expr: "larder_verification_bad > 0".to_owned(),
            hold: "",
            keep: "",
            summary: "{{ $value }} entries of {{ $labels.cache }} are not what they should be",
            description: "The last verification found bytes that differ from their hash. A build \
                          that reads them fails or is wrong.",
            command: "larder verify CACHE --fix",
        },
    ]
}

/// One of the two steps of a disk that fills up; percent that are still free.
fn disk(percent: &'static str, severity: Severity) -> AlertRule {
    AlertRule {
        name: "DiskFillsUp",
        severity,
        // Several caches lie on one disk: one alert of each disk, which mountpoint tells apart.
        expr: format!(
            "min without (cache) (larder_disk_free_bytes / larder_disk_size_bytes) < {percent} / 100"
        ),
        hold: "5m",
        keep: "5m",
        summary: "{{ $labels.mountpoint }} on {{ $labels.instance }}, a disk with a cache, has \
                  {{ $value | humanizePercentage }} free",
        description: "Builds fail when it is full. What could go at once: \
                      larder_cache_reclaimable_bytes.",
        command: "larder prune -n",
    }
}

/// Rules about what larder counts of its own failures.
fn counted() -> Vec<AlertRule> {
    let more_than_none = |counter: &str| format!("increase({counter}[1h]) > 0");
    vec![
        AlertRule {
            name: "LarderCleanupFails",
            severity: Severity::Warning,
            expr: more_than_none("larder_cleanup_failures_total"),
            hold: "",
            keep: "",
            summary: "A cleanup of {{ $labels.cache }} failed",
            description: "Within the last hour. What was not removed is listed with its reason.",
            command: "larder events --since 2h",
        },
        AlertRule {
            name: "LarderNotificationsFail",
            severity: Severity::Warning,
            expr: more_than_none("larder_notifications_failed_total"),
            hold: "",
            keep: "",
            summary: "{{ $labels.receiver }} did not take a notification",
            description: "Within the last hour. Whoever reads there may not know of an alert.",
            command: "larder alerts test RECEIVER",
        },
        AlertRule {
            name: "LarderNotificationsDropped",
            severity: Severity::Critical,
            expr: more_than_none("larder_notifications_dropped_total"),
            hold: "",
            keep: "",
            summary: "Notifications to {{ $labels.receiver }} were dropped",
            description: "Within the last hour its queue was full: these are never delivered.",
            command: "larder alerts test RECEIVER",
        },
        AlertRule {
            name: "LarderHistoryDrops",
            severity: Severity::Warning,
            expr: more_than_none("larder_history_dropped_total"),
            hold: "",
            keep: "",
            summary: "larder on {{ $labels.instance }} lost samples or events",
            description: "Within the last hour more came in than could be written.",
            command: "larder events --since 2h",
        },
    ]
}

/// Rules about larder itself.
fn itself() -> Vec<AlertRule> {
    vec![
        AlertRule {
            name: "LarderDown",
            severity: Severity::Critical,
            expr: "up{job=\"larder\"} == 0\nor\nabsent(up{job=\"larder\"})".to_owned(),
            hold: "5m",
            keep: "",
            summary: "larder on {{ $labels.instance }} does not answer",
            description: "Nothing is measured, cleaned or told meanwhile.",
            command: "systemctl status larder",
        },
        AlertRule {
            name: "LarderPlansWait",
            severity: Severity::Warning,
            expr: "larder_plans_waiting > 0".to_owned(),
            hold: "12h",
            keep: "",
            summary: "{{ $value }} plans wait for approval on {{ $labels.instance }}",
            description: "For 12 hours. A plan is refused when it is older than plan.max-age (24 h \
                          where nothing else is set).",
            command: "larder plans",
        },
        AlertRule {
            name: "SettingsBad",
            severity: Severity::Warning,
            expr: said_by_larder("SettingsBad"),
            hold: "",
            keep: "",
            summary: "The settings of larder on {{ $labels.instance }} are wrong",
            description: "larder goes on with those that it had.",
            command: "larder config check",
        },
        AlertRule {
            name: "HistoryDamaged",
            severity: Severity::Warning,
            expr: said_by_larder("HistoryDamaged"),
            hold: "",
            keep: "",
            summary: "The history of larder on {{ $labels.instance }} was damaged",
            description: "It was set aside and a new one begun; trends start anew.",
            command: "larder events --since 24h",
        },
    ]
}

#[cfg(test)]
mod tests {
    use larder_core::health::{RedisVitals, redis_score};

    use super::*;

    #[test]
    fn names_are_in_camel_case_and_sentences_have_no_end() {
        for (_, rules) in groups() {
            for rule in rules {
                assert!(rule.name.starts_with(char::is_uppercase), "{}", rule.name);
                assert!(rule.name.chars().all(char::is_alphanumeric), "{}", rule.name);
                assert!(!rule.summary.ends_with('.'), "{}: {}", rule.name, rule.summary);
                assert!(rule.description.ends_with('.'), "{}: {}", rule.name, rule.description);
            }
        }
    }

    #[test]
    fn what_larder_tells_of_by_itself_has_its_rule() {
        let all = groups();
        for name in OF_LARDER {
            let has = |(_, rules): &(_, Vec<AlertRule>)| rules.iter().any(|rule| rule.name == name);
            assert!(all.iter().any(has), "{name}");
        }
    }

    #[test]
    fn critical_begins_where_the_score_says_so() {
        let level = |hit_rate: f64| {
            let known = RedisVitals { hit_rate: Some(hit_rate), ..RedisVitals::default() };
            redis_score(known).level().name()
        };
        let limit = f64::from(CRITICAL_BELOW) / 100.0;
        assert_eq!((level(limit), level(limit - 0.001)), ("warning", "critical"));
    }
}
