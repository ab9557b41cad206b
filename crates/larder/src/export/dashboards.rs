//! Dashboards for Grafana: the overview, a machine that builds Go, one Redis, the fleet.
//!
//! The first screen answers in this order: what fires and what to type, how each cache is, what
//! happened when. A table's rows are worked out by the queries, so that every number on a screen
//! can be asked of Prometheus as it stands.

use serde_json::{Value, json};

use super::ExportedFile;
use super::dashboard_alerts::alerts;
use super::dashboard_fleet::fleet;
use super::dashboard_go::go_machine;
use super::dashboard_redis::one_redis;
use super::panels::{
    BYTES, COUNT, Column, Dashboard, Look, RATIO, SCORE, Sized, Table, column, dashboard, heading,
    lines, mark, number, sized, stacked, table, variable,
};

/// The series of the machines that were chosen.
pub(super) const HERE: &str = "instance=~\"$instance\"";

/// Every file; `runbooks` is where the runbooks are published, and becomes a link where it is a
/// URL.
pub fn files(runbooks: &str) -> Vec<ExportedFile> {
    let file = |name, dashboard: &Value| ExportedFile { name, text: format!("{dashboard:#}\n") };
    vec![
        file("larder-overview.json", &overview(runbooks)),
        file("larder-go-machine.json", &go_machine()),
        file("larder-redis.json", &one_redis()),
        file("larder-fleet.json", &fleet(runbooks)),
    ]
}

/// Marks of cleanups and of alerts; `more` narrows the series.
pub(super) fn marks(more: &str) -> Vec<Value> {
    vec![
        mark(
            "Cleanup",
            "green",
            &format!("larder_cleanup_last_timestamp_seconds{{{more}}} * 1000"),
            "{{cache}} on {{instance}} was cleaned",
            true,
        ),
        mark(
            "Alert",
            "red",
            &format!("larder_alert_firing{{{more}}} == 1"),
            "{{alert}} for {{cache}} on {{instance}}",
            false,
        ),
    ]
}

/// The same, and what larder did by itself to the clients of a Redis.
pub(super) fn marks_of_redis(more: &str) -> Vec<Value> {
    let mut marks = marks(more);
    marks.push(mark(
        "Limited by larder",
        "orange",
        &format!("larder_throttles_active{{{more}}} > 0"),
        "A user or client of {{cache}} is limited",
        false,
    ));
    marks
}

/// The variable of machines.
pub(super) fn machines(many: bool) -> Value {
    variable("instance", "Machine", "larder_build_info", many)
}

fn overview(runbooks: &str) -> Value {
    let mut panels =
        vec![sized(24, 6, alerts(runbooks)), sized(24, 9, caches()), heading("What happened when")];
    panels.extend(timeline());
    panels.push(heading("Cleaning and checking"));
    panels.extend(work());
    panels.push(heading("larder itself"));
    panels.extend(itself());
    dashboard(Dashboard {
        uid: "larder-overview",
        title: "larder: overview",
        about: "What fires and what to do about it, each cache in a row, and what happened when.",
        from: "now-24h",
        variables: vec![machines(true)],
        marks: marks_of_redis(HERE),
        panels,
    })
}

fn caches() -> Value {
    let of = |expr: &str| format!("max by (instance, cache) ({expr})");
    let queries = [
        of(&format!("larder_cache_score{{{HERE}}}")),
        of(&format!("larder_cache_allocated_bytes{{{HERE}}}")),
        of(&format!(
            "larder_cache_allocated_bytes{{{HERE}}} / larder_cache_budget_bytes{{{HERE}}}"
        )),
        of(&format!("larder_cache_growth_bytes_per_second{{{HERE}}} * 24 * 3600")),
        of(&format!("larder_cache_full_timestamp_seconds{{{HERE}}} - time()")),
        of(&format!("larder_redis_hit_ratio{{{HERE}}}")),
        of(&format!("time() - larder_cache_last_sample_timestamp_seconds{{{HERE}}}")),
        of(&format!("larder_cache_reclaimable_bytes{{{HERE}}}")),
    ];
    let queries: Vec<&str> = queries.iter().map(String::as_str).collect();
    let limits = |unit, orange, red| Some(Look { unit, limits: Some((orange, red)) });
    let columns: Vec<Column> = vec![
        column("cache", "Cache", None),
        column("instance", "Machine", None),
        column("Value #A", "Score", Some(SCORE)).with("decimals", &json!(1)),
        column("Value #B", "Size", Some(BYTES)),
        column("Value #C", "Of its budget", limits("percentunit", 0.8, 1.0)),
        column("Value #D", "Growth a day", Some(BYTES)),
        column("Value #E", "Full in", limits("s", 7.0 * 86400.0, 86400.0)),
        column("Value #F", "Hit rate", Some(RATIO)),
        column("Value #G", "Measured before", limits("s", 900.0, 3600.0)),
        column("Value #H", "Reclaimable", Some(BYTES)),
    ];
    table(&Table {
        title: "Caches",
        about: "One row a cache. What is empty is not known or does not apply.",
        empty: "No cache is measured yet.",
        queries: &queries,
        columns: &columns,
        sort: ("Score", false),
    })
}

