//! The settings of what runs by itself: when, what it may do, whom it tells, what it serves.
//!
//! The second half of the table of [`crate::settings_keys`].

use std::path::PathBuf;
use std::time::Duration;

use larder_core::Thresholds;
use larder_engine::schedule::{Cron, Window};

use crate::settings::Values;
use crate::settings_keys::Fallback::{self, Empty, Off, Text};
use crate::settings_keys::{Key, Kind, key};

/// What `alert` would be told of where the settings say nothing: the seed's own levels.
const RAISE: Fallback = Text("80");

/// Every setting of the daemon, tables together.
pub static KEYS: &[Key] = &[
    key("schedule", "prune", Kind::Cron, Off, "When caches are pruned, in local time"),
    key("schedule", "verify", Kind::Cron, Off, "When caches are verified, in local time"),
    key(
        "schedule",
        "download",
        Kind::Cron,
        Off,
        "When what the roots need is fetched ahead, in local time",
    ),
    key(
        "schedule",
        "sample",
        Kind::Duration,
        Text("15s"),
        "How often sizes and each Redis are measured",
    ),
    key(
        "schedule",
        "scan",
        Kind::Duration,
        Text("10m"),
        "How often it is worked out what could go, which costs a full scan",
    ),
    key(
        "schedule",
        "missed",
        Kind::Word(&["run", "skip"]),
        Text("run"),
        "Whether a run that was missed while larder did not run is made up for, once",
    ),
    key(
        "watch",
        "free-below",
        Kind::Size,
        Off,
        "Prune when the disk under the caches has less than this free, and tell where that lasts",
    ),
    key("watch", "on-budget", Kind::Bool, Text("true"), "Prune when a cache passes its max-size"),
    key(
        "watch",
        "cool-down",
        Kind::Duration,
        Text("10m"),
        "Prune no cache again so soon, whatever triggers it",
    ),
    key("watch", "per-day", Kind::Count, Text("24"), "Prune no cache more often in a day"),
    key(
        "watch",
        "wait-for-builds",
        Kind::Duration,
        Text("1h"),
        "Wait so long for running builds before pruning beside them, which protects their entries",
    ),
    key(
        "watch",
        "window",
        Kind::Hours,
        Off,
        "In production: apply approved plans only at this time, as in \"22:00-06:00\"",
    ),
    key("alert", "raise-below", Kind::Count, RAISE, "A score below this raises an alert"),
    key("alert", "clear-above", Kind::Count, Text("85"), "A score from this on clears it"),
    key("alert", "critical-below", Kind::Count, Text("70"), "A score below this is critical"),
    key("alert", "for", Kind::Duration, Text("1m"), "What is bad raises when it lasts so long"),
    key("alert", "remind", Kind::Limit, Text("4h"), "Tell again of what still fires"),
    key(
        "alert",
        "group-wait",
        Kind::Duration,
        Text("30s"),
        "What is raised waits so long for others, to be one message; critical waits for nobody",
    ),
    key(
        "alert",
        "group-interval",
        Kind::Duration,
        Text("5m"),
        "What is raised while others fire waits until these were told of for so long",
    ),
    key(
        "alert",
        "growth",
        Kind::Size,
        Off,
        "Growth of a cache above this much a day raises an alert",
    ),
    key(
        "alert",
        "unusual",
        Kind::Bool,
        Text("false"),
        "What is far from usual at that hour raises too, once there is enough history",
    ),
    key(
        "alert",
        "inhibit",
        Kind::Texts,
        Empty,
        "While the first fires the second is not told, as in [\"redis:a > redis:b\"]",
    ),
    key(
        "alert",
        "runbooks",
        Kind::Text,
        Off,
        "Where the runbooks are published, as a URL, for links in what is told",
    ),
    key(
        "health",
        "connections",
        Kind::Count,
        Off,
        "Points that nearly all connections in use take",
    ),
    key("health", "evictions", Kind::Count, Off, "Points that evictions take"),
    key("health", "fragmentation", Kind::Count, Off, "Points that fragmented memory takes"),
    key("health", "persistence", Kind::Count, Off, "Points that a failed save takes"),
    key("health", "replication", Kind::Count, Off, "Points that a replica out of step takes"),
    key("serve", "listen", Kind::Address, Text("127.0.0.1:8000"), "Where larder serve listens"),
    key(
        "serve",
        "token-file",
        Kind::File,
        Off,
        "The file that holds the token of changing requests",
    ),
    key("serve", "web-config", Kind::File, Off, "TLS and users, as the exporter toolkit has it"),
    key("serve", "hosts", Kind::Texts, Empty, "Names by which it may be asked, beside its address"),
    key("log", "format", Kind::Word(&["text", "json"]), Text("text"), "Lines for people, or ECS"),
    key("log", "file", Kind::File, Off, "Write the log there instead of standard error"),
];

/// What a table is about, for the file that `init` writes.
pub fn table_help(table: &str) -> &'static str {
    match table {
        "schedule" => "When larder watch acts",
        "watch" => "What makes larder watch act, and how often at most",
        "alert" => "When somebody is told",
        "health" => "What takes points of a Redis beside the score's own three parts",
        "serve" => "HTTP: larder serve",
        "log" => "The log of larder watch and larder serve",
        _ => "",
    }
}

/// The settings of what runs by itself, typed.
#[derive(Clone, Debug, PartialEq)]
pub struct DaemonSettings {
    /// `[schedule]`
    pub schedule: ScheduleSettings,
    /// `[watch]`
    pub watch: WatchSettings,
    /// `[alert]`
    pub alert: AlertSettings,
    /// `[health]`
    pub health: Points,
    /// `[serve]`
    pub serve: ServeSettings,
    /// `log.format` is JSON.
    pub log_json: bool,
    /// `log.file`
    pub log_file: Option<PathBuf>,
}

