//! The thread that ticks: measure, judge, tell, and hand out work that is due.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use larder_core::{Severity, Time};
use larder_engine::trigger::{Runs, Trigger};

use super::base::Base;
use super::cleaning::Told;
use super::due::Dues;
use super::handed::{Full, Handed};
use super::notify::Notifier;
use super::record::{Recorder, Step, new_trace};
use super::sampler::Sampler;
use super::signals::Reload;
use super::work::{Done, Job};
use super::{board_file, hooks, judging, serve, systemd, usual};
use crate::exit::{CliError, Exit};
use crate::settings_history::HistoryKind;
use crate::waiting::Seen;
use crate::{bridge, throttles};

/// How long a round waits for the answers of servers.
const PATIENCE: Duration = Duration::from_secs(1);
/// What fires is told to an Alertmanager again this often, or it would take it for over.
const RESEND: Duration = Duration::from_mins(1);
/// What is usual is learned this often …
const LEARNED: Duration = Duration::from_hours(1);
/// … and this soon where it could not be learned.
const LEARN_AGAIN: Duration = Duration::from_mins(5);
/// Growth is written down this often.
const ARCHIVED: Duration = Duration::from_hours(1);
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
    handed: Handed,
    sampler: Sampler,
    pub(super) notifier: Notifier,
    pub(super) runs: Runs,
    pub(super) dues: Dues,
    /// The plans that wait.
    pub(super) plans: Seen,
    /// What is wrong with the settings that were to be read again.
    pub(super) bad_settings: Option<String>,
    resent: Option<Instant>,
    scanned: Option<Instant>,
    foreseen: Option<Instant>,
    /// When what is usual was last learned.
    learned: Option<Instant>,
    /// When systemd last heard of it.
    lived: Option<Instant>,
    /// When growth was last written down.
    archived: Option<Instant>,
    /// When the next limit is over.
    pub(super) lift_at: Option<Time>,
    /// Since when a cache with an alert is not there.
    pub(super) gone: BTreeMap<String, Instant>,
    /// When what waits for others is told.
    pub(super) tell_at: Option<Time>,
    /// It goes through the cycle once, so nothing waits for what may come.
    pub(super) alone: bool,
}

