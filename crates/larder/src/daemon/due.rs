//! Schedules with their last runs, and what was begun already.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use jiff::tz::TimeZone;
use larder_core::Time;
use larder_engine::schedule::{Cron, Due};

use super::base::Base;
use super::record::Recorder;

/// What is due when.
pub(crate) struct Dues {
    prune: Option<Due>,
    verify: Option<Due>,
    download: Option<Due>,
    /// Plans that were handed out to be applied.
    begun: BTreeSet<String>,
}

impl Dues {
    /// By the settings as they are.
    pub(crate) fn new(base: &Base<'_>, recorder: &Recorder<'_>) -> Self {
        let schedule = base.settings().daemon.schedule;
        let now = larder_fs::now();
        // The same machine spreads its runs in the same way each day.
        let mut hasher = DefaultHasher::new();
        recorder.host().hash(&mut hasher);
        let seed = hasher.finish();
        let due = |name: &str, cron: Option<Cron>| {
            let last = recorder.state(&key(name)).and_then(|text| text.parse().ok());
            let last = last.map(Time::from_unix_nanos);
            if last.is_none() {
                // What never ran missed nothing yet.
                recorder.keep(&key(name), now.unix_nanos().to_string());
            }
            cron.map(|cron| Due::new(cron, TimeZone::system(), seed, last, now, schedule.make_up))
        };
        Self {
            prune: due("prune", schedule.prune),
            verify: due("verify", schedule.verify),
            download: due("download", schedule.download),
            begun: BTreeSet::new(),
        }
    }

    /// Whether caches are to be pruned now.
    pub(crate) fn prune(&mut self, now: Time, recorder: &Recorder<'_>) -> bool {
        take(&mut self.prune, "prune", now, recorder)
    }

    /// Whether caches are to be verified now.
    pub(crate) fn verify(&mut self, now: Time, recorder: &Recorder<'_>) -> bool {
        take(&mut self.verify, "verify", now, recorder)
    }

    /// Whether what the roots need is to be fetched now.
    pub(crate) fn download(&mut self, now: Time, recorder: &Recorder<'_>) -> bool {
        take(&mut self.download, "download", now, recorder)
    }

    /// Whether a plan was not handed out yet; it is from now on.
    pub(crate) fn begin(&mut self, id: &str) -> bool {
        self.begun.insert(id.to_owned())
    }

    /// Whether a plan was handed out.
    pub(crate) fn has_begun(&self, id: &str) -> bool {
        self.begun.contains(id)
    }

    /// A plan had to wait for another larder, and is handed out again. No other is: one whose file
    /// cannot be removed would be applied without end.
    pub(crate) fn again(&mut self, id: &str) {
        self.begun.remove(id);
    }

    /// The same dues by new settings; what was handed out stays handed out.
    pub(crate) fn renewed(&mut self, base: &Base<'_>, recorder: &Recorder<'_>) -> Self {
        Self { begun: std::mem::take(&mut self.begun), ..Self::new(base, recorder) }
    }
}

fn key(name: &str) -> String {
    format!("last-{name}")
}

fn take(due: &mut Option<Due>, name: &str, now: Time, recorder: &Recorder<'_>) -> bool {
    let is_due = due.as_mut().is_some_and(|due| due.take(now));
    if is_due {
        recorder.keep(&key(name), now.unix_nanos().to_string());
    }
    is_due
}
