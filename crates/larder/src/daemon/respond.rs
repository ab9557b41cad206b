//! The answer to a sick Redis: slow log → blocking commands? → limit their sender and tell the
//! developers, otherwise analyse the distribution of keys; where its memory is full, what makes
//! room is told. An event for each decision, also for those not to act.

use std::time::Duration;

use larder_core::count::counted;
use larder_core::{Severity, Time};
use larder_engine::respond::{Allowed, Decision, Evictions, Offence, Seen, decide};
use larder_engine::trigger::Held;
use larder_redis::relief::{Full, heaviest, relief};
use larder_redis::slowlog::{Offender, SlowEntry, offenders};
use larder_redis::throttle::servers;
use larder_redis::{Audit, AuditOptions, Deployment, audit};

use super::cleaning::Run;
use super::record::Step;
use crate::context::Context;
use crate::exit::CliError;
use crate::redis_target::{self, RedisTarget};
use crate::slow_watch::Watched;
use crate::{args_keys, key_removal, redis_readings, throttle_guard, throttles};

/// Slow commands older than this are not what ails it now.
const RECENT: Duration = Duration::from_mins(10);
/// Prefixes that an analysis names.
const NAMED: usize = 5;

/// A Redis whose alert was raised, or is reminded of.
#[derive(Clone, Debug)]
pub(crate) struct Sick {
    pub cache: String,
    pub score: Option<f64>,
    /// Whether it was looked into before: what was found out then is old by now.
    pub again: bool,
    /// Why nothing may be done by itself now, where that is so.
    pub held: Option<Held>,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// What was done, and the way back.
    pub done: Option<String>,
    /// What was found out.
    pub details: Vec<String>,
}

/// Looks into it, and does what the settings allow.
pub(crate) fn respond(run: &Run<'_>, sick: &Sick) -> Found {
    let context = run.base.context(&["watch"]);
    let begun = Step::new("respond", run.trace, "looks into it").of(&sick.cache);
    run.recorder.say(match sick.score {
        Some(score) => begun.with("score", score),
        None => begun,
    });
    looked(run, sick, &context).unwrap_or_else(|error| {
        failed(run, &sick.cache, &error);
        Found::default()
    })
}

fn failed(run: &Run<'_>, cache: &str, error: &CliError) {
    let step = Step::new("respond-failed", run.trace, error.what.clone());
    run.recorder.say(step.of(cache).bad(Severity::Warning));
}

fn looked(run: &Run<'_>, sick: &Sick, context: &Context<'_>) -> Result<Found, CliError> {
    let target = redis_target::find(context, &sick.cache)?;
    let respond = &target.settings.respond;
    let seen = Seen {
        offences: offences(context, &target)?,
        evictions: evictions(run, &target.cache, context.now),
    };
    let allowed = Allowed {
        throttle_users: respond.throttle_users.clone(),
        analyse: respond.analyse,
        own_user: Some(target.endpoint.user.clone().unwrap_or_else(|| "default".to_owned())),
    };
    let mut found = Found {
        details: seen.offences.iter().take(NAMED).map(Offence::sentence).collect(),
        ..Found::default()
    };
    let mut analysed = None;
    for decision in decide(&seen, &allowed, sick.held) {
        match decision {
            Decision::Throttle { user, offence } => {
                found.done = throttle(run, context, &target, &user, &offence);
            }
            Decision::Leave { offence, why } => {
                let message = format!("{} is left: {why}", offence.sentence());
                let step = Step::new("not-throttled", run.trace, message).of(&sick.cache);
                run.recorder.say(with_evidence(step, &offence));
            }
            Decision::Analyse => match analyse(run, &target, context) {
                Ok((audit, details)) => {
                    found.details.extend(details);
                    analysed = Some(audit);
                }
                Err(error) => failed(run, &target.cache, &error),
            },
            Decision::MakeRoom { evictions } => {
                let room = room(run, &target, &evictions, analysed.as_ref());
                found.details.splice(0..0, room);
            }
            Decision::Nothing => {
                let message = "nothing blocks it, and its keys are not to be analysed";
                run.recorder.say(Step::new("not-analysed", run.trace, message).of(&sick.cache));
            }
        }
    }
    Ok(found)
}

fn with_evidence<'s>(step: Step<'s>, offence: &Offence) -> Step<'s> {
    step.with("pattern", &offence.pattern)
        .with("sender", &offence.sender)
        .with("user", offence.user.as_deref().unwrap_or("unknown"))
        .with("count", offence.count)
        .with("total_millis", offence.total.as_millis())
}

/// What it had to let go in the last minutes, by what was measured.
fn evictions(run: &Run<'_>, cache: &str, now: Time) -> Option<Evictions> {
    let known = run.base.live.know();
    let gone = known.evictions.lately(cache, now)?;
    let row = known.redis.iter().find(|row| row.cache == cache);
    let vitals = row.and_then(|row| row.vitals.as_ref().ok());
    Some(Evictions {
        keys: gone.keys,
        over: gone.over,
        policy: vitals.and_then(|vitals| vitals.policy.clone()),
        used: vitals.and_then(|vitals| vitals.used_memory),
        max: vitals.and_then(|vitals| vitals.max_memory),
    })
}

