//! Removing keys of Redis caches: found out, previewed, asked about, checked, removed, reported.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use larder_core::check::Approval;
use larder_core::{CheckedPlan, KeySelection, KeysItem, Plan};
use larder_engine::{Profile, keys};
use larder_redis::{
    Cleaned, Deployment, Limits, Preview, PreviewOptions, Selection, Stopped, Undo, Work, preview,
};

use crate::args_clean::RemoveArgs;
use crate::args_keys::PaceArgs;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::key_resume::{self, ResumeFile};
use crate::key_trash::{self, Keeping};
use crate::progress_keys::KeysProgress;
use crate::redis_target::{self, RedisTarget};
use crate::settings_redis::RedisSettings;
use crate::wire_outcome::OutcomeDoc;
use crate::wire_plan::PlanDoc;
use crate::{bridge, redis_readings, render_keys};

/// A Redis that answered, and what is to go from it.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub target: RedisTarget,
    pub deployment: Deployment,
    pub preview: Option<Preview>,
    pub item: KeysItem,
}

/// What was done on one Redis.
#[derive(Debug)]
pub(crate) struct Done {
    pub cache: String,
    pub cleaned: Cleaned,
    /// The entry that undoes it.
    pub trash_id: Option<String>,
    /// What that takes on the disk, in bytes.
    pub kept_bytes: u64,
    /// Where `--resume` begins, when it was not gone through to its end.
    pub resumable: Option<PathBuf>,
}

impl Done {
    /// What could not be worked on to its end, and why.
    pub(crate) fn broken(&self) -> Vec<(String, String)> {
        let missing = self.cleaned.missing.iter();
        let missing = missing.map(|missing| (missing.what.clone(), missing.why.clone()));
        let nodes = self.cleaned.nodes.iter();
        let broken = nodes.filter_map(|node| Some((node.address.clone(), node.error.clone()?)));
        missing.chain(broken).map(|(what, why)| (format!("{}: {what}", self.cache), why)).collect()
    }
}

/// `larder clean redis:NAME… --match P`.
pub(crate) fn clean(
    context: &Context<'_>,
    names: &[String],
    selection: &KeySelection,
    pace: &PaceArgs,
    remove: &RemoveArgs,
) -> Result<Exit, CliError> {
    let targets = targets(context, names)?;
    let options = look_how(context, pace.count);
    // Whoever said yes before the preview does not wait for an exact one.
    let decided = remove.yes && !remove.dry_run;
    let options = if decided { options.in_passing() } else { options };
    let (prepared, failed) = prepare(context, targets, selection, options)?;
    let plan = plan(&prepared, &context.request);
    if remove.dry_run {
        let text = || render_keys::preview(&prepared, &context.screen());
        context.printer.show(|| PlanDoc::from(&plan), || text() + render_keys::NOTHING);
        return Ok(if failed.is_empty() { Exit::Done } else { Exit::Partly });
    }
    let strict = prepared.iter().any(|p| p.target.profile == Profile::Production);
    if strict {
        return Err(CliError::refused("in production keys go only by an approved plan").hint(
            "larder plan -o plan.json clean redis:NAME --match …, then approve and apply it",
        ));
    }
    ask(context, &prepared, remove)?;
    let checked = keys::checked(&bridge::config(context), Profile::Dev, Approval::NotAsked, plan);
    run(context, &checked?, prepared, failed, pace)
}

/// The keys of a plan that was read from a file.
pub(crate) fn apply(
    context: &Context<'_>,
    plan: Plan,
    approval: Approval,
    pace: &PaceArgs,
    remove: &RemoveArgs,
) -> Result<Exit, CliError> {
    let mut prepared = Vec::new();
    let mut failed = Vec::new();
    let mut profile = context.settings().profile;
    for item in &plan.keys {
        let target = redis_target::find(context, &item.cache)?;
        if target.endpoint.url() != item.url {
            let what = format!(
                "{} was at {} when the plan was made and is now at {}",
                item.cache,
                item.url,
                target.endpoint.url()
            );
            return Err(CliError::refused(what).hint("make the plan again"));
        }
        if target.profile == Profile::Production {
            profile = Profile::Production;
        }
        match Deployment::discover(&target.endpoint) {
            Ok(deployment) => {
                let item = item.clone();
                prepared.push(Prepared { target, deployment, preview: None, item });
            }
            Err(error) => failed.push((item.cache.clone(), redis_target::failed(&error))),
        }
    }
    if prepared.is_empty()
        && let Some((_, error)) = failed.pop()
    {
        return Err(error);
    }
    let config = bridge::config(context);
    let checked = keys::checked(&config, profile, approval, plan)?;
    if remove.dry_run {
        context.printer.show(
            || PlanDoc::from(checked.plan()),
            || {
                crate::render_plan::preview(checked.plan(), &context.screen())
                    + crate::render_plan::NOTHING_WAS_REMOVED
            },
        );
        return Ok(Exit::Done);
    }
    for one in &prepared {
        not_everything(&one.target, &one.item.selection, remove.force)?;
    }
    // What was approved has been answered; in the dev profile it has to be asked.
    if approval != Approval::Given {
        ask(context, &prepared, remove)?;
    }
    run(context, &checked, prepared, failed, pace)
}

