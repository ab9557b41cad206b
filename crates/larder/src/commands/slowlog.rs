//! `larder slowlog`, of masters and replicas.

use std::time::Duration;

use larder_redis::slowlog::{self, SlowEntry};
use larder_redis::throttle::servers;
use larder_redis::{Deployment, RedisError};

use crate::args::SlowlogArgs;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::slow_watch::Watched;
use crate::wire_slowlog::{SlowReport, SlowlogDoc, WireSlowEntry};
use crate::{redis_target, render_slowlog};

pub(crate) fn run(context: &Context<'_>, args: &SlowlogArgs) -> Result<Exit, CliError> {
    if !redis_target::is_redis(&args.cache) {
        return Err(CliError::usage(format!("{} is not a Redis", args.cache))
            .hint("larder slowlog redis:NAME"));
    }
    let target = redis_target::find(context, &args.cache)?;
    let failed = |error: &RedisError| redis_target::failed(error);
    let deployment = Deployment::discover(&target.endpoint).map_err(|error| failed(&error))?;
    let mut report = SlowReport {
        missing: deployment.missing.iter().map(|m| format!("{}: {}", m.what, m.why)).collect(),
        ..SlowReport::default()
    };
    let state = context.state_folder()?;
    let (mut watched, mut fresh) = (Vec::new(), Vec::new());
    let mut first_error = None;
    for server in servers(&deployment) {
        match Watched::open(state, &server) {
            Ok((one, entries, lost)) => {
                report.lost += lost;
                fresh.extend(entries);
                watched.push(one);
            }
            Err(error) => {
                report.missing.push(error.to_string());
                first_error = first_error.or(Some(error));
            }
        }
    }
    // Nothing at all could be asked: that is the answer.
    if let Some(error) = first_error.filter(|_| watched.is_empty()) {
        return Err(failed(&error));
    }
    if args.follow {
        report.missing.iter().for_each(|missing| context.printer.warning(missing));
        return follow(context, &mut watched, &fresh);
    }
    report.entries = watched.iter().flat_map(Watched::entries).collect();
    report.patterns = slowlog::group(&report.entries);
    context.printer.show(
        || SlowlogDoc::new(&target.cache, &report),
        || render_slowlog::patterns(&target.cache, &report, args.top, &context.screen()),
    );
    Ok(if report.missing.is_empty() { Exit::Done } else { Exit::Partly })
}

const OFTEN: Duration = Duration::from_millis(50);
const SELDOM: Duration = Duration::from_millis(200);

/// Shows entries as they come; looks more often where many come, so that the ring does not roll
/// over in between.
fn follow(
    context: &Context<'_>,
    watched: &mut [Watched],
    fresh: &[SlowEntry],
) -> Result<Exit, CliError> {
    let state = context.state_folder()?;
    show(context, fresh);
    let mut pause = SELDOM;
    while !context.meter.stopped() {
        std::thread::sleep(pause);
        let mut came = 0;
        for one in &mut *watched {
            let (entries, lost) = match one.look() {
                Ok(found) => found,
                Err(error) => {
                    if one.is_news() {
                        context.printer.warning(&format!("{error}; it is asked again"));
                    }
                    continue;
                }
            };
            if lost > 0 {
                context.printer.warning(&format!("{lost} slow commands came and went unseen"));
            }
            came = came.max(entries.len() + usize::try_from(lost).unwrap_or(usize::MAX));
            show(context, &entries);
            if !entries.is_empty() {
                one.write(state);
            }
        }
        pause = if came > 16 { (pause / 2).max(OFTEN) } else { (pause * 2).min(SELDOM) };
    }
    Ok(Exit::Done)
}

fn show(context: &Context<'_>, entries: &[SlowEntry]) {
    for entry in entries {
        if context.printer.is_json() {
            let line = serde_json::to_string(&WireSlowEntry::from(entry)).unwrap_or_default();
            context.printer.raw(format!("{line}\n").as_bytes());
        } else {
            context.printer.answer(&render_slowlog::entry(entry));
        }
    }
}