/// `[schedule]`
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleSettings {
    /// `prune`
    pub prune: Option<Cron>,
    /// `verify`
    pub verify: Option<Cron>,
    /// `download`
    pub download: Option<Cron>,
    /// `sample`
    pub sample: Duration,
    /// `scan`
    pub scan: Duration,
    /// Whether a missed run is made up for.
    pub make_up: bool,
}

/// `[watch]`
#[derive(Clone, Debug, PartialEq)]
pub struct WatchSettings {
    /// `free-below`, bytes.
    pub free_below: Option<u64>,
    /// `on-budget`
    pub on_budget: bool,
    /// `cool-down`
    pub cool_down: Duration,
    /// `per-day`
    pub per_day: u32,
    /// `wait-for-builds`
    pub wait_for_builds: Duration,
    /// `window`; at any time where there is none.
    pub window: Option<Window>,
}

/// `[alert]`
#[derive(Clone, Debug, PartialEq)]
pub struct AlertSettings {
    /// When an alert is raised, cleared, told again.
    pub thresholds: Thresholds,
    /// `growth`, bytes a day.
    pub growth: Option<u64>,
    /// `unusual`
    pub unusual: bool,
    /// `inhibit`: while the first fires the second is not told.
    pub inhibit: Vec<(String, String)>,
    /// `runbooks`
    pub runbooks: Option<String>,
}

/// `[health]`: points that a finding takes; zero where it is only shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Points {
    /// `connections`
    pub connections: u32,
    /// `evictions`
    pub evictions: u32,
    /// `fragmentation`
    pub fragmentation: u32,
    /// `persistence`
    pub persistence: u32,
    /// `replication`
    pub replication: u32,
}

/// `[serve]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeSettings {
    /// `listen`
    pub listen: String,
    /// `token-file`
    pub token_file: Option<PathBuf>,
    /// `web-config`
    pub web_config: Option<PathBuf>,
    /// `hosts`
    pub hosts: Vec<String>,
}

/// Types the settings, and tells what does not fit together.
pub(crate) fn typed(values: &Values<'_>) -> (DaemonSettings, Vec<String>) {
    let mut wrong = Vec::new();
    let seconds =
        |path: &str, default: u64| values.duration(path).unwrap_or(Duration::from_secs(default));
    let cron =
        |path: &str| values.text(path).and_then(|text| larder_engine::schedule::parse(&text).ok());
    let schedule = ScheduleSettings {
        prune: cron("schedule.prune"),
        verify: cron("schedule.verify"),
        download: cron("schedule.download"),
        sample: seconds("schedule.sample", 15).max(Duration::from_secs(1)),
        scan: seconds("schedule.scan", 600).max(Duration::from_secs(1)),
        make_up: values.word("schedule.missed") != "skip",
    };
    let watch = WatchSettings {
        free_below: values.size("watch.free-below").map(|size| size.0),
        on_budget: values.on("watch.on-budget"),
        cool_down: seconds("watch.cool-down", 600),
        per_day: values.count("watch.per-day").unwrap_or(u32::MAX),
        wait_for_builds: seconds("watch.wait-for-builds", 3600),
        window: values.text("watch.window").and_then(|text| text.parse().ok()),
    };
    let points = |name: &str| values.count(&format!("health.{name}")).unwrap_or(0);
    let settings = DaemonSettings {
        schedule,
        watch,
        alert: alert(values, &mut wrong),
        health: Points {
            connections: points("connections"),
            evictions: points("evictions"),
            fragmentation: points("fragmentation"),
            persistence: points("persistence"),
            replication: points("replication"),
        },
        serve: ServeSettings {
            listen: values.text("serve.listen").unwrap_or_default(),
            token_file: values.file("serve.token-file"),
            web_config: values.file("serve.web-config"),
            hosts: values.texts("serve.hosts"),
        },
        log_json: values.word("log.format") == "json",
        log_file: values.file("log.file"),
    };
    (settings, wrong)
}

fn alert(values: &Values<'_>, wrong: &mut Vec<String>) -> AlertSettings {
    let level =
        |name: &str, default| values.count(&format!("alert.{name}")).map_or(default, f64::from);
    let defaults = Thresholds::default();
    let thresholds = Thresholds {
        raise_below: level("raise-below", defaults.raise_below),
        clear_above: level("clear-above", defaults.clear_above),
        critical_below: level("critical-below", defaults.critical_below),
        hold: values.duration("alert.for").unwrap_or(defaults.hold),
        remind: values.duration("alert.remind"),
        group_wait: values.duration("alert.group-wait").unwrap_or(defaults.group_wait),
        group_interval: values.duration("alert.group-interval").unwrap_or(defaults.group_interval),
    };
    if thresholds.clear_above < thresholds.raise_below {
        let (clear, raise) = (thresholds.clear_above, thresholds.raise_below);
        wrong.push(format!(
            "alert.clear-above is {clear}, which is below alert.raise-below, {raise}: an alert \
             would be raised and cleared by the same score"
        ));
    }
    let pair = |text: String| match text.split_once('>') {
        Some((first, second)) if !first.trim().is_empty() && !second.trim().is_empty() => {
            Some((first.trim().to_owned(), second.trim().to_owned()))
        }
        _ => {
            wrong.push(format!("alert.inhibit: expected \"redis:a > redis:b\", found {text:?}"));
            None
        }
    };
    AlertSettings {
        thresholds,
        growth: values.size("alert.growth").map(|size| size.0),
        unusual: values.on("alert.unusual"),
        inhibit: values.texts("alert.inhibit").into_iter().filter_map(pair).collect(),
        runbooks: values.text("alert.runbooks"),
    }
}
