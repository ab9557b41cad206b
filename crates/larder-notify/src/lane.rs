//! One receiver's thread: takes what waits, keeps to the rate, tries, waits, tries again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use larder_core::{Notice, Occasion};

use crate::attempt::{Attempt, Attempts};
use crate::backoff::{Patience, random};
use crate::bucket::Bucket;
use crate::clock::Clock;
use crate::counts::ReceiverCounts;
use crate::delivery::{Delivery, subjects};
use crate::lane_state::{Fates, State};
use crate::receiver::{Kind, Receiver};
use crate::target::{Base, Letter, Target, open};
use crate::text::{Content, Links};
use crate::trouble::{Again, Trouble};

/// How many notices one message holds at most.
const MOST_GROUPED: usize = 30;

/// What all threads have in common.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) patience: Patience,
    pub(crate) links: Links,
    pub(crate) attempts: Attempts,
    pub(crate) tell: Arc<dyn Fn(Delivery) + Send + Sync>,
}

/// A receiver and its thread, from outside.
pub(crate) struct Lane {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    receiver: Receiver,
    common: Common,
    state: Mutex<State>,
    woken: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, at_most: Duration) -> MutexGuard<'a, State> {
        let waited = self.woken.wait_timeout(state, at_most);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Tells what became of them; no lock is held meanwhile.
    fn tell(&self, fates: Fates, took: Duration) {
        for (item, fate) in fates {
            (self.common.tell)(Delivery {
                receiver: self.receiver.name.clone(),
                alerts: subjects(&item.notice),
                occasion: item.notice.occasion,
                notice: item.notice.id,
                at: self.common.clock.now(),
                attempts: item.attempts,
                took: if item.attempts == 0 { Duration::ZERO } else { took },
                resent: item.resend,
                fate,
            });
        }
    }
}

