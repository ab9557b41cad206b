//! A thread that works: one job after the other, so that two never get in each other's way. Who answers
//! a sick Redis is one of its own, since others may wait for a build.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use larder_core::{CacheKind, Severity};
use larder_engine::report::{By, DuReport, StatusReport};
use larder_engine::status::status;
use larder_engine::trigger::Trigger;
use larder_engine::verify::{self, Wanted};
use larder_engine::{download, du};

use super::apart::apart;
use super::base::Base;
use super::cleaning::{Run, Told};
use super::judging;
use super::record::{Recorder, Step, new_trace};
use super::respond::{self, Sick};
use super::usual;
use crate::exit::CliError;
use crate::waiting::Waiting;
use crate::{bridge, verified_file};

/// What a scan works out of where the bytes are: what a plain walk tells.
pub(crate) const DU_BY: [By; 2] = [By::Kind, By::Age];

/// Where the bytes are, by each of these.
type Usage = BTreeMap<&'static str, DuReport>;

/// Jobs that may wait.
pub(crate) const QUEUE: usize = 64;

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    /// Work out what could go and what is wrong.
    Scan,
    /// Prune these caches of Go's.
    Prune { caches: Vec<CacheKind>, trigger: Trigger },
    /// Prune a Redis.
    PruneRedis { cache: String, trigger: Trigger },
    /// Apply a plan that was approved.
    Apply(Box<Waiting>),
    /// Hold every byte of Go's caches against what it should be.
    Verify { trigger: Trigger },
    /// Fetch what the roots of the settings need.
    Download { trigger: Trigger },
    /// Look into a sick Redis, and do what the settings allow.
    Respond(Box<Sick>),
    /// Work out how each cache grows, from a server that may take its time.
    Foresee,
    /// Learn what is usual, from the same.
    Learn,
}

impl Job {
    /// Its name in `/metrics` and on pages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Prune { .. } | Self::PruneRedis { .. } => "prune",
            Self::Apply(_) => "apply",
            Self::Verify { .. } => "verify",
            Self::Download { .. } => "download",
            Self::Respond(_) => "respond",
            Self::Foresee | Self::Learn => "trend",
        }
    }

    /// Each Redis whose keys it may look up.
    fn works_on(&self) -> Vec<String> {
        match self {
            Self::PruneRedis { cache, .. } => vec![cache.clone()],
            Self::Respond(sick) => vec![sick.cache.clone()],
            Self::Apply(waiting) if !waiting.plan.keys.is_empty() => waiting.caches(),
            _ => Vec::new(),
        }
    }
}

/// What came of a job.
#[derive(Debug)]
pub(crate) enum Done {
    /// Something to tell.
    Told(Told),
    /// Something that was done or found out about an alert.
    Noted { cache: String, done: Option<String>, details: Vec<String> },
    /// What was found out about an alert before, as it is now.
    LookedAgain { cache: String, details: Vec<String> },
    /// A plan could not be applied yet, and is to be tried again.
    Deferred(String),
    /// The job is over.
    Ended,
}

/// Works.
pub(crate) struct Worker<'a> {
    base: &'a Base<'a>,
    recorder: &'a Recorder<'a>,
    results: Sender<Done>,
}

impl<'a> Worker<'a> {
    /// A worker that tells what came of its jobs.
    pub(crate) fn new(
        base: &'a Base<'a>,
        recorder: &'a Recorder<'a>,
        results: Sender<Done>,
    ) -> Self {
        Self { base, recorder, results }
    }

    /// Works until there is nobody left to give it work, or it is to stop. Nobody waits for it, so
    /// it uses a processor that nobody else wants.
    pub(crate) fn run(self, jobs: &Receiver<Job>) {
        larder_redis::give_way();
        for job in jobs {
            if self.base.meter.stopped() {
                break;
            }
            self.base.live.know().jobs.push(job.name().to_owned());
            let name = job.name();
            self.job(job);
            let mut known = self.base.live.know();
            if let Some(at) = known.jobs.iter().position(|running| running == name) {
                known.jobs.remove(at);
            }
            drop(known);
            self.tell(Done::Ended);
        }
    }

    fn tell(&self, done: Done) {
        // Nobody listens any more when the daemon ends.
        let _ = self.results.send(done);
        self.base.live.nudge();
    }

    fn job(&self, job: Job) {
        let trace = new_trace();
        let run = Run { base: self.base, recorder: self.recorder, trace: &trace };
        let context = self.base.context(&["watch"]);
        self.base.own.during(&context, &job.works_on(), || self.do_it(job, &run));
    }

