//! From what was judged to what is told: the board's step, its events, its notices, and who looks into
//! a sick Redis.
//!
//! Promises: what is told is kept before it goes out (`outbox.rs`), and whoever looks into a sick
//! Redis does not wait for what the message waits for. Leaves out when that is (`ticker.rs`).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use larder_core::alert_board::Due;
use larder_core::{Alert, CacheKind, Notice, Occasion, Severity, Thresholds, Time};
use larder_engine::trigger::Restraint;

use super::record::{Step, new_trace};
use super::respond::Sick;
use super::silences::{self, Silences};
use super::ticker::Ticker;
use super::work::Job;
use super::{alerts, board_file, judging};

/// An alert of a cache of Go's that is not there ends after this: a disk may come back, and a build
/// makes a new folder.
const GONE: Duration = Duration::from_mins(10);

impl Ticker<'_> {
    /// Judges every cache, and tells what is to be told.
    pub(super) fn judge(&mut self) {
        let now = larder_fs::now();
        let settings = self.base.settings();
        let thresholds = self.thresholds();
        let judged = judging::judge(self.base, self.recorder, self.bad_settings.as_deref(), now);
        let text = self.recorder.state(silences::KEY);
        let silences = Silences::read(text.as_deref(), now);
        let (due, board) = {
            let mut known = self.base.live.know();
            let caches: Vec<String> =
                judged.iter().map(|judged| judged.alert.cache.clone()).collect();
            let thresholds = &thresholds;
            known.board.step(judged, thresholds, now);
            if known.ready.is_some() {
                let here = |cache: &str| caches.iter().any(|c| c == cache);
                self.gone.retain(|cache, _| !here(cache));
                let gone = &mut self.gone;
                known.board.retain(|cache| here(cache) || is_awaited(gone, cache), now);
            }
            let firing = alerts::firing(&known.board);
            let inhibit = &settings.daemon.alert.inhibit;
            let quiet = |alert: &Alert| alerts::quiet(alert, &firing, &silences, inhibit);
            let due = known.board.tell(thresholds, now, quiet);
            // A time that has passed is of something that is kept quiet.
            self.tell_at = known.board.waits_until(thresholds).filter(|at| *at > now);
            (due, board_file::write(&known.board))
        };
        self.tell(due, board, now);
    }

    /// The levels of the settings.
    fn thresholds(&self) -> Thresholds {
        let thresholds = self.base.settings().daemon.alert.thresholds;
        if !self.alone {
            return thresholds;
        }
        Thresholds { group_wait: Duration::ZERO, group_interval: Duration::ZERO, ..thresholds }
    }

    /// Records and sends what is to be told; `board` takes it as told.
    fn tell(&mut self, due: Due, board: String, now: Time) {
        let trace = new_trace();
        let Due { told: tellings, begun } = due;
        for telling in &tellings {
            let alert = &telling.alert;
            let reasons: Vec<&str> = alert.reasons.iter().map(|r| r.text.as_str()).collect();
            let ended = telling.occasion == Occasion::Cleared;
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
        let reminded = tellings.iter().filter(|t| t.occasion == Occasion::Reminder);
        let begun = begun.iter().map(|alert| (alert, false));
        let asked = begun.chain(reminded.map(|telling| (&telling.alert, true)));
        let sick: Vec<Sick> =
            asked.filter_map(|(alert, again)| self.sick(alert, again, now)).collect();
        let notices = alerts::notices(tellings, self.recorder.host(), now);
        for notice in &notices {
            self.recorder.follow(&notice.id, &trace);
        }
        if notices.is_empty() {
            self.recorder.keep(board_file::KEY, board);
        } else {
            // Before anybody is told: what was told is known after a kill in between.
            self.notifier.send(&notices, board);
        }
        for sick in sick {
            self.give(Job::Respond(Box::new(sick)));
        }
    }

    /// Whether an alert is one to be answered; `again` where it was before.
    fn sick(&mut self, alert: &Alert, again: bool, now: Time) -> Option<Sick> {
        let name = alert.cache.strip_prefix("redis:")?;
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

    /// Keeps what fires alive at an Alertmanager.
    pub(super) fn resend(&self) {
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
            occasion: Occasion::Reminder,
            at: now,
            host: self.recorder.host().to_owned(),
            alerts: firing,
        });
    }
}

/// Whether a cache that is not there may soon be back.
fn is_awaited(gone: &mut BTreeMap<String, Instant>, cache: &str) -> bool {
    // A Redis that is down is measured as such; one that is not measured is in no settings.
    if cache.parse::<CacheKind>().is_err() {
        return false;
    }
    gone.entry(cache.to_owned()).or_insert_with(Instant::now).elapsed() < GONE
}
