//! What one receiver's thread and those who hand it notices share, and how it changes.
//!
//! Promises: every notice that was let in has one fate, and it is told once.

use std::collections::{HashSet, VecDeque};
use std::time::Instant;

use larder_core::{Notice, Occasion, Severity};

use crate::delivery::Fate;
use crate::queue::{Gone, Item, Queue};
use crate::trouble::{Again, Trouble};

/// How many delivered ids are remembered.
const REMEMBERED: usize = 10_000;

/// Notices whose fate is known.
pub(crate) type Fates = Vec<(Item, Fate)>;

/// Totals since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) sent: u64,
    pub(crate) failed: u64,
    pub(crate) dropped: u64,
    pub(crate) replaced: u64,
    pub(crate) retried: u64,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) queue: Queue,
    /// What the thread is sending.
    pub(crate) in_flight: Vec<Item>,
    pub(crate) totals: Totals,
    /// Notices dropped since the last message that told of it.
    pub(crate) missed: u64,
    /// When to have stopped.
    pub(crate) stop: Option<Instant>,
    /// Nobody sends any more.
    pub(crate) over: bool,
    delivered: Remembered,
    /// Alerts that were let in while they fire: what becomes of them is told however mild it is.
    firing: HashSet<(String, String)>,
}

impl State {
    pub(crate) fn new(most: usize, delivered: impl Iterator<Item = String>) -> Self {
        let mut remembered = Remembered::default();
        delivered.for_each(|id| remembered.add(id));
        Self {
            queue: Queue::new(most),
            in_flight: Vec::new(),
            totals: Totals::default(),
            missed: 0,
            stop: None,
            over: false,
            delivered: remembered,
            firing: HashSet::new(),
        }
    }

    /// Lets a notice in, where it is bad enough and not known already; what had to go for it.
    pub(crate) fn push(
        &mut self,
        notice: Notice,
        resend: bool,
        at_least: Severity,
    ) -> Option<Fates> {
        let id = notice.id.as_str();
        let known = self.delivered.has(id)
            || self.queue.holds(id)
            || self.in_flight.iter().any(|item| item.notice.id == id);
        if self.over || (known && !resend) {
            return None;
        }
        let notice = self.wanted(notice, at_least)?;
        let gone = self.queue.push(Item::new(notice, resend));
        Some(self.gone(gone))
    }

    /// The alerts of a notice that this receiver is to hear of.
    fn wanted(&mut self, mut notice: Notice, at_least: Severity) -> Option<Notice> {
        if notice.occasion != Occasion::Test {
            notice.alerts.retain(|alert| {
                let (name, cache) = alert.key();
                let key = (name.to_owned(), cache.to_owned());
                let was_told = self.firing.contains(&key);
                let wanted = alert.severity >= at_least || was_told;
                if notice.occasion == Occasion::Cleared {
                    self.firing.remove(&key);
                } else if wanted && notice.occasion != Occasion::Report {
                    self.firing.insert(key);
                }
                wanted
            });
        }
        (!notice.alerts.is_empty()).then_some(notice)
    }

    /// The message arrived.
    pub(crate) fn sent(&mut self, told_missed: u64) -> Fates {
        self.missed = self.missed.saturating_sub(told_missed);
        let items = std::mem::take(&mut self.in_flight);
        self.totals.sent += items.len() as u64;
        let mut fates = Vec::new();
        for mut item in items {
            item.attempts += 1;
            self.delivered.add(item.notice.id.clone());
            fates.push((item, Fate::Sent));
        }
        fates
    }

    /// It did not. What may still arrive goes back to the front of the queue.
    pub(crate) fn failed(&mut self, trouble: &Trouble, tries: u32) -> Fates {
        let mut items = std::mem::take(&mut self.in_flight);
        // What a group was refused for may be the matter of one alone.
        let apart = items.len() > 1 && trouble.again == Again::Never;
        let mut fates = Vec::new();
        let mut back = Vec::new();
        for mut item in items.drain(..) {
            item.attempts += 1;
            item.alone |= apart;
            if apart || (trouble.again != Again::Never && item.attempts < tries) {
                back.push(item);
            } else {
                self.totals.failed += 1;
                fates.push((item, Fate::Failed(trouble.why.clone())));
            }
        }
        if self.stop.is_some() && !apart {
            // There is no time to wait for another try.
            back.extend(self.queue.drain());
            let why = Some(trouble.why.clone());
            fates.extend(back.into_iter().map(|item| {
                let why = why.clone().filter(|_| item.attempts > 0);
                (item, Fate::Unsent(why))
            }));
            return fates;
        }
        self.totals.retried += u64::from(!back.is_empty());
        let gone = self.queue.put_back(back);
        fates.extend(self.gone(gone));
        fates
    }

