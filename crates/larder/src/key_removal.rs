//! Changing keys of Redis caches: previewed, asked about, checked, removed or given a time to
//! live, reported.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use larder_core::check::Approval;
use larder_core::{CheckedPlan, KeyChange, KeySelection, KeysItem, Plan};
use larder_engine::{Profile, keys};
use larder_redis::{Changed, Deployment, Limits, Selection, Stopped, Undo, Work};
use serde_json::Value;

use crate::args_clean::RemoveArgs;
use crate::args_expire::ExpireArgs;
use crate::args_keys::PaceArgs;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::key_plan::{self, Looked, Prepared, Wish};
pub(crate) use crate::key_plan::{targets, whole};
use crate::key_resume::{self, ResumeFile};
use crate::key_trash::{self, Keeping};
use crate::progress_keys::KeysProgress;
use crate::redis_target::{self, RedisTarget};
use crate::settings_redis::RedisSettings;
use crate::wire_outcome::OutcomeDoc;
use crate::wire_plan::{PlanDoc, PlanFile, document};
use crate::{bridge, history_keep, redis_readings, render_keys, render_plan};

/// What was done with the keys of one item.
#[derive(Debug)]
pub(crate) struct Done {
    pub item: KeysItem,
    pub changed: Changed,
    /// The entry that undoes it, where this is the last item of its Redis.
    pub trash_id: Option<String>,
    /// What that takes on the disk, in bytes.
    pub kept_bytes: u64,
    /// Where `--resume` begins, when its Redis was not gone through to its end.
    pub resumable: Option<PathBuf>,
}

impl Done {
    /// What could not be worked on to its end, and why.
    pub(crate) fn broken(&self) -> Vec<(String, String)> {
        let missing = self.changed.missing.iter();
        let missing = missing.map(|missing| (missing.what.clone(), missing.why.clone()));
        let nodes = self.changed.nodes.iter();
        let broken = nodes.filter_map(|node| Some((node.address.clone(), node.error.clone()?)));
        let cache = &self.item.cache;
        missing.chain(broken).map(|(what, why)| (format!("{cache}: {what}"), why)).collect()
    }
}

/// How it is gone about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manner {
    pub pace: PaceArgs,
    pub dry_run: bool,
    pub yes: bool,
    pub force: bool,
    /// Whether what was there is kept, where a flag says so.
    pub keep: Option<bool>,
}

impl Manner {
    /// As it was asked for.
    pub(crate) fn new(pace: &PaceArgs, remove: &RemoveArgs) -> Self {
        Self {
            pace: pace.clone(),
            dry_run: remove.dry_run,
            yes: remove.yes,
            force: remove.force,
            keep: pace.backup().or(remove.trash()),
        }
    }
}

impl From<&ExpireArgs> for Manner {
    fn from(args: &ExpireArgs) -> Self {
        let ExpireArgs { pace, dry_run, yes, .. } = args;
        let keep = pace.backup();
        Self { pace: pace.clone(), dry_run: *dry_run, yes: *yes, force: false, keep }
    }
}

/// Does what is wished for, or with `-n` shows it.
pub(crate) fn change(
    context: &Context<'_>,
    wishes: Vec<Wish>,
    manner: &Manner,
) -> Result<Exit, CliError> {
    // Whoever said yes before the preview does not wait for an exact one.
    let decided = manner.yes && !manner.dry_run;
    let options = key_plan::look_how(context, manner.pace.count);
    let options = if decided { options.in_passing() } else { options };
    let (prepared, failed) = {
        let _progress = context.progress("Looking at keys", None);
        key_plan::prepare(context, wishes, options)?
    };
    if manner.dry_run {
        let plan = key_plan::plan(&prepared, &context.request);
        let text = || render_keys::preview(&prepared, &context.screen());
        let end = render_plan::nothing(&plan).trim_start();
        context.printer.show(|| PlanDoc::from(&plan), || text() + end);
        for (cache, error) in &failed {
            context.printer.warning(&format!("without {cache}: {}", error.what));
        }
        return Ok(if failed.is_empty() { Exit::Done } else { Exit::Partly });
    }
    let ready = ready(context, (prepared, failed), manner)?;
    Ok(shown(context, &work(context, ready)?))
}

