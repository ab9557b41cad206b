//! Which alerts there are: raised when something was bad for long enough, over when it was good for
//! as long, told once each time, reminded of, silenced, inhibited, and told together with what
//! falls ill in the same moments.
//!
//! Pure: what was judged and the time are handed in, what is to be told comes out. The board is a
//! value that outlives a restart, so that nothing is told twice and nothing forgotten.

use std::time::Duration;

use crate::alert::{Alert, Occasion};
use crate::finding::Severity;
use crate::time::Time;

/// Nobody is told twice of one alert within this time.
const SETTLE: Duration = Duration::from_secs(10);

/// When an alert is raised and when it is over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// A score below this raises.
    pub raise_below: f64,
    /// A score at or above this clears; between the two nothing changes.
    pub clear_above: f64,
    /// A score below this is critical.
    pub critical_below: f64,
    /// What is bad raises when it has been for this long, and clears when it has been good for as
    /// long.
    pub hold: Duration,
    /// What still fires is told again after this.
    pub remind: Option<Duration>,
    /// What is raised waits for so long for others, so that all of it is told at once. What is
    /// critical waits for nobody, and nobody for whom it goes out waits longer.
    pub group_wait: Duration,
    /// What is raised while others fire waits until these were told of for so long.
    pub group_interval: Duration,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            raise_below: 80.0,
            clear_above: 85.0,
            critical_below: 70.0,
            hold: Duration::from_mins(1),
            remind: Some(Duration::from_hours(4)),
            group_wait: Duration::from_secs(30),
            group_interval: Duration::from_mins(5),
        }
    }
}

impl Thresholds {
    /// How a score is to be taken.
    pub fn judge(&self, score: Option<f64>) -> Verdict {
        match score {
            None => Verdict::Unknown,
            Some(score) if score < self.raise_below => Verdict::Bad,
            Some(score) if score >= self.clear_above => Verdict::Good,
            Some(_) => Verdict::Between,
        }
    }

    /// How bad a score is.
    pub fn severity(&self, score: f64) -> Severity {
        if score < self.critical_below { Severity::Critical } else { Severity::Warning }
    }
}

/// How one cache was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It raises.
    Bad,
    /// It neither raises nor clears.
    Between,
    /// It clears.
    Good,
    /// Nothing is known, so nothing changes.
    Unknown,
}

/// What is known of one cache now. `alert.since` is not looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// As it would be told.
    pub alert: Alert,
    /// How it is to be taken.
    pub verdict: Verdict,
}

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Bad, but not for long enough.
    Pending {
        /// Since when it has been bad.
        since: Time,
    },
    /// It fires.
    Firing {
        /// Since when it has been good again, where it has.
        good_since: Option<Time>,
    },
    /// It is over, and who was told of it is still to be told so.
    Over,
}

/// An alert on the board.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracked {
    /// As it was last judged.
    pub alert: Alert,
    /// Where it stands.
    pub phase: Phase,
    /// When somebody was last told that it fires, and how bad it was then.
    pub told: Option<(Time, Severity)>,
    /// How often somebody was told of it.
    pub tellings: u32,
    /// Whether something was done or found out about it that nobody was told yet.
    pub news: bool,
    /// Since when it is worse or better by a level than was told.
    pub unsaid: Option<Time>,
    /// Since when it is to be told that it was raised, and waits for others.
    pub waits: Option<Time>,
}

/// All alerts of this machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Board {
    /// In the order in which they came.
    pub tracked: Vec<Tracked>,
}

/// What is to be told now, and what began.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Due {
    /// What somebody is told now.
    pub told: Vec<Telling>,
    /// What was raised now, told or not yet: who looks into it need not wait for others.
    pub begun: Vec<Alert>,
}

/// What somebody is to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Telling {
    /// The same after a restart: name, cache, when it was raised, and which telling of it this is.
    pub id: String,
    /// Why.
    pub occasion: Occasion,
    /// Of what.
    pub alert: Alert,
}

impl Board {
    /// Takes in what was judged. What a cache's absence from `judged` means is nothing: it stays.
    pub fn step(&mut self, judged: Vec<Judged>, thresholds: &Thresholds, now: Time) {
        for one in judged {
            let found = self.tracked.iter().position(|t| t.alert.key() == one.alert.key());
            match found {
                Some(at) => self.tracked[at].step(one, thresholds, now),
                None if one.verdict == Verdict::Bad => {
                    let phase = Phase::Pending { since: now };
                    let told = None;
                    let mut new = Tracked {
                        alert: one.alert,
                        phase,
                        told,
                        tellings: 0,
                        news: false,
                        unsaid: None,
                        waits: None,
                    };
                    new.alert.since = now;
                    new.ripen(thresholds, now);
                    self.tracked.push(new);
                }
                None => {}
            }
        }
        let gone = |t: &Tracked| match t.phase {
            Phase::Over => t.told.is_none(),
            Phase::Pending { .. } | Phase::Firing { .. } => false,
        };
        self.tracked.retain(|tracked| !gone(tracked));
    }

