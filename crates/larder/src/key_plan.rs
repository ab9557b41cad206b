//! What is to be done with keys of Redis caches: found out, previewed and made a plan.

use larder_core::time::Typed;
use larder_core::{Expiry, KeyChange, KeySelection, KeysItem, Plan};
use larder_engine::{Profile, keys};
use larder_redis::{Deployment, Preview, PreviewOptions, Selection, preview};

use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::redis_readings;
use crate::redis_target::{self, RedisTarget};
use crate::settings_redis::Rule;

/// Why keys are changed that were named on the command line.
pub(crate) const ASKED_FOR: &str = "matches what was asked for";

/// A wish for a Redis.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub target: RedisTarget,
    pub selection: KeySelection,
    pub change: KeyChange,
    /// Why, as a plan tells it.
    pub reason: String,
}

/// A Redis that answered, and what is to be done with keys of it.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub target: RedisTarget,
    pub deployment: Deployment,
    pub preview: Option<Preview>,
    pub item: KeysItem,
}

/// Each Redis of these names.
pub(crate) fn targets(
    context: &Context<'_>,
    names: &[String],
) -> Result<Vec<RedisTarget>, CliError> {
    let mut targets: Vec<RedisTarget> = Vec::new();
    for name in names {
        let target = redis_target::find(context, name)?;
        if !targets.iter().any(|other| other.endpoint.url() == target.endpoint.url()) {
            targets.push(target);
        }
    }
    Ok(targets)
}

/// The same wish for each Redis of these names.
pub(crate) fn wishes(
    context: &Context<'_>,
    names: &[String],
    selection: &KeySelection,
    change: KeyChange,
) -> Result<Vec<Wish>, CliError> {
    let wish = |target| Wish {
        target,
        selection: selection.clone(),
        change,
        reason: ASKED_FOR.to_owned(),
    };
    Ok(targets(context, names)?.into_iter().map(wish).collect())
}

/// What the settings' rules want gone from each Redis of these names.
pub(crate) fn of_rules(context: &Context<'_>, names: &[String]) -> Result<Vec<Wish>, CliError> {
    let mut wishes = Vec::new();
    for target in targets(context, names)? {
        let rules = &target.settings.clean;
        if rules.is_empty() {
            let name = match target.settings.name.as_str() {
                "" => "NAME",
                name => name,
            };
            let what = format!("no rule of the settings says what of {} may go", target.cache);
            let hint = format!(
                "as in: [[redis.{name}.clean]] with match = \"temp:*\" and idle = \"1h\"; \
                 or larder clean {} --match …",
                target.cache
            );
            return Err(CliError::usage(what).hint(hint));
        }
        for rule in rules {
            crate::args_keys::check_type(rule.kind.as_deref())?;
            wishes.push(Wish {
                selection: rule.selection(),
                change: KeyChange::Remove,
                reason: format!("{}, by the settings", described(rule)),
                target: target.clone(),
            });
        }
    }
    Ok(wishes)
}

/// `temp:* idle 1h without TTL`.
fn described(rule: &Rule) -> String {
    let mut words = vec![rule.pattern.clone()];
    words.extend(rule.exclude.iter().map(|pattern| format!("but {pattern}")));
    words.extend(rule.kind.iter().map(|kind| format!("type {kind}")));
    words.extend(rule.idle.map(|least| format!("idle {}", Typed(least))));
    words.extend(rule.older_than.map(|least| format!("older than {}", Typed(least))));
    words.extend(rule.larger_than.map(|least| format!("larger than {least} bytes")));
    words.extend(rule.persistent.then(|| "without TTL".to_owned()));
    words.join(" ")
}

/// Those that could be looked at, and those that could not, with the reason.
pub(crate) type Looked = (Vec<Prepared>, Vec<(String, CliError)>);

/// Looks at what each wish is about.
pub(crate) fn prepare(
    context: &Context<'_>,
    wishes: Vec<Wish>,
    options: PreviewOptions,
) -> Result<Looked, CliError> {
    larder_redis::give_way();
    let (mut prepared, mut failed) = (Vec::<Prepared>::new(), Vec::<(String, CliError)>::new());
    for wish in wishes {
        // Several wishes may be about one Redis, which is looked for once.
        let cache = &wish.target.cache;
        if failed.iter().any(|(other, _)| other == cache) {
            continue;
        }
        let known = prepared.iter().find(|one| one.target.cache == *cache);
        match look(context, &wish, known.map(|one| &one.deployment), options) {
            Ok((deployment, preview)) => {
                let item = item(&wish, &preview);
                let target = wish.target;
                prepared.push(Prepared { target, deployment, preview: Some(preview), item });
            }
            Err(error) if error.exit == Exit::Interrupted => return Err(error),
            Err(error) => failed.push((wish.target.cache, error)),
        }
    }
    match failed.pop() {
        Some((_, error)) if prepared.is_empty() => Err(error),
        last => {
            failed.extend(last);
            Ok((prepared, failed))
        }
    }
}

