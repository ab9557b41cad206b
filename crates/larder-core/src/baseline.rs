//! What is usual at this hour, and whether a value is not.
//!
//! Of each hour of the day, or of the week, the median of what was there at that hour, and how far
//! values usually lie from it (the median absolute deviation). Until there is enough history
//! nothing is unusual. The hour is the local one, by an offset that is handed in; the two days a
//! year on which clocks change blur by an hour.

use crate::point::{Point, median};
use crate::time::Time;

/// Which hours are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cycle {
    /// The same hour of each day.
    Day,
    /// The same hour of the same weekday.
    Week,
}

impl Cycle {
    /// Hours in it.
    fn hours(self) -> usize {
        match self {
            Self::Day => 24,
            Self::Week => 24 * 7,
        }
    }

    /// How many days an hour must have been seen on before anything is said of it: a week of days,
    /// and four weeks of weekdays.
    pub fn enough(self) -> usize {
        match self {
            Self::Day => 7,
            Self::Week => 4,
        }
    }
}

/// What is usual in one hour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usual {
    /// The median.
    pub middle: f64,
    /// How far values usually lie from it: 1.4826 times the median absolute deviation, which is the
    /// standard deviation where they lie as the normal distribution has them.
    pub spread: f64,
    /// On how many days the hour was seen.
    pub days: usize,
}

/// What is usual in each hour.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    cycle: Cycle,
    offset: i32,
    hours: Vec<Option<Usual>>,
}

/// A value against what is usual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Deviation {
    /// Not enough history for this hour.
    Unknown,
    /// Within what is usual.
    Usual(Usual),
    /// More than that, so many spreads above.
    Above(Usual, f64),
    /// Less than that, so many spreads below.
    Below(Usual, f64),
}

/// A value is unusual that lies further away than so many spreads …
const FAR: f64 = 4.0;
/// … and than this share of the median, so that what never moves may move a little.
const LEAST: f64 = 0.05;
/// From the median absolute deviation to the standard deviation.
const TO_SIGMA: f64 = 1.4826;

impl Baseline {
    /// Of these points; `offset` is local time less UTC, in seconds. One value a day and hour
    /// counts, the median of that hour, so that a day with more samples counts no more.
    pub fn of(points: &[Point], cycle: Cycle, offset: i32) -> Self {
        let mut hours: Vec<(i64, f64)> = points
            .iter()
            .filter(|point| point.value.is_finite())
            .map(|point| (hour_of(point.at, offset), point.value))
            .collect();
        hours.sort_by_key(|(hour, _)| *hour);
        let mut values: Vec<Vec<f64>> = vec![Vec::new(); cycle.hours()];
        for same in hours.chunk_by(|one, other| one.0 == other.0) {
            let mut of_hour: Vec<f64> = same.iter().map(|(_, value)| *value).collect();
            if let (Some((hour, _)), Some(middle)) = (same.first(), median(&mut of_hour)) {
                values[slot(*hour, cycle)].push(middle);
            }
        }
        Self { cycle, offset, hours: values.into_iter().map(usual).collect() }
    }

    /// What is usual at this time; `None` without enough history for its hour.
    pub fn at(&self, at: Time) -> Option<Usual> {
        let usual = self.hours[slot(hour_of(at, self.offset), self.cycle)];
        usual.filter(|usual| usual.days >= self.cycle.enough())
    }

    /// Whether this value is usual at this time.
    pub fn judge(&self, at: Time, value: f64) -> Deviation {
        let Some(usual) = self.at(at) else { return Deviation::Unknown };
        let least = usual.middle.abs() * LEAST;
        let away = value - usual.middle;
        if away.abs() <= (usual.spread * FAR).max(least) || !away.is_finite() {
            return Deviation::Usual(usual);
        }
        // Of what never moved at all, its least is the measure.
        let spreads = away.abs() / usual.spread.max(least / FAR).max(f64::MIN_POSITIVE);
        if away > 0.0 { Deviation::Above(usual, spreads) } else { Deviation::Below(usual, spreads) }
    }
}