/// What was looked at, once that may be done: it is no production server, and it was asked about.
pub(crate) fn ready(
    context: &Context<'_>,
    (prepared, failed): Looked,
    manner: &Manner,
) -> Result<Ready, CliError> {
    if key_plan::profile(&prepared) == Profile::Production {
        let what = "in production keys are changed only by an approved plan";
        let verb = context.request.first().map_or("clean", String::as_str);
        return Err(CliError::refused(what).hint(format!(
            "larder plan -o plan.json {verb} redis:NAME …, then approve and apply it"
        )));
    }
    ask(context, &prepared, manner)?;
    let plan = key_plan::plan(&prepared, &context.request);
    let document = document(&PlanDoc::from(&plan));
    let checked = keys::checked(&bridge::config(context), Profile::Dev, Approval::NotAsked, plan)?;
    Ok(Ready(Run { checked, document, manner: manner.clone() }, (prepared, failed)))
}

/// The keys of a plan that was read from a file.
pub(crate) fn apply(
    context: &Context<'_>,
    file: &PlanFile,
    plan: Plan,
    manner: &Manner,
) -> Result<Exit, CliError> {
    let looked = look_again(context, &plan.keys)?;
    // A plan is read before it is approved.
    if manner.dry_run {
        context.printer.show(
            || PlanDoc::from(&plan),
            || render_plan::preview(&plan, &context.screen()) + render_plan::nothing(&plan),
        );
        return Ok(Exit::Done);
    }
    let (checked, approval) = checked(context, file, plan, &looked.0)?;
    for one in &looked.0 {
        not_everything(&one.target, &one.item.selection, manner.force)?;
    }
    // What was approved has been answered; in the dev profile it has to be asked.
    if approval != Approval::Given {
        ask(context, &looked.0, manner)?;
    }
    let document = file.document().clone();
    let ready = Ready(Run { checked, document, manner: manner.clone() }, looked);
    Ok(shown(context, &work(context, ready)?))
}

/// The door: the plan, if it may be applied, and what is known of its approval.
fn checked(
    context: &Context<'_>,
    file: &PlanFile,
    plan: Plan,
    prepared: &[Prepared],
) -> Result<(CheckedPlan, Approval), CliError> {
    let strictest = key_plan::profile(prepared);
    let profile = match (context.settings().profile, strictest) {
        (Profile::Dev, strictest) => strictest,
        (Profile::Production, _) => Profile::Production,
    };
    let approval = file.approval(profile == Profile::Production);
    let checked = keys::checked(&bridge::config(context), profile, approval, plan)?;
    Ok((checked, approval))
}

