//! The health score of a Redis: hit rate, memory and latency, each with its weight.

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
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dimension {
    /// `hit_rate`, `memory` or `latency`.
    pub name: &'static str,
    /// Its share of the whole, 0 to 1; of what is not known it is shared out among the others.
    pub weight: f64,
    /// Points out of 100 that it gives; `None` where its value is not known.
    pub points: Option<f64>,
}

/// A score with its parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// 0 to 100, two decimals; `None` where nothing is known.
    pub value: Option<f64>,
    /// Its parts; their points add up to the value.
    pub dimensions: [Dimension; 3],
    /// Whether a part is not known.
    pub partial: bool,
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
}

/// `100 × (0.5·hit rate + 0.2·max(0, 1 − memory) + 0.3·(1 − min(latency / 100 ms, 1)))`.
pub fn redis_score(vitals: RedisVitals) -> Score {
    let latency = vitals.latency.map(|latency| 1.0 - (latency.as_secs_f64() / 0.1).min(1.0));
    let parts = [
        ("hit_rate", 0.5, vitals.hit_rate.map(|rate| rate.clamp(0.0, 1.0))),
        ("memory", 0.2, vitals.memory_usage.map(|usage| (1.0 - usage).clamp(0.0, 1.0))),
        ("latency", 0.3, latency),
    ];
    let known: f64 = parts.iter().filter(|(.., value)| value.is_some()).map(|(_, w, _)| w).sum();
    let dimensions = parts.map(|(name, weight, value)| {
        let weight = if known > 0.0 && value.is_some() { weight / known } else { weight };
        Dimension { name, weight, points: value.map(|value| 100.0 * weight * value) }
    });
    let sum: f64 = dimensions.iter().filter_map(|dimension| dimension.points).sum();
    let value = (known > 0.0).then(|| (sum * 100.0).round() / 100.0);
    Score { value, dimensions, partial: parts.iter().any(|(.., value)| value.is_none()) }
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
}
