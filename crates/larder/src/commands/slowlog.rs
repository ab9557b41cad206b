//! `larder slowlog`, of masters and replicas.

use std::path::Path;
use std::time::Duration;

use larder_redis::clients::Roster;
use larder_redis::slowlog::{self, SlowEntry};
use larder_redis::throttle::servers;
use larder_redis::{Deployment, Endpoint, Info, Link, RedisError};

use crate::args::SlowlogArgs;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::slow_kept::Kept;
use crate::wire_slowlog::{SlowReport, SlowlogDoc, WireSlowEntry};
use crate::{redis_target, render_slowlog};

/// A server, and what is known of its slow log.
struct Watched {
    link: Link,
    run_id: String,
    url: String,
    roster: Roster,
    kept: Kept,
    /// It did not answer the last time.
    down: bool,
}

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
        match watch(state, &server) {
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
    report.entries = watched.iter().flat_map(|one| one.kept.entries(one.link.address())).collect();
    report.patterns = slowlog::group(&report.entries);
    context.printer.show(
        || SlowlogDoc::new(&target.cache, &report),
        || render_slowlog::patterns(&target.cache, &report, args.top, &context.screen()),
    );
    Ok(if report.missing.is_empty() { Exit::Done } else { Exit::Partly })
}

/// Looks at a server for the first time: what is new, and how many came and went unseen.
fn watch(state: &Path, server: &Endpoint) -> Result<(Watched, Vec<SlowEntry>, u64), RedisError> {
    let mut link = Link::open(server, "slowlog")?;
    let run_id = Info::ask(&mut link)?.run_id().to_owned();
    let url = server.url();
    let kept = Kept::read(state, &url);
    let mut one = Watched { link, roster: kept.roster(&run_id), run_id, url, kept, down: false };
    let (entries, lost) = look(&mut one)?;
    one.kept.write(state, &one.url);
    Ok((one, entries, lost))
}

/// What is new, and how many came and went unseen.
fn look(one: &mut Watched) -> Result<(Vec<SlowEntry>, u64), RedisError> {
    if one.down {
        // It may be another run of the server, whose numbers begin anew.
        let run_id = Info::ask(&mut one.link)?.run_id().to_owned();
        if run_id != one.run_id {
            one.roster = Roster::default();
            one.run_id = run_id;
        }
        one.down = false;
    }
    let look = slowlog::look(&mut one.link, one.kept.next(&one.run_id), &mut one.roster)?;
    one.kept.add(&one.run_id, &look, &one.roster);
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
            let (entries, lost) = match look(one) {
                Ok(found) => found,
                Err(error) => {
                    if !one.down {
                        context.printer.warning(&format!("{error}; it is asked again"));
                    }
                    one.down = true;
                    continue;
                }
            };
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