    /// A cache that is no longer looked after has no alert.
    pub fn retain(&mut self, mut known: impl FnMut(&str) -> bool, now: Time) {
        for tracked in &mut self.tracked {
            if !known(&tracked.alert.cache) && tracked.phase != Phase::Over {
                tracked.phase = Phase::Over;
                tracked.alert.ended = Some(now);
            }
        }
        self.tracked.retain(|tracked| tracked.phase != Phase::Over || tracked.told.is_some());
    }

    /// Adds what was done or found out about what fires; it is told with it.
    pub fn note(&mut self, cache: &str, done: Option<String>, details: Vec<String>) {
        let fires =
            |t: &&mut Tracked| t.alert.cache == cache && matches!(t.phase, Phase::Firing { .. });
        let Some(tracked) = self.tracked.iter_mut().find(fires) else { return };
        tracked.news = true;
        tracked.alert.done.extend(done);
        if !details.is_empty() {
            tracked.alert.details = details;
        }
    }

    /// Takes in how what was found out about what fires looks by now, which alone is no reason to
    /// tell anybody.
    pub fn look_again(&mut self, cache: &str, details: Vec<String>) {
        let fires =
            |t: &&mut Tracked| t.alert.cache == cache && matches!(t.phase, Phase::Firing { .. });
        if let Some(tracked) = self.tracked.iter_mut().find(fires) {
            tracked.alert.details = details;
        }
    }

    /// What fires now.
    pub fn firing(&self) -> impl Iterator<Item = &Alert> {
        let fires = |tracked: &&Tracked| matches!(tracked.phase, Phase::Firing { .. });
        self.tracked.iter().filter(fires).map(|tracked| &tracked.alert)
    }

    /// What is to be told now, and takes it as told. What `quiet` names is silenced or inhibited:
    /// it is told when that ends, if it still fires then. What is over before it was told is not
    /// told.
    pub fn tell(
        &mut self,
        thresholds: &Thresholds,
        now: Time,
        quiet: impl Fn(&Alert) -> bool,
    ) -> Due {
        let (mut due, mut begun) = (Vec::new(), Vec::new());
        for (at, tracked) in self.tracked.iter_mut().enumerate() {
            let Some(occasion) = tracked.due(thresholds, now) else { continue };
            // That it is over is told to whoever was told that it began.
            if occasion != Occasion::Cleared && quiet(&tracked.alert) {
                tracked.waits = None;
                continue;
            }
            if occasion == Occasion::Raised && tracked.waits.is_none() {
                tracked.waits = Some(now);
                begun.push(tracked.alert.clone());
            }
            due.push((at, occasion));
        }
        let together = self.waits_until(thresholds).is_some_and(|until| now >= until);
        let is_told = |occasion| occasion != Occasion::Raised || together;
        let due = due.into_iter().filter(|(_, occasion)| is_told(*occasion));
        let told = due.map(|(at, occasion)| self.tracked[at].tell(occasion, now)).collect();
        self.tracked.retain(|tracked| tracked.phase != Phase::Over);
        Due { told, begun }
    }

    /// Until when what was raised waits for others; a time that has come where something of it is
    /// critical, `None` where nothing waits.
    pub fn waits_until(&self, thresholds: &Thresholds) -> Option<Time> {
        // What is on its way back to good waits for nobody, and nobody for it.
        let raised = |t: &&Tracked| matches!(t.phase, Phase::Firing { good_since: None });
        let waiting = || self.tracked.iter().filter(raised).filter(|t| t.waits.is_some());
        let first = waiting().filter_map(|tracked| tracked.waits).min()?;
        if waiting().any(|tracked| tracked.alert.severity == Severity::Critical) {
            return Some(first);
        }
        let fires = |t: &&Tracked| matches!(t.phase, Phase::Firing { .. });
        let told = self.tracked.iter().filter(fires).filter_map(|tracked| tracked.told);
        let again = told.map(|(at, _)| at.plus(thresholds.group_interval)).max();
        Some(first.plus(thresholds.group_wait).max(again.unwrap_or(first)))
    }
}

