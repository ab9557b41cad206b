//! `larder health`.

use larder_engine::status::status;

use crate::args::HealthArgs;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::health::{GoContext, Health, of_go, of_redis};
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
        let now = Some(context.now);
        let known = GoContext { full_in: None, now, units: context.settings().units };
        let rows = report.rows.iter().filter(|row| everything || kinds.contains(&row.cache));
        all.extend(rows.filter_map(|row| of_go(row, known)));
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

fn exit(all: &[Health], fail_below: Option<f64>) -> Exit {
    let Some(least) = fail_below else { return Exit::Done };
    // What is not known is not well, or a server that is down would pass.
    let unwell = |health: &Health| health.score.value.is_none_or(|value| value < least);
    if all.iter().any(unwell) { Exit::Unwell } else { Exit::Done }
}
