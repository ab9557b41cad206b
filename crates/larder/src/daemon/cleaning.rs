//! One cleaning by itself: trigger → which environment → clean, or a plan that waits → record.
//! Who is told of it is the caller's business; here is what there is to tell.

use std::collections::BTreeSet;
use std::time::Duration;

use larder_core::check::Approval;
use larder_core::event::{CLEANED, FREED_BYTES, TOOK_MILLIS};
use larder_core::{CacheKind, Outcome, Plan, RootKind, Severity};
use larder_engine::cycle::{self, Options};
use larder_engine::trigger::Trigger;
use larder_engine::{Config, Profile, Request, Verb, Wishes, World, trash};

use super::base::Base;
use super::record::{Recorder, Step};
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::key_removal::Done;
use crate::waiting::{self, Waiting};
use crate::wire_plan::PlanFile;
use crate::{bridge, history_keep, key_upkeep, redis_target};

/// How long another larder is waited for.
const LOCK: Duration = Duration::from_mins(1);

/// One run, with what every step of it shares.
pub(crate) struct Run<'a> {
    pub base: &'a Base<'a>,
    pub recorder: &'a Recorder<'a>,
    pub trace: &'a str,
}

/// What a run came to, for whoever is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub cache: String,
    pub text: String,
    /// What somebody has to type.
    pub command: Option<String>,
    /// What that would free, bytes.
    pub frees: Option<u64>,
    /// What takes it back.
    pub undo: Option<String>,
    /// The run that it belongs to.
    pub trace: String,
}

