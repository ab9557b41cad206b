//! The thread that ticks: measure, judge, tell, and hand out work that is due.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError};
use std::time::{Duration, Instant};

use larder_core::{Notice, Severity, Time};
use larder_engine::trigger::{Restraint, Runs, Trigger};

use super::alerts;
use super::base::Base;
use super::cleaning::Told;
use super::due::Dues;
use super::judging;
use super::notify::Notifier;
use super::record::{Recorder, Step, new_trace};
use super::respond::Sick;
use super::sampler::Sampler;
use super::serve;
use super::signals::Reload;
use super::silences::{self, Silences};
use super::systemd;
use super::work::{Done, Job};
use super::{board_file, hooks};
use crate::bridge;
use crate::exit::{CliError, Exit};
use crate::settings_history::HistoryKind;
use crate::waiting::Seen;

/// How long a round waits for the answers of servers.
const PATIENCE: Duration = Duration::from_secs(1);
/// What fires is told to an Alertmanager again this often, or it would take it for over.
const RESEND: Duration = Duration::from_mins(1);
/// systemd hears at least so often that it lives.
const ALIVE: Duration = Duration::from_secs(5);
/// How long receivers are given when it stops.
const FLUSH: Duration = Duration::from_secs(5);
/// Whether it answers over HTTP, and where in place of the settings' address.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Serving {
    /// It does not.
    Not,
    /// It does.
    At(Option<SocketAddr>),
}

/// Ticks.
pub(crate) struct Ticker<'a> {
    pub(super) base: &'a Base<'a>,
    pub(super) recorder: &'a Recorder<'a>,
    jobs: SyncSender<Job>,
    results: Receiver<Done>,
    sampler: Sampler,
    notifier: Notifier,
    pub(super) runs: Runs,
    pub(super) dues: Dues,
    /// The plans that wait.
    pub(super) plans: Seen,
    /// What is wrong with the settings that were to be read again.
    pub(super) bad_settings: Option<String>,
    resent: Option<Instant>,
    scanned: Option<Instant>,
    foreseen: Option<Instant>,
    /// When systemd last heard of it.
    lived: Option<Instant>,
    waiting_jobs: usize,
}

impl<'a> Ticker<'a> {
    /// Begins where the last one stopped.
    pub(crate) fn new(
        base: &'a Base<'a>,
        recorder: &'a Recorder<'a>,
        jobs: SyncSender<Job>,
        results: Receiver<Done>,
    ) -> Result<Self, CliError> {
        let board = recorder.state(board_file::KEY).map(|text| board_file::read(&text));
        base.live.know().board = board.unwrap_or_default();
        let runs: Vec<(String, i64)> = recorder
            .state("runs")
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        let notifier = Notifier::start(base, recorder, None)?;
        Ok(Self {
            base,
            recorder,
            jobs,
            results,
            sampler: Sampler::new(),
            notifier,
            runs: runs.into_iter().map(|(what, at)| (what, Time::from_unix_nanos(at))).collect(),
            dues: Dues::new(base, recorder),
            plans: Seen::default(),
            bad_settings: None,
            resent: None,
            scanned: None,
            foreseen: None,
            lived: None,
            waiting_jobs: 0,
        })
    }

    /// Once through the cycle.
    pub(crate) fn once(mut self, trigger: Option<&str>) -> Result<Exit, CliError> {
        if let Some(name) = trigger {
            hooks::check(name)?;
        }
        let patience = self.longest_answer();
        self.measure(patience)?;
        self.give(Job::Scan);
        self.until_idle();
        self.judge();
        let trigger = trigger.map_or(Trigger::Once, |name| Trigger::Hook(name.to_owned()));
        // First, or what was approved would be planned once more.
        self.apply_approved();
        self.prune_all(&trigger);
        self.until_idle();
        self.leave_no_wish();
        self.measure(patience)?;
        self.judge();
        self.until_idle();
        let failures = self.base.live.know().cleanups.values().any(|sum| sum.failures > 0);
        let Self { notifier, recorder, base, .. } = self;
        notifier.stop(recorder, FLUSH);
        // What could not be written is said; what was done is done all the same.
        if let Err(error) = recorder.history().flush() {
            base.printer.warning(&format!("the history was not written: {error}"));
        }
        Ok(match (base.meter.stopped(), failures) {
            (true, _) => Exit::Interrupted,
            (false, true) => Exit::Partly,
            (false, false) => Exit::Done,
        })
    }