/// Where the items' Redis are now.
fn look_again(context: &Context<'_>, items: &[KeysItem]) -> Result<Looked, CliError> {
    let (mut prepared, mut failed) = (Vec::<Prepared>::new(), Vec::<(String, CliError)>::new());
    for item in items {
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
        if failed.iter().any(|(cache, _)| *cache == item.cache) {
            continue;
        }
        let known = prepared.iter().find(|one| one.target.cache == item.cache);
        let known = known.map(|one| Ok(one.deployment.clone()));
        match known.unwrap_or_else(|| Deployment::discover(&target.endpoint)) {
            Ok(deployment) => {
                let item = item.clone();
                prepared.push(Prepared { target, deployment, preview: None, item });
            }
            Err(error) => failed.push((item.cache.clone(), redis_target::failed(&error))),
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

/// Goes on with what was interrupted; `expires` is whether that gave keys a time to live.
pub(crate) fn resume(
    context: &Context<'_>,
    names: &[String],
    expires: bool,
    manner: &Manner,
) -> Result<Exit, CliError> {
    let mut files = Vec::new();
    for target in targets(context, names)? {
        files.push((key_resume::read(context.state_folder()?, &target)?, target));
    }
    let Some(((first, _), others)) = files.split_first() else {
        return Err(CliError::usage("nothing is named that could be resumed"));
    };
    if let Some((_, other)) = others.iter().find(|(file, _)| file.document != first.document) {
        let what = format!("{} was interrupted in another run than the others", other.cache);
        return Err(CliError::usage(what).hint("resume it by itself"));
    }
    let bad = |why: String| CliError::usage(format!("what was interrupted cannot be read: {why}"));
    let file = PlanFile::of(first.document.clone()).map_err(|why| bad(why.0))?;
    let mut plan = file.plan(&bridge::classify).map_err(|why| bad(why.0))?;
    let verb = |item: &KeysItem| matches!(item.change, KeyChange::Expire(_));
    if let Some(item) = plan.keys.iter().find(|item| verb(item) != expires) {
        let verb = if verb(item) { "expire" } else { "clean" };
        let what = format!("what was interrupted on {} was a {verb}", item.cache);
        return Err(CliError::usage(what).hint(format!("larder {verb} {} --resume", item.cache)));
    }
    let cache = |item: &KeysItem| files.iter().any(|(_, target)| target.cache == item.cache);
    let here: Vec<KeysItem> = plan.keys.iter().filter(|item| cache(item)).cloned().collect();
    let looked = look_again(context, &here)?;
    if key_plan::profile(&looked.0) == Profile::Dev && file.approved_by().is_none() {
        // What nobody had to approve may be old; it is asked about again.
        plan.created_at = larder_fs::now();
    }
    let (checked, approval) = checked(context, &file, plan, &looked.0).map_err(|error| {
        let hint = "what is interrupted in production goes on only as it was approved; make a new \
                    plan of the rest: larder plan -o plan.json …";
        if error.exit == Exit::Refused { error.hint(hint) } else { error }
    })?;
    if approval != Approval::Given {
        ask(context, &looked.0, manner)?;
    }
    let mut manner = manner.clone();
    manner.pace.resume = true;
    let ready = Ready(Run { checked, document: first.document.clone(), manner }, looked);
    Ok(shown(context, &work(context, ready)?))
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

fn ask(context: &Context<'_>, prepared: &[Prepared], manner: &Manner) -> Result<(), CliError> {
    let screen = context.screen();
    if prepared.iter().any(|one| one.preview.is_some()) {
        context.printer.note(render_keys::preview(prepared, &screen).trim_end());
    }
    if manner.yes {
        return Ok(());
    }
    let question = render_keys::question(prepared);
    if context.printer.confirm(&question)? {
        return Ok(());
    }
    Err(CliError::refused("nothing was changed: the answer was no"))
}

/// What is carried out.
struct Run {
    checked: CheckedPlan,
    /// The plan as its file says, its approval with it.
    document: Value,
    manner: Manner,
}

/// What may be carried out.
pub(crate) struct Ready(Run, Looked);

/// What was carried out.
#[derive(Debug)]
pub(crate) struct Worked {
    pub plan_id: String,
    pub done: Vec<Done>,
    pub failed: Vec<(String, CliError)>,
    pub took: Duration,
}

impl Worked {
    /// As the document that says so.
    pub(crate) fn document(&self) -> OutcomeDoc {
        OutcomeDoc::of_keys(&self.plan_id, &self.done, &self.failed, self.took)
    }
}

/// Carries it out.
pub(crate) fn work(context: &Context<'_>, Ready(run, looked): Ready) -> Result<Worked, CliError> {
    let work = Arc::new(Work { meter: Arc::clone(&context.meter), ..Work::default() });
    let worked = {
        let expected = looked.0.iter().map(|one| one.item.keys).sum();
        let _progress = KeysProgress::start(context.printer, &work, expected);
        carry_out(context, &run, looked, &work)?
    };
    history_keep::keys_changed(context, &worked);
    Ok(worked)
}

fn shown(context: &Context<'_>, worked: &Worked) -> Exit {
    context.printer.show(|| worked.document(), || render_keys::outcome(worked, &context.screen()));
    render_keys::exit(worked)
}

/// Applies a plan of keys that a person, or the settings, let through: without a question, without
/// a word, gently as the settings say. `document` is the plan as its file says.
pub(crate) fn apply_unasked(
    context: &Context<'_>,
    checked: CheckedPlan,
    document: Value,
) -> Result<Worked, CliError> {
    let looked = look_again(context, &checked.plan().keys)?;
    for one in &looked.0 {
        not_everything(&one.target, &one.item.selection, false)?;
    }
    let work = Work { meter: Arc::clone(&context.meter), ..Work::default() };
    carry_out(context, &Run { checked, document, manner: Manner::default() }, looked, &work)
}

/// Several Redis at once, the items of each one after the other.
fn carry_out(
    context: &Context<'_>,
    run: &Run,
    (prepared, mut failed): Looked,
    work: &Work,
) -> Result<Worked, CliError> {
    let state = context.state_folder()?;
    key_trash::expire(state, context.settings().trash_keep, context.now);
    let begun = Instant::now();
    let mut places: Vec<Vec<&Prepared>> = Vec::new();
    for one in &prepared {
        let here = places.iter_mut().find(|here| here[0].target.cache == one.target.cache);
        match here {
            Some(here) => here.push(one),
            None => places.push(vec![one]),
        }
    }
    let results: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = places
            .iter()
            .map(|here| scope.spawn(move || work_on(state, run, here, work)))
            .collect();
        workers.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
    });
    let mut done = Vec::new();
    for (here, result) in places.iter().zip(results) {
        let defect =
            || CliError::new(Exit::Partly, "the work on it broke off by a defect of larder");
        match result.unwrap_or_else(|_| Err(defect())) {
            Ok(items) => done.extend(items),
            Err(error) => failed.push((here[0].target.cache.clone(), error)),
        }
    }
    if done.is_empty()
        && let Some((_, error)) = failed.pop()
    {
        return Err(error);
    }
    let plan_id = run.checked.plan().id.clone();
    Ok(Worked { plan_id, done, failed, took: begun.elapsed() })
}

/// The items of one Redis.
fn work_on(
    folder: &Path,
    run: &Run,
    items: &[&Prepared],
    work: &Work,
) -> Result<Vec<Done>, CliError> {
    let first = items[0];
    let target = &first.target;
    let path = key_resume::path(folder, target);
    let mut file = ResumeFile { document: run.document.clone(), items: Vec::new() };
    if run.manner.pace.resume {
        let earlier = key_resume::read(folder, target)?;
        if earlier.document != file.document {
            let what = format!("what was interrupted on {} was another plan", target.cache);
            return Err(
                CliError::usage(what).hint(format!("larder clean {} --resume", target.cache))
            );
        }
        file = earlier;
    }
    // Whatever ends this from here on, there is something to go on from.
    key_resume::write(&path, &file).map_err(|error| CliError::io("write", &path, &error))?;
    let keep = run.manner.keep.unwrap_or(target.backs_up());
    let keeping =
        keep.then(|| Keeping::begin(folder, items, &run.checked.plan().id)).transpose()?;
    let file = Mutex::new(file);
    let mut done = Vec::new();
    for one in items {
        let changed = work_on_item(run, one, (&file, &path), keeping.as_ref(), work)?;
        redis_readings::add_own(Some(folder), &target.endpoint, changed.caused());
        let stop = changed.interrupted;
        let item = one.item.clone();
        done.push(Done { item, changed, trash_id: None, kept_bytes: 0, resumable: None });
        if stop {
            break;
        }
    }
    let kept = keeping.map(Keeping::finish).transpose()?.flatten();
    let complete = done.len() == items.len() && done.iter().all(|one| one.changed.complete());
    if complete {
        key_resume::forget(&path);
    }
    if let Some(last) = done.last_mut() {
        last.kept_bytes = kept.as_ref().map_or(0, |(_, bytes)| *bytes);
        last.trash_id = kept.map(|(id, _)| id);
        last.resumable = (!complete).then_some(path);
    }
    Ok(done)
}

fn work_on_item(
    run: &Run,
    one: &Prepared,
    (file, path): (&Mutex<ResumeFile>, &Path),
    keeping: Option<&Keeping>,
    work: &Work,
) -> Result<Changed, CliError> {
    let plan = run.checked.plan();
    let index = plan.keys.iter().position(|item| *item == one.item).unwrap_or_default();
    let locked = || file.lock().unwrap_or_else(PoisonError::into_inner);
    let earlier = locked().of(index).to_vec();
    let checkpoint = |stopped: Stopped| {
        let mut file = locked();
        file.put(index, stopped);
        // The work does not end because its place could not be written down.
        let _ = key_resume::write(path, &file);
    };
    let hands = keys::Hands {
        limits: limits(&one.target.settings, &run.manner.pace),
        scan_replica: run.manner.pace.scan_replica,
        undo: keeping.map(|keeping| &keeping.store as &dyn Undo),
        resume: &earlier,
        work,
        checkpoint: &checkpoint,
    };
    Ok(keys::apply(&run.checked, &one.item, &one.deployment, hands)?)
}

/// Flags count more than settings.
pub(crate) fn limits(settings: &RedisSettings, pace: &PaceArgs) -> Limits {
    Limits {
        p99_budget: pace.p99_budget.unwrap_or(settings.p99_budget),
        keys_per_second: pace.max_rate.or(settings.max_rate),
    }
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
