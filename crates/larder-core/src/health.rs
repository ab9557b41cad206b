//! Health scores: 0 to 100, made of weighted parts, each with the points that it gives and loses.
//!
//! What is not known is never counted as perfect or as zero: its weight is shared out among what
//! is known, and the score says that it is partial. The formula of a Redis is the seed's own
//! ([`redis_score`]); what it leaves out can take points by settings ([`Score::less`]).

use std::time::Duration;

/// What is known of a server; what is not known is not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RedisVitals {
    /// Hits of all look-ups, 0 to 1.
    pub hit_rate: Option<f64>,
    /// Memory of what it may take, 0 to 1 and beyond.
    pub memory_usage: Option<f64>,
    /// What a client waits for an answer.
    pub latency: Option<Duration>,
}

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// 90 and above.
    Healthy,
    /// 70 to 90.
    Warning,
    /// Below 70.
    Critical,
    /// Nothing is known.
    Unknown,
}

impl Level {
    /// The word in JSON and on screens.
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Unknown => "unknown",
        }
    }
}

/// A part of a score.
#[derive(Clone, Debug, PartialEq)]
pub struct Dimension {
    /// `hit_rate`, `memory`, `latency`; of Go's caches `budget`, `growth`, `integrity`, `waste`.
    pub name: &'static str,
    /// A ratio, or seconds; `None` where it is not known.
    pub value: Option<f64>,
    /// Its share of the whole, 0 to 1; of what is not known it is shared out among the others.
    pub weight: f64,
    /// Points out of 100 that it gives; `None` where its value is not known.
    pub points: Option<f64>,
    /// Why it is not known, or what its value is made of; one sentence, no full stop.
    pub detail: String,
}

impl Dimension {
    /// Points that it could give and does not.
    pub fn lost(&self) -> f64 {
        self.points.map_or(0.0, |points| (100.0 * self.weight - points).max(0.0))
    }
}

/// Points that a finding takes, where the settings let it.
#[derive(Clone, Debug, PartialEq)]
pub struct Penalty {
    /// The finding: `connections`, `evictions`, `fragmentation`, `persistence`, `replication`.
    pub id: &'static str,
    /// Points; zero where it is only shown.
    pub points: f64,
    /// What was found, one sentence without a full stop.
    pub text: String,
}

/// A score with its parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// 0 to 100, two decimals; `None` where nothing is known.
    pub value: Option<f64>,
    /// Its parts; without penalties their points add up to the value.
    pub dimensions: Vec<Dimension>,
    /// Whether a part is not known.
    pub partial: bool,
    /// What took points beside the parts, and what was found and took none.
    pub penalties: Vec<Penalty>,
}

impl Score {
    /// The level of the value.
    pub fn level(&self) -> Level {
        match self.value {
            None => Level::Unknown,
            Some(value) if value >= 90.0 => Level::Healthy,
            Some(value) if value >= 70.0 => Level::Warning,
            Some(_) => Level::Critical,
        }
    }

    /// The same, less what these take.
    #[must_use]
    pub fn less(mut self, penalties: Vec<Penalty>) -> Self {
        let taken: f64 = penalties.iter().map(|penalty| penalty.points).sum();
        self.value = self.value.map(|value| hundredths((value - taken).max(0.0)));
        self.penalties.extend(penalties);
        self
    }

    /// The sentence of a dimension, put in by who knows where it comes from.
    #[must_use]
    pub fn told(mut self, name: &str, detail: impl Into<String>) -> Self {
        if let Some(found) = self.dimensions.iter_mut().find(|part| part.name == name) {
            found.detail = detail.into();
        }
        self
    }
}

