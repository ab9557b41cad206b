//! What of several rows one row keeps.
//!
//! Levels and counters keep the last value, which is a measurement and not a mean, so that what a
//! counter gained between two rows stays right. Beside it stand the range, or the worst, and of
//! rates and latencies the mean.

use crate::columns::Row;

/// One row of these, which are in order and not empty: the last that has values, with what the
/// others add.
pub(crate) fn merge(rows: &[(i64, Row)]) -> Option<(i64, Row)> {
    let kept = rows.iter().rev().find(|(_, row)| row.error.is_none()).or(rows.last())?;
    let (at, mut row) = kept.clone();
    let all = || rows.iter().map(|(_, row)| row);
    let n: i64 = all().map(Row::count).sum();
    let failed: i64 = all().filter_map(|row| row.failed).sum();
    row.n = (n > 1).then_some(n);
    row.failed = (failed > 0).then_some(failed);
    row.allocated_low = all().filter_map(|row| row.allocated_low.or(row.allocated)).min();
    row.allocated_high = all().filter_map(|row| row.allocated_high.or(row.allocated)).max();
    row.score_low = all().filter_map(|row| row.score_low.or(row.score)).min();
    row.latency_high = all().filter_map(|row| row.latency_high.or(row.latency)).max();
    row.latency = mean(all().map(|row| (row.latency, row.count())));
    row.hit_rate = mean(all().map(|row| (row.hit_rate, row.count())));
    // What the value itself says is not said twice.
    row.allocated_low = row.allocated_low.filter(|low| row.allocated != Some(*low));
    row.allocated_high = row.allocated_high.filter(|high| row.allocated != Some(*high));
    row.score_low = row.score_low.filter(|low| row.score != Some(*low));
    row.latency_high = row.latency_high.filter(|high| row.latency != Some(*high));
    Some((at, row))
}

/// The mean of those that are known, each counting as often as it stands for samples.
fn mean(values: impl Iterator<Item = (Option<i64>, i64)>) -> Option<i64> {
    let known = values.filter_map(|(value, count)| Some((i128::from(value?), i128::from(count))));
    let (sum, count) =
        known.fold((0, 0), |(sum, all), (value, count)| (sum + value * count, all + count));
    (count > 0).then(|| i64::try_from(sum / count).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(allocated: i64, hits: i64) -> Row {
        Row { allocated: Some(allocated), hits: Some(hits), ..Row::default() }
    }

    #[test]
    fn the_last_value_stays_with_the_range_of_the_others() {
        let mut rows = vec![(10, row(5, 1)), (20, row(9, 2)), (30, row(2, 7)), (40, row(6, 9))];
        rows[1].1.latency = Some(300);
        rows[2].1.latency = Some(100);
        let (at, merged) = merge(&rows).unwrap();
        assert_eq!((at, merged.allocated, merged.hits, merged.n), (40, Some(6), Some(9), Some(4)));
        assert_eq!((merged.allocated_low, merged.allocated_high), (Some(2), Some(9)));
        assert_eq!((merged.latency, merged.latency_high), (Some(200), Some(300)));
    }

    #[test]
    fn merging_in_two_steps_is_merging_at_once() {
        let mut rows: Vec<(i64, Row)> = (0..12).map(|i| (i * 10, row(i * 7 % 5, i))).collect();
        rows[3].1 = Row { error: Some("x".into()), failed: Some(1), ..Row::default() };
        rows[5].1.score = Some(9000);
        let halves = [merge(&rows[..6]).unwrap(), merge(&rows[6..]).unwrap()];
        assert_eq!(merge(&halves), merge(&rows));
    }

    #[test]
    fn a_failure_does_not_hide_a_value_and_counts() {
        let failure = Row { error: Some("x".into()), failed: Some(1), ..Row::default() };
        let (at, merged) = merge(&[(10, row(5, 1)), (20, failure.clone())]).unwrap();
        assert_eq!(
            (at, merged.allocated, merged.error, merged.failed),
            (10, Some(5), None, Some(1))
        );
        let (_, only) = merge(&[(20, failure.clone()), (30, failure)]).unwrap();
        assert_eq!((only.error.as_deref(), only.failed, only.n), (Some("x"), Some(2), Some(2)));
    }
}
