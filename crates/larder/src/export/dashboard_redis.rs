//! One Redis: its score and what takes points, memory, keys, clients.
//!
//! Metrics that begin with `redis_` bear the names of `redis_exporter`; larder shows them with the
//! label `cache`.

use serde_json::Value;

use super::dashboards::{machines, marks_of_redis};
use super::panels::{
    BYTES, COUNT, Dashboard, Look, SCORE, Sized, dashboard, heading, lines, number, plain, sized,
    stacked, variable,
};

/// The Redis that was chosen.
const CHOSEN: &str = "instance=~\"$instance\", cache=~\"$cache\"";

/// One Redis.
pub(super) fn one_redis() -> Value {
    let mut panels = now();
    panels.push(heading("Memory"));
    panels.extend(memory());
    panels.push(heading("Keys"));
    panels.extend(keys());
    panels.push(heading("Clients"));
    panels.extend(clients());
    let selector = "larder_cache_up{instance=~\"$instance\", cache=~\"redis:.+\"}";
    dashboard(Dashboard {
        uid: "larder-redis",
        title: "larder: a Redis",
        about: "Score, memory, keys and clients of one Redis.",
        from: "now-24h",
        variables: vec![machines(true), variable("cache", "Redis", selector, false)],
        marks: marks_of_redis(CHOSEN),
        panels,
    })
}

fn of(metric: &str) -> String {
    format!("{metric}{{{CHOSEN}}}")
}

fn a_second(counter: &str) -> String {
    format!("rate({}[$__rate_interval])", of(counter))
}

fn now() -> Vec<Sized> {
    let limits = |unit, orange, red| Look { unit, limits: Some((orange, red)) };
    let one = |title: &str, about: &str, expr: &str, look| number(4, title, about, expr, look);
    let full = format!("{} - time()", of("larder_cache_full_timestamp_seconds"));
    vec![
        one("Score", "Of 100: larder health", &of("larder_cache_score"), SCORE),
        one("Hit rate", "", &of("larder_redis_hit_ratio"), limits("percentunit", 0.9, 0.8)),
        one("Latency", "What a client waits.", &of("larder_redis_latency_seconds"), plain("s")),
        one("Memory", "", &of("redis_memory_used_bytes"), BYTES),
        one("Full in", "At the pace of now.", &full, limits("s", 7.0 * 86400.0, 86400.0)),
        one("Limits that hold", "larder unthrottle", &of("larder_throttles_active"), COUNT),
        sized(
            12,
            8,
            stacked(
                "What the score is made of",
                "Points of each part; what is missing to 100 is lost.",
                &[(&of("larder_cache_score_points"), "{{dimension}}")],
                "none",
            ),
        ),
        sized(
            12,
            8,
            lines(
                "Hit rate",
                "Hits of all look-ups.",
                &[(&of("larder_redis_hit_ratio"), "hit rate")],
                "percentunit",
            ),
        ),
    ]
}

fn memory() -> Vec<Sized> {
    vec![
        sized(
            12,
            8,
            lines(
                "Memory",
                "Used, resident, the server's own limit and the budget.",
                &[
                    (&of("redis_memory_used_bytes"), "used"),
                    (&of("redis_memory_used_rss_bytes"), "resident"),
                    (&format!("{} > 0", of("redis_memory_max_bytes")), "maxmemory"),
                    (&of("larder_cache_budget_bytes"), "budget"),
                ],
                "decbytes",
            ),
        ),
        sized(
            6,
            8,
            lines(
                "Growth a day",
                "With the interval that it lies in.",
                &[
                    (
                        &format!("{} * 24 * 3600", of("larder_cache_growth_bytes_per_second")),
                        "a day",
                    ),
                    (
                        &format!("{} * 24 * 3600", of("larder_cache_growth_low_bytes_per_second")),
                        "at least",
                    ),
                    (
                        &format!("{} * 24 * 3600", of("larder_cache_growth_high_bytes_per_second")),
                        "at most",
                    ),
                ],
                "decbytes",
            ),
        ),
        sized(
            6,
            8,
            lines(
                "Fragmentation",
                "1 is none.",
                &[(&of("larder_redis_fragmentation_ratio"), "ratio")],
                "none",
            ),
        ),
    ]
}

fn keys() -> Vec<Sized> {
    vec![
        sized(
            8,
            8,
            lines(
                "Keys",
                "By database, and those without a time to live.",
                &[
                    (&of("redis_db_keys"), "{{db}}"),
                    (&of("larder_redis_persistent_keys"), "without TTL"),
                ],
                "short",
            ),
        ),
        sized(
            8,
            8,
            lines(
                "Look-ups a second",
                "Those that found a key and those that did not.",
                &[
                    (&a_second("redis_keyspace_hits_total"), "hits"),
                    (&a_second("redis_keyspace_misses_total"), "misses"),
                ],
                "ops",
            ),
        ),
        sized(
            8,
            8,
            lines(
                "Keys that go, a second",
                "By their time to live, and by eviction.",
                &[
                    (&a_second("redis_expired_keys_total"), "expired"),
                    (&a_second("redis_evicted_keys_total"), "evicted"),
                ],
                "ops",
            ),
        ),
    ]
}

fn clients() -> Vec<Sized> {
    vec![
        sized(
            6,
            7,
            lines(
                "Latency",
                "What a client beside the others waits.",
                &[(&of("larder_redis_latency_seconds"), "latency")],
                "s",
            ),
        ),
        sized(
            6,
            7,
            lines(
                "Commands a second",
                "",
                &[(&a_second("redis_commands_processed_total"), "commands")],
                "ops",
            ),
        ),
        sized(
            6,
            7,
            lines(
                "Clients",
                "And those that were turned away in the last 5 minutes.",
                &[
                    (&of("redis_connected_clients"), "connected"),
                    (
                        &format!("increase({}[5m])", of("redis_rejected_connections_total")),
                        "turned away",
                    ),
                ],
                "short",
            ),
        ),
        sized(
            6,
            7,
            lines(
                "Answers",
                "1 while the server answers, and while a replica has its master.",
                &[(&of("redis_up"), "answers"), (&of("redis_master_link_up"), "has its master")],
                "none",
            ),
        ),
    ]
}