/// One part before it is weighed: its name, weight, value, and how good that is from 0 to 1.
type Part = (&'static str, f64, Option<f64>, Option<f64>);

fn weigh(parts: &[Part]) -> Score {
    let known: f64 = parts.iter().filter(|(.., good)| good.is_some()).map(|(_, w, ..)| w).sum();
    let dimensions: Vec<Dimension> = parts
        .iter()
        .map(|&(name, weight, value, good)| {
            let weight = if known > 0.0 && good.is_some() { weight / known } else { weight };
            let points = good.map(|good| 100.0 * weight * good);
            Dimension { name, value, weight, points, detail: String::new() }
        })
        .collect();
    let sum: f64 = dimensions.iter().filter_map(|dimension| dimension.points).sum();
    Score {
        value: (known > 0.0).then(|| hundredths(sum)),
        partial: parts.iter().any(|(.., good)| good.is_none()),
        dimensions,
        penalties: Vec::new(),
    }
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// `100 × (0.5·hit rate + 0.2·max(0, 1 − memory) + 0.3·(1 − min(latency / 100 ms, 1)))`.
pub fn redis_score(vitals: RedisVitals) -> Score {
    let latency = vitals.latency.map(|latency| latency.as_secs_f64());
    weigh(&[
        ("hit_rate", 0.5, vitals.hit_rate, vitals.hit_rate.map(|rate| rate.clamp(0.0, 1.0))),
        (
            "memory",
            0.2,
            vitals.memory_usage,
            vitals.memory_usage.map(|usage| (1.0 - usage).clamp(0.0, 1.0)),
        ),
        ("latency", 0.3, latency, latency.map(|seconds| 1.0 - (seconds / 0.1).min(1.0))),
    ])
}

/// What is known of a cache of Go's; what is not known is not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GoVitals {
    /// Its size of its budget, 0 to 1 and beyond.
    pub budget_share: Option<f64>,
    /// Until it reaches its budget or its disk is full; [`Duration::MAX`] where it does not grow.
    pub full_in: Option<Duration>,
    /// Bad things of all that were looked at when it was last verified, 0 to 1.
    pub bad_share: Option<f64>,
    /// What the default policy would free of its size, 0 to 1.
    pub waste: Option<f64>,
    /// Look-ups of builds that it answered, 0 to 1.
    pub hit_rate: Option<f64>,
}

/// A week ahead is time enough to act.
const AHEAD: f64 = 7.0 * 86_400.0;

/// The score of a cache of Go's: its share in its budget (0.3: whole within it, since a cache that is
/// kept to a budget lies just below it; none at one and a half times as much),
/// growth (0.2: none when it is full now, whole when that is a week ahead), integrity (0.2: none
/// where anything was bad), waste (0.2), hit rate of builds (0.1).
pub fn go_score(vitals: GoVitals) -> Score {
    let share = vitals.budget_share.map(|share| 1.0 - ((share - 1.0) / 0.5).clamp(0.0, 1.0));
    let full = vitals.full_in.map(|left| left.as_secs_f64());
    let bad = vitals.bad_share;
    weigh(&[
        ("budget", 0.3, vitals.budget_share, share),
        (
            "growth",
            0.2,
            full.filter(|_| vitals.full_in != Some(Duration::MAX)),
            full.map(|left| (left / AHEAD).min(1.0)),
        ),
        ("integrity", 0.2, bad, bad.map(|bad| if bad > 0.0 { 0.0 } else { 1.0 })),
        ("waste", 0.2, vitals.waste, vitals.waste.map(|waste| (1.0 - waste).clamp(0.0, 1.0))),
        ("hit_rate", 0.1, vitals.hit_rate, vitals.hit_rate.map(|rate| rate.clamp(0.0, 1.0))),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(hit_rate: Option<f64>, memory_usage: Option<f64>, millis: Option<u64>) -> Score {
        let latency = millis.map(Duration::from_millis);
        redis_score(RedisVitals { hit_rate, memory_usage, latency })
    }

    #[test]
    fn the_formula_and_its_levels() {
        let of = |hit, memory, millis| {
            let score = score(Some(hit), Some(memory), Some(millis));
            (score.value.unwrap(), score.level())
        };
        assert_eq!(of(0.91, 0.8, 8), (77.1, Level::Warning));
        assert_eq!(of(1.0, 0.0, 0), (100.0, Level::Healthy));
        assert_eq!(of(0.0, 2.0, 500), (0.0, Level::Critical));
        assert_eq!(of(1.0, 0.5, 0), (90.0, Level::Healthy));
        assert_eq!(of(0.6, 0.5, 0), (70.0, Level::Warning));
    }

    #[test]
    fn what_is_not_known_is_neither_perfect_nor_zero() {
        let partial = score(None, Some(0.5), Some(0));
        assert!(partial.partial);
        // 0.2 and 0.3 become 0.4 and 0.6.
        assert!((partial.value.unwrap() - 80.0).abs() < 1e-9);
        assert_eq!(score(None, None, None).level(), Level::Unknown);
        let sum: f64 = partial.dimensions.iter().filter_map(|d| d.points).sum();
        assert!((sum - 80.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_given_and_what_is_lost_make_up_the_whole() {
        let score = score(Some(0.91), Some(0.8), Some(8));
        let whole: f64 = score.dimensions.iter().map(|d| d.points.unwrap() + d.lost()).sum::<f64>();
        assert!((whole - 100.0).abs() < 1e-9);
        assert!((score.dimensions[1].lost() - 16.0).abs() < 1e-9);
    }

    #[test]
    fn findings_take_what_the_settings_let_them() {
        let penalty =
            |points| Penalty { id: "evictions", points, text: "120 keys a second".into() };
        let whole = score(Some(1.0), Some(0.0), Some(0));
        assert_eq!(whole.clone().less(vec![penalty(0.0)]).value, Some(100.0));
        assert_eq!(whole.clone().less(vec![penalty(7.5)]).value, Some(92.5));
        assert_eq!(whole.less(vec![penalty(70.0), penalty(70.0)]).value, Some(0.0));
        assert_eq!(score(None, None, None).less(vec![penalty(5.0)]).value, None);
    }

    #[test]
    fn a_cache_over_its_budget_that_fills_up_is_not_well() {
        let well = GoVitals {
            budget_share: Some(0.5),
            full_in: Some(Duration::MAX),
            bad_share: Some(0.0),
            waste: Some(0.0),
            hit_rate: Some(1.0),
        };
        assert_eq!(go_score(well).value, Some(100.0));
        let day = Duration::from_hours(24);
        let full = GoVitals { budget_share: Some(1.5), full_in: Some(day), ..well };
        // 30 of the budget and 6 of 7 parts of 20 are lost.
        assert_eq!(go_score(full).value, Some(52.86));
        let unverified = GoVitals { bad_share: None, hit_rate: None, ..well };
        assert!(go_score(unverified).partial);
        assert_eq!(go_score(unverified).value, Some(100.0));
        assert_eq!(go_score(GoVitals { bad_share: Some(0.01), ..well }).value, Some(80.0));
    }
}
