//! The queries of the exported rules and dashboards: each is parsed, names only what larder shows,
//! and has data in a real Prometheus.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::parser::{Expr, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};
use serde_json::Value;

use crate::Home;
use crate::export_metrics::{Exposed, Prometheus, exposition, metrics};

/// The names that were agreed on with the exporter.
const AGREED: &str = "\
    larder_build_info larder_cache_up larder_cache_files larder_cache_logical_bytes \
    larder_cache_allocated_bytes larder_cache_reclaimable_bytes larder_cache_budget_bytes \
    larder_cache_last_used_timestamp_seconds larder_cache_oldest_use_timestamp_seconds \
    larder_cache_growth_bytes_per_second larder_cache_growth_low_bytes_per_second \
    larder_cache_growth_high_bytes_per_second larder_cache_full_timestamp_seconds \
    larder_cache_score larder_cache_score_points larder_cache_last_sample_timestamp_seconds \
    larder_last_scan_timestamp_seconds larder_last_trend_timestamp_seconds \
    larder_tasks_last_count_timestamp_seconds \
    larder_cache_sample_duration_seconds larder_cache_samples_total \
    larder_cache_sample_failures_total larder_disk_free_bytes larder_disk_size_bytes \
    larder_cleanups_total larder_cleanup_failures_total larder_cleanup_freed_bytes_total \
    larder_cleanup_last_timestamp_seconds larder_cleanup_last_duration_seconds \
    larder_verification_checked larder_verification_bad larder_verification_unverifiable \
    larder_verification_last_timestamp_seconds larder_alert_firing \
    larder_notifications_sent_total larder_notifications_failed_total \
    larder_notifications_dropped_total larder_notification_queue_length larder_plans_waiting \
    larder_events_total dev_active_tasks larder_active_tasks larder_history_bytes \
    larder_history_dropped_total larder_forecast_error_ratio larder_throttles_active \
    larder_redis_hit_ratio larder_redis_latency_seconds larder_redis_fragmentation_ratio \
    larder_redis_persistent_keys";

/// What Prometheus adds by itself.
const OF_PROMETHEUS: [(&str, &[&str]); 2] = [
    ("up", &[]),
    ("ALERTS", &["alertname", "alertstate", "severity", "alert", "cache", "receiver"]),
];

/// Every query of the exported files, by where it stands.
pub(crate) struct Queries {
    pub(crate) rules: Vec<(String, String)>,
    pub(crate) dashboards: Vec<(String, String)>,
}

impl Queries {
    /// Those of the dashboards that have no data in this Prometheus, with their places.
    pub(crate) fn empty(&self, prometheus: &Prometheus) -> Vec<(String, String)> {
        let all: BTreeSet<String> = self.dashboards.iter().map(|(_, expr)| expr.clone()).collect();
        let empty = prometheus.without_data(&all);
        let place = |expr: &String| {
            let found = self.dashboards.iter().find(|(_, other)| other == expr);
            found.unwrap().0.clone()
        };
        empty.into_iter().map(|expr| (place(&expr), expr)).collect()
    }
}

pub(crate) fn exported(home: &Home) -> Queries {
    home.run(&["export", "rules", "rules"]).ends(0);
    home.run(&["export", "dashboards", "dashboards"]).ends(0);
    let mut rules = Vec::new();
    for name in ["alerts", "rules"] {
        let text = home.read(&format!("rules/{name}/larder.yaml"));
        let file: Value = serde_saphyr::from_str(&text).unwrap();
        for group in file["groups"].as_array().unwrap() {
            for rule in group["rules"].as_array().unwrap() {
                let place = rule["alert"].as_str().or(rule["record"].as_str()).unwrap();
                rules.push((place.to_owned(), rule["expr"].as_str().unwrap().to_owned()));
            }
        }
    }
    let mut dashboards = Vec::new();
    for entry in std::fs::read_dir(home.path().join("dashboards")).unwrap() {
        let path = entry.unwrap().path();
        let dashboard: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let mut add = |what: &str, expr: &str| {
            dashboards.push((format!("{name}: {what}"), filled(expr)));
        };
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                add(panel["title"].as_str().unwrap(), target["expr"].as_str().unwrap());
            }
        }
        for mark in dashboard["annotations"]["list"].as_array().unwrap() {
            add(mark["name"].as_str().unwrap(), mark["expr"].as_str().unwrap());
            assert_eq!(mark["expr"], mark["target"]["expr"]);
        }
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            if let Some(query) = variable["query"]["query"].as_str() {
                let inner = query.strip_prefix("label_values(").unwrap().strip_suffix(')').unwrap();
                let (selector, label) = inner.rsplit_once(", ").unwrap();
                add(label, &format!("count by ({label}) ({selector})"));
            }
        }
    }
    assert!(rules.len() > 30 && dashboards.len() > 80, "{} {}", rules.len(), dashboards.len());
    Queries { rules, dashboards }
}