    /// What other single runs wished meanwhile, who were told that it is done here. Rounds are
    /// bounded; what is wished later still waits for the next run.
    fn leave_no_wish(&mut self) {
        const ROUNDS: usize = 10;
        let Some(state) = self.base.settings().state else { return };
        for _ in 0..ROUNDS {
            let names = hooks::taken(&state);
            if names.is_empty() || self.base.meter.stopped() {
                return;
            }
            for name in names {
                self.prune_all(&Trigger::Hook(name));
            }
            self.until_idle();
        }
    }

    /// Until it is stopped.
    pub(crate) fn forever(mut self, serving: &Serving) -> Result<Exit, CliError> {
        let server = match serving {
            Serving::At(address) => Some(serve::start(self.base, self.recorder, *address)?),
            Serving::Not => None,
        };
        let mut reload = Reload::new(&self.base.resolved());
        let trace = new_trace();
        let page = server.as_ref().map(larder_server::Running::url);
        let place = page.as_ref().map_or_else(String::new, |url| format!(" and serves {url}"));
        self.recorder.say(Step::new("started", &trace, format!("watches{place}")));
        if let Some(url) = &page {
            self.base.printer.note(&format!("Watching; metrics are at {url}/metrics"));
        }
        self.scanned = None;
        while !self.base.meter.stopped() {
            let begun = Instant::now();
            if reload.due() {
                self.reload(&mut reload);
            }
            self.tick()?;
            self.live_on();
            let every = self.base.settings().daemon.schedule.sample;
            self.wait_until(begun + every);
        }
        self.recorder.say(Step::new("stopped", &trace, "stops"));
        self.leave(server);
        Ok(Exit::Done)
    }

    fn leave(self, server: Option<larder_server::Running>) {
        systemd::stopping();
        if let Some(server) = server {
            server.stop(Duration::from_secs(5));
        }
        let Self { notifier, recorder, .. } = self;
        notifier.stop(recorder, FLUSH);
        // The disk may be what makes it stop.
        let _ = recorder.history().flush();
    }

    /// One round of everything.
    fn tick(&mut self) -> Result<(), CliError> {
        self.measure(PATIENCE)?;
        let now = Instant::now();
        let settings = self.base.settings();
        let over = |last: Option<Instant>, every: Duration| last.is_none_or(|at| now - at >= every);
        if over(self.scanned, settings.daemon.schedule.scan) {
            self.scanned = Some(now);
            // What was written in place and unseen is found now at the latest.
            self.sampler.forget();
            self.give(Job::Scan);
        }
        if over(self.foreseen, RESEND) && self.foresee() {
            self.foreseen = Some(now);
        }
        self.take_results();
        self.judge();
        self.apply_approved();
        self.trigger();
        self.lift_overdue();
        if over(self.resent, RESEND) {
            self.resent = Some(now);
            self.resend();
        }
        self.notifier.record(self.recorder);
        self.base.live.know().notified = self.notifier.counts();
        Ok(())
    }

    /// Works out how each cache grows. Another server is asked by the thread that works, once it
    /// has nothing else to do: one that hangs holds up no measuring. Whether it is done, or will be.
    fn foresee(&mut self) -> bool {
        if self.base.settings().history.kind != HistoryKind::Prometheus {
            judging::foresee(self.base);
            return true;
        }
        let idle = self.waiting_jobs == 0;
        if idle {
            self.give(Job::Foresee);
        }
        idle
    }

    fn measure(&mut self, patience: Duration) -> Result<(), CliError> {
        let context = self.base.context(&["watch"]);
        let world = bridge::world(&context)?;
        let round = self.sampler.round(&context, &world, patience);
        judging::take(self.base, self.recorder, round, &world, context.now);
        Ok(())
    }

    /// How long a server may take at the most, and a little.
    fn longest_answer(&self) -> Duration {
        let settings = self.base.settings();
        let limits = settings.redis.iter().map(|redis| redis.connect_timeout + redis.timeout);
        limits.max().unwrap_or_default() + PATIENCE
    }

