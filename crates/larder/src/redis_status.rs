//! `larder status` of each configured Redis, all asked at once; what is measured now is the baseline
//! of the next time.

use std::path::PathBuf;
use std::thread::JoinHandle;

use larder_core::Score;
use larder_redis::{Measured, Readings, RedisError, Vitals, measure_since};

use crate::context::Context;
use crate::redis_readings;
use crate::redis_target::{self, RedisTarget};

/// A Redis as it answered, or why it did not.
#[derive(Debug)]
pub(crate) struct RedisRow {
    pub cache: String,
    /// Without a password; empty where the settings name none that can be used.
    pub url: String,
    /// The settings' budget, bytes.
    pub budget: Option<u64>,
    pub vitals: Result<Vitals, String>,
}

impl RedisRow {
    /// Its score, where it answered.
    pub(crate) fn score(&self) -> Option<Score> {
        self.vitals.as_ref().ok().map(|vitals| vitals.score(self.budget))
    }
}

type Answer = JoinHandle<Result<Measured, RedisError>>;

/// What is being asked.
#[derive(Debug)]
pub(crate) struct Asking {
    rows: Vec<RedisRow>,
    threads: Vec<(RedisTarget, Readings, Answer)>,
    /// Where readings are kept; without one every rate is since the server started.
    state: Option<PathBuf>,
}

/// Begins to ask every Redis that the settings name.
pub(crate) fn begin(context: &Context<'_>) -> Asking {
    let state = context.settings().state.clone();
    let mut asking = Asking { rows: Vec::new(), threads: Vec::new(), state };
    for target in redis_target::configured(context) {
        match target {
            Ok(target) => {
                let (endpoint, now) = (target.endpoint.clone(), context.now);
                let state = asking.state.as_deref();
                let before = state
                    .map_or_else(Readings::default, |state| redis_readings::read(state, &endpoint));
                let earlier = before.clone();
                let measure = move || measure_since(&endpoint, &earlier, now);
                asking.threads.push((target, before, std::thread::spawn(measure)));
            }
            Err((cache, error)) => asking.rows.push(RedisRow {
                cache,
                url: String::new(),
                budget: None,
                vitals: Err(error.what),
            }),
        }
    }
    asking
}

impl Asking {
    /// Waits for all of them.
    pub(crate) fn rows(mut self) -> Vec<RedisRow> {
        for (target, before, thread) in self.threads {
            let vitals = match thread.join() {
                Ok(Ok(measured)) => {
                    // Two names may stand for one server, and one of them may see less of it.
                    if let Some(state) = self.state.as_ref().filter(|_| measured.readings != before)
                    {
                        redis_readings::write(state, &target.endpoint, &measured.readings);
                    }
                    Ok(measured.vitals)
                }
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("measuring it broke off by a defect of larder".to_owned()),
            };
            self.rows.push(RedisRow {
                cache: target.cache,
                url: target.endpoint.url(),
                budget: target.settings.budget,
                vitals,
            });
        }
        self.rows.sort_by(|a, b| a.cache.cmp(&b.cache));
        self.rows
    }
}