/// Says that memory is full, what shows it, and what makes room, a line each.
fn room(
    run: &Run<'_>,
    target: &RedisTarget,
    evictions: &Evictions,
    analysed: Option<&Audit>,
) -> Vec<String> {
    let units = run.base.settings().units;
    let prefixes = analysed.map_or(&[][..], |audit| &audit.prefixes);
    let heaviest = analysed.and_then(|audit| heaviest(prefixes, audit.bytes));
    let masters = {
        let known = run.base.live.know();
        let row = known.redis.iter().find(|row| row.cache == target.cache);
        row.and_then(|row| row.vitals.as_ref().ok()).map_or(1, |vitals| vitals.masters)
    };
    let (name, endpoint) = (&*target.cache, &target.endpoint);
    let commands = relief(Full { name, endpoint, max_memory: evictions.max, masters }, prefixes);
    let sentence = evictions.sentence(units);
    let mut step = Step::new("evictions", run.trace, format!("memory is full: {sentence}"))
        .of(name)
        .bad(Severity::Warning)
        .with("evicted_keys", evictions.keys)
        .with("over_seconds", evictions.over.as_secs());
    if let Some(policy) = &evictions.policy {
        step = step.with("policy", policy);
    }
    for (figure, value) in [("used_bytes", evictions.used), ("max_bytes", evictions.max)] {
        step.data.extend(value.map(|value| (figure.to_owned(), value.to_string())));
    }
    let mut lines = vec![sentence];
    if let Some(heaviest) = heaviest {
        step = step.with("prefix", &heaviest.prefix).with("prefix_bytes", heaviest.count.bytes);
        lines.push(heaviest.sentence(units));
    }
    for (number, command) in commands.into_iter().enumerate() {
        step = step.with(&format!("command{number}"), &command);
        lines.push(format!("makes room: {command}"));
    }
    run.recorder.say(step);
    lines
}

/// Who sent blocking commands in the last minutes.
fn offences(context: &Context<'_>, target: &RedisTarget) -> Result<Vec<Offence>, CliError> {
    let state = context.state_folder()?;
    let failed = |error| redis_target::failed(&error);
    let deployment = Deployment::discover(&target.endpoint).map_err(failed)?;
    let mut entries: Vec<SlowEntry> = Vec::new();
    for server in servers(&deployment) {
        entries.extend(Watched::open(state, &server).map_err(failed)?.0.entries());
    }
    let since = u64::try_from(context.now.minus(RECENT).unix()).unwrap_or(0);
    Ok(offenders(&entries, since).into_iter().map(offence).collect())
}

fn offence(offender: Offender) -> Offence {
    let sender = match offender.sender.name.as_str() {
        "" => offender.sender.address.clone(),
        name => format!("{} ({name})", offender.sender.address),
    };
    Offence {
        pattern: offender.patterns.join(", "),
        user: offender.sender.user,
        sender,
        count: offender.count,
        total: offender.total,
    }
}

fn throttle(
    run: &Run<'_>,
    context: &Context<'_>,
    target: &RedisTarget,
    user: &str,
    offence: &Offence,
) -> Option<String> {
    let length = target.settings.respond.throttle_for;
    let tell = |event| run.recorder.event(event, Severity::Warning);
    if let Err(error) = throttles::limit_user(context, target, user, length, run.trace, &tell) {
        let message = format!("{}: {}", offence.sentence(), error.what);
        let step = Step::new("throttle-failed", run.trace, message).of(&target.cache);
        run.recorder.say(with_evidence(step, offence).bad(Severity::Warning));
        return None;
    }
    throttle_guard::post(context, &target.cache, user);
    let until = context.now.plus(length);
    let message = format!("user {user} is limited for {}", larder_core::time::Typed(length));
    let step = Step::new("throttled", run.trace, message).of(&target.cache).bad(Severity::Warning);
    run.recorder.say(with_evidence(step, offence));
    Some(format!(
        "user {user} limited until {} (larder unthrottle {} --user {user})",
        clock(until),
        target.cache
    ))
}

/// `14:32`, in local time.
fn clock(at: Time) -> String {
    let stamp = jiff::Timestamp::from_nanosecond(i128::from(at.unix_nanos())).unwrap_or_default();
    stamp.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M").to_string()
}

/// Where the memory is, by prefix, and what the audit would say first, a line each.
fn analyse(
    run: &Run<'_>,
    target: &RedisTarget,
    context: &Context<'_>,
) -> Result<(Audit, Vec<String>), CliError> {
    let failed = |error| redis_target::failed(&error);
    let deployment = Deployment::discover(&target.endpoint).map_err(failed)?;
    let units = context.settings().units;
    let options = AuditOptions {
        name: &target.cache,
        limits: key_removal::limits(&target.settings, &args_keys::PaceArgs::default()),
        units,
    };
    let stopped = || context.meter.stopped();
    let found = audit(&deployment, options, &stopped).map_err(failed)?;
    let state = context.settings().state.as_deref();
    redis_readings::add_own(state, &target.endpoint, found.caused);
    let mut details: Vec<String> = Vec::new();
    for (prefix, count) in found.prefixes.iter().take(NAMED) {
        let share = count.bytes as f64 * 100.0 / found.bytes.max(1) as f64;
        details.push(format!(
            "{}: {} keys, {} ({share:.0} %)",
            prefix.escape_ascii(),
            count.keys,
            units.show(count.bytes)
        ));
    }
    let worst = found.findings.iter().take(NAMED);
    details.extend(worst.map(|finding| format!("{}: {}", finding.subject, finding.evidence)));
    let prefixes = counted(found.prefixes.len() as u64, "prefix", "prefixes");
    let message = format!("{} keys in {prefixes}", found.keys);
    let mut step = Step::new("analysed", run.trace, message).of(&target.cache);
    for (number, line) in details.iter().enumerate() {
        step = step.with(&format!("line{number}"), line);
    }
    run.recorder.say(step);
    Ok((found, details))
}
