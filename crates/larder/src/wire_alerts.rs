//! `larder/alerts/1`.

use larder_core::alert_board::{Phase, Tracked};
use larder_core::{Board, Time};
use schemars::JsonSchema;
use serde::Serialize;

use crate::wire::{Document, WireTime};

/// What fires.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AlertsDoc {
    schema: &'static str,
    /// The oldest first.
    alerts: Vec<WireAlert>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireAlert {
    /// As in the exported rules.
    name: String,
    cache: String,
    /// `info`, `warning` or `critical`.
    severity: &'static str,
    /// When it was raised, or began to be bad.
    since: WireTime,
    /// `pending` before it was bad for long enough, then `firing`.
    state: &'static str,
    /// 0 to 100; null where it is not known.
    score: Option<f64>,
    /// The score before it was raised.
    score_before: Option<f64>,
    /// The costliest first.
    reasons: Vec<WireReason>,
    /// How the cache grows; empty where that is not known.
    trend: String,
    /// What to type.
    command: Option<String>,
    /// What that would free.
    frees_bytes: Option<u64>,
    /// What larder did by itself, and the way back.
    done: Vec<String>,
    /// More for who has to act.
    details: Vec<String>,
    /// The page that says what to do about it.
    runbook: String,
    /// When somebody was last told.
    told_at: Option<WireTime>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireReason {
    id: String,
    /// Points of the score.
    lost: Option<f64>,
    text: String,
}

impl Document for AlertsDoc {
    const SCHEMA: &'static str = "larder/alerts/1";
}

impl From<&Board> for AlertsDoc {
    fn from(board: &Board) -> Self {
        let over = |tracked: &&Tracked| tracked.phase != Phase::Over;
        let mut tracked: Vec<&Tracked> = board.tracked.iter().filter(over).collect();
        tracked.sort_by_key(|tracked| tracked.alert.since);
        Self { schema: Self::SCHEMA, alerts: tracked.into_iter().map(WireAlert::from).collect() }
    }
}

impl From<&Tracked> for WireAlert {
    fn from(tracked: &Tracked) -> Self {
        let alert = &tracked.alert;
        let firing = matches!(tracked.phase, Phase::Firing { .. });
        let reasons = alert.reasons.iter().map(|reason| WireReason {
            id: reason.id.clone(),
            lost: reason.lost,
            text: reason.text.clone(),
        });
        Self {
            name: alert.name.clone(),
            cache: alert.cache.clone(),
            severity: alert.severity.name(),
            since: WireTime(alert.since),
            state: if firing { "firing" } else { "pending" },
            score: alert.score,
            score_before: alert.score_before,
            reasons: reasons.collect(),
            trend: alert.trend.clone(),
            command: alert.command.clone(),
            frees_bytes: alert.frees,
            done: alert.done.clone(),
            details: alert.details.clone(),
            runbook: alert.runbook(),
            told_at: tracked.told.map(|(at, _): (Time, _)| WireTime(at)),
        }
    }
}
