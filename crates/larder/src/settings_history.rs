//! `[history]`: where samples over time are, how much of them is kept, and how a server is asked.

use std::path::PathBuf;
use std::time::Duration;

use crate::settings::Values;
use crate::settings_value::Value;

/// Where trends come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HistoryKind {
    /// larder's own file.
    #[default]
    Local,
    /// A Prometheus server that scrapes larder.
    Prometheus,
    /// Nothing is kept.
    Off,
}

/// `[history]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistorySettings {
    /// `kind`
    pub kind: HistoryKind,
    /// `keep-raw`
    pub keep_raw: Duration,
    /// `keep-fine`
    pub keep_fine: Duration,
    /// `keep`
    pub keep: Duration,
    /// `max-size`, bytes; `None` for no limit
    pub max_size: Option<u64>,
    /// `url`
    pub url: Option<String>,
    /// `username`
    pub username: Option<String>,
    /// `password-file`
    pub password_file: Option<PathBuf>,
    /// `bearer-file`
    pub bearer_file: Option<PathBuf>,
    /// `labels`
    pub labels: Option<String>,
    /// `host-label`
    pub host_label: Option<String>,
    /// `timeout`
    pub timeout: Duration,
}

impl HistorySettings {
    /// Out of all settings.
    pub(crate) fn of(values: &Values<'_>) -> Self {
        let text = |path: &str| match values.get(path) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let file = |path: &str| match values.get(path) {
            Some(Value::File(file)) => Some(file.clone()),
            _ => None,
        };
        let duration = |path: &str| values.duration(path).unwrap_or_default();
        Self {
            kind: match values.word("history.kind") {
                "prometheus" => HistoryKind::Prometheus,
                "off" => HistoryKind::Off,
                _ => HistoryKind::Local,
            },
            keep_raw: duration("history.keep-raw"),
            keep_fine: duration("history.keep-fine"),
            keep: duration("history.keep"),
            max_size: values.size("history.max-size").map(|size| size.0),
            url: text("history.url"),
            username: text("history.username"),
            password_file: file("history.password-file"),
            bearer_file: file("history.bearer-file"),
            labels: text("history.labels"),
            host_label: text("history.host-label"),
            timeout: duration("history.timeout"),
        }
    }
}