impl Run<'_> {
    fn say(&self, step: Step<'_>) {
        self.recorder.say(step);
    }

    fn step<'s>(&'s self, kind: &'s str, message: impl Into<String>) -> Step<'s> {
        Step::new(kind, self.trace, message)
    }

    /// Something that was done.
    fn told(&self, cache: &str, text: String, undo: Option<String>) -> Told {
        let trace = self.trace.to_owned();
        Told { cache: cache.to_owned(), text, command: None, frees: None, undo, trace }
    }

    /// Prunes caches of Go's by the settings' policy, or plans it.
    pub(crate) fn prune(&self, caches: &[CacheKind], trigger: &Trigger) -> Vec<Told> {
        let names: Vec<&str> = caches.iter().map(|cache| cache.name()).collect();
        let words: Vec<&str> = ["prune"].into_iter().chain(names.iter().copied()).collect();
        let context = self.base.context(&words);
        let profile = context.settings().profile;
        let mut step = self.step("triggered", format!("{} by {}", words.join(" "), trigger.name()));
        step.data = trigger.evidence();
        self.say(step.with("trigger", trigger.name()));
        self.say(self.step("environment", format!("this is {}", profile.name())));
        self.wait_for_builds(&context, caches);
        let request = Request {
            verb: Verb::Prune,
            caches: caches.to_vec(),
            wishes: Wishes::default(),
            arguments: context.request.clone(),
        };
        let done = bridge::world(&context).and_then(|world| match profile {
            Profile::Dev => self.act(&context, &world, &request),
            Profile::Production => self.plan(&context, &world, &request),
        });
        done.unwrap_or_else(|error| self.failed(&words.join(" "), &names, &error))
    }

    fn act(
        &self,
        context: &Context<'_>,
        world: &World,
        request: &Request,
    ) -> Result<Vec<Told>, CliError> {
        let config = bridge::config(context);
        let options = options(context, Approval::NotAsked);
        let acted = cycle::act(world, &config, request, &options, &context.meter)?;
        trash::expire(world, &config, &context.meter);
        Ok(self.cleaned(&acted.outcome))
    }

    fn plan(
        &self,
        context: &Context<'_>,
        world: &World,
        request: &Request,
    ) -> Result<Vec<Told>, CliError> {
        let config = bridge::config(context);
        let planned = cycle::preview(world, &config, request, &context.meter)?;
        self.wait_for_approval(context, &planned.plan)
    }

    /// Puts a plan where somebody can approve it.
    pub(crate) fn wait_for_approval(
        &self,
        context: &Context<'_>,
        plan: &Plan,
    ) -> Result<Vec<Told>, CliError> {
        if plan.items.is_empty() && plan.keys.is_empty() {
            self.say(self.step("nothing-to-clean", "nothing is to go"));
            return Ok(Vec::new());
        }
        let state = context.state_folder()?;
        let fresh = context.settings().plan_max_age / 2;
        let same = waiting::list(state).into_iter().find(|waiting| {
            let age = context.now.since(waiting.plan.created_at);
            waiting.plan.request == plan.request && age < fresh
        });
        if let Some(waiting) = same {
            // Whoever was told of it finds it under the name that was told.
            let text = format!("plan {} waits already", waiting.plan.id);
            self.say(self.step("plan-still-waits", text).plan(&waiting.plan.id));
            return Ok(Vec::new());
        }
        let path = waiting::put(state, plan)?;
        let bytes = plan.total().allocated.0
            + plan.keys.iter().map(|item| item.estimated_bytes).sum::<u64>();
        let text = format!(
            "a plan of {} waits for approval: {}",
            context.settings().units.show(bytes),
            plan.id
        );
        let step = self.step("plan-waits", text.clone()).plan(&plan.id);
        self.say(step.with("path", path.display()).with("bytes", bytes));
        let cache = plan.items.first().map(|item| item.cache.name().to_owned());
        let cache = cache.or_else(|| plan.keys.first().map(|item| item.cache.clone()));
        let command = Some(format!("larder approve {}", plan.id));
        let cache = cache.unwrap_or_default();
        Ok(vec![Told { command, frees: Some(bytes), ..self.told(&cache, text, None) }])
    }

    /// Records what went from each cache.
    fn cleaned(&self, outcome: &Outcome) -> Vec<Told> {
        let units = self.base.settings().units;
        let failed = !outcome.failed.is_empty();
        let mut told = Vec::new();
        for (cache, size) in &outcome.gone {
            if size.is_empty() && !failed {
                continue;
            }
            let bytes = size.allocated.0;
            let place = if outcome.trash_id.is_some() { "moved to the trash" } else { "freed" };
            let text = format!("{place}: {} in {} files", units.show(bytes), size.files);
            let mut step = self
                .step(CLEANED, text.clone())
                .of(cache.name())
                .plan(&outcome.plan_id)
                .with(FREED_BYTES, bytes)
                .with(TOOK_MILLIS, outcome.duration.as_millis())
                .with("files", size.files)
                .with("skipped", outcome.skipped.len());
            if let Some(id) = &outcome.trash_id {
                step = step.with("trash_id", id);
            }
            if failed {
                step = step.bad(Severity::Warning).with("failed", outcome.failed.len());
            }
            self.say(step);
            let at = larder_fs::now();
            let mut known = self.base.live.know();
            // What lies in the trash takes as much of the disk as before.
            let freed = if outcome.trash_id.is_some() { 0 } else { bytes };
            known.cleaned(cache.name(), freed, failed, at, outcome.duration);
            let undo = outcome.trash_id.as_ref().map(|id| format!("larder trash restore {id}"));
            told.push(self.told(cache.name(), text, undo));
        }
        for failed in &outcome.failed {
            let message = format!("{}: {}", failed.subject, failed.error);
            self.say(
                self.step("clean-failed", message).plan(&outcome.plan_id).bad(Severity::Warning),
            );
        }
        if told.is_empty() && !failed {
            self.say(self.step("nothing-to-clean", "nothing was to go").plan(&outcome.plan_id));
        }
        told
    }

    fn failed(&self, what: &str, caches: &[&str], error: &CliError) -> Vec<Told> {
        let busy = matches!(error.exit, Exit::Busy | Exit::Interrupted);
        let severity = if busy { Severity::Info } else { Severity::Warning };
        let text = format!("{what}: {}", error.what);
        let mut step = self.step("clean-failed", text.clone()).bad(severity);
        step.cache = caches.first().copied();
        self.say(step);
        let at = larder_fs::now();
        for cache in caches {
            self.base.live.know().cleaned(cache, 0, true, at, Duration::ZERO);
        }
        Vec::new()
    }

    /// Prunes a Redis by its settings' rules, or plans it.
    pub(crate) fn prune_redis(&self, cache: &str, trigger: &Trigger) -> Vec<Told> {
        let words = ["prune", cache];
        let context = self.base.context(&words);
        let mut step =
            self.step("triggered", format!("{} by {}", words.join(" "), trigger.name())).of(cache);
        step.data = trigger.evidence();
        self.say(step.with("trigger", trigger.name()));
        let done = self.prune_keys(&context, cache);
        done.unwrap_or_else(|error| self.failed(&words.join(" "), &[cache], &error))
    }

    fn prune_keys(&self, context: &Context<'_>, cache: &str) -> Result<Vec<Told>, CliError> {
        let profile = redis_target::find(context, cache)?.profile;
        let message = format!("{cache} is {}", profile.name());
        self.say(self.step("environment", message).of(cache));
        let mut plan = key_upkeep::prune_plan(context, cache)?;
        // A rule that matches nothing makes nobody read a plan of it.
        plan.keys.retain(|item| item.keys > 0);
        match profile {
            Profile::Production => self.wait_for_approval(context, &plan),
            Profile::Dev if plan.keys.is_empty() => self.wait_for_approval(context, &plan),
            Profile::Dev => self.apply_keys(context, plan, None),
        }
    }

    fn apply_keys(
        &self,
        context: &Context<'_>,
        plan: Plan,
        file: Option<&PlanFile>,
    ) -> Result<Vec<Told>, CliError> {
        let checked = key_upkeep::check(context, plan, file)?;
        let worked = key_upkeep::carry_out(context, checked, file)?;
        let mut told = Vec::new();
        for event in history_keep::key_events(&worked, self.trace) {
            let cache = event.cache.clone().unwrap_or_default();
            let freed = event.get(FREED_BYTES).and_then(|text| text.parse().ok()).unwrap_or(0);
            let undo = event.get("trash_id").map(|id| format!("larder trash restore {id}"));
            told.push(self.told(&cache, event.message.clone(), undo));
            let mut known = self.base.live.know();
            known.cleaned(&cache, freed, false, event.at, worked.took);
            drop(known);
            self.recorder.event(event, Severity::Info);
        }
        let broken = worked.done.iter().flat_map(Done::broken);
        let failed = worked.failed.iter().map(|(cache, error)| (cache.clone(), error.what.clone()));
        let troubles: Vec<(String, String)> = broken.chain(failed).collect();
        for (what, why) in &troubles {
            let step = self.step("clean-failed", format!("{what}: {why}")).plan(&worked.plan_id);
            self.say(step.bad(Severity::Warning));
        }
        if told.is_empty() && troubles.is_empty() {
            self.say(self.step("nothing-to-clean", "no key was to go").plan(&worked.plan_id));
        }
        Ok(told)
    }

    /// Applies a plan that was approved; `None` where it had to wait, and is to be tried again.
    pub(crate) fn apply(&self, waiting: Waiting) -> Option<Vec<Told>> {
        let id = waiting.plan.id.clone();
        let words = ["apply", id.as_str()];
        let context = self.base.context(&words);
        let by = waiting.approved_by.as_ref().map_or("nobody", |(by, _)| by);
        self.say(self.step("plan-applied", format!("{id}, approved by {by}")).plan(&id));
        let caches = waiting.caches();
        let names: Vec<&str> = caches.iter().map(String::as_str).collect();
        let done = if waiting.plan.keys.is_empty() {
            self.apply_files(&context, waiting.plan, waiting.approval)
        } else {
            self.apply_keys(&context, waiting.plan, Some(&waiting.file))
        };
        let busy = done.as_ref().is_err_and(|e| matches!(e.exit, Exit::Busy | Exit::Interrupted));
        let told = done.unwrap_or_else(|error| self.failed(&words.join(" "), &names, &error));
        // What only had to wait is tried again; all else is done with.
        if busy {
            return None;
        }
        if let Err(error) = waiting::forget(&waiting.path) {
            let path = waiting.path.display();
            let message = format!("it was applied, and {path} cannot be removed: {error}");
            self.say(self.step("plan-stays", message).plan(&id).bad(Severity::Warning));
        }
        Some(told)
    }

    fn apply_files(
        &self,
        context: &Context<'_>,
        plan: Plan,
        approval: Approval,
    ) -> Result<Vec<Told>, CliError> {
        let caches: Vec<CacheKind> = plan.items.iter().map(|item| item.cache).collect();
        self.wait_for_builds(context, &caches);
        let world = bridge::world(context)?;
        let config: Config = bridge::config(context);
        let options = options(context, approval);
        let outcome = cycle::apply_plan(&world, &config, plan, &options, &context.meter)?;
        trash::expire(&world, &config, &context.meter);
        Ok(self.cleaned(&outcome))
    }

    /// Nothing runs while a build does: it waits its turn, and not for ever. Beside a build that
    /// goes on for longer, its entries are protected.
    fn wait_for_builds(&self, context: &Context<'_>, caches: &[CacheKind]) {
        let limit = context.settings().daemon.watch.wait_for_builds;
        let begun = std::time::Instant::now();
        let mut said = false;
        // A plan may name a hundred thousand things of one root, and a look is at every process.
        let roots: BTreeSet<RootKind> = caches.iter().map(|cache| cache.root()).collect();
        while begun.elapsed() < limit && !context.meter.stopped() {
            let Ok(world) = bridge::world(context) else { return };
            let builds: Vec<_> = roots.iter().flat_map(|root| world.builds(*root)).collect();
            let Some(build) = builds.first() else { return };
            if !said {
                let message = format!("waits for {} (pid {})", build.command, build.pid);
                self.say(self.step("waits-for-builds", message));
                said = true;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

fn options(context: &Context<'_>, approval: Approval) -> Options {
    Options { trash: context.settings().trash, force: false, wait: LOCK, approval }
}