impl Lane {
    pub(crate) fn start(receiver: Receiver, common: Common, state: State) -> std::io::Result<Self> {
        let shared =
            Arc::new(Shared { receiver, common, state: Mutex::new(state), woken: Condvar::new() });
        let worker = Worker::new(Arc::clone(&shared));
        let name = format!("notify-{}", shared.receiver.name);
        let thread = std::thread::Builder::new().name(name).spawn(move || worker.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    pub(crate) fn receiver(&self) -> &Receiver {
        &self.shared.receiver
    }

    /// Whether the receiver is to get it.
    pub(crate) fn push(&self, notice: Notice, resend: bool) -> bool {
        // These know incidents only, and that something was done is none.
        let incidents = matches!(self.shared.receiver.kind, Kind::Alertmanager | Kind::Pagerduty);
        if notice.occasion == Occasion::Report && incidents {
            return false;
        }
        let at_least = self.shared.receiver.at_least;
        let Some(fates) = self.shared.state().push(notice, resend, at_least) else { return false };
        self.shared.woken.notify_all();
        self.shared.tell(fates, Duration::ZERO);
        true
    }

    pub(crate) fn counts(&self) -> ReceiverCounts {
        let state = self.shared.state();
        let totals = state.totals;
        ReceiverCounts {
            receiver: self.shared.receiver.name.clone(),
            kind: self.shared.receiver.kind,
            sent: totals.sent,
            failed: totals.failed,
            dropped: totals.dropped,
            replaced: totals.replaced,
            retried: totals.retried,
            queued: state.queue.len() + state.in_flight.len(),
        }
    }

    /// Asks the thread to send what it can and end.
    pub(crate) fn begin_stop(&self, deadline: Instant) {
        self.shared.state().stop = Some(deadline);
        self.shared.woken.notify_all();
    }

    /// Waits for that; what is left at the deadline is given up. How many were.
    pub(crate) fn finish_stop(&mut self, deadline: Instant) -> usize {
        let mut state = self.shared.state();
        while !state.over {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.shared.wait(state, left);
        }
        let ended = state.over;
        let left = state.abandon();
        drop(state);
        let count = left.len();
        self.shared.tell(left, Duration::ZERO);
        // One that hangs ends by itself when its attempt does.
        if let Some(thread) = self.thread.take().filter(|_| ended) {
            let _ = thread.join();
        }
        count
    }
}

struct Worker {
    shared: Arc<Shared>,
    target: Box<dyn Target>,
    bucket: Bucket,
    /// Failures in a row.
    failures: u32,
    /// No attempt before that, as the clock tells it.
    not_before: Duration,
}

/// One message to be.
struct Batch {
    notices: Vec<Notice>,
    /// Of those that are not only sent again.
    ids: Vec<String>,
    missed: u64,
    timeout: Duration,
}

impl Worker {
    fn new(shared: Arc<Shared>) -> Self {
        let receiver = shared.receiver.clone();
        let rate = receiver.rate.unwrap_or_else(|| receiver.kind.rate());
        let bucket = Bucket::new(rate, shared.common.clock.elapsed());
        let target = open(Base { receiver, links: shared.common.links.clone() });
        Self { shared, target, bucket, failures: 0, not_before: Duration::ZERO }
    }

    fn run(mut self) {
        while let Some(batch) = self.next() {
            self.tell_attempt(&batch, true);
            let started = Instant::now();
            let result = self.attempt(&batch);
            let took = started.elapsed();
            let fates = self.settle(&batch, &result);
            if result.is_err() {
                self.tell_attempt(&batch, false);
            }
            self.shared.tell(fates, took);
        }
    }

    /// Waits until something may be sent; `None` when it is time to end.
    fn next(&mut self) -> Option<Batch> {
        let shared = Arc::clone(&self.shared);
        let clock = &shared.common.clock;
        let mut state = shared.state();
        loop {
            let left = state.stop.map(|stop| stop.saturating_duration_since(Instant::now()));
            if state.over || left.is_some_and(|left| left.is_zero() || state.queue.len() == 0) {
                // The rest, if any, is told by who stops us.
                state.over = true;
                shared.woken.notify_all();
                return None;
            }
            if state.queue.len() == 0 {
                state = shared.woken.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let now = clock.elapsed();
            // Who is to stop has no time for pauses, but keeps to the rate.
            let pause = match left {
                None => self.not_before.saturating_sub(now),
                Some(_) => Duration::ZERO,
            };
            let wait = clock.real(pause.max(self.bucket.wait(now)));
            if wait.is_zero() {
                return Some(self.take(&mut state, left));
            }
            state = shared.wait(state, left.map_or(wait, |left| left.min(wait)));
        }
    }

    fn take(&mut self, state: &mut State, left: Option<Duration>) -> Batch {
        let tokens = self.bucket.tokens(self.shared.common.clock.elapsed());
        // Where the rate does not suffice for all that waits, one message tells all of it.
        let crowded = self.target.groups() && tokens < state.queue.len();
        let items = state.queue.take(if crowded { MOST_GROUPED } else { 1 });
        self.bucket.take();
        let timeout = self.shared.receiver.timeout;
        let batch = Batch {
            notices: items.iter().map(|item| item.notice.clone()).collect(),
            ids: items.iter().filter(|i| !i.resend).map(|i| i.notice.id.clone()).collect(),
            missed: state.missed,
            timeout: left.map_or(timeout, |left| left.min(timeout)),
        };
        state.in_flight = items;
        batch
    }

    fn tell_attempt(&self, batch: &Batch, begins: bool) {
        let receiver = &self.shared.receiver.name;
        self.shared.common.attempts.tell(Attempt { receiver, notices: &batch.ids, begins });
    }

    fn attempt(&mut self, batch: &Batch) -> Result<(), Trouble> {
        let letter = Letter {
            content: Content { notices: &batch.notices, missed: batch.missed },
            now: self.shared.common.clock.now(),
            timeout: batch.timeout,
        };
        // A fault of ours in one target must not end its thread without a word.
        catch_unwind(AssertUnwindSafe(|| self.target.send(letter)))
            .unwrap_or_else(|_| Err(Trouble::never("larder failed at it, which is a fault of its")))
    }

    fn settle(&mut self, batch: &Batch, result: &Result<(), Trouble>) -> Fates {
        let common = &self.shared.common;
        let mut state = self.shared.state();
        if state.over {
            // It was given up, and that was told.
            return Vec::new();
        }
        let trouble = match result {
            Ok(()) => {
                self.failures = 0;
                self.not_before = Duration::ZERO;
                return state.sent(batch.missed);
            }
            Err(trouble) => trouble,
        };
        if trouble.again != Again::Never {
            self.failures = self.failures.saturating_add(1);
            let asked = match trouble.again {
                Again::After(wait) => wait,
                _ => Duration::ZERO,
            };
            let pause = common.patience.pause(self.failures, random()).max(asked);
            self.not_before = common.clock.elapsed() + pause;
        }
        state.failed(trouble, common.patience.tries)
    }
}
