//! What makes work due, and what holds it back: schedules, budgets, full disks, hooks, approvals.

use std::cell::RefCell;

use larder_core::check::Approval;
use larder_core::{CacheKind, Event, Severity};
use larder_engine::trigger::{Restraint, Trigger, of_sample};

use super::hooks;
use super::live::Wish;
use super::ticker::Ticker;
use super::work::Job;
use crate::waiting::Waiting;
use crate::{throttles, waiting};

/// The caches that a prune of all prunes.
const PRUNED: [CacheKind; 5] =
    [CacheKind::Build, CacheKind::Fuzz, CacheKind::Mod, CacheKind::Toolchain, CacheKind::Vcs];

impl Ticker<'_> {
    /// Hands out what is due.
    pub(super) fn trigger(&mut self) {
        let settings = self.base.settings();
        let now = larder_fs::now();
        let mut asked: Vec<String> = Vec::new();
        if let Some(state) = &settings.state {
            asked.extend(hooks::taken(state));
        }
        for wish in std::mem::take(&mut self.base.live.know().wishes) {
            match wish {
                Wish::Run(name) => asked.push(name),
                // Whoever approved it is waited for no longer than this.
                Wish::Plans => {}
            }
        }
        for name in asked {
            self.prune_all(&Trigger::Hook(name));
        }
        if self.dues.prune(now, self.recorder) {
            self.prune_all(&Trigger::Schedule);
        }
        if self.dues.verify(now, self.recorder) {
            self.give(Job::Verify { trigger: Trigger::Schedule });
        }
        if self.dues.download(now, self.recorder) {
            self.give(Job::Download { trigger: Trigger::Schedule });
        }
        let watch = &settings.daemon.watch;
        let restraint = Restraint { cool_down: watch.cool_down, per_day: watch.per_day };
        let samples: Vec<_> = self.base.live.know().samples.values().cloned().collect();
        for sample in samples {
            let Some(trigger) = of_sample(&sample, watch.on_budget, watch.free_below) else {
                continue;
            };
            // Only what has rules can be pruned by them.
            let job = self.job_for(&sample.cache, trigger);
            let Some(job) = job else { continue };
            if self.runs.may(&sample.cache, restraint, now).is_ok() {
                self.note_run(&sample.cache, now);
                self.give(job);
            }
        }
    }

    fn job_for(&self, cache: &str, trigger: Trigger) -> Option<Job> {
        if let Some(name) = cache.strip_prefix("redis:") {
            let settings = self.base.settings();
            let redis = settings.redis.iter().find(|redis| redis.name == name)?;
            let cache = cache.to_owned();
            return (!redis.clean.is_empty()).then_some(Job::PruneRedis { cache, trigger });
        }
        let kind: CacheKind = cache.parse().ok()?;
        PRUNED.contains(&kind).then(|| Job::Prune { caches: vec![kind], trigger })
    }

    pub(super) fn prune_all(&mut self, trigger: &Trigger) {
        let now = larder_fs::now();
        for cache in PRUNED {
            self.note_run(cache.name(), now);
        }
        self.give(Job::Prune { caches: PRUNED.to_vec(), trigger: trigger.clone() });
        for redis in self.base.settings().redis {
            if !redis.clean.is_empty() {
                let cache = format!("redis:{}", redis.name);
                self.note_run(&cache, now);
                self.give(Job::PruneRedis { cache, trigger: trigger.clone() });
            }
        }
    }

    /// Plans that were approved go ahead in their hours.
    pub(super) fn apply_approved(&mut self) {
        let settings = self.base.settings();
        let Some(state) = &settings.state else { return };
        let plans = self.plans.look(state);
        let waits = plans.iter().filter(|(_, plan)| plan.approval != Approval::Given).count();
        self.base.live.know().plans_waiting = Some(waits as u64);
        let window = settings.daemon.watch.window;
        let zone = jiff::tz::TimeZone::system();
        if window.is_some_and(|window| !window.holds(larder_fs::now(), &zone)) {
            return;
        }
        let mut given: Vec<Waiting> = plans
            .iter()
            .filter(|(_, plan)| plan.approval == Approval::Given && !self.dues.has_begun(&plan.id))
            .filter_map(|(path, _)| waiting::at(path))
            .collect();
        given.sort_by_key(|waiting| waiting.plan.created_at);
        for waiting in given {
            if waiting.approval == Approval::Given && self.dues.begin(&waiting.plan.id) {
                self.give(Job::Apply(Box::new(waiting)));
            }
        }
    }

    /// No limit outlives its time, whoever set it.
    pub(super) fn lift_overdue(&mut self) {
        let context = self.base.context(&["watch"]);
        let over = RefCell::new(Vec::new());
        let tell = |event: Event| {
            if event.kind == "unthrottled" {
                over.borrow_mut().push((event.cache.clone(), event.message.clone()));
            }
            self.recorder.event(event, Severity::Info);
        };
        throttles::lift_overdue(&context, &tell);
        let mut known = self.base.live.know();
        for (cache, what) in over.into_inner() {
            // Who was told of the limit is told of its end.
            known.board.note(&cache.unwrap_or_default(), Some(what), Vec::new());
        }
        known.throttles = throttles::in_force(&context);
        drop(known);
        self.lift_at = throttles::next_end(&context);
    }
}