impl Tracked {
    fn step(&mut self, one: Judged, thresholds: &Thresholds, now: Time) {
        self.not_ahead(now);
        let (since, before) = (self.alert.since, self.alert.score_before);
        let done = std::mem::take(&mut self.alert.done);
        let details = std::mem::take(&mut self.alert.details);
        if one.verdict != Verdict::Unknown {
            let severity = self.alert.severity;
            self.alert = one.alert;
            self.alert.since = since;
            self.alert.score_before = before.or(self.alert.score_before);
            // What is on its way back to good is no less bad for that.
            if one.verdict != Verdict::Bad {
                self.alert.severity = severity;
            }
        }
        let other = self.told.is_some_and(|(_, told)| told != self.alert.severity);
        self.unsaid = other.then(|| self.unsaid.unwrap_or(now));
        // What was done and found out stays with it for as long as it fires.
        (self.alert.done, self.alert.details) = (done, details);
        match (self.phase, one.verdict) {
            (Phase::Pending { .. }, Verdict::Between | Verdict::Good) | (Phase::Over, _) => {
                self.phase = Phase::Over;
            }
            (Phase::Pending { .. }, Verdict::Bad) => self.ripen(thresholds, now),
            (Phase::Firing { .. }, Verdict::Bad | Verdict::Between) => {
                self.phase = Phase::Firing { good_since: None };
            }
            (Phase::Firing { good_since }, Verdict::Good) => {
                let good_since = good_since.unwrap_or(now);
                self.phase = if now.since(good_since) >= thresholds.hold {
                    self.alert.ended = Some(now);
                    Phase::Over
                } else {
                    Phase::Firing { good_since: Some(good_since) }
                };
            }
            (_, Verdict::Unknown) => {}
        }
    }

    /// What lies ahead was written before the clock was set back, and counts as now: or nothing
    /// would be told until the clock is there again.
    fn not_ahead(&mut self, now: Time) {
        match &mut self.phase {
            Phase::Pending { since } | Phase::Firing { good_since: Some(since) } => {
                *since = (*since).min(now);
            }
            Phase::Firing { good_since: None } | Phase::Over => {}
        }
        self.told = self.told.map(|(at, severity)| (at.min(now), severity));
        self.unsaid = self.unsaid.map(|since| since.min(now));
        self.waits = self.waits.map(|since| since.min(now));
    }

    fn ripen(&mut self, thresholds: &Thresholds, now: Time) {
        let Phase::Pending { since } = self.phase else { return };
        if now.since(since) >= thresholds.hold {
            self.phase = Phase::Firing { good_since: None };
            self.alert.since = now;
        }
    }

    fn due(&self, thresholds: &Thresholds, now: Time) -> Option<Occasion> {
        match (self.phase, self.told) {
            (Phase::Pending { .. }, _) | (Phase::Over, None) => None,
            (Phase::Over, Some(_)) => Some(Occasion::Cleared),
            // What is on its way back to good is neither raised nor reminded of.
            (Phase::Firing { good_since: Some(_) }, _) => None,
            (Phase::Firing { .. }, None) => Some(Occasion::Raised),
            (Phase::Firing { .. }, Some((at, _))) if self.is_changed(at, thresholds, now) => {
                Some(Occasion::Changed)
            }
            (Phase::Firing { .. }, Some((at, _))) => {
                thresholds.remind.filter(|after| now.since(at) >= *after)?;
                Some(Occasion::Reminder)
            }
        }
    }

    /// Whether there is something new since it was told. A level that passes again is not told, and
    /// what is found out right after the last telling waits a moment, so that it is one message.
    fn is_changed(&self, told: Time, thresholds: &Thresholds, now: Time) -> bool {
        let lasted = |since: Time| now.since(since) >= thresholds.hold;
        let settled = now.since(told) >= thresholds.hold.min(SETTLE);
        self.unsaid.is_some_and(lasted) || (self.news && settled)
    }

    fn tell(&mut self, occasion: Occasion, now: Time) -> Telling {
        self.told = Some((now, self.alert.severity));
        self.unsaid = None;
        self.waits = None;
        self.tellings += 1;
        self.news = false;
        let (name, cache) = self.alert.key();
        let id = format!("{name}/{cache}/{}/{}", self.alert.since.unix_nanos(), self.tellings);
        Telling { id, occasion, alert: self.alert.clone() }
    }
}

#[cfg(test)]
#[path = "alert_board_tests.rs"]
mod tests;
