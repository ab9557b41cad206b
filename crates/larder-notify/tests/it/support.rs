//! Alerts, clocks, and a dispatcher whose deliveries are collected.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver as Incoming, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use larder_core::{Alert, Notice, Occasion, Reason, Severity, Time};
use larder_notify::{
    Address, Clock, Delivery, Dispatcher, Kind, Options, Patience, Rate, Receiver, Secret,
};
use tempfile::TempDir;

/// When everything happens.
pub(crate) const NOW: i64 = 1_700_000_000;
/// How long anything may take before a test fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn alert(cache: &str) -> Alert {
    let reason = |id: &str, lost, text: &str| Reason { id: id.into(), lost, text: text.into() };
    Alert {
        name: "RedisCacheUnhealthy".to_owned(),
        cache: cache.to_owned(),
        severity: Severity::Warning,
        since: Time::from_unix(NOW - 120),
        ended: None,
        score: Some(77.1),
        score_before: Some(92.0),
        reasons: vec![
            reason("memory", Some(16.0), "1.6 of 2.0 GB"),
            reason(
                "latency",
                Some(2.4),
                "KEYS report:* from @everyone <!channel> [x](http://e.test)",
            ),
        ],
        trend: "+41 MB/h, full in 3 to 5 days".to_owned(),
        command: Some(format!("larder clean {cache} --match 'temp:*' -n")),
        frees: Some(318_000_000),
        done: vec!["user batch limited until 14:32 (larder unthrottle redis:a --all)".to_owned()],
        details: vec!["temp:import 210 MB".to_owned()],
    }
}

pub(crate) fn notice(id: &str, cache: &str, occasion: Occasion) -> Notice {
    Notice {
        id: id.to_owned(),
        occasion,
        at: Time::from_unix(NOW),
        host: "web-1".to_owned(),
        alerts: vec![alert(cache)],
    }
}

pub(crate) fn receiver(name: &str, kind: Kind, url: &str) -> Receiver {
    Receiver {
        address: Some(Address::Url(Secret::new(url))),
        rate: Some(Rate::Unlimited),
        ..Receiver::new(name, kind)
    }
}

/// A file that holds `text`; it lies there as long as the tests run.
pub(crate) fn secret_file(text: &str) -> PathBuf {
    static DIR: OnceLock<TempDir> = OnceLock::new();
    let dir = DIR.get_or_init(|| tempfile::tempdir().unwrap());
    let path = dir.path().join(format!("{:x}", unique(text)));
    fs::write(&path, format!("{text}\n")).unwrap();
    path
}

fn unique(text: &str) -> u64 {
    use std::hash::BuildHasher as _;
    std::hash::RandomState::new().hash_one(text)
}

/// A clock that stands at [`NOW`] and runs so many times faster.
pub(crate) struct FastClock {
    start: Instant,
    factor: u32,
}

impl FastClock {
    pub(crate) fn new(factor: u32) -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), factor })
    }
}

impl Clock for FastClock {
    fn now(&self) -> Time {
        Time::from_unix(NOW).plus(self.elapsed())
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed() * self.factor
    }

    fn real(&self, span: Duration) -> Duration {
        span / self.factor
    }
}

/// A clock whose time of day stands still.
pub(crate) struct StillClock(Instant);

impl Clock for StillClock {
    fn now(&self) -> Time {
        Time::from_unix(NOW)
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Short pauses, five tries, a time of day that stands still.
pub(crate) fn quick() -> Options {
    let first = Duration::from_millis(1);
    Options {
        patience: Patience { first, longest: first * 10, tries: 5 },
        clock: Arc::new(StillClock(Instant::now())),
        ..Options::default()
    }
}

/// A dispatcher and what it tells.
pub(crate) struct Running {
    pub(crate) dispatcher: Dispatcher,
    told: Incoming<Delivery>,
}

impl Running {
    pub(crate) fn start(receivers: Vec<Receiver>, options: &Options) -> Self {
        Self::after(receivers, options, &[])
    }

    pub(crate) fn after(
        receivers: Vec<Receiver>,
        options: &Options,
        delivered: &[(String, String)],
    ) -> Self {
        let (tell, told) = channel();
        let tell = move |delivery| drop(tell.send(delivery));
        let dispatcher = Dispatcher::start(receivers, options, delivered, tell).unwrap();
        Self { dispatcher, told }
    }

    /// The next delivery.
    pub(crate) fn next(&self) -> Delivery {
        self.told.recv_timeout(LIMIT).expect("a delivery")
    }

    /// So many deliveries.
    pub(crate) fn some(&self, count: usize) -> Vec<Delivery> {
        (0..count).map(|_| self.next()).collect()
    }

    /// Stops and gives what was told meanwhile.
    pub(crate) fn stop(self, within: Duration) -> (usize, Vec<Delivery>) {
        let left = self.dispatcher.stop(within);
        (left, self.told.try_iter().collect())
    }
}

/// Sends one notice to one receiver and gives its delivery.
pub(crate) fn deliver(receiver: Receiver, notice: &Notice) -> Delivery {
    let running = Running::start(vec![receiver], &quick());
    running.dispatcher.send(notice);
    running.next()
}

/// Waits for a condition.
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
