//! The words around what an alert says, in English and in Chinese.
//!
//! The sentences inside an alert are those of `sentences.rs`.

use std::time::Duration;

use larder_core::time::Age;
use larder_core::{Alert, Occasion, Severity};

use crate::receiver::Language;

impl Language {
    /// `WARNING`, `CLEARED`, `WARNING (reminder)`.
    pub(crate) fn state(self, occasion: Occasion, severity: Severity) -> String {
        let severity = match (self, severity) {
            (Self::En, Severity::Info) => "INFO",
            (Self::En, Severity::Warning) => "WARNING",
            (Self::En, Severity::Critical) => "CRITICAL",
            (Self::Zh, Severity::Info) => "提示",
            (Self::Zh, Severity::Warning) => "警告",
            (Self::Zh, Severity::Critical) => "严重",
        };
        match (self, occasion) {
            (_, Occasion::Raised) => severity.to_owned(),
            (Self::En, Occasion::Changed) => format!("{severity} (changed)"),
            (Self::En, Occasion::Reminder) => format!("{severity} (reminder)"),
            (Self::En, Occasion::Cleared) => "CLEARED".to_owned(),
            (Self::En, Occasion::Report) => "REPORT".to_owned(),
            (Self::En, Occasion::Test) => "TEST".to_owned(),
            (Self::Zh, Occasion::Changed) => format!("{severity}(有变化)"),
            (Self::Zh, Occasion::Reminder) => format!("{severity}(提醒)"),
            (Self::Zh, Occasion::Cleared) => "已恢复".to_owned(),
            (Self::Zh, Occasion::Report) => "报告".to_owned(),
            (Self::Zh, Occasion::Test) => "测试".to_owned(),
        }
    }

    /// ` health 77 (was 92), for 2 min`: the rest of a title, after the cache. Scores are rounded
    /// down, so that none is shown above a limit that it is below.
    pub(crate) fn standing(self, alert: &Alert, occasion: Occasion, lasted: Duration) -> String {
        let over = occasion == Occasion::Cleared;
        let before = alert.score_before.filter(|_| !over);
        let score = match (self, alert.score, before) {
            (Self::En, Some(now), Some(was)) => {
                format!(" health {:.0} (was {:.0})", now.floor(), was.floor())
            }
            (Self::En, Some(now), None) => format!(" health {:.0}", now.floor()),
            (Self::Zh, Some(now), Some(was)) => {
                format!(" 健康分 {:.0}(原为 {:.0})", now.floor(), was.floor())
            }
            (Self::Zh, Some(now), None) => format!(" 健康分 {:.0}", now.floor()),
            (_, None, _) => format!(" {}", alert.name),
        };
        let long = match (self, over) {
            _ if lasted < Duration::from_secs(1) => String::new(),
            (Self::En, false) => format!(", for {}", Age(lasted)),
            (Self::En, true) => format!(", after {}", Age(lasted)),
            (Self::Zh, false) => format!(",已持续 {}", self.age(lasted)),
            (Self::Zh, true) => format!(",共持续 {}", self.age(lasted)),
        };
        score + &long
    }

    fn age(self, lasted: Duration) -> String {
        let text = Age(lasted).to_string();
        if self == Self::En {
            return text;
        }
        let (number, unit) = text.split_once(' ').unwrap_or((&text, ""));
        format!("{number} {}", self.unit(unit).unwrap_or(unit))
    }

    /// A unit of time, where it has another word.
    pub(crate) fn unit(self, unit: &str) -> Option<&'static str> {
        match (self, unit) {
            (Self::Zh, "s") => Some("秒"),
            (Self::Zh, "min") => Some("分钟"),
            (Self::Zh, "h") => Some("小时"),
            (Self::Zh, "d") => Some("天"),
            (Self::Zh, "y") => Some("年"),
            _ => None,
        }
    }

    /// Between a title and the machine.
    pub(crate) fn on(self) -> &'static str {
        match self {
            Self::En => ", on ",
            Self::Zh => ",主机 ",
        }
    }

    /// A dimension of the score, or a finding's id as it is.
    pub(crate) fn reason(self, id: &str) -> String {
        let word = match (self, id) {
            (Self::Zh, "hit_rate") => "命中率",
            (Self::Zh, "memory") => "内存",
            (Self::Zh, "latency") => "延迟",
            (Self::Zh, "connections") => "连接数",
            (Self::Zh, "evictions" | "eviction_rate") => "淘汰率",
            (Self::Zh, "budget") => "预算",
            (Self::Zh, "growth") => "增长",
            (Self::Zh, "integrity") => "完整性",
            (Self::Zh, "waste") => "可清理",
            (Self::Zh, "fragmentation") => "碎片",
            (Self::Zh, "persistence") => "持久化",
            (Self::Zh, "replication") => "复制",
            (_, id) => return id.replace('_', " "),
        };
        word.to_owned()
    }

    /// Between a name and what is said of it.
    pub(crate) fn colon(self) -> &'static str {
        match self {
            Self::En => ": ",
            Self::Zh => ":",
        }
    }

    /// Before the command that mends it.
    pub(crate) fn mend(self, frees: Option<String>) -> String {
        match (self, frees) {
            (Self::En, Some(bytes)) => format!("Frees about {bytes}"),
            (Self::En, None) => "To do".to_owned(),
            (Self::Zh, Some(bytes)) => format!("约可释放 {bytes}"),
            (Self::Zh, None) => "处理".to_owned(),
        }
    }

    /// Before what larder did.
    pub(crate) fn done(self) -> &'static str {
        match self {
            Self::En => "Done by itself",
            Self::Zh => "已自动处理",
        }
    }

    /// Before the page that says what to do.
    pub(crate) fn runbook(self) -> &'static str {
        match self {
            Self::En => "Runbook",
            Self::Zh => "处理手册",
        }
    }

    /// All of a test.
    pub(crate) fn test(self) -> &'static str {
        match self {
            Self::En => "Nothing is wrong: somebody tests this way.",
            Self::Zh => "一切正常:有人在测试此通知渠道。",
        }
    }

    /// What the queue could not hold.
    pub(crate) fn missed(self, count: u64) -> String {
        match self {
            Self::En if count == 1 => "1 older notice was dropped: too many waited".to_owned(),
            Self::En => format!("{count} older notices were dropped: too many waited"),
            Self::Zh => format!("等待的通知过多,已丢弃 {count} 条较早的通知"),
        }
    }

    /// What did not fit.
    pub(crate) fn more(self, lines: usize) -> String {
        match self {
            Self::En => format!("… {lines} more"),
            Self::Zh => format!("… 另有 {lines} 行"),
        }
    }

    /// The subject of a message about several alerts.
    pub(crate) fn several(self, count: usize, host: &str) -> String {
        match self {
            Self::En => format!("{count} alerts, on {host}"),
            Self::Zh => format!("{count} 条告警,主机 {host}"),
        }
    }
}