impl<'a> Ticker<'a> {
    /// Begins where the last one stopped.
    pub(crate) fn new(
        base: &'a Base<'a>,
        recorder: &'a Recorder<'a>,
        handed: Handed,
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
            handed,
            sampler: Sampler::new(),
            notifier,
            runs: runs.into_iter().map(|(what, at)| (what, Time::from_unix_nanos(at))).collect(),
            dues: Dues::new(base, recorder),
            plans: Seen::default(),
            bad_settings: None,
            resent: None,
            scanned: None,
            foreseen: None,
            learned: None,
            lived: None,
            archived: None,
            lift_at: None,
            gone: BTreeMap::new(),
            tell_at: None,
            alone: false,
        })
    }

    /// Once through the cycle.
    pub(crate) fn once(mut self, trigger: Option<&str>) -> Result<Exit, CliError> {
        if let Some(name) = trigger {
            hooks::asked(name)?;
        }
        self.alone = true;
        self.notifier.send_left(self.base, self.recorder);
        let patience = self.longest_answer();
        self.measure(patience)?;
        self.learn();
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
        if page.is_some() {
            self.notifier = Notifier::start(self.base, self.recorder, page.clone())?;
        }
        self.notifier.send_left(self.base, self.recorder);
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
            if over(self.archived, ARCHIVED) && judging::archive_growth(self.base, self.recorder) {
                self.archived = Some(now);
            }
        }
        let troubled = self.base.live.know().usual.is_in_trouble();
        let again = if troubled { LEARN_AGAIN } else { LEARNED };
        if over(self.learned, again) && self.learn() {
            self.learned = Some(now);
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
        let board = self.base.live.know().board.clone();
        self.notifier.record(&board, self.recorder);
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
        let idle = self.handed.is_idle();
        if idle {
            self.give(Job::Foresee);
        }
        idle
    }

    /// Learns what is usual at each hour, by the same way. Whether it is done, or will be.
    fn learn(&mut self) -> bool {
        let settings = self.base.settings();
        let asks =
            settings.daemon.alert.unusual && settings.history.kind == HistoryKind::Prometheus;
        if !asks {
            usual::learn(self.base, self.recorder);
            return true;
        }
        let idle = self.handed.is_idle();
        if idle {
            self.give(Job::Learn);
        }
        idle
    }

    fn measure(&mut self, patience: Duration) -> Result<(), CliError> {
        let context = self.base.context(&["watch"]);
        let world = bridge::world(&context)?;
        let round = self.sampler.round(&context, &world, patience, &self.base.own);
        judging::take(self.base, self.recorder, round, &world, context.now);
        Ok(())
    }

    /// How long a server may take at the most, and a little.
    fn longest_answer(&self) -> Duration {
        let settings = self.base.settings();
        let limits = settings.redis.iter().map(|redis| redis.connect_timeout + redis.timeout);
        limits.max().unwrap_or_default() + PATIENCE
    }

    pub(super) fn note_run(&mut self, what: &str, now: Time) {
        self.runs.note(what, now);
        let all: Vec<(&str, i64)> = self.runs.all().map(|(w, at)| (w, at.unix_nanos())).collect();
        self.recorder.keep("runs", serde_json::to_string(&all).unwrap_or_default());
    }

    pub(super) fn give(&mut self, job: Job) {
        if let Err(Full(name)) = self.handed.give(job) {
            let message = format!("too much waits already: {name} is left out");
            self.recorder.say(Step::new("job-dropped", "", message).bad(Severity::Warning));
        }
    }

    fn take_results(&mut self) {
        for done in self.handed.take() {
            self.take(done);
        }
        if !self.handed.works() {
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
            Done::Ended => {}
        }
    }

    /// Tells everybody what was done, or what waits for somebody.
    fn report(&self, told: Told) {
        let now = larder_fs::now();
        let trace = told.trace.clone();
        let notice = judging::report(told, self.recorder.host(), now);
        self.recorder.follow(&notice.id, &trace);
        let board = board_file::write(&self.base.live.know().board);
        self.notifier.send(&[notice], board);
    }

    /// Waits until all that was handed out is done.
    fn until_idle(&mut self) {
        while let Some(done) = self.handed.wait() {
            self.take(done);
        }
    }

    fn wait_until(&mut self, until: Instant) {
        while !self.base.meter.stopped() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.base.live.know().wishes.is_empty() {
                return;
            }
            self.base.live.wait(left.min(Duration::from_millis(250)));
            if self.lift_at.is_some_and(|at| at <= larder_fs::now()) {
                self.lift_overdue();
            }
            if self.tell_at.is_some_and(|at| at <= larder_fs::now()) {
                self.judge();
            }
            if self.lived.is_none_or(|at| at.elapsed() >= ALIVE) {
                self.live_on();
            }
            let before = self.handed.open();
            self.take_results();
            if self.handed.open() < before {
                // What was found out is told at once, not at the next measurement.
                self.judge();
                self.lift_at = throttles::next_end(&self.base.context(&["watch"]));
            }
        }
    }

    /// Tells systemd that it lives, however long it is to the next measurement.
    fn live_on(&mut self) {
        let units = self.base.settings().units;
        let known = self.base.live.know();
        if known.ready.is_some() {
            self.lived = Some(Instant::now());
            systemd::alive(&known.in_a_line(units));
        }
    }

    fn reload(&mut self, reload: &mut Reload) {
        let trace = new_trace();
        let read = self.base.read().and_then(|new| {
            // All of it is in force, or none.
            self.notifier.renew(&new.settings)?;
            Ok(new)
        });
        match read {
            Ok(new) => {
                self.base.take(new);
                reload.watch(&self.base.resolved());
                self.bad_settings = None;
                self.learned = None;
                self.dues = self.dues.renewed(self.base, self.recorder);
                self.recorder.say(Step::new("reloaded", &trace, "settings were read again"));
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
