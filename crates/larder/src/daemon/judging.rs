//! From what was measured to what is known and judged: scores, growth, forecasts, verdicts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use larder_core::alert_board::{Judged, Verdict};
use larder_core::check::Approval;
use larder_core::{Alert, CacheKind, Notice, Occasion, Reason, Sample, Severity, Time};
use larder_engine::World;
use larder_engine::report::{State, StatusReport, StatusRow};
use larder_history::{Metric, Source};
use larder_server::Growth;

use super::alerts::{self, Evidence};
use super::base::Base;
use super::cleaning::Told;
use super::disk_alerts;
use super::record::{Recorder, Step, new_trace};
use super::sampler::Round;
use crate::health::{GoContext, Health, of_go, of_redis};
use crate::settings::Settings;
use crate::wire::TrendDoc;
use crate::{trend_rows, waiting};

/// The past that growth is taken from.
const PAST: Duration = Duration::from_hours(7 * 24);

/// Takes in a round: scores each sample, and keeps all.
pub(crate) fn take(
    base: &Base<'_>,
    recorder: &Recorder<'_>,
    round: Round,
    world: &World,
    now: Time,
) {
    let settings = base.settings();
    let running = larder_go::running::running();
    let builds = running.iter().filter(|process| process.is_go_command()).count() as u64;
    let mut known = base.live.know();
    let report = known.report.clone();
    let mut health: Vec<Health> = Vec::new();
    let mut samples = round.samples;
    for sample in &mut samples {
        let growth = known.growth.get(&sample.cache);
        let row = report.as_deref().and_then(|report| row_of(report, sample));
        if let Some(row) = row {
            sample.reclaimable_bytes = Some(row.reclaimable.0);
            (sample.last_used, sample.oldest_use) = (row.last_used, row.oldest_use);
            let context =
                GoContext { full_in: full_in(growth, now), now: Some(now), units: settings.units };
            health.extend(of_go(&row, context));
        }
    }
    // A server that has not answered in time is what it was when it last did.
    let mut rows = known.redis.clone();
    for row in round.redis {
        if let Ok(Some(counted)) = row.vitals.as_ref().map(|vitals| vitals.evicted) {
            known.evictions.take(&row.cache, now, counted);
        }
        rows.retain(|old| old.cache != row.cache);
        rows.push(Arc::new(row));
    }
    rows.retain(|row| {
        settings.redis.iter().any(|redis| row.cache == format!("redis:{}", redis.name))
    });
    rows.sort_by(|a, b| a.cache.cmp(&b.cache));
    let of_rows = rows.iter().map(|row| of_redis(row, settings.daemon.health, settings.units));
    health.extend(of_rows);
    for sample in &mut samples {
        let Some(own) = health.iter().find(|health| health.cache == sample.cache) else { continue };
        sample.score = own.score.value;
        let points = own.score.dimensions.iter();
        sample.points = points.filter_map(|p| Some((p.name.to_owned(), p.points?))).collect();
    }
    known.facts.retain(|old| round.facts.iter().all(|new| new.cache != old.cache));
    known.facts.extend(round.facts);
    known.facts.sort_by(|a, b| (&a.cache, &a.node).cmp(&(&b.cache, &b.node)));
    known.redis = rows;
    known.health = health;
    (known.go_commands, known.counted_at) = (Some(builds), Some(now));
    known.forget(|cache| is_known(cache, &settings, world));
    known.evictions.forget(|cache| is_configured(cache, &settings));
    for sample in &samples {
        known.take(sample.clone());
    }
    known.ready.get_or_insert(now);
    drop(known);
    recorder.samples(samples);
}

fn is_known(cache: &str, settings: &Settings, world: &World) -> bool {
    let there = |kind: CacheKind| world.root(kind).dir().is_some();
    is_configured(cache, settings) && cache.parse().map_or(true, there)
}

/// Whether it is a cache that is looked after here. The history remembers others too, and a fleet's
/// other machines.
pub(crate) fn is_here(source: &Source, settings: &Settings) -> bool {
    let host = || larder_engine::keys::host();
    source.host.as_ref().is_none_or(|other| *other == host())
        && is_configured(&source.cache, settings)
}