    fn do_it(&self, job: Job, run: &Run<'_>) {
        let trace = run.trace;
        let changes = matches!(job, Job::Prune { .. } | Job::Apply(_));
        let told = match job {
            Job::Scan => return self.scan(trace),
            Job::Foresee => return judging::foresee(self.base),
            Job::Learn => return usual::learn(self.base, self.recorder),
            Job::Verify { trigger } => return self.verify(&trigger, trace),
            Job::Download { trigger } => return self.download(&trigger, trace),
            Job::Prune { caches, trigger } => run.prune(&caches, &trigger),
            Job::PruneRedis { cache, trigger } => run.prune_redis(&cache, &trigger),
            Job::Apply(waiting) => {
                let id = waiting.plan.id.clone();
                run.apply(*waiting).unwrap_or_else(|| {
                    self.tell(Done::Deferred(id));
                    Vec::new()
                })
            }
            Job::Respond(sick) => {
                let cache = sick.cache.clone();
                let found = respond::respond(run, &sick);
                let (done, details) = (found.done, found.details);
                return self.tell(if sick.again && done.is_none() {
                    Done::LookedAgain { cache, details }
                } else {
                    Done::Noted { cache, done, details }
                });
            }
        };
        if changes && !told.is_empty() {
            // What could go and what is wrong is another now.
            self.scan(trace);
        }
        for told in told {
            self.tell(Done::Told(told));
        }
    }

    fn scan(&self, trace: &str) {
        let found = apart(|| self.look());
        match found.unwrap_or_else(|| Err("it broke off by a defect of larder".to_owned())) {
            Ok((report, du)) => {
                let du = du.into_iter().map(|(by, report)| (by, Arc::new(report))).collect();
                let mut known = self.base.live.know();
                (known.report, known.du) = (Some(Arc::new(report)), du);
            }
            Err(why) => {
                let step = Step::new("scan-failed", trace, why).bad(Severity::Warning);
                self.recorder.say(step);
            }
        }
    }

    /// What could go and what is wrong, and where the bytes are; else why that cannot be told.
    fn look(&self) -> Result<(StatusReport, Usage), String> {
        let context = self.base.context(&["status"]);
        let found = bridge::world(&context).and_then(|world| {
            let mut report = status(&world, &bridge::config(&context), &context.meter)?;
            verified_file::recall(context.settings().state.as_deref(), &world, &mut report);
            let mut usage = Usage::new();
            for by in DU_BY {
                let caches = du::settle(&[], by).unwrap_or_default();
                usage.insert(by.name(), du::du(&world, &caches, by, None, &context.meter)?);
            }
            Ok((report, usage))
        });
        found.map_err(|error| error.what)
    }

    fn download(&self, trigger: &Trigger, trace: &str) {
        let context = self.base.context(&["download"]);
        let message = format!("download by {}", trigger.name());
        self.recorder.say(Step::new("triggered", trace, message).with("trigger", trigger.name()));
        let roots = context.settings().roots.iter();
        let roots: Result<Vec<PathBuf>, CliError> =
            roots.map(|dir| bridge::folder("roots", dir)).collect();
        let downloaded = roots.and_then(|roots| {
            let (world, config) = (bridge::world(&context)?, bridge::config(&context));
            let wanted = download::Wanted { roots, jobs: None };
            Ok(download::run(&world, &config, &wanted, &context.meter)?)
        });
        let step = match downloaded {
            Ok(report) => {
                let failed = report.failed.len();
                let first = report.failed.first();
                let why = first.map(|first| format!(", {}: {}", first.subject, first.error));
                let fetched = report.fetched().count();
                let message =
                    format!("{fetched} fetched, {failed} failed{}", why.unwrap_or_default());
                let kind = if failed > 0 { "download-failed" } else { "downloaded" };
                let severity = if failed > 0 { Severity::Warning } else { Severity::Info };
                Step::new(kind, trace, message)
                    .of(CacheKind::Mod.name())
                    .bad(severity)
                    .with("fetched", fetched)
                    .with("failed", failed)
                    .with("bytes", report.bytes)
                    .with("took_millis", report.took.as_millis())
            }
            Err(error) => Step::new("download-failed", trace, error.what).bad(Severity::Warning),
        };
        self.recorder.say(step);
    }

    fn verify(&self, trigger: &Trigger, trace: &str) {
        let context = self.base.context(&["verify"]);
        let message = format!("verify by {}", trigger.name());
        self.recorder.say(Step::new("triggered", trace, message).with("trigger", trigger.name()));
        let verified = bridge::world(&context).and_then(|world| {
            let config = bridge::config(&context);
            Ok(verify::verify(&world, &config, &Wanted::default(), &context.meter)?)
        });
        match verified {
            Ok(verified) => {
                for one in &verified {
                    let bad = one.found.bad.iter().filter(|bad| !bad.fixed).count();
                    let checked = one.found.checked;
                    let severity = if bad > 0 { Severity::Warning } else { Severity::Info };
                    let message = format!("{bad} of {checked} are bad");
                    let step = Step::new("verified", trace, message)
                        .of(one.cache.name())
                        .bad(severity)
                        .with("checked", checked)
                        .with("bad", bad)
                        .with("took_millis", one.took.as_millis());
                    self.recorder.say(step);
                }
                if let Some(state) = &context.settings().state {
                    // It is only a memory, and status says what it does not remember.
                    let _ = verified_file::remember(state, &verified);
                }
            }
            Err(error) => {
                let step = Step::new("verify-failed", trace, error.what).bad(Severity::Warning);
                self.recorder.say(step);
            }
        }
        self.scan(trace);
    }
}
