//! Takes notices and hands them to the receivers' threads.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use larder_core::Notice;

use crate::attempt::Attempts;
use crate::backoff::Patience;
use crate::clock::{Clock, SystemClock};
use crate::counts::ReceiverCounts;
use crate::delivery::Delivery;
use crate::lane::{Common, Lane};
use crate::lane_state::State;
use crate::receiver::{BadReceiver, Kind, Receiver};
use crate::text::Links;

/// How all receivers are treated.
#[derive(Clone)]
pub struct Options {
    /// How many notices may wait for one receiver; at least one.
    pub queue: usize,
    /// How failures are treated.
    pub patience: Patience,
    /// Where links lead.
    pub links: Links,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Hears of each attempt, from the thread of its receiver, which it holds up.
    pub attempts: Attempts,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue: 1000,
            patience: Patience::default(),
            links: Links::default(),
            clock: Arc::new(SystemClock::default()),
            attempts: Attempts::default(),
        }
    }
}

/// Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Settings that cannot work, all of them.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Settings(Vec<BadReceiver>),
    /// The system gave no thread.
    #[error("no thread for notify.{0}: {1}")]
    Thread(String, #[source] io::Error),
}

/// A thread and a queue for each receiver. Dropped without [`Dispatcher::stop`], it gives up what
/// waits.
pub struct Dispatcher {
    lanes: Vec<Lane>,
}

impl Dispatcher {
    /// Starts the threads.
    ///
    /// `delivered` are pairs of receiver and notice id that were delivered before, so that they
    /// are not sent again. `tell` gets every [`Delivery`], from the thread of its receiver or of
    /// who sends; what it takes long for, it should hand on.
    pub fn start(
        receivers: Vec<Receiver>,
        options: &Options,
        delivered: &[(String, String)],
        tell: impl Fn(Delivery) + Send + Sync + 'static,
    ) -> Result<Self, StartError> {
        let bad = check_all(&receivers);
        if !bad.is_empty() {
            return Err(StartError::Settings(bad));
        }
        let common = Common {
            clock: Arc::clone(&options.clock),
            patience: options.patience,
            links: options.links.clone(),
            attempts: options.attempts.clone(),
            tell: Arc::new(tell),
        };
        let mut lanes = Vec::new();
        for receiver in receivers {
            let name = receiver.name.clone();
            let known = delivered.iter().filter(|(to, _)| *to == name).map(|(_, id)| id.clone());
            let state = State::new(options.queue, known);
            let lane = Lane::start(receiver, common.clone(), state);
            lanes.push(lane.map_err(|error| StartError::Thread(name, error))?);
        }
        Ok(Self { lanes })
    }

    /// Tells every receiver that the notice is bad enough for; the names of those that are to get
    /// it. Returns at once.
    pub fn send(&self, notice: &Notice) -> Vec<String> {
        let wanted = self.lanes.iter().filter(|lane| lane.push(notice.clone(), false));
        wanted.map(|lane| lane.receiver().name.clone()).collect()
    }

    /// Tells one receiver; whether it is to get it. Returns at once.
    pub fn send_to(&self, receiver: &str, notice: &Notice) -> bool {
        let lane = self.lanes.iter().find(|lane| lane.receiver().name == receiver);
        lane.is_some_and(|lane| lane.push(notice.clone(), false))
    }

    /// Sends all that fires to the Alertmanagers again, which would take it for over otherwise:
    /// every minute or two, more often than their `resolve_timeout` (five minutes by default). It
    /// is not held against what was delivered. Returns at once.
    pub fn resend(&self, firing: &Notice) {
        let keeps = |lane: &&Lane| lane.receiver().kind == Kind::Alertmanager;
        for lane in self.lanes.iter().filter(keeps) {
            lane.push(firing.clone(), true);
        }
    }

    /// Counters, in the order of the receivers.
    pub fn counts(&self) -> Vec<ReceiverCounts> {
        self.lanes.iter().map(Lane::counts).collect()
    }

    /// Sends what can be sent within that time, each notice once more at most, and ends. How many
    /// notices were left; each was told as [`crate::Fate::Unsent`].
    pub fn stop(mut self, within: Duration) -> usize {
        self.halt(within)
    }

    fn halt(&mut self, within: Duration) -> usize {
        let deadline = Instant::now() + within;
        self.lanes.iter().for_each(|lane| lane.begin_stop(deadline));
        self.lanes.drain(..).map(|mut lane| lane.finish_stop(deadline)).sum()
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        self.halt(Duration::ZERO);
    }
}

fn check_all(receivers: &[Receiver]) -> Vec<BadReceiver> {
    let mut names = HashSet::new();
    let mut bad: Vec<BadReceiver> = receivers.iter().flat_map(Receiver::check).collect();
    for receiver in receivers {
        if !names.insert(&receiver.name) {
            let (name, why) = (receiver.name.clone(), "there are two of that name".to_owned());
            bad.push(BadReceiver { name, setting: "kind", why });
        }
    }
    bad
}
