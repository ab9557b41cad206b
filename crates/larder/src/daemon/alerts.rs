//! From what is known of each cache to what somebody is told: one alert a cache, with its reasons.

use std::time::Duration;

use larder_core::alert_board::{Judged, Telling, Verdict};
use larder_core::size::Units;
use larder_core::{Alert, Board, Notice, Occasion, Reason, Severity, Time};
use larder_server::Growth;

use super::silences::Silences;
use crate::health::Health;
use crate::settings_daemon::AlertSettings;

/// What is known of one cache, to be judged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence<'a> {
    pub health: Option<&'a Health>,
    pub growth: Option<&'a Growth>,
    /// Why it could not be measured, and for how long.
    pub unmeasured: Option<(&'a str, Duration)>,
    /// The score when it was last good.
    pub good_score: Option<f64>,
    /// What is far from usual at this hour, a sentence each.
    pub unusual: Vec<String>,
    /// What the most useful command would free, bytes.
    pub frees: Option<u64>,
    pub units: Units,
}

const DAY: f64 = 86_400.0;

/// How a cache is to be taken.
pub(crate) fn judge(
    cache: &str,
    evidence: &Evidence<'_>,
    settings: &AlertSettings,
    now: Time,
) -> Judged {
    let thresholds = &settings.thresholds;
    let health = evidence.health;
    let score = health.and_then(|health| health.score.value);
    let mut verdict = thresholds.judge(score);
    let mut severity = score.map_or(Severity::Warning, |score| thresholds.severity(score));
    let mut reasons = health.map(reasons).unwrap_or_default();
    let mut add = |id: &str, text: String| {
        reasons.push(Reason { id: id.to_owned(), lost: None, text });
        verdict = Verdict::Bad;
    };
    let growth = evidence
        .growth
        .filter(|growth| settings.growth.is_some_and(|most| growth.per_second * DAY > most as f64));
    if let (Some(growth), Some(most)) = (growth, settings.growth) {
        let text = format!(
            "it grows by {} a day, which is more than {}",
            a_day(growth.per_second, evidence.units),
            evidence.units.show(most)
        );
        add("growth-fast", text);
    }
    for text in &evidence.unusual {
        add("unusual", text.clone());
    }
    if let Some((why, _)) = evidence.unmeasured {
        // What it is like is not known, so nothing else is said of it.
        reasons = vec![Reason { id: "not-measured".into(), lost: None, text: why.to_owned() }];
        (verdict, severity) = (Verdict::Bad, Severity::Critical);
    }
    reasons.sort_by(|a, b| b.lost.unwrap_or(0.0).total_cmp(&a.lost.unwrap_or(0.0)));
    let redis = cache.starts_with("redis:");
    Judged {
        alert: Alert {
            name: if redis { "RedisCacheUnhealthy" } else { "GoCacheUnhealthy" }.to_owned(),
            cache: cache.to_owned(),
            severity,
            since: now,
            ended: None,
            score: score.filter(|_| evidence.unmeasured.is_none()),
            score_before: evidence.good_score,
            reasons,
            trend: evidence.growth.map_or_else(String::new, |g| trend(g, evidence.units, now)),
            command: health.and_then(|health| health.actions.first().cloned()),
            frees: evidence.frees,
            done: Vec::new(),
            details: Vec::new(),
        },
        verdict,
    }
}

/// Every point that was lost, with its reason.
fn reasons(health: &Health) -> Vec<Reason> {
    let parts = health.score.dimensions.iter().filter(|part| part.lost() >= 0.05);
    let parts = parts.map(|part| Reason {
        id: part.name.to_owned(),
        lost: Some(part.lost()),
        text: part.detail.clone(),
    });
    let found = health.score.penalties.iter().map(|penalty| Reason {
        id: penalty.id.to_owned(),
        lost: (penalty.points > 0.0).then_some(penalty.points),
        text: penalty.text.clone(),
    });
    parts.chain(found).collect()
}

fn a_day(per_second: f64, units: Units) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative")]
    let bytes = (per_second * DAY).abs() as u64;
    units.show(bytes).to_string()
}

/// `+1.2 GB a day, full on 30 Nov 2026`.
pub(crate) fn trend(growth: &Growth, units: Units, now: Time) -> String {
    let sign = if growth.per_second < 0.0 { '−' } else { '+' };
    let rate = format!("{sign}{} a day", a_day(growth.per_second, units));
    match growth.full_at {
        Some(at) => format!("{rate}, full in {}", larder_core::time::Age(at.since(now))),
        None => rate,
    }
}

/// Puts what is told at one time for one reason into one notice.
pub(crate) fn notices(tellings: Vec<Telling>, host: &str, now: Time) -> Vec<Notice> {
    let mut notices: Vec<Notice> = Vec::new();
    for Telling { id, occasion, alert } in tellings {
        match notices.iter_mut().find(|notice| notice.occasion == occasion) {
            Some(notice) => {
                notice.id = format!("{} {id}", notice.id);
                notice.alerts.push(alert);
            }
            None => {
                let host = host.to_owned();
                notices.push(Notice { id, occasion, at: now, host, alerts: vec![alert] });
            }
        }
    }
    notices
}