/// Goes on with what was interrupted.
pub(crate) fn resume(
    context: &Context<'_>,
    names: &[String],
    pace: &PaceArgs,
    remove: &RemoveArgs,
) -> Result<Exit, CliError> {
    let mut items = Vec::new();
    for target in targets(context, names)? {
        let file = key_resume::read(context.state_folder()?, &target)?;
        items.push(file.item);
    }
    let strict = items.iter().any(|item| {
        redis_target::find(context, &item.cache)
            .is_ok_and(|target| target.profile == Profile::Production)
    });
    // What is resumed was approved when it began; its file lies in larder's own folder.
    let approval = if strict { Approval::Given } else { Approval::NotAsked };
    let plan = keys::plan(&context.request, items);
    apply(context, plan, approval, &pace.resuming(), remove)
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

/// All keys of a production server are a slip of the hand more often than a wish.
fn not_everything(
    target: &RedisTarget,
    selection: &KeySelection,
    force: bool,
) -> Result<(), CliError> {
    let everything = Selection::from(selection.clone()).is_everything();
    if !everything || force || target.profile == Profile::Dev {
        return Ok(());
    }
    Err(CliError::refused(format!("the pattern is every key of {}, in production", target.cache))
        .hint("add --force if that is meant"))
}

/// How to look for a preview that somebody decides by.
pub(crate) fn look_how(context: &Context<'_>, count_all: bool) -> PreviewOptions {
    let seed = context.now.unix_nanos().unsigned_abs() | 1;
    PreviewOptions { count_all, seed, ..PreviewOptions::default() }
}

/// Those that could be looked at, and those that could not, with the reason.
type Looked = (Vec<Prepared>, Vec<(String, CliError)>);

/// Looks at each Redis; those that cannot be looked at, with the reason.
pub(crate) fn prepare(
    context: &Context<'_>,
    targets: Vec<RedisTarget>,
    selection: &KeySelection,
    options: PreviewOptions,
) -> Result<Looked, CliError> {
    let _progress = context.progress("Looking at keys", None);
    let (mut prepared, mut failed) = (Vec::new(), Vec::new());
    for target in targets {
        match look(context, &target, selection, options) {
            Ok((deployment, preview)) => {
                let item = item(&target, selection, &preview);
                prepared.push(Prepared { target, deployment, preview: Some(preview), item });
            }
            Err(error) if error.exit == Exit::Interrupted => return Err(error),
            Err(error) => failed.push((target.cache, error)),
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

fn look(
    context: &Context<'_>,
    target: &RedisTarget,
    selection: &KeySelection,
    options: PreviewOptions,
) -> Result<(Deployment, Preview), CliError> {
    let failed = |error| redis_target::failed(&error);
    let deployment = Deployment::discover(&target.endpoint).map_err(failed)?;
    if let Some(master) = deployment.nodes.iter().find_map(|node| node.follows.as_ref()) {
        let what = format!("{} is a replica, and a replica takes no writes", target.cache);
        return Err(CliError::refused(what).hint(format!("its master is {master}")));
    }
    let selection = Selection::from(selection.clone());
    let stopped = || context.meter.stopped();
    let preview = preview(&deployment, &selection, options, &stopped).map_err(failed)?;
    let state = context.settings().state.as_deref();
    redis_readings::add_own(state, &target.endpoint, preview.caused);
    Ok((deployment, preview))
}

fn item(target: &RedisTarget, selection: &KeySelection, preview: &Preview) -> KeysItem {
    KeysItem {
        cache: target.cache.clone(),
        url: target.endpoint.url(),
        selection: selection.clone(),
        keys: whole(preview.keys.value),
        estimated_bytes: whole(preview.bytes.value),
        reason: "matches what was asked for".into(),
    }
}

/// A plan of what was looked at.
pub(crate) fn plan(prepared: &[Prepared], request: &[String]) -> Plan {
    keys::plan(request, prepared.iter().map(|p| p.item.clone()).collect())
}

fn ask(context: &Context<'_>, prepared: &[Prepared], remove: &RemoveArgs) -> Result<(), CliError> {
    let screen = context.screen();
    if prepared.iter().any(|p| p.preview.is_some()) {
        context.printer.note(render_keys::preview(prepared, &screen).trim_end());
    }
    if remove.yes {
        return Ok(());
    }
    let question = render_keys::question(prepared);
    if context.printer.confirm(&question)? {
        return Ok(());
    }
    Err(CliError::refused("nothing was removed: the answer was no"))
}

/// Removes, several Redis at once.
fn run(
    context: &Context<'_>,
    checked: &CheckedPlan,
    prepared: Vec<Prepared>,
    mut failed: Vec<(String, CliError)>,
    pace: &PaceArgs,
) -> Result<Exit, CliError> {
    let state = context.state_folder()?;
    key_trash::expire(state, context.settings().trash_keep, context.now);
    let begun = Instant::now();
    let work = Arc::new(Work { meter: Arc::clone(&context.meter), ..Work::default() });
    let expected = prepared.iter().map(|p| p.item.keys).sum();
    let results: Vec<_> = {
        let _progress = KeysProgress::start(context.printer, &work, expected);
        std::thread::scope(|scope| {
            let work = &work;
            let workers: Vec<_> = prepared
                .iter()
                .map(|one| scope.spawn(move || remove_from(state, checked, one, work, pace)))
                .collect();
            workers.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
        })
    };
    let mut done = Vec::new();
    for (one, result) in prepared.into_iter().zip(results) {
        match result {
            Ok(Ok(one)) => done.push(one),
            Ok(Err(error)) => failed.push((one.target.cache, error)),
            Err(_) => failed.push((
                one.target.cache,
                CliError::new(Exit::Partly, "the work on it broke off by a defect of larder"),
            )),
        }
    }
    if done.is_empty()
        && let Some((_, error)) = failed.pop()
    {
        return Err(error);
    }
    let took = begun.elapsed();
    let id = &checked.plan().id;
    context.printer.show(
        || OutcomeDoc::of_keys(id, &done, &failed, took),
        || render_keys::outcome(&done, &failed, took, &context.screen()),
    );
    Ok(render_keys::exit(&done, &failed))
}

fn remove_from(
    folder: &Path,
    checked: &CheckedPlan,
    one: &Prepared,
    work: &Work,
    pace: &PaceArgs,
) -> Result<Done, CliError> {
    let settings = &one.target.settings;
    let earlier =
        if pace.resume { key_resume::read(folder, &one.target)?.nodes } else { Vec::new() };
    let path = key_resume::path(folder, &one.target);
    let state = Mutex::new(ResumeFile {
        plan_id: checked.plan().id.clone(),
        item: one.item.clone(),
        nodes: earlier.clone(),
    });
    let checkpoint = |stopped: Stopped| {
        // The work does not end because its place could not be written down.
        if let Ok(mut file) = state.lock() {
            file.put(stopped);
            let _ = key_resume::write(&path, &file);
        }
    };
    let backup = pace.backup().unwrap_or(one.target.backs_up());
    let keeping = backup
        .then(|| {
            let (plan, bytes) = (&checked.plan().id, one.item.estimated_bytes);
            Keeping::begin(folder, &one.target, &one.deployment, plan, bytes)
        })
        .transpose()?;
    let hands = keys::Hands {
        limits: limits(settings, pace),
        scan_replica: pace.scan_replica,
        undo: keeping.as_ref().map(|keeping| &keeping.store as &dyn Undo),
        resume: &earlier,
        work,
        checkpoint: &checkpoint,
    };
    let cleaned = keys::apply(checked, &one.item, &one.deployment, hands)?;
    redis_readings::add_own(Some(folder), &one.target.endpoint, cleaned.caused());
    let kept = keeping.map(Keeping::finish).transpose()?.flatten();
    let kept_bytes = kept.as_ref().map_or(0, |(_, bytes)| *bytes);
    let trash_id = kept.map(|(id, _)| id);
    let resumable = if cleaned.complete() {
        key_resume::forget(&path);
        None
    } else {
        Some(path)
    };
    Ok(Done { cache: one.target.cache.clone(), cleaned, trash_id, kept_bytes, resumable })
}

/// Flags count more than settings.
pub(crate) fn limits(settings: &RedisSettings, pace: &PaceArgs) -> Limits {
    Limits {
        p99_budget: pace.p99_budget.unwrap_or(settings.p99_budget),
        keys_per_second: pace.max_rate.or(settings.max_rate),
    }
}

/// What selects keys, as flags of the command line.
pub(crate) fn flags(selection: &KeySelection) -> String {
    let mut text = format!("--match '{}'", selection.pattern.escape_ascii());
    let mut add = |flag: &str, value: String| text = format!("{text} --{flag} {value}");
    for pattern in &selection.exclude {
        add("exclude", format!("'{}'", pattern.escape_ascii()));
    }
    selection.kind.iter().for_each(|kind| add("type", kind.clone()));
    for (flag, least) in [("idle", selection.idle), ("older-than", selection.older_than)] {
        if let Some(least) = least {
            add(flag, larder_core::time::Typed(least).to_string());
        }
    }
    selection.larger_than.iter().for_each(|bytes| add("larger-than", format!("{bytes}B")));
    if selection.persistent {
        text.push_str(" --persistent");
    }
    text
}

/// A figure that is at least zero as a whole number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
pub(crate) fn whole(figure: f64) -> u64 {
    figure.round().clamp(0.0, 9e18) as u64
}

/// What others may feel, as a screen shows it.
pub(crate) fn millis(duration: Duration) -> String {
    let millis = duration.as_secs_f64() * 1e3;
    match millis {
        0.0..0.1 => format!("{millis:.2} ms"),
        0.1..10.0 => format!("{millis:.1} ms"),
        _ => format!("{millis:.0} ms"),
    }
}