    /// Nobody sends the rest any more.
    pub(crate) fn abandon(&mut self) -> Fates {
        self.over = true;
        let mut left = std::mem::take(&mut self.in_flight);
        left.extend(self.queue.drain());
        left.into_iter().map(|item| (item, Fate::Unsent(None))).collect()
    }

    fn gone(&mut self, gone: Gone) -> Fates {
        self.totals.replaced += gone.replaced.len() as u64;
        self.totals.dropped += gone.dropped.len() as u64;
        self.missed += gone.dropped.len() as u64;
        let replaced = gone.replaced.into_iter().map(|item| (item, Fate::Replaced));
        replaced.chain(gone.dropped.into_iter().map(|item| (item, Fate::Dropped))).collect()
    }
}

/// The newest ids, so many at most.
#[derive(Debug, Default)]
struct Remembered {
    known: HashSet<String>,
    order: VecDeque<String>,
}

impl Remembered {
    fn add(&mut self, id: String) {
        if self.known.insert(id.clone()) {
            self.order.push_back(id);
        }
        while self.order.len() > REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }

    fn has(&self, id: &str) -> bool {
        self.known.contains(id)
    }
}

#[cfg(test)]
mod tests {
    use larder_core::Time;

    use super::*;
    use crate::test_notice::test_notice;

    fn notice(id: &str, occasion: Occasion, severity: Severity) -> Notice {
        let mut notice = test_notice("h", Time::from_unix(0));
        notice.id = id.to_owned();
        notice.occasion = occasion;
        notice.alerts[0].severity = severity;
        notice
    }

    fn state() -> State {
        State::new(10, std::iter::empty())
    }

    #[test]
    fn what_was_told_of_is_told_to_the_end() {
        let mut state = state();
        let mut push = |id, occasion, severity| {
            state.push(notice(id, occasion, severity), false, Severity::Critical);
            state.queue.drain().len()
        };
        assert_eq!(push("0", Occasion::Raised, Severity::Warning), 0);
        assert_eq!(push("1", Occasion::Raised, Severity::Critical), 1);
        assert_eq!(push("2", Occasion::Changed, Severity::Warning), 1);
        assert_eq!(push("3", Occasion::Cleared, Severity::Info), 1);
        assert_eq!(push("4", Occasion::Raised, Severity::Warning), 0);
        assert_eq!(push("5", Occasion::Test, Severity::Info), 1);
    }

    #[test]
    fn nothing_is_told_twice() {
        let mut state = State::new(10, std::iter::once("before".to_owned()));
        let raised = |id| notice(id, Occasion::Raised, Severity::Warning);
        state.push(raised("before"), false, Severity::Info);
        assert_eq!(state.queue.len(), 0);
        state.push(raised("1"), false, Severity::Info);
        state.in_flight = state.queue.take(1);
        state.push(raised("1"), false, Severity::Info);
        assert_eq!(state.queue.len(), 0);
        state.sent(0);
        state.push(raised("1"), false, Severity::Info);
        assert_eq!(state.queue.len(), 0);
        state.push(raised("1"), true, Severity::Info);
        assert_eq!(state.queue.len(), 1, "but a renewal is");
    }

    #[test]
    fn a_refused_group_is_tried_one_by_one() {
        let mut state = state();
        for (id, cache) in [("1", "a"), ("2", "b")] {
            let mut notice = notice(id, Occasion::Raised, Severity::Warning);
            notice.alerts[0].cache = cache.to_owned();
            state.push(notice, false, Severity::Info);
        }
        state.in_flight = state.queue.take(9);
        assert_eq!(state.in_flight.len(), 2);
        assert!(state.failed(&Trouble::never("no"), 20).is_empty());
        state.in_flight = state.queue.take(9);
        assert_eq!(state.in_flight.len(), 1);
        let fates = state.failed(&Trouble::never("no"), 20);
        assert_eq!(fates[0].1, Fate::Failed("no".to_owned()));
        assert_eq!(state.queue.len(), 1);
    }

    #[test]
    fn the_oldest_ids_are_forgotten() {
        let mut remembered = Remembered::default();
        (0..=REMEMBERED).for_each(|id| remembered.add(id.to_string()));
        assert!(!remembered.has("0") && remembered.has("1"));
    }
}
