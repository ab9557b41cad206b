//! The rows of `larder trend`: of each cache its growth, its budget, and when that is full.

use std::time::Duration;

use larder_core::forecast::{Record, record};
use larder_core::trend::{Full, Verdict};
use larder_core::{CacheKind, Forecast, Time, Trend};
use larder_history::{Entry, Metric, Range, Reader, Series, SeriesError, Source, Store};

use crate::context::Context;
use crate::exit::{CliError, Exit, chain};
use crate::settings_history::HistoryKind;
use crate::{caches, history_open, redis_target};

/// One row.
#[derive(Clone, Debug)]
pub(crate) struct TrendRow {
    pub source: Source,
    /// Which level it is of: what is allocated, or what the system gave a Redis.
    pub metric: Metric,
    pub trend: Trend,
    /// What it may take, bytes.
    pub budget: Option<u64>,
    /// When that is full, if nobody cleans.
    pub full: Option<Full>,
    /// Where its disk is mounted.
    pub disk: Option<String>,
    /// Free on its disk, bytes.
    pub disk_free: Option<u64>,
    /// When that is full, if only this cache grows and nobody cleans.
    pub disk_full: Option<Full>,
    /// How right forecasts of it were.
    pub record: Record,
}

/// A day.
const DAY: Duration = Duration::from_hours(24);
/// A forecast is made for a day ahead, and not more often than this.
const FORECAST_EVERY: Duration = Duration::from_hours(6);
/// How far back forecasts tell how right they are.
const RECORD: Duration = Duration::from_hours(30 * 24);
/// Rows of the file that a look at trends tidies, since no daemon may be there to do it.
const TIDY: usize = 2000;

impl TrendRow {
    /// A row of a trend.
    pub(crate) fn new(source: Source, metric: Metric, trend: Trend) -> Self {
        Self {
            source,
            metric,
            trend,
            budget: None,
            full: None,
            disk: None,
            disk_free: None,
            disk_full: None,
            record: Record::default(),
        }
    }

    /// The same with what it may take and what is free, both in bytes.
    pub(crate) fn within(mut self, budget: Option<u64>, free: Option<u64>, now: Time) -> Self {
        let full = |room: f64| self.trend.full(room, now);
        let known = self.trend.at.is_some();
        let to_budget = budget.filter(|_| known);
        self.full = to_budget.and_then(|budget| full(budget as f64 - self.trend.level));
        self.disk_full = free.filter(|_| known).and_then(|free| full(free as f64));
        (self.budget, self.disk_free) = (budget, free);
        self
    }

    /// Growth in a day, bytes.
    pub(crate) fn a_day(&self) -> Option<f64> {
        self.trend.rate.map(|rate| rate.per_second * DAY.as_secs_f64())
    }

    /// Why it is not well: it grows by more than `threshold` a day beyond doubt, or is over its
    /// budget, or it or its disk is full within a day.
    pub(crate) fn unwell(&self, threshold: Option<u64>, now: Time) -> Option<String> {
        let over = self.budget.is_some_and(|budget| self.trend.level > budget as f64);
        let soon = |full: Option<Full>| full.is_some_and(|full| full.at <= now.plus(DAY));
        let grows = matches!(self.trend.verdict, Verdict::Growing | Verdict::Unsure);
        let fast = threshold.zip(self.a_day()).filter(|(most, day)| *day > *most as f64);
        if over {
            Some("is over its budget".to_owned())
        } else if soon(self.full) {
            Some("is full within a day".to_owned())
        } else if soon(self.disk_full) {
            Some("fills its disk within a day".to_owned())
        } else {
            fast.filter(|_| grows).map(|_| "grows by more than trend.threshold a day".to_owned())
        }
    }
}

/// The rows of these caches, or of all that have a history, by what was kept since then.
pub(crate) fn of_history(
    context: &Context<'_>,
    names: &[String],
    since: Duration,
) -> Result<Vec<TrendRow>, CliError> {
    let failed = |error: SeriesError| history_open::failed(context, &error);
    let series = history_open::series(context)?;
    let range = Range { since: context.now.minus(since), until: context.now, most: 2000 };
    let all = series.sources(range).map_err(failed)?;
    let local = context.settings().history.kind == HistoryKind::Local;
    let mut rows = Vec::new();
    for source in chosen(context, names, all)? {
        rows.extend(of_source(context, series.as_ref(), &source, range).map_err(failed)?);
    }
    if local {
        remember(context, &mut rows);
    }
    rows.sort_by(|a, b| (&a.source.host, order(a)).cmp(&(&b.source.host, order(b))));
    Ok(rows)
}

/// Go's caches in their order, then each Redis by name.
fn order(row: &TrendRow) -> (usize, &str) {
    let place = CacheKind::ALL.iter().position(|kind| kind.name() == row.source.cache);
    (place.unwrap_or(usize::MAX), &row.source.cache)
}

