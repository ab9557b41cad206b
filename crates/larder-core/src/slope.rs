//! How fast a line goes up: the median of the slopes of all pairs (Theil and Sen), with an interval
//! by ranks.
//!
//! The interval is Sen's (1968, "Estimates of the regression coefficient based on Kendall's tau"):
//! the variance of Kendall's statistic says which of the sorted slopes bound it. That variance holds
//! where what stands beside the line is independent from point to point. Where neighbours are alike
//! it is widened by how much (Hamed and Rao 1998, with the first lag alone). Growth that comes in
//! bursts, and errors where drops were added back, add up over time, which ranks do not see: so the
//! growth of equal parts of the time tells how much it varies, and the wider interval counts.

use crate::point::{Point, median, seconds_between, thin};

/// Points that a slope is taken from at most: 20 thousand pairs, half a millisecond.
pub const MOST_POINTS: usize = 200;
/// 95 of 100 intervals hold the true slope.
const Z: f64 = 1.96;
/// Neighbours that are more alike than this tell nothing of how alike they are.
const MOST_ALIKE: f64 = 0.98;
/// Parts of the time whose growth is compared, and Student's t of 95 of 100 for so many.
const PARTS: usize = 16;
const T: f64 = 2.13;

/// A slope and where it lies in 95 of 100 cases.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// In a second.
    pub per_second: f64,
    /// The interval; `None` where it is not known.
    pub interval: Option<(f64, f64)>,
}

/// The rate of these points, which are in order; `None` where no two are apart in time.
pub fn rate(points: &[Point]) -> Option<Rate> {
    let points = thin(points, MOST_POINTS);
    let mut slopes = slopes(&points);
    let per_second = median(&mut slopes)?;
    if points.len() < 3 {
        return Some(Rate { per_second, interval: None });
    }
    let n = points.len() as f64;
    let alike = alike(&points, per_second);
    let variance = n * (n - 1.0) * (2.0 * n + 5.0) / 18.0 * (1.0 + alike) / (1.0 - alike);
    let reach = Z * variance.sqrt();
    let all = slopes.len();
    let rank = |rank: f64| whole(rank).min(all - 1);
    let (middle, reach) = (all as f64 / 2.0, reach / 2.0);
    let (low, high) = (rank(middle - reach), rank(middle + reach + 1.0));
    let mut low = slopes.select_nth_unstable_by(low, f64::total_cmp).1.min(per_second);
    let mut high = slopes.select_nth_unstable_by(high, f64::total_cmp).1.max(per_second);
    if points.len() >= 2 * PARTS {
        let varies = T * varies(&points);
        (low, high) = (low.min(per_second - varies), high.max(per_second + varies));
    }
    Some(Rate { per_second, interval: Some((low, high)) })
}

fn slopes(points: &[Point]) -> Vec<f64> {
    let mut slopes = Vec::with_capacity(points.len() * points.len().saturating_sub(1) / 2);
    for (index, one) in points.iter().enumerate() {
        for other in &points[index + 1..] {
            let apart = seconds_between(one.at, other.at);
            if apart > 0.0 {
                slopes.push((other.value - one.value) / apart);
            }
        }
    }
    slopes
}

/// How alike neighbours are in what stands beside the line: 0 to [`MOST_ALIKE`].
fn alike(points: &[Point], per_second: f64) -> f64 {
    let Some(first) = points.first() else { return 0.0 };
    let beside: Vec<f64> = points
        .iter()
        .map(|point| point.value - per_second * seconds_between(first.at, point.at))
        .collect();
    let mean = beside.iter().sum::<f64>() / beside.len() as f64;
    let square: f64 = beside.iter().map(|value| (value - mean).powi(2)).sum();
    let together: f64 = beside.windows(2).map(|two| (two[0] - mean) * (two[1] - mean)).sum();
    // Rounding alone is left where all lie on the line.
    let scale = points.iter().map(|point| point.value.abs()).fold(0.0, f64::max);
    if square <= (scale * 1e-9).powi(2) * points.len() as f64 {
        return 0.0;
    }
    (together / square).clamp(0.0, MOST_ALIKE)
}

/// How much the mean of the growth of [`PARTS`] parts varies, in a second.
fn varies(points: &[Point]) -> f64 {
    // Around each end the median of a few points, so that jitter does not count as growth.
    let reach = points.len() / PARTS / 4;
    let end = |part: usize| {
        let at = part * (points.len() - 1 - 2 * reach) / PARTS + reach;
        let mut near: Vec<f64> =
            points[at - reach..=at + reach].iter().map(|point| point.value).collect();
        let value = median(&mut near).unwrap_or(points[at].value);
        Point::new(points[at].at, value)
    };
    let ends: Vec<Point> = (0..=PARTS).map(end).collect();
    let rates: Vec<f64> = ends
        .windows(2)
        .filter(|two| two[0].at < two[1].at)
        .map(|two| (two[1].value - two[0].value) / seconds_between(two[0].at, two[1].at))
        .collect();
    let n = rates.len() as f64;
    if n < 2.0 {
        return 0.0;
    }
    let mean = rates.iter().sum::<f64>() / n;
    let square: f64 = rates.iter().map(|rate| (rate - mean).powi(2)).sum();
    (square / (n - 1.0) / n).sqrt()
}

/// A rank as a whole number, not below zero.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
fn whole(rank: f64) -> usize {
    rank.round().clamp(0.0, 1e12) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Time;

    fn line(values: impl Iterator<Item = f64>) -> Vec<Point> {
        values.zip(0..).map(|(value, i)| Point::new(Time::from_unix(i * 10), value)).collect()
    }

    #[test]
    fn a_line_is_its_own_slope_and_one_wild_point_changes_nothing() {
        let mut points = line((0..100).map(|i| 5.0 + 20.0 * f64::from(i)));
        assert!((rate(&points).unwrap().per_second - 2.0).abs() < 1e-9);
        points[50].value = 1e12;
        assert!((rate(&points).unwrap().per_second - 2.0).abs() < 1e-9);
    }

    #[test]
    fn one_step_in_a_flat_line_is_no_growth() {
        let points = line((0..100).map(|i| if i < 30 { 10.0 } else { 50.0 }));
        let rate = rate(&points).unwrap();
        let (low, high) = rate.interval.unwrap();
        assert!(rate.per_second.abs() < 1e-9 && low <= 0.0 && high >= 0.0, "{rate:?}");
    }

    #[test]
    fn few_points_have_a_slope_and_no_interval_and_one_has_none() {
        let two = line([1.0, 3.0].into_iter());
        assert_eq!(rate(&two), Some(Rate { per_second: 0.2, interval: None }));
        assert_eq!(rate(&two[..1]), None);
        let same = [two[0], two[0]];
        assert_eq!(rate(&same), None);
    }
}