    /// Judges every cache, and tells what is to be told.
    fn judge(&mut self) {
        let now = larder_fs::now();
        let settings = self.base.settings();
        let judged = judging::judge(self.base, self.recorder, self.bad_settings.as_deref(), now);
        let text = self.recorder.state(silences::KEY);
        let silences = Silences::read(text.as_deref(), now);
        let tellings = {
            let mut known = self.base.live.know();
            let caches: Vec<String> =
                judged.iter().map(|judged| judged.alert.cache.clone()).collect();
            let thresholds = &settings.daemon.alert.thresholds;
            known.board.step(judged, thresholds, now);
            if known.ready.is_some() {
                known.board.retain(|cache| caches.iter().any(|c| c == cache), now);
            }
            let firing = alerts::firing(&known.board);
            let inhibit = &settings.daemon.alert.inhibit;
            let told = known
                .board
                .tell(thresholds, now, |alert| alerts::quiet(alert, &firing, &silences, inhibit));
            let text = board_file::write(&known.board);
            drop(known);
            // Before anybody is told: what was told is known after a kill in between.
            self.recorder.keep(board_file::KEY, text);
            told
        };
        let trace = new_trace();
        for telling in &tellings {
            let alert = &telling.alert;
            let reasons: Vec<&str> = alert.reasons.iter().map(|r| r.text.as_str()).collect();
            let ended = telling.occasion == larder_core::Occasion::Cleared;
            let message = if ended {
                format!("{} is over", alert.name)
            } else {
                format!("{}: {}", alert.name, reasons.join("; "))
            };
            let mut step = Step::new(alerts::event_kind(telling.occasion), &trace, message)
                .of(&alert.cache)
                .with("notice", &telling.id)
                .with("severity", alert.severity.name());
            if let Some(score) = alert.score {
                step = step.with("score", score);
            }
            self.recorder.say(step.bad(if ended { Severity::Info } else { alert.severity }));
        }
        let sick: Vec<Sick> = tellings.iter().filter_map(|t| self.sick(t, now)).collect();
        for notice in alerts::notices(tellings, self.recorder.host(), now) {
            self.recorder.follow(&notice.id, &trace);
            self.notifier.send(&notice);
        }
        for sick in sick {
            self.give(Job::Respond(Box::new(sick)));
        }
    }

    /// Whether an alert is one to be answered.
    fn sick(&mut self, telling: &larder_core::alert_board::Telling, now: Time) -> Option<Sick> {
        let alert = &telling.alert;
        let again = telling.occasion == larder_core::Occasion::Reminder;
        let asked = again || telling.occasion == larder_core::Occasion::Raised;
        let name = alert.cache.strip_prefix("redis:").filter(|_| asked)?;
        // Without a score it cannot be asked, let alone helped.
        let score = alert.score?;
        let settings = self.base.settings();
        let respond = &settings.redis.iter().find(|redis| redis.name == name)?.respond;
        let restraint = Restraint { cool_down: respond.cool_down, per_day: respond.per_day };
        let what = format!("respond {}", alert.cache);
        let held = self.runs.may(&what, restraint, now).err();
        if held.is_none() {
            self.note_run(&what, now);
        }
        Some(Sick { cache: alert.cache.clone(), score: Some(score), again, held })
    }

    pub(super) fn note_run(&mut self, what: &str, now: Time) {
        self.runs.note(what, now);
        let all: Vec<(&str, i64)> = self.runs.all().map(|(w, at)| (w, at.unix_nanos())).collect();
        self.recorder.keep("runs", serde_json::to_string(&all).unwrap_or_default());
    }

    /// Keeps what fires alive at an Alertmanager.
    fn resend(&self) {
        let now = larder_fs::now();
        let text = self.recorder.state(silences::KEY);
        let silences = Silences::read(text.as_deref(), now);
        let known = self.base.live.know();
        let told = known.board.tracked.iter().filter(|tracked| tracked.told.is_some());
        let firing: Vec<_> = told
            .map(|tracked| tracked.alert.clone())
            .filter(|alert| alert.ended.is_none() && !silences.hold(&alert.cache))
            .collect();
        drop(known);
        if firing.is_empty() {
            return;
        }
        self.notifier.resend(&Notice {
            id: format!("resend/{}", now.unix_nanos()),
            occasion: larder_core::Occasion::Reminder,
            at: now,
            host: self.recorder.host().to_owned(),
            alerts: firing,
        });
    }

