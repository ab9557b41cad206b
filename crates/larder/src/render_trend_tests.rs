//! The screen of made-up trends.

use std::time::Duration;

use larder_core::size::Units;
use larder_core::{Point, Time, trend};
use larder_history::{Metric, Source};

use super::*;

const NOW: i64 = 1_795_000_000;

fn row(cache: &str, metric: Metric, per_day: f64, level: f64) -> TrendRow {
    let points: Vec<Point> = (0..200_i64)
        .map(|i| {
            let jitter = (i * 7919 % 101) as f64 * 1e5;
            let age = (199 - i) as f64 * 3000.0;
            let at = Time::from_unix(NOW).minus(Duration::from_secs_f64(age));
            Point::new(at, level - per_day * age / DAY + jitter)
        })
        .collect();
    TrendRow::new(Source::here(cache), metric, trend::trend(&points, &[]))
}

fn screen(width: usize) -> Screen {
    Screen { width, units: Units::Decimal, now: Time::from_unix(NOW), home: None, verbose: false }
}

#[test]
fn screens() {
    let now = Time::from_unix(NOW);
    let budget = |gigabytes: u64| Some(gigabytes * 1_000_000_000);
    let mut cleaned = row("build", Metric::Allocated, 1.2e9, 41.2e9);
    cleaned.trend.fallen = 9.9e9;
    let few = TrendRow::new(Source::here("vcs"), Metric::Allocated, trend::trend(&[], &[]));
    let rows = vec![
        cleaned.within(budget(60), budget(500), now),
        row("mod", Metric::Allocated, 0.0, 23.8e9).within(None, budget(500), now),
        few.within(budget(5), None, now),
        row("redis:sessions", Metric::Allocated, 0.98e9, 1.6e9).within(budget(2), None, now),
        row("redis:sessions", Metric::Resident, -0.3e9, 1.7e9),
        row("redis:full", Metric::Allocated, 0.98e9, 3e9).within(budget(2), None, now),
    ];
    insta::assert_snapshot!("trend_130", trend(&rows, false, &screen(130)));
    insta::assert_snapshot!("trend_60", trend(&rows, false, &screen(60)));
    insta::assert_snapshot!("trend_none", trend(&[], false, &screen(100)));
}
