//! The alert board as a text that outlives a restart, and alerts as they stand in such texts.

use larder_core::alert_board::{Board, Phase, Tracked};
use larder_core::{Alert, Reason, Severity, Time};
use serde::{Deserialize, Serialize};

/// Where it is kept in the history.
pub(crate) const KEY: &str = "alerts";

#[derive(Debug, Serialize, Deserialize)]
struct File {
    tracked: Vec<Line>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    alert: AlertLine,
    /// `pending`, `firing` or `over`.
    phase: String,
    /// Since when it is pending, or good again.
    phase_since: Option<i64>,
    told: Option<(i64, String)>,
    tellings: u32,
    news: bool,
    /// Since when something is to be told that may pass.
    #[serde(default)]
    unsaid: Option<i64>,
    /// Since when it waits for others to be told with.
    #[serde(default)]
    waits: Option<i64>,
}

/// An alert.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AlertLine {
    name: String,
    cache: String,
    severity: String,
    since: i64,
    ended: Option<i64>,
    score: Option<f64>,
    score_before: Option<f64>,
    reasons: Vec<(String, Option<f64>, String)>,
    trend: String,
    command: Option<String>,
    frees: Option<u64>,
    done: Vec<String>,
    details: Vec<String>,
}

/// As text.
pub(crate) fn write(board: &Board) -> String {
    let tracked = board.tracked.iter().map(Line::from).collect();
    serde_json::to_string(&File { tracked }).unwrap_or_default()
}

/// From text; what cannot be read is as good as none.
pub(crate) fn read(text: &str) -> Board {
    let file: Option<File> = serde_json::from_str(text).ok();
    let tracked = file.map(|file| file.tracked.into_iter().filter_map(Line::tracked).collect());
    Board { tracked: tracked.unwrap_or_default() }
}

/// The severity of this name.
pub(crate) fn severity(name: &str) -> Option<Severity> {
    [Severity::Info, Severity::Warning, Severity::Critical].into_iter().find(|s| s.name() == name)
}

impl From<&Tracked> for Line {
    fn from(tracked: &Tracked) -> Self {
        let (phase, since) = match tracked.phase {
            Phase::Pending { since } => ("pending", Some(since)),
            Phase::Firing { good_since } => ("firing", good_since),
            Phase::Over => ("over", None),
        };
        Self {
            alert: AlertLine::from(&tracked.alert),
            phase: phase.to_owned(),
            phase_since: since.map(Time::unix_nanos),
            told: tracked.told.map(|(at, s)| (at.unix_nanos(), s.name().to_owned())),
            tellings: tracked.tellings,
            news: tracked.news,
            unsaid: tracked.unsaid.map(Time::unix_nanos),
            waits: tracked.waits.map(Time::unix_nanos),
        }
    }
}

impl Line {
    fn tracked(self) -> Option<Tracked> {
        let time = Time::from_unix_nanos;
        let since = self.phase_since.map(time);
        let phase = match self.phase.as_str() {
            "pending" => Phase::Pending { since: since? },
            "firing" => Phase::Firing { good_since: since },
            "over" => Phase::Over,
            _ => return None,
        };
        let told = match self.told {
            Some((at, name)) => Some((time(at), severity(&name)?)),
            None => None,
        };
        Some(Tracked {
            alert: self.alert.alert()?,
            phase,
            told,
            tellings: self.tellings,
            news: self.news,
            unsaid: self.unsaid.map(time),
            waits: self.waits.map(time),
        })
    }
}

impl From<&Alert> for AlertLine {
    fn from(alert: &Alert) -> Self {
        let reason = |r: &Reason| (r.id.clone(), r.lost, r.text.clone());
        Self {
            name: alert.name.clone(),
            cache: alert.cache.clone(),
            severity: alert.severity.name().to_owned(),
            since: alert.since.unix_nanos(),
            ended: alert.ended.map(Time::unix_nanos),
            score: alert.score,
            score_before: alert.score_before,
            reasons: alert.reasons.iter().map(reason).collect(),
            trend: alert.trend.clone(),
            command: alert.command.clone(),
            frees: alert.frees,
            done: alert.done.clone(),
            details: alert.details.clone(),
        }
    }
}

impl AlertLine {
    /// The alert, where its severity is known.
    pub(crate) fn alert(self) -> Option<Alert> {
        let time = Time::from_unix_nanos;
        let reason = |(id, lost, text)| Reason { id, lost, text };
        Some(Alert {
            severity: severity(&self.severity)?,
            name: self.name,
            cache: self.cache,
            since: time(self.since),
            ended: self.ended.map(time),
            score: self.score,
            score_before: self.score_before,
            reasons: self.reasons.into_iter().map(reason).collect(),
            trend: self.trend,
            command: self.command,
            frees: self.frees,
            done: self.done,
            details: self.details,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_comes_back_as_it_was() {
        let alert = Alert {
            name: "RedisCacheUnhealthy".into(),
            cache: "redis:a".into(),
            severity: Severity::Critical,
            since: Time::from_unix_nanos(1_700_000_000_123_456_789),
            ended: None,
            score: Some(61.5),
            score_before: Some(92.0),
            reasons: vec![Reason { id: "memory".into(), lost: Some(16.0), text: "full".into() }],
            trend: "+41 MB/h".into(),
            command: Some("larder audit redis:a".into()),
            frees: Some(12),
            done: vec!["limited".into()],
            details: vec!["KEYS *".into()],
        };
        let at = Time::from_unix(1_700_000_100);
        let phases = [
            Phase::Pending { since: at },
            Phase::Firing { good_since: None },
            Phase::Firing { good_since: Some(at) },
            Phase::Over,
        ];
        let told = Some((at, Severity::Warning));
        let tracked = phases.map(|phase| Tracked {
            alert: alert.clone(),
            phase,
            told,
            tellings: 3,
            news: true,
            unsaid: Some(at),
            waits: Some(at),
        });
        let board = Board { tracked: tracked.to_vec() };
        assert_eq!(read(&write(&board)), board);
        assert_eq!(read("{"), Board::default());
    }
}