/// Whether it is a cache of Go's or a Redis of the settings.
fn is_configured(cache: &str, settings: &Settings) -> bool {
    match cache.strip_prefix("redis:") {
        Some(name) => settings.redis.iter().any(|redis| redis.name == name),
        None => cache.parse::<CacheKind>().is_ok(),
    }
}

/// The row of the last full scan, with the size as it is now.
fn row_of(report: &StatusReport, sample: &Sample) -> Option<StatusRow> {
    let row = report.rows.iter().find(|row| row.cache.name() == sample.cache)?;
    let mut row = row.clone();
    let (files, logical) = (sample.files?, sample.logical_bytes?);
    row.size = larder_core::Size::new(files, logical, sample.allocated_bytes?);
    row.reclaimable.0 = row.reclaimable.0.min(row.size.allocated.0);
    row.budget = sample.budget_bytes.map(larder_core::Allocated);
    row.state = State::Ok;
    Some(row)
}

fn full_in(growth: Option<&Growth>, now: Time) -> Option<Duration> {
    let growth = growth?;
    Some(growth.full_at.map_or(Duration::MAX, |at| at.since(now)))
}

/// Works out from history how each cache grows; forecasts are kept and held against what came.
pub(crate) fn foresee(base: &Base<'_>) {
    let context = base.context(&["trend"]);
    // What cannot be read now is tried again in a minute; the history's own state is an alert.
    let Ok(rows) = trend_rows::of_history(&context, &[], PAST) else { return };
    let settings = base.settings();
    let (mut grows, mut errors) = (BTreeMap::new(), BTreeMap::new());
    for row in rows.iter().filter(|row| row.metric == Metric::Allocated) {
        let cache = row.source.cache.clone();
        if !is_here(&row.source, &settings) {
            continue;
        }
        if let Some(error) = row.record.ratio {
            errors.insert(cache.clone(), error);
        }
        let Some(rate) = row.trend.rate else { continue };
        let full = [row.full, row.disk_full].into_iter().flatten().map(|full| full.at).min();
        let growth = Growth {
            cache: cache.clone(),
            per_second: rate.per_second,
            low: rate.interval.map(|(low, _)| low),
            high: rate.interval.map(|(_, high)| high),
            full_at: full,
        };
        grows.insert(cache, growth);
    }
    let trend = serde_json::to_value(TrendDoc::new(&rows, context.now)).ok();
    let mut known = base.live.know();
    // Of a folder that is gone there is a past alone.
    grows.retain(|cache, _| cache.starts_with("redis:") || known.samples.contains_key(cache));
    // What can no longer be told is not told any longer.
    (known.growth, known.forecast_errors, known.trend) = (grows, errors, trend);
    known.foreseen_at = Some(context.now);
}

/// How each cache is to be taken, and larder itself.
pub(crate) fn judge(
    base: &Base<'_>,
    recorder: &Recorder<'_>,
    bad_settings: Option<&str>,
    now: Time,
) -> Vec<Judged> {
    let settings = base.settings();
    let waits = waiting_for(&settings);
    let mut known = base.live.know();
    let (mut judged, mut good) = (Vec::new(), Vec::new());
    for (cache, sample) in &known.samples {
        let health = known.health.iter().find(|health| health.cache == *cache);
        let report = known.report.as_deref();
        let row = report.and_then(|r| r.rows.iter().find(|row| row.cache.name() == cache));
        // What another command would free says nothing of the one that is named.
        let command = health.and_then(|health| health.actions.first());
        let named = row.and_then(|r| r.findings.iter().find(|f| f.command.as_ref() == command));
        let frees = named.filter(|_| command.is_some()).and_then(|finding| finding.frees);
        let evidence = Evidence {
            health,
            growth: known.growth.get(cache),
            unmeasured: sample.error.as_deref().map(|why| (why, now.since(sample.at))),
            good_score: known.good_scores.get(cache).copied(),
            unusual: known.usual.far(sample, now, settings.units),
            frees: frees.map(|bytes| bytes.0),
            units: settings.units,
        };
        let mut one = alerts::judge(cache, &evidence, &settings.daemon.alert, now);
        if let Some((command, bytes)) = waits.get(cache) {
            (one.alert.command, one.alert.frees) = (Some(command.clone()), Some(*bytes));
        }
        if let (Verdict::Good, Some(score)) = (one.verdict, one.alert.score) {
            good.push((cache.clone(), score));
        }
        judged.push(one);
    }
    if let Some(below) = settings.daemon.watch.free_below {
        let samples = known.samples.values();
        judged.extend(disk_alerts::judge(samples, below, settings.units, now));
    }
    known.good_scores.extend(good);
    drop(known);
    judged.push(own("SettingsBad", bad_settings.map(str::to_owned), "larder config check", now));
    let stats = recorder.history().stats();
    let damage =
        stats.last_error.or_else(|| recorder.damaged.clone().filter(|_| is_new(base, now)));
    judged.push(own("HistoryDamaged", damage, "larder events --since 1h", now));
    judged
}