fn timeline() -> Vec<Sized> {
    vec![
        sized(
            12,
            8,
            lines(
                "Size",
                "What the disk would give back; of a Redis its used memory. Cleanups are marked.",
                &[(&format!("larder_cache_allocated_bytes{{{HERE}}}"), "{{cache}} {{instance}}")],
                "decbytes",
            ),
        ),
        sized(
            12,
            8,
            lines(
                "Score",
                "0 to 100. Alerts are raised below 80 and over from 85 on.",
                &[(&format!("larder_cache_score{{{HERE}}}"), "{{cache}} {{instance}}")],
                "none",
            ),
        ),
        sized(
            12,
            8,
            lines(
                "Free on disk",
                "Of each disk that a cache is on.",
                &[(
                    &format!(
                        "min without (cache) \
                         (larder_disk_free_bytes{{{HERE}}} / larder_disk_size_bytes{{{HERE}}})"
                    ),
                    "{{mountpoint}} {{instance}}",
                )],
                "percentunit",
            ),
        ),
        sized(
            12,
            8,
            stacked(
                "What runs now",
                "dev_active_tasks: go commands and larder's own work, by kind.",
                &[
                    (&format!("dev_active_tasks{{{HERE}}}"), "all on {{instance}}"),
                    (&format!("larder_active_tasks{{{HERE}}}"), "{{task}} {{instance}}"),
                ],
                "short",
            ),
        ),
    ]
}

fn work() -> Vec<Sized> {
    let rate = |counter: &str| format!("increase({counter}{{{HERE}}}[1d])");
    vec![
        sized(
            8,
            7,
            lines(
                "Freed in a day",
                "Measured as removed, over the last 24 hours.",
                &[(&rate("larder_cleanup_freed_bytes_total"), "{{cache}} {{instance}}")],
                "decbytes",
            ),
        ),
        sized(
            8,
            7,
            lines(
                "Cleanups in a day",
                "Done and failed, over the last 24 hours.",
                &[
                    (&rate("larder_cleanups_total"), "{{cache}} {{instance}}"),
                    (&rate("larder_cleanup_failures_total"), "failed: {{cache}} {{instance}}"),
                ],
                "short",
            ),
        ),
        sized(
            8,
            7,
            lines(
                "Bad entries",
                "What the last verification found.",
                &[(&format!("larder_verification_bad{{{HERE}}}"), "{{cache}} {{instance}}")],
                "short",
            ),
        ),
    ]
}

fn itself() -> Vec<Sized> {
    let of = |metric: &str| format!("{metric}{{{HERE}}}");
    let ago = |metric: &str| format!("time() - {metric}{{{HERE}}}");
    let an_hour = |counter: &str| format!("increase({counter}{{{HERE}}}[1h])");
    let sum = |expr: &str| format!("sum({expr})");
    let bad = Look { unit: "short", limits: Some((1.0, 2.0)) };
    vec![
        number(4, "Machines", "Those that answer.", "count(larder_build_info)", COUNT),
        number(4, "Plans that wait", "larder plans", &sum(&of("larder_plans_waiting")), bad),
        number(
            4,
            "Caches not measured",
            "Their last measurement failed.",
            &format!("count(larder_cache_up{{{HERE}}} == 0) or vector(0)"),
            bad,
        ),
        number(4, "History", "Its size.", &sum(&of("larder_history_bytes")), BYTES),
        number(
            4,
            "History lost in an hour",
            "Samples and events that could not be written.",
            &sum(&an_hour("larder_history_dropped_total")),
            bad,
        ),
        number(
            4,
            "Events in an hour",
            "larder events",
            &sum(&an_hour("larder_events_total")),
            COUNT,
        ),
        sized(
            12,
            7,
            lines(
                "Notifications in an hour",
                "By receiver: sent, failed, dropped, and how many wait.",
                &[
                    (&an_hour("larder_notifications_sent_total"), "sent: {{receiver}}"),
                    (&an_hour("larder_notifications_failed_total"), "failed: {{receiver}}"),
                    (&an_hour("larder_notifications_dropped_total"), "dropped: {{receiver}}"),
                    (&of("larder_notification_queue_length"), "waiting: {{receiver}}"),
                ],
                "short",
            ),
        ),
        sized(
            12,
            7,
            lines(
                "How long a measurement takes",
                "The last one of each cache.",
                &[(&of("larder_cache_sample_duration_seconds"), "{{cache}} {{instance}}")],
                "s",
            ),
        ),
        sized(
            24,
            6,
            lines(
                "How old is what is shown",
                "Since the last full scan, the last forecast, and the last count of go commands.",
                &[
                    (&ago("larder_last_scan_timestamp_seconds"), "scan: {{instance}}"),
                    (&ago("larder_last_trend_timestamp_seconds"), "forecast: {{instance}}"),
                    (&ago("larder_tasks_last_count_timestamp_seconds"), "tasks: {{instance}}"),
                ],
                "s",
            ),
        ),
    ]
}
