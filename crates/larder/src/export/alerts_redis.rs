//! The alerting rules about Redis servers, of larder's own metrics and of those that bear the names
//! of `redis_exporter`.

use larder_core::Severity;

use super::alerts::{AlertRule, CRITICAL_BELOW, score_is_low};

/// Rules about a Redis.
pub fn redis() -> Vec<AlertRule> {
    let mut rules = health();
    rules.extend(limits());
    rules.extend(keys());
    rules
}

fn health() -> Vec<AlertRule> {
    let caches = "cache=~\"redis:.+\"";
    let unhealthy = AlertRule {
        name: "RedisCacheUnhealthy",
        severity: Severity::Warning,
        expr: score_is_low("RedisCacheUnhealthy", caches),
        hold: "1m",
        keep: "",
        summary: "{{ $labels.cache }} has a score of {{ $value | printf \"%.1f\" }} of 100",
        description: "Raised below 80, over from 85 on: check hot keys. What takes the points: \
                      larder_cache_score_points by dimension.",
        command: "larder health CACHE",
    };
    vec![
        AlertRule {
            severity: Severity::Critical,
            expr: format!("larder_cache_score{{{caches}}} < {CRITICAL_BELOW}"),
            description: "Below 70 of 100: make it larger, or start the plan for doing without it. \
                          What takes the points: larder_cache_score_points by dimension.",
            ..unhealthy.clone()
        },
        unhealthy,
        AlertRule {
            name: "RedisHitRatioLow",
            severity: Severity::Warning,
            expr: "larder_redis_hit_ratio < 0.8".to_owned(),
            hold: "15m",
            keep: "",
            summary: "{{ $labels.cache }} has {{ $value | humanizePercentage }} hits",
            description: "Of all look-ups, for 15 minutes. What it does not hold is asked of what \
                          lies behind it.",
            command: "larder audit CACHE",
        },
    ]
}

fn limits() -> Vec<AlertRule> {
    vec![
        AlertRule {
            name: "RedisMemoryNearMax",
            severity: Severity::Warning,
            expr: "redis_memory_used_bytes / (redis_memory_max_bytes > 0) > 0.9".to_owned(),
            hold: "10m",
            keep: "",
            summary: "{{ $labels.cache }} uses {{ $value | humanizePercentage }} of maxmemory",
            description: "When it is full, it evicts keys or refuses writes, by its policy.",
            command: "larder audit CACHE",
        },
        AlertRule {
            name: "RedisEvicts",
            severity: Severity::Warning,
            expr: "rate(redis_evicted_keys_total[5m]) > 1".to_owned(),
            hold: "10m",
            keep: "10m",
            summary: "{{ $labels.cache }} evicts {{ $value | humanize }} keys a second",
            description: "It is full, and what somebody stored goes before its time.",
            command: "larder audit CACHE",
        },
        AlertRule {
            name: "RedisRejectsConnections",
            severity: Severity::Critical,
            expr: "increase(redis_rejected_connections_total[5m]) > 0".to_owned(),
            hold: "",
            keep: "5m",
            summary: "{{ $labels.cache }} turns clients away",
            description: "In the last 5 minutes maxclients was reached.",
            command: "larder audit CACHE",
        },
        AlertRule {
            name: "RedisReplicaLinkDown",
            severity: Severity::Critical,
            expr: "redis_master_link_up == 0".to_owned(),
            hold: "2m",
            keep: "",
            summary: "The replica {{ $labels.cache }} has lost its master",
            description: "What is read there is old, and a failover would lose what came since.",
            command: "larder health CACHE",
        },
    ]
}

fn keys() -> Vec<AlertRule> {
    vec![
        AlertRule {
            name: "RedisPersistentKeysGrow",
            severity: Severity::Warning,
            expr: "larder_redis_persistent_keys > 1.2 * (larder_redis_persistent_keys offset 1d)\n\
                   and\n\
                   larder_redis_persistent_keys > 10000"
                .to_owned(),
            hold: "1h",
            keep: "",
            summary: "{{ $labels.cache }} holds {{ $value | humanize }} keys without a TTL",
            description: "A fifth more than a day ago. They stay until somebody removes them.",
            command: "larder audit CACHE",
        },
        AlertRule {
            name: "RedisThrottled",
            severity: Severity::Info,
            expr: "larder_throttles_active > 0".to_owned(),
            hold: "",
            keep: "",
            summary: "A user or client of {{ $labels.cache }} is limited",
            description: "By larder itself or by somebody with larder throttle. It ends by itself.",
            command: "larder unthrottle CACHE --all",
        },
    ]
}
