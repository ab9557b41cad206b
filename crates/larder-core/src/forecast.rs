//! What was foretold, and how it came.
//!
//! A forecast is of the level that would be there had nothing been removed, so that a cleanup in
//! between does not make it wrong.

use crate::time::Time;
use crate::trend::Trend;

/// A level that was foretold.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// When.
    pub made_at: Time,
    /// Whose.
    pub cache: String,
    /// For when.
    pub for_time: Time,
    /// The level when it was made.
    pub level: f64,
    /// The level foretold.
    pub predicted: f64,
    /// Its interval, where it had one.
    pub interval: Option<(f64, f64)>,
    /// What came, with what was removed since added back; `None` before its time.
    pub actual: Option<f64>,
}

/// How right a forecast was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    /// What came, less what was foretold.
    pub error: f64,
    /// That as a share of what came, not below zero.
    pub ratio: f64,
    /// Whether the interval held it; `None` where there was none.
    pub inside: Option<bool>,
}

impl Forecast {
    /// What a trend foretells; `None` without a rate.
    pub fn of(trend: &Trend, cache: impl Into<String>, for_time: Time) -> Option<Self> {
        let (predicted, interval) = trend.level_at(for_time)?;
        Some(Self {
            made_at: trend.at?,
            cache: cache.into(),
            for_time,
            level: trend.level,
            predicted,
            interval,
            actual: None,
        })
    }

    /// How right it was; `None` before its time.
    pub fn accuracy(&self) -> Option<Accuracy> {
        let actual = self.actual?;
        let error = actual - self.predicted;
        Some(Accuracy {
            error,
            ratio: if actual == 0.0 && error == 0.0 { 0.0 } else { (error / actual).abs() },
            inside: self.interval.map(|(low, high)| (low..=high).contains(&actual)),
        })
    }
}

/// How right several of them were: the median of their ratios, the share that the interval held,
/// and how many came to their time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Record {
    /// The median ratio; `None` of none.
    pub ratio: Option<f64>,
    /// Of those with an interval, the share that it held.
    pub inside: Option<f64>,
    /// How many came to their time.
    pub checked: usize,
}

/// The record of these.
pub fn record(forecasts: &[Forecast]) -> Record {
    let known: Vec<Accuracy> = forecasts.iter().filter_map(Forecast::accuracy).collect();
    let mut ratios: Vec<f64> = known.iter().map(|accuracy| accuracy.ratio).collect();
    let inside: Vec<bool> = known.iter().filter_map(|accuracy| accuracy.inside).collect();
    let held = inside.iter().filter(|inside| **inside).count();
    Record {
        ratio: crate::point::median(&mut ratios),
        inside: (!inside.is_empty()).then(|| held as f64 / inside.len() as f64),
        checked: known.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::point::Point;

    #[test]
    fn a_forecast_is_held_against_what_came() {
        let points: Vec<Point> = (0..100_i32)
            .map(|i| Point::new(Time::from_unix(i64::from(i) * 60), f64::from(i) * 60.0 + 100.0))
            .collect();
        let trend = crate::trend::trend(&points, &[]);
        let later = Time::from_unix(99 * 60 + 1000);
        let mut forecast = Forecast::of(&trend, "build", later).unwrap();
        assert!((forecast.predicted - 7040.0).abs() < 1e-6, "{forecast:?}");
        assert_eq!(forecast.accuracy(), None);
        forecast.actual = Some(8800.0);
        let accuracy = forecast.accuracy().unwrap();
        assert!((accuracy.ratio - 0.2).abs() < 1e-9 && accuracy.inside == Some(false));
        let record = record(&[forecast.clone(), Forecast { actual: None, ..forecast }]);
        assert_eq!((record.checked, record.inside), (1, Some(0.0)));
    }
}
