//! `[notify.NAME]`: who is told of alerts.
//!
//! An address of a chat robot is a secret in itself, so `url-file` may name the file that holds it;
//! what signs and logs in is only ever in `secret-file`.

use std::path::PathBuf;
use std::time::Duration;

use larder_core::Severity;

use crate::settings::Settled;
use crate::settings_keys::{Fallback, Key, Kind, key};
use crate::settings_value::Value;

/// The table that holds the named ones.
pub const TABLE: &str = "notify";

/// What a receiver can be.
pub const KINDS: &[&str] = &[
    "alertmanager",
    "webhook",
    "slack",
    "dingtalk",
    "feishu",
    "wecom",
    "discord",
    "teams",
    "pagerduty",
    "mail",
    "log",
    "command",
];

/// Every setting of a `[notify.NAME]`.
pub static NAMED: &[Key] = &[
    key(TABLE, "kind", Kind::Word(KINDS), Fallback::Off, "What it is"),
    key(TABLE, "url", Kind::Text, Fallback::Off, "Where it is; for mail smtp:// or smtps://"),
    key(TABLE, "url-file", Kind::File, Fallback::Off, "The file that holds its URL"),
    key(
        TABLE,
        "secret-file",
        Kind::File,
        Fallback::Off,
        "The file that holds what signs messages or logs in",
    ),
    key(TABLE, "file", Kind::File, Fallback::Off, "Where a log is written to"),
    key(TABLE, "command", Kind::Texts, Fallback::Empty, "A program and its arguments"),
    key(TABLE, "from", Kind::Text, Fallback::Off, "Who sends mail"),
    key(TABLE, "to", Kind::Texts, Fallback::Empty, "Who gets mail"),
    key(TABLE, "username", Kind::Text, Fallback::Off, "Who logs in to send mail"),
    key(TABLE, "template-file", Kind::File, Fallback::Off, "A template for a webhook's body"),
    key(
        TABLE,
        "least",
        Kind::Word(&["info", "warning", "critical"]),
        Fallback::Text("info"),
        "Tell it nothing that is less bad",
    ),
    key(
        TABLE,
        "language",
        Kind::Word(&["en", "zh"]),
        Fallback::Text("en"),
        "The language of its messages",
    ),
    key(TABLE, "timeout", Kind::Duration, Fallback::Text("10s"), "Wait so long for an answer"),
    key(TABLE, "per-minute", Kind::Count, Fallback::Off, "Send it at most so many a minute"),
];

/// A receiver by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifySettings {
    /// The NAME of `[notify.NAME]`.
    pub name: String,
    /// One of [`KINDS`].
    pub kind: &'static str,
    /// `url`.
    pub url: Option<String>,
    /// `url-file`.
    pub url_file: Option<PathBuf>,
    /// `secret-file`.
    pub secret_file: Option<PathBuf>,
    /// `file`.
    pub file: Option<PathBuf>,
    /// `command`.
    pub command: Vec<String>,
    /// `from`.
    pub from: Option<String>,
    /// `to`.
    pub to: Vec<String>,
    /// `username`.
    pub username: Option<String>,
    /// `template-file`.
    pub template_file: Option<PathBuf>,
    /// `least`.
    pub least: Severity,
    /// Whether `language` is Chinese.
    pub chinese: bool,
    /// `timeout`.
    pub timeout: Duration,
    /// `per-minute`.
    pub per_minute: Option<u32>,
}

impl NotifySettings {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: "",
            url: None,
            url_file: None,
            secret_file: None,
            file: None,
            command: Vec::new(),
            from: None,
            to: Vec::new(),
            username: None,
            template_file: None,
            least: Severity::Info,
            chinese: false,
            timeout: Duration::from_secs(10),
            per_minute: None,
        }
    }

    fn take(&mut self, key: &Key, value: &Value) {
        match (key.name, value) {
            ("kind", Value::Word(kind)) => self.kind = kind,
            ("url", Value::Text(url)) => self.url = Some(url.clone()),
            ("url-file", Value::File(path)) => self.url_file = Some(path.clone()),
            ("secret-file", Value::File(path)) => self.secret_file = Some(path.clone()),
            ("file", Value::File(path)) => self.file = Some(path.clone()),
            ("template-file", Value::File(path)) => self.template_file = Some(path.clone()),
            ("command", Value::Texts(words)) => self.command.clone_from(words),
            ("from", Value::Text(from)) => self.from = Some(from.clone()),
            ("to", Value::Texts(to)) => self.to.clone_from(to),
            ("username", Value::Text(user)) => self.username = Some(user.clone()),
            ("least", Value::Word("critical")) => self.least = Severity::Critical,
            ("least", Value::Word("warning")) => self.least = Severity::Warning,
            ("least", Value::Word(_)) => self.least = Severity::Info,
            ("language", Value::Word(word)) => self.chinese = *word == "zh",
            ("timeout", Value::Duration(limit)) => self.timeout = *limit,
            ("per-minute", Value::Count(count)) => self.per_minute = Some(*count),
            _ => {}
        }
    }

    /// What is missing for its kind, if anything is.
    fn lacks(&self) -> Option<&'static str> {
        let has_url = self.url.is_some() || self.url_file.is_some();
        match self.kind {
            "" => Some("kind"),
            "log" => self.file.is_none().then_some("file"),
            "command" => self.command.is_empty().then_some("command"),
            "mail" if self.from.is_none() => Some("from"),
            "mail" if self.to.is_empty() => Some("to"),
            "pagerduty" => self.secret_file.is_none().then_some("secret-file, the routing key"),
            _ => (!has_url).then_some("url or url-file"),
        }
    }
}

/// Every `[notify.NAME]`, by name; or what is wrong with them.
pub fn receivers(settled: &[Settled]) -> Result<Vec<NotifySettings>, Vec<String>> {
    let mut all: Vec<NotifySettings> = Vec::new();
    for setting in settled {
        let Some(name) = setting.instance_of(TABLE) else { continue };
        if all.last().is_none_or(|last| last.name != name) {
            all.push(NotifySettings::new(name));
        }
        if let Some(last) = all.last_mut() {
            last.take(setting.key, &setting.value);
        }
    }
    let lacking = all.iter().filter_map(|one| Some((one, one.lacks()?)));
    let wrong: Vec<String> =
        lacking.map(|(one, what)| format!("[notify.{}] has no {what}", one.name)).collect();
    if wrong.is_empty() { Ok(all) } else { Err(wrong) }
}
