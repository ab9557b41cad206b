//! HTTP: what the server of `larder-server` is handed. Handlers read what is known and write wishes
//! and files; none of them measures, and none removes anything.

use std::net::SocketAddr;
use std::sync::Arc;

use larder_server::{
    Cleanups, Exposed, Firing, HistoryState, Notifications, RedisFacts, Routes, Running, Sampled,
    ServeOptions, Server, Source, Tasks, Token, Verified,
};

use super::base::Base;
use super::live::{Known, Live};
use super::record::Recorder;
use super::redis_facts;
use crate::api::{self, Api};
use crate::exit::{CliError, Exit};
use crate::redis_target;
use crate::redis_target::RedisTarget;

/// Answers from what is known.
struct Shown {
    live: Arc<Live>,
    /// Every Redis of the settings.
    targets: Vec<RedisTarget>,
    history: Arc<dyn Fn() -> Option<HistoryState> + Send + Sync>,
    events: Arc<dyn Fn() -> u64 + Send + Sync>,
}

/// Starts it.
pub(crate) fn start(
    base: &Base<'_>,
    recorder: &Recorder<'_>,
    listen: Option<SocketAddr>,
) -> Result<Running, CliError> {
    let settings = base.settings();
    let serve = &settings.daemon.serve;
    let address = match listen {
        Some(address) => address,
        None => serve.listen.parse().map_err(|_| {
            CliError::usage(format!("serve.listen: {:?} is no address", serve.listen))
        })?,
    };
    let token = serve.token_file.as_deref().map(Token::read).transpose();
    let token = token.map_err(|error| CliError::because(Exit::Usage, &error))?;
    let context = base.context(&["serve"]);
    let targets = redis_target::configured(&context).into_iter().flatten().collect();
    let state = context.state_folder()?.to_owned();
    let shown = Arc::new(Shown {
        live: Arc::clone(&base.live),
        targets,
        history: recorder.history_state(),
        events: recorder.counter(),
    });
    let options = ServeOptions {
        hosts: serve.hosts.clone(),
        token,
        web_file: serve.web_config.clone(),
        say: recorder.sayer(),
        ..ServeOptions::new(address)
    };
    let api = Api { live: Arc::clone(&base.live), state };
    let events = recorder.events.clone();
    let routes = Routes { source: shown, endpoints: api::endpoints(&api), events };
    Server::start(options, routes).map_err(|error| {
        CliError::because(Exit::Usage, &error).hint("name another address: --listen 127.0.0.1:0")
    })
}

impl Source for Shown {
    fn exposed(&self) -> Arc<Exposed> {
        let known = self.live.know();
        Arc::new(Exposed {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            samples: known.samples.values().cloned().collect(),
            sampled: sampled(&known),
            growth: known.growth.values().cloned().collect(),
            alerts: known.board.firing().map(firing).collect(),
            tasks: known.go_commands.map(|go| Tasks { go, larder: known.jobs.len() as u64 }),
            cleanups: cleanups(&known),
            verifications: verified(&known),
            notifications: known.notified.iter().map(notifications).collect(),
            plans_waiting: known.plans_waiting,
            events_total: Some((self.events)()),
            history: (self.history)(),
            forecast_errors: known.forecast_errors.iter().map(|(c, e)| (c.clone(), *e)).collect(),
            throttles: known.throttles.iter().map(|(c, n)| (c.clone(), *n)).collect(),
            redis: known.facts.clone(),
            scanned_at: known.report.as_ref().map(|report| report.taken_at),
            foreseen_at: known.foreseen_at,
            counted_at: known.counted_at,
        })
    }

    fn ready(&self) -> Result<(), String> {
        match self.live.know().ready {
            Some(_) => Ok(()),
            None => Err("nothing was measured yet".to_owned()),
        }
    }

    fn probe_targets(&self) -> Vec<String> {
        let names = self.targets.iter().map(|target| target.cache.clone());
        names.chain(self.targets.iter().map(|target| target.endpoint.url())).collect()
    }

    fn probe(&self, target: &str) -> Result<RedisFacts, String> {
        let found = self.targets.iter().find(|t| t.cache == target || t.endpoint.url() == target);
        let found = found.ok_or_else(|| format!("{target} is not configured"))?;
        let facts = redis_facts::of_target(&found.endpoint).map_err(|error| error.to_string())?;
        facts.ok_or_else(|| "it has no server".to_owned())
    }
}

fn sampled(known: &Known) -> Vec<Sampled> {
    let of = |(cache, (total, failures)): (&String, &(u64, u64))| Sampled {
        cache: cache.clone(),
        total: *total,
        failures: *failures,
        last: known.samples.get(cache).map(|sample| sample.at),
    };
    known.sampled.iter().map(of).collect()
}

/// Those of every cache, also where there was none: a counter that begins at one looks to a rate as
/// if nothing had happened.
fn cleanups(known: &Known) -> Vec<Cleanups> {
    let none = |cache: &String| Cleanups { cache: cache.clone(), ..Cleanups::default() };
    let before = known.samples.keys().filter(|cache| !known.cleanups.contains_key(*cache));
    known.cleanups.values().cloned().chain(before.map(none)).collect()
}

fn firing(alert: &larder_core::Alert) -> Firing {
    Firing {
        name: alert.name.clone(),
        cache: alert.cache.clone(),
        severity: alert.severity,
        since: Some(alert.since),
        command: alert.command.clone(),
    }
}

fn verified(known: &Known) -> Vec<Verified> {
    let rows = known.report.iter().flat_map(|report| report.rows.iter());
    rows.filter_map(|row| {
        let last = row.last_verified?;
        Some(Verified {
            cache: row.cache.name().to_owned(),
            at: last.at,
            checked: last.checked,
            bad: last.bad,
            unverifiable: last.unverifiable,
        })
    })
    .collect()
}

fn notifications(counts: &larder_notify::ReceiverCounts) -> Notifications {
    Notifications {
        receiver: counts.receiver.clone(),
        sent: counts.sent,
        failed: counts.failed,
        dropped: counts.dropped,
        queue: counts.queued as u64,
    }
}