/// As Grafana asks it when everything is chosen.
fn filled(expr: &str) -> String {
    let filled =
        [("$instance", ".*"), ("$cache", ".*"), ("$__rate_interval", "1m"), ("$__range", "1h")]
            .iter()
            .fold(expr.to_owned(), |text, (name, value)| text.replace(name, value));
    assert!(!filled.replace("$1", "").contains('$'), "an unknown variable in {expr}");
    filled
}

#[test]
fn what_is_served_here_is_what_was_agreed_on() {
    let known = metrics();
    let agreed: BTreeSet<&str> = AGREED.split_whitespace().collect();
    for name in &agreed {
        assert!(known.contains_key(*name), "{name} is not in exposition.txt");
    }
    for name in known.keys().filter(|name| !name.starts_with("redis_")) {
        assert!(agreed.contains(&name[..]), "{name} was not agreed on");
    }
    let mut promtool = std::process::Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(std::process::Stdio::piped());
    let mut child = promtool.spawn().expect("promtool is installed (scripts/test installs it)");
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), exposition().as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// Looks at every selector for names that nothing shows.
struct Names<'a> {
    known: &'a BTreeMap<String, BTreeSet<String>>,
    unknown: Vec<String>,
    used: BTreeSet<String>,
}

impl Names<'_> {
    fn selector(&mut self, selector: &VectorSelector) {
        let name = selector.name.clone().unwrap_or_default();
        match self.known.get(&name) {
            None => self.unknown.push(name),
            Some(labels) => {
                let given = selector.matchers.matchers.iter().map(|matcher| &matcher.name);
                let strange = given
                    .filter(|label| !labels.contains(*label))
                    .filter(|label| !matches!(&label[..], "job" | "instance"));
                self.unknown.extend(strange.map(|label| format!("{name}{{{label}}}")));
                self.used.insert(name);
            }
        }
    }
}

impl ExprVisitor for Names<'_> {
    type Error = String;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, String> {
        match expr {
            Expr::VectorSelector(selector) => self.selector(selector),
            Expr::MatrixSelector(matrix) => self.selector(&matrix.vs),
            _ => {}
        }
        Ok(true)
    }
}

#[test]
fn every_query_parses_and_names_what_larder_shows() {
    let home = Home::new();
    let queries = exported(&home);
    let mut known = metrics();
    for (name, labels) in OF_PROMETHEUS {
        known.insert(name.to_owned(), labels.iter().map(|label| (*label).to_owned()).collect());
    }
    let mut used = BTreeSet::new();
    for (place, expr) in queries.rules.iter().chain(&queries.dashboards) {
        let parsed = promql_parser::parser::parse(expr)
            .unwrap_or_else(|error| panic!("{place}: {error}: {expr}"));
        let mut names = Names { known: &known, unknown: Vec::new(), used: BTreeSet::new() };
        walk_expr(&mut names, &parsed).unwrap();
        assert_eq!(names.unknown, [""; 0], "{place}: {expr}");
        used.extend(names.used);
    }
    // What is worth showing is looked at somewhere.
    let unused: Vec<&String> = known.keys().filter(|name| !used.contains(*name)).collect();
    assert_eq!(unused, [""; 0], "metrics that no rule and no dashboard uses");
}

#[test]
fn every_query_of_every_dashboard_has_data() {
    let home = Home::new();
    let queries = exported(&home);
    let served = Exposed::start();
    let prometheus = Prometheus::start(&home.path().join("rules"), served.address());
    let empty = queries.empty(&prometheus);
    assert!(empty.is_empty(), "{empty:#?}");
    first_screen(&prometheus, &queries);
}

/// The first table says what to type, for larder's own alerts and for those of the rules, each once.
fn first_screen(prometheus: &Prometheus, queries: &Queries) {
    let place = "larder-overview: What fires, and what to do";
    let (_, expr) = queries.dashboards.iter().find(|(name, _)| name == place).unwrap();
    let mut rows: Vec<String> = prometheus
        .query(expr)
        .unwrap()
        .iter()
        .map(|row| {
            let of = |label: &str| row["metric"][label].as_str().unwrap_or_default().to_owned();
            format!("{} {} {}: {}", of("severity"), of("alert"), of("cache"), of("do"))
        })
        .collect();
    rows.sort();
    assert_eq!(
        rows,
        [
            "critical VerificationFoundBad mod: larder verify mod --fix",
            "info RedisThrottled redis:sessions: larder unthrottle redis:sessions --all",
            "warning CacheOverBudget build: larder prune build -n",
            "warning RedisCacheUnhealthy redis:sessions: larder health redis:sessions",
        ]
    );
}