/// The command that approves what waits for a cache, and the bytes that it would free.
fn waiting_for(settings: &Settings) -> BTreeMap<String, (String, u64)> {
    let mut waits = BTreeMap::new();
    let plans = settings.state.as_deref().map(waiting::list).unwrap_or_default();
    for one in plans.iter().filter(|one| one.approval != Approval::Given) {
        for cache in one.caches() {
            let items = one.plan.items.iter().filter(|item| item.cache.name() == cache);
            let keys = one.plan.keys.iter().filter(|item| item.cache == cache);
            let bytes =
                items.filter_map(|item| item.size).map(|size| size.allocated.0).sum::<u64>()
                    + keys.map(|item| item.estimated_bytes).sum::<u64>();
            waits.insert(cache, (format!("larder approve {}", one.plan.id), bytes));
        }
    }
    waits
}

/// That a file was set aside is told for an hour.
fn is_new(base: &Base<'_>, now: Time) -> bool {
    let ready = base.live.know().ready;
    ready.is_none_or(|at| now.since(at) < Duration::from_hours(1))
}

/// Something about larder itself.
fn own(name: &str, trouble: Option<String>, command: &str, now: Time) -> Judged {
    let verdict = if trouble.is_some() { Verdict::Bad } else { Verdict::Good };
    let reason = |text| Reason { id: name.to_owned(), lost: None, text };
    Judged {
        alert: Alert {
            name: name.to_owned(),
            cache: "larder".to_owned(),
            severity: Severity::Warning,
            since: now,
            ended: None,
            score: None,
            score_before: None,
            reasons: trouble.map(reason).into_iter().collect(),
            trend: String::new(),
            command: Some(command.to_owned()),
            frees: None,
            done: Vec::new(),
            details: Vec::new(),
        },
        verdict,
    }
}

/// Writes down how each cache grows, for who looks back: nobody is told of it. Whether there was
/// something to write.
pub(crate) fn archive_growth(base: &Base<'_>, recorder: &Recorder<'_>) -> bool {
    let grows: Vec<_> = base.live.know().growth.values().cloned().collect();
    let (trace, units, now) = (new_trace(), base.settings().units, larder_fs::now());
    for growth in &grows {
        let step = Step::new("growth", &trace, alerts::trend(growth, units, now));
        let step = step.with("bytes_per_second", format!("{:.3}", growth.per_second));
        recorder.say(step.of(&growth.cache));
    }
    !grows.is_empty()
}

/// What was done, or waits, as a notice.
pub(crate) fn report(told: Told, host: &str, now: Time) -> Notice {
    let name = if told.command.is_some() { "PlanWaits" } else { "CacheCleaned" };
    let Told { cache, text, command, frees, undo, trace: _ } = told;
    let alert = Alert {
        name: name.to_owned(),
        cache: cache.clone(),
        severity: Severity::Info,
        since: now,
        ended: None,
        score: None,
        score_before: None,
        reasons: vec![Reason { id: "done".to_owned(), lost: None, text }],
        trend: String::new(),
        command,
        frees,
        done: undo.map(|undo| format!("undo: {undo}")).into_iter().collect(),
        details: Vec::new(),
    };
    Notice {
        id: format!("{name}/{cache}/{}", now.unix_nanos()),
        occasion: Occasion::Report,
        at: now,
        host: host.to_owned(),
        alerts: vec![alert],
    }
}
