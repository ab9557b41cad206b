//! `larder/trend/1`.

use larder_core::Time;
use larder_core::trend::{Full, Verdict};
use larder_history::Metric;
use schemars::JsonSchema;
use serde::Serialize;

use crate::key_removal::whole;
use crate::trend_rows::TrendRow;
use crate::wire::{Document, WireTime};

/// How fast caches grow, and when they are full.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TrendDoc {
    schema: &'static str,
    /// When it was worked out.
    taken_at: WireTime,
    /// Of each cache one, of each Redis two.
    rows: Vec<WireTrend>,
}

/// The growth of one level.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct WireTrend {
    /// Its name.
    cache: String,
    /// The machine, where a server has those of many.
    host: Option<String>,
    /// `allocated_bytes`; of a Redis `used_memory` and `used_memory_rss`.
    measure: &'static str,
    /// The last level.
    bytes: u64,
    /// When that was; null without a history.
    measured_at: Option<WireTime>,
    /// Bytes; null without enough history.
    per_second: Option<f64>,
    /// The lower end of the interval that holds the rate in 95 of 100 cases; null where that is
    /// not known, as of two samples.
    low: Option<f64>,
    /// The upper end.
    high: Option<f64>,
    /// `per_second` in a day.
    per_day: Option<f64>,
    /// Points that it was worked out from.
    samples: usize,
    /// From the first to the last of them.
    span_seconds: f64,
    /// What cleanups and sudden drops took in that time.
    cleaned_bytes: u64,
    /// What it may take.
    budget_bytes: Option<u64>,
    /// When the budget is full, if nobody cleans.
    full_at: Option<WireTime>,
    /// At the upper end of the interval.
    full_earliest: Option<WireTime>,
    /// At the lower end; null where it may never be.
    full_latest: Option<WireTime>,
    /// Where its disk is mounted, where that is known.
    disk: Option<String>,
    /// Free on its disk.
    disk_free_bytes: Option<u64>,
    /// When the disk is full, if only this cache grows.
    disk_full_at: Option<WireTime>,
    /// What that means.
    verdict: WireVerdict,
    /// How right forecasts of a day were in the last month; null where none has come to its time.
    forecasts: Option<WireRecord>,
}

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum WireVerdict {
    Growing,
    Steady,
    Shrinking,
    Unsure,
    NotEnoughHistory,
}

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
struct WireRecord {
    /// Those that came to their time.
    checked: usize,
    /// The median of how far they were off, as a share of what came.
    error_ratio: f64,
    /// The share of them whose interval held what came.
    inside_ratio: Option<f64>,
}

impl Document for TrendDoc {
    const SCHEMA: &'static str = "larder/trend/1";
}

impl TrendDoc {
    pub(crate) fn new(rows: &[TrendRow], now: Time) -> Self {
        let rows = rows.iter().map(WireTrend::from).collect();
        Self { schema: Self::SCHEMA, taken_at: WireTime(now), rows }
    }
}

impl From<&TrendRow> for WireTrend {
    fn from(row: &TrendRow) -> Self {
        let trend = &row.trend;
        let interval = trend.rate.and_then(|rate| rate.interval);
        let time = |full: Option<Time>| full.map(WireTime);
        let (full, disk) = (row.full, row.disk_full);
        let at = |full: Option<Full>| full.map(|full| WireTime(full.at));
        Self {
            cache: row.source.cache.clone(),
            host: row.source.host.clone(),
            measure: measure(row),
            bytes: whole(trend.level),
            measured_at: time(trend.at),
            per_second: trend.rate.map(|rate| rate.per_second),
            low: interval.map(|(low, _)| low),
            high: interval.map(|(_, high)| high),
            per_day: row.a_day(),
            samples: trend.samples,
            span_seconds: trend.span.as_secs_f64(),
            cleaned_bytes: whole(trend.fallen),
            budget_bytes: row.budget,
            full_at: at(full),
            full_earliest: time(full.and_then(|full| full.earliest)),
            full_latest: time(full.and_then(|full| full.latest)),
            disk: row.disk.clone(),
            disk_free_bytes: row.disk_free,
            disk_full_at: at(disk),
            verdict: match trend.verdict {
                Verdict::Growing => WireVerdict::Growing,
                Verdict::Steady => WireVerdict::Steady,
                Verdict::Shrinking => WireVerdict::Shrinking,
                Verdict::Unsure => WireVerdict::Unsure,
                Verdict::NotEnough => WireVerdict::NotEnoughHistory,
            },
            forecasts: row.record.ratio.map(|error_ratio| WireRecord {
                checked: row.record.checked,
                error_ratio,
                inside_ratio: row.record.inside,
            }),
        }
    }
}

/// What the level is called.
fn measure(row: &TrendRow) -> &'static str {
    let is_redis = crate::redis_target::is_redis(&row.source.cache);
    match row.metric {
        Metric::Resident => "used_memory_rss",
        _ if is_redis => "used_memory",
        _ => "allocated_bytes",
    }
}