fn usual(mut values: Vec<f64>) -> Option<Usual> {
    let days = values.len();
    let middle = median(&mut values)?;
    let mut away: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    let spread = median(&mut away)? * TO_SIGMA;
    Some(Usual { middle, spread, days })
}

/// Hours since 1970-01-01 in local time.
fn hour_of(at: Time, offset: i32) -> i64 {
    at.unix().saturating_add(i64::from(offset)).div_euclid(3600)
}

fn slot(hour: i64, cycle: Cycle) -> usize {
    let hours = i64::try_from(cycle.hours()).unwrap_or(24);
    usize::try_from(hour.rem_euclid(hours)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    /// High by day and low by night, for so many days, with a little jitter.
    fn days(count: i64) -> Vec<Point> {
        (0..count * 24 * 4)
            .map(|quarter| {
                let at = quarter * 900;
                let by_day = (8..20).contains(&(at / HOUR % 24));
                let jitter = (quarter * 37 % 11) as f64;
                Point::new(Time::from_unix(at), if by_day { 1000.0 } else { 100.0 } + jitter)
            })
            .collect()
    }

    #[test]
    fn what_is_usual_at_noon_is_not_at_midnight() {
        let baseline = Baseline::of(&days(10), Cycle::Day, 0);
        let at = |hour: i64| Time::from_unix((10 * 24 + hour) * HOUR + 60);
        assert!(matches!(baseline.judge(at(12), 1003.0), Deviation::Usual(_)));
        assert!(matches!(baseline.judge(at(0), 1003.0), Deviation::Above(_, far) if far > 10.0));
        assert!(matches!(baseline.judge(at(12), 100.0), Deviation::Below(..)));
        // Local time counts.
        let local = Baseline::of(&days(10), Cycle::Day, 12 * 3600);
        assert_eq!(local.at(at(0)), baseline.at(at(0)));
        assert_eq!(Baseline::of(&days(10), Cycle::Day, -3600).hours[7], baseline.hours[8]);
    }

    #[test]
    fn nothing_is_unusual_before_there_is_enough_history() {
        let at = Time::from_unix(6 * 24 * HOUR);
        assert_eq!(Baseline::of(&days(6), Cycle::Day, 0).judge(at, 1e9), Deviation::Unknown);
        assert_eq!(Baseline::of(&days(14), Cycle::Week, 0).judge(at, 1e9), Deviation::Unknown);
        assert_ne!(Baseline::of(&days(28), Cycle::Week, 0).judge(at, 1e9), Deviation::Unknown);
        assert_eq!(Baseline::of(&[], Cycle::Day, 0).judge(at, 1.0), Deviation::Unknown);
    }

    #[test]
    fn what_never_moved_may_move_a_little() {
        let flat: Vec<Point> =
            (0..10 * 24).map(|hour| Point::new(Time::from_unix(hour * HOUR), 100.0)).collect();
        let baseline = Baseline::of(&flat, Cycle::Day, 0);
        let at = Time::from_unix(-HOUR);
        assert!(matches!(baseline.judge(at, 104.0), Deviation::Usual(_)));
        assert!(matches!(baseline.judge(at, 120.0), Deviation::Above(_, far) if far > 4.0));
    }

    #[test]
    fn one_wild_day_is_not_the_rule() {
        let mut points = days(10);
        for point in &mut points[..96] {
            point.value = 1e9;
        }
        let baseline = Baseline::of(&points, Cycle::Day, 0);
        let noon = Time::from_unix((10 * 24 + 12) * HOUR);
        assert!(matches!(baseline.judge(noon, 1000.0), Deviation::Usual(_)));
        assert!(matches!(baseline.judge(noon, 1e9), Deviation::Above(..)));
    }
}
