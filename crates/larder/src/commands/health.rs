//! `larder health`.

use std::collections::BTreeMap;
use std::time::Duration;

use larder_engine::report::StatusRow;
use larder_engine::status::status;
use larder_history::Metric;

use crate::args::{HealthArgs, TrendArgs};
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::health::{GoContext, Health, of_go, of_redis};
use crate::trend_rows::{self, TrendRow};
use crate::wire_health::HealthDoc;
use crate::{bridge, caches, redis_status, redis_target, render_health, verified_file};

pub(crate) fn run(context: &Context<'_>, args: &HealthArgs) -> Result<Exit, CliError> {
    let (redis, go): (Vec<&String>, Vec<&String>) =
        args.caches.iter().partition(|name| redis_target::is_redis(name));
    let go: Vec<String> = go.into_iter().cloned().collect();
    let kinds = caches::parse(&go)?;
    let everything = args.caches.is_empty();
    for name in &redis {
        redis_target::find(context, name)?;
    }
    let asking = (everything || !redis.is_empty()).then(|| redis_status::begin(context));
    let mut all: Vec<Health> = Vec::new();
    if everything || !kinds.is_empty() {
        let world = bridge::world(context)?;
        let mut report = {
            let _progress = context.progress("Measuring", None);
            status(&world, &bridge::config(context), &context.meter)?
        };
        verified_file::recall(context.settings().state.as_deref(), &world, &mut report);
        let fills = fills(context);
        let known = |row: &StatusRow| GoContext {
            full_in: fills.get(row.cache.name()).copied(),
            now: Some(context.now),
            units: context.settings().units,
        };
        let rows = report.rows.iter().filter(|row| everything || kinds.contains(&row.cache));
        all.extend(rows.filter_map(|row| of_go(row, known(row))));
    }
    let settings = context.settings();
    let rows = asking.map(redis_status::Asking::rows).unwrap_or_default();
    let wanted = rows.iter().filter(|row| everything || redis.contains(&&row.cache));
    all.extend(wanted.map(|row| of_redis(row, settings.daemon.health, settings.units)));
    context
        .printer
        .show(|| HealthDoc::from(&all[..]), || render_health::health(&all, &context.screen()));
    Ok(exit(&all, args.fail_below))
}

/// Until each cache of Go's is full, by its history: [`Duration::MAX`] where it does not grow. Of
/// what has not enough of one there is nothing.
fn fills(context: &Context<'_>) -> BTreeMap<String, Duration> {
    // Without a history nothing is known, which is what the score says then.
    let rows = trend_rows::of_history(context, &[], TrendArgs::SINCE).unwrap_or_default();
    let host = larder_engine::keys::host();
    let here = |row: &&TrendRow| row.source.host.as_ref().is_none_or(|other| *other == host);
    let known = rows.iter().filter(here).filter(|row| row.trend.rate.is_some());
    let own = known.filter(|row| row.metric == Metric::Allocated);
    own.map(|row| {
        let full = [row.full, row.disk_full].into_iter().flatten().map(|full| full.at).min();
        let left = full.map_or(Duration::MAX, |at| at.since(context.now));
        (row.source.cache.clone(), left)
    })
    .collect()
}

fn exit(all: &[Health], fail_below: Option<f64>) -> Exit {
    let Some(least) = fail_below else { return Exit::Done };
    // What is not known is not well, or a server that is down would pass.
    let unwell = |health: &Health| health.score.value.is_none_or(|value| value < least);
    if all.iter().any(unwell) { Exit::Unwell } else { Exit::Done }
}
