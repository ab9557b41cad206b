//! `larder slowlog`.

use std::time::Duration;

use larder_redis::slowlog::{self, SlowEntry};
use larder_redis::{Deployment, Info, Link, RedisError};

use crate::args::SlowlogArgs;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::slow_kept::Kept;
use crate::wire_slowlog::{SlowlogDoc, WireSlowEntry};
use crate::{redis_target, render_slowlog};

/// A server, and what is known of its slow log.
struct Watched {
    link: Link,
    run_id: String,
    url: String,
    kept: Kept,
}

pub(crate) fn run(context: &Context<'_>, args: &SlowlogArgs) -> Result<Exit, CliError> {
    if !redis_target::is_redis(&args.cache) {
        return Err(CliError::usage(format!("{} is not a Redis", args.cache))
            .hint("larder slowlog redis:NAME"));
    }
    let target = redis_target::find(context, &args.cache)?;
    let failed = |error| redis_target::failed(&error);
    let deployment = Deployment::discover(&target.endpoint).map_err(failed)?;
    let state = context.state_folder()?;
    let mut missing: Vec<String> =
        deployment.missing.iter().map(|m| format!("without {}: {}", m.what, m.why)).collect();
    let mut watched = Vec::new();
    for node in &deployment.nodes {
        let mut link = Link::open(&node.endpoint, "slowlog").map_err(failed)?;
        let run_id = Info::ask(&mut link).map_err(failed)?.run_id().to_owned();
        let url = node.endpoint.url();
        watched.push(Watched { link, run_id, kept: Kept::read(state, &url), url });
    }
    let (mut lost, mut denied) = (0, Vec::new());
    let mut fresh = Vec::new();
    for one in &mut watched {
        match look(one) {
            Ok((entries, gone)) => {
                lost += gone;
                one.kept.write(state, &one.url);
                fresh.extend(entries);
            }
            Err(error) => {
                missing.push(error.to_string());
                denied.push(error);
            }
        }
    }
    // Nothing at all could be asked: that is the answer.
    if let Some(error) = denied.first().filter(|_| denied.len() == watched.len()) {
        return Err(redis_target::failed(error));
    }
    if args.follow {
        return follow(context, &mut watched, &fresh);
    }
    let all: Vec<SlowEntry> = watched.iter().flat_map(|one| one.kept.entries()).collect();
    let patterns = slowlog::group(&all);
    context.printer.show(
        || SlowlogDoc::new(&target.cache, &patterns, lost, &missing),
        || render_slowlog::patterns(&patterns, args.top, lost, &missing, &context.screen()),
    );
    Ok(if missing.is_empty() { Exit::Done } else { Exit::Partly })
}

/// What is new, and how many came and went unseen.
fn look(one: &mut Watched) -> Result<(Vec<SlowEntry>, u64), RedisError> {
    let look = slowlog::look(&mut one.link, one.kept.next(&one.run_id))?;
    one.kept.add(&one.run_id, look.next, &look.entries);
    Ok((look.entries, look.lost))
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
            let (entries, lost) = look(one).map_err(|error| redis_target::failed(&error))?;
            if lost > 0 {
                context.printer.warning(&format!("{lost} slow commands came and went unseen"));
            }
            came = came.max(entries.len() + usize::try_from(lost).unwrap_or(usize::MAX));
            show(context, &entries);
            if !entries.is_empty() {
                one.kept.write(state, &one.url);
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
