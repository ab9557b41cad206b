//! What waits for one receiver.
//!
//! Promises: never more than so many; of one alert only the newest occasion waits; the oldest goes
//! when there is no room. Nothing is lost without being handed back.

use std::collections::VecDeque;

use larder_core::{Notice, Occasion};

/// A notice that waits.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) notice: Notice,
    /// How often it was tried.
    pub(crate) attempts: u32,
    /// To be sent by itself: the message that it was part of was refused.
    pub(crate) alone: bool,
    /// Only keeps firing alerts alive.
    pub(crate) resend: bool,
}

impl Item {
    pub(crate) fn new(notice: Notice, resend: bool) -> Self {
        Self { notice, attempts: 0, alone: false, resend }
    }

    fn is_test(&self) -> bool {
        self.notice.occasion == Occasion::Test
    }

    /// Takes out of `self` what `newer` says something newer about; whether nothing is left.
    fn yields_to(&mut self, newer: &Self) -> bool {
        // A renewal tells nothing new, but takes the place of the renewal before it.
        let applies = !self.is_test()
            && !newer.is_test()
            && self.notice.host == newer.notice.host
            && (self.resend || !newer.resend);
        if applies && !self.notice.alerts.is_empty() {
            let known = |alert: &larder_core::Alert| {
                newer.notice.alerts.iter().any(|other| other.key() == alert.key())
            };
            let left = self.notice.alerts.iter().filter(|alert| !known(alert)).count();
            if left == 0 {
                return true;
            }
            self.notice.alerts.retain(|alert| !known(alert));
        }
        false
    }
}

/// What had to go.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    /// Something newer took its place.
    pub(crate) replaced: Vec<Item>,
    /// There was no room.
    pub(crate) dropped: Vec<Item>,
}

#[derive(Debug)]
pub(crate) struct Queue {
    items: VecDeque<Item>,
    most: usize,
}

impl Queue {
    /// At most `most` items, at least one.
    pub(crate) fn new(most: usize) -> Self {
        Self { items: VecDeque::new(), most: most.max(1) }
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn holds(&self, id: &str) -> bool {
        self.items.iter().any(|item| item.notice.id == id)
    }

    /// Puts a notice at the end.
    pub(crate) fn push(&mut self, item: Item) -> Gone {
        let mut gone = Gone::default();
        let waiting = std::mem::take(&mut self.items);
        for mut waiting in waiting {
            if waiting.yields_to(&item) {
                gone.replaced.push(waiting);
            } else {
                self.items.push_back(waiting);
            }
        }
        self.items.push_back(item);
        self.make_room(&mut gone);
        gone
    }

    /// Puts notices that were not sent back to the front, in their order.
    pub(crate) fn put_back(&mut self, items: Vec<Item>) -> Gone {
        let mut gone = Gone::default();
        for mut item in items.into_iter().rev() {
            // All that waits came later.
            if self.items.iter().any(|newer| item.yields_to(newer)) {
                gone.replaced.push(item);
            } else {
                self.items.push_front(item);
            }
        }
        self.make_room(&mut gone);
        gone
    }

    /// Takes up to `most` for one message.
    pub(crate) fn take(&mut self, most: usize) -> Vec<Item> {
        let mut taken = Vec::new();
        while taken.len() < most.max(1) {
            match self.items.pop_front() {
                Some(item) if item.alone && !taken.is_empty() => {
                    self.items.push_front(item);
                    break;
                }
                Some(item) => {
                    let alone = item.alone;
                    taken.push(item);
                    if alone {
                        break;
                    }
                }
                None => break,
            }
        }
        taken
    }

    /// All that waits.
    pub(crate) fn drain(&mut self) -> Vec<Item> {
        self.items.drain(..).collect()
    }

    fn make_room(&mut self, gone: &mut Gone) {
        while self.items.len() > self.most {
            gone.dropped.extend(self.items.pop_front());
        }
    }
}

#[cfg(test)]
mod tests {
    use larder_core::Time;

    use super::*;
    use crate::test_notice::test_notice;

    fn item(id: &str, caches: &[&str], occasion: Occasion) -> Item {
        let mut notice = test_notice("h", Time::from_unix(0));
        let alert = notice.alerts.remove(0);
        notice.id = id.to_owned();
        notice.occasion = occasion;
        let of = |cache: &&str| {
            let cache = (*cache).to_owned();
            larder_core::Alert { name: "A".to_owned(), cache, ..alert.clone() }
        };
        notice.alerts = caches.iter().map(of).collect();
        Item::new(notice, false)
    }

    fn ids(items: &[Item]) -> Vec<&str> {
        items.iter().map(|item| item.notice.id.as_str()).collect()
    }

    #[test]
    fn the_newest_occasion_of_an_alert_waits() {
        let mut queue = Queue::new(10);
        queue.push(item("1", &["a", "b"], Occasion::Raised));
        queue.push(item("2", &["c"], Occasion::Raised));
        let gone = queue.push(item("3", &["a"], Occasion::Cleared));
        assert!(gone.replaced.is_empty(), "b is still to be told");
        let gone = queue.push(item("4", &["b"], Occasion::Reminder));
        assert_eq!(ids(&gone.replaced), ["1"]);
        let test = item("5", &["b"], Occasion::Test);
        assert!(queue.push(test).replaced.is_empty(), "a test replaces nothing");
        assert_eq!(ids(&queue.take(9)), ["2", "3", "4", "5"]);
    }

    #[test]
    fn the_oldest_goes_when_there_is_no_room() {
        let mut queue = Queue::new(2);
        queue.push(item("1", &["a"], Occasion::Raised));
        queue.push(item("2", &["b"], Occasion::Raised));
        let gone = queue.push(item("3", &["c"], Occasion::Raised));
        assert_eq!(ids(&gone.dropped), ["1"]);
        assert_eq!(queue.len(), 2);
        assert!(queue.holds("3") && !queue.holds("1"));
        let gone = queue.put_back(vec![item("0", &["z"], Occasion::Raised)]);
        assert_eq!(ids(&gone.dropped), ["0"]);
    }

    #[test]
    fn what_comes_back_makes_way_for_what_is_newer() {
        let mut queue = Queue::new(10);
        let taken = [item("1", &["a"], Occasion::Raised), item("2", &["b"], Occasion::Raised)];
        queue.push(item("3", &["a"], Occasion::Cleared));
        let gone = queue.put_back(taken.to_vec());
        assert_eq!(ids(&gone.replaced), ["1"]);
        assert_eq!(ids(&queue.take(9)), ["2", "3"]);
    }

    #[test]
    fn a_renewal_replaces_only_a_renewal() {
        let mut queue = Queue::new(10);
        queue.push(item("1", &["a"], Occasion::Cleared));
        let mut renewal = item("2", &["a"], Occasion::Reminder);
        renewal.resend = true;
        assert!(queue.push(renewal.clone()).replaced.is_empty());
        renewal.notice.id = "3".to_owned();
        assert_eq!(ids(&queue.push(renewal).replaced), ["2"]);
    }

    #[test]
    fn what_is_alone_stays_alone() {
        let mut queue = Queue::new(10);
        queue.push(item("1", &["a"], Occasion::Raised));
        let mut alone = item("2", &["b"], Occasion::Raised);
        alone.alone = true;
        queue.push(alone);
        queue.push(item("3", &["c"], Occasion::Raised));
        assert_eq!(ids(&queue.take(9)), ["1"]);
        assert_eq!(ids(&queue.take(9)), ["2"]);
        assert_eq!(ids(&queue.take(9)), ["3"]);
    }
}
