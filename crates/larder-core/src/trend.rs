//! How a cache grows, how sure that is, and when it will be full.
//!
//! From points over time, with what cleanups took added back ([`crate::stitch`]), to a rate with its
//! interval ([`crate::slope`]). A rate says what happens while nobody cleans; what was cleaned stands
//! beside it. With too little history nothing is said of growth at all.

use std::time::Duration;

use crate::point::{Point, in_order, span};
use crate::slope::{Rate, rate};
use crate::stitch::{Cleanup, stitch};
use crate::time::Time;

/// Fewer samples are not enough history.
pub const LEAST_SAMPLES: usize = 6;
/// A shorter time is not enough history.
pub const LEAST_SPAN: Duration = Duration::from_mins(10);
/// Growth of a smaller share of the level a day is none.
const STEADY_A_DAY: f64 = 0.001;
const DAY: f64 = 86_400.0;

/// What can be said of the growth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The whole interval is above zero.
    Growing,
    /// Zero is in the interval, or what it grows is next to nothing.
    Steady,
    /// The whole interval is below zero.
    Shrinking,
    /// It grows, shrinks or stays by two samples alone, so how sure that is is not known.
    Unsure,
    /// Not enough history.
    NotEnough,
}

impl Verdict {
    /// The word in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Growing => "growing",
            Self::Steady => "steady",
            Self::Shrinking => "shrinking",
            Self::Unsure => "unsure",
            Self::NotEnough => "not-enough-history",
        }
    }
}

/// The growth of one level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// The last level.
    pub level: f64,
    /// When that was.
    pub at: Option<Time>,
    /// In a second, with its interval; `None` without enough history.
    pub rate: Option<Rate>,
    /// Points that it was taken from.
    pub samples: usize,
    /// From the first to the last of them.
    pub span: Duration,
    /// What drops and cleanups took in that time.
    pub fallen: f64,
    /// What that means.
    pub verdict: Verdict,
}

/// The trend of levels as they were measured, in the order of their arrival.
pub fn trend(levels: &[Point], cleanups: &[Cleanup]) -> Trend {
    let Some(last) = levels.iter().rev().find(|point| point.value.is_finite()) else {
        return of_stitched(&[], 0.0, 0.0);
    };
    let stitched = stitch(levels, cleanups);
    let fallen = stitched.last().map_or(0.0, |point| point.value - last.value);
    of_stitched(&stitched, last.value, fallen)
}

/// The trend of points to which what fell was added back already; `level` is the last one without,
/// `fallen` what fell between the first and the last of them.
pub fn of_stitched(points: &[Point], level: f64, fallen: f64) -> Trend {
    let points = in_order(points);
    let span = span(&points);
    let enough = points.len() >= LEAST_SAMPLES && span >= LEAST_SPAN;
    let rate = if enough { rate(&points) } else { None };
    let at = points.last().map(|point| point.at);
    let verdict = verdict(level, rate);
    Trend { level, at, rate, samples: points.len(), span, fallen: fallen.max(0.0), verdict }
}

/// The trend of two samples that were taken for this: a rate, and no idea how sure it is.
pub fn of_two(first: Point, second: Point) -> Trend {
    let points = in_order(&[first, second]);
    let rate = rate(&points).map(|rate| Rate { interval: None, ..rate });
    Trend {
        level: second.value,
        at: Some(second.at),
        rate,
        samples: points.len(),
        span: span(&points),
        fallen: 0.0,
        verdict: if rate.is_some() { Verdict::Unsure } else { Verdict::NotEnough },
    }
}

fn verdict(level: f64, rate: Option<Rate>) -> Verdict {
    let Some(rate) = rate else { return Verdict::NotEnough };
    let Some((low, high)) = rate.interval else { return Verdict::Unsure };
    if (rate.per_second * DAY).abs() <= level.abs() * STEADY_A_DAY {
        Verdict::Steady
    } else if low > 0.0 {
        Verdict::Growing
    } else if high < 0.0 {
        Verdict::Shrinking
    } else {
        Verdict::Steady
    }
}

/// When a limit is reached, if nobody cleans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// At the rate itself.
    pub at: Time,
    /// At the upper end of its interval, where that is known.
    pub earliest: Option<Time>,
    /// At the lower end; `None` where that is not known, or where it may never be.
    pub latest: Option<Time>,
}

/// What lies further away than this is not foreseen.
const HORIZON: f64 = 10.0 * 365.0 * DAY;

impl Trend {
    /// When it has `room` more than now; `None` while it does not grow, and for what lies more than
    /// ten years ahead. What is full already is full now.
    pub fn full(&self, room: f64, now: Time) -> Option<Full> {
        if room <= 0.0 {
            return Some(Full { at: now, earliest: Some(now), latest: Some(now) });
        }
        if !matches!(self.verdict, Verdict::Growing | Verdict::Unsure) {
            return None;
        }
        let rate = self.rate?;
        let reached = |per_second: f64| {
            let seconds = room / per_second;
            let foreseen = per_second > 0.0 && seconds <= HORIZON;
            foreseen.then(|| now.plus(Duration::from_secs_f64(seconds)))
        };
        Some(Full {
            at: reached(rate.per_second)?,
            earliest: rate.interval.and_then(|(_, high)| reached(high)),
            latest: rate.interval.and_then(|(low, _)| reached(low)),
        })
    }

    /// The level at a later time, with the interval where it is known.
    pub fn level_at(&self, later: Time) -> Option<(f64, Option<(f64, f64)>)> {
        let (rate, at) = (self.rate?, self.at?);
        let ahead = later.since(at).as_secs_f64();
        let level = |per_second: f64| (self.level + per_second * ahead).max(0.0);
        let interval = rate.interval.map(|(low, high)| (level(low), level(high)));
        Some((level(rate.per_second), interval))
    }
}

#[cfg(test)]
#[path = "trend_tests.rs"]
mod tests;
