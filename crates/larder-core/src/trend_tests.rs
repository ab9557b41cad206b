//! Growth of made-up caches whose true slope is known.

use proptest::prelude::*;

use super::*;
use crate::point::seconds_between;

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// About normal, mean 0, deviation 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }
}

/// A cache that is watched every minute and cleaned now and then.
#[derive(Clone, Copy, Debug)]
struct Made {
    seed: u64,
    samples: u32,
    per_second: f64,
    /// Jitter of each sample.
    jitter: f64,
    /// Growth comes in bursts: in one of so many minutes.
    bursts: f64,
    /// A cleanup comes in one of so many minutes.
    cleaned_every: f64,
    /// Whether cleanups are told.
    known: bool,
}

const MADE: Made = Made {
    seed: 1,
    samples: 600,
    per_second: 20_000.0,
    jitter: 0.0,
    bursts: 1.0,
    cleaned_every: 100.0,
    known: false,
};

fn make(made: Made) -> (Vec<Point>, Vec<Cleanup>) {
    let mut dice = Dice(made.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for _ in 0..8 {
        dice.next();
    }
    let (mut level, mut points, mut cleanups) = (200e6, Vec::new(), Vec::new());
    for minute in 0..i64::from(made.samples) {
        let at = Time::from_unix(1_700_000_000 + minute * 60);
        if dice.next() * made.cleaned_every < 1.0 && level > 100e6 {
            let took = level * (0.3 + 0.6 * dice.next());
            level -= took;
            if made.known {
                let from = at.minus(Duration::from_secs(50));
                cleanups.push(Cleanup { from, to: at.minus(Duration::from_secs(20)), took });
            }
        }
        if dice.next() * made.bursts < 1.0 {
            level += made.per_second * 60.0 * made.bursts;
        }
        points.push(Point::new(at, (level + made.jitter * dice.normal()).max(0.0)));
    }
    (points, cleanups)
}

/// How often the true slope is in the interval, over so many caches.
fn held(made: Made, seeds: u64) -> f64 {
    let mut held = 0;
    for seed in 1..=seeds {
        let (points, cleanups) = make(Made { seed, ..made });
        let rate = trend(&points, &cleanups).rate.unwrap();
        let (low, high) = rate.interval.unwrap();
        // Rounding is no error of the interval.
        let slack = made.per_second.abs() * 1e-6;
        held += u64::from((low - slack..=high + slack).contains(&made.per_second));
    }
    held as f64 / seeds as f64
}

#[test]
fn the_interval_holds_the_true_slope_in_nine_of_ten_caches() {
    let cases = [
        ("jitter", Made { jitter: 2e6, cleaned_every: 1e9, ..MADE }),
        ("jitter, cleaned unknown", Made { jitter: 2e6, ..MADE }),
        ("jitter, cleaned known", Made { jitter: 2e6, known: true, ..MADE }),
        ("bursts", Made { bursts: 20.0, cleaned_every: 1e9, samples: 3000, ..MADE }),
        ("bursts, cleaned known", Made { bursts: 20.0, known: true, samples: 3000, ..MADE }),
        ("few samples", Made { jitter: 2e6, samples: 12, ..MADE }),
        ("no growth", Made { jitter: 2e6, per_second: 0.0, cleaned_every: 1e9, ..MADE }),
    ];
    let mut bad = Vec::new();
    for (name, made) in cases {
        let held = held(made, 100);
        println!("{name}: {held}");
        if held < 0.9 {
            bad.push((name, held));
        }
    }
    assert!(bad.is_empty(), "{bad:?}");
}

#[test]
fn growth_without_jitter_is_found_within_a_few_percent_whatever_is_cleaned() {
    for known in [true, false] {
        for seed in 1..50 {
            let (points, cleanups) = make(Made { seed, known, ..MADE });
            let rate = trend(&points, &cleanups).rate.unwrap();
            let off = (rate.per_second / MADE.per_second - 1.0).abs();
            assert!(off < 0.03, "seed {seed}, known {known}: {rate:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_cleanup_never_makes_negative_growth(
        seed in 1_u64..1_000_000,
        per_second in 1000.0..1e6_f64,
        every in 20.0..1000.0_f64,
        known: bool,
        samples in 30_u32..400,
    ) {
        let made = Made { seed, per_second, cleaned_every: every, known, samples, ..MADE };
        let (points, cleanups) = make(made);
        let trend = trend(&points, &cleanups);
        let rate = trend.rate.unwrap();
        prop_assert!(rate.per_second > 0.0, "{trend:?}");
        prop_assert_ne!(trend.verdict, Verdict::Shrinking);
    }

    #[test]
    fn a_clock_that_jumps_makes_no_nonsense(
        seed in 1_u64..1_000_000,
        at in 1_usize..599,
        jump in -7200_i64..7200,
    ) {
        let (mut points, cleanups) = make(Made { seed, ..MADE });
        for point in &mut points[at..] {
            point.at = Time::from_unix(point.at.unix() + jump);
        }
        let trend = trend(&points, &cleanups);
        let rate = trend.rate.unwrap();
        let off = rate.per_second / MADE.per_second;
        prop_assert!((0.5..=2.0).contains(&off), "{trend:?}");
        let (low, high) = rate.interval.unwrap();
        prop_assert!(low <= rate.per_second && rate.per_second <= high);
    }

    #[test]
    fn any_points_give_an_answer(
        raw in prop::collection::vec((any::<i64>(), any::<f64>()), 0..60),
        room: f64,
        now: i64,
    ) {
        let points: Vec<Point> =
            raw.iter().map(|(at, v)| Point::new(Time::from_unix_nanos(*at), *v)).collect();
        let trend = trend(&points, &[]);
        let _ = trend.full(room, Time::from_unix_nanos(now));
        let _ = trend.level_at(Time::from_unix_nanos(now));
    }
}

#[test]
fn too_little_history_says_nothing_of_growth() {
    let (points, _) = make(MADE);
    for few in [&points[..0], &points[..1], &points[..LEAST_SAMPLES - 1]] {
        let trend = trend(few, &[]);
        assert_eq!((trend.rate, trend.verdict), (None, Verdict::NotEnough));
        assert_eq!(trend.full(1e9, Time::from_unix(0)), None);
    }
    // Many samples of a few minutes are no history either.
    let close: Vec<Point> = (0..30).map(|i| Point::new(Time::from_unix(i), 1.0)).collect();
    assert_eq!(trend(&close, &[]).verdict, Verdict::NotEnough);
}

#[test]
fn verdicts() {
    let line = |per_minute: f64| -> Vec<Point> {
        let level = |i: i64| 1e9 + per_minute * i as f64 + (i * 7919 % 13) as f64;
        (0..100).map(|i| Point::new(Time::from_unix(i * 60), level(i))).collect()
    };
    for (per_minute, verdict) in [
        (1e5, Verdict::Growing),
        (-1e5, Verdict::Shrinking),
        (0.0, Verdict::Steady),
        // 0.06 % a day: above zero beyond doubt, and next to nothing.
        (400.0, Verdict::Steady),
    ] {
        assert_eq!(trend(&line(per_minute), &[]).verdict, verdict, "{per_minute}");
    }
}

#[test]
fn full_is_between_the_ends_of_the_interval() {
    let (points, cleanups) = make(Made { jitter: 2e6, ..MADE });
    let trend = trend(&points, &cleanups);
    let now = points.last().unwrap().at;
    let full = trend.full(72e6 * 24.0, now).unwrap();
    let (earliest, latest) = (full.earliest.unwrap(), full.latest.unwrap());
    assert!(earliest <= full.at && full.at <= latest);
    let days = seconds_between(now, full.at) / DAY;
    assert!((days - 1.0).abs() < 0.1, "{days}");
    assert_eq!(trend.full(0.0, now).unwrap().at, now);
    assert_eq!(trend.full(1e18, now), None, "further than anybody foresees");
}

#[test]
fn two_samples_give_a_rate_and_no_certainty() {
    let point = |at, value| Point::new(Time::from_unix(at), value);
    let trend = of_two(point(0, 100.0), point(300, 400.0));
    assert_eq!(trend.rate, Some(Rate { per_second: 1.0, interval: None }));
    assert_eq!(trend.verdict, Verdict::Unsure);
    let full = trend.full(600.0, Time::from_unix(300)).unwrap();
    assert_eq!((full.at, full.earliest, full.latest), (Time::from_unix(900), None, None));
    assert_eq!(of_two(point(0, 1.0), point(0, 2.0)).verdict, Verdict::NotEnough);
}