/// How to look for a preview that somebody decides by.
pub(crate) fn look_how(context: &Context<'_>, count_all: bool) -> PreviewOptions {
    let seed = context.now.unix_nanos().unsigned_abs() | 1;
    PreviewOptions { count_all, seed, ..PreviewOptions::default() }
}

fn look(
    context: &Context<'_>,
    wish: &Wish,
    known: Option<&Deployment>,
    options: PreviewOptions,
) -> Result<(Deployment, Preview), CliError> {
    let failed = |error| redis_target::failed(&error);
    let deployment = match known {
        Some(known) => known.clone(),
        None => Deployment::discover(&wish.target.endpoint).map_err(failed)?,
    };
    if let Some(master) = deployment.nodes.iter().find_map(|node| node.follows.as_ref()) {
        let what = format!("{} is a replica, and a replica takes no writes", wish.target.cache);
        return Err(CliError::refused(what).hint(format!("its master is {master}")));
    }
    let selection = Selection::from(wish.selection.clone());
    let stopped = || context.meter.stopped();
    let preview = preview(&deployment, &selection, options, &stopped).map_err(failed)?;
    let state = context.settings().state.as_deref();
    redis_readings::add_own(state, &wish.target.endpoint, preview.caused);
    Ok((deployment, preview))
}

fn item(wish: &Wish, preview: &Preview) -> KeysItem {
    KeysItem {
        cache: wish.target.cache.clone(),
        url: wish.target.endpoint.url(),
        selection: wish.selection.clone(),
        change: wish.change,
        keys: whole(preview.keys.value),
        estimated_bytes: whole(preview.bytes.value),
        reason: wish.reason.as_str().into(),
    }
}

/// A plan of what was looked at.
pub(crate) fn plan(prepared: &[Prepared], request: &[String]) -> Plan {
    keys::plan(request, prepared.iter().map(|one| one.item.clone()).collect())
}

/// The strictest of them.
pub(crate) fn profile(prepared: &[Prepared]) -> Profile {
    let strict = prepared.iter().any(|one| one.target.profile == Profile::Production);
    if strict { Profile::Production } else { Profile::Dev }
}

/// An item as flags of the command line: which keys, and what is done with them.
pub(crate) fn flags(item: &KeysItem) -> String {
    let selection = &item.selection;
    let mut text = format!("--match '{}'", selection.pattern.escape_ascii());
    let mut add = |flag: &str, value: String| text = format!("{text} --{flag} {value}");
    for pattern in &selection.exclude {
        add("exclude", format!("'{}'", pattern.escape_ascii()));
    }
    selection.kind.iter().for_each(|kind| add("type", kind.clone()));
    for (flag, least) in [("idle", selection.idle), ("older-than", selection.older_than)] {
        if let Some(least) = least {
            add(flag, Typed(least).to_string());
        }
    }
    selection.larger_than.iter().for_each(|bytes| add("larger-than", format!("{bytes}B")));
    if let KeyChange::Expire(expiry) = item.change {
        add("ttl", Typed(expiry.ttl).to_string());
        if expiry.jitter > 0 {
            add("jitter", format!("{}%", percent(expiry.jitter)));
        }
        if let Some(word) = expiry.only.word() {
            text = format!("{text} --{}", word.to_ascii_lowercase());
        }
    }
    if selection.persistent {
        text.push_str(" --persistent");
    }
    text
}

/// `24h`, or `24h ± 10 %`.
pub(crate) fn ttl(expiry: Expiry) -> String {
    let ttl = Typed(expiry.ttl);
    match expiry.jitter {
        0 => ttl.to_string(),
        jitter => format!("{ttl} ± {} %", percent(jitter)),
    }
}

/// Thousandths as a percentage.
fn percent(thousandths: u16) -> String {
    match (thousandths / 10, thousandths % 10) {
        (percent, 0) => percent.to_string(),
        (percent, tenth) => format!("{percent}.{tenth}"),
    }
}

/// A figure that is at least zero as a whole number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
pub(crate) fn whole(figure: f64) -> u64 {
    figure.round().clamp(0.0, 9e18) as u64
}
