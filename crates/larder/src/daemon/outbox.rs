//! Notices that are on their way: kept with the board, so that a kill at any moment loses none and
//! repeats none.
//!
//! A notice is written down in the same transaction as the board that takes it as told, before it
//! is sent; that a message begins to go out, and what became of it, is written down by the thread
//! that sends it. What a kill left unsent is sent after the start. Of a message that was just going
//! out nobody can know whether it arrived: it is sent again where the receiver knows it again by its
//! key, and otherwise told as what it is by then, a reminder of what still fires.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use larder_core::{Alert, Board, Notice, Occasion, Time};
use larder_history::History;
use larder_notify::{Attempt, Delivery, Fate};
use serde::{Deserialize, Serialize};

use super::board_file::AlertLine;

/// Where it is kept in the history.
pub(crate) const KEY: &str = "outbox";
/// So many notices are kept; the oldest goes. All that happens at one time is one notice.
const MOST: usize = 200;
/// The disk is waited for so long, and no longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Shared by whoever tells and the threads that send.
#[derive(Clone)]
pub(crate) struct Outbox {
    entries: Arc<Mutex<Vec<Entry>>>,
    history: Arc<History>,
}

/// A notice and who did not get it yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    id: String,
    occasion: String,
    at: i64,
    host: String,
    alerts: Vec<AlertLine>,
    /// Whether a message to this receiver was going out.
    left: Vec<(String, bool)>,
}

/// A notice that a receiver did not get.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Left {
    pub notice: Notice,
    pub receiver: String,
    /// It may have arrived.
    pub maybe: bool,
}

impl Outbox {
    /// What was left by the last run.
    pub(crate) fn open(history: &Arc<History>) -> Self {
        // What cannot be read is as good as none.
        let text = history.state(KEY).ok().flatten();
        let entries = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        Self { entries: Arc::new(Mutex::new(entries)), history: Arc::clone(history) }
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down that these are about to be told to these receivers, with another state that
    /// takes them as told. They are on the disk afterwards, or the disk does not answer.
    pub(crate) fn put(&self, notices: &[Notice], receivers: &[String], with: (&str, String)) {
        let mut entries = self.entries();
        for notice in notices.iter().filter(|_| !receivers.is_empty()) {
            entries.retain(|entry| entry.id != notice.id);
            entries.push(Entry::new(notice, receivers));
        }
        let over = entries.len().saturating_sub(MOST);
        entries.drain(..over);
        let outbox = (KEY.to_owned(), text(&entries));
        self.history.put_states(vec![(with.0.to_owned(), with.1), outbox]);
        drop(entries);
        self.write();
    }

    /// Nobody but these is to get it.
    pub(crate) fn only(&self, id: &str, receivers: &[String]) {
        self.change(|entry| {
            let wanted = |name: &String| entry.id != id || receivers.contains(name);
            entry.left.retain(|(name, _)| wanted(name));
        });
    }

    /// A message goes out, or came to nothing.
    pub(crate) fn attempt(&self, attempt: Attempt<'_>) {
        self.change(|entry| {
            if !attempt.notices.contains(&entry.id) {
                return;
            }
            let own = entry.left.iter_mut().filter(|(name, _)| name == attempt.receiver);
            own.for_each(|(_, going)| *going = attempt.begins);
        });
        if attempt.begins {
            self.write();
        }
    }

    /// What became of one.
    pub(crate) fn settle(&self, delivery: &Delivery) {
        if delivery.resent || matches!(delivery.fate, Fate::Unsent(_)) {
            return;
        }
        self.forget(&delivery.notice, &delivery.receiver);
        if delivery.fate == Fate::Sent {
            self.write();
        }
    }

    /// This receiver is not to get it any more.
    pub(crate) fn forget(&self, id: &str, receiver: &str) {
        self.change(|entry| entry.left.retain(|(name, _)| entry.id != id || name != receiver));
    }

    /// What is left, the oldest first.
    pub(crate) fn left(&self) -> Vec<Left> {
        let entries = self.entries().clone();
        let of = |entry: Entry| {
            let (left, notice) = (entry.left.clone(), entry.notice());
            let each = left.into_iter();
            each.filter_map(move |(receiver, maybe)| {
                Some(Left { notice: notice.clone()?, receiver, maybe })
            })
        };
        entries.into_iter().flat_map(of).collect()
    }

    fn change(&self, change: impl FnMut(&mut Entry)) {
        let mut entries = self.entries();
        let left = |entries: &[Entry]| entries.iter().map(|e| e.left.clone()).collect::<Vec<_>>();
        let before = left(&entries);
        entries.iter_mut().for_each(change);
        if left(&entries) != before {
            entries.retain(|entry| !entry.left.is_empty());
            // Handed over under the lock, so that the newest is written last.
            self.history.put_states(vec![(KEY.to_owned(), text(&entries))]);
        }
    }

    fn write(&self) {
        // A disk that does not answer holds up no notice; it is an alert of its own.
        let _ = self.history.flush_within(PATIENCE);
    }
}

fn text(entries: &[Entry]) -> String {
    serde_json::to_string(entries).unwrap_or_default()
}

impl Entry {
    fn new(notice: &Notice, receivers: &[String]) -> Self {
        Self {
            id: notice.id.clone(),
            occasion: notice.occasion.name().to_owned(),
            at: notice.at.unix_nanos(),
            host: notice.host.clone(),
            alerts: notice.alerts.iter().map(AlertLine::from).collect(),
            left: receivers.iter().map(|name| (name.clone(), false)).collect(),
        }
    }