    pub(super) fn give(&mut self, job: Job) {
        let name = job.name();
        match self.jobs.try_send(job) {
            Ok(()) => self.waiting_jobs += 1,
            Err(TrySendError::Full(_)) => {
                let message = format!("too much waits already: {name} is left out");
                self.recorder.say(Step::new("job-dropped", "", message).bad(Severity::Warning));
            }
            // The worker ended by a defect, which is told when it is joined.
            Err(TrySendError::Disconnected(_)) => self.base.meter.stop(),
        }
    }

    fn take_results(&mut self) {
        let (all, works) = drain(&self.results);
        for done in all {
            self.take(done);
        }
        if !works {
            // It ended by a defect, which is told when it is joined.
            self.base.meter.stop();
        }
    }

    fn take(&mut self, done: Done) {
        match done {
            Done::Told(told) => self.report(told),
            Done::Noted { cache, done, details } => {
                if done.is_some() || !details.is_empty() {
                    self.base.live.know().board.note(&cache, done, details);
                }
            }
            Done::LookedAgain { cache, details } => {
                self.base.live.know().board.look_again(&cache, details);
            }
            Done::Deferred(id) => self.dues.again(&id),
            Done::Ended => self.waiting_jobs = self.waiting_jobs.saturating_sub(1),
        }
    }

    /// Tells everybody what was done, or what waits for somebody.
    fn report(&self, told: Told) {
        let now = larder_fs::now();
        let trace = told.trace.clone();
        let notice = judging::report(told, self.recorder.host(), now);
        self.recorder.follow(&notice.id, &trace);
        self.notifier.send(&notice);
    }

    /// Waits until all that was handed out is done.
    fn until_idle(&mut self) {
        while self.waiting_jobs > 0 {
            match self.results.recv_timeout(Duration::from_millis(200)) {
                Ok(done) => self.take(done),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    }

    fn wait_until(&mut self, until: Instant) {
        while !self.base.meter.stopped() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.base.live.know().wishes.is_empty() {
                return;
            }
            self.base.live.wait(left.min(Duration::from_millis(250)));
            if self.lived.is_none_or(|at| at.elapsed() >= ALIVE) {
                self.live_on();
            }
            let before = self.waiting_jobs;
            self.take_results();
            if self.waiting_jobs < before {
                // What was found out is told at once, not at the next measurement.
                self.judge();
            }
        }
    }

    /// Tells systemd that it lives, however long it is to the next measurement.
    fn live_on(&mut self) {
        if self.base.live.know().ready.is_some() {
            self.lived = Some(Instant::now());
            systemd::alive();
        }
    }

    fn reload(&mut self, reload: &mut Reload) {
        let trace = new_trace();
        match self.base.reload() {
            Ok(()) => {
                reload.watch(&self.base.resolved());
                self.bad_settings = None;
                self.dues = self.dues.renewed(self.base, self.recorder);
                self.recorder.say(Step::new("reloaded", &trace, "settings were read again"));
                match Notifier::start(self.base, self.recorder, None) {
                    Ok(new) => {
                        let old = std::mem::replace(&mut self.notifier, new);
                        old.stop(self.recorder, Duration::from_secs(1));
                    }
                    Err(error) => self.refuse(&error, &trace),
                }
            }
            Err(error) => self.refuse(&error, &trace),
        }
    }

    fn refuse(&mut self, error: &CliError, trace: &str) {
        let what = format!("the settings stay as they were: {error}").replace('\n', "; ");
        let step = Step::new("settings-bad", trace, what.clone()).bad(Severity::Warning);
        self.recorder.say(step);
        self.bad_settings = Some(what);
    }
}

/// What came of jobs, and whether somebody still works.
fn drain(results: &Receiver<Done>) -> (Vec<Done>, bool) {
    let mut all = Vec::new();
    loop {
        match results.try_recv() {
            Ok(done) => all.push(done),
            Err(error) => return (all, error == TryRecvError::Empty),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn that_nobody_works_any_more_is_noticed_with_the_last_result() {
        let (tell, results) = mpsc::channel();
        tell.send(Done::Ended).unwrap();
        assert!(matches!(drain(&results), (all, true) if all.len() == 1));
        assert!(matches!(drain(&results), (all, true) if all.is_empty()));
        tell.send(Done::Ended).unwrap();
        drop(tell);
        assert!(matches!(drain(&results), (all, false) if all.len() == 1));
    }
}
