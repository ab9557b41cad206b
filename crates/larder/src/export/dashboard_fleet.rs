//! The fleet: every machine in a row, and what they add up to.

use serde_json::{Value, json};

use super::dashboard_alerts::alerts;
use super::dashboards::{HERE, machines, marks_of_redis};
use super::panels::{
    BYTES, Dashboard, Look, SCORE, SECONDS, Sized, Table, column, dashboard, heading, lines,
    number, sized, stacked, table,
};

/// Every machine in a row, and what they add up to.
pub(super) fn fleet(runbooks: &str) -> Value {
    let go = "cache!~\"redis:.+\"";
    let queries = [
        format!("min by (instance) (larder_cache_score{{{HERE}}})"),
        format!("count by (instance) (larder_alert_firing{{{HERE}}} == 1)"),
        format!("sum by (instance) (larder_cache_allocated_bytes{{{HERE}, {go}}})"),
        format!("sum by (instance) (larder_cache_reclaimable_bytes{{{HERE}, {go}}})"),
        format!(
            "min by (instance) (larder_disk_free_bytes{{{HERE}}} / \
             larder_disk_size_bytes{{{HERE}}})"
        ),
        format!("min by (instance) (larder_cache_full_timestamp_seconds{{{HERE}}} - time())"),
        format!(
            "max by (instance) (time() - larder_cache_last_sample_timestamp_seconds{{{HERE}}})"
        ),
        format!("max by (instance, version) (larder_build_info{{{HERE}}})"),
    ];
    let queries: Vec<&str> = queries.iter().map(String::as_str).collect();
    let limits = |unit, orange, red| Some(Look { unit, limits: Some((orange, red)) });
    let opens = json!([{ "title": "This machine",
        "url": "/d/larder-go-machine?var-instance=${__value.text}" }]);
    let columns = [
        column("instance", "Machine", None).with("links", &opens),
        column("version", "larder", None),
        column("Value #A", "Worst score", Some(SCORE)).with("decimals", &json!(1)),
        column("Value #B", "Alerts", limits("short", 1.0, 3.0)),
        column("Value #C", "Go caches", Some(BYTES)),
        column("Value #D", "Reclaimable", Some(BYTES)),
        column("Value #E", "Disk free", limits("percentunit", 0.1, 0.05)),
        column("Value #F", "First one full in", limits("s", 7.0 * 86400.0, 86400.0)),
        column("Value #G", "Oldest measurement", limits("s", 900.0, 3600.0)),
    ];
    let machines_table = table(&Table {
        title: "Machines",
        about: "One row a machine; its name leads to its own dashboard.",
        empty: "No machine is scraped.",
        queries: &queries,
        columns: &columns,
        sort: ("Worst score", false),
    });
    dashboard(Dashboard {
        uid: "larder-fleet",
        title: "larder: fleet",
        about: "Every machine in a row, and what they add up to.",
        from: "now-7d",
        variables: vec![machines(true)],
        marks: marks_of_redis(HERE),
        panels: [
            vec![
                sized(24, 6, alerts(runbooks)),
                sized(24, 9, machines_table),
                heading("All of them"),
            ],
            all_of_them(),
        ]
        .into_iter()
        .flatten()
        .collect(),
    })
}

fn all_of_them() -> Vec<Sized> {
    let by_cache = |metric: &str| format!("sum by (cache) ({metric}{{{HERE}}})");
    let total = |metric: &str| format!("sum({metric}{{{HERE}, cache!~\"redis:.+\"}})");
    vec![
        number(6, "Go caches", "On disk.", &total("larder_cache_allocated_bytes"), BYTES),
        number(6, "Reclaimable", "On disk.", &total("larder_cache_reclaimable_bytes"), BYTES),
        number(
            6,
            "Freed in a week",
            "Measured as removed.",
            &format!("sum(increase(larder_cleanup_freed_bytes_total{{{HERE}}}[7d]))"),
            BYTES,
        ),
        number(
            6,
            "Oldest verification",
            "Of any cache on any machine.",
            &format!("time() - min(larder_verification_last_timestamp_seconds{{{HERE}}} > 0)"),
            SECONDS,
        ),
        sized(
            12,
            8,
            stacked(
                "Size by cache",
                "All machines together.",
                &[(&by_cache("larder_cache_allocated_bytes"), "{{cache}}")],
                "decbytes",
            ),
        ),
        sized(
            12,
            8,
            stacked(
                "Reclaimable by cache",
                "All machines together.",
                &[(&by_cache("larder_cache_reclaimable_bytes"), "{{cache}}")],
                "decbytes",
            ),
        ),
        sized(
            12,
            8,
            lines(
                "Largest caches",
                "The ten largest.",
                &[(
                    &format!("topk(10, larder_cache_allocated_bytes{{{HERE}}})"),
                    "{{cache}} {{instance}}",
                )],
                "decbytes",
            ),
        ),
        sized(
            12,
            8,
            lines(
                "Fastest growth a day",
                "The ten that grow fastest.",
                &[(
                    &format!(
                        "topk(10, larder_cache_growth_bytes_per_second{{{HERE}}} * 24 * 3600)"
                    ),
                    "{{cache}} {{instance}}",
                )],
                "decbytes",
            ),
        ),
    ]
}