/// Those that are named; one that can have a history and has none gets a row that says so.
fn chosen(
    context: &Context<'_>,
    names: &[String],
    all: Vec<Source>,
) -> Result<Vec<Source>, CliError> {
    if names.is_empty() {
        return Ok(all);
    }
    let mut wanted: Vec<String> = Vec::new();
    for name in names {
        if all.iter().any(|source| source.cache == *name) {
            wanted.push(name.clone());
        } else if redis_target::is_redis(name) {
            wanted.push(redis_target::find(context, name)?.cache);
        } else {
            let kinds = caches::parse(std::slice::from_ref(name))?;
            // Go keeps test results in the build cache, so they have no size of their own.
            let kinds = kinds.into_iter().filter(|kind| *kind != CacheKind::Test);
            wanted.extend(kinds.map(|kind| kind.name().to_owned()));
        }
    }
    wanted.sort();
    wanted.dedup();
    let mut sources = Vec::new();
    for cache in wanted {
        let of: Vec<Source> = all.iter().filter(|one| one.cache == cache).cloned().collect();
        if of.is_empty() {
            sources.push(Source::here(cache));
        } else {
            sources.extend(of);
        }
    }
    Ok(sources)
}

fn of_source(
    context: &Context<'_>,
    series: &dyn Series,
    source: &Source,
    range: Range,
) -> Result<Vec<TrendRow>, SeriesError> {
    let last = |metric| -> Result<Option<u64>, SeriesError> {
        let point = series.last(source, metric, range)?;
        Ok(point.map(|point| crate::key_removal::whole(point.value)).filter(|bytes| *bytes > 0))
    };
    let trend = series.trend(source, Metric::Allocated, range)?;
    let kept = last(Metric::Budget)?;
    let is_redis = redis_target::is_redis(&source.cache);
    let budget = if is_redis {
        // The server's own limit and the settings' budget: the smaller counts.
        [last(Metric::MaxMemory)?, kept].into_iter().flatten().min()
    } else if source.host.is_none() {
        budget_of(context, &source.cache).or(kept)
    } else {
        kept
    };
    let free = if is_redis { None } else { last(Metric::DiskFree)? };
    let mut row = TrendRow::new(source.clone(), Metric::Allocated, trend);
    if free.is_some() {
        row.disk = series.disk(source, range)?;
    }
    let mut rows = vec![row.within(budget, free, context.now)];
    if is_redis {
        let trend = series.trend(source, Metric::Resident, range)?;
        rows.push(TrendRow::new(source.clone(), Metric::Resident, trend));
    }
    Ok(rows)
}

/// `max-size` of the settings, bytes.
pub(crate) fn budget_of(context: &Context<'_>, cache: &str) -> Option<u64> {
    let settings = context.settings();
    let policy = match cache {
        "build" => &settings.build,
        "fuzz" => &settings.fuzz,
        "mod" => &settings.modules,
        "toolchain" => &settings.toolchain,
        "vcs" => &settings.vcs,
        _ => return None,
    };
    policy.max_size.map(|size| size.0)
}

/// Adds how right earlier forecasts were, keeps new ones, and tidies the file a little. What fails
/// here leaves the answer as it is.
fn remember(context: &Context<'_>, rows: &mut [TrendRow]) {
    let settings = context.settings();
    let Some(path) = history_open::path(settings).filter(|path| path.exists()) else { return };
    let kept = (|| {
        let (mut store, aside) = Store::open(&path, history_open::limits(&settings.history))?;
        history_open::say(context, aside.as_ref());
        store.tidy(context.now, TIDY)?;
        let reader = Reader::new(&path);
        let mut made = Vec::new();
        for row in rows.iter_mut().filter(|row| row.metric == Metric::Allocated) {
            let cache = &row.source.cache;
            let earlier = reader.forecasts(cache, context.now.minus(RECORD))?;
            row.record = record(&earlier);
            let last = earlier.iter().map(|forecast| forecast.made_at).max();
            if last.is_none_or(|last| context.now.since(last) >= FORECAST_EVERY) {
                made.extend(Forecast::of(&row.trend, cache, context.now.plus(DAY)));
            }
        }
        let made: Vec<Entry> = made.into_iter().map(Entry::Forecast).collect();
        store.write(&made)
    })();
    if let Err(error) = kept {
        history_open::mend(context, &error);
        context.printer.detail(&format!("no forecast was kept: {}", chain(&error)));
    }
}

/// How it ends: with `--check` in 1 where something is not well, which is said.
pub(crate) fn exit(context: &Context<'_>, rows: &[TrendRow], check: bool) -> Exit {
    if !check {
        return Exit::Done;
    }
    let threshold = context.settings().trend_threshold;
    let mut exit = Exit::Done;
    for row in rows {
        if let Some(why) = row.unwell(threshold, context.now) {
            context.printer.warning(&format!("{} {why}", row.source.cache));
            exit = Exit::Unwell;
        }
    }
    exit
}
