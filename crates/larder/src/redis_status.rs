//! `larder status` of each configured Redis, all asked at once.

use std::thread::JoinHandle;

use larder_core::Score;
use larder_redis::{RedisError, Vitals, measure};

use crate::context::Context;
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

/// What is being asked.
#[derive(Debug)]
pub(crate) struct Asking {
    rows: Vec<RedisRow>,
    threads: Vec<(RedisTarget, JoinHandle<Result<Vitals, RedisError>>)>,
}

/// Begins to ask every Redis that the settings name.
pub(crate) fn begin(context: &Context<'_>) -> Asking {
    let mut asking = Asking { rows: Vec::new(), threads: Vec::new() };
    for target in redis_target::configured(context) {
        match target {
            Ok(target) => {
                let endpoint = target.endpoint.clone();
                asking.threads.push((target, std::thread::spawn(move || measure(&endpoint))));
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
        for (target, thread) in self.threads {
            let vitals = match thread.join() {
                Ok(Ok(vitals)) => Ok(vitals),
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
