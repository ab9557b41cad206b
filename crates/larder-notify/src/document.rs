//! A notice as JSON: `larder/notice/1`, what a webhook and a command get.
//!
//! The rules are those of every document of larder: fields are added and never renamed, bytes are
//! integers, times RFC 3339 in UTC. The published schema comes out of these types.

use jiff::Timestamp;
use larder_core::{Alert, Notice, Time};
use schemars::JsonSchema;
use serde::Serialize;

use crate::receiver::Language;
use crate::text::{Content, Links, Style, plain, subject};

/// The schema's name.
pub const SCHEMA: &str = "larder/notice/1";

/// A notice.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct NoticeDoc {
    /// `larder/notice/1`.
    pub schema: &'static str,
    /// The same for the same occasion of the same alerts: a receiver that has seen it may skip it.
    pub id: String,
    /// Why now: `raised`, `changed`, `reminder`, `cleared`, `report` or `test`.
    pub occasion: &'static str,
    /// When.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// The machine that larder runs on.
    pub host: String,
    /// All of it in one line.
    pub title: String,
    /// All of it as a person would read it.
    pub text: String,
    /// At least one.
    pub alerts: Vec<AlertDoc>,
}

/// An alert in it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AlertDoc {
    /// In CamelCase, as in the exported rules.
    pub name: String,
    /// The cache, as on the command line.
    pub cache: String,
    /// `info`, `warning` or `critical`.
    pub severity: &'static str,
    /// When it was raised.
    #[schemars(extend("format" = "date-time"))]
    pub since: String,
    /// When it was over.
    #[schemars(extend("format" = "date-time"))]
    pub ended: Option<String>,
    /// 0 to 100.
    pub score: Option<f64>,
    /// The score before it was raised.
    pub score_before: Option<f64>,
    /// Why, the costliest first.
    pub reasons: Vec<ReasonDoc>,
    /// How the cache grows, in one sentence.
    pub trend: Option<String>,
    /// What to type.
    pub command: Option<String>,
    /// What that would free.
    pub frees_bytes: Option<u64>,
    /// What larder did by itself, and the way back.
    pub done: Vec<String>,
    /// More for who has to act.
    pub details: Vec<String>,
    /// The page that says what to do.
    pub runbook: String,
}

/// A reason of an alert.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ReasonDoc {
    /// A dimension of the score, or a finding's id.
    pub id: String,
    /// Points of the score that it takes.
    pub lost: Option<f64>,
    /// One sentence with its evidence.
    pub text: String,
}

impl NoticeDoc {
    /// The document of a notice; `title` and `text` in `language`.
    pub fn new(notice: &Notice, language: Language, links: &Links) -> Self {
        let content = Content { notices: std::slice::from_ref(notice), missed: 0 };
        Self {
            schema: SCHEMA,
            id: notice.id.clone(),
            occasion: notice.occasion.name(),
            at: time(notice.at),
            host: notice.host.clone(),
            title: subject(content, Style { language, links }),
            text: plain(notice, language, links),
            alerts: notice.alerts.iter().map(|alert| AlertDoc::new(alert, links)).collect(),
        }
    }
}

impl AlertDoc {
    fn new(alert: &Alert, links: &Links) -> Self {
        let reasons = alert.reasons.iter().map(|reason| ReasonDoc {
            id: reason.id.clone(),
            lost: reason.lost,
            text: reason.text.clone(),
        });
        Self {
            name: alert.name.clone(),
            cache: alert.cache.clone(),
            severity: alert.severity.name(),
            since: time(alert.since),
            ended: alert.ended.map(time),
            score: alert.score,
            score_before: alert.score_before,
            reasons: reasons.collect(),
            trend: Some(alert.trend.clone()).filter(|trend| !trend.is_empty()),
            command: alert.command.clone(),
            frees_bytes: alert.frees,
            done: alert.done.clone(),
            details: alert.details.clone(),
            runbook: links.runbook(alert),
        }
    }
}

/// RFC 3339 in UTC.
pub(crate) fn time(at: Time) -> String {
    // Every `Time` lies in the years 1677 to 2262, which a timestamp can hold.
    Timestamp::from_nanosecond(i128::from(at.unix_nanos())).unwrap_or_default().to_string()
}