/// Whether nobody is told of an alert: its cache is silenced, or another that explains it fires.
pub(crate) fn quiet(
    alert: &Alert,
    firing: &[String],
    silences: &Silences,
    inhibit: &[(String, String)],
) -> bool {
    let explained =
        |(first, second): &(String, String)| *second == alert.cache && firing.contains(first);
    silences.hold(&alert.cache) || inhibit.iter().any(explained)
}

/// The kind of the event that tells of an occasion.
pub(crate) fn event_kind(occasion: Occasion) -> &'static str {
    match occasion {
        Occasion::Raised => "alert-raised",
        Occasion::Changed => "alert-changed",
        Occasion::Reminder => "alert-reminder",
        Occasion::Cleared => "alert-cleared",
        Occasion::Report => "report",
        Occasion::Test => "alert-test",
    }
}

/// The caches that something fires of.
pub(crate) fn firing(board: &Board) -> Vec<String> {
    board.firing().map(|alert| alert.cache.clone()).collect()
}

#[cfg(test)]
mod tests {
    use larder_core::{RedisVitals, Thresholds, redis_score};

    use super::*;

    fn settings() -> AlertSettings {
        AlertSettings {
            thresholds: Thresholds::default(),
            growth: Some(1_000_000_000),
            unusual: false,
            inhibit: vec![("redis:a".into(), "redis:b".into())],
            runbooks: None,
        }
    }

    fn health(hits: f64) -> Health {
        let latency = Some(Duration::ZERO);
        let vitals = RedisVitals { hit_rate: Some(hits), memory_usage: Some(0.8), latency };
        let score = redis_score(vitals).told("memory", "1.6 GB of 2.0 GB");
        let actions = vec!["larder audit redis:a".to_owned()];
        Health { cache: "redis:a".into(), score, actions, error: None }
    }

    fn growth(per_second: f64) -> Growth {
        let cache = "redis:a".into();
        Growth { cache, per_second, low: None, high: None, full_at: None }
    }

    #[test]
    fn each_lost_point_has_its_reason_and_the_costliest_comes_first() {
        let bad = health(0.5);
        let evidence = Evidence { health: Some(&bad), ..Evidence::default() };
        let judged = judge("redis:a", &evidence, &settings(), Time::from_unix(0));
        assert_eq!(judged.verdict, Verdict::Bad);
        let ids: Vec<&str> = judged.alert.reasons.iter().map(|r| r.id.as_str()).collect();
        assert_eq!(ids, ["hit_rate", "memory"]);
        assert_eq!(judged.alert.severity, Severity::Critical);
        assert_eq!(judged.alert.command.as_deref(), Some("larder audit redis:a"));
    }

    #[test]
    fn growth_raises_by_itself_and_what_is_not_measured_says_nothing_else() {
        let well = health(1.0);
        let (fast, slow) = (growth(20_000.0), growth(10_000.0));
        let of = |growth| Evidence { health: Some(&well), growth, ..Evidence::default() };
        let at = Time::from_unix(0);
        let judged = judge("redis:a", &of(Some(&fast)), &settings(), at);
        assert_eq!(judged.verdict, Verdict::Bad);
        assert!(judged.alert.reasons.iter().any(|reason| reason.id == "growth-fast"));
        assert_eq!(judged.alert.trend, "+1.7 GB a day");
        assert_ne!(judge("redis:a", &of(Some(&slow)), &settings(), at).verdict, Verdict::Bad);
        let down = Evidence { unmeasured: Some(("refused", Duration::ZERO)), ..of(Some(&fast)) };
        let judged = judge("redis:a", &down, &settings(), at);
        assert_eq!(judged.alert.reasons.len(), 1);
        assert_eq!((judged.alert.score, judged.alert.severity), (None, Severity::Critical));
    }

    #[test]
    fn what_explains_an_alert_keeps_it_quiet() {
        let bad = health(0.5);
        let evidence = Evidence { health: Some(&bad), ..Evidence::default() };
        let alert = |cache| judge(cache, &evidence, &settings(), Time::from_unix(0)).alert;
        let none = Silences::default();
        let inhibit = settings().inhibit;
        assert!(quiet(&alert("redis:b"), &["redis:a".into()], &none, &inhibit));
        assert!(!quiet(&alert("redis:b"), &["redis:c".into()], &none, &inhibit));
        assert!(!quiet(&alert("redis:a"), &["redis:a".into()], &none, &inhibit));
        let mut silenced = none;
        silenced.add("redis:a", Time::from_unix(9), "");
        assert!(quiet(&alert("redis:a"), &[], &silenced, &[]));
    }

    #[test]
    fn one_notice_for_what_happens_at_once() {
        let bad = health(0.5);
        let evidence = Evidence { health: Some(&bad), ..Evidence::default() };
        let telling = |cache: &str, occasion| Telling {
            id: format!("id-{cache}"),
            occasion,
            alert: judge(cache, &evidence, &settings(), Time::from_unix(0)).alert,
        };
        let told = vec![
            telling("redis:a", Occasion::Raised),
            telling("redis:b", Occasion::Cleared),
            telling("redis:c", Occasion::Raised),
        ];
        let notices = notices(told, "host", Time::from_unix(5));
        assert_eq!(notices.len(), 2);
        assert_eq!(notices[0].id, "id-redis:a id-redis:c");
        assert_eq!(notices[0].alerts.len(), 2);
    }
}