    fn notice(self) -> Option<Notice> {
        let all = [
            Occasion::Raised,
            Occasion::Changed,
            Occasion::Reminder,
            Occasion::Cleared,
            Occasion::Report,
        ];
        Some(Notice {
            id: self.id,
            occasion: all.into_iter().find(|one| one.name() == self.occasion)?,
            at: Time::from_unix_nanos(self.at),
            host: self.host,
            alerts: self.alerts.into_iter().map(AlertLine::alert).collect::<Option<_>>()?,
        })
    }
}

/// What of a notice that a receiver did not get is still so.
pub(crate) fn still_true(notice: &Notice, board: &Board) -> Option<Notice> {
    let fires = |alert: &Alert| board.firing().any(|firing| firing.key() == alert.key());
    let mut notice = notice.clone();
    match notice.occasion {
        Occasion::Report | Occasion::Test => {}
        Occasion::Cleared => notice.alerts.retain(|alert| !fires(alert)),
        Occasion::Raised | Occasion::Changed | Occasion::Reminder => notice.alerts.retain(fires),
    }
    (!notice.alerts.is_empty()).then_some(notice)
}

/// As it is told to who may have got it already: a reminder of what still fires, and nothing else
/// a second time.
pub(crate) fn as_reminder(left: &Left) -> Option<Notice> {
    let fires =
        matches!(left.notice.occasion, Occasion::Raised | Occasion::Changed | Occasion::Reminder);
    fires.then(|| Notice {
        id: format!("{} again", left.notice.id),
        occasion: Occasion::Reminder,
        ..left.notice.clone()
    })
}

#[cfg(test)]
mod tests {
    use larder_core::Severity;
    use larder_history::Limits;

    use super::*;

    fn notice(id: &str, occasion: Occasion) -> Notice {
        let alert = Alert {
            name: "RedisCacheUnhealthy".into(),
            cache: "redis:a".into(),
            severity: Severity::Warning,
            since: Time::from_unix(5),
            ended: None,
            score: Some(50.0),
            score_before: None,
            reasons: Vec::new(),
            trend: String::new(),
            command: None,
            frees: None,
            done: Vec::new(),
            details: Vec::new(),
        };
        let (at, host) = (Time::from_unix(9), "h".to_owned());
        Notice { id: id.to_owned(), occasion, at, host, alerts: vec![alert] }
    }

    fn delivery(id: &str, receiver: &str, fate: Fate) -> Delivery {
        Delivery {
            receiver: receiver.to_owned(),
            notice: id.to_owned(),
            occasion: Occasion::Raised,
            alerts: Vec::new(),
            at: Time::from_unix(9),
            attempts: 1,
            took: Duration::ZERO,
            resent: false,
            fate,
        }
    }

    fn open(path: &std::path::Path) -> Arc<History> {
        Arc::new(History::open(path, Limits::default()).unwrap().history)
    }

    /// As a kill would leave it: what another process reads of the file now.
    fn seen(path: &std::path::Path) -> Vec<(String, String, bool)> {
        let left = Outbox::open(&open(path)).left();
        left.into_iter().map(|left| (left.notice.id, left.receiver, left.maybe)).collect()
    }

    #[test]
    fn what_a_kill_leaves_is_known_at_every_step() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("history.db");
        let history = open(&path);
        let outbox = Outbox::open(&history);
        let both = ["a".to_owned(), "b".to_owned()];
        let raised = notice("1", Occasion::Raised);
        outbox.put(std::slice::from_ref(&raised), &both, ("alerts", "board".to_owned()));
        let entry = |receiver: &str, maybe| ("1".to_owned(), receiver.to_owned(), maybe);
        assert_eq!(seen(&path), [entry("a", false), entry("b", false)]);
        assert_eq!(outbox.left()[0].notice, raised);
        let ids = ["1".to_owned()];
        outbox.attempt(Attempt { receiver: "a", notices: &ids, begins: true });
        assert_eq!(seen(&path), [entry("a", true), entry("b", false)]);
        outbox.attempt(Attempt { receiver: "a", notices: &ids, begins: false });
        assert!(!outbox.left()[0].maybe);
        outbox.settle(&delivery("1", "a", Fate::Unsent(None)));
        assert_eq!(outbox.left().len(), 2, "what was not sent is still to be sent");
        outbox.settle(&delivery("1", "a", Fate::Sent));
        assert_eq!(seen(&path), [entry("b", false)]);
        outbox.only("1", &[]);
        assert!(outbox.left().is_empty());
    }

    #[test]
    fn what_is_no_longer_so_is_not_told_and_what_may_have_arrived_is_a_reminder() {
        let none = Board::default();
        assert_eq!(still_true(&notice("1", Occasion::Raised), &none), None);
        assert!(still_true(&notice("1", Occasion::Cleared), &none).is_some());
        assert!(still_true(&notice("1", Occasion::Report), &none).is_some());
        let left =
            |occasion| Left { notice: notice("1", occasion), receiver: "a".into(), maybe: true };
        let again = as_reminder(&left(Occasion::Raised)).unwrap();
        assert_eq!((again.occasion, &*again.id), (Occasion::Reminder, "1 again"));
        assert_eq!(as_reminder(&left(Occasion::Cleared)), None);
        assert_eq!(as_reminder(&left(Occasion::Report)), None);
    }
}
