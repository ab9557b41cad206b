//! One measured value of one thing, and lines of them over time.

use std::time::Duration;

use crate::time::Time;

/// A value at a time; of what was thinned out, the last one and the range of the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When it was measured.
    pub at: Time,
    /// The value then.
    pub value: f64,
    /// The least of the time that it stands for.
    pub low: f64,
    /// The greatest of the time that it stands for.
    pub high: f64,
}

impl Point {
    /// A single measurement.
    pub fn new(at: Time, value: f64) -> Self {
        Self { at, value, low: value, high: value }
    }
}

/// Seconds from `earlier` to `later`; negative where the clock went back.
pub fn seconds_between(earlier: Time, later: Time) -> f64 {
    (i128::from(later.unix_nanos()) - i128::from(earlier.unix_nanos())) as f64 / 1e9
}

/// In the order of their times. What cannot be compared (not a number) is left out; of the same
/// time the one that arrived last stays.
pub fn in_order(points: &[Point]) -> Vec<Point> {
    let mut sorted: Vec<Point> = points.iter().copied().filter(|p| p.value.is_finite()).collect();
    sorted.sort_by_key(|point| point.at);
    let mut kept: Vec<Point> = Vec::with_capacity(sorted.len());
    for point in sorted {
        match kept.last_mut() {
            Some(last) if last.at == point.at => *last = point,
            _ => kept.push(point),
        }
    }
    kept
}

/// At most `most` of these points, which are in order: the last of each of `most` equal parts of
/// the time, with the range of what it stands for.
pub fn thin(points: &[Point], most: usize) -> Vec<Point> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    if points.len() <= most {
        return points.to_vec();
    }
    let part = last.at.since(first.at).as_nanos() / most.max(1) as u128 + 1;
    let mut kept: Vec<Point> = Vec::with_capacity(most);
    let mut part_of_last = None;
    for point in points {
        let now_in = Some(point.at.since(first.at).as_nanos() / part);
        match kept.last_mut() {
            Some(last) if part_of_last == now_in => {
                let (low, high) = (last.low.min(point.low), last.high.max(point.high));
                *last = Point { low, high, ..*point };
            }
            _ => kept.push(*point),
        }
        part_of_last = now_in;
    }
    kept
}

/// From the first to the last of these points, which are in order.
pub fn span(points: &[Point]) -> Duration {
    match (points.first(), points.last()) {
        (Some(first), Some(last)) => last.at.since(first.at),
        _ => Duration::ZERO,
    }
}

/// The middle of these numbers, the upper one of two; `None` of none.
pub(crate) fn median(numbers: &mut [f64]) -> Option<f64> {
    if numbers.is_empty() {
        return None;
    }
    let middle = numbers.len() / 2;
    Some(*numbers.select_nth_unstable_by(middle, f64::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64, value: f64) -> Point {
        Point::new(Time::from_unix(second), value)
    }

    #[test]
    fn a_clock_that_went_back_gives_one_line() {
        let points = [at(10, 1.0), at(20, 2.0), at(10, 3.0), at(5, 4.0), at(7, f64::NAN)];
        assert_eq!(in_order(&points), [at(5, 4.0), at(10, 3.0), at(20, 2.0)]);
        assert!(seconds_between(Time::from_unix(20), Time::from_unix(5)) < 0.0);
    }

    #[test]
    fn thinning_keeps_the_last_of_each_part_and_the_range() {
        let points: Vec<Point> = (0..1000).map(|i| at(i, (i % 7) as f64)).collect();
        let thinned = thin(&points, 100);
        assert!(thinned.len() <= 100 && thinned.len() >= 99, "{}", thinned.len());
        assert_eq!(thinned.last().unwrap().at, points.last().unwrap().at);
        assert!(thinned.iter().all(|point| point.low <= 1.0 && point.high >= 5.0));
        assert_eq!(thin(&points[..5], 100), points[..5]);
        assert_eq!(thin(&[], 3), []);
    }
}
