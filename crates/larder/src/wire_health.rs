//! `larder/health/1`.

use larder_core::Score;
use schemars::JsonSchema;
use serde::Serialize;

use crate::health::Health;
use crate::wire::Document;

/// How well each cache is.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct HealthDoc {
    schema: String,
    targets: Vec<WireHealth>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireHealth {
    cache: String,
    /// 0 to 100; null where nothing is known.
    score: Option<f64>,
    /// `healthy`, `warning`, `critical` or `unknown`.
    level: &'static str,
    /// Whether a part is not known; its weight is shared out among the others.
    partial: bool,
    /// Their points, less those of the penalties, add up to the score.
    dimensions: Vec<WireDimension>,
    /// What the parts leave out: found, and the points that it takes.
    penalties: Vec<WirePenalty>,
    /// What to type, the most useful first.
    actions: Vec<String>,
    /// Why nothing is known.
    error: Option<String>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireDimension {
    name: &'static str,
    /// A ratio, or seconds; null where it is not known.
    value: Option<f64>,
    /// 0 to 1.
    weight: f64,
    /// Out of 100; null where the value is not known.
    points: Option<f64>,
    lost: f64,
    detail: String,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WirePenalty {
    id: &'static str,
    points: f64,
    text: String,
}

impl Document for HealthDoc {
    const SCHEMA: &'static str = "larder/health/1";
}

impl From<&[Health]> for HealthDoc {
    fn from(all: &[Health]) -> Self {
        Self {
            schema: Self::SCHEMA.to_owned(),
            targets: all.iter().map(WireHealth::from).collect(),
        }
    }
}

impl From<&Health> for WireHealth {
    fn from(health: &Health) -> Self {
        let Score { value, dimensions, partial, penalties } = &health.score;
        Self {
            cache: health.cache.clone(),
            score: *value,
            level: health.score.level().name(),
            partial: *partial,
            dimensions: dimensions
                .iter()
                .map(|part| WireDimension {
                    name: part.name,
                    value: part.value,
                    weight: part.weight,
                    points: part.points,
                    lost: part.lost(),
                    detail: part.detail.clone(),
                })
                .collect(),
            penalties: penalties
                .iter()
                .map(|p| WirePenalty { id: p.id, points: p.points, text: p.text.clone() })
                .collect(),
            actions: health.actions.clone(),
            error: health.error.clone(),
        }
    }
}
