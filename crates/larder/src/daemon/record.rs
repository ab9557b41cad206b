//! What happened, told to everybody who wants to know: the history, the log, listeners on HTTP.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use larder_core::{Event, Sample, Severity};
use larder_history::{History, KeptEvent, Limits};
use larder_server::{Events, HistoryState, StreamEvent};

use super::base::Base;
use super::log::Log;
use crate::exit::{CliError, Exit};
use crate::history_open;
use crate::settings_history::HistoryKind;
use crate::wire_events::WireEvent;

/// Events that listeners who come back can still get.
const KEPT: usize = 1000;

/// Notices whose run is known, for when it is heard what became of them.
const FOLLOWED: usize = 1000;

/// Where it all goes.
pub(crate) struct Recorder<'a> {
    base: &'a Base<'a>,
    history: Arc<History>,
    /// What was wrong with the file that was there.
    pub damaged: Option<String>,
    pub events: Events,
    host: String,
    count: Arc<AtomicU64>,
    last_id: AtomicU64,
    followed: Mutex<VecDeque<(String, String)>>,
}

/// What happened.
#[derive(Clone, Debug)]
pub(crate) struct Step<'a> {
    pub kind: &'a str,
    pub severity: Severity,
    pub cache: Option<&'a str>,
    pub plan: Option<&'a str>,
    pub trace: &'a str,
    pub message: String,
    pub data: Vec<(String, String)>,
}

impl<'a> Step<'a> {
    /// Something of a run that is no trouble.
    pub(crate) fn new(kind: &'a str, trace: &'a str, message: impl Into<String>) -> Self {
        Self {
            kind,
            severity: Severity::Info,
            cache: None,
            plan: None,
            trace,
            message: message.into(),
            data: Vec::new(),
        }
    }

    /// About this cache.
    pub(crate) fn of(mut self, cache: &'a str) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Belonging to this plan.
    pub(crate) fn plan(mut self, plan: &'a str) -> Self {
        self.plan = Some(plan);
        self
    }

    /// As bad as this.
    pub(crate) fn bad(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// With this evidence.
    pub(crate) fn with(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.data.push((name.to_owned(), value.to_string()));
        self
    }
}

/// Opens the history in a state folder.
pub(crate) fn open_history(
    state: &Path,
    limits: Limits,
) -> Result<larder_history::Opened, CliError> {
    let path = state.join("history.db");
    History::open(&path, limits).map_err(|error| CliError::because(Exit::Partly, &error))
}

/// Thirty-two hexadecimal digits, as W3C Trace Context has them.
pub(crate) fn new_trace() -> String {
    (0..4).map(|_| larder_engine::keys::new_id()).collect()
}

impl<'a> Recorder<'a> {
    /// Opens the history; a damaged one is set aside, which is said loudly.
    pub(crate) fn open(base: &'a Base<'a>, state: &Path) -> Result<Self, CliError> {
        let opened = open_history(state, history_open::limits(&base.settings().history))?;
        let newest = opened.history.reader().last_event_id().unwrap_or(0);
        let newest = u64::try_from(newest).unwrap_or(0);
        let damaged = opened.set_aside.map(|aside| {
            let path = aside.path.display();
            format!("the history was damaged and is now {path}: {}", aside.why)
        });
        Ok(Self {
            base,
            history: Arc::new(opened.history),
            damaged,
            events: Events::new(KEPT, newest),
            host: larder_engine::keys::host(),
            count: Arc::default(),
            last_id: AtomicU64::new(newest),
            followed: Mutex::default(),
        })
    }

    /// The machine's name.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The history itself.
    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// The history itself, for threads of their own.
    pub(crate) fn shared_history(&self) -> Arc<History> {
        Arc::clone(&self.history)
    }

    /// Counts events since the start, for other threads.
    pub(crate) fn counter(&self) -> Arc<dyn Fn() -> u64 + Send + Sync> {
        let count = Arc::clone(&self.count);
        Arc::new(move || count.load(Ordering::Relaxed))
    }

    /// How the history fares, for other threads.
    pub(crate) fn history_state(&self) -> Arc<dyn Fn() -> Option<HistoryState> + Send + Sync> {
        let history = Arc::clone(&self.history);
        Arc::new(move || {
            let stats = history.stats();
            let dropped = stats.dropped_samples + stats.dropped_others;
            Some(HistoryState { bytes: history.reader().bytes(), dropped })
        })
    }

    /// Takes lines of the server for the log.
    pub(crate) fn sayer(&self) -> larder_server::Say {
        let (log, history) = (self.log(), Arc::clone(&self.history));
        Arc::new(move |line: &str| {
            let event = Event {
                at: larder_fs::now(),
                kind: "http".to_owned(),
                cache: None,
                plan_id: None,
                trace_id: String::new(),
                message: line.to_owned(),
                data: Vec::new(),
            };
            log.event(&event, Severity::Warning);
            history.event(event);
        })
    }

    /// The log, as the settings have it now.
    fn log(&self) -> Log {
        let settings = self.base.resolved();
        let daemon = &settings.settings.daemon;
        Log {
            json: daemon.log_json,
            file: daemon.log_file.clone(),
            host: self.host.clone(),
            journal: Log::to_journal(),
        }
    }

    /// Keeps samples, where they are kept here: a Prometheus keeps its own.
    pub(crate) fn samples(&self, samples: Vec<Sample>) {
        if self.base.settings().history.kind == HistoryKind::Local {
            self.history.record(samples);
        }
    }

    /// A notice belongs to a run: what becomes of it is told under the run's trace.
    pub(crate) fn follow(&self, notice: &str, trace: &str) {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        followed.truncate(FOLLOWED - 1);
        followed.push_front((notice.to_owned(), trace.to_owned()));
    }

    /// The trace of the run that a notice belongs to; of one from before a restart its own id.
    pub(crate) fn trace_of(&self, notice: &str) -> String {
        let followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        let found = followed.iter().find(|(id, _)| id == notice);
        found.map_or(notice, |(_, trace)| trace).to_owned()
    }

    /// Something happened.
    pub(crate) fn say(&self, step: Step<'_>) {
        let event = Event {
            at: larder_fs::now(),
            kind: step.kind.to_owned(),
            cache: step.cache.map(str::to_owned),
            plan_id: step.plan.map(str::to_owned),
            trace_id: step.trace.to_owned(),
            message: step.message,
            data: step.data,
        };
        self.event(event, step.severity);
    }

    /// Something happened that is an event already.
    pub(crate) fn event(&self, event: Event, severity: Severity) {
        self.log().event(&event, severity);
        self.count.fetch_add(1, Ordering::Relaxed);
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let kept = KeptEvent { id: i64::try_from(id).unwrap_or(i64::MAX), event };
        if let Ok(data) = serde_json::to_value(WireEvent::from(&kept)) {
            self.events.publish(&StreamEvent { id, data });
        }
        self.history.event(kept.event);
    }

    /// A small text that outlives a restart.
    pub(crate) fn state(&self, key: &str) -> Option<String> {
        self.history.state(key).ok().flatten()
    }

    /// Keeps it.
    pub(crate) fn keep(&self, key: &str, text: String) {
        self.history.put_state(key, text);
    }
}
